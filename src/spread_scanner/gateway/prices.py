"""Prices as bytes: each quote is written out once, and again when it was written.

A quote's text stays while its cell does; only its age moves, and stands last. So that a bot that
asks for all prices of two thousand listings costs the join of their texts, and one that asks for a
pair costs a look at whether its cells are what they were.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema import freshness
from spread_scanner.schema.enums import Source
from spread_scanner.view.prices import (
    SPOT_LIKE,
    PairCells,
    PairState,
    PriceBoard,
    Quoted,
    price_of,
)

AGELESS = slice(-len("0}"))  # of a text: all but its age


class TextOfPair(NamedTuple):
    """A pair's prices as they were written out, of one state of the store."""

    cells: PairCells
    state: PairState
    texts: list[tuple[int, int, bytes]]  # source, arrival, ageless: of what no feed marked


class PricesAsText:
    """Of one board, made anew with it."""

    def __init__(self, board: PriceBoard) -> None:
        self.board = board
        self.encoded = 0  # quotes written out since somebody took the count
        self._began_ns = clock.wall_ns()  # no ETag is of another life or another set of tables
        self._texts = [b""] * len(board.listings)
        self._versions = np.zeros(len(board.listings), np.uint64)  # of the quotes they are of
        self._of_pairs: dict[str, TextOfPair] = {}  # of pairs that are listed, once asked for

    def body(self, sources: Sequence[Source]) -> tuple[bytes, bytes]:
        """A JSON array of all prices that can be stood behind; and an ETag that stays while nothing
        is written, comes or goes."""
        parts: list[bytes] = []
        said = 0
        for seen in self.board.quoted(sources):
            parts += self._told(seen, seen.usable)
            said = zlib.crc32(seen.usable.tobytes(), zlib.crc32(seen.versions.tobytes(), said))
        return self._whole(parts, said)

    def body_of_pair(self, pair: str) -> tuple[bytes, bytes]:
        """The same of one pair, which has a listing somewhere, or of a pool's: of spot."""
        of_pair = self._of_pair(pair)
        now_ns, stale_ns_max = self.board.now_ns(), self.board.limits.stale_ns_max
        good = [
            freshness.young(ts_recv, now_ns, stale_ns_max) and self.board.beats(source_id)
            for source_id, ts_recv, _ in of_pair.texts
        ]
        parts = [
            b"%b%d}" % (text, max(now_ns - ts_recv, 0) // NS_PER_MS)
            for stands, (_, ts_recv, text) in zip(good, of_pair.texts, strict=True)
            if stands
        ]
        return self._whole(parts, zlib.crc32(bytes(good), zlib.crc32(of_pair.state[0])))

    def some(self, source: Source, places: Sequence[int]) -> dict[int, bytes]:
        """Of some of a source's listings (places among its rows) the texts of those that have a
        price, by place."""
        numbers, now_ns, found = self.board.numbers(source), self.board.now_ns(), {}
        for place, version, quote in self.board.standing(source, places, now_ns):
            number = numbers[place]
            if self._versions[number] != version:
                self._texts[number], self._versions[number] = b"", version
            text = self._texts[number] or self._write(number, quote)
            found[place] = b"%b%d}" % (text, max(now_ns - quote.ts_recv, 0) // NS_PER_MS)
        return found

    def served(self, sources: Sequence[Source]) -> tuple[int, set[str]]:
        """How many prices there are, and of which pairs."""
        found = [
            seen.listings[at].pair
            for seen in self.board.quoted(sources)
            for at in np.flatnonzero(seen.usable).tolist()
        ]
        return len(found), set(found)

    def _of_pair(self, pair: str) -> TextOfPair:
        """As it stands: written out anew only where anything of it changed."""
        found = self._of_pairs.get(pair)
        cells = self.board.cells_of(pair, SPOT_LIKE) if found is None else found.cells
        state = self.board.state_of(cells)
        if found is None or found.state != state:
            seen = self.board.look_at(cells)
            unmarked = np.flatnonzero(freshness.unmarked(seen.quotes["flags"])).tolist()
            told = zip(unmarked, self._written(seen, unmarked), strict=True)
            arrived = seen.quotes["ts_recv"].tolist()
            texts = [(cells.source_ids[at], arrived[at], text) for at, text in told]
            found = self._of_pairs[pair] = TextOfPair(cells, state, texts)
        return found

    def _whole(self, parts: list[bytes], said: int) -> tuple[bytes, bytes]:
        return b"[%b]" % b",".join(parts), b'"%x-%x"' % (self._began_ns, said)

    def _told(self, seen: Quoted, good: npt.NDArray[np.bool_]) -> list[bytes]:
        wanted, ages_ms = np.flatnonzero(good).tolist(), seen.ages_ms[good].tolist()
        texts = self._written(seen, wanted)
        return [b"%b%d}" % told for told in zip(texts, ages_ms, strict=True)]

    def _written(self, seen: Quoted, wanted: list[int]) -> list[bytes]:
        """The ageless texts of these of them."""
        texts, rows = self._texts, seen.rows.tolist()
        for at in np.flatnonzero(self._versions[seen.rows] != seen.versions).tolist():
            texts[rows[at]] = b""
        self._versions[seen.rows] = seen.versions
        for at in wanted:
            if not texts[rows[at]]:
                self._write(rows[at], seen.quotes[at].item())
        return [texts[rows[at]] for at in wanted]

    def _write(self, number: int, quote: Iterable[Any]) -> bytes:
        """A listing's quote, by its number on the board: its ageless text."""
        price = price_of(self.board.listings[number], quote)
        text = self._texts[number] = msgspec.json.encode(price)[AGELESS]
        self.encoded += 1
        return text
