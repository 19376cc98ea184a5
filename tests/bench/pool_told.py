"""One pool as feed-solana hears it: frames of a provider, and a cell in memory."""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from spread_scanner import clock
from spread_scanner.config.pools import MintSettings, PoolEntry, PoolSettings
from spread_scanner.pools import rpc
from spread_scanner.pools.counting import PoolCounting
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.subscriptions import Subscriptions
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.shm import Health, segment
from spread_scanner.shm.pools import PoolTable
from spread_scanner.solana import keys

# Of an account by owner and length, where a swap writes: four bytes of an amount, of a price,
# or what was earned.
WRITTEN_AT = {
    (keys.TOKEN, 165): 64,
    (keys.RAYDIUM_CPMM, 637): 341,
    (keys.RAYDIUM_CLMM, 1_544): 253,
    (keys.RAYDIUM_CLMM, 10_240): 44 + 36,
    (keys.ORCA_WHIRLPOOL, 653): 65,
    (keys.ORCA_WHIRLPOOL, 9_988): 12 + 33,
    (keys.METEORA_DLMM, 904): 216,
    (keys.METEORA_DLMM, 10_136): 56 + 80,
}
ROUNDS = 6  # until nothing more is wanted
Accounts = dict[str, tuple[str, bytes]]


class ToldPool:
    """A pool that is whole, and the frames that tell of its accounts."""

    def __init__(self, feed: PoolFeed, pool: str, accounts: Accounts) -> None:
        self._feed, self._pool, self._accounts = feed, pool, accounts
        self._numbers = Subscriptions()
        self._slot = 100
        self._begin()

    def _begin(self) -> None:
        self._feed.connected("a")
        self._feed.slot("a", self._slot, clock.mono_ns())
        for _ in range(ROUNDS):
            wanted = self._feed.accounts_by_pool()[0]
            given = {key: self._accounts.get(key, (keys.SYSTEM, b"")) for key in wanted}
            self._feed.seeded("a", self._slot, given, clock.mono_ns())
        self._wanted = [key for key in wanted if key in self._accounts]
        for number, key in enumerate(self._wanted):
            self._numbers.ask(number, key)
            self._numbers.acknowledged(rpc.Subscribed(number, 1_000 + number), 0)
        if self._feed.pools[self._pool].cell.pool is None:
            raise RuntimeError(f"not whole: {self._feed.pools[self._pool].refusal}")

    def by_kind(self) -> dict[str, list[str]]:
        """What a swap writes; and the arrays that it may not."""
        moving = self._feed.pools[self._pool].wanted.moving
        others = [key for key in self._wanted if key not in moving and self._is_array(key)]
        written = [key for key in self._wanted if key in moving]
        return {"moving": written, **({"array": others[:1]} if others else {})}

    def _is_array(self, key: str) -> bool:
        return len(self._accounts[key][1]) > 9_000

    def frames(self, told: list[str], slots: int) -> list[bytes]:
        """Of so many slots, one after the other."""
        found = []
        for _ in range(slots):
            self._slot += 1
            found += [self._frame(key) for key in told]
        return found

    def _frame(self, key: str) -> bytes:
        owner, data = self._accounts[key]
        at = WRITTEN_AT.get((owner, len(data)))
        if at is not None:  # as each swap does: no slot brings the bytes of another
            amount = int.from_bytes(data[at : at + 4], "little") + self._slot & 0xFFFF_FFFF
            data = data[:at] + amount.to_bytes(4, "little") + data[at + 4 :]
        shape: dict[str, Any] = {"lamports": 2_039_280, "owner": owner, "executable": False}
        shape["rentEpoch"] = 2**64 - 1  # as nodes say it
        shape |= {"data": [base64.b64encode(data).decode(), "base64"], "space": len(data)}
        result = {"context": {"slot": self._slot}, "value": shape}
        params = {"result": result, "subscription": 1_000 + self._wanted.index(key)}
        said = {"jsonrpc": "2.0", "method": "accountNotification", "params": params}
        return msgspec.json.encode(said)

    @property
    def numbers(self) -> dict[int, str]:
        """The accounts by the numbers of their subscriptions."""
        return {1_000 + number: key for number, key in enumerate(self._wanted)}

    def take(self, frame: bytes) -> None:
        """As a line does."""
        now_ns = clock.mono_ns()
        told = rpc.heard(frame)
        assert isinstance(told, rpc.AccountTold)
        of = self._numbers.told(told, now_ns)
        assert of is not None
        self._feed.told("a", of.key, told.slot, (told.owner, told.data), now_ns)


@contextmanager
def told_pool(
    program: Any, pool: str, mints: tuple[str, str], accounts: Accounts
) -> Iterator[ToldPool]:
    coins = {mints[0]: MintSettings("SOL"), mints[1]: MintSettings("USDC")}
    settings = PoolSettings(mints=coins, pools={pool: PoolEntry(program, list(mints))})
    namespace = f"bench-pools-{os.getpid()}"
    try:
        with (
            Health.create(namespace) as health,
            health.claim(FEED_SOLANA) as row,
            PoolTable.create(namespace) as table,
            table.writer() as writer,
        ):
            feed = PoolFeed(settings, writer, PoolCounting(row), lambda pool, why: None)
            yield ToldPool(feed, pool, accounts)
    finally:
        for name in segment.names(namespace):
            segment.remove(name)
