"""Spreads as they are pushed: the records of /v1/spreads, again when a leg was written or what can
be said of the pair is another.

Looked at is what somebody wishes: ten times a second, as some of it becomes another without a
write; and where it is wished live, in between what was written, as often as a tenth of a core
allows. While nobody wishes it nothing is held.
"""

from http import HTTPStatus

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.gateway import bits
from spread_scanner.gateway.bits import Bits
from spread_scanner.gateway.channels import VIEW_NS, Dirty, Rows, Surveyed, WishedPairs, WishGroup
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.problems import NotAnswered
from spread_scanner.gateway.wishes import PushWish
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.freshness import Mask
from spread_scanner.view.depth import depth_dtype
from spread_scanner.view.evaluations import direction_of
from spread_scanner.view.spreads import BOARD_DTYPE, PairPlaces, SpreadBoard, named

_ALL = "all"  # the one part that is looked at
_NEVER = -1
_SYMBOL_BITS = 16
Cells = npt.NDArray[np.int64]  # a source and a symbol, as one number


class SpreadTable:
    """All pairs, each as it stood when it was looked at last; written out when somebody wants it,
    once."""

    def __init__(self, board: SpreadBoard) -> None:
        self._board, self._reader = board, board.depth_reader()
        self.symbol_ids, self.direction_ids, *legs = board.legs()
        self._cells = [_cells(source_ids, self.symbol_ids) for source_ids in legs]
        count = len(self.symbol_ids)
        self.rows = np.zeros(count, BOARD_DTYPE)
        self._depths = np.zeros(count, depth_dtype(len(self._reader.sizes_quote)))
        self._written = np.zeros((count, len(legs)), np.uint64)
        self._texts = [b""] * count
        self._looked_ns = np.full(count, _NEVER)
        self._versions = np.zeros(count, np.int64)  # the store's, before each was looked at

    def of_cells(self, wanted: Mask, dirty: Cells) -> PairPlaces:
        """Of those pairs the ones that have a leg among some cells."""
        places = np.flatnonzero(wanted)
        spot, futures = self._cells
        return places[np.isin(spot[places], dirty) | np.isin(futures[places], dirty)]

    def old(self, wanted: Mask, now_ns: int) -> PairPlaces:
        """Of those pairs the ones that were looked at too long ago."""
        looked_ns = self._looked_ns
        return np.flatnonzero(wanted & ((looked_ns == _NEVER) | (now_ns - looked_ns >= VIEW_NS)))

    def look(self, places: PairPlaces, version: int, now_ns: int) -> Mask:
        """Look at some; of which of all pairs something else is to be said than before."""
        differs = np.zeros(len(self._texts), np.bool_)
        written = self._board.written(places)  # of before: what is written meanwhile is told again
        rows = self._board.rows(places)
        found = (written, rows, self._reader.look(rows))
        held = (self._written, self.rows, self._depths)
        differs[places] = (_said(*found) != _said(*(one[places] for one in held))).any(axis=1)
        differs &= self._looked_ns != _NEVER
        for all_of_them, these in zip(held, found, strict=True):
            all_of_them[places] = these
        self._looked_ns[places], self._versions[places] = now_ns, version
        for place in places.tolist():
            self._texts[place] = b""
        return differs

    def version(self, wanted: Mask) -> int:
        """The store's, before any of those pairs was looked at."""
        return int(self._versions[wanted].min(initial=self._versions.max(initial=0)))

    def texts(self, wanted: Mask) -> list[bytes]:
        """Records of those pairs."""
        at = [place for place in np.flatnonzero(wanted).tolist() if not self._texts[place]]
        depths = map(self._reader.depth_of, self._depths[at])
        records = named(self.rows[at], self._board.symbols, depths)
        for place, record in zip(at, records, strict=True):
            self._texts[place] = msgspec.json.encode(record)
        return [self._texts[place] for place in np.flatnonzero(wanted).tolist()]

    def names(self, wanted: Mask) -> list[tuple[str, str]]:
        """Symbol and direction of those pairs."""
        ids = zip(
            self.symbol_ids[wanted].tolist(), self.direction_ids[wanted].tolist(), strict=True
        )
        return [(self._board.symbols[one], DIRECTIONS[way].label) for one, way in ids]

    def of(self, symbols: set[str]) -> Mask:
        """The pairs of some symbols."""
        ids = [one for one, name in self._board.symbols.items() if name in symbols]
        return np.isin(self.symbol_ids, ids)

    def close(self) -> None:
        self._reader.close()


class Spreads(Surveyed[SpreadTable]):
    """One part: all pairs of one set of tables, in their order."""

    kind = "spreads"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._held: SpreadTable | None = None
        self._dirty: list[Cells] = []  # written since the last look, where somebody wishes it live

    @property
    def _table(self) -> SpreadTable:
        if self._held is None:
            self._held = SpreadTable(self._system.own_board())
        return self._held

    def group_of(self, wish: PushWish, listed: WishedPairs) -> WishGroup:
        table, pairs = self._table, self._system.shown.prices.board.pairs
        mine = np.ones(len(table.symbol_ids), np.bool_)
        if wish.pairs:
            mine &= table.of({pairs[pair] for pair in listed.names(wish.pairs)})
        if wish.directions:
            mine &= np.isin(table.direction_ids, [*map(_direction_id, wish.directions)])
        if wish.only:
            mine &= self._only(wish.only, listed)
        return WishGroup(wish, {_ALL: bits.of_mask(mine)})

    def _only(self, named_pairs: tuple[str, ...], listed: WishedPairs) -> Mask:
        """Pairs that are named one by one, as "BTC-USDT okx-bybit"."""
        table, pairs = self._table, self._system.shown.prices.board.pairs
        wanted: dict[int, list[str]] = {}  # by direction
        for one in named_pairs:
            symbol, blank, way = one.partition(" ")
            if not blank:
                said = f"only: a symbol and a direction are wanted, not {one!r}"
                raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)
            wanted.setdefault(_direction_id(way), []).append(symbol)
        mine = np.zeros(len(table.symbol_ids), np.bool_)
        for direction_id, symbols in wanted.items():
            of_these = table.of({pairs[pair] for pair in listed.names(symbols)})
            mine |= of_these & (table.direction_ids == direction_id)
        return mine

    def tidy(self) -> None:
        if not self._groups:
            self.close()

    def renew(self) -> None:
        self.close()
        super().renew()

    @property
    def owes(self) -> bool:
        return self.watches and bool(self._dirty)

    def flush(self, dirty: Dirty, now_ns: int) -> None:
        if self.watches:
            self._dirty += [_cells(np.full(len(ids), source_id), ids) for source_id, ids in dirty]
        super().flush(dirty, now_ns)

    def survey(self, *, live: bool) -> None:
        dirty, self._dirty = self._dirty, []
        if not live:
            self._look_at(np.flatnonzero(self._wished(live=False)))
        elif dirty:
            self._look_at(self._table.of_cells(self._wished(live=True), np.concatenate(dirty)))

    def _wished(self, *, live: bool) -> Mask:
        """The pairs that somebody wishes, or wishes live."""
        wished = np.zeros(len(self._table.symbol_ids), np.bool_)
        for group in self._groups.values():
            if group.wish.pace == "live" or not live:
                wished |= self._mask(group.rows[_ALL])
        return wished

    def look(self, wanted: Rows) -> tuple[int, SpreadTable]:
        """As they stood at most a tenth of a second ago."""
        table, rows = self._table, self._mask(wanted[_ALL])
        self._look_at(table.old(rows, clock.mono_ns()))
        return table.version(rows), table

    def _look_at(self, places: PairPlaces) -> None:
        """What differs from the last look is everybody's to be told."""
        if len(places):
            version = self._system.version()
            self.add({_ALL: bits.of_mask(self._table.look(places, version, clock.mono_ns()))})

    def parts(
        self, look: SpreadTable, group: WishGroup, key: str, rows: Bits
    ) -> tuple[list[bytes], Bits]:
        good = rows & bits.of_mask(look.rows["usable"]) if group.wish.usable else rows
        return look.texts(self._mask(good)), good

    def names(self, key: str, rows: Bits) -> list[tuple[str, str]]:
        return self._table.names(self._mask(rows))

    def _mask(self, rows: Bits) -> Mask:
        return bits.mask_of(rows, len(self._table.symbol_ids))

    def close(self) -> None:
        """Nothing is held for nobody."""
        if self._held is not None:
            self._held.close()
        self._held, self._dirty = None, []


def _direction_id(label: str) -> int:
    return direction_of(label).direction_id


def _cells(source_ids: npt.NDArray[np.integer], symbol_ids: npt.NDArray[np.integer]) -> Cells:
    return source_ids.astype(np.int64) << _SYMBOL_BITS | symbol_ids


def _said(written: np.ndarray, rows: np.ndarray, depths: np.ndarray) -> npt.NDArray[np.uint8]:
    """(n, bytes) of all that is said of n pairs, but for their ages."""
    ageless = rows.copy()
    ageless["spot_age_ms"] = ageless["fut_age_ms"] = 0
    return np.concatenate([_bytes(one) for one in (written, ageless, depths)], axis=1)


def _bytes(rows: np.ndarray) -> npt.NDArray[np.uint8]:
    """(n, bytes of each) of (n, ...)."""
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
