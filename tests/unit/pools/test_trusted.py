"""Whether a provider is believed, and when its connection has to go, by the settings as shipped; a
slot comes each 0.4 s, and time is what the test says.
"""

from collections.abc import Iterator

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.feed._board import STALL_NS as FEED_STALL_NS
from spread_scanner.pools.pace import SLOT_NS
from spread_scanner.pools.trusted import STALL_NS, ProviderTrust, in_words
from spread_scanner.runtime.life import End

LOOK_MS = 100


class Life:
    """A connection that is looked at ten times a second."""

    def __init__(self, *, answers_ms: int | None = 20) -> None:
        self.trust, self.now_ms = ProviderTrust(Feed(), 0), 0
        self.trust.opened(0)
        self.answers_ms = answers_ms
        self.end: End | None = None
        self.stood, self.pinged_ms = 0, list[int]()
        self._pongs: list[tuple[int, bytes]] = []

    def until(self, until_s: float, *, slots: bool = True) -> Iterator[int]:
        """Each look's ms, after it."""
        while self.now_ms < until_s * 1_000 and self.end is None:
            self.now_ms += LOOK_MS
            now_ns = self.now_ms * NS_PER_MS
            if slots and self.now_ms % 400 == 0:
                self.trust.frame(now_ns)
                self.trust.slot_ns = now_ns
            while self._pongs and self._pongs[0][0] <= self.now_ms:
                self.trust.frame(now_ns)
                self.trust.ponged(self._pongs.pop(0)[1], now_ns)
            felt = self.trust.look(now_ns, SLOT_NS)
            self.end, self.stood = felt.end, self.stood + felt.stood
            if felt.ping is not None:
                self.pinged_ms.append(self.now_ms)
                if self.answers_ms is not None:
                    self._pongs.append((self.now_ms + self.answers_ms, felt.ping))
            yield self.now_ms

    def live(self, until_s: float, *, slots: bool = True) -> None:
        for _ in self.until(until_s, slots=slots):
            pass


def test_one_that_tells_slots_stands_and_is_pinged_each_five_seconds() -> None:
    life = Life()
    life.live(95.0)
    assert (life.end, life.stood, life.trust.doubted) == (None, 3, "")
    assert life.pinged_ms == [*range(5_000, 95_001, 5_000)]


def test_one_that_says_nothing_is_pinged_after_a_second_doubted_after_two_and_ended_after_ten() -> (
    None
):
    life = Life()
    life.live(6.0)
    life.answers_ms = None
    doubted_ms = next(ms for ms in life.until(60.0, slots=False) if life.trust.doubted)
    assert life.pinged_ms[-1] == 6_000 + 1_000 + LOOK_MS
    assert doubted_ms == 6_000 + 2_000 + 2 * LOOK_MS
    life.live(60.0, slots=False)
    assert life.end is End.UNHEARD
    assert life.now_ms == 7_000 + 10_000 + 2 * LOOK_MS


def test_one_that_answers_and_tells_no_slot_goes_after_fifty_of_them_and_ten_seconds() -> None:
    life = Life()
    life.live(6.0)
    life.live(60.0, slots=False)
    assert life.end is End.FROZEN
    assert life.now_ms == 6_000 + 50 * 400 + LOOK_MS


def test_one_that_never_told_a_slot_goes_after_a_minute() -> None:
    life = Life()
    life.live(90.0, slots=False)
    assert (life.end, life.now_ms) == (End.NO_DATA, 60_000 + LOOK_MS)
    assert in_words(End.NO_DATA) == "no slot at all"


def test_a_slow_path_is_not_believed_until_it_is_quick_again() -> None:
    life = Life(answers_ms=2_100)
    life.live(12.0)
    assert life.trust.doubted == "its path is slow"
    life.answers_ms = 20
    life.live(24.0)
    assert life.trust.doubted == ""


def test_bad_messages_in_a_row_end_it() -> None:
    life = Life()
    life.trust.bad_in_row = Feed().bad_messages_in_row_max
    life.live(1.0)
    assert life.end is End.BAD_STREAK


def test_what_waited_while_nobody_read_is_believed_after_an_answer() -> None:
    """A process that was stopped: a second and more, as with an exchange's feed."""
    life = Life()
    life.live(6.0)
    now_ns = life.now_ms * NS_PER_MS + STALL_NS + 1
    life.trust.frame(now_ns)
    assert life.trust.doubted, "before anybody has looked"
    life.trust.slot_ns = now_ns
    life.now_ms += 1_100
    life.live(7.2)
    assert (life.trust.doubted, life.pinged_ms[-1]) == ("silent", 7_200)
    life.live(7.5)
    assert life.trust.doubted == ""
    assert STALL_NS == FEED_STALL_NS == NS_PER_S


def test_other_settings_are_taken() -> None:
    life = Life()
    life.live(6.0)
    life.trust.retune(Feed(idle_ms_max=5_000, pong_ms_max=5_000, lag_ms_max=60_000))
    life.answers_ms = None
    doubted_ms = next(ms for ms in life.until(60.0, slots=False) if life.trust.doubted)
    assert doubted_ms > 6_000 + 9_000
