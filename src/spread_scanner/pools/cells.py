"""A pool's cell: what is written of one that is whole, renewed, stale or refused.

A cell's record is kept here and changed in place, so that a renewal costs no more than its write.
"""

import math

from spread_scanner.config.pools import PoolEntry
from spread_scanner.pools.units import WholeBecause, WholePool
from spread_scanner.schema.pools import WHY_BYTES, PoolFlag
from spread_scanner.shm.pools import PoolWriter, record
from spread_scanner.solana import Pool, PoolRefusal, assemble
from spread_scanner.solana.pool import price_of

_BECAUSE = {because: number for number, because in enumerate(WholeBecause)}


class PoolCell:
    """What is said of one pool, in its place."""

    def __init__(self, writer: PoolWriter, place: int, key: str, entry: PoolEntry) -> None:
        self._writer, self._place, self._key = writer, place, key
        self.pool: Pool | None = None  # as it was published last
        self._published = 0
        self._record = record(
            (
                *(key.encode(), entry.program.encode(), b"", b"", b"", b""),
                *(math.nan,) * 5,
                *(0,) * 8,
                PoolFlag.STALE,
                0,
            )
        )
        self._row = self._record[0]
        self._write()

    @property
    def flags(self) -> PoolFlag:
        return PoolFlag(int(self._row["flags"]))

    def publish(self, whole: WholePool, symbol: str, told_ns: int, now_ns: int) -> None:
        """A pool as it stands now. Raises PoolRefusal where it has no price: its cell says so."""
        try:
            pool = assemble(whole.pool, whole.accounts)
            price = price_of(pool)
            reserves = [
                amount / 10**decimals
                for amount, decimals in zip(pool.reserves(), pool.decimals, strict=True)
            ]
        except PoolRefusal as refusal:
            self.refuse(str(refusal))
            raise
        self._published += 1
        liquidity, fee = pool.liquidity(), pool.fee_rate()
        row = self._row
        if self.pool is None:
            row["mint0"], row["mint1"] = (mint.encode() for mint in pool.mints)
            row["symbol"] = symbol.encode()
            row["decimals0"], row["decimals1"] = pool.decimals
        self.pool = pool
        row["price"], row["reserve0"], row["reserve1"] = price, *reserves
        row["liquidity"] = math.nan if liquidity is None else liquidity
        row["fee"] = math.nan if fee is None else fee
        row["slot"], row["published"] = whole.slot, self._published
        row["told_mono_ns"], row["written_mono_ns"] = told_ns, now_ns
        row["because"], row["why"] = _BECAUSE[whole.because], b""
        row["flags"] = int(self.flags & ~PoolFlag.REFUSED)

    def show(self, *, good: bool, paused: bool, now_ns: int, good_ns: int) -> None:
        """Whether what stands there can be stood behind: until when, or no longer."""
        row = self._row
        flags = self.flags & PoolFlag.REFUSED
        if not good:
            flags |= PoolFlag.STALE
        if paused:
            flags |= PoolFlag.PAUSED
        if good:
            row["renewed_mono_ns"], row["good_ns"] = now_ns, good_ns
        row["flags"] = int(flags)
        self._write()

    def refuse(self, why: str) -> None:
        """There is no price to be stood behind, and why."""
        self._row["why"] = why.encode(errors="replace")[:WHY_BYTES]
        self._row["flags"] = int(self.flags | PoolFlag.REFUSED | PoolFlag.STALE)
        self._write()

    def _write(self) -> None:
        self._writer.write(self._place, self._record)
