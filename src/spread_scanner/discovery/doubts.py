"""Whether a source's lists are believed: under maintenance an exchange lists little, status 200.

A source that has lost more than `lost_pct_max` of the listings in the tables, because they are
listed, trading or quoted no more or are refused by its websocket, counts as away: its last known
listings are kept. It is believed when two full runs, `lost_again_s_min` apart, have seen the same,
or when a person says so (--accept). One that has lost everything is believed by --accept alone.
Quick looks are no runs: they judge nobody.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.discovery.answers import Listed, alive
from spread_scanner.schema.enums import SOURCES
from spread_scanner.symbology.known import Doubt, Known
from spread_scanner.symbology.tables import Tables

ACCEPT = "spread-ctl discover --accept"


@dataclass
class Doubts:
    """One run's judgement of all sources."""

    had: Mapping[str, Collection[str]]  # listings in the previous tables, by source label
    before: Mapping[str, Doubt]
    now_wall_ns: int
    lost_pct_max: float
    again_s_min: float
    accept: bool = False
    _left: dict[str, set[str]] = field(default_factory=dict)
    _found: dict[str, Doubt | None] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)

    def reason(self, label: str, left: Collection[str], seen: str) -> str:
        """Why a source that has these of its listings left is not believed; empty: it is.

        `seen` says in a few words what its lists hold.
        """
        self._notes.pop(label, None)
        had = set(self.had.get(label, ()))
        kept = had & set(left)
        lost = len(had) - len(kept)
        self._left[label], self._found[label] = kept, None
        if lost * 100 <= self.lost_pct_max * len(had):
            return ""
        what = f"{lost} of {len(had)} listings are gone at once ({seen})"
        if self.accept:
            self._notes[label] = f"{label}: {what}: accepted"
            return ""
        since_ns = self._since_ns(label, had, kept)
        age_s = (self.now_wall_ns - since_ns) / NS_PER_S
        if kept and since_ns < self.now_wall_ns and age_s >= self.again_s_min:
            self._notes[label] = f"{label}: {what}, as they were {age_s / 60:.0f} min ago: believed"
            return ""
        self._found[label] = Doubt(since_ns, tuple(sorted(kept)))
        again = f"another full run {self.again_s_min / 60:.0f} min later, or " if kept else ""
        return f"{what}: not believed without {again}{ACCEPT}"

    def again(self, label: str, gone: Collection[str], seen: str) -> str:
        """The same, when more has gone since: refused by the websocket, or silent there too."""
        judged = label in self._found
        if judged and self._found[label] is not None:
            return "its lists are not believed either"
        left = self._left.get(label, set(self.had.get(label, ()))) - set(gone)
        reason = self.reason(label, left, seen)
        if not judged and not reason:  # it was not reached: an earlier doubt stands
            del self._found[label]
        return reason

    def _since_ns(self, label: str, had: set[str], kept: set[str]) -> int:
        """When this was first seen: now, unless an earlier run saw the same."""
        before = self.before.get(label)
        if before is None or before.since_wall_ns > self.now_wall_ns:  # or the clock was set back
            return self.now_wall_ns
        then = had & set(before.left)
        alike = len(then ^ kept) * 100 <= self.lost_pct_max * len(then | kept)
        return before.since_wall_ns if alike else self.now_wall_ns

    @property
    def notes(self) -> list[str]:
        """What was believed though it lost much."""
        return list(self._notes.values())

    def standing(self, label: str) -> Doubt | None:
        """What the next run is to know; of a source that was not judged, what stood before."""
        return self._found[label] if label in self._found else self.before.get(label)


def doubts_of(
    settings: Settings, previous: Tables | None, known: Known, now_wall_ns: int, *, accept: bool
) -> Doubts:
    """The judge of a full run that follows these tables."""
    section = settings.config.pair_discovery
    had: dict[str, list[str]] = {}
    for row in previous.instruments if previous is not None else ():
        had.setdefault(SOURCES[row.source_id].label, []).append(row.exchange_symbol)
    before = {label: source.doubt for label, source in known.sources.items() if source.doubt}
    return Doubts(had, before, now_wall_ns, section.lost_pct_max, section.lost_again_s_min, accept)


def doubt_lists(doubts: Doubts, listed: Sequence[Listed]) -> None:
    """A source whose lists are not believed has failed, as if it had not been reached."""
    for row in listed:
        if row.failure:
            continue
        trading = {raw.exchange_symbol for raw in row.instruments if alive(raw)}
        left = trading & row.quotes.keys()
        seen = f"{len(row.instruments)} listed, {len(trading)} trading, {len(left)} of them quoted"
        row.failure = doubts.reason(row.source.label, left, seen)
        row.doubted = bool(row.failure)
