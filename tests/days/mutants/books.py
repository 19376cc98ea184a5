"""Mends of books, undone: what is missing, wrong, late or begun anew is not noticed."""

import contextlib
from collections.abc import Iterator
from typing import Any

from mutants.undo import put

from spread_scanner import clock
from spread_scanner.exchanges.adapter import BookChange
from spread_scanner.exchanges.depth import Fit, fits
from spread_scanner.feed import books, followed
from spread_scanner.feed._books import BookBoard
from spread_scanner.feed.books import SourceBooks
from spread_scanner.feed.followed import BookOutcome, SourceBook


@contextlib.contextmanager
def gaps_are_not_seen() -> Iterator[None]:
    """What does not follow on is taken as if it did."""

    def blind(known_id: int, change: BookChange) -> Fit:
        found = fits(known_id, change)
        return Fit.NEXT if found is Fit.GAP else found

    with put(followed, "fits", blind):
        yield


@contextlib.contextmanager
def a_gap_is_everybodys() -> Iterator[None]:
    """Where a message of one book is missing all are begun anew."""
    taken = SourceBooks._taken

    def of_all(self: SourceBooks, book: SourceBook, outcome: BookOutcome, recv_ns: int) -> None:
        taken(self, book, outcome, recv_ns)
        if outcome is BookOutcome.GAP:
            for one in self._followed.values():
                one.lose(clock.mono_ns())
                self._republish(one)

    with put(SourceBooks, "_taken", of_all):
        yield


@contextlib.contextmanager
def late_is_usable() -> Iterator[None]:
    """However late a message of a book was, it is what stands."""

    def never_late(*given: Any, quotes: Any, **more: Any) -> BookBoard:
        return BookBoard(*given, **more)

    with put(books, "BookBoard", never_late):
        yield


@contextlib.contextmanager
def checksums_are_not_compared() -> Iterator[None]:
    """A message is as if it had none."""
    known = SourceBook._known

    def unsummed(self: SourceBook, said: BookChange, now_ns: int) -> BookOutcome:
        return known(self, said._replace(checksum=None), now_ns)

    with put(SourceBook, "_known", unsummed):
        yield


@contextlib.contextmanager
def older_ids_are_old() -> Iterator[None]:
    """An exchange that begins its ids anew says so."""
    with put(SourceBook, "_begins_anew", lambda *_: False):
        yield


@contextlib.contextmanager
def silence_lasts() -> Iterator[None]:
    """Who is wanted again was heard of last when it was let go."""
    let_go = SourceBooks._let_go

    def unforgotten(self: SourceBooks, symbol_id: int) -> None:
        heard_ns = self._share.board.heard_ns[symbol_id]
        let_go(self, symbol_id)
        self._share.board.heard_ns[symbol_id] = heard_ns

    with put(SourceBooks, "_let_go", unforgotten):
        yield
