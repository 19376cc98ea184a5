"""`spread-ctl doctor`: is this machine fit, are the settings right, can the exchanges be reached.

Every check says what it found and, where that is not well, what to do. Nothing is changed. A check
that fails makes the exit code 1; a warning does not.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import ssl
import sys
from collections.abc import Coroutine, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
from picows import WSListener

from spread_scanner import clock, config
from spread_scanner.cli.answers import Check
from spread_scanner.cli.doctor_pools import of_pools
from spread_scanner.cli.doctor_providers import of_providers
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.files import wrong_files, wrong_keys
from spread_scanner.config.processes import expected, staying
from spread_scanner.errors import ConfigError, SpreadError, TableError
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.runtime import dial_loop, ws
from spread_scanner.runtime.failures import failure_in_words
from spread_scanner.runtime.gate import Gate, Gates
from spread_scanner.runtime.refusals import in_words, retry_after_s
from spread_scanner.runtime.rest import http_client
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCES, Source
from spread_scanner.schema.figures import ago
from spread_scanner.schema.names import LOGS_FOLDER
from spread_scanner.schema.records import EVALUATION_DTYPE, SIGNAL_DTYPE
from spread_scanner.schema.version import version
from spread_scanner.shm import segment
from spread_scanner.shm.faults import NoSegment
from spread_scanner.shm.layout import (
    CONTROL_BYTES,
    DIALS_BYTES,
    HEALTH_BYTES,
    POOLS_BYTES,
    AnalysisLayout,
    BooksLayout,
    ConnectionsLayout,
    FundingLayout,
    RingLayout,
    StoreLayout,
    TapesLayout,
    WantsLayout,
)
from spread_scanner.supervise.children import NoSuchBin, command_of
from spread_scanner.symbology import tables
from spread_scanner.symbology.known import SETTINGS_FILES, idle_settings, load_known
from spread_scanner.view import status
from spread_scanner.view.conditions.condition import WHAT_TO_DO, kind_of
from spread_scanner.view.conditions.found import NO_ROOM, of_tables
from spread_scanner.view.tables import TablesInForce
from spread_scanner.web import trust
from spread_scanner.web.bodies import UNASKED

OK, WARN, FAIL = "ok", "warn", "fail"
REACH_TIMEOUT_S = 5.0
ELSEWHERE = "where the exchange is blocked set the source's proxy, or run elsewhere"
SKEW_S_MAX = 2.0
FILES_MIN = 1_024
SAID_OF_FILES = ("old", "room", "away", "quarantine", "disk")  # whether the system is up or not
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def examine(*, reach: bool = True) -> list[Check]:
    """All checks, in the order in which a person would mend things."""
    checks = list(machine())
    try:
        settings = config.load()
    except ConfigError as error:
        return [*checks, Check("settings", FAIL, str(error), "mend the file that it names")]
    wrong = [str(error) for error in wrong_files(settings)]
    if settings.pools.enabled and not settings.pools.runs:  # of no pool, and yet `tx` asks there
        wrong += [str(error) for error in wrong_keys(settings)]
    checks += [Check("settings", FAIL, why, "mend the file that it names") for why in wrong]
    if not wrong:
        checks.append(Check("settings", OK, f"{settings.folder}"))
    checks += [*memory(settings), *files(settings), *of_pools(settings), *running(settings)]
    if reach:
        checks += reachable(settings)
    return checks


def machine() -> Iterator[Check]:
    """Version, Python, CPUs, clocks, limits."""
    yield Check("version", OK, version())
    yield Check("python", OK, ".".join(str(part) for part in sys.version_info[:3]))
    cpus = len(os.sched_getaffinity(0))
    yield Check(
        "CPUs",
        OK if cpus >= 4 else WARN,
        str(cpus),
        "" if cpus >= 4 else "a dozen processes share them: latency has a tail with fewer than 4",
    )
    source = _text(CLOCK_SOURCE)
    fast = source in ("tsc", "arch_sys_counter", "")
    yield Check(
        "clock source",
        OK if fast else WARN,
        source or "not told",
        "" if fast else "reading the time is a system call here: boot with clocksource=tsc",
    )
    governor = _text(GOVERNOR)
    if governor:
        well = governor == "performance"
        advice = "" if well else "cpupower frequency-set -g performance"
        yield Check("CPU governor", OK if well else WARN, governor, advice)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Check(
        "open files",
        OK if soft >= FILES_MIN else FAIL,
        f"{soft:,} of {hard:,}",
        "" if soft >= FILES_MIN else f"ulimit -n {FILES_MIN}",
    )


def memory(settings: Settings) -> Iterator[Check]:
    """Room for the segments."""
    system = settings.config.system
    layout = StoreLayout(system.num_sources, system.max_symbols)
    needed = (
        layout.store_bytes
        + layout.dirty_bytes
        + TapesLayout(system.num_sources, system.tape_slots).tapes_bytes
        + RingLayout(system.ring_slots, SIGNAL_DTYPE.itemsize).ring_bytes
        + settings.config.spread_engine.evaluations_kept * EVALUATION_DTYPE.itemsize
        + ConnectionsLayout(system.num_sources).connections_bytes
        + AnalysisLayout(system.num_sources, system.max_symbols).analysis_bytes
        + FundingLayout(system.num_sources, system.max_symbols).funding_bytes
        + WantsLayout(system.num_sources, system.max_symbols).wants_bytes
        + BooksLayout(
            system.num_sources,
            system.max_symbols,
            settings.config.books.books_max,
            system.tape_slots,
        ).books_bytes
        + POOLS_BYTES
        + HEALTH_BYTES
        + CONTROL_BYTES
        + DIALS_BYTES
    )
    if not segment.SHM_FOLDER.is_dir():
        yield Check("shared memory", FAIL, "no /dev/shm", "mount -t tmpfs tmpfs /dev/shm")
        return
    free = shutil.disk_usage(segment.SHM_FOLDER).free
    # A restart makes the new segments before the old ones are let go.
    well = free >= 2 * needed
    yield Check(
        "shared memory",
        OK if well else FAIL,
        f"{needed / 2**20:z,.1f} MiB needed, {free / 2**20:z,.0f} MiB free",
        ""
        if well
        else "mount -o remount,size=1G /dev/shm, or lower tape_slots, ring_slots or max_symbols",
    )


def files(settings: Settings) -> Iterator[Check]:
    """Executables, folders, tables."""
    missing = []
    for process in expected(settings):
        try:
            command_of(process)
        except NoSuchBin:
            missing.append(process)
    yield Check(
        "executables",
        FAIL if missing else OK,
        f"missing: {', '.join(missing)}" if missing else "all there",
        "install the whole package again" if missing else "",
    )
    for name, folder in (("data folder", settings.data_dir), ("tables", settings.generated_dir)):
        yield _folder(name, folder, settings.config.spread_alerts.disk_free_mb_min)
    try:
        loaded = tables.load(settings.generated_dir)
    except TableError as error:
        yield Check("pairs", WARN, str(error), "spread-ctl discover (up does it by itself)")
        return
    age_s = (clock.wall_ns() - loaded.judgement_wall_ns) / NS_PER_S
    pairs = sum(len(row.symbol_ids) for row in loaded.directions)
    found = f"{pairs:,} in {len(loaded.symbols):,} symbols, judged {ago(age_s)}"
    yield Check("pairs", OK, found)
    yield from _said_by_discovery(settings)


def _said_by_discovery(settings: Settings) -> Iterator[Check]:
    """What the last discovery warned about, and what in the settings of now names nothing."""
    idle = idle_settings(settings, load_known(settings.generated_dir))
    for warning in idle:
        yield Check("settings", WARN, warning, "a slip of the pen? see validation_report.txt")
    said = *SETTINGS_FILES, NO_ROOM, *(f"{source.label} is " for source in SOURCES)
    off = (f"{source.label}: " for source in SOURCES if not settings.runs(source))
    left_out = *said, *off  # said above, or below where it is so still; and what is nobody's now
    with contextlib.suppress(TableError):
        for warning in tables.load_metadata(settings.generated_dir).warnings:
            if not warning.startswith(left_out):
                yield Check("discovery", WARN, warning, "see validation_report.txt")
    published = TablesInForce(settings.generated_dir)
    if published.look() and published.view is not None:
        told = of_tables(published.view, published.judged_age_s, settings)
        yield from (_of_condition(one.key, one.text) for one in told)


def _folder(name: str, folder: Path, free_mb_min: float) -> Check:
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.access(nearest, os.W_OK):
        return Check(name, FAIL, f"{folder} cannot be written", f"chown it: {nearest}")
    free = shutil.disk_usage(nearest).free
    full = free < free_mb_min * 1e6
    return Check(
        name,
        WARN if full else OK,
        f"{folder}, {free / 2**30:z,.1f} GiB free",
        "make room: the tracker needs it" if full else "",
    )


def running(settings: Settings) -> Iterator[Check]:
    """The system itself, if it is up."""
    namespace = settings.config.system.namespace
    try:
        now = status.read(settings, 0.0)
    except NoSegment:
        yield Check("system", OK, f"not up in namespace {namespace}")
        return
    except SpreadError as error:
        yield Check("system", FAIL, str(error), "spread-ctl down, then clean, then up")
        return
    stay = staying(settings)
    dead = [view.process for view in now.processes if view.process in stay and not view.alive]
    if len(dead) == len(stay):
        yield Check("system", WARN, "segments stand, nobody runs", "spread-ctl clean, or up")
    else:
        found = f"not running: {', '.join(dead)}" if dead else f"up in namespace {namespace}"
        advice = (
            f"see {settings.data_dir / LOGS_FOLDER}, or journalctl -u <process>" if dead else ""
        )
        yield Check("system", FAIL if dead else OK, found, advice)
    ill = [name for name in now.unwell if name not in dead]
    if ill:
        found = f"unwell: {', '.join(ill)}"
        yield Check("processes", WARN, found, "spread-ctl status says why")
    for one in now.beside:
        if kind_of(one.key) not in SAID_OF_FILES:
            yield _of_condition(one.key, one.text)
    if all(one.key != "clock" for one in now.beside):
        yield Check("wall clock", OK, f"stepped {now.clock_step_s:+z.3f} s since start")


def _of_condition(key: str, text: str) -> Check:
    """What status and alerts tell of, too."""
    return Check(key, WARN, text, WHAT_TO_DO[kind_of(key)])


def reachable(settings: Settings) -> list[Check]:
    """REST and websocket of every enabled source and provider of pools, all at once."""
    try:
        trust.system_has_any()
    except ConfigError as error:
        return [Check("certificates", FAIL, str(error), "let this user read them, or name others")]
    enabled = [source for source in EXCHANGE_SOURCES if settings.exchanges[source.label].enabled]
    with Gates(settings.config.system.namespace) as gates:
        return dial_loop.run(_reach_all(settings, enabled, gates))


async def _reach_all(settings: Settings, enabled: list[Source], gates: Gates) -> list[Check]:
    tries: list[Coroutine[Any, Any, Check]] = []
    for source in enabled:
        at = settings.exchanges[source.label]
        adapter = adapter_of(source, at)
        try:
            tls = trust.of_source(settings, source.label)
        except ConfigError:
            continue  # said already: see wrong_files
        rest = gates.gate(source.exchange.label, at.rest_url, at.proxy)
        tries.append(_rest(adapter, at, rest, tls))
        tries.append(_websocket(adapter, at, gates.of(adapter, at.proxy), tls))
    tries.extend(of_providers(settings, gates))
    return await asyncio.gather(*tries)


async def _rest(
    adapter: Adapter, at: config.SourceSettings, gate: Gate, tls: ssl.SSLContext
) -> Check:
    """Ask for what has to work, the list of instruments; the head of the answer is enough."""
    name = f"{adapter.source.label} REST"
    ban = gate.ban()
    if ban is not None:
        return Check(name, FAIL, f"{at.rest_url}: {ban}", f"wait; {ELSEWHERE}")
    request = adapter.instruments_request()
    begun_s = clock.awake_s()
    try:
        async with (
            http_client(at.proxy, tls, REACH_TIMEOUT_S) as client,
            client.stream("GET", at.rest_url + request.path, params=request.params) as answer,
        ):
            status, headers = answer.status_code, answer.headers
    except UNASKED as error:
        found = f"{at.rest_url}: {failure_in_words(error, REACH_TIMEOUT_S)}"
        return Check(name, FAIL, found, f"check network, DNS, firewall; {ELSEWHERE}")
    if answer.next_request is not None:
        target = f"{at.rest_url}: leads on to {answer.next_request.url}"
        return Check(name, FAIL, target, f"set rest_url to it if it is the exchange's; {ELSEWHERE}")
    if status != httpx.codes.OK:
        asked_s = retry_after_s(headers.get("retry-after", ""), clock.wall_ns())
        said = _said(in_words(status), gate.refused(status, asked_s))
        return Check(name, FAIL, f"{at.rest_url}: refused: {said}", ELSEWHERE)
    took_ms = (clock.awake_s() - begun_s) * 1e3
    skew_s = _skew_s(headers.get("date", ""))
    if skew_s is not None and abs(skew_s) > SKEW_S_MAX:
        return Check(
            name,
            WARN,
            f"{took_ms:z.0f} ms; our clock is {skew_s:+z.0f} s off",
            "run an NTP client (chrony): ages of quotes are measured against our clock",
        )
    return Check(name, OK, f"{took_ms:z.0f} ms")


def _said(reason: str, note: str) -> str:
    """A refusal, and what was odd about it."""
    return f"{reason}, {note}" if note else reason


def _skew_s(date: str) -> float | None:
    """Our wall clock less the server's, which tells whole seconds only."""
    try:
        server_s = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
    return clock.wall_ns() / NS_PER_S - server_s - 0.5


async def _websocket(
    adapter: Adapter, at: config.SourceSettings, gate: Gate, tls: ssl.SSLContext
) -> Check:
    """Dial as the feed does: by the same code, in turn, and not into a ban."""
    name = f"{adapter.source.label} websocket"
    ban = gate.ban()
    if ban is not None:
        return Check(name, FAIL, f"{at.ws_url}: {ban}", f"wait; {ELSEWHERE}")
    await gate.turn()
    begun_ns = clock.mono_ns()
    try:
        transport = await ws.dial(
            adapter.ws_url(),
            WSListener,
            timeout_s=REACH_TIMEOUT_S,
            proxy=at.proxy,
            tls=tls,
        )
    except ws.DialFailed as error:
        note = ""
        if error.status is not None:
            note = gate.refused(error.status, error.wait_s, error.begun_ns)
        advice = "check network, firewall and the source's ws_url and proxy"
        if error.status is not None:  # it answers, but not us
            advice = f"check the source's ws_url; {ELSEWHERE}"
        return Check(name, FAIL, f"{at.ws_url}: {_said(error.reason, note)}", advice)
    transport.disconnect()
    return Check(name, OK, f"{(clock.mono_ns() - begun_ns) / NS_PER_MS:z.0f} ms")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
