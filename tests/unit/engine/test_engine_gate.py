"""The first look at a pair, in C: it never turns away what the exact one would let through, and it
does turn away what is not near it."""

import ctypes
import math
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spread_scanner.engine import plan
from spread_scanner.schema import costs

NATIVE = [Path(str(module.__file__)).parent / "native" for module in (plan, costs)]
SOURCE = """
#include "gate.h"
int shut(double enter_bps, double costs_min_bps, double ask_px, double bid_px) {
    ss_top tops[2] = {{.bid_px = NAN, .ask_px = ask_px}, {.bid_px = bid_px, .ask_px = NAN}};
    ss_gate gate = {.spot_cell = 0, .fut_cell = 1};
    gate.ratio_min = ss_gate_ratio(enter_bps, costs_min_bps);
    return ss_gate_shut(&gate, tops);
}
"""
PRICES = st.one_of(st.sampled_from([1e-9, 0.1, 100.0, 1e9]), st.floats(1e-12, 1e12))
ENTER = st.one_of(st.sampled_from([0.0, 10.0, -5.0]), st.floats(-10_000, 100_000))
COSTS = st.one_of(st.sampled_from([0.0, -0.0, 40.0, math.nan]), st.floats(-20_000, 20_000))
NEARLY_BPS = 1e-4


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("gate")
    (folder / "gate.c").write_text(SOURCE)
    flags = ["-O2", "-ffp-contract=off", "-shared", "-fPIC", *(f"-I{path}" for path in NATIVE)]
    subprocess.run(
        ["cc", *flags, "-o", folder / "gate.so", folder / "gate.c", "-lm"],
        check=True,
    )
    library = ctypes.CDLL(str(folder / "gate.so"))
    library.shut.argtypes = [ctypes.c_double] * 4
    return library


def over(gross_bps: float, enter_bps: float, costs_min_bps: float) -> bool:
    return gross_bps >= enter_bps or gross_bps - costs_min_bps >= enter_bps


@given(ENTER, COSTS, PRICES, st.integers(-6, 6), st.floats(-500, 500))
def test_it_is_open_where_the_exact_look_would_say_over_and_shut_where_that_is_far(
    gate: ctypes.CDLL, enter: float, least: float, ask_px: float, ulps: int, stray_bps: float
) -> None:
    threshold = enter if math.isnan(least) else min(enter, enter + least)
    for away_bps in (0.0, stray_bps):
        bid_px = ask_px * (1 + (threshold + away_bps) / costs.BPS)
        for _ in range(abs(ulps)):
            bid_px = math.nextafter(bid_px, math.copysign(math.inf, ulps))
        if not bid_px > 0:
            continue
        gross = costs.entry_bps(ask_px, bid_px)
        shut = bool(gate.shut(enter, least, ask_px, bid_px))
        if over(gross, enter, least):
            assert not shut
        elif gross < threshold - NEARLY_BPS * (1 + abs(threshold) / costs.BPS):
            assert shut


@pytest.mark.parametrize(("ask_px", "bid_px"), [(math.nan, 1.0), (1.0, math.nan)])
def test_a_side_that_is_missing_opens_it(gate: ctypes.CDLL, ask_px: float, bid_px: float) -> None:
    assert not gate.shut(10.0, 0.0, ask_px, bid_px)
