"""Order books as they are pushed: the records of /v1/books, of the pairs that a wish names.

They are asked for while somebody wishes them, so that the feeds follow them; each is looked at
again and told when any of its sources' books was written or can no longer be stood behind.
"""

from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from spread_scanner.gateway.bits import Bits
from spread_scanner.gateway.channels import Rows, Surveyed, WishedPairs, WishGroup
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.problems import NotAnswered
from spread_scanner.gateway.wishes import PushWish
from spread_scanner.view.books import BooksView, Wish

BOOKS_MAX = 64  # symbols that are looked at for all clients together
PAIRS_MAX = 16  # of one wish
_ROW = 1  # the one of a symbol


class BookKey(NamedTuple):
    """Books that are looked at once for all who wish them."""

    symbol: str
    levels: int


class BookStates(Surveyed[dict[Any, bytes]]):
    """Each symbol is a part of one row."""

    kind = "books"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._views: dict[BookKey, BooksView] = {}
        self._stamps: dict[BookKey, object] = {}  # what each was like when it was looked at last

    def group_of(self, wish: PushWish, listed: WishedPairs) -> WishGroup:
        if not 1 <= len(wish.pairs) <= PAIRS_MAX:
            said = f"books are pushed of pairs that are named: 1 to {PAIRS_MAX} of them"
            raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)
        board = self._system.shown.prices.board
        symbols = [board.pairs[pair] for pair in listed.names(wish.pairs)]
        keys = {BookKey(symbol, wish.levels) for symbol in symbols}
        if len(self._views.keys() | keys) > BOOKS_MAX:
            said = f"books of {BOOKS_MAX} symbols are pushed already"
            raise NotAnswered(HTTPStatus.SERVICE_UNAVAILABLE, "full", said)
        for key in keys - self._views.keys():
            view = self._views[key] = self._system.books(Wish(key.symbol, levels=key.levels))
            self._stamps[key] = view.stamp()
        return WishGroup(wish, dict.fromkeys(keys, _ROW))

    def tidy(self) -> None:
        wanted = {key for group in self._groups.values() for key in group.rows}
        for key in self._views.keys() - wanted:
            self._views.pop(key).close()
            self._stamps.pop(key, None)

    def renew(self) -> None:
        self.close()
        super().renew()

    def survey(self, *, live: bool) -> None:
        for key, view in self._views.items():
            view.ask()
            stamp = view.stamp()
            if self._stamps.get(key) != stamp:
                self._stamps[key] = stamp
                self.add({key: _ROW})

    def look(self, wanted: Rows) -> tuple[int, dict[Any, bytes]]:
        version, views = self._system.version(), self._views
        return version, {key: msgspec.json.encode(views[key].look()) for key in wanted}

    def parts(
        self, look: dict[Any, bytes], group: WishGroup, key: BookKey, rows: Bits
    ) -> tuple[list[bytes], Bits]:
        return [look[key]], rows

    def names(self, key: BookKey, rows: Bits) -> list[str]:
        return []  # a book that is missing is a record that says so

    def close(self) -> None:
        for view in self._views.values():
            view.close()
        self._views, self._stamps = {}, {}
