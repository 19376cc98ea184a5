"""Prices as they are pushed: of each listing that can be stood behind.

The dirty bits say which cells changed; each is read once, its text is written once. Once in 100 ms
all prices are looked at: what cannot be stood behind any more is `gone`, without anybody having
written.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner.gateway.channels import Dirty, Rows, States, WishedPairs, WishGroup
from spread_scanner.gateway.wishes import PushWish
from spread_scanner.schema.enums import SOURCES, Source
from spread_scanner.schema.freshness import Mask
from spread_scanner.view.prices import SPOT_LIKE, PriceBoard, Quoted


class SomeQuoted(NamedTuple):
    """Some of a source's listings: their places among its rows, and what they are quoted at."""

    places: npt.NDArray[np.int64]
    quoted: Quoted


class Prices(States[dict[Any, SomeQuoted]]):
    """By source, the listings that each has."""

    kind = "prices"

    @property
    def watches(self) -> bool:
        return bool(self._groups)

    @property
    def _board(self) -> PriceBoard:
        return self._system.shown.prices.board

    def group_of(self, wish: PushWish, listed: WishedPairs) -> WishGroup:
        board = self._board
        pairs = frozenset(listed.names(wish.pairs))
        rows: Rows = {}
        for source in tuple(map(board.source_of, wish.sources)) or SPOT_LIKE:
            listings = [board.listings[row] for row in board.rows(source).tolist()]
            mine = [not wish.pairs or one.pair in pairs for one in listings]
            rows[source] = np.array(mine, np.bool_)
        return WishGroup(wish, rows)

    def flush(self, dirty: Dirty, now_ns: int) -> None:
        changed: Rows = {}
        for source_id, ids in dirty:
            if source_id < len(SOURCES):
                source = SOURCES[source_id]
                changed[source] = self._board.rows_of(source, ids)
        self.add(changed)
        self.tell(now_ns)

    def tick(self, now_ns: int) -> None:
        self._look_over()
        self.tell(now_ns)

    def _look_over(self) -> None:
        """Whose prices can be stood behind and were not told, or the other way round, though nobody
        has written."""
        wanted = {source for group in self._groups.values() for source in group.rows}
        usable = {source: self._board.look(source).usable for source in wanted}
        for group in self._groups.values():
            group.add({source: group.told[source] != usable[source] for source in group.rows})

    def look(self, wanted: Rows) -> tuple[int, dict[Any, SomeQuoted]]:
        """Those rows alone: with each frame all of them would cost more than the frame."""
        version, look = self._system.version(), {}
        for source, rows in wanted.items():
            places = np.flatnonzero(rows)
            look[source] = SomeQuoted(places, self._board.look_at_some(source, places))
        return version, look

    def parts(
        self, look: dict[Any, SomeQuoted], group: WishGroup, key: Source, rows: Mask
    ) -> tuple[list[bytes], Mask]:
        places, quoted = look[key]
        texts, told = self._system.shown.prices.parts(quoted, rows[places])
        good = np.zeros(len(rows), np.bool_)
        good[places] = told
        return texts, good

    def names(self, key: Source, rows: Mask) -> list[str]:
        board = self._board
        return [board.listings[row].pool_id for row in board.rows(key)[rows].tolist()]
