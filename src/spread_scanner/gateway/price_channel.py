"""Prices as they are pushed: of each listing that can be stood behind.

The dirty bits say which cells changed; each is read once, its text is written once. Once in 100 ms
all prices are looked at: what cannot be stood behind any more is `gone`, without anybody having
written.
"""

from typing import Any, NamedTuple

import numpy as np

from spread_scanner.gateway import bits
from spread_scanner.gateway.bits import Bits
from spread_scanner.gateway.channels import Client, Dirty, Rows, States, WishedPairs, WishGroup
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.wishes import PushWish
from spread_scanner.schema.enums import SOURCES, Source
from spread_scanner.view.prices import SPOT_LIKE, PriceBoard


class SomeTexts(NamedTuple):
    """What can be said of some of a source's listings: texts by their places among its rows."""

    rows: Bits
    texts: dict[int, bytes]


class Prices(States[dict[Any, SomeTexts]]):
    """By source, the listings that each has."""

    kind = "prices"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._version = system.own_version()

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
            rows[source] = bits.of_mask(np.array(mine, np.bool_))
        return WishGroup(wish, rows)

    def snapshot(self, client: Client) -> None:
        self._version.renew()  # while nobody was told, nobody saw what was written
        super().snapshot(client)

    def flush(self, dirty: Dirty, now_ns: int) -> None:
        changed: Rows = {}
        for source_id, ids in dirty:
            self._version.add(source_id, ids)
            source = SOURCES[source_id] if source_id < len(SOURCES) else None
            if source is not None and any(source in one.rows for one in self._groups.values()):
                changed[source] = bits.of_places(self._board.places(source, ids))
        self.add(changed)
        self.tell(now_ns)

    def tick(self, now_ns: int) -> None:
        self._look_over()
        self.tell(now_ns)

    def _look_over(self) -> None:
        """Whose prices can be stood behind and were not told, or the other way round, though nobody
        has written."""
        wanted = {source for group in self._groups.values() for source in group.rows}
        usable = {source: bits.of_mask(self._board.look(source).usable) for source in wanted}
        for group in self._groups.values():
            group.add({source: group.told[source] ^ usable[source] for source in group.rows})

    def look(self, wanted: Rows) -> tuple[int, dict[Any, SomeTexts]]:
        """Those rows alone: with each frame all of them would cost more than the frame."""
        version, look = self._version.known, {}
        for source, rows in wanted.items():
            texts = self._system.shown.prices.some(source, bits.places(rows))
            look[source] = SomeTexts(bits.of_places(list(texts)), texts)
        return version, look

    def parts(
        self, look: dict[Any, SomeTexts], group: WishGroup, key: Source, rows: Bits
    ) -> tuple[list[bytes], Bits]:
        good = rows & look[key].rows
        return [look[key].texts[place] for place in bits.places(good)], good

    def names(self, key: Source, rows: Bits) -> list[str]:
        listed = self._board.listed(key)
        return [listed[place].pool_id for place in bits.places(rows)]
