"""pair-discovery: one run from the exchanges' lists to a published set of tables, a quick look that
adds what is newly listed (quick.py), or the funding of now into shared memory (funding.py).

Exit codes: 0 done, 1 nothing reachable or nothing to publish (the old tables stay), 2 bad settings
or usage, 3 published, but a source was away: its last known listings were kept or it is left out;
4 funding was asked for and the system is not up.

But for funding it needs no shared memory: it runs before shm-init as well. Where the segments are
there, a full run takes its row in health while it lasts, and writes the funding that it was told.
"""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.discovery import options
from spread_scanner.discovery.asking import Options
from spread_scanner.discovery.funding import keep, refresh
from spread_scanner.discovery.quick import QuickLook, look
from spread_scanner.discovery.report import (
    REPORT_TXT,
    DiscoverySummary,
    Findings,
    FundingSummary,
    NothingToAdd,
    summary,
    texts,
)
from spread_scanner.discovery.run import Before, discover
from spread_scanner.discovery.show import Bars, on_stderr, summary_tables
from spread_scanner.errors import ConfigError, SpreadError, TableError
from spread_scanner.runtime import dial_loop, logs, output
from spread_scanner.runtime.logs import Log
from spread_scanner.schema.counters import DISCOVERY_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import (
    DISCOVERY,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_NOT_UP,
    EXIT_PARTIAL,
    EXIT_SETTINGS,
)
from spread_scanner.schema.version import version
from spread_scanner.shm import Health
from spread_scanner.shm.faults import NoSegment
from spread_scanner.shm.health import HealthRow
from spread_scanner.symbology import publish
from spread_scanner.symbology.known import load_known, load_looks, looked_s_ago, save_looks
from spread_scanner.symbology.tables import CURRENT, load_metadata

LOOK_S_MAX = 120.0  # a full run waits as long for a look, or another run, that goes on
DUE_SHARE = 0.9  # a timer that comes a little early finds it due

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def pair_discovery(
    offline: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Read saved REST answers from this folder."
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, writable=True, help="Save the REST answers there."
        ),
    ] = None,
    no_validate: options.NoValidate = False,
    accept: options.Accept = False,
    quick: options.Quick = False,
    due: options.Due = False,
    funding: options.FundingOnly = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON on stdout.")
    ] = False,
) -> None:
    """Find out what is listed where, and publish the symbol and direction tables."""
    if due and not (quick or funding):
        raise typer.BadParameter(options.DUE_ALONE)
    if funding and (quick or accept or no_validate):
        raise typer.BadParameter(options.FUNDING_ALONE)
    asked = Options(offline, not no_validate, save, accept, quick, funding, due)
    raise typer.Exit(_run(asked, as_json))


def main() -> None:
    """The bin's entry."""
    app()


def _run(asked: Options, as_json: bool) -> int:
    log = logs.set_up(DISCOVERY)
    try:
        settings = config.load()
    except ConfigError as error:
        log.error("bad settings", error=str(error))
        return EXIT_SETTINGS
    system = settings.config.system
    log = logs.set_up(DISCOVERY, system.log_level, system.log_format)
    if asked.funding:
        return _funding(settings, asked, log, as_json)
    if asked.quick:
        return _quick(settings, asked, log, as_json)
    try:
        findings = _full(settings, asked, log)
    except SpreadError as error:
        log.error("no new tables, the old ones stay", error=str(error))
        return EXIT_SETTINGS if isinstance(error, ConfigError) else EXIT_FAILED
    _tell(settings, findings, log, as_json)
    return EXIT_PARTIAL if findings.partial else EXIT_DONE


def _full(settings: Settings, asked: Options, log: Log) -> Findings:
    """A full run. One that meets another one is none: the row keeps how the last one ended."""
    with contextlib.ExitStack() as stack:
        unusable = None
        try:
            stack.enter_context(publish.exclusive(settings.generated_dir, LOOK_S_MAX))
        except publish.Publishing:
            raise
        except TableError as error:
            unusable = error
        row = stack.enter_context(_health_row(settings))
        try:
            if unusable is not None:
                raise unusable
            findings = _discover(settings, asked, log, row)
        except SpreadError as error:
            if row is not None:
                row.beat(ProcessState.FAILED, str(error))
            raise
        if row is not None:
            _account(row, findings)
        return findings


def _tell(settings: Settings, findings: Findings, log: Log, as_json: bool) -> None:
    numbers = summary(findings)
    if as_json:
        _print_json(numbers)
    elif sys.stderr.isatty():  # into a log goes the line below
        summary_tables(on_stderr(), numbers)
    for warning in findings.warnings:
        log.warning(warning)
    log.info(
        "published",
        generation=numbers["generation"],
        symbols=numbers["symbols"],
        pairs=numbers["pairs"],
        quarantined=len(numbers["quarantined"]),
        folder=str(settings.generated_dir),
        version=version(),
    )


def _print_json(document: DiscoverySummary | NothingToAdd | FundingSummary) -> None:
    output.put(orjson.dumps(document) + b"\n")


def _quick(settings: Settings, asked: Options, log: Log, as_json: bool) -> int:
    """A quick look: it takes no row in health, where the last full run's end stands."""
    folder = settings.generated_dir
    every_s = settings.config.pair_discovery.look_every_s
    if asked.due and (not every_s or looked_s_ago(folder) < DUE_SHARE * every_s):
        _nothing(folder, [], as_json)
        return EXIT_DONE
    try:
        found = _look(settings, asked)
    except SpreadError as error:
        log.error("no quick look, the tables stay", error=str(error))
        return EXIT_SETTINGS if isinstance(error, ConfigError) else EXIT_FAILED
    if found.findings is None:
        log.info("nothing to add", new=found.new)
        _nothing(folder, found.new, as_json)
    else:
        log.info("new pairs", pairs=found.findings.added)
        _tell(settings, found.findings, log, as_json)
    return EXIT_DONE


def _funding(settings: Settings, asked: Options, log: Log, as_json: bool) -> int:
    """Funding alone: it takes no row in health either."""
    try:
        found = refresh(settings, asked)
    except NoSegment as error:
        log.error("no funding, the system is not up", error=str(error))
        return EXIT_NOT_UP
    except SpreadError as error:
        log.error("no funding, what was told before stays", error=str(error))
        return EXIT_SETTINGS if isinstance(error, ConfigError) else EXIT_FAILED
    if as_json:
        _print_json(found)
    failed = {label: row["failure"] for label, row in found["sources"].items() if row["failure"]}
    for label, why in failed.items():
        log.warning("no funding of a source, what it told before stays", about=label, why=why)
    told = {label: row["told"] for label, row in found["sources"].items()}
    log.info("funding", asked=found["asked"], **told)
    if failed:
        return EXIT_FAILED if len(failed) == len(found["sources"]) else EXIT_PARTIAL
    return EXIT_DONE


def _nothing(folder: Path, new: list[str], as_json: bool) -> None:
    if as_json:
        _print_json(NothingToAdd(generation=publish.generation_in_force(folder), added=[], new=new))


def _look(settings: Settings, asked: Options) -> QuickLook:
    folder = settings.generated_dir
    with publish.exclusive(folder):
        before = _before(folder)
        with Bars(on_stderr()) as bars:
            found = dial_loop.run(look(settings, asked, before, load_looks(folder), bars))
        if found.findings is not None:
            _publish(folder, found.findings)
        save_looks(folder, found.looks)
    return found


def _before(folder: Path) -> Before:
    """What the last run left behind."""
    previous = publish.newest_intact(folder)
    states: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    report = ""
    with contextlib.suppress(TableError, OSError, UnicodeDecodeError):
        metadata = load_metadata(folder)
        states, warnings = metadata.sources, metadata.warnings
        report = (folder / CURRENT / REPORT_TXT).read_text(encoding="utf-8")
    generation = publish.next_generation(folder)
    return Before(previous, load_known(folder), generation, states, report, warnings)


def _publish(folder: Path, findings: Findings) -> None:
    publish.publish(
        folder,
        findings.tables,
        texts(findings),
        findings.states,
        [*findings.before_warnings, *findings.warnings],
        findings.added,
    )


def _discover(
    settings: Settings,
    asked: Options,
    log: Log,
    row: HealthRow | None,
) -> Findings:
    folder = settings.generated_dir
    before = _before(folder)
    previous = before.tables
    in_force = publish.generation_in_force(folder)
    if in_force and (previous is None or previous.generation != in_force):
        log.warning(
            "the tables in force are damaged; ids are taken from the newest whole set",
            in_force=in_force,
            whole=previous.generation if previous is not None else None,
        )
    with Bars(on_stderr()) as bars:
        run = discover(settings, asked, before, bars)
        findings = dial_loop.run(_beating(run, row, settings.config.system.heartbeat_ms))
    _publish(folder, findings)
    if asked.offline is None:
        keep(settings, findings.tables, findings.listed)
    return findings


async def _beating(
    run: Coroutine[Any, Any, Findings], row: HealthRow | None, heartbeat_ms: int
) -> Findings:
    """The run, with a heart that beats from the same loop."""

    async def beat() -> None:
        while row is not None:
            row.beat()
            await asyncio.sleep(heartbeat_ms / 1_000)

    heart = asyncio.create_task(beat())
    try:
        return await run
    finally:
        heart.cancel()


@contextlib.contextmanager
def _health_row(settings: Settings) -> Iterator[HealthRow | None]:
    """This process's row, where there are segments and nobody else has it."""
    with contextlib.ExitStack() as stack:
        try:
            health = stack.enter_context(
                Health.attach(settings.config.system.namespace, timeout_s=0.0)
            )
            row = stack.enter_context(health.claim(DISCOVERY))
        except SpreadError:
            row = None
        if row is not None:
            row.beat(ProcessState.RUNNING)
        yield row


def _account(row: HealthRow, findings: Findings) -> None:
    tables = findings.tables
    counts = {
        "instruments": sum(len(answers.instruments) for answers in findings.listed),
        "symbols": len(tables.symbols),
        "quarantined": len(tables.quarantine),
    }
    failures = sum(bool(answers.failure) for answers in findings.listed)
    for counter in DISCOVERY_COUNTERS:
        if counter.label == "rest_failures":
            row.add(counter.counter_id, failures)
        else:
            row.set(counter.counter_id, counts[counter.label])
    row.generation(tables.generation)
    row.beat(ProcessState.STOPPED, f"published generation {tables.generation}")
