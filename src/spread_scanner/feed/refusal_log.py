"""What an exchange refuses is said in lines that are few: of a burst of answers one for each kind.

Used by Connection. An exchange may answer each symbol of a request by itself (OKX), or take one
symbol a request (MEXC futures): three hundred that are refused for one reason are one line with
their count, the first names, and the words of the first. Pure; times are monotonic ns.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.exchanges.adapter import Refused
from spread_scanner.feed.share import NAMES_LOGGED_MAX

WAIT_NS_MAX = 5 * NS_PER_S  # what was refused first is not kept back for longer, whatever follows
TEXT_MAX = 200


class _Burst(NamedTuple):
    words: str  # of the first answer
    answers: int
    symbols: int
    first: tuple[str, ...]


class RefusalLog:
    """One connection's. `warn` writes a line."""

    def __init__(self, warn: Callable[..., object]) -> None:
        self._warn = warn
        self._bursts: dict[tuple[str, str], _Burst] = {}
        self._since_ns = 0

    def take(self, event: Refused, exchange_symbols: Sequence[str], now_ns: int) -> None:
        """An answer, and the symbols that it is known to mean."""
        key = event.kind.value, event.code
        if not self._bursts:
            self._since_ns = now_ns
        burst = self._bursts.get(key) or _Burst(event.message[:TEXT_MAX], 0, 0, ())
        self._bursts[key] = _Burst(
            burst.words,
            burst.answers + 1,
            burst.symbols + len(exchange_symbols),
            (*burst.first, *exchange_symbols)[:NAMES_LOGGED_MAX],
        )

    def say(self, now_ns: int, *, more: bool) -> None:
        """Write what was taken. `more`: answers to the same burst may still come."""
        if more and now_ns - self._since_ns < WAIT_NS_MAX:
            return
        for (kind, code), burst in self._bursts.items():
            self._warn(
                "refused",
                kind=kind,
                answers=burst.answers,
                symbols=burst.symbols,
                first=list(burst.first),
                code=code,
                message=burst.words,
            )
        self._bursts = {}
