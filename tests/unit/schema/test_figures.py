"""Numbers for people: no exponents, thousands apart where they are read and not copied."""

import math

import pytest

from spread_scanner.schema.figures import grouped, plain


@pytest.mark.parametrize(
    ("value", "alone", "apart"),
    [
        (100_000.0, "100000", "100,000"),
        (1e9, "1000000000", "1,000,000,000"),
        (1_234.5, "1234.5", "1,234.5"),
        (0.0000012345, "0.0000012345", "0.0000012345"),
        (-11_000.0, "-11000", "-11,000"),
        (-0.5, "-0.5", "-0.5"),
        (0.0, "0", "0"),
        (-0.0, "0", "0"),
        (math.inf, "inf", "inf"),
    ],
)
def test_numbers_are_written_out(value: float, alone: str, apart: str) -> None:
    assert (plain(value), grouped(value)) == (alone, apart)
