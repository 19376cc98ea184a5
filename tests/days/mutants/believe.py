"""Mends of believing, undone: dead connections, symbols carried no longer, late and odd news."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from mutants.undo import put

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.engine import plan
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import TS_IMPOSSIBLE, RawQuote
from spread_scanner.feed import feed, levels, listings
from spread_scanner.feed._listener import FLAGS, BestLag
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.freshness import Lasting
from spread_scanner.feed.halts import Halts
from spread_scanner.feed.marks import Marks
from spread_scanner.feed.typed import TypedTier
from spread_scanner.runtime.pulse import Pulse, Seen
from spread_scanner.schema.freshness import Mask
from spread_scanner.schema.records import TS_ABSENT

BELIEVED_NS = 10 * NS_PER_S


@contextlib.contextmanager
def quoted_once_is_covered() -> Iterator[None]:
    """What a connection has ever quoted it is held to carry."""

    def covered(self: Connection, *, planned: bool) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = self.listener.quoted.astype(np.bool_)
        return found

    with put(Connection, "covered", covered), put(Connection, "forget", lambda *_: None):
        yield


@contextlib.contextmanager
def who_carries_it_is_believed() -> Iterator[None]:
    """What a silent connection leaves is as good as the one is that it is left to."""

    def no_longer(self: Marks, silent: Mask, beside: Mask) -> Mask:
        over = (self._silent | beside) & ~silent
        self._share.board.unmark(np.flatnonzero(over), FLAGS["SILENT"])
        return np.zeros_like(silent)

    with put(Marks, "_no_longer", no_longer):
        yield


@contextlib.contextmanager
def believed_for_ten_seconds() -> Iterator[None]:
    """A connection that is dead is believed until it is given up."""

    def silent(self: Pulse, now_ns: int, seen: Seen, *_: Any) -> bool:
        return now_ns - seen.frame_ns > BELIEVED_NS

    with put(Pulse, "_silent", silent):
        yield


@contextlib.contextmanager
def lag_from_what_is_usual_now() -> Iterator[None]:
    """The best lag follows whatever comes: a backlog is soon the new best."""
    begin = Connection.__init__

    def relative(self: Connection, share: Any, *rest: Any, **more: Any) -> None:
        begin(self, share, *rest, **more)
        share.board.best.drifts(1e6)

    with put(Connection, "__init__", relative):
        yield


@contextlib.contextmanager
def clocks_do_not_drift() -> Iterator[None]:
    """The best lag never rises: two clocks that go apart are a backlog."""

    def rigid(drift_ppm: float) -> BestLag:
        return BestLag(0.0)

    with put(feed, "BestLag", rigid):
        yield


@contextlib.contextmanager
def one_message_is_the_best() -> Iterator[None]:
    """The least lag ever seen is what lag counts from, whoever it was of."""

    def credulous(drift_ppm: float) -> BestLag:
        return BestLag(drift_ppm, kept=1, windows=1)

    with put(feed, "BestLag", credulous):
        yield


@contextlib.contextmanager
def each_life_learns_the_best_anew() -> Iterator[None]:
    """A feed that is started again knows nothing of what its source was behind until then."""
    with put(levels, "recall_lag", lambda *_: None):
        yield


@contextlib.contextmanager
def who_left_speaks_for_the_order() -> Iterator[None]:
    """A connection that brings a symbol no longer is held to be the one whose ids rise."""
    with put(Connection, "_let_go", lambda *_: None):
        yield


@contextlib.contextmanager
def all_is_judged() -> Iterator[None]:
    """New tables have judged any price, also what was heard after their run had asked."""
    with put(levels, "_has_level", lambda _: False):
        yield


@contextlib.contextmanager
def unread_is_ignored() -> Iterator[None]:
    """A message that cannot be read says nothing of what stands."""
    with put(Connection, "_doubt", lambda *_: None):
        yield


@contextlib.contextmanager
def typed_only() -> Iterator[None]:
    """No mend undone: all quotes come by Python, where what the others undo can be reached."""
    made = vars(listings)["Decoder"]

    def empty(_: object, *rest: Any, **more: Any) -> Any:
        return made((), *rest, **more)

    with put(listings, "Decoder", empty):
        yield


@contextlib.contextmanager
def silences_teach_rates() -> Iterator[None]:
    """A silence is an interval like any other, whoever had to be asked again."""
    with put(Connection, "_asked_again", lambda *_: None):
        yield


@contextlib.contextmanager
def pauses_teach_in_full() -> Iterator[None]:
    """A symbol's rate is of all its pauses, however far out of line one was."""
    with put(feed, "silence_rule", lambda _: (0, math.inf)):
        yield


@contextlib.contextmanager
def lag_from_the_envelope() -> Iterator[None]:
    """The engine's time is not read: a message is as old as the time of its sending."""
    take = TypedTier.quote

    def deaf(self: TypedTier, raw: RawQuote) -> None:
        take(self, raw._replace(ts_engine=TS_ABSENT))

    with typed_only(), put(TypedTier, "quote", deaf):
        yield


@contextlib.contextmanager
def an_empty_side_is_as_before() -> Iterator[None]:
    """What a message leaves out of a book stands as it stood."""
    take = TypedTier.quote

    def whole(self: TypedTier, raw: RawQuote) -> None:
        row = self._share.instruments.get(raw.exchange_symbol)
        own = self._share.board.writer.own(row.symbol_id) if row is not None else None
        if row is not None and own is not None:
            if math.isnan(raw.bid_px):
                raw = raw._replace(bid_px=own.bid_px * row.px_div, bid_sz=own.bid_sz / row.sz_mul)
            if math.isnan(raw.ask_px):
                raw = raw._replace(ask_px=own.ask_px * row.px_div, ask_sz=own.ask_sz / row.sz_mul)
        take(self, raw)

    with put(TypedTier, "quote", whole):
        yield


@contextlib.contextmanager
def any_price_is_of_its_level() -> Iterator[None]:
    """What a coin cost until now says nothing of what it costs."""
    take = TypedTier.quote

    def forgetful(self: TypedTier, raw: RawQuote) -> None:
        self._share.board.mid[:] = 0.0
        take(self, raw)

    with typed_only(), put(TypedTier, "quote", forgetful):
        yield


@contextlib.contextmanager
def any_level_signals() -> Iterator[None]:
    """As above, and the engine, which would find the legs to be two coins, does not look either."""
    limits = plan.limits

    def boundless(settings: Any) -> plan.LoopLimits:
        return limits(settings)._replace(implausible_bps=1e9)

    with any_price_is_of_its_level(), put(plan, "limits", boundless):
        yield


@contextlib.contextmanager
def dead_feeds_are_believed() -> Iterator[None]:
    """What a feed wrote last is good for ten seconds after its heart has ceased to beat."""
    limits = plan.limits

    def patient(settings: Any) -> plan.LoopLimits:
        return limits(settings)._replace(heartbeat_ns_max=BELIEVED_NS)

    with put(plan, "limits", patient):
        yield


@contextlib.contextmanager
def any_time_is_a_time() -> Iterator[None]:
    """A time that cannot be is taken for that of its arrival."""
    quote = TypedTier.quote

    def believed(self: TypedTier, raw: RawQuote) -> None:
        wall_ns = clock.wall_ns()
        made, sent = (
            wall_ns if ts == TS_IMPOSSIBLE else ts for ts in (raw.ts_engine, raw.ts_event)
        )
        quote(self, raw._replace(ts_engine=made, ts_event=sent))

    with put(TypedTier, "quote", believed):
        yield


@contextlib.contextmanager
def made_after_it_was_sent() -> Iterator[None]:
    """The engine's time may be later than the message."""
    with put(wire, "engine_ns", lambda ms, _: wire.ts_ns(ms)):
        yield


@contextlib.contextmanager
def repeats_are_news() -> Iterator[None]:
    """What is heard of is good, whether or not it says anything new."""
    look = Lasting.look

    def heard(self: Lasting, now_ns: int, *rest: Any) -> npt.NDArray[np.bool_]:
        found = look(self, now_ns, *rest)
        found[:] = False
        return found

    with put(Lasting, "look", heard):
        yield


@contextlib.contextmanager
def announced_for_good() -> Iterator[None]:
    """A maintenance lasts until its end is heard of."""
    with put(Halts, "_maintenance_over", lambda *_: False):
        yield
