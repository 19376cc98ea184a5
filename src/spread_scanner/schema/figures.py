"""Numbers as people read them: digits and a point, no exponents. Read by reports and screens.

A report is searched and copied from (a proposed multiplier goes into the settings), so a number
stands there as one would write it.
"""

import math
from collections.abc import Sequence

import numpy as np


def plain(value: float, digits: int = 6) -> str:
    """So many significant digits: 1000000, 0.0000012345, 11000; "nan" where there is none.

    What is larger than its digits keeps its magnitude: 127000000, not 1.27e+08.
    """
    if not math.isfinite(value):
        return str(value)
    value += 0.0  # minus zero is zero
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def grouped(value: float, digits: int = 6) -> str:
    """As `plain`, with thousands apart: 100,000."""
    whole, point, rest = plain(abs(value), digits).partition(".")
    sign = "-" if value < 0 else ""
    return f"{sign}{int(whole):,}{point}{rest}" if whole.isdigit() else plain(value, digits)


def few(names: Sequence[str], most: int) -> str:
    """The first names of many, and how many more there are: "a, b and 1,000 more"."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def amount(value: float | None) -> str:
    """In quote coins, in no more than seven characters up to 100,000 billions."""
    if value is None:
        return "-"
    steps = ((100, 1, ""), (1e5, 1, ""), (1e8, 1e3, "k"), (1e11, 1e6, "M"), (1e14, 1e9, "B"))
    for limit, unit, sign in steps:
        if abs(value) < limit:
            return f"{value / unit:z,.{2 if limit == 100 else 0}f}{sign}"
    return plain(value, 1)


def share(value: float | None) -> str:
    """In whole per cent; all is 100 and none is 0, and nothing else."""
    if value is None:
        return "-"
    if 0.995 <= value < 1.0:
        return ">99 %"
    return "<1 %" if 0.0 < value <= 0.005 else f"{100 * value:.0f} %"


def lasting(seconds: float) -> str:
    """How long something takes, took or stands: 119 s, 2 min, 3 h, 2 days."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:z.0f} {unit}"
    return f"{seconds:z.0f} s"


def ago(age_s: float) -> str:
    """How long ago. Below zero: by another clock, or by this one before it was set back."""
    return f"{lasting(abs(age_s))} {'ago' if age_s > -1 else 'ahead of this clock'}"
