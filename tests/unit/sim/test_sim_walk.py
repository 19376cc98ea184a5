"""The native step of the market against the same step in Python, and how numbers are spelled."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spread_scanner.sim._walk import Quoted, walk
from spread_scanner.sim.characters import KINDS, give
from spread_scanner.sim.market import DRAW
from spread_scanner.sim.universe import Listing, Universe

UNUSUAL = 6e-4
CLOCKS_MS = [1_700_000_000_000 + source_id for source_id in range(8)]
State = tuple[float, float, int, int, int, int, int]


def expected(row: Listing, state: State, price: float, draw: np.void) -> tuple[State, float]:
    """One event, as docs/simulator.md describes it: price and both sizes, or one size."""
    basis, offset, update_id, bid, ask, bid_lots, ask_lots = state
    if draw["kind"] == 0:
        price *= 1.0 + draw["common"]
        basis = basis * row.keep + draw["own"] * row.sway
        basis += row.jump if draw["own"] > UNUSUAL else 0.0
        basis = min(max(basis, -row.limit), row.limit)
        middle = price * row.scale * (1.0 + (row.stand + basis + offset))
        width = int(draw["width"]) + row.width_least
        bid = int(middle - 0.5 * width) or 1
        ask = bid + width
    if draw["kind"] in (0, 1):
        bid_lots = int(row.lots_typical * draw["size_bid"]) + 1
    if draw["kind"] in (0, 2):
        ask_lots = int(row.lots_typical * draw["size_ask"]) + 1
    return (basis, offset, update_id + int(draw["step"]), bid, ask, bid_lots, ask_lots), price


def state_of(row: Listing) -> State:
    return (row.basis, row.offset, row.update_id, row.bid_ticks, row.ask_ticks, row.bid_lots,
            row.ask_lots)  # fmt: skip


def draws_of(random: np.random.Generator, count: int, rows: int) -> np.ndarray:
    draws = np.empty(count, DRAW)
    draws["common"] = random.normal(0, 1e-3, count)
    draws["own"] = random.normal(0, 3e-4, count)  # often beyond the limit
    draws["size_bid"] = random.uniform(0.05, 3.05, count)
    draws["size_ask"] = random.uniform(0.05, 3.05, count)
    draws["number"] = random.integers(0, rows, count)
    draws["width"] = random.integers(1, 9, count)
    draws["step"] = random.integers(1, 17, count)
    draws["kind"] = random.integers(0, 3, count)
    return draws


def spelled(value: int, decimals: int, padded: int) -> str:
    return f"{Decimal(value).scaleb(-decimals):.{max(decimals, padded)}f}"


@pytest.mark.parametrize("seed", range(3))
def test_the_walk_is_the_same_step_as_in_python(seed: int) -> None:
    universe = Universe(seed, 30)
    assert set(give(universe, 0.8).values()) == set(KINDS)
    rows = [row for row in universe.listings if row.moves]
    random = np.random.default_rng(seed)
    for row in rows:
        row.requote(float(random.random()), 1)
        row.offset = float(random.choice([0.0, 0.004]))
    states = {row: state_of(row) for row in rows}
    prices = {row.coin: row.coin.price for row in rows}
    draws = draws_of(random, 5_000, len(rows))
    told = walk(rows, draws, CLOCKS_MS, 70, UNUSUAL)

    assert len(told) == len(draws)
    for number, ((row, tick), draw) in enumerate(zip(told, draws, strict=True)):
        assert row is rows[draw["number"]]
        states[row], prices[row.coin] = expected(row, states[row], prices[row.coin], draw)
        _, _, update_id, bid, ask, bid_lots, ask_lots = states[row]
        assert tick == (
            update_id,
            spelled(bid, row.px_decimals, row.padded),
            spelled(bid_lots, row.sz_decimals, row.padded),
            spelled(ask, row.px_decimals, row.padded),
            spelled(ask_lots, row.sz_decimals, row.padded),
            CLOCKS_MS[row.source.source_id],
            71 + number,
        )
    assert all(state_of(row) == states[row] for row in rows)


@given(st.integers(0, 10**18), st.integers(0, 19), st.integers(0, 19))
def test_a_number_of_ticks_is_spelled_exactly(ticks: int, decimals: int, padded: int) -> None:
    quoted = Quoted()
    quoted.bid_ticks = ticks
    quoted.px_decimals, quoted.padded = decimals, padded

    assert quoted.tick(0, 0).bid_px == spelled(ticks, decimals, padded)


def test_what_cannot_be_spelled_is_refused() -> None:
    quoted = Quoted()
    for ticks, decimals in ((-2, 0), (1, 20)):
        quoted.bid_ticks, quoted.px_decimals = ticks, decimals
        with pytest.raises(ValueError, match="decimals"):
            quoted.tick(0, 0)


def test_a_draw_of_a_listing_that_is_none_is_refused() -> None:
    draws = draws_of(np.random.default_rng(1), 1, 1)
    with pytest.raises(IndexError):
        walk([], draws, CLOCKS_MS, 0, UNUSUAL)
