"""What a source's pools quote, by symbol, and the book that a ladder makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traded_pools import sol

from spread_scanner.pools.effective import (
    PoolSide,
    PoolSides,
    StableQuote,
    TradedPool,
    best_sides,
)
from spread_scanner.pools.markets import ChainTime, PoolMarkets, levels
from spread_scanner.solana.tokens import SLOTS_PER_EPOCH, USDC, USDT, WSOL

AT = ChainTime(1_790_000_000, 453_868_631)
RATE = StableQuote(0.99, 1.01, fresh=True)
REFERENCE = 1_000.0


def px(sides: PoolSides) -> tuple[float | None, float | None]:
    bid, ask = sides.bid, sides.ask
    return (None if bid is None else bid.px), (None if ask is None else ask.px)


@pytest.fixture
def markets() -> PoolMarkets:
    made = PoolMarkets(REFERENCE)
    made.put(sol("deep", (100_000, 15_000_000)))
    made.put(sol("shallow", (100, 15_000)))
    made.put(sol("in usdt", (100_000, 14_000_000), (WSOL, USDT)))
    return made


def test_the_best_of_all_pools_of_a_symbol_is_quoted(markets: PoolMarkets) -> None:
    deep = best_sides(
        [sol("deep", (100_000, 15_000_000))], REFERENCE, unix_ts=AT.unix_ts, slot=AT.slot
    )
    assert px(markets.best("SOL-USDC", RATE, AT)) == px(deep), "no rate is for what is in USDC"
    bid, ask = px(deep)
    in_usdt = best_sides(
        [sol("in usdt", (100_000, 14_000_000), (WSOL, USDT))],
        REFERENCE, unix_ts=AT.unix_ts, slot=AT.slot,
    )  # fmt: skip
    assert bid is not None
    assert ask is not None
    assert px(markets.best("SOL-USDT", RATE, AT)) == (bid * 0.99, px(in_usdt)[1])
    stale = StableQuote(0.99, 1.01, fresh=False)
    for none in (None, stale):
        assert px(markets.best("SOL-USDT", none, AT)) == px(in_usdt), "what is in USDT stands alone"
    markets.leave(sol("in usdt", (1, 1)).key)
    assert px(markets.best("SOL-USDT", stale, AT)) == (None, None)
    assert px(markets.best("SOL-USDT", RATE, AT)) == (bid * 0.99, ask * 1.01)
    assert px(markets.best("JUP-USDT", RATE, AT)) == (None, None)


def test_a_pool_that_has_moved_is_asked_anew_and_one_that_left_is_not(markets: PoolMarkets) -> None:
    before = px(markets.best("SOL-USDC", None, AT))
    markets.put(sol("deep", (100_000, 16_000_000)))
    now = px(markets.best("SOL-USDC", None, AT))
    assert None not in now
    assert now[0] > before[0]  # type: ignore[operator]
    markets.leave(sol("deep", (1, 1)).key)
    assert px(markets.best("SOL-USDC", None, AT))[1] > before[1]  # type: ignore[operator]
    assert USDC in sol("shallow", (100, 15_000)).pool.mints


def test_a_ladder_has_the_best_pool_of_each_size(markets: PoolMarkets) -> None:
    sizes = [100.0, 1_000.0, 10_000.0, 50_000.0]
    rungs = [markets.best("SOL-USDC", RATE, AT, size) for size in sizes]
    assert [rung.ask is not None for rung in rungs] == [True] * 4
    assert px(rungs[1]) == px(markets.best("SOL-USDC", RATE, AT))
    through = [markets.best("SOL-USDT", RATE, AT, size) for size in sizes]
    assert px(through[1]) == px(markets.best("SOL-USDT", RATE, AT))


def side(size: float, px: float) -> PoolSide:
    return PoolSide(px, size, "", 0)


@pytest.mark.parametrize(
    ("rungs", "asks"),
    [
        ([], []),
        ([None, side(2, 10.0)], []),
        ([side(1, 10.0)], [(10.0, 1)]),
        ([side(1, 10.0), side(3, 12.0)], [(10.0, 1), (13.0, 2)]),
        ([side(1, 10.0), side(3, 12.0), None, side(9, 13.0)], [(10.0, 1), (13.0, 2)]),
        ([side(1, 10.0), side(3, 9.0)], [(9.0, 3)]),
        ([side(1, 10.0), side(3, 12.0), side(5, 11.0)], [(10.0, 1), (11.25, 4)]),
        ([side(1, 10.0), side(1, 10.0), side(2, 11.0)], [(10.0, 1), (12.0, 1)]),
    ],
)
def test_a_book_costs_what_its_rungs_do(
    rungs: list[PoolSide | None], asks: list[tuple[float, float]]
) -> None:
    assert levels(rungs, bids=False) == asks


@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.floats(50, 150)), min_size=1, max_size=20),
    st.booleans(),
)
def test_levels_are_in_order_and_hold_all_that_the_last_rung_does(
    steps: list[tuple[float, float]], bids: bool
) -> None:
    size, rungs = 0.0, []
    money = 0.0
    for more, price in steps:
        size, money = size + more, money + more * price
        rungs.append(side(size, money / size))
    found = levels(rungs, bids=bids)
    prices = [price for price, _ in found]
    assert prices == sorted(prices, reverse=bids)
    assert sum(more for _, more in found) == pytest.approx(size)
    assert sum(price * more for price, more in found) == pytest.approx(money)


def test_a_slot_asks_only_what_does_not_stand(
    markets: PoolMarkets, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []

    def counted(pools: list[TradedPool], size: float, **at: int) -> PoolSides:
        asked.extend((one.key, size) for one in pools)
        return best_sides(pools, size, **at)

    monkeypatch.setattr("spread_scanner.pools.markets.best_sides", counted)
    sizes = (100.0, REFERENCE)
    questions = sum(1 for _ in markets.renew("SOL-USDC", sizes, AT))
    assert questions == len(set(asked)) == 4
    later = ChainTime(AT.unix_ts + 1, AT.slot + 1)
    assert not [*markets.renew("SOL-USDC", sizes, later)], "no fee of theirs goes by the time"
    deep = sol("deep", (100_000, 16_000_000))
    between = markets.renew("SOL-USDC", sizes, later)
    markets.put(deep)
    assert len([*between]) == 2
    assert asked[4:] == [(deep.key, size) for size in sizes]
    next_epoch = ChainTime(AT.unix_ts, AT.slot + SLOTS_PER_EPOCH)
    assert len([*markets.renew("SOL-USDC", sizes, next_epoch)]) == 4, "fees on transfers may"
    markets.leave(deep.key)
    assert px(markets.best("SOL-USDC", None, AT)) != px(
        best_sides([deep], REFERENCE, unix_ts=AT.unix_ts, slot=AT.slot)
    )
