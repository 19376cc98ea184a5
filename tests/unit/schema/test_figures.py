"""Numbers for people: no exponents, thousands apart where they are read and not copied."""

import math

import pytest

from spread_scanner.schema.figures import ago, few, grouped, plain


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


@pytest.mark.parametrize(
    ("age_s", "said"),
    [
        (119.0, "119 s ago"),
        (120.0, "2 min ago"),
        (7_300.0, "2 h ago"),
        (2e5, "2 days ago"),
        (-0.4, "0 s ago"),
        (-0.9, "1 s ago"),
        (-200.0, "3 min ahead of this clock"),
    ],
)
def test_an_age_is_never_below_zero(age_s: float, said: str) -> None:
    assert ago(age_s) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, ""),
        (1, "n0"),
        (3, "n0, n1, n2"),
        (4, "n0, n1, n2 and 1 more"),
        (1_003, "n0, n1, n2 and 1,000 more"),
    ],
)
def test_of_many_names_the_first_are_said_and_how_many_more_there_are(
    count: int, said: str
) -> None:
    assert few([f"n{number}" for number in range(count)], 3) == said
