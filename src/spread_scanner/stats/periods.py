"""How many bars an indicator looks back."""

from typing import NamedTuple


class Periods(NamedTuple):
    """In bars; `deviations` from the middle to a Bollinger band."""

    rsi: int = 14
    ema: int = 20
    bollinger: int = 20
    deviations: float = 2.0
