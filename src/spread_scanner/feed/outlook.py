"""How a feed is, in a state and a sentence, for its health row: who is away, and why.

Used by the feed at each check; pure but for the memory of when all was well. `spread-ctl status`
shows the sentence and ends with 1 when the state is DEGRADED; alerts carry it.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from spread_scanner.clock import NS_PER_S
from spread_scanner.runtime.gate import Ban
from spread_scanner.schema.enums import ProcessState

AWAY_NS = 10 * NS_PER_S  # what is away for longer is worth a word
DEGRADED_SHARE = 0.5  # of the lines away for so long: the source is not well


class LineLike(Protocol):
    """What is looked at of a line."""

    away: str  # why it does not serve; empty: it does, or never was away
    barren: bool  # the exchange takes its connections, and gives nothing on them

    @property
    def carried(self) -> bool:
        """A connection is open."""


def serves(line: LineLike) -> bool:
    """Whether quotes come by a line, or may be waited for."""
    return line.carried and not line.barren


class FeedState(NamedTuple):
    """State and message of the health row."""

    state: ProcessState
    message: str


class Outlook:
    """Keeps since when each line is away."""

    def __init__(self) -> None:
        self._there_ns: dict[LineLike, int] = {}

    def look(
        self,
        lines: Sequence[LineLike],
        ban: Ban | None,
        now_ns: int,
        refusal: str = "",
        by_rest: Ban | None = None,
    ) -> FeedState:
        """RUNNING or DEGRADED, and the reason for whatever is not as it should be.

        `refusal` is what the exchange says where it refuses all that is asked for; `by_rest` is a
        ban that something waits for which has to be asked by REST.
        """
        there_ns = {
            line: now_ns if serves(line) else self._there_ns.get(line, now_ns) for line in lines
        }
        self._there_ns = there_ns
        away = [line for line in lines if now_ns - there_ns[line] > AWAY_NS]
        if refusal:
            return FeedState(ProcessState.DEGRADED, f"every subscription is refused: {refusal}")
        if away:
            why = str(ban) if ban is not None else next((one.away for one in away if one.away), "")
            if len(away) == len(lines):
                barren = all(one.barren for one in away)
                what = "nothing comes from" if barren else "no connection to"
                what += " the exchange"
            else:
                what = f"{len(away)} of {len(lines)} connections away"
            degraded = len(away) >= DEGRADED_SHARE * len(lines)
            state = ProcessState.DEGRADED if degraded else ProcessState.RUNNING
            return FeedState(state, f"{what}: {why}" if why else what)
        if ban is not None:
            return FeedState(ProcessState.RUNNING, str(ban))
        if by_rest is not None:
            return FeedState(ProcessState.RUNNING, f"by REST: {by_rest}")
        return FeedState(ProcessState.RUNNING, "")
