"""What one target has been told, and what is to be told next.

Not a queue of messages but a state: what stands against what the target has taken. So nothing is
told twice, a target that was away gets one message for each thing and not a day of them, and what
began and ended meanwhile is told as "over". Lasting conditions come before events and have a
budget of their own (alerts/budget.py); where more is due than that allows, as much as the target
takes in one message goes into one that names each. Events beyond theirs are counted and summed up.

What a target refuses (4xx) is dropped if it was an event, a reminder or is over; what stands, and
the end of what was told, or may have been by a life that was killed before it could keep that, is
offered again: it may have been the target that was wrong, not the message, and only an offer can
tell. At what it fails (5xx) the same is done, and nothing is dropped.

What was not taken by itself is set aside, behind all else, and all of it is offered in rounds: in
one message first, as a target that is well again, or takes one now and then, is to be told all at
once. If that is not taken either, one by one until the target takes one, and from then on by
halves: it is some of the messages, then, and not the target. So nothing is dropped or waits for its
neighbour's sake. Several that are refused at once are halved without that: who refuses lives.

Neither halves nor rounds wait for the budget. What a target refuses has told nobody anything, and
whoever was to be told is not to wait for a budget that his neighbour's refusals have spent: within
a minute all is told that is taken, however much else is not. What they tell is taken off what
follows; what waits for that goes along with the next round.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from spread_scanner import clock
from spread_scanner.alerts import budget
from spread_scanner.alerts.desk import Story
from spread_scanner.alerts.rounds import ROUND_S_MAX, ROUND_S_MIN, Rounds
from spread_scanner.alerts.targets import TEXT_CHARS_MAX, Message
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Alerts as AlertSettings
from spread_scanner.schema.figures import lasting
from spread_scanner.view.conditions.condition import Condition

EVENTS_MAX = 200
ENTRIES_MAX = 1_000  # things that began and ended while the target was away
HEAD_CHARS = 40  # that several in one begin with

What = Literal["raised", "still", "cleared", "over"]
_ORDER: dict[What, int] = {"raised": 0, "cleared": 1, "over": 2, "still": 3}


class Entry(msgspec.Struct):
    """One lasting condition as this target knows it."""

    key: str
    text: str
    began_mono_ns: int = 0
    times: int = 1
    ended_mono_ns: int | None = None  # None: it stands
    told: bool = False  # the target knows that it stands
    perhaps_told: bool = False  # by an earlier life, which was gone before it could keep it
    said_mono_ns: int = 0  # when it was told last, in this life of the process
    tries: int = 0  # that failed: others go first
    refused: bool = False  # by itself, and counted
    party: int = 0  # goes out with these only, where several go at once; 0: with anybody
    patient: bool = False


class Parcel(NamedTuple):
    """What to send now, and what of it is to be marked when it is through."""

    message: Message
    due: tuple[tuple[What, Entry], ...]
    events: int  # of the waiting ones


class Ledger:
    """Call `take` with what stands, then `next` until it gives None, and `done` or `failed`."""

    def __init__(self, settings: AlertSettings, known: Iterable[Entry] = ()) -> None:
        self._settings = settings
        self.entries: dict[str, Entry] = {entry.key: entry for entry in known}
        for entry in self.entries.values():
            entry.said_mono_ns, entry.tries = clock.mono_ns(), 0
            entry.refused, entry.party = False, 0
            entry.perhaps_told = not entry.told
        self._events: deque[Message] = deque()
        self._held = 0  # events that nobody will get, since the last summary
        self._events_sent_ns: deque[int] = deque()
        self._rounds = Rounds()
        self._event_ns, self._event_wait_s = 0, ROUND_S_MIN  # no event before, after a failure
        self._parties = 0  # so far
        self._round = 0  # the party that a round begins with
        self._sweeps = False  # that round, if it is not taken
        self._aside: set[str] = set()  # was not taken by itself, and waits for a round
        self._doubted: set[str] = set()  # was not taken together, and goes one by one
        self._at_once = False  # all in one: the target wants few messages
        self._messages = budget.of_messages(settings.per_minute_max)
        self._refusals = budget.of_refusals()
        self.held_back = 0  # events beyond the budget
        self.dropped = 0  # lost, as too much was waiting

    @property
    def settings(self) -> AlertSettings:
        return self._settings

    @settings.setter
    def settings(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._messages.like(budget.of_messages(settings.per_minute_max))
        self._rounds.at_once()  # the settings may be what was wrong
        self._event_ns = 0

    @property
    def waiting(self) -> int:
        due = self._due(clock.mono_ns())
        return len(self._events) + sum(not entry.refused for _, entry in due)

    def take(self, raised: Mapping[str, Story], events: Iterable[Condition] = ()) -> None:
        """What stands now, and what has happened since the last call."""
        for key, story in raised.items():
            entry = self.entries.get(key)
            if entry is None:
                entry = self.entries[key] = Entry(key, story.text, story.began_mono_ns)
            entry.ended_mono_ns = None  # it may have ended and begun anew, untold
            entry.text, entry.times = story.text, max(entry.times, story.times)
            entry.patient = story.patient
        for key, entry in self.entries.items():
            if key not in raised and entry.ended_mono_ns is None:
                entry.ended_mono_ns = clock.mono_ns()
        self._bound()
        for event in events:
            self._event(event)

    def next(self, chars_max: int = TEXT_CHARS_MAX) -> Parcel | None:
        """What to send now, in texts of at most so many characters; None: nothing, or the budget
        is spent."""
        now_ns = clock.mono_ns()
        due = self._due(now_ns)
        self._aside &= {entry.key for _, entry in due}  # what is not due waits for no round
        fresh = [one for one in due if self._is_fresh(one[1])]
        room = self._messages.left
        if fresh and room >= 1:
            one_by_one = len(fresh) <= room and not self._at_once
            return self._single(fresh[0]) if one_by_one else self._several(fresh, chars_max)
        if self._refusals.left >= 1:
            parcel = self._offer(due, chars_max) or self._next_round(due, chars_max)
            if parcel is not None:
                return parcel
        return self._next_event(now_ns)

    def _is_fresh(self, entry: Entry) -> bool:
        return not entry.party and entry.key not in self._aside and entry.key not in self._doubted

    def _offer(self, due: list[tuple[What, Entry]], chars_max: int) -> Parcel | None:
        """What is being found out: who of several is not taken."""
        doubted = [one for one in due if one[1].key in self._doubted]
        if doubted:
            return self._single(doubted[0])
        self._doubted.clear()
        parted = [one for one in due if one[1].party]
        if not parted:
            return None
        party = parted[0][1].party
        return self._several([one for one in parted if one[1].party == party], chars_max)

    def _next_round(self, due: list[tuple[What, Entry]], chars_max: int) -> Parcel | None:
        """All that was set aside, if it is time, and what waits for the budget."""
        if not any(entry.key in self._aside for _, entry in due) or not self._rounds.due:
            return None
        self._rounds.begin()
        self._sweeps = self._rounds.may_sweep()
        self._part([entry for _, entry in due])
        self._round = self._parties
        return self._several(due, chars_max)

    def done(self, parcel: Parcel) -> None:
        """The target took it."""
        self._at_once = False
        self._gone(parcel)
        if not parcel.due:
            self._event_ns, self._event_wait_s = 0, ROUND_S_MIN
            return
        told = {entry.key for _, entry in parcel.due}
        if any(entry.tries for _, entry in parcel.due):  # the target has changed its mind
            self._rounds.at_once()
        for what, entry in parcel.due:
            self._said(what, entry)
        if told & self._doubted:  # it was not the target
            rest = self._doubted - told
            self._doubted.clear()
            self._halve([entry for entry in self.entries.values() if entry.key in rest])
        self._aside -= told
        self._messages.spend()

    def refused(self, parcel: Parcel) -> int:
        """The target will never take it; returns how many that stand or happened go untold."""
        self._gone(parcel)
        if not parcel.due:
            return 1
        if len(parcel.due) > 1:
            self._not_taken(parcel, alive=True)
            return 0
        what, entry = parcel.due[0]
        untold = not entry.refused
        entry.refused = True
        self._rounds.slow()
        self._not_taken(parcel, alive=True)
        if what == "still" or (what == "over" and not entry.perhaps_told):
            self._said(what, entry)
            self._aside.discard(entry.key)
        return int(untold)

    def failed(self, parcel: Parcel) -> None:
        """The target failed, at this or at anything: it is still to be sent, others go first."""
        if parcel.due:
            return self._not_taken(parcel, alive=False)
        if parcel.events:
            self._events.rotate(-1)
        self._event_ns = clock.mono_ns() + int(self._event_wait_s * NS_PER_S)
        self._event_wait_s = min(2 * self._event_wait_s, ROUND_S_MAX)

    def put_off(self) -> None:
        """The target takes nothing now, whatever it is: all that is due goes at once later on."""
        self._at_once = True

    def _not_taken(self, parcel: Parcel, *, alive: bool) -> None:
        self._refusals.spend()
        entries = [entry for _, entry in parcel.due]
        party = entries[0].party
        searched = party and party != self._round  # since it took something
        if len(entries) > 1 and (searched or (alive and not party)):
            return self._halve(entries)
        for entry in entries:
            entry.tries, entry.party = entry.tries + 1, 0
        keys = {entry.key for entry in entries}
        if len(entries) == 1:
            self._doubted -= keys
            self._aside |= keys
        elif self._sweeps if party else self._rounds.may_sweep():
            self._doubted |= keys
            self._aside -= keys
        elif not party:
            self._aside |= keys
        if self._aside:
            self._rounds.wanted()

    def _halve(self, entries: list[Entry]) -> None:
        """One of them is not taken, and the target does not say which: of one kind, perhaps."""
        entries.sort(key=lambda entry: entry.key)
        for entry in entries:
            entry.tries += 1
        half = len(entries) // 2
        self._part(entries[:half])
        self._part(entries[half:])

    def _part(self, entries: list[Entry]) -> None:
        """They go out with each other only."""
        self._parties += 1
        for entry in entries:
            entry.party = self._parties

    def _said(self, what: What, entry: Entry) -> None:
        entry.tries, entry.refused, entry.party = 0, False, 0
        entry.said_mono_ns, entry.perhaps_told = clock.mono_ns(), False
        if what in ("raised", "still"):
            entry.told = True
        elif entry.ended_mono_ns is not None:
            self.entries.pop(entry.key, None)
        else:
            entry.told = False  # its end was told while it came back: it is to be told anew

    def _gone(self, parcel: Parcel) -> None:
        """Events that have left are not sent again, nor are they free."""
        if parcel.message.event == "summary":
            self._held = 0
        for _ in range(parcel.events):
            self._events.popleft()
        if not parcel.due:
            self._events_sent_ns.append(clock.mono_ns())

    def _due(self, now_ns: int) -> list[tuple[What, Entry]]:
        found = [
            (what, entry)
            for entry in self.entries.values()
            if (what := self._what(entry, now_ns)) is not None
        ]
        return sorted(found, key=lambda one: (one[1].tries, _ORDER[one[0]], one[1].began_mono_ns))

    def _what(self, entry: Entry, now_ns: int) -> What | None:
        if entry.ended_mono_ns is not None:
            return "cleared" if entry.told else "over"
        if not entry.told:
            return "raised"
        limits = self.settings
        repeat_s_min = limits.repeat_patient_s_min if entry.patient else limits.repeat_s_min
        due = repeat_s_min and now_ns - entry.said_mono_ns >= repeat_s_min * NS_PER_S
        return "still" if due else None

    def _single(self, one: tuple[What, Entry]) -> Parcel:
        return Parcel(_message(*one), (one,), 0)

    def _several(self, due: list[tuple[What, Entry]], chars_max: int) -> Parcel:
        """As many in one as the target takes: what is cut off would count as told."""
        parts: list[Message] = []
        lines: list[str] = []
        chars = HEAD_CHARS
        for what, entry in due:
            part = _message(what, entry)
            line = f"{part.event}: {part.text}"
            chars += len(line) + 1
            if parts and chars > chars_max:
                break
            parts.append(part)
            lines.append(line)
        told = tuple(due[: len(parts)])
        if len(parts) == 1:
            return self._single(due[0])
        text = f"{len(parts)} at once\n" + "\n".join(lines)
        return Parcel(Message("several", "several", text, clock.wall_ns(), tuple(parts)), told, 0)

    def _next_event(self, now_ns: int) -> Parcel | None:
        if now_ns < self._event_ns:
            return None
        sent = self._events_sent_ns
        while sent and now_ns - sent[0] >= 60 * NS_PER_S:
            sent.popleft()
        if len(sent) >= self.settings.per_minute_max:
            self._hold_back(len(self._events))
            return None
        if self._held:
            text = f"{self._held} more alerts were held back"
            return Parcel(Message("summary", "held", text, clock.wall_ns()), (), 0)
        return Parcel(self._events[0], (), 1) if self._events else None

    def _hold_back(self, count: int) -> None:
        """Old news: counted instead of told."""
        for _ in range(count):
            self._events.popleft()
        self._held += count
        self.held_back += count

    def _event(self, event: Condition) -> None:
        if len(self._events) >= EVENTS_MAX:
            self._events.popleft()
            self._held += 1
            self.dropped += 1
        self._events.append(Message("event", event.key, event.text, clock.wall_ns()))

    def _bound(self) -> None:
        over = [
            (entry.ended_mono_ns, entry.key)
            for entry in self.entries.values()
            if entry.ended_mono_ns is not None
        ]
        for _, key in sorted(over)[: max(0, len(over) - ENTRIES_MAX)]:
            del self.entries[key]
            self.dropped += 1


def _message(what: What, entry: Entry) -> Message:
    text = entry.text
    if entry.times > 1:
        text += f" (came {entry.times} times)"
    until_ns = clock.mono_ns() if entry.ended_mono_ns is None else entry.ended_mono_ns
    lasted = lasting(max(0, until_ns - entry.began_mono_ns) / NS_PER_S)
    if what == "still":
        text = f"still, for {lasted}: {text}"
    elif what == "cleared":
        text = f"after {lasted}: {text}"
    elif what == "over":
        text = f"it stood for {lasted} and is over: {text}"
    return Message(what, entry.key, text, clock.wall_ns())
