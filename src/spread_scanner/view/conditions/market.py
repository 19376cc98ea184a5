"""What is wrong with quotes: a source's that cannot be used, a pair's that cannot be true; and with
what is known of them: what leaving usually earns, too old to count on.
"""

import math
from collections.abc import Iterator, Sequence

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.settings import Engine
from spread_scanner.schema import costs
from spread_scanner.schema.names import ENGINE
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.view import evaluations
from spread_scanner.view.blocked import BlockedPair
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.processes import ProcessView
from spread_scanner.view.sources import SourceView
from spread_scanner.view.symbols import NamesThen

STALE_SHARE_MAX = 0.5
FIRST_QUOTES_S = 30.0  # a feed that starts has none
AGAIN_NS = 5 * NS_PER_S  # one price that is absurd for a moment is none's business
NOT_KEPT_S = 300.0  # an engine keeps it once a minute
KEPT_S = 180.0  # feeds that come up, and what is learned that is adopted and kept once a minute
GONE_NS = 60 * NS_PER_S


def of_sources(views: Sequence[SourceView], hung: set[str]) -> Iterator[Condition]:
    """Sources more than half of whose quotes cannot be stood behind, though their feed lives. One
    that is paused has none on purpose, one whose feed hangs is told of as that.
    """
    for one in views:
        if not one.enabled or not one.alive or one.paused or one.process in hung:
            continue
        if not one.quoted:
            text = f"{one.source} has no quotes"
            key = f"stale:{one.source}"
            yield Condition(key, text, stands_s=FIRST_QUOTES_S, process=one.process)
            continue
        share = 1 - one.usable / one.quoted
        if share > STALE_SHARE_MAX:
            text = f"{one.source}: {share:z.0%} of {one.quoted} quotes cannot be stood behind"
            yield Condition(f"stale:{one.source}", text)


def of_usual(
    views: Sequence[ProcessView], age_s: float | None, half_life_s: float
) -> Iterator[Condition]:
    """While the engine runs it keeps what leaving usually earns; what it kept last is `age_s` old,
    None: nothing is there. Further than a half-life from now it is not taken up by the next
    start."""
    if not any(view.process == ENGINE and view.state == "running" for view in views):
        return
    if age_s is None:
        text = "what leaving usually earns is not kept: after a restart it is learned anew"
        yield Condition("usual", text, stands_s=NOT_KEPT_S, process=ENGINE)
    elif abs(age_s) > half_life_s:
        hours = f"{abs(age_s) / 3_600:z.1f} h"
        when = f"{hours} ago, too long to count" if age_s > 0 else f"by a clock {hours} ahead"
        yield Condition("usual", f"what leaving usually earns was last kept {when}")


def of_learning(
    views: Sequence[ProcessView], known: int, pairs: int, settings: Engine
) -> Iterator[Condition]:
    """While the engine runs and knows of no pair what leaving usually earns, it signals nothing:
    after a first start, and after one that found a table older than a half-life. That it learns is
    as it should be; it is wrong when that takes longer than it does, or can have no end."""
    running = any(view.process == ENGINE and view.state == "running" for view in views)
    if not running or not pairs or known:
        return
    text = "what leaving usually earns is known of no pair: nothing is signalled"
    learned_s = costs.trusted_after_s(settings.basis_half_life_s, settings.basis_trust_s)
    if math.isinf(learned_s):
        learned_s, text = 0.0, f"{text}, as no pair ever weighs basis_trust_s"
    yield Condition("learning", text, stands_s=learned_s + KEPT_S, process=ENGINE)


def of_blocked(found: Sequence[BlockedPair], settings: Settings) -> Iterator[Condition]:
    """Pairs that the engine has blocked as implausible; also while it does not run, as its next
    start blocks them, too. Those that are switched off would signal nothing as it is."""
    by_symbol: dict[str, list[str]] = {}
    for one in found:
        if not settings.signals(one.direction, one.symbol):
            continue
        by_symbol.setdefault(one.symbol, []).append(f"{one.direction} {one.gross_bps:z,.0f} bps")
    for symbol, apart in by_symbol.items():
        text = f"{symbol}: stayed apart, {', '.join(apart)}: blocked until discovery judges anew"
        yield Condition(f"blocked:{symbol}", text)


class ImplausibleWatch:
    """Pairs so far apart, again and again, that the legs are not one coin: a redenomination, a coin
    that was swapped, a wrong multiplier. Nothing is signalled on them; discovery, which would put
    them into quarantine, may be hours away.
    """

    def __init__(self, kept: Evaluations, names: NamesThen) -> None:
        self._kept, self._names = kept, names
        self._first_ns: dict[tuple[str, str], int] = {}

    def now(self, session_ns: int) -> Iterator[Condition]:
        """`session_ns`: the time now, on the session clock. The engine keeps what it has found, so
        a first look knows of the last minute, too."""
        found = evaluations.implausible(self._kept, self._names, session_ns - GONE_NS)
        latest = {(one.symbol, one.direction): one for one in reversed(found)}
        oldest = {(one.symbol, one.direction): one.ts_engine for one in found}
        self._first_ns = {
            pair: min(first_ns, self._first_ns.get(pair, first_ns))
            for pair, first_ns in oldest.items()
        }
        by_symbol: dict[str, list[str]] = {}
        for (symbol, direction), one in sorted(latest.items()):
            if one.ts_engine - self._first_ns[symbol, direction] >= AGAIN_NS:
                by_symbol.setdefault(symbol, []).append(f"{direction} {one.gross_bps:z,.0f} bps")
        for symbol, apart in by_symbol.items():
            text = f"{symbol}: {', '.join(apart)}: not one coin at one time, nothing is signalled"
            yield Condition(f"implausible:{symbol}", text)
