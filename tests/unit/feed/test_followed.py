"""One book as messages come: what follows, what is missing, and when it is asked for anew."""

import numpy as np
import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import SourceSettings
from spread_scanner.exchanges._spelled import SpelledLevels
from spread_scanner.exchanges.adapter import TEXT_DTYPE, BookChange, Spelled, Texts
from spread_scanner.exchanges.depth import change
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.feed.followed import WAITING_MAX, BookOutcome, SourceBook
from spread_scanner.schema.books import BookFlag, BookLevels
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.symbology.tables import InstrumentRow

OURS, THEIRS = 1, 2
UNDATED = (TS_ABSENT, TS_ABSENT)


def followed(
    label: str = "binance-spot", channel: str = "", px_div: float = 1.0, sz_mul: float = 1.0
) -> SourceBook:
    settings = SourceSettings(rest_url="http://a.b", ws_url="ws://a.b", depth_channel=channel)
    row = InstrumentRow(0, 3, "BTCUSDT", px_div, sz_mul,
                        None, None, None, None, False, False)  # fmt: skip
    return SourceBook(row, depth_adapter_of(SOURCE_BY_LABEL[label], settings))


def levels(*pairs: tuple[float, float]) -> BookLevels:
    return np.array(pairs, np.float64).reshape(-1, 2)


def texts(of: BookLevels) -> Texts:
    return np.array([f"{px}:{sz}" for px, sz in of.tolist()], TEXT_DTYPE)


def snapshot(last_id: int, window: int = 20) -> BookChange:
    bids, asks = levels((100.0, 1.0), (99.0, 2.0)), levels((101.0, 3.0))
    return change("BTCUSDT", bids, asks, (-1, last_id), UNDATED, window)


def update(after_id: int, last_id: int, *bids: tuple[float, float]) -> BookChange:
    return change("BTCUSDT", levels(*bids), levels(), (after_id, last_id), UNDATED)


def standing(px_div: float = 1.0, sz_mul: float = 1.0) -> SourceBook:
    book = followed("bybit-spot", "", px_div, sz_mul)
    assert book.take(snapshot(10), OURS, 0) is BookOutcome.TAKEN
    return book


def test_updates_follow_on_a_snapshot_and_old_ones_say_nothing() -> None:
    book = standing()
    assert book.take(update(10, 12, (100.0, 0.0), (99.5, 4.0)), OURS, 0) is BookOutcome.TAKEN
    assert book.book.bids.tolist() == [[99.5, 4.0], [99.0, 2.0]]
    assert book.take(update(10, 12, (100.0, 7.0)), OURS, 0) is BookOutcome.OLD
    assert (
        book.take(update(12, 13, (50.0, 0.0)), OURS, 0) is BookOutcome.TAKEN
    )  # nothing stands there
    assert book.book.bids.tolist() == [[99.5, 4.0], [99.0, 2.0]]


def test_levels_are_kept_in_base_units() -> None:
    book = standing(px_div=1000.0, sz_mul=1000.0)
    assert book.book.bids.tolist() == [[0.1, 1000.0], [0.099, 2000.0]]


def test_a_gap_leaves_what_stood_and_waits_for_a_snapshot() -> None:
    book = standing()
    assert book.take(update(11, 12, (98.0, 1.0)), OURS, 5) is BookOutcome.GAP
    assert not book.stands
    assert BookFlag.RESYNCING in book.flags
    assert len(book.book.bids) == 2
    assert book.take(update(12, 13, (97.0, 1.0)), OURS, 6) is BookOutcome.WAITS
    assert book.due_ns == 5

    assert book.take(snapshot(12), OURS, 7) is BookOutcome.TAKEN
    assert book.stands
    assert book.due_ns is None


def test_a_seed_takes_in_what_waited() -> None:
    book = followed(channel="depth@100ms")
    for said in (
        update(8, 9, (98.0, 1.0)),
        update(9, 12, (97.0, 1.0)),
        update(12, 14, (96.0, 1.0)),
    ):
        assert book.take(said, OURS, 0) is BookOutcome.WAITS

    assert book.seeded(snapshot(10, 100), OURS, 0) is BookOutcome.TAKEN

    assert (book.known_id, book.stands) == (14, True)
    assert book.book.bids[:, 0].tolist() == [100.0, 99.0, 97.0, 96.0]


def test_a_seed_that_is_older_than_what_waited_is_none() -> None:
    book = followed(channel="depth@100ms")
    book.take(update(12, 14, (96.0, 1.0)), OURS, 0)
    assert book.seeded(snapshot(10, 100), OURS, 0) is BookOutcome.GAP
    assert not book.stands
    assert book.waits

    assert book.seeded(snapshot(13, 100), OURS, 0) is BookOutcome.TAKEN
    assert book.known_id == 14


def test_what_its_stream_said_last_needs_no_other_message_to_be_seeded() -> None:
    """A book that is lost by its last message, in a market that rests then."""
    book = followed(channel="depth@100ms")
    book.take(update(8, 12, (98.0, 1.0)), OURS, 0)
    book.seeded(snapshot(10, 100), OURS, 0)
    book.lose(1)
    assert (book.waits, book.may_be_seeded(OURS)) == (False, True)

    assert book.seeded(snapshot(11, 100), OURS, 2) is BookOutcome.GAP, "of before what stood"
    assert book.seeded(snapshot(12, 100), OURS, 3) is BookOutcome.TAKEN
    assert book.trusted_ns == 0


def test_a_first_snapshot_is_taken_on_trust_though_nothing_came_yet() -> None:
    """A quiet symbol, or one that is acknowledged and never served."""
    book = followed(channel="depth@100ms")
    assert book.may_be_seeded(OURS)
    book.seeded(snapshot(10, 100), OURS, 5)
    assert book.trusted_ns == 5
    book.lose(7)
    assert not book.may_be_seeded(OURS), "once a connection"
    assert book.may_be_seeded(THEIRS)

    book.seeded(snapshot(11, 100), THEIRS, 8)
    book.take(update(11, 12, (97.0, 1.0)), THEIRS, 9)
    assert book.trusted_ns == 0, "its stream has spoken"


@pytest.mark.parametrize("made_ns", [5 * NS_PER_S, TS_ABSENT])
def test_ids_that_begin_anew_without_a_word_are_a_gap(made_ns: int) -> None:
    """An update with an older id that was made later: by its time, or by when it comes."""
    book, now_ns = followed("mexc-spot", "aggre.depth@100ms"), NS_PER_S
    book.take(update(999, 1_000, (99.0, 2.0)), OURS, now_ns)
    seed = snapshot(1_000, 0)._replace(ts_event=made_ns)
    assert book.seeded(seed, OURS, now_ns) is BookOutcome.TAKEN
    early = update(900, 950, (99.0, 3.0))._replace(ts_event=made_ns)
    assert book.take(early, OURS, now_ns) is BookOutcome.OLD, "it was on its way"
    again = update(1_000, 1_000, (99.0, 3.0))._replace(ts_event=9 * NS_PER_S)
    assert book.take(again, OURS, 9 * NS_PER_S) is BookOutcome.OLD
    anew = update(7, 8, (99.0, 4.0))._replace(ts_event=9 * NS_PER_S)
    assert book.take(anew, THEIRS, 9 * NS_PER_S) is BookOutcome.OLD, "what another one says"
    assert book.take(anew, OURS, 9 * NS_PER_S) is BookOutcome.GAP
    assert not book.stands
    assert book.seeded(snapshot(8, 0), OURS, 9 * NS_PER_S) is BookOutcome.TAKEN
    assert (book.stands, book.known_id) == (True, 8)


def test_what_was_sent_later_than_the_snapshot_may_be_older_than_it() -> None:
    """Where pushes lag REST and bear the time at which they were sent: no book is lost by it."""
    book, now_ns = followed("mexc-spot", "aggre.depth@100ms"), NS_PER_S
    book.take(update(999, 1_000, (99.0, 2.0)), OURS, now_ns)
    seed = snapshot(1_000, 0)._replace(ts_event=now_ns)
    assert book.seeded(seed, OURS, now_ns) is BookOutcome.TAKEN
    for step in range(1, 11):
        at_ns = now_ns + step * 100_000_000
        late = update(900 + step, 901 + step, (99.0, 3.0))._replace(ts_event=at_ns)
        assert book.take(late, OURS, at_ns) is BookOutcome.OLD
    assert book.stands


def test_what_waits_has_a_bound() -> None:
    book = followed(channel="depth@100ms")
    for number in range(2 * WAITING_MAX):
        book.take(update(number, number + 1, (96.0, 1.0)), OURS, 0)
    assert book.seeded(snapshot(10, 100), OURS, 0) is BookOutcome.GAP


def test_pauses_between_two_askings_double_up_to_a_minute() -> None:
    book, now_ns, pauses = followed(channel="depth@100ms"), 0, []
    book.given(now_ns, begins=False)
    for _ in range(9):
        assert book.due_ns is not None
        pauses.append((book.due_ns - now_ns) // NS_PER_S)
        now_ns = book.due_ns
        book.asked(now_ns, OURS)
        book.given(now_ns, begins=False)
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_one_that_falls_again_and_again_is_not_asked_at_once() -> None:
    """Standing for a moment is no reason to begin anew; standing for ten seconds is."""
    book, now_ns = standing(), 0
    for pause_s in (0, 1, 2, 4):
        now_ns += NS_PER_S
        book.lose(now_ns)
        assert book.due_ns == now_ns + pause_s * NS_PER_S
        book.asked(book.due_ns, OURS)
        book.take(snapshot(10), OURS, now_ns)
    book.lose(now_ns + 10 * NS_PER_S)
    assert book.due_ns == now_ns + 10 * NS_PER_S


def test_a_channel_that_begins_with_a_snapshot_is_waited_for() -> None:
    book = followed("okx-spot")
    book.given(0, begins=True)
    assert book.due_ns == 2 * NS_PER_S
    book.take(update(1, 2), OURS, 1)  # it began without
    book.given(1, begins=True)
    assert book.due_ns == 1


def test_what_another_connection_brings_is_no_gap() -> None:
    book = standing()
    assert book.take(update(40, 41, (98.0, 1.0)), THEIRS, 0) is BookOutcome.OLD
    assert book.take(update(10, 11, (98.0, 1.0)), THEIRS, 0) is BookOutcome.TAKEN
    assert book.take(update(10, 11, (98.0, 1.0)), OURS, 0) is BookOutcome.OLD
    assert book.take(snapshot(9), THEIRS, 0) is BookOutcome.OLD
    assert book.take(snapshot(12), THEIRS, 0) is BookOutcome.TAKEN
    assert book.owner == THEIRS


def test_after_its_connection_another_goes_on_where_nothing_is_missing() -> None:
    book = standing()
    book.left()
    assert BookFlag.STALE in book.flags
    assert book.take(update(10, 11, (98.0, 1.0)), THEIRS, 0) is BookOutcome.TAKEN
    assert book.owner == THEIRS
    book.left()
    assert book.take(update(12, 13, (98.0, 1.0)), THEIRS, 0) is BookOutcome.GAP


def test_a_channel_without_snapshots_is_asked_where_another_connection_goes_on() -> None:
    book = followed(channel="depth@100ms")
    book.seeded(snapshot(10, 100), OURS, 0)
    book.given(1, begins=False)
    assert book.stands
    book.left()
    book.given(2, begins=False)
    assert not book.stands


@pytest.mark.parametrize("wrong", [False, True])
def test_checksums(wrong: bool) -> None:
    book, spelled = followed("okx-spot"), SpelledLevels()
    said = snapshot(10)
    said = said._replace(texts=Spelled(texts(said.bids), texts(said.asks)))
    spelled.take(said)
    said = said._replace(checksum=spelled.checksum())
    assert book.take(said, OURS, 0) is BookOutcome.TAKEN
    said = update(10, 11, (98.0, 1.0))
    said = said._replace(texts=Spelled(texts(said.bids), texts(said.asks)))
    spelled.take(said)
    said = said._replace(checksum=spelled.checksum() + wrong)
    assert book.take(said, OURS, 0) is (BookOutcome.CHECKSUM if wrong else BookOutcome.TAKEN)
    assert book.stands is not wrong


def test_whoever_keeps_the_window_says_what_comes_into_it() -> None:
    """Levels beyond the last one are taken, and that more may lie beyond is said."""
    book = standing()
    assert BookFlag.PARTIAL not in book.flags
    bids = levels(*((100.0 - n, 1.0) for n in range(50)))
    book.take(change("BTCUSDT", bids, bids + 60.0, (-1, 20), UNDATED, 50), OURS, 0)
    assert BookFlag.PARTIAL in book.flags
    book.take(update(20, 21, (50.0, 5.0), (100.0, 0.0)), OURS, 0)
    assert len(book.book.bids) == 50


def test_a_snapshot_of_less_than_the_window_leaves_no_hole_behind_it() -> None:
    """A market that moves past a snapshot by REST: what did not change behind that one's last level
    is never said, and what comes behind it would stand as if nothing lay between."""
    book = followed("okx-spot")
    asks = levels(*((101.0 + n, 1.0) for n in range(100)))
    book.seeded(change("BTCUSDT", levels(), asks, (-1, 10), UNDATED, 100), OURS, 0)
    gone = [(101.0 + n, 0.0) for n in range(150)]
    told = levels(*gone, (251.0, 5.0), (400.0, 1.0))
    book.take(change("BTCUSDT", levels(), told, (10, 11), UNDATED), OURS, 0)
    assert len(book.book.asks) == 0
    assert BookFlag.DEPLETED in BookFlag(book.book.flags)


def test_a_snapshot_of_another_connection_counts_if_it_is_newer() -> None:
    """A successor's begins with what is known, and takes the book over with what is not."""
    book = standing()
    known_id = book.known_id
    assert book.take(snapshot(known_id), THEIRS, 0) is BookOutcome.OLD
    assert book.owner == OURS
    assert book.take(snapshot(known_id + 1), THEIRS, 0) is BookOutcome.TAKEN
    assert (book.owner, book.known_id) == (THEIRS, known_id + 1)
