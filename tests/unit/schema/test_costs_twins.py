"""The definition of what a trade earns and its C twin say the same, to the last bit; and a trade
that is left as it was assumed to be earns what it was said to."""

import ctypes
import itertools
import math
import re
import subprocess
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from spread_scanner.schema import costs
from spread_scanner.schema.records import QUOTE_DTYPE

NATIVE = Path(costs.__file__).parent / "native"
SOURCE = """
#include "costs.h"
double entry(const ss_quote *s, const ss_quote *f) { return ss_entry_bps(s, f); }
double leave(const ss_quote *s, const ss_quote *f) { return ss_exit_bps(s, f); }
double parity(double a, double b) { return ss_parity_bps(a, b); }
double mid_basis(double a, double b) { return ss_mid_basis_bps(a, b); }
double mid(const ss_quote *q) { return ss_mid_px(q); }
double stray(double px, double median) { return ss_stray_bps(px, median); }
double close_trusted(double u, double p, int at_parity, double credited) {
    return ss_close_bps_trusted(u, p, at_parity, credited);
}
double close_unknown(double parity) { return ss_close_bps_unknown(parity); }
double carried(double c, const ss_quote *s, const ss_quote *f) { return ss_carried_bps(c, s, f); }
double net(double e, double c, double f, double k) { return ss_net_bps(e, c, f, k); }
double over_money(double p, double g, double m, double a, double c) {
    return ss_over_money(p, g, m, a, c);
}
double size_base(double a, double b, double lot) { return ss_size_base(a, b, lot); }
double size_quote(double size, double px) { return ss_size_quote(size, px); }
int reach(double amount, double least) { return ss_reaches(amount, least); }
int suffices(double size, const ss_quote *q, double qty, double notional) {
    return ss_leg_suffices(size, q, qty, notional);
}
"""
PRICES = st.one_of(
    st.sampled_from([math.nan, 1e-9, 0.1, 100.0, math.nextafter(100.0, 101.0), 1e9]),
    st.floats(1e-12, 1e12),
)
BPS = st.one_of(
    st.sampled_from([math.nan, 0.0, -0.0, -12.5, math.nextafter(-12.5, 0.0), 1e6]),
    st.floats(-1e6, 1e6),
)
SIZES = st.one_of(
    st.sampled_from([math.nan, 0.0, 0.3, 0.1 * 3, 0.7, 1e-12, 1e12]), st.floats(0, 1e12)
)
LOTS = st.sampled_from([0.0, 0.1, 0.3, 0.001, 1.0, 3.0, 1_000.0, 1e30])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("twin")
    (folder / "twin.c").write_text(SOURCE)
    flags = ["-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-I{NATIVE}"]
    subprocess.run(
        ["cc", *flags, "-o", folder / "twin.so", folder / "twin.c", "-lm"],
        check=True,
    )
    library = ctypes.CDLL(str(folder / "twin.so"))
    number, quote = ctypes.c_double, ctypes.c_char_p
    takes: dict[str, list[type]] = {
        "entry": [quote, quote],
        "leave": [quote, quote],
        "parity": [number] * 2,
        "mid_basis": [number] * 2,
        "mid": [quote],
        "stray": [number] * 2,
        "close_trusted": [number, number, ctypes.c_int, number],
        "close_unknown": [number],
        "carried": [number, quote, quote],
        "net": [number] * 4,
        "over_money": [number] * 5,
        "size_base": [number] * 3,
        "size_quote": [number] * 2,
        "reach": [number] * 2,
        "suffices": [number, quote, number, number],
    }
    for name, kinds in takes.items():
        function = getattr(library, name)
        function.argtypes = kinds
        function.restype = ctypes.c_int if name in ("reach", "suffices") else number
    return library


def test_every_function_of_the_twin_is_held_here() -> None:
    """But for bounds (_min), which the loop alone asks for and its own tests hold."""
    heads = re.findall(r"^static inline \w+ (ss_\w+)\(", (NATIVE / "costs.h").read_text(), re.M)
    assert len(heads) > 10
    assert [name for name in heads if not name.endswith("_min") and f"{name}(" not in SOURCE] == []


def quote(bid_px: float, ask_px: float) -> bytes:
    made = np.zeros(1, QUOTE_DTYPE)
    made["bid_px"], made["ask_px"] = bid_px, ask_px
    return made.tobytes()


def same(ours: object, theirs: float) -> bool:
    """To the last bit; any NaN is as good as another."""
    value = float(np.asarray(ours, float))
    return math.isnan(theirs) if math.isnan(value) else value.hex() == theirs.hex()


@given(PRICES, PRICES, PRICES, PRICES, BPS)
def test_prices_give_the_same_spreads(
    twin: ctypes.CDLL, spot_bid: float, spot_ask: float, fut_bid: float, fut_ask: float, bps: float
) -> None:
    spot, futures = quote(spot_bid, spot_ask), quote(fut_bid, fut_ask)
    entry = costs.entry_bps(spot_ask, fut_bid)
    leaving = costs.exit_bps(spot_bid, spot_ask, fut_ask)
    assert same(entry, twin.entry(spot, futures))
    assert same(leaving, twin.leave(spot, futures))
    assert same(costs.parity_bps(entry, leaving), twin.parity(entry, leaving))
    assert same(costs.mid_basis_bps(entry, leaving), twin.mid_basis(entry, leaving))
    assert same(costs.carried_bps(bps, spot_ask, fut_bid), twin.carried(bps, spot, futures))
    assert same(costs.mid_px(fut_bid, fut_ask), twin.mid(futures))
    assert same(costs.stray_bps(spot_bid, spot_ask), twin.stray(spot_bid, spot_ask))


@given(BPS, BPS, BPS, BPS, st.booleans())
def test_what_leaving_earns_and_what_is_left_are_the_same(
    twin: ctypes.CDLL, usual: float, parity_usual: float, parity: float, other: float, at: bool
) -> None:
    for credited in (math.nan, other):
        known = costs.close_bps(
            usual, parity_usual, parity, trusted=True, at_parity=at, credited=credited
        )
        assert same(known, twin.close_trusted(usual, parity_usual, at, credited))
    unknown = costs.close_bps(usual, parity_usual, parity, trusted=False, at_parity=at)
    assert same(unknown, twin.close_unknown(parity))
    assert same(
        costs.net_bps(usual, parity, parity_usual, other),
        twin.net(usual, parity, parity_usual, other),
    )


@given(PRICES, PRICES, BPS, BPS, BPS)
def test_what_is_over_a_threshold_is_the_same(
    twin: ctypes.CDLL, paid: float, got: float, moved: float, allowed: float, carry: float
) -> None:
    ours = costs.over_money(paid, got, moved, allowed, carry)
    assert same(ours, twin.over_money(paid, got, moved, allowed, carry))


@given(SIZES, SIZES, LOTS, PRICES, PRICES, SIZES)
@example(0.3, 1.0, 0.1, 100.0, 100.1, 30.0)  # 0.3 / 0.1 is 2.9999999999999996
@example(1.0, 5.0, 1e30, 1.0, 1.0, 0.0)
@example(0.9, 1.0, 0.3, 1.0, 1.1, 0.9)  # three lots of 0.3 are 0.8999999999999999
def test_sizes_and_minima_are_the_same(
    twin: ctypes.CDLL, buy: float, sell: float, lot: float, bid: float, ask: float, least: float
) -> None:
    size = costs.size_base(buy, sell, lot)
    assert same(size, twin.size_base(buy, sell, lot))
    assert same(costs.size_quote(float(size), ask), twin.size_quote(float(size), ask))
    assert bool(costs.reaches(float(size), least)) == bool(twin.reach(float(size), least))
    for qty_min, notional_min in itertools.product((0.0, least), repeat=2):
        said = bool(costs.leg_suffices(size, bid, ask, qty_min, notional_min))
        assert said == bool(twin.suffices(float(size), quote(bid, ask), qty_min, notional_min))


def test_sizes_are_whole_lots_of_the_smaller_top() -> None:
    assert float(costs.size_base(0.3, 9.0, 0.1)) == pytest.approx(0.3)
    assert float(costs.size_base(0.39, 9.0, 0.1)) == pytest.approx(0.3)
    assert float(costs.size_base(9.0, 0.09, 0.1)) == 0.0
    assert float(costs.size_base(0.39, 0.5, 0.0)) == 0.39
    assert float(costs.size_base(1e9, 1e9, 1e30)) == 0.0
    assert not costs.leg_suffices(1.0, 4.99, 5.01, 0.0, 5.0)  # what may be entered must be left
    assert costs.leg_suffices(1.0, 5.0, 5.01, 1.0, 5.0)


@pytest.mark.parametrize("lot", ["0.1", "0.3", "0.7", "0.025", "0.00001", "1"])
def test_a_top_of_exactly_the_least_suffices_and_a_lot_less_does_not(lot: str) -> None:
    """As decimals are, of a quantity and of what it is worth; in binary three lots of 0.3 are not
    0.9."""
    px = Decimal("0.0013")
    lots = [Decimal(lot) * count for count in range(1, 3_000)]
    tops = np.array([float(top) for top in lots])
    worth = np.array([float(top * px) for top in lots])
    size, price = costs.size_base(tops, tops, float(lot)), float(px)
    assert np.all(costs.leg_suffices(size, price, price, tops, 0.0))
    assert np.all(costs.leg_suffices(size, price, price, 0.0, worth))
    assert np.all(costs.reaches(costs.size_quote(size, np.full(len(size), price)), worth))
    assert not np.any(costs.leg_suffices(size[:-1], price, price, tops[1:], 0.0))
    assert not np.any(costs.leg_suffices(size[:-1], price, price, 0.0, worth[1:]))


def test_what_leaving_earns_is_never_more_than_the_usual_widths() -> None:
    def close(usual: float, parity_usual: float, **how: object) -> float:
        return float(costs.close_bps(usual, parity_usual, -9.0, **{"trusted": True, **how}))  # type: ignore[arg-type]

    assert close(-50.0, -4.0) == -50.0  # a standing premium is no signal
    assert close(30.0, -4.0) == -4.0  # nor is a standing discount an income
    assert close(-50.0, -4.0, at_parity=True) == -4.0
    assert close(30.0, -4.0, credited=28.0) == 28.0
    assert close(30.0, -4.0, credited=28.0, at_parity=True) == -4.0
    assert close(30.0, -4.0, trusted=False) == -9.0
    assert float(costs.close_bps(0.0, 0.0, 3.0, trusted=False)) == 0.0  # crossed books pay nothing


def test_funding_is_charged_and_credited_only_when_asked_for() -> None:
    assert costs.carry_bps(-0.0003, 0.02, 2, credit=False) == pytest.approx(6.0)
    assert costs.carry_bps(0.0003, 0.02, 2, credit=False) == 0.0
    assert costs.carry_bps(0.0003, 0.02, 2, credit=True) == pytest.approx(-6.0)
    assert costs.carry_bps(None, 0.02, 1, credit=False) == pytest.approx(200.0)
    assert costs.carry_bps(None, 0.02, 0, credit=True) == 0.0
    assert costs.funding_paid(0.0001, 200.0) == pytest.approx(-0.02)


@given(
    st.floats(1e-6, 1e6),
    st.floats(-900, 900),
    st.floats(-900, 5),
    st.floats(0.01, 200),
    st.floats(0, 60),
    st.floats(0, 60),
)
def test_a_trade_left_as_assumed_at_an_unmoved_price_realises_its_net(
    spot_ask: float, entry: float, close: float, width: float, spot_fee: float, fut_fee: float
) -> None:
    """All that is left open is that each fee is taken of its own notional: fee x basis."""
    spot_bid = spot_ask * (1 - width / costs.BPS)
    fut_bid = spot_ask * (1 + entry / costs.BPS)
    fut_ask = spot_bid - close / costs.BPS * spot_ask
    assume(fut_ask > 0)
    assert costs.exit_bps(spot_bid, spot_ask, fut_ask) == pytest.approx(close, abs=1e-5)
    said = costs.net_bps(
        costs.entry_bps(spot_ask, fut_bid), close, costs.fees_bps(spot_fee, fut_fee), 0.0
    )
    realised = costs.realised_bps(spot_ask, fut_bid, spot_bid, fut_ask, spot_fee, fut_fee)
    basis = max(abs(entry), abs(close) + width)
    assert abs(realised - float(said)) <= 2 * (spot_fee + fut_fee) * basis / costs.BPS + 1e-5
