"""Prices as bytes: each quote is written out once, and again when it changed.

A quote's text stays while its cell does; only its age moves, and stands last. So that a bot that
asks for all prices of two thousand listings costs the join of their texts.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.schema.enums import Source
from spread_scanner.view.prices import PriceBoard, SourceQuotes, price_of

_AGELESS = slice(-len("0}"))  # of a text: all but its age


class PricesAsText:
    """Of one board, made anew with it."""

    def __init__(self, board: PriceBoard) -> None:
        self.board = board
        self._began_ns = clock.wall_ns()  # no ETag is of another life or another set of tables
        self.encoded = 0  # quotes written out since somebody took the count
        self._version = 0  # of what there is to be told, ages apart
        self._good: dict[Source, bytes] = {}  # which could be stood behind at the last look
        self._texts: dict[Source, list[bytes]] = {}
        self._of: dict[Source, np.ndarray] = {}  # the quotes that the texts are of

    def body(self, sources: Iterable[Source], pair: str = "") -> bytes:
        """A JSON array of prices that can be stood behind, of one pair or of all."""
        parts = [part for source in sources for part in self._parts(source, pair)]
        return b"[" + b",".join(parts) + b"]"

    def told(self, sources: Iterable[Source], pair: str = "") -> tuple[bytes, bytes]:
        """The body, and an ETag that stays while no quote changes, comes or goes."""
        body = self.body(sources, pair)
        return body, b'"%x-%x"' % (self._began_ns, self._version)

    def served(self, sources: Iterable[Source]) -> tuple[int, set[str]]:
        """How many prices there are, and of which pairs."""
        count, pairs = 0, set()
        for source in sources:
            seen = self.board.look(source)
            good = np.flatnonzero(seen.usable).tolist()
            count += len(good)
            pairs |= {seen.listings[at].pair for at in good}
        return count, pairs

    def parts(
        self, source: Source, wanted: npt.NDArray[np.bool_]
    ) -> tuple[list[bytes], npt.NDArray[np.bool_]]:
        """Texts of the listings that are wanted (a mask) and have a price, and which these are."""
        seen = self._look(source)
        good = seen.usable & wanted
        return [self._text(source, seen, at) for at in np.flatnonzero(good).tolist()], good

    def _parts(self, source: Source, pair: str) -> list[bytes]:
        seen = self._look(source)
        good = np.flatnonzero(seen.usable).tolist()
        if pair:
            good = [at for at in good if seen.listings[at].pair == pair]
        return [self._text(source, seen, at) for at in good]

    def _text(self, source: Source, seen: SourceQuotes, at: int) -> bytes:
        texts = self._texts[source]
        if not texts[at]:
            price = price_of(seen.listings[at], seen.quotes[at])
            texts[at] = msgspec.json.encode(price)[_AGELESS]
            self.encoded += 1
        return b"%b%d}" % (texts[at], seen.ages_ms[at])

    def _look(self, source: Source) -> SourceQuotes:
        seen = self.board.look(source)
        good = seen.usable.tobytes()
        if self._good.get(source) != good:
            self._good[source] = good
            self._version += 1
        self._forget(source, seen)
        return seen

    def _forget(self, source: Source, seen: SourceQuotes) -> None:
        """The texts that are true no more."""
        before = self._of.get(source)
        self._of[source] = seen.quotes
        if before is None:
            self._texts[source] = [b""] * len(seen.quotes)
            return
        texts, changed = self._texts[source], np.flatnonzero(before != seen.quotes).tolist()
        for at in changed:
            texts[at] = b""
        self._version += any(seen.usable[at] for at in changed)  # what is no number never stays
