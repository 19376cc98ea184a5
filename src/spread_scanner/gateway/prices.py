"""Prices as bytes: each quote is written out once, and again when it was written.

A quote's text stays while its cell does; only its age moves, and stands last. So that a bot that
asks for all prices of two thousand listings costs the join of their texts.
"""

import zlib
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.schema.enums import Source
from spread_scanner.view.prices import PriceBoard, Quoted, price_of

_AGELESS = slice(-len("0}"))  # of a text: all but its age


class PricesAsText:
    """Of one board, made anew with it."""

    def __init__(self, board: PriceBoard) -> None:
        self.board = board
        self.encoded = 0  # quotes written out since somebody took the count
        self._began_ns = clock.wall_ns()  # no ETag is of another life or another set of tables
        self._texts = [b""] * len(board.listings)
        self._versions = np.zeros(len(board.listings), np.uint64)  # of the quotes they are of

    def body(self, sources: Sequence[Source], pair: str = "") -> tuple[bytes, bytes]:
        """A JSON array of prices that can be stood behind, of one pair or of all; and an ETag that
        stays while nothing is written, comes or goes."""
        parts: list[bytes] = []
        said = 0
        for seen in self.board.quoted(sources, pair):
            parts += self._told(seen, seen.usable)
            said = zlib.crc32(seen.usable.tobytes(), zlib.crc32(seen.versions.tobytes(), said))
        return b"[%b]" % b",".join(parts), b'"%x-%x"' % (self._began_ns, said)

    def parts(
        self, seen: Quoted, wanted: npt.NDArray[np.bool_]
    ) -> tuple[list[bytes], npt.NDArray[np.bool_]]:
        """Texts of the rows that are wanted (a mask) and have a price, and which these are."""
        good = seen.usable & wanted
        return self._told(seen, good), good

    def served(self, sources: Sequence[Source]) -> tuple[int, set[str]]:
        """How many prices there are, and of which pairs."""
        found = [
            seen.listings[at].pair
            for seen in self.board.quoted(sources)
            for at in np.flatnonzero(seen.usable).tolist()
        ]
        return len(found), set(found)

    def _told(self, seen: Quoted, good: npt.NDArray[np.bool_]) -> list[bytes]:
        texts, rows, ages_ms = self._texts, seen.rows.tolist(), seen.ages_ms.tolist()
        for at in np.flatnonzero(self._versions[seen.rows] != seen.versions).tolist():
            texts[rows[at]] = b""
        self._versions[seen.rows] = seen.versions
        told = []
        for at in np.flatnonzero(good).tolist():
            if not texts[rows[at]]:
                price = price_of(seen.listings[at], seen.quotes[at])
                texts[rows[at]] = msgspec.json.encode(price)[_AGELESS]
                self.encoded += 1
            told.append(b"%b%d}" % (texts[rows[at]], ages_ms[at]))
        return told
