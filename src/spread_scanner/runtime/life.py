"""When a connection has to go, and when its successor has to come: rules without sockets or clocks.

Used by whoever keeps connections (feed/line.py, pools/trusted.py), who pass in what was heard. All
times are monotonic ns. When a quote may still be believed is decided long before, in pulse.py and
feed/freshness.py.
"""

from enum import Enum
from typing import NamedTuple

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.exchanges.adapter import PingRule
from spread_scanner.runtime.pulse import PING_EVERY_S, Seen


class End(Enum):
    """Why a connection ended."""

    LOST = "lost"  # by the other side or the network
    FROZEN = "fell silent"
    UNHEARD = "nothing heard, not even an answer to pings"
    NO_DATA = "no quote at all"
    BAD_STREAK = "too many bad messages in a row"
    REFUSED = "refused without naming a symbol"
    SWAPPED = "replaced by its successor"
    STOPPED = "stopped"
    ASLEEP = "the machine was asleep"


class LifeRules(NamedTuple):
    """The limits of a connection's life."""

    bad_in_row_max: int
    first_quote_ns_max: int
    frozen_ns_min: int
    frozen_intervals_max: float
    unanswered_ns_max: int
    life_ns: int | None  # its successor is called after this


class Stood:
    """How long a connection has stood with data of its own: what may let a back-off fall."""

    def __init__(self) -> None:
        self._counted = 0

    def more(self, opened_ns: int, data_ns: int, stood_ns: int) -> int:
        """How many spans of `stood_ns` have passed since the last call, up to the last quote."""
        spans = max(data_ns - opened_ns, 0) // stood_ns if data_ns else 0
        more, self._counted = spans - self._counted, max(spans, self._counted)
        return max(more, 0)


def ping_every_s(ping: PingRule) -> float:
    return ping.interval_s if ping.text is not None else PING_EVERY_S


def rules_of(settings: Feed, lifetime_s: float | None, jitter: float = 0.0) -> LifeRules:
    """`lifetime_s`: when the other side cuts it, None: never. `jitter`, 0 to 1, spreads the planned
    ends of connections that were opened together."""
    life_ns = None
    if lifetime_s is not None:
        before_s = min(settings.swap_before_s * (1.0 + 0.5 * jitter), lifetime_s / 2)
        life_ns = int((lifetime_s - before_s) * NS_PER_S)
    return LifeRules(
        settings.bad_messages_in_row_max,
        int(settings.first_quote_s_max * NS_PER_S),
        settings.frozen_ms_min * NS_PER_MS,
        settings.silent_intervals_max,
        settings.unanswered_ms_max * NS_PER_MS,
        life_ns,
    )


class Life:
    """One connection's life. `must_quote`: it carries symbols that are known to quote."""

    def __init__(self, rules: LifeRules, opened_ns: int, *, must_quote: bool) -> None:
        self.rules = rules
        self.opened_ns = opened_ns
        self.must_quote = must_quote
        self.notice = False  # the exchange has said that it will cut this connection
        self.spent = False  # it may ask no more for a long time, and has something to ask

    def verdict(self, now_ns: int, seen: Seen, unanswered_ns: int, slowdown: float) -> End | None:
        """Why it has to end now, or None. `slowdown`: by how much its siblings are slower now.

        `unanswered_ns`: the oldest ping that should have been answered by now, 0 for none.
        """
        rules = self.rules
        if seen.bad_in_row >= rules.bad_in_row_max:
            return End.BAD_STREAK
        if unanswered_ns and now_ns - unanswered_ns > rules.unanswered_ns_max:
            return End.UNHEARD
        if seen.data_ns == 0:
            waited_ns = now_ns - self.opened_ns
            return End.NO_DATA if self.must_quote and waited_ns > rules.first_quote_ns_max else None
        if seen.mean_read_ns == 0.0:
            return None  # what it is used to is not known: it answers its pings
        own_ns = seen.mean_read_ns * rules.frozen_intervals_max * slowdown
        if now_ns - seen.data_ns > max(rules.frozen_ns_min, own_ns):
            return End.FROZEN
        return None

    def wants_successor(self, now_ns: int) -> bool:
        life_ns = self.rules.life_ns
        old = life_ns is not None and now_ns - self.opened_ns > life_ns
        return self.notice or self.spent or old
