"""`spread-ctl why` on 80 columns: no line of a decision, or of the present, is longer, whatever was
decided; what others wrote goes on below, further in.
"""

import io
import math

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from spread_scanner.cli import why
from spread_scanner.cli.console import say
from spread_scanner.schema.enums import QuoteFlag, Verdict
from spread_scanner.schema.records import (
    EVALUATION_DTYPE,
    EVALUATION_FUT_ALONE,
    SIGNAL_FUNDING_UNKNOWN,
    SIGNAL_MINIMUM_UNKNOWN,
)
from spread_scanner.view.depth import Depth, SizeNet
from spread_scanner.view.evaluations import Evaluation, Explanation, Standing, evaluation_of
from spread_scanner.view.spreads import Spread

SYMBOL = "1000000BABYDOGE-USDT"
COLUMNS = 80


def decided(verdict: Verdict, **values: float) -> Evaluation:
    row = np.zeros((), EVALUATION_DTYPE)
    for name in EVALUATION_DTYPE.names or ():
        if row[name].dtype.kind == "f":
            row[name] = -1_234.56
    row["verdict"], row["count"], row["direction_id"] = verdict, 12_345, 0
    row["spot_age_ns"] = row["fut_age_ns"] = row["skew_ns"] = 120_000_123_456
    row["flags"] = SIGNAL_MINIMUM_UNKNOWN | SIGNAL_FUNDING_UNKNOWN
    for name, value in values.items():
        row[name] = value
    return evaluation_of(row.reshape(1)[0], 86_400_000_000_000)


@pytest.mark.parametrize("verdict", Verdict, ids=lambda one: one.name.lower())
@pytest.mark.parametrize("learned", [0.5, 1.0])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"flags": EVALUATION_FUT_ALONE},
        {"spot_flags": int(QuoteFlag.JUMPED)},
        {"z": math.nan},
        {"z": math.nan, "z_deviation_bps": 0.0},
    ],
    ids=["usual", "alone", "jumped", "no z", "no deviation"],
)
def test_a_decision_fits(verdict: Verdict, learned: float, more: dict[str, float]) -> None:
    one = decided(verdict, learned=learned, z_min=2.0, **more)
    said = list(why.lines(Explanation(SYMBOL, one.meaning, [one], [], [], [], [], [])))
    assert len(said) >= 10
    for line in map(str, said):
        assert cell_len(line) <= COLUMNS, line
    assert f"    {one.meaning}" in map(str, said), "a line of its own"


@pytest.mark.parametrize(
    "meaning",
    [
        "over its threshold",
        "1234.5 bps short",
        "would be over its threshold (implausible: not one coin at one time)",
    ],
)
def test_what_stands_now_fits(meaning: str) -> None:
    sizes = [SizeNet(size, 1.0, 1.0, -1_234.5, False) for size in (100.0, 1e3, 1e4, 1e5)]
    values = dict.fromkeys(Spread.__struct_fields__, -1_234.56) | {
        "symbol": SYMBOL,
        "direction": "binance-bybit",
        "learned": 0.5,
        "depth": Depth(1.0, 123_456.0, True, sizes),
    }
    row = Spread(**values)  # type: ignore[arg-type]
    answer = Explanation(SYMBOL, "", [], [row], [Standing(row.direction, meaning)], [], [], [])
    said = [line for line in map(str, why.lines(answer)) if not line.startswith(SYMBOL)]
    assert any(meaning in line for line in said)
    for line in said:
        assert cell_len(line) <= COLUMNS, line


def test_what_is_too_long_goes_on_below_and_further_in() -> None:
    out = io.StringIO()
    console = Console(file=out, width=40, force_terminal=True, color_system=None)
    words = "spot is without a time of its exchange, jumped, alone among the sources of its coin"
    say(console, f"  {words}")
    say(console, Text(f"  {words[:38]}"))
    first, *more, whole = out.getvalue().splitlines()
    assert first == "  spot is without a time of its exchange,"[:40].rsplit(" ", 1)[0]
    assert more
    assert all(line.startswith(" " * 6) and not line.startswith(" " * 7) for line in more)
    assert " ".join(" ".join([first, *more]).split()) == words
    assert whole == f"  {words[:38]}"
    assert all(line == line.rstrip() for line in (first, *more))
