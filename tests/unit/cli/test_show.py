"""The commands that look: what they say of a living, a dead and an absent system."""

import contextlib
import math
import re
import socket
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from alerts_bed import conditions_of

from spread_scanner import clock, config
from spread_scanner.cli import why
from spread_scanner.cli.connections import WIDE_COLUMNS, columns_and_rows
from spread_scanner.cli.main import app
from spread_scanner.clock import VirtualClock
from spread_scanner.config.processes import staying
from spread_scanner.schema.counters import FEED_COUNTERS, POOL_COUNTERS
from spread_scanner.schema.enums import (
    EXCHANGE_SOURCES,
    SOURCE_BY_LABEL,
    Carries,
    ProcessState,
    QuoteFlag,
    SignalKind,
    Verdict,
)
from spread_scanner.schema.funding import FundingNow, listing_of
from spread_scanner.schema.names import DISCOVERY
from spread_scanner.schema.records import (
    EVALUATION_DTYPE,
    EVALUATION_FUT_ALONE,
    FOLLOW_UP_BOUNDED,
    FOLLOW_UP_DTYPE,
    SIGNAL_AGED,
    SIGNAL_DTYPE,
    SIGNAL_MINIMUM_UNKNOWN,
)
from spread_scanner.shm import PriceStore, SignalRing, segment
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.dials import Dials
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.health import HealthRow
from spread_scanner.symbology import blocked, publish, tables, usual
from spread_scanner.symbology.blocked import KeptBlock
from spread_scanner.symbology.tables import FundingRow
from spread_scanner.symbology.usual import Usual
from spread_scanner.view import funding
from spread_scanner.view.conditions.condition import STANDS_S
from spread_scanner.view.connections import look as connections_of
from spread_scanner.view.evaluations import Explanation
from spread_scanner.view.funding import FundingView

Run = Callable[..., tuple[int, str, str]]
DAY_MS = 86_400_000
COMMANDS = (
    *(
        "up",
        "demo",
        "down",
        "status",
        "connections",
        "pause",
        "resume",
        "halt",
        "allow",
        "reload",
    ),
    *("watch", "discover", "doctor", "signals", "why", "report", "decode", "clean"),
    *("backup", "vacuum"),
)


# --- status, connections, watch


def test_connections_show_rates_reconnects_and_latencies(up_bed: Any, spread_ctl: Run) -> None:
    with Connections.attach(up_bed.namespace) as connections, connections.claim(0) as rows:
        row = rows.take()
        assert row is not None
        row.opened(2, clock.mono_ns())
        row.ended("fell silent")
        rows.banned(clock.mono_ns() + 600 * 10**9, 418)
        ids = {counter.label: counter.counter_id for counter in FEED_COUNTERS}
        for label, count in (("messages", 100), ("connects", 3), ("skip_duplicate", 4)):
            row.add(ids[label], count)
        row.observe(0, 20_000_000)

        add = row.add

        class HalfASecondGoesBy(VirtualClock):
            def sleep(self, seconds: float) -> None:
                add(ids["messages"], 50)
                super().sleep(seconds)

        with clock.use(HalfASecondGoesBy()):
            code, out, _ = spread_ctl("connections", "--json")
        (shown,) = orjson.loads(out)
        table = spread_ctl("connections", "--source", "binance-spot")[1]
        others = spread_ctl("connections", "--source", "okx-spot", "--json")[1]

    assert code == 0
    assert (shown["source"], shown["state"], shown["messages_per_s"]) == (
        *("binance-spot", "open"),
        100.0,
    )
    assert (shown["reconnects"], shown["skips"], shown["last_end"]) == (2, 4, "fell silent")
    assert shown["carries"] == "quotes"
    assert (shown["ban_left_s"] > 0, shown["ban_status"]) == (True, 418)
    assert "ban s" in table, "on a narrow terminal too, while there is one"
    assert " by 418" in table, "whoever it was told to"
    assert shown["exchange_to_recv_p50_ms"] == pytest.approx(20, rel=0.05)
    assert shown["recv_to_cell_p50_us"] is None
    assert shown["counters"]["skip_duplicate"] == 4
    assert "binance-spot" in table
    assert orjson.loads(others) == []


def test_connections_have_the_providers_of_pools(up_bed: Any, spread_ctl: Run) -> None:
    url = "wss://rpc.example.com/?key={key}"
    with (
        Connections.attach(up_bed.namespace) as connections,
        connections.claim_providers() as rows,
    ):
        row = rows.take(Carries.ACCOUNTS, "mine", url)
        assert row is not None
        row.opened(3, clock.mono_ns())
        row.heard(clock.mono_ns(), 54)
        row.banned(clock.mono_ns() + 600 * 10**9, 429)
        ids = {counter.label: counter.counter_id for counter in POOL_COUNTERS}
        for label, count in (("messages", 100), ("accounts", 90), ("connects", 3)):
            row.add(ids[label], count)
        (shown,) = orjson.loads(spread_ctl("connections", "--json")[1])
        (asked,) = orjson.loads(spread_ctl("connections", "--source", "orca", "--json")[1])
        others = spread_ctl("connections", "--source", "okx-spot", "--json")[1]
        table = spread_ctl("connections")[1]

    assert (shown["source"], shown["provider"], shown["url"]) == ("solana", "mine", url)
    assert (shown["carries"], shown["symbols"], shown["quotes"]) == ("accounts", 54, 90)
    assert (shown["reconnects"], shown["state"]) == (2, "open")
    assert (shown["ban_left_s"] > 0, shown["ban_status"]) == (True, 429)
    assert shown["recv_to_cell_p50_us"] is None
    assert asked["provider"] == "mine", "pools are heard from all of them"
    assert orjson.loads(others) == []
    assert "solana" in table


def test_on_a_narrow_terminal_a_provider_is_named_too(up_bed: Any) -> None:
    with (
        Connections.attach(up_bed.namespace) as connections,
        connections.claim_providers() as rows,
    ):
        for name in ("helius", "triton"):
            row = rows.take(Carries.ACCOUNTS, name, "")
            assert row is not None
            row.opened(1, clock.mono_ns())
        shown = connections_of(up_bed.namespace, 0.0, None)
    for width, at in ((WIDE_COLUMNS - 1, 0), (WIDE_COLUMNS, 2)):
        _, table = columns_and_rows(shown, width)
        assert [str(line[at]).split()[-1] for line in table] == ["helius", "triton"]


def test_watch_as_json_is_every_pair_once(up_bed: Any, spread_ctl: Run) -> None:
    up_bed.quote(0, 1, 99.0, 100.0)
    up_bed.quote(3, 1, 101.0, 102.0)
    code, out, _ = spread_ctl("watch", "--json")
    rows = orjson.loads(out)
    assert code == 0
    assert rows[0]["symbol"] == "BBB-USDT"
    assert rows[0]["gross_bps"] == pytest.approx(100.0)
    assert sorted(row["symbol"] for row in rows) == ["AAA-USDT", "BBB-USDT", "CCC-USDT"]
    assert [row["net_bps"] for row in rows[1:]] == [None, None]
    only = orjson.loads(spread_ctl("watch", "--symbol", "aaa/", "--json")[1])
    assert [row["symbol"] for row in only] == ["AAA-USDT"]


def test_status_exits_with_1_while_a_process_is_degraded(up_bed: Any, spread_ctl: Run) -> None:
    with up_bed.health() as health, health.claim("feed-okx-spot") as row:
        row.beat(ProcessState.DEGRADED, "every subscription is refused: no")
        code, out, _ = spread_ctl("status", "--json")
        assert code == 1
        assert "feed-okx-spot" in orjson.loads(out)["unwell"]
        row.beat(ProcessState.RUNNING, "")
        assert "feed-okx-spot" not in orjson.loads(spread_ctl("status", "--json")[1])["unwell"]


def test_status_names_the_unwell_and_exits_with_1(up_bed: Any, spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("status", "--interval", "0.05", "--json")
    document = orjson.loads(out)
    assert code == 1
    assert not document["ok"]
    assert "spread-engine" in document["unwell"]
    assert document["processes"][0]["p50_us"] is None
    code, out, _ = spread_ctl("status", "--interval", "0.05")
    assert code == 1
    assert "Unwell: feed-" in out


def calm(up_bed: Any) -> None:
    """Nothing is in quarantine any more: what else stands is the test's."""
    made = tables.load(up_bed.settings.generated_dir)
    again = msgspec.structs.replace(made, generation=made.generation + 1, quarantine=())
    publish.publish(up_bed.settings.generated_dir, again, {})


@contextlib.contextmanager
def all_running(up_bed: Any) -> Iterator[dict[str, HealthRow]]:
    """The rows of all that is to run, which have just beaten."""
    with contextlib.ExitStack() as stack:
        health = stack.enter_context(up_bed.health())
        rows = {name: stack.enter_context(health.claim(name)) for name in staying(up_bed.settings)}
        for row in rows.values():
            row.beat(ProcessState.RUNNING)
        yield rows


def test_what_stands_is_the_same_to_status_doctor_and_alerts(
    virtual_clock: VirtualClock, up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each kind that needs nobody who runs, and some of those that do."""
    monkeypatch.setenv("SPREAD_ALERTS__DISK_FREE_MB_MIN", "1e9")
    virtual_clock.advance_ms(2 * DAY_MS)
    virtual_clock.step_wall_ms(-5_000)
    with all_running(up_bed) as rows:
        rows["spread-engine"]._head["version"] = b"0.0.9+0123456789ab"
        rows["feed-okx-spot"].beat(ProcessState.RUNNING, "2 symbols are refused")
        with conditions_of(config.load()) as told:
            alerts = {one.key: one.text for one in told.now() if one.stands_s <= STANDS_S}
        code, out, _ = spread_ctl("status", "--interval", "0.05", "--json")
        status = {one["key"]: one["text"] for one in orjson.loads(out)["conditions"]}
        said = spread_ctl("status", "--interval", "0.05")[1]
        checks = orjson.loads(spread_ctl("doctor", "--offline", "--json")[1])["checks"]
    kinds = {key.partition(":")[0] for key in alerts}
    assert kinds >= {"disk", "clock", "old", "quarantine", "limited", "funding"}, kinds
    assert code == 1
    status.pop("version")  # alerts give a restart half a minute
    assert sorted(status) == sorted(alerts), "and nothing else"
    # Of the disk each says what it saw: others write to it meanwhile.
    assert status.pop("disk").startswith(alerts["disk"].partition(":")[0])
    assert {key: text for key, text in alerts.items() if key != "disk"} == status
    assert "In quarantine: CCC-USDT; spread-ctl tables says why." in said
    shown = {key for key in alerts if f"({key})" in " ".join(said.split())}
    assert shown == set(alerts) - {"quarantine:CCC-USDT"}
    doctor = {one["name"]: one for one in checks}
    assert doctor["data folder"]["result"] == "warn"
    assert {key: doctor[key]["found"] for key in alerts if key != "disk"} == {
        key: text for key, text in alerts.items() if key != "disk"
    }
    assert all(doctor[key]["advice"] for key in alerts if key != "disk")


def test_what_is_short_lived_at_a_start_is_no_condition_of_one_look(
    virtual_clock: VirtualClock, up_bed: Any, spread_ctl: Run
) -> None:
    calm(up_bed)

    def stands() -> list[str]:
        for row in rows.values():
            row.beat()
        out = spread_ctl("status", "--interval", "0.05", "--json")[1]
        return [one["key"] for one in orjson.loads(out)["conditions"]]

    with all_running(up_bed) as rows:
        assert stands() == []
        virtual_clock.advance_ms(31_000)
        assert stands() == [f"stale:{source.label}" for source in EXCHANGE_SOURCES]
        virtual_clock.advance_ms(300_000)
        assert "usual" in stands()


def test_a_first_start_that_learns_is_well_until_it_should_have_learned(
    virtual_clock: VirtualClock, up_bed: Any, spread_ctl: Run
) -> None:
    calm(up_bed)
    virtual_clock.advance_ms(1_000)
    none = np.zeros(1)
    with all_running(up_bed) as rows:

        def learning() -> tuple[bool, bool, bool]:
            for row in rows.values():
                row.beat()
            usual.write(
                usual.path_of(up_bed.settings),
                Usual(1, clock.wall_ns(), 3_600.0, ("a b",), none, none, none),
            )
            out = orjson.loads(spread_ctl("status", "--interval", "0.05", "--json")[1])
            said = "Learning: " in spread_ctl("status", "--interval", "0.05")[1]
            stands = "learning" in [one["key"] for one in out["conditions"]]
            return out["learning"], said, stands

        assert learning() == (True, True, False)
        virtual_clock.advance_ms(400_000)
        assert learning() == (True, True, False)
        virtual_clock.advance_ms(120_000)
        assert learning() == (True, False, True), "said as what is amiss"


def test_status_exits_with_0_when_well_3_when_switched_and_1_whatever_else_is(
    virtual_clock: VirtualClock, up_bed: Any, spread_ctl: Run
) -> None:
    states: dict[str, tuple[ProcessState, str]] = {}  # of those that do not run well

    def told() -> tuple[int, list[str], list[str]]:
        for name, row in rows.items():
            row.beat(*states.get(name, (ProcessState.RUNNING, "")))
        code, out, _ = spread_ctl("status", "--interval", "0.05", "--json")
        document = orjson.loads(out)
        return code, document["starting"], document["unwell"]

    with all_running(up_bed) as rows:
        assert told() == (0, [], []), "though a pair is in quarantine"
        states["spread-engine"] = ProcessState.STARTING, ""
        assert told() == (1, ["spread-engine"], [])
        states.clear()
        for switch, back in (
            (["halt"], ["allow"]),
            (["pause", "AAA-USDT"], ["resume", "AAA-USDT"]),
            (["pause", "feed-okx-spot"], ["resume", "feed-okx-spot"]),
        ):
            spread_ctl(*switch)  # nobody answers: the rows are ours
            assert told() == (3, [], []), switch
            states["spread-tracker"] = ProcessState.DEGRADED, "its disk is full"
            assert told() == (1, [], ["spread-tracker"]), switch
            states.clear()
            spread_ctl(*back)
        assert told() == (0, [], [])
        with up_bed.health() as health, health.claim(DISCOVERY) as row:
            row.beat(ProcessState.RUNNING)
            assert told() == (0, [], []), "it is at work"
        assert told() == (1, [], [DISCOVERY]), "killed: nobody has found pairs"
        with up_bed.health() as health, health.claim(DISCOVERY) as row:
            row.beat(ProcessState.FAILED, "no exchange could be reached")
        assert told() == (1, [], [DISCOVERY])
        with up_bed.health() as health, health.claim(DISCOVERY) as row:
            row.beat(ProcessState.STOPPED, "published generation 2")
        assert told() == (0, [], [])
        spread_ctl("halt")
        assert told() == (3, [], [])
        virtual_clock.advance_ms(2 * DAY_MS)
        assert told() == (1, [], []), "halted, and no full discovery for two days"


@pytest.mark.parametrize("command", ["status", "signals", "shutdown", "reload"])
def test_a_system_that_is_not_up_is_one_line_and_exit_code_4(
    bed: Any, spread_ctl: Run, command: str
) -> None:
    code, out, err = spread_ctl(command)
    assert code == 4
    assert err.count("\n") == 1
    assert err.startswith("spread-ctl: no such segment")
    assert out == ""
    code, out, _ = spread_ctl(command, "--json")
    assert code == 4
    assert orjson.loads(out)["exit_code"] == 4


def test_bad_settings_and_bad_usage_are_exit_code_2(bed: Any, spread_ctl: Run) -> None:
    assert spread_ctl("status", "--frobnicate")[0] == 2
    assert spread_ctl("nonsense")[0] == 2
    (bed.settings.folder / "config.toml").write_text("[system]\nnope = 1\n")
    code, _, err = spread_ctl("status")
    assert code == 2
    assert "nope" in err


def test_every_command_has_help_that_names_the_exit_codes(spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("--help")
    assert code == 0
    for info in app.registered_commands:
        assert re.fullmatch(r"[^\n.]+(\.[^\n ]+)*\.", info.short_help or ""), info.name
    for command in COMMANDS:
        assert command in out
        code, text, _ = spread_ctl(command, "--help")
        assert code == 0
        assert "Exit codes" in text
        assert ("3 done in part" in " ".join(text.split())) == (command != "status")


def test_status_says_why_somebody_is_unwell_on_a_terminal_of_any_width(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch, virtual_clock: VirtualClock
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with (
        up_bed.health() as health,
        health.claim("feed-okx-spot") as refused,
        health.claim("spread-engine") as hung,
    ):
        hung.beat(ProcessState.RUNNING)
        virtual_clock.advance_ms(4_000)
        refused.beat(ProcessState.DEGRADED, "every subscription is refused: no")
        out = spread_ctl("status", "--interval", "0.05")[1]
    assert "feed-okx-spot: every subscription is refused: no" in out
    assert "spread-engine: has not beaten for 4.0 s" in out
    assert "spread-tracker:" not in out, "absent says it all"


def test_settings_are_shown_as_what_may_be_written_whole_at_any_width(
    bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bed.settings.folder
    with (folder / "directions.toml").open("a") as file:
        file.write("[direction.binance-okx]\nenter_bps = 1e-05\nexit_bps = 0\n")
        file.write('[pair."binance-okx:BTC-USDT"]\nenabled = false\n')
    monkeypatch.setenv("SPREAD_EXCHANGES__BINANCE_FUTURES__REST_URL", f"http://{'x' * 60}.test")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = orjson.loads(spread_ctl("settings", "--json")[1])
    code, out, _ = spread_ctl("settings")
    assert code == 0, out
    assert "1e-05" not in out
    parts = re.split(r"^# --- (\w+)\.toml$", out, flags=re.MULTILINE)[1:]
    for file, text in zip(parts[::2], parts[1::2], strict=True):
        written = tomllib.loads(text)
        for section, values in shown[file].items():
            assert written.get(section, {}) == without_none(values), (file, section)


def without_none(node: Any) -> Any:
    """TOML has no word for it."""
    if isinstance(node, dict):
        return {key: without_none(one) for key, one in node.items() if one is not None}
    return node


# --- signals


def _signals(first: int, count: int) -> np.ndarray:
    records = np.zeros(count, SIGNAL_DTYPE)
    records["seq"] = np.arange(first, first + count)
    records["kind"] = 1
    records["net_bps"], records["generation"] = 12.5, 1
    records["flags"] = SIGNAL_MINIMUM_UNKNOWN | SIGNAL_AGED
    return records


def test_signals_prints_the_last_ones_by_name(up_bed: Any, spread_ctl: Run) -> None:
    with SignalRing.attach(up_bed.namespace, "signals") as ring, ring.producer() as producer:
        producer.push_many(_signals(0, 30))
    code, out, _ = spread_ctl("signals", "-n", "3", "--json")
    rows = orjson.loads(out)
    assert code == 0
    assert [row["seq"] for row in rows] == [27, 28, 29]
    assert rows[0]["symbol"] == "AAA-USDT"
    assert rows[0]["kind"] == "enter"
    assert rows[0]["notes"] == ["minimum_unknown", "aged"]
    shown = spread_ctl("signals")[1]
    assert "AAA-USDT" in shown
    assert {line.split()[-1] for line in shown.splitlines() if "AAA-USDT" in line} == {"MA"}


def test_what_followed_on_a_signal_is_a_line_of_its_own(up_bed: Any, spread_ctl: Run) -> None:
    told = np.zeros(1, FOLLOW_UP_DTYPE)
    told["seq"], told["kind"], told["generation"], told["net_bps"] = 1, SignalKind.BOOK, 1, 11.5
    told["size_quote"], told["flags"] = 4_321.0, FOLLOW_UP_BOUNDED | SIGNAL_AGED
    told["rungs"]["size_quote"] = [0.1, 1_000.0] + [np.nan] * 6
    told["rungs"]["net_bps"][0, :2] = [10.5, np.nan]
    told["thin"] = 0b10
    with SignalRing.attach(up_bed.namespace, "signals") as ring, ring.producer() as producer:
        producer.push_many(_signals(0, 1))
        producer.push_many(told.view(SIGNAL_DTYPE))
    signal, row = orjson.loads(spread_ctl("signals", "--json")[1])
    assert (signal["kind"], row["kind"], row["of_seq"]) == ("enter", "book", 0)
    assert (row["symbol"], row["bounded"]) == ("AAA-USDT", True)
    sizes = [(one["size_quote"], one["net_bps"], one["too_thin"]) for one in row["sizes"]]
    assert sizes == [(0.1, 10.5, False), (1_000.0, None, True)]
    (line,) = (one for one in spread_ctl("signals")[1].splitlines() if " book " in one[:16])
    assert line.split()[2] == "AAA-USDT"
    assert {"11.5", "4,321", "AD"} <= set(line.split())


def test_a_symbol_id_is_named_as_it_was_when_it_was_written_down(
    up_bed: Any, spread_ctl: Run
) -> None:
    """It left the tables, and was given to another coin later."""
    made = tables.load(up_bed.settings.generated_dir)
    other = msgspec.structs.replace(made.symbols[0], symbol="NEW-USDT", base="NEW")
    now = msgspec.structs.replace(made, generation=2, symbols=(other, *made.symbols[1:]))
    publish.publish(up_bed.settings.generated_dir, now, {})
    signals = _signals(0, 3)
    signals["generation"] = [1, 2, 9]
    with SignalRing.attach(up_bed.namespace, "signals") as ring, ring.producer() as producer:
        producer.push_many(signals)
    rows = orjson.loads(spread_ctl("signals", "--json")[1])
    assert [row["symbol"] for row in rows] == ["AAA-USDT", "NEW-USDT", "#0"]
    for generation in (1, 2, 9):
        _keep(up_bed, Verdict.FEE, symbol_id=0, gross_bps=generation, generation=generation)
    (mine,) = orjson.loads(spread_ctl("why", "NEW-USDT", "--json")[1])["evaluations"]
    assert mine["gross_bps"] == 2.0


# --- why


def _keep(bed: Any, verdict: Verdict, **values: float) -> None:
    with PriceStore.attach(bed.namespace) as store:
        now_ns = store.clock.now_ns()
    row = np.zeros(1, EVALUATION_DTYPE)
    row["ts_engine"], row["verdict"], row["count"] = now_ns, verdict, 3
    row["generation"] = 1  # of the bed's tables
    for name, value in values.items():
        row[name] = value
    with Evaluations.attach(bed.namespace) as kept, kept.writer() as writer:
        writer.append(row)


def test_why_shows_the_waterfall_and_the_verdict(up_bed: Any, spread_ctl: Run) -> None:
    _keep(up_bed, Verdict.FEE, symbol_id=1, gross_bps=30, fees_bps=20, net_bps=10, enter_bps=15)
    code, out, _ = spread_ctl("why", "bbb/usdt")
    assert code == 0
    assert "gross stands over the threshold" in out
    assert "5.00 short of the 15.00" in out
    code, out, _ = spread_ctl("why", "BBB-USDT", "--json")
    one = orjson.loads(out)["evaluations"][0]
    assert (one["verdict"], one["gross_bps"], one["count"]) == ("fee", 30.0, 3)


def test_why_says_what_a_signal_would_have_said_besides(up_bed: Any, spread_ctl: Run) -> None:
    flags = SIGNAL_MINIMUM_UNKNOWN | EVALUATION_FUT_ALONE
    _keep(up_bed, Verdict.IMPLAUSIBLE, symbol_id=1, gross_bps=400, flags=flags)
    code, out, _ = spread_ctl("why", "BBB-USDT")
    assert code == 0
    assert "no signal: a leg stands alone" in out
    assert "fut is alone among the sources of its coin" in out
    assert "a listing tells no minimum order" in out
    one = orjson.loads(spread_ctl("why", "BBB-USDT", "--json")[1])["evaluations"][0]
    assert (one["alone"], one["notes"]) == (["fut"], ["minimum_unknown"])


def test_why_shows_what_z_was_asked_for(up_bed: Any, spread_ctl: Run) -> None:
    asked = {"symbol_id": 1, "gross_bps": 30, "z_min": 2.0}
    _keep(up_bed, Verdict.NO_Z, **asked, z=1.25, z_mean_bps=5, z_deviation_bps=20)
    out = spread_ctl("why", "BBB-USDT")[1]
    assert "no signal: gross is not far enough above its mean" in out
    assert "z             1.25  at least 2.00 (spread-ctl analysis)\n" in out
    assert "  gross usually stands at 5.00, deviation 20.00\n" in out
    nothing = math.nan
    _keep(up_bed, Verdict.NO_Z, **asked, z=nothing, z_mean_bps=nothing, z_deviation_bps=nothing)
    assert "gross has no known mean" in spread_ctl("why", "BBB-USDT")[1]
    (newest, _) = orjson.loads(spread_ctl("why", "BBB-USDT", "--json")[1])["evaluations"]
    assert (newest["verdict"], newest["z"], newest["z_min"]) == ("no_z", None, 2.0)
    _keep(up_bed, Verdict.SIGNAL, **(asked | {"z_min": nothing}))
    assert "deviation" not in spread_ctl("why", "BBB-USDT", "--last", "1")[1]


def test_why_shows_what_was_told_of_funding_and_why_it_is_not_used(
    up_bed: Any, spread_ctl: Run
) -> None:
    nothing = "funding bybit-futures: never told"
    assert nothing in spread_ctl("why", "BBB-USDT")[1]
    now_ns = clock.wall_ns()
    row = FundingNow(
        *(-1.25e-4, 0.02, -0.02, 4.0, now_ns + 5_425 * 10**9, now_ns - 60 * 10**9, 0),
        listing_of("BBBUSDT"),
        1,
    )
    with FundingTable.attach(up_bed.namespace) as table, table.writer() as writer:
        writer.write(3, 1, row)
        writer.write(3, 0, row._replace(rate=0.03, listing=listing_of("AAAUSDT")))
    out = spread_ctl("why", "BBB-USDT")[1]
    assert "funding bybit-futures: -0.0125% per 4 h, at most 2.000%, settled in 90 min" in out
    assert re.search(r"told (\d+ s|2 min) ago", out)  # 60, and as long as the command took to start
    (told,) = orjson.loads(spread_ctl("why", "BBB-USDT", "--json")[1])["funding"]
    assert (told["source"], told["symbol"], told["rate"]) == ("bybit-futures", "BBB-USDT", -1.25e-4)
    assert (told["unknown"], told["interval_h"]) == ("", 4.0)
    assert "not used: beyond the contract's own cap" in spread_ctl("why", "AAA-USDT")[1]
    other = spread_ctl("why", "AAA-USDT", "--direction", "binance-okx", "--json")[1]
    assert orjson.loads(other)["funding"] == []


def test_why_shows_the_rate_that_counts_before_any_was_told(up_bed: Any) -> None:
    loaded = tables.load(up_bed.settings.generated_dir)
    noted = msgspec.structs.replace(loaded, funding=(FundingRow(3, 1, 1e-4, 8.0),))
    (one,) = funding.of_symbol(up_bed.settings, noted, 1, SOURCE_BY_LABEL["bybit-futures"])
    assert (one.rate, one.interval_h, one.age_s) == (1e-4, 8.0, None)
    assert (one.noted, one.unknown) == (True, "")
    said = why.lines(Explanation("BBB-USDT", "", [], [], [], [], [], [one]))
    assert any(
        "+0.0100% per 8 h, not told yet, as the last discovery saw it" in str(x) for x in said
    )


@pytest.mark.parametrize(
    ("next_in_s", "age_s", "line"),
    [
        (10.0, 200.0, "settled in 0 min, told 3 min ago"),
        (-10.0, -0.1, "settled 10 s ago, told 0 s ago"),
        (-200.0, -7_300.0, "settled 3 min ago, told 2 h ahead of this clock"),
    ],
)
def test_why_says_nothing_of_funding_with_a_minus(
    next_in_s: float, age_s: float, line: str
) -> None:
    """A rate that rounds to nothing, a settlement that has passed, a clock that was set back."""
    told = FundingView(
        *("okx-futures", "AAA-USDT", -4e-7, None, None, 8.0, 1, next_in_s, age_s),
        noted=False,
        unknown="",
    )
    said = why.lines(Explanation("AAA-USDT", "", [], [], [], [], [], [told]))
    assert any(f"+0.0000% per 8 h, {line}" in str(one) for one in said)


def test_why_tells_quarantine_and_silence(up_bed: Any, spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("why", "CCC-USDT")
    assert code == 0
    assert "prices differ by 40 %" in out
    assert "no evaluation over a threshold is kept" in out
    assert "no quotes yet" in out
    told = orjson.loads(spread_ctl("why", "CCC-USDT", "--json")[1])
    assert told["meaning"] == "no evaluation over a threshold is kept"
    assert {one["meaning"] for one in told["standing"]} == {"no quotes yet"}
    assert [one["direction"] for one in told["standing"]] == [
        one["direction"] for one in told["now"]
    ]


def test_why_tells_that_a_pair_is_blocked_and_since_when(up_bed: Any, spread_ctl: Run) -> None:
    path, wall_ns = blocked.path_of(up_bed.settings), clock.wall_ns() - 60 * 10**9
    blocked.write(path, {"a b": KeptBlock("binance-bybit", "AAA-USDT", 15_000.0, wall_ns, 1)})
    _keep(up_bed, Verdict.BLOCKED, symbol_id=0, gross_bps=30, net_bps=30, enter_bps=15)
    out = spread_ctl("why", "AAA-USDT")[1]
    assert "waits to be judged anew" in out
    assert "Blocked in binance-bybit" in out
    assert "15,000 bps" in out
    (one,) = orjson.loads(spread_ctl("why", "AAA-USDT", "--json")[1])["blocked"]
    assert (one["direction"], one["gross_bps"]) == ("binance-bybit", 15_000.0)
    assert one["age_s"] >= 60
    assert orjson.loads(spread_ctl("why", "BBB-USDT", "--json")[1])["blocked"] == []
    other = spread_ctl("why", "AAA-USDT", "--direction", "binance-okx", "--json")[1]
    assert orjson.loads(other)["blocked"] == []
    path.write_bytes(b"nonsense")
    assert spread_ctl("why", "AAA-USDT")[0] == 0


def test_status_names_the_pairs_that_are_blocked(up_bed: Any, spread_ctl: Run) -> None:
    path = blocked.path_of(up_bed.settings)
    kept = KeptBlock("binance-bybit", "AAA-USDT", 15_000.0, clock.wall_ns(), 1)
    blocked.write(path, {"a b": kept})
    out = " ".join(spread_ctl("status")[1].split())
    assert "AAA-USDT: stayed apart, binance-bybit 15,000 bps: blocked until discovery" in out
    (one,) = orjson.loads(spread_ctl("status", "--json")[1])["blocked"]
    assert (one["symbol"], one["direction"]) == ("AAA-USDT", "binance-bybit")


def test_why_says_that_a_leg_has_left_its_level(up_bed: Any, spread_ctl: Run) -> None:
    flags = int(QuoteFlag.JUMPED | QuoteFlag.NO_TS_EVENT)
    _keep(up_bed, Verdict.IMPLAUSIBLE, symbol_id=0, gross_bps=400, spot_flags=flags)
    out = spread_ctl("why", "AAA-USDT")[1]
    assert "a leg has left its price level" in out
    assert "spot is without a time of its exchange, jumped" in out


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("why AAA-USDC", "AAA-USDT"),
        ("why aaausdt", "AAA-USDT"),
        ("pause AAAUSDT", "AAA-USDT"),
        ("pause okx", "okx-binance, okx-bybit, okx-futures, okx-mexc, okx-spot"),
        ("resume spread-engin", "spread-engine, spread-tracker"),
        ("costs --symbol AAA/USDC", "AAA-USDT"),
        ("book /", "AAA-USDT, BBB-USDT, CCC-USDT"),
    ],
)
def test_what_an_unknown_name_may_have_meant_is_said(
    up_bed: Any, spread_ctl: Run, line: str, meant: str
) -> None:
    code, _, err = spread_ctl(*line.split())
    assert code == 1
    assert f"near='{meant}'" in err


# --- opportunities, decode, clean, doctor


def test_decode_prints_quotes_and_counts_what_it_skipped(tmp_path: Path, spread_ctl: Run) -> None:
    frames = tmp_path / "frames.jsonl"
    frames.write_text(
        '{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1.5","B":"2","a":"1.6",'
        '"A":"3"}}\nnonsense\n'
    )
    code, out, err = spread_ctl("decode", "--source", "binance-spot", str(frames))
    assert code == 0
    assert orjson.loads(out)["bid_px"] == 1.5
    assert "1 quote;" in err
    assert "bad message" in err
    assert spread_ctl("decode", "--source", "nowhere", str(frames))[0] == 2
    code, _, err = spread_ctl("decode", "--source", "binance-spot", str(tmp_path / "missing"))
    assert code == 1
    assert "missing" in err


def test_clean_keeps_what_somebody_holds(up_bed: Any, spread_ctl: Run) -> None:
    made = segment.names(up_bed.namespace)
    assert len(made) > 10
    with PriceStore.attach(up_bed.namespace):
        code, out, _ = spread_ctl("clean", "--json")
        assert code == 1
        assert sorted(orjson.loads(out)["kept"]) == sorted(made)
    code, out, _ = spread_ctl("clean", "--json")
    assert code == 0
    assert sorted(orjson.loads(out)["removed"]) == sorted(made)
    assert "Nothing of" in spread_ctl("clean")[1]


def test_a_ban_outlives_clean_and_down(up_bed: Any, spread_ctl: Run) -> None:
    """Asking an exchange before its end would prolong it, whoever has restarted what."""
    with contextlib.closing(Dials.open(up_bed.namespace)) as dials:
        now_ns = clock.mono_ns()
        dials.slot("okx ws.test direct").ban(now_ns, now_ns + 3_600 * clock.NS_PER_S, 418)
    for command in (["clean"], ["down"]):
        spread_ctl(*command)
        assert segment.names(up_bed.namespace) == [f"/{up_bed.namespace}.dials"]
        up_bed.make_segments()
    with contextlib.closing(Dials.open(up_bed.namespace)) as dials:
        assert dials.slot("okx ws.test direct").banned(clock.mono_ns())[1] == 418


def test_doctor_finds_unreachable_exchanges_and_says_what_to_do(bed: Any, spread_ctl: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = taken.getsockname()[1]
        path = bed.settings.folder / "exchanges.toml"
        path.write_text(path.read_text().replace("127.0.0.1:1", f"127.0.0.1:{port}"))
        code, out, _ = spread_ctl("doctor", "--json")
    document = orjson.loads(out)
    assert code == 1
    assert len([name for name in document["failed"] if name.endswith("REST")]) == 8
    assert len([name for name in document["failed"] if name.endswith("websocket")]) == 8
    by_name = {check["name"]: check for check in document["checks"]}
    assert by_name["pairs"]["result"] == "warn"
    assert "discover" in by_name["pairs"]["advice"]
    assert all(check["advice"] for check in document["checks"] if check["result"] != "ok")


def test_doctor_offline_passes_on_this_machine_and_fails_on_bad_settings(
    up_bed: Any, spread_ctl: Run
) -> None:
    code, out, _ = spread_ctl("doctor", "--offline")
    assert code == 0, out
    (up_bed.settings.folder / "config.toml").write_text("[system]\nnope = 1\n")
    code, out, _ = spread_ctl("doctor", "--offline")
    assert code == 1
    assert "nope" in out


def test_kill_loads_no_screen_library() -> None:
    """An emergency stop must not wait for textual, httpx or the live screen to load."""
    import subprocess

    heavy = ("textual", "httpx", "rich.live", "websockets", "uvloop")
    code = (
        "import sys; from spread_scanner.cli import main; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
