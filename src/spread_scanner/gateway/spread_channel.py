"""Spreads as they are pushed: the records of /v1/spreads, again when a leg was written or what can
be said of the pair is another.

All pairs are computed at once, for whoever wishes any; a view has it ten times a second, and who
wishes it live has it as often as a tenth of a core allows. While nobody wishes it nothing is held.
"""

from collections.abc import Collection, Hashable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.gateway.channels import VIEW_NS, Surveyed, WishGroup
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.wishes import PushWish
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.freshness import Mask
from spread_scanner.view.evaluations import direction_of
from spread_scanner.view.spreads import SpreadBoard, named

_ALL = "all"  # the one part that is looked at


class SpreadLook:
    """All pairs at one time; a pair is written out when somebody wants it, once."""

    def __init__(self, board: SpreadBoard, reader: Any) -> None:
        self._board, self._reader = board, reader
        self.looked_ns = clock.mono_ns()
        written = board.written()  # of before: what is written meanwhile is told again
        self.rows = board.rows()
        self.depths = reader.look(self.rows)
        ageless = self.rows.copy()
        ageless["spot_age_ms"] = ageless["fut_age_ms"] = 0
        self._said = np.concatenate(
            [_bytes(one) for one in (written, ageless, self.depths)], axis=1
        )
        self._texts = [b""] * len(self.rows)

    def differs(self, other: "SpreadLook") -> Mask:
        """Of which pairs something else is to be said."""
        differs: Mask = (self._said != other._said).any(axis=1)
        return differs

    def texts(self, wanted: Mask) -> list[bytes]:
        """Records of those pairs."""
        at = [number for number in np.flatnonzero(wanted).tolist() if not self._texts[number]]
        depths = map(self._reader.depth_of, self.depths[at])
        for number, record in zip(
            at, named(self.rows[at], self._board.symbols, depths), strict=True
        ):
            self._texts[number] = msgspec.json.encode(record)
        return [self._texts[number] for number in np.flatnonzero(wanted).tolist()]


class Spreads(Surveyed[SpreadLook]):
    """One part: all pairs of one set of tables, in their order."""

    kind = "spreads"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._board: SpreadBoard | None = None
        self._reader: Any = None
        self._last: SpreadLook | None = None

    def group_of(self, wish: PushWish) -> WishGroup:
        prices = self._system.shown.prices.board
        symbols = {prices.pairs[prices.named(pair)] for pair in wish.pairs}
        directions = [direction_of(label).direction_id for label in wish.directions]
        rows = self._now().rows
        mine = np.ones(len(rows), np.bool_)
        if symbols:
            ids = [one for one, name in self._names().items() if name in symbols]
            mine &= np.isin(rows["symbol_id"], ids)
        if directions:
            mine &= np.isin(rows["direction_id"], directions)
        return WishGroup(wish, {_ALL: mine})

    def tidy(self) -> None:
        if not self._groups:
            self.close()

    def survey(self) -> None:
        self._look_again()

    def renew(self) -> None:
        self.close()
        super().renew()

    def look(self, keys: Collection[Hashable]) -> tuple[int, SpreadLook]:
        return self._system.version(), self._now()

    def parts(
        self, look: SpreadLook, group: WishGroup, key: str, rows: Mask
    ) -> tuple[list[bytes], Mask]:
        good = rows & look.rows["usable"] if group.wish.usable else rows
        return look.texts(good), good

    def names(self, key: str, rows: Mask) -> list[tuple[str, str]]:
        gone, symbols = self._now().rows[rows], self._names()
        ids = zip(gone["symbol_id"].tolist(), gone["direction_id"].tolist(), strict=True)
        return [(symbols[symbol], DIRECTIONS[direction].label) for symbol, direction in ids]

    def _names(self) -> dict[int, str]:
        return self._system.shown.board.symbols

    def _now(self) -> SpreadLook:
        """As they stood at most a tenth of a second ago."""
        if self._last is None or clock.mono_ns() - self._last.looked_ns >= VIEW_NS:
            return self._look_again()
        return self._last

    def _look_again(self) -> SpreadLook:
        """What differs from the last look is everybody's to be told."""
        if self._board is None:
            self._board = self._system.own_board()
            self._reader = self._board.depth_reader()
        look = SpreadLook(self._board, self._reader)
        if self._last is not None:
            self.add({_ALL: look.differs(self._last)})
        self._last = look
        return look

    def close(self) -> None:
        """Nothing is held for nobody."""
        if self._reader is not None:
            self._reader.close()
        self._board = self._reader = self._last = None


def _bytes(rows: np.ndarray) -> npt.NDArray[np.uint8]:
    """(n, bytes of each) of (n, ...)."""
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
