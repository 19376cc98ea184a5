"""Each condition, caused for real: by segments, files and a clock that is set."""

import contextlib
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import structlog
from alerts_bed import conditions_of
from database_bed import store as store_row

from bed import until
from spread_scanner import clock, config
from spread_scanner.alerts.conditions import Conditions
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import Settings
from spread_scanner.discovery import main as discovery
from spread_scanner.discovery.asking import Options
from spread_scanner.discovery.outcome import states_of
from spread_scanner.discovery.report import OK
from spread_scanner.discovery.validate import Validation
from spread_scanner.engine.core import Engine
from spread_scanner.engine.keeping import blocks_keeper
from spread_scanner.schema.counters import FEED_COUNTERS, POOL_COUNTERS, TRACKER_COUNTERS
from spread_scanner.schema.enums import (
    SOURCE_BY_LABEL,
    UNUSABLE,
    ProcessState,
    QuoteFlag,
    ReloadOutcome,
    SwitchKind,
)
from spread_scanner.schema.names import (
    CYCLES_FILE,
    DATABASE_FILE,
    DISCOVERY,
    ENGINE,
    FEED_SOLANA,
    TRACKER,
)
from spread_scanner.shm import Control, PriceStore, switches
from spread_scanner.symbology import blocked, publish, tables, usual
from spread_scanner.symbology.blocked import KeptBlock
from spread_scanner.symbology.usual import Usual
from spread_scanner.tracker.main import Tally
from spread_scanner.tracker.reporter import Reporter
from spread_scanner.view import disk, status
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.conditions.disk import of_disk
from spread_scanner.view.conditions.market import KEPT_S

DAY_MS = 86_400_000
SOURCE = SOURCE_BY_LABEL["okx-spot"]


@pytest.fixture
def moved(virtual_clock: VirtualClock, up_bed: Any) -> VirtualClock:
    """The clock of segments that were made on it; a heartbeat at its zero would be none."""
    virtual_clock.advance_ms(1_000)
    return virtual_clock


@pytest.fixture
def watch(moved: VirtualClock, up_bed: Any) -> Iterator[Conditions]:
    with conditions_of(up_bed.settings) as made:
        yield made


def found(watch: Conditions, key: str) -> Condition | None:
    return next((one for one in watch.now() if one.key == key), None)


def text(watch: Conditions, key: str) -> str:
    condition = found(watch, key)
    assert condition is not None, [one.key for one in watch.now()]
    return condition.text


def changed(settings: Settings, section: str, **values: object) -> Settings:
    """The same settings with other values of one section."""
    new = msgspec.structs.replace(getattr(settings.config, section), **values)
    made = msgspec.structs.replace(settings.config, **{section: new})
    return msgspec.structs.replace(settings, config=made)


def test_what_never_came_up_is_down_and_what_is_still_coming_is_not(
    watch: Conditions, up_bed: Any
) -> None:
    assert text(watch, "down:spread-engine") == "spread-engine is down: it has never come up"
    with up_bed.health() as health, health.claim(ENGINE):
        assert found(watch, "down:spread-engine") is None, "it is starting"


@pytest.mark.parametrize(
    ("state", "key"),
    [
        (ProcessState.RUNNING, "down"),
        (ProcessState.FAILED, "down"),
        (ProcessState.STOPPED, ""),
    ],
)
def test_who_has_gone_is_down_unless_it_was_asked_to(
    watch: Conditions, up_bed: Any, state: ProcessState, key: str
) -> None:
    with up_bed.health() as health, health.claim(ENGINE) as row:
        row.beat(state)
    keys = [one.key for one in watch.now() if one.key.endswith(":spread-engine")]
    assert keys == ([f"{key}:spread-engine"] if key else [])


def test_who_hangs_or_is_degraded_is_named(
    watch: Conditions, up_bed: Any, moved: VirtualClock
) -> None:
    with up_bed.health() as health, health.claim(ENGINE) as row:
        row.beat(ProcessState.DEGRADED, "half of it fails")
        assert text(watch, "degraded:spread-engine") == "spread-engine: half of it fails"
        moved.advance_ms(60_000)
        assert text(watch, "hung:spread-engine") == "spread-engine has not beaten for 60.0 s"


def test_what_an_exchange_has_announced_and_what_a_feed_has_to_say_is_told(
    watch: Conditions, up_bed: Any
) -> None:
    ids = {counter.label: counter.counter_id for counter in FEED_COUNTERS}
    feed = SOURCE.process
    with up_bed.health() as health, health.claim(feed) as row:
        row.beat(ProcessState.RUNNING, "2 symbols are refused")
        assert text(watch, f"limited:{feed}") == f"{feed}: 2 symbols are refused"
        row.beat(ProcessState.RUNNING, "")
        assert found(watch, f"limited:{feed}") is None
        for label, said in (("halted", "3 listings are halted"), ("maintenance", "maintenance")):
            assert found(watch, f"{label}:{feed}") is None
            row.set(ids[label], 3)
            assert said in text(watch, f"{label}:{feed}")
            row.set(ids[label], 0)
            assert found(watch, f"{label}:{feed}") is None


def test_a_provider_of_pools_that_is_banned_is_told_though_others_stand_for_it(
    watch: Conditions, up_bed: Any
) -> None:
    """Its feed runs and has every pool; how all fare it always says."""
    (amiss,) = (one for one in POOL_COUNTERS if one.label == "providers_amiss")
    said = "16 of 16 pools; a: 429 too many requests, nobody dials for 90 s more; b 100% first"
    with up_bed.health() as health, health.claim(FEED_SOLANA) as row:
        row.beat(ProcessState.RUNNING, said)
        assert found(watch, "limited:feed-solana") is None
        row.set(amiss.counter_id, 1)
        assert text(watch, "limited:feed-solana") == f"feed-solana: {said}"
        row.beat(ProcessState.PAUSED, said)
        assert found(watch, "limited:feed-solana") is None


def test_pools_that_are_refused_are_told(
    watch: Conditions, up_bed: Any, spread_ctl: Callable[..., tuple[int, str, str]]
) -> None:
    ids = {counter.label: counter.counter_id for counter in POOL_COUNTERS}
    with up_bed.health() as health, health.claim(FEED_SOLANA) as row:
        row.beat(ProcessState.RUNNING)
        row.set(ids["pools"], 16)
        assert found(watch, "refused:pools") is None
        row.set(ids["pools_refused"], 2)
        said = "2 of 16 pools are refused; spread-ctl pools says why"
        assert text(watch, "refused:pools") == said
        code, out, _ = spread_ctl("status")
        assert (code, said in out) == (1, True)
    assert found(watch, "refused:pools") is None, "nobody reads them"


def test_a_report_that_failed_is_told_until_one_is_written_or_none_is_wanted(
    watch: Conditions, up_bed: Any, moved: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the tracker starts them under `up`; their process ends as it is told to."""
    (ending := up_bed.folder / "ending").write_text("#!/bin/sh\nexit 1\n")
    ending.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(ending))
    settings = changed(up_bed.settings, "spread_tracker", report_every_s=60.0)
    with up_bed.health() as health, health.claim(TRACKER) as row:
        row.beat(ProcessState.RUNNING)
        tally = Tally(row, simulated=True)
        reporter = Reporter(settings, settings.data_dir / DATABASE_FILE, tally)

        def report() -> None:
            before = dict(tally.totals)
            moved.advance_ms(60_000)
            row.beat()

            def ended() -> bool:
                moved.advance_ms(500)
                reporter.poll()
                return tally.totals != before

            until(ended)

        assert found(watch, "failed:spread-report") is None
        report()
        told = found(watch, "failed:spread-report")
        assert told is not None
        assert told.patient
        watch.take(changed(up_bed.settings, "spread_tracker", report_every_s=0.0))
        assert found(watch, "failed:spread-report") is None, "none is wanted"
        watch.take(up_bed.settings)
        ending.write_text("#!/bin/sh\nexit 0\n")
        report()
        assert found(watch, "failed:spread-report") is None
        ending.unlink()
        report()
        assert found(watch, "failed:spread-report") is not None, "none could even be begun"
        monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
        Reporter(settings, settings.data_dir / DATABASE_FILE, tally)
        assert found(watch, "failed:spread-report") is None, "a timer's unit tells of its own"


def quoted(up_bed: Any, flag: QuoteFlag, marked: int) -> None:
    """Four quotes of a feed that beats, of which some are marked."""
    with (
        PriceStore.attach(up_bed.namespace) as store,
        store.writer(SOURCE.source_id) as writer,
    ):
        now_ns = store.clock.now_ns()
        for symbol_id in range(4):
            writer.write(symbol_id, 1.0, 1.0, 2.0, 1.0, now_ns, now_ns, 1)
        writer.mark_stale(np.arange(marked, dtype=np.uint16), int(flag))
        writer.heartbeat(clock.mono_ns())


@pytest.mark.parametrize("flag", list(UNUSABLE))
def test_a_source_is_told_of_when_more_than_half_of_it_cannot_be_used(
    watch: Conditions, up_bed: Any, flag: QuoteFlag
) -> None:
    """Whatever the reason: one definition for the engine, the tracker and whoever is told."""
    with up_bed.health() as health, health.claim(SOURCE.process) as row:
        row.beat(ProcessState.RUNNING)
        assert text(watch, "stale:okx-spot") == "okx-spot has no quotes"
        quoted(up_bed, flag, 3)
        assert text(watch, "stale:okx-spot") == "okx-spot: 75% of 4 quotes cannot be stood behind"


@pytest.mark.parametrize(("flag", "marked"), [(QuoteFlag.JUMPED, 2), (QuoteFlag.OVERDUE, 4)])
def test_half_of_it_or_what_can_be_used_is_nothing_to_tell(
    watch: Conditions, up_bed: Any, flag: QuoteFlag, marked: int
) -> None:
    with up_bed.health() as health, health.claim(SOURCE.process) as row:
        row.beat(ProcessState.RUNNING)
        quoted(up_bed, flag, marked)
        assert found(watch, "stale:okx-spot") is None


def test_a_source_that_is_paused_or_whose_feed_hangs_is_not_stale_besides(
    watch: Conditions, up_bed: Any, moved: VirtualClock
) -> None:
    with (
        Control.attach(up_bed.namespace) as control,
        control.operator() as operator,
        up_bed.health() as health,
        health.claim(SOURCE.process) as row,
    ):
        row.beat(ProcessState.RUNNING)
        quoted(up_bed, QuoteFlag.STALE, 4)
        assert found(watch, "stale:okx-spot") is not None
        operator.switch(SwitchKind.SOURCE, SOURCE.label)
        assert found(watch, "stale:okx-spot") is None
        operator.switch(SwitchKind.SOURCE, SOURCE.label, on=False)
        moved.advance_ms(60_000)
        assert [one.key for one in watch.now() if "okx-spot" in one.key] == ["hung:feed-okx-spot"]


def test_a_discovery_that_failed_is_told_until_one_is_well(
    watch: Conditions, up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"failed:{DISCOVERY}"
    assert found(watch, key) is None
    # Answers that are not there: nobody can be reached.
    (nothing := up_bed.folder / "answers").mkdir()
    assert discovery._run(Options(nothing, validate=False), as_json=False) == 1
    assert "the old tables stay in force" in text(watch, key)
    with up_bed.health() as health:
        with health.claim(DISCOVERY) as row:
            row.beat(ProcessState.RUNNING)
            assert found(watch, key) is not None, "nobody knows better yet"
            row.beat(ProcessState.STOPPED, "published generation 2")
        assert found(watch, key) is None
        with health.claim(DISCOVERY) as row:
            row.beat(ProcessState.RUNNING)
        assert "killed in the middle" in text(watch, key)


def test_tables_that_nobody_has_judged_for_a_day_are_old_whatever_was_added(
    watch: Conditions, up_bed: Any, moved: VirtualClock
) -> None:
    moved.advance_ms(DAY_MS - 1_000)
    assert found(watch, "old:tables") is None
    made = tables.load(up_bed.settings.generated_dir)
    looked = msgspec.structs.replace(
        made,
        generation=made.generation + 1,
        created_wall_ns=clock.wall_ns(),
        judged_in=made.judgement,
        judged_wall_ns=made.judgement_wall_ns,
    )
    publish.publish(up_bed.settings.generated_dir, looked, {}, added=["NEW-USDT (okx-mexc)"])
    moved.advance_ms(2_000)
    assert text(watch, "old:tables").startswith("no full discovery for 1.0 days")
    whole = msgspec.structs.replace(
        looked, generation=made.generation + 2, created_wall_ns=clock.wall_ns(), judged_wall_ns=0
    )
    publish.publish(up_bed.settings.generated_dir, whole, {})
    assert found(watch, "old:tables") is None


def test_a_discovery_that_meets_another_one_has_not_failed(
    watch: Conditions, up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "LOOK_S_MAX", 0.0)  # who waits for two minutes waits a test out
    (nothing := up_bed.folder / "answers").mkdir()
    with publish.exclusive(up_bed.settings.generated_dir):
        assert discovery._run(Options(nothing, validate=False), as_json=False) == 1
    assert found(watch, f"failed:{DISCOVERY}") is None


def test_an_exchange_that_discovery_did_not_reach_is_told_and_one_that_is_disabled_not(
    watch: Conditions, up_bed: Any
) -> None:
    """In discovery's own words: `enabled = false` is what is advised."""
    made = tables.load(up_bed.settings.generated_dir)
    again = msgspec.structs.replace(made, generation=2)
    away = "away, 3 last known listings kept: HTTP 451"
    exchanges = dict(up_bed.settings.exchanges)
    exchanges["mexc-futures"] = msgspec.structs.replace(exchanges["mexc-futures"], enabled=False)
    settings = msgspec.structs.replace(up_bed.settings, exchanges=exchanges)
    of_nobody = states_of(settings, [], made, Validation({}, [], {}), {})
    assert list(of_nobody) == ["mexc-futures"]
    states = {"okx-spot": away, "mexc-spot": OK, **of_nobody}
    publish.publish(up_bed.settings.generated_dir, again, {}, states)
    told = [one.text for one in watch.now() if one.key.startswith("away:")]
    assert len(told) == 1
    assert f"okx-spot is {away}; enabled = false" in told[0]


def switched_off(settings: Settings, *sources: str) -> Settings:
    """As exchanges.toml says `enabled = false` of them, read from it."""
    path = settings.folder / "exchanges.toml"
    written = path.read_text()
    for source in sources:
        head = f"[{source}]\n"
        assert written.count(head) == 1
        written = written.replace(f"{head}enabled = true\n", head)
        written = written.replace(head, f"{head}enabled = false\n")
    path.write_text(written)
    return config.load(settings.folder, {})


def test_what_is_switched_off_since_is_told_no_more(watch: Conditions, up_bed: Any) -> None:
    """By a reload, while the tables, the file of what is blocked and a dead row are of before."""
    made = tables.load(up_bed.settings.generated_dir)
    again = msgspec.structs.replace(made, generation=2)
    states = dict.fromkeys(("binance-spot", "bybit-futures", "okx-spot"), "away: HTTP 451")
    publish.publish(up_bed.settings.generated_dir, again, {}, states)
    block = KeptBlock("binance-bybit", "AAA-USDT", 5_000.0, clock.wall_ns(), 1)
    blocked.write(blocked.path_of(up_bed.settings), {"a": block})
    feed = SOURCE_BY_LABEL["binance-spot"].process
    with up_bed.health() as health, health.claim(feed) as row:
        row.beat(ProcessState.RUNNING)

    def told() -> set[str]:
        mine = ("away", "blocked", "quarantine", f"down:{feed}")
        return {one.key for one in watch.now() if one.key.startswith(mine)}

    of_pairs = {"blocked:AAA-USDT", "quarantine:CCC-USDT"}
    of_source = {"away:binance-spot", f"down:{feed}", *of_pairs}
    others = {"away:bybit-futures", "away:okx-spot"}
    assert told() == of_source | others
    watch.take(switched_off(up_bed.settings, "binance-spot"))
    assert told() == others
    watch.take(switched_off(up_bed.settings, "bybit-futures", "okx-spot"))
    assert told() == set()
    watch.take(up_bed.settings)
    assert told() == of_source | others, "they are switched on again"
    ways = up_bed.settings.directions
    ways = msgspec.structs.replace(
        ways, defaults=msgspec.structs.replace(ways.defaults, enabled=False)
    )
    watch.take(msgspec.structs.replace(up_bed.settings, directions=ways))
    assert told() == of_source - of_pairs | others


def test_a_pair_in_quarantine_is_told_while_it_is(watch: Conditions, up_bed: Any) -> None:
    key = "quarantine:CCC-USDT"
    condition = found(watch, key)
    assert condition is not None
    assert condition.patient
    assert "prices differ by 40 %" in condition.text
    made = tables.load(up_bed.settings.generated_dir)
    publish.publish(
        up_bed.settings.generated_dir,
        msgspec.structs.replace(made, generation=2, quarantine=()),
        {},
    )
    assert found(watch, key) is None


def test_a_halt_or_pause_that_stands_longer_than_a_day_is_told(
    watch: Conditions, up_bed: Any, moved: VirtualClock
) -> None:
    def switched() -> list[str]:
        return [one.key for one in watch.now() if one.key.startswith("switched:")]

    with Control.attach(up_bed.namespace) as control, control.operator() as operator:
        operator.kill()
        operator.switch(SwitchKind.SYMBOL, "BTC-USDT")
        moved.advance_ms(DAY_MS)
        assert switched() == []
        moved.advance_ms(1_000)
        assert switched() == ["switched:halt:", "switched:symbol:BTC-USDT"]
        operator.kill(killed=False)
        assert switched() == ["switched:symbol:BTC-USDT"]


def test_a_switch_of_unknown_age_counts_from_when_it_was_seen_first(
    watch: Conditions, up_bed: Any, moved: VirtualClock
) -> None:
    """Whoever gave the order was killed between the level and the record."""

    def told() -> list[str]:
        return [one.text for one in watch.now() if one.key.startswith("switched:")]

    with Control.attach(up_bed.namespace) as control, control.operator() as operator:
        moved.advance_ms(2 * DAY_MS)
        operator.kill()
        switches.drop(operator._held, SwitchKind.HALT, "")
        assert told() == []
        moved.advance_ms(DAY_MS)
        assert told() == []
        moved.advance_ms(1_000)
        assert told() == ["halted for 1.0 days at least, by somebody"]
        operator.kill(killed=False)
        assert told() == []
        operator.kill()
        switches.drop(operator._held, SwitchKind.HALT, "")
        assert told() == [], "another one"


def test_a_wall_clock_that_was_set_is_told(watch: Conditions, moved: VirtualClock) -> None:
    moved.suspend_ms(3_600_000)
    moved.step_wall_ms(-1_900)
    assert found(watch, "clock") is None
    moved.step_wall_ms(-300)
    assert "-2.2 s" in text(watch, "clock")


def test_a_process_of_another_version_is_named(watch: Conditions, up_bed: Any) -> None:
    with up_bed.health() as health, health.claim(ENGINE) as row:
        assert found(watch, "version") is None
        row._head["version"] = b"0.0.9+0123456789ab"  # as the process of another wheel says
        assert "0.0.9+0123456789ab runs in spread-engine: restart" in text(watch, "version")


def test_a_reload_that_was_refused_is_told_mixed_or_not(watch: Conditions, up_bed: Any) -> None:
    before, after = 7 << 56, 8 << 56  # digests of settings
    with (
        up_bed.health() as health,
        health.claim(ENGINE),
        health.claim("spread-tracker"),
        Control.attach(up_bed.namespace) as control,
        control.claim(ENGINE) as engine,
        control.claim("spread-tracker") as tracker,
    ):
        engine.answer(1, ReloadOutcome.APPLIED, before)
        tracker.answer(1, ReloadOutcome.APPLIED, before)
        assert found(watch, "mixed") is None
        engine.answer(2, ReloadOutcome.REFUSED, before, "no such channel")
        assert "spread-engine refused: no such channel" in text(watch, "mixed")
        tracker.answer(2, ReloadOutcome.APPLIED, after)
        assert "different settings" in text(watch, "mixed")
        assert text(watch, "mixed").count("no such channel") == 1
        engine.answer(3, ReloadOutcome.APPLIED, after)
        assert found(watch, "mixed") is None


def test_what_is_usual_and_was_not_kept_for_a_half_life_is_told(
    watch: Conditions, up_bed: Any
) -> None:
    path, one = usual.path_of(up_bed.settings), np.ones(1)

    def keep(age_s: float) -> None:
        wall_ns = clock.wall_ns() - int(age_s * NS_PER_S)
        usual.write(path, Usual(1, wall_ns, 3_600.0, ("a b",), one, one, one))

    assert found(watch, "usual") is None, "nobody runs"
    with up_bed.health() as health, health.claim(ENGINE) as row:
        row.beat(ProcessState.RUNNING)
        missing = found(watch, "usual")
        assert missing is not None
        assert missing.stands_s == 300.0
        keep(0)
        assert found(watch, "usual") is None
        keep(3_000)
        assert found(watch, "usual") is None
        keep(3_700)
        assert "1.0 h ago" in text(watch, "usual")
        keep(-3_000)
        assert found(watch, "usual") is None
        keep(-3_700)
        assert "1.0 h ahead" in text(watch, "usual"), "the clock was set back: it counts for nobody"


def test_nothing_learned_when_it_should_be_is_told_as_nothing_is_signalled(
    watch: Conditions, up_bed: Any
) -> None:
    path, one = usual.path_of(up_bed.settings), np.ones(2)

    def keep(*weights: float) -> None:
        made = Usual(1, clock.wall_ns(), 3_600.0, ("a b", "a c"), np.array(weights), one, one)
        usual.write(path, made)

    keep(1.0, 0.0)
    assert found(watch, "learning") is None, "nobody runs"
    with up_bed.health() as health, health.claim(ENGINE) as row:
        row.beat(ProcessState.RUNNING)
        learning = found(watch, "learning")
        assert learning is not None
        assert learning.stands_s == pytest.approx(300 + KEPT_S, abs=1), "that it learns is well"
        watch.take(changed(up_bed.settings, "spread_engine", signal_basis_unknown=True))
        assert found(watch, "learning") is None
        watch.take(changed(up_bed.settings, "spread_engine", basis_trust_s=1.0))
        assert found(watch, "learning") is None
        watch.take(changed(up_bed.settings, "spread_engine", basis_trust_s=5_300.0))
        never = found(watch, "learning")
        assert never is not None
        assert never.stands_s == KEPT_S
        assert "as no pair ever weighs basis_trust_s" in never.text
        watch.take(up_bed.settings)
        assert found(watch, "learning") is not None
        keep(1.0, 300.0)
        assert found(watch, "learning") is None


def _rename(folder: Path, symbol: str, to: str) -> None:
    """The next tables give a coin's id to another one."""
    old = tables.load(folder)
    symbols = tuple(
        msgspec.structs.replace(row, symbol=to) if row.symbol == symbol else row
        for row in old.symbols
    )
    new = msgspec.structs.replace(old, generation=old.generation + 1, symbols=symbols)
    publish.publish(folder, new, {})


def test_a_pair_that_stays_implausible_is_told_and_one_absurd_price_is_not(
    watch: Conditions, up_bed: Any, moved: VirtualClock
) -> None:
    spot, futures = 0, 3
    with (
        up_bed.health() as health,
        Control.attach(up_bed.namespace) as control,
        PriceStore.attach(up_bed.namespace) as store,
        store.writer(spot) as one,
        store.writer(futures) as other,
        health.claim(ENGINE) as row,
        control.claim(ENGINE) as slot,
        Engine(up_bed.namespace, row, slot) as engine,
    ):
        engine.load(up_bed.settings, tables.load(up_bed.settings.generated_dir))

        def price(bid: float) -> None:
            now_ns = store.clock.now_ns()
            for writer, at in ((one, 100.0), (other, bid)):
                writer.heartbeat(clock.mono_ns())
                writer.write(0, at, 10.0, at + 0.1, 10.0, now_ns, now_ns, now_ns)
            engine.loop.step(clock.mono_ns())

        def told_after(seconds: int, bid: float) -> bool:
            for _ in range(0, seconds, 2):
                price(bid)
                moved.advance_ms(2_000)
            return found(watch, "implausible:AAA-USDT") is not None

        price(100_000.0)
        assert found(watch, "implausible:AAA-USDT") is None
        assert not told_after(30, 100.0)
        assert not told_after(32, 100.0), "what was once so is forgotten"
        assert not told_after(2, 100_000.0)
        assert told_after(8, 100_000.0)
        assert "binance-bybit" in text(watch, "implausible:AAA-USDT")
        _rename(up_bed.settings.generated_dir, "AAA-USDT", "ZZZ-USDT")
        assert found(watch, "implausible:ZZZ-USDT") is None, "it was seen of the coin of before"
        assert told_after(50, 100.0), "for a minute"
        assert not told_after(12, 100.0)


def test_a_pair_that_the_engine_has_blocked_is_told_until_it_is_judged(
    watch: Conditions, up_bed: Any, moved: VirtualClock
) -> None:
    loaded = tables.load(up_bed.settings.generated_dir)
    keeper = blocks_keeper(up_bed.settings, structlog.get_logger())
    with (
        up_bed.health() as health,
        Control.attach(up_bed.namespace) as control,
        PriceStore.attach(up_bed.namespace) as store,
        store.writer(0) as one,
        store.writer(3) as other,
        health.claim(ENGINE) as row,
        control.claim(ENGINE) as slot,
        Engine(up_bed.namespace, row, slot) as engine,
    ):
        engine.load(up_bed.settings, loaded)
        for _ in range(11):
            assert found(watch, "blocked:AAA-USDT") is None
            now_ns = store.clock.now_ns()
            for writer, at in ((one, 100.0), (other, 100_000.0)):
                writer.heartbeat(clock.mono_ns())
                writer.write(0, at, 10.0, at + 0.1, 10.0, now_ns, now_ns, now_ns)
            moved.advance_ms(1_000)
            engine.loop.step(clock.mono_ns())
            engine.newly_blocked()
            keeper.write(engine.blocks)
        assert "binance-bybit" in text(watch, "blocked:AAA-USDT")
        later = loaded.asked_by_wall_ns + 10 * DAY_MS * 1_000_000
        again = msgspec.structs.replace(loaded, generation=2, asked_wall_ns=later)
        engine.load(up_bed.settings, again)
        keeper.write(engine.blocks)
        assert found(watch, "blocked:AAA-USDT") is None


def test_a_reader_that_does_not_end_is_told_by_what_it_keeps(
    watch: Conditions, up_bed: Any
) -> None:
    """With a limit of 0.1 MB: what is shipped would have a test write for minutes."""
    watch.take(changed(up_bed.settings, "spread_alerts", wal_mb_max=0.1))
    folder = up_bed.settings.data_dir
    folder.mkdir(exist_ok=True)
    store_row(folder, id=1)
    path = folder / DATABASE_FILE
    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):
        writer.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM opportunities").fetchone()
        assert found(watch, "wal") is None
        writer.execute("CREATE TABLE filler (text BLOB)")
        writer.execute("INSERT INTO filler VALUES (zeroblob(200000))")
        assert "reads it in one transaction" in text(watch, "wal")
        reader.execute("COMMIT")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert found(watch, "wal") is None
        # A limit that the file of one row is beyond, as above.
        watch.take(changed(up_bed.settings, "spread_tracker", database_mb_max=0.1))
        assert "beyond database_mb_max" in text(watch, "database")


@pytest.mark.parametrize(
    ("enabled", "mb_max", "told"),
    [(True, 0.1, True), (False, 0.1, False), (True, 0.0, False), (True, 0.2, False)],
)
def test_a_database_of_cycles_that_grows_is_told_while_there_are_to_be_cycles(
    tmp_path: Path, enabled: bool, mb_max: float, told: bool
) -> None:
    """Whoever keeps it from giving back: a reader, or what is forgotten too slowly."""
    (tmp_path / CYCLES_FILE).write_bytes(bytes(80_000))
    (tmp_path / f"{CYCLES_FILE}-wal").write_bytes(bytes(200_000))
    shipped = config.load(Path(__file__).parents[3] / "config", {})
    pools = msgspec.structs.replace(shipped.pools, enabled=True)
    settings = changed(shipped, "spread_alerts", wal_mb_max=0.1, disk_free_mb_min=0.0)
    settings = changed(settings, "spread_paths", enabled=enabled, database_mb_max=mb_max)
    settings = msgspec.structs.replace(settings, pools=pools)
    now = disk.look(tmp_path, [])
    texts = {one.key: one.text for one in of_disk(now, settings, 0)}
    assert list(texts) == ["database:cycles"] * told
    assert not told or "cycles.db has 0.3 MB with its log" in texts["database:cycles"]
    vacuumed = msgspec.structs.replace(now, vacuuming=True)
    assert list(of_disk(vacuumed, settings, 0)) == [], "its log has all of it meanwhile"


def test_a_disk_that_fills_is_told_before_it_is_full(watch: Conditions, up_bed: Any) -> None:
    """As the tracker tells, also to who looks for the first time; none that is gone tells."""
    up_bed.settings.data_dir.mkdir(exist_ok=True)
    free = shutil.disk_usage(up_bed.settings.data_dir).free
    eaten = next(one.counter_id for one in TRACKER_COUNTERS if one.label == "disk_eaten_b_h")
    with up_bed.health() as health, health.claim(TRACKER) as row:
        row.beat(ProcessState.RUNNING)
        row.set(eaten, free // 48)
        assert found(watch, "filling") is None, "in two days"
        for hours, urgent in ((12, False), (1, True)):
            row.set(eaten, free // hours)
            told = found(watch, "filling")
            assert told is not None
            assert told.patient is not urgent
            standing = {one.key for one in status.read(up_bed.settings, 0.0).conditions}
            assert "filling" in standing, "status says what alerts tell"
    assert found(watch, "filling") is None


def test_a_disk_with_too_little_room_is_told(watch: Conditions, up_bed: Any) -> None:
    """With a limit of a petabyte, which no test's disk has free."""
    assert found(watch, "disk") is None
    watch.take(changed(up_bed.settings, "spread_alerts", disk_free_mb_min=1e9))
    up_bed.settings.data_dir.mkdir(exist_ok=True)
    assert "MB are left" in text(watch, "disk")
