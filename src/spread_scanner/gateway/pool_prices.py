"""Prices of Solana's pools as bytes: each is written out once, and again when its record changed.

As gateway/prices.py has those of exchanges, of which these stand behind; a pool's age, too, moves
alone and stands last. Nothing where no pools are read.
"""

import zlib
from typing import NamedTuple

import msgspec
import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.gateway.prices import AGELESS
from spread_scanner.schema.pools import POOL_DTYPE, fresh_pools
from spread_scanner.shm.pools import PoolTable
from spread_scanner.view import pools


class PoolTexts(NamedTuple):
    """What pools say that can be stood behind, pool by pool."""

    texts: list[bytes]  # ageless
    pairs: list[str]
    ages_ms: list[int]

    @property
    def parts(self) -> list[bytes]:
        """With their ages."""
        return [b"%b%d}" % told for told in zip(self.texts, self.ages_ms, strict=True)]

    @property
    def said(self) -> int:
        """The same while the texts are."""
        return zlib.crc32(b"".join(self.texts))


class PoolsAsText:
    """Of one set of settings, made anew with it."""

    def __init__(self, settings: Settings, table: PoolTable) -> None:
        self.pairs = pools.pairs(settings)  # of the pools that are to be read
        self._settings = settings
        self._table = table
        # By key the record but for its renewal, its pair and its text; empty: it is no price.
        self._known: dict[bytes, tuple[bytes, str, bytes]] = {}

    def look(self, pair: str = "") -> PoolTexts:
        """Of one pair or of all."""
        found = PoolTexts([], [], [])
        if not self._settings.pools.runs:
            return found
        rows, now_ns = self._table.rows(), clock.mono_ns()
        if pair:
            rows = rows[rows["symbol"] == pair.replace("/", "-").encode()]
        rows = rows[fresh_pools(rows, now_ns)]
        ages_ms = ((now_ns - rows["renewed_mono_ns"]) // NS_PER_MS).tolist()
        rows["renewed_mono_ns"] = 0  # ours: a copy
        keys, records = rows["key"].tolist(), rows.tobytes()
        for at, (key, age_ms) in enumerate(zip(keys, ages_ms, strict=True)):
            record = records[at * POOL_DTYPE.itemsize : (at + 1) * POOL_DTYPE.itemsize]
            known = self._known.get(key)
            if known is None or known[0] != record:
                known = self._known[key] = record, *self._written(rows[at])
            if known[2]:
                found.texts.append(known[2])
                found.pairs.append(known[1])
                found.ages_ms.append(age_ms)
        return found

    def _written(self, row: np.void) -> tuple[str, bytes]:
        price = pools.price_of(self._settings, row)
        return ("", b"") if price is None else (price.pair, msgspec.json.encode(price)[AGELESS])
