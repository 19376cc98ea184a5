"""The analyst over real segments: what it publishes of quotes that are usable, and of whom."""

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from analyst_bed import ENTRY, EXIT, Lived

from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.schema.analysis import AnalysisFlag
from spread_scanner.schema.enums import ProcessState, QuoteFlag
from spread_scanner.schema.names import ANALYST
from spread_scanner.symbology import publish, tables


@pytest.fixture
def lived(up_bed: Any, virtual_clock: VirtualClock) -> Iterator[Lived]:
    with contextlib.ExitStack() as stack:
        virtual_clock.advance_ms(100)
        yield Lived(up_bed, stack.enter_context, virtual_clock)


def test_usable_quotes_are_published_as_basis_and_bars(lived: Lived) -> None:
    lived.seconds(40)
    pair = lived.pair()
    assert pair["entry"]["now"] == pytest.approx(ENTRY)
    assert pair["exit"]["mean"].tolist() == pytest.approx([EXIT] * 3)
    assert pair["usable_share"] == 1
    assert pair["ts"] == pair["ts_sample"] == lived.store.clock.now_ns() // 10**9 * 10**9
    assert pair["generation"] == 1
    cell = lived.analysis.cells([3], [0]).records[0]
    assert cell["mid"] == 103.0
    assert cell["frames"]["bars"][0] == 40
    assert cell["frames"][0]["closed"]["ema"] == 103.0
    never = lived.pair(1)
    assert np.isnan(never["entry"]["mean"]).all()
    assert (never["usable_share"], never["flags"]) == (0, 0)
    assert lived.counter("samples") == 40
    assert lived.counter("pairs_usable") == 1
    assert lived.counter("cells_usable") == 2
    seen = lived.health.read(ANALYST)
    assert seen is not None
    assert seen.state is ProcessState.RUNNING
    assert seen.message == "warming: 0 of 240 minutes"


def test_what_cannot_be_stood_behind_is_no_sample(lived: Lived) -> None:
    lived.seconds(10)
    lived.quote(flags=int(QuoteFlag.STALE), legs=(1,))
    lived.seconds(10, None)
    pair, spot = lived.pair(), lived.analysis.cells([0], [0]).records[0]
    assert np.isnan(pair["entry"]["now"])
    assert pair["entry"]["mean"][0] == pytest.approx(ENTRY)
    assert pair["usable_share"] == 0.5
    assert spot["frames"]["bars"][0] == 20
    lived.clock.advance_ms(10_000)  # and a feed that does not beat says nothing of its quotes
    lived.sampling.turn()
    assert np.isnan(lived.analysis.cells([0], [0]).records[0]["mid"])
    assert lived.counter("samples_missed") == 9


def test_a_leg_that_is_alone_against_the_other_sources_teaches_nothing(lived: Lived) -> None:
    """The perpetual stands eleven per cent over three others and eight over its pair's spot, which
    could be a spread."""
    lived.list_besides("okx-bybit", "mexc-bybit")
    prices = {0: 100.0, 4: 98.0, 6: 98.0, 3: 109.0}
    for _ in range(5):
        lived.price(prices)
        lived.seconds(1, None)
    pair, cells = lived.pair(), lived.analysis.cells([0, 3, 4], [0, 0, 0]).records
    assert (pair["usable_share"], pair["flags"]) == (0, 0)
    assert np.isnan(pair["entry"]["mean"]).all()
    assert cells["frames"]["bars"][:, 0].tolist() == [5, 0, 5]
    for _ in range(5):
        lived.price(prices | {3: 106.0})
        lived.seconds(1, None)
    assert lived.pair()["usable_share"] == 0.5
    assert lived.pair()["entry"]["mean"] == pytest.approx([600.0] * 3, abs=5)
    assert lived.analysis.cells([3], [0]).records["frames"]["bars"][0, 0] == 5


@pytest.mark.parametrize("step_ms", [-5 * 3_600_000, 300_000, 5 * 3_600_000])
def test_a_wall_clock_that_is_set_makes_no_bar_and_forgets_none(lived: Lived, step_ms: int) -> None:
    lived.seconds(30)
    lived.clock.step_wall_ms(step_ms)
    lived.seconds(30)
    pair, cell = lived.pair(), lived.analysis.cells([3], [0]).records[0]
    assert (pair["usable_share"], lived.counter("samples_missed")) == (1, 0)
    np.testing.assert_allclose(pair["weight"], _weights(lived, np.arange(60)))
    assert cell["frames"]["bars"].tolist() == [60, 1, 0]
    assert pair["ts"] == cell["ts_sample"] == lived.store.clock.now_ns() // NS_PER_S * NS_PER_S


@pytest.mark.parametrize(("slept_s", "reloads"), [(2, False), (2, True), (3_600, False)])
def test_what_slept_is_as_old_as_it_is_and_no_quote_from_before_is_looked_at(
    lived: Lived, slept_s: int, reloads: bool
) -> None:
    """Also where the sleep is shorter than a heartbeat may be late, and a reload comes first."""
    given = lived.bed.settings
    system = msgspec.structs.replace(given.config.system, heartbeat_ms_max=60_000)
    config = msgspec.structs.replace(given.config, system=system)
    lived.process.settings = msgspec.structs.replace(given, config=config)
    lived.sampling.prepared(lived.process.settings)()
    lived.seconds(30)
    lived.clock.suspend_ms(slept_s * 1_000)
    lived.process.poll()
    if reloads:
        lived.process.feel_suspend()
        lived.sampling.prepared(lived.process.settings)()
    lived.sampling.turn()
    assert not lived.pair()["flags"] & AnalysisFlag.USABLE, "no feed has beaten since"
    assert np.isnan(lived.pair()["entry"]["now"])
    lived.seconds(30)
    pair, cell = lived.pair(), lived.analysis.cells([3], [0]).records[0]
    age_s = np.concatenate([np.arange(30), np.arange(30, 60) + slept_s])
    np.testing.assert_allclose(pair["weight"], _weights(lived, age_s))
    assert pair["usable_share"] == pytest.approx(60 / (60 + slept_s))
    assert lived.counter("samples_missed") == slept_s - 1
    minutes = {0, (30 + slept_s) // 60, (59 + slept_s) // 60}
    assert cell["frames"]["bars"][0] == 60, "a second without a mid is no bar"
    assert cell["frames"]["bars"][1] == len(minutes) - ((60 + slept_s) % 60 != 0)
    assert cell["frames"][0]["closed"]["ema"] == 103.0, "what was known goes on"


def _weights(lived: Lived, age_s: np.ndarray) -> list[float]:
    """Of looks so old, by each half-life."""
    half_lives_s = lived.bed.settings.config.spread_analyst.half_lives_s
    return [float((2.0 ** (-age_s / half_life_s)).sum()) for half_life_s in half_lives_s]


def test_a_second_is_looked_at_once(lived: Lived) -> None:
    lived.seconds(2)
    left_ns = NS_PER_S - lived.store.clock.now_ns() % NS_PER_S
    for passed_ns, samples in ((left_ns - 1, 2), (1, 3), (0, 3)):
        lived.clock.advance_ns(passed_ns)
        lived.sampling.turn()
        assert lived.counter("samples") == samples


def test_what_the_store_counts_is_told_once(lived: Lived) -> None:
    class Contended:
        """The store, in which three reads met a writer."""

        contended = 3

        def __getattr__(self, name: str) -> Any:
            return getattr(lived.store, name)

    lived.sampling._store = Contended()  # type: ignore[assignment]
    lived.seconds(3)
    assert lived.counter("contended") == 3


def test_a_paused_analyst_looks_at_nothing(lived: Lived) -> None:
    lived.seconds(5)
    lived.operator.pause(ANALYST)
    lived.seconds(5)
    lived.operator.pause(ANALYST, paused=False)
    lived.seconds(1)
    assert lived.pair()["usable_share"] == pytest.approx(6 / 11)
    assert (lived.counter("samples"), lived.counter("samples_missed")) == (6, 0)


@pytest.mark.parametrize(
    "other", [{"exchange_symbol": "BBBNEWUSDT"}, {"px_div": 10.0}, {"sz_mul": 10.0}]
)
def test_after_a_reload_a_pair_goes_on_and_another_coin_begins_anew(
    lived: Lived, other: dict[str, Any]
) -> None:
    for _ in range(10):
        lived.quote(1)
        lived.seconds(1)
    settings = lived.bed.settings
    loaded = tables.load(settings.generated_dir)
    rows = [
        msgspec.structs.replace(row, **other) if row.symbol_id == 1 else row
        for row in loaded.instruments
    ]
    changed = msgspec.structs.replace(
        loaded, generation=2, instruments=tuple(reversed(rows)), symbols=loaded.symbols
    )
    publish.publish(settings.generated_dir, changed, {})
    lived.sampling.prepared(settings)()
    lived.quote(1)
    lived.seconds(1)
    assert lived.pair(0)["weight"][2] == pytest.approx(11, rel=1e-2)
    assert lived.pair(0)["generation"] == 2
    assert lived.pair(1)["weight"].tolist() == [1, 1, 1]
    bars = lived.analysis.cells([0, 0], [0, 1]).records["frames"]["bars"][:, 0]
    assert bars.tolist() == [11, 1]
    assert lived.counter("begun_anew") == 9 + 3


def test_an_id_that_another_coin_has_now_inherits_nothing(lived: Lived) -> None:
    """Not even where the exchange spells that as it did the one before."""
    lived.seconds(10)
    settings = lived.bed.settings
    loaded = tables.load(settings.generated_dir)
    renamed = tuple(
        msgspec.structs.replace(row, symbol="NEW-USDT") if row.symbol_id == 0 else row
        for row in loaded.symbols
    )
    changed = msgspec.structs.replace(loaded, generation=2, symbols=renamed)
    publish.publish(settings.generated_dir, changed, {})
    lived.sampling.prepared(settings)()
    lived.seconds(1)
    assert lived.pair(0)["weight"].tolist() == [1, 1, 1]


def test_other_half_lives_begin_the_basis_anew_and_keep_the_bars(lived: Lived) -> None:
    lived.seconds(10)
    given = lived.bed.settings.config
    analyst = msgspec.structs.replace(given.spread_analyst, half_lives_s=[10.0, 20.0, 30.0])
    config = msgspec.structs.replace(given, spread_analyst=analyst)
    lived.sampling.prepared(msgspec.structs.replace(lived.bed.settings, config=config))()
    lived.seconds(1)
    assert lived.pair()["weight"].tolist() == [1, 1, 1]
    assert lived.analysis.cells([0], [0]).records["frames"]["bars"][0, 0] == 11


def test_other_periods_begin_the_bars_anew_and_keep_the_basis(lived: Lived) -> None:
    lived.seconds(10)
    analyst = msgspec.structs.replace(lived.bed.settings.config.spread_analyst, rsi_bars=5)
    config = msgspec.structs.replace(lived.bed.settings.config, spread_analyst=analyst)
    lived.sampling.prepared(msgspec.structs.replace(lived.bed.settings, config=config))()
    lived.seconds(1)
    assert lived.pair()["weight"][2] == pytest.approx(11, rel=1e-2)
    assert lived.analysis.cells([0], [0]).records["frames"]["bars"][0, 0] == 1
