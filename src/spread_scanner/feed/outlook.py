"""How a feed is, in a state and a sentence, for its health row: who is away, and why.

Used by the feed at each check; pure but for the memory of when all was well. `spread-ctl status`
shows the sentence and ends with 1 when the state is DEGRADED; alerts carry it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from spread_scanner.clock import NS_PER_S
from spread_scanner.runtime.gate import Ban
from spread_scanner.schema.enums import ProcessState

AWAY_NS = 10 * NS_PER_S  # what is away for longer is worth a word
DEGRADED_SHARE = 0.5  # of the lines away for so long: the source is not well
LISTED = re.compile(r"\[[^\]]*\]")  # in a refusal: the symbols, of which there may be hundreds


class LineLike(Protocol):
    """What is looked at of a line."""

    away: str  # why it does not serve; empty: it does, or never was away
    barren: bool  # the exchange takes its connections, and gives nothing on them
    refusal: str  # the exchange's words, while it refuses all that is asked for there

    @property
    def carried(self) -> bool:
        """A connection is open."""


def serves(line: LineLike) -> bool:
    """Whether quotes come by a line, or may be waited for."""
    return line.carried and not line.barren and not line.refusal


class FeedState(NamedTuple):
    """State and message of the health row."""

    state: ProcessState
    message: str


class Outlook:
    """Keeps since when each line does not serve."""

    def __init__(self) -> None:
        self._there_ns: dict[LineLike, int] = {}

    def look(
        self,
        lines: Sequence[LineLike],
        ban: Ban | None,
        now_ns: int,
        by_rest: Ban | None = None,
    ) -> FeedState:
        """RUNNING or DEGRADED, and the reason for whatever is not as it should be.

        `by_rest` is a ban that something waits for which has to be asked by REST.
        """
        there_ns = {
            line: now_ns if serves(line) else self._there_ns.get(line, now_ns) for line in lines
        }
        self._there_ns = there_ns
        refused = [line for line in lines if line.refusal]
        away = [line for line in lines if not line.refusal and now_ns - there_ns[line] > AWAY_NS]
        absence = _absence(away, len(lines), ban) if away else ""
        if refused and len(refused) + len(away) == len(lines):
            words = LISTED.sub("[...]", refused[0].refusal)
            said = f"every subscription is refused: {words}"
            return FeedState(ProcessState.DEGRADED, f"{said}; {absence}" if absence else said)
        if absence:
            degraded = len(away) >= DEGRADED_SHARE * len(lines)
            return FeedState(ProcessState.DEGRADED if degraded else ProcessState.RUNNING, absence)
        if ban is not None:
            return FeedState(ProcessState.RUNNING, str(ban))
        if by_rest is not None:
            return FeedState(ProcessState.RUNNING, f"by REST: {by_rest}")
        return FeedState(ProcessState.RUNNING, "")


def _absence(away: Sequence[LineLike], lines: int, ban: Ban | None) -> str:
    """How many of the lines are away, and why."""
    why = str(ban) if ban is not None else next((one.away for one in away if one.away), "")
    if len(away) == lines:
        barren = all(one.barren for one in away)
        what = f"{'nothing comes from' if barren else 'no connection to'} the exchange"
    else:
        what = f"{len(away)} of {lines} connections away"
    return f"{what}: {why}" if why else what
