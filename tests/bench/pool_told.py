"""Pools as feed-solana hears them: frames of a provider, and cells, quotes and books in memory.

What the process puts off to when a frame is dealt with is put off here likewise, and done by
`rest`, so that each part can be measured by itself.
"""

import base64
import contextlib
import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from spread_scanner import clock, config
from spread_scanner.config import Settings
from spread_scanner.pools import rpc
from spread_scanner.pools.counting import PoolCounting
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.garbage import GarbageTurns
from spread_scanner.pools.sources import PoolSources
from spread_scanner.pools.subscriptions import Subscriptions
from spread_scanner.schema.enums import POOL_SOURCES, SOURCE_BY_LABEL
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import Health, PriceStore, segment
from spread_scanner.shm.pools import PoolTable
from spread_scanner.shminit.making import ensure
from spread_scanner.solana import keys
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

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
ARRAY_BYTES_MIN = 9_000
SHIPPED = Path(__file__).parents[2] / "config"
NAMESPACE = f"bench-pools-{os.getpid()}"
ROUNDS = 6  # until nothing more is wanted
SYMBOLS = ("SOL-USDC", "SOL-USDT", "USDC-USDT")
told_id = SYMBOLS.index
TOLD_RATE = 0.999, 1.001
STABLE = SOURCE_BY_LABEL["binance-spot"].source_id
Accounts = Mapping[str, tuple[str, bytes]]


class ToldPools:
    """Pools that are whole, and the frames that tell of their accounts."""

    def __init__(
        self, feed: PoolFeed, accounts: Accounts, later: list[Callable[[], None]], rate: Any
    ) -> None:
        """`later` is what the process does when it has dealt with a frame; `rate` tells what a USDC
        is."""
        self._feed, self._accounts, self._later, self._rate = feed, accounts, later, rate
        self._numbers = Subscriptions()
        self.garbage: GarbageTurns | None = None  # as the process has it
        self._slot = 100
        self._begin()

    def _begin(self) -> None:
        self._feed.connected("a")
        self.next_slot()
        for _ in range(ROUNDS):
            wanted = dict.fromkeys(key for of in self._feed.accounts_by_pool() for key in of)
            given = {key: self._accounts.get(key, (keys.SYSTEM, b"")) for key in wanted}
            self._feed.seeded("a", self._slot, given, clock.mono_ns())
        self._wanted = {key: 1_000 + n for n, key in enumerate(wanted) if key in self._accounts}
        for key, number in self._wanted.items():
            self._numbers.ask(number, key, 0)
            self._numbers.acknowledged(rpc.Subscribed(number, number), 0)
        self.rest()
        for pool in self._feed.pools.values():
            if not pool.cell.published:
                raise RuntimeError(f"not whole: {pool.refusal}")

    def next_slot(self) -> None:
        """The provider says that it has come to it."""
        self._slot += 1
        if self._rate is not None:
            self._rate()
        self._feed.slot("a", self._slot, clock.mono_ns())

    def clock(self, unix_s: int) -> None:
        """What the chain's says in this slot, and this machine's too."""
        now_ns = clock.mono_ns()
        self._feed.clock_told("a", self._slot, unix_s, now_ns, unix_s * clock.NS_PER_S)

    def rest(self) -> None:
        """What was put off."""
        while self._later:
            self.rest_once()
        if self.garbage is not None:
            self.garbage.rest(clock.mono_ns())

    def rest_once(self) -> None:
        """The first of it."""
        self._later.pop(0)()

    def moving(self, pool: str) -> list[str]:
        """What a swap in a pool writes."""
        return [key for key in self._wanted if key in self._feed.pools[pool].wanted.moving]

    def array(self, pool: str) -> str | None:
        """One that a swap need not write; None where there is none."""
        wanted = self._feed.pools[pool].wanted
        others = (key for key in wanted.keys if key in self._wanted and key not in wanted.moving)
        return next((key for key in others if self.kind(key) == "array"), None)

    def kind(self, key: str) -> str:
        owner, data = self._accounts[key]
        if len(data) > ARRAY_BYTES_MIN:
            return "array"
        return "vault" if owner == keys.TOKEN else "pool"

    def published(self, pool: str) -> int:
        """How often its cell was."""
        return self._feed.pools[pool].cell.published

    def frame(self, key: str, ahead: int = 0) -> bytes:
        """Of the slot that was told last, or of one that follows."""
        slot = self._slot + ahead
        owner, data = self._accounts[key]
        at = WRITTEN_AT[owner, len(data)]  # as each swap does: no slot brings the bytes of another
        amount = int.from_bytes(data[at : at + 4], "little") + slot & 0xFFFF_FFFF
        data = data[:at] + amount.to_bytes(4, "little") + data[at + 4 :]
        shape: dict[str, Any] = {"lamports": 2_039_280, "owner": owner, "executable": False}
        shape["rentEpoch"] = 2**64 - 1  # as nodes say it
        shape |= {"data": [base64.b64encode(data).decode(), "base64"], "space": len(data)}
        result = {"context": {"slot": slot}, "value": shape}
        params = {"result": result, "subscription": self._wanted[key]}
        said = {"jsonrpc": "2.0", "method": "accountNotification", "params": params}
        return msgspec.json.encode(said)

    @property
    def numbers(self) -> dict[int, str]:
        """The accounts by the numbers of their subscriptions."""
        return {number: key for key, number in self._wanted.items()}

    def take(self, frame: bytes) -> None:
        """As a line does."""
        now_ns = clock.mono_ns()
        told = rpc.heard(frame)
        assert isinstance(told, rpc.AccountTold)
        of = self._numbers.told(told, now_ns)
        assert of is not None
        self._feed.told("a", of.key, told.slot, (told.owner, told.data), now_ns)


@contextmanager
def told_pools(
    programs: Mapping[str, str],
    mints: tuple[str, str],
    accounts: Accounts,
    *,
    sources: bool,
    quoted: Sequence[str] = SYMBOLS[:2],
) -> Iterator[ToldPools]:
    """Pools by their keys, all SOL in USDC; with `sources` their quotes and books are written, SOL
    in USDT by a rate, too, as where everything is turned on. Of what the tables have `quoted`
    is what there are pairs of."""
    namespace = NAMESPACE
    later: list[Callable[[], None]] = []
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory())) / "config"
        settings = _settings(folder, namespace, programs, mints, sources)
        held.callback(_remove, namespace)
        ensure(settings)
        publish(settings.generated_dir, _tables(quoted), {})
        row = held.enter_context(held.enter_context(Health.attach(namespace)).claim(FEED_SOLANA))
        table = held.enter_context(PoolTable.attach(namespace))
        writer = held.enter_context(table.writer())
        store = held.enter_context(PriceStore.attach(namespace))
        usdc = held.enter_context(store.writer(STABLE))

        def rate() -> None:
            usdc.write(2, TOLD_RATE[0], 1.0, TOLD_RATE[1], 1.0, TS_ABSENT, store.clock.now_ns(), 1)
            usdc.heartbeat(clock.mono_ns())

        feed = PoolFeed(settings.pools, writer, PoolCounting(row), lambda pool, why: None)
        feed.soon = later.append
        if sources:
            quoting = PoolSources(settings, later.append)
            held.callback(quoting.close)
            quoting.hear(feed)
        pools = ToldPools(feed, accounts, later, rate if sources else None)
        gc.collect()
        pools.garbage = GarbageTurns(clock.mono_ns())
        held.callback(pools.garbage.end)
        yield pools


def _settings(
    folder: Path, namespace: str, programs: Mapping[str, str], mints: tuple[str, str], on: bool
) -> Settings:
    folder.mkdir()
    system = f'[system]\nnamespace = "{namespace}"\nmax_symbols = 64\nnum_sources = 12\n'
    books = '[books]\nwatch = ["SOL-USDC", "SOL-USDT"]\n'
    (folder / "config.toml").write_text(system + books)
    for name in ("exchanges.toml", "directions.toml"):
        (folder / name).write_text((SHIPPED / name).read_text())
    coins = zip(mints, ("SOL", "USDC"), strict=True)
    provider = '[providers.a]\nhttp_url = "http://a.test"\nws_url = "ws://a.test"'
    pools = [f"enabled = {str(on).lower()}", provider]
    pools += [f'[mints.{mint}]\ncoin = "{coin}"' for mint, coin in coins]
    pools += [
        f'[pools.{key}]\nprogram = "{program}"\nmints = ["{mints[0]}", "{mints[1]}"]'
        for key, program in programs.items()
    ]
    (folder / "pools.toml").write_text("\n".join(pools))
    return config.load(folder, {})


def _tables(quoted: Sequence[str]) -> Tables:
    """Each pool's source quotes these; another what a USDC is."""
    places = [SYMBOLS.index(symbol) for symbol in quoted]
    listed = [(source.source_id, at, SYMBOLS[at]) for source in POOL_SOURCES[:3] for at in places]
    rows = [(STABLE, 2, "USDCUSDT"), *listed]
    return Tables(
        generation=1,
        created_wall_ns=clock.wall_ns(),
        symbols=tuple(SymbolRow(at, name, *name.split("-")) for at, name in enumerate(SYMBOLS)),
        instruments=tuple(
            InstrumentRow(*row, 1.0, 1.0, None, None, None, None, False, False) for row in rows
        ),
        directions=(DirectionRow(12, ()),),
        funding=(),
        quarantine=(),
    )


def _remove(namespace: str) -> None:
    for name in segment.names(namespace):
        segment.remove(name)
