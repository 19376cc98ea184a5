"""Which pools may be traded, read from the segment as feed-solana writes it; who stays out, why."""

from collections.abc import Iterator

import numpy as np
import pytest
from pool_rows import pool_row

from spread_scanner.clock import NS_PER_S, mono_ns
from spread_scanner.paths.market import OutReason, PoolMarket
from spread_scanner.schema.costs import LAMPORTS
from spread_scanner.schema.pools import PACKED_BYTES, PoolFlag
from spread_scanner.shm.pools import PoolTable, PoolWriter
from spread_scanner.sim.chain_kinds import KINDS
from spread_scanner.sim.chain_pools import BASES, USDC, SimAmm, SimPool
from spread_scanner.solana.packed import pack

UNIX_TS, USD = 1_800_000_000, 1_000_000
SOL = int(LAMPORTS)


class Written:
    """Pools in a segment, and the market that reads it."""

    def __init__(self, table: PoolTable, writer: PoolWriter) -> None:
        self._writer = writer
        self._places: dict[str, int] = {}
        self._published: dict[str, int] = {}
        self.market = PoolMarket(table, 10.0 * SOL)

    def write(self, pool: SimPool, **values: object) -> None:
        """As it stands now, published once more."""
        accounts = pool.everything(1)
        packed = pack(accounts, accounts.keys(), PACKED_BYTES) or pack(
            accounts, pool.accounts().keys(), PACKED_BYTES
        )
        self.put(pool.key, packed, program=pool.kind.encode(), **values)

    def put(self, key: str, packed: bytes, **values: object) -> None:
        place = self._places.setdefault(key, len(self._places))
        published = self._published[key] = self._published.get(key, 0) + 1
        self._writer.write_state(place, key, published, packed)
        self._writer.write(place, pool_row(key, published=published, **values))

    def gone(self, key: str) -> None:
        self._writer.write(self._places[key], np.zeros_like(pool_row(key)))

    def look(self) -> set[str]:
        changed = self.market.look(mono_ns(), UNIX_TS)
        self.market.weigh()
        return changed | self.market.judge(UNIX_TS)

    def reason(self, key: str) -> OutReason | None:
        out = self.market.pools[key].out
        return None if out is None else out.reason


@pytest.fixture
def written(namespace: str) -> Iterator[Written]:
    with PoolTable.create(namespace) as table, table.writer() as writer:
        yield Written(table, writer)


def amm(number: int, usd: int = USD) -> SimAmm:
    return SimAmm(1, number, (BASES[0], USDC), usd)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_kind_is_read_and_traded(written: Written, kind: type[SimPool]) -> None:
    pool = kind(1, 0, (BASES[0], USDC), USD)
    written.write(pool)
    assert written.look() == {pool.key}
    assert written.market.traded().keys() == {pool.key}
    assert written.look() == set(), "nothing has changed"
    written.write(pool)
    assert written.look() == {pool.key}


def test_what_tokens_are_worth_goes_by_the_deepest_pool(written: Written) -> None:
    deep, thin = amm(1), amm(2, USD // 100)
    thin.amounts[1] *= 3
    written.write(deep)
    written.write(thin)
    written.look()
    assert written.market.worths[USDC.mint] == pytest.approx(SOL / 150 / 1e6, rel=1e-3)


OUT = {
    "stale": ({"flags": int(PoolFlag.STALE)}, OutReason.STALE),
    "renewed no more": ({"renewed_mono_ns": 1, "good_ns": 1}, OutReason.STALE),
    "paused": ({"flags": int(PoolFlag.STALE | PoolFlag.PAUSED)}, OutReason.PAUSED),
    "refused": (
        {"flags": int(PoolFlag.STALE | PoolFlag.REFUSED), "why": b"another mint"},
        OutReason.MISLABELLED,
    ),
}


@pytest.mark.parametrize(("values", "reason"), OUT.values(), ids=OUT.keys())
def test_what_cannot_be_stood_behind_is_out_until_it_can(
    written: Written, values: dict[str, object], reason: OutReason
) -> None:
    pool = amm(1)
    written.write(pool)
    written.look()
    written.write(pool, **values)
    assert written.look() == {pool.key}
    assert written.reason(pool.key) is reason
    assert written.market.traded() == {}
    assert written.look() == set()
    written.write(pool)
    assert written.look() == {pool.key}
    assert written.reason(pool.key) is None


def test_dust_the_dead_and_what_cannot_be_read_stay_out(written: Written) -> None:
    good, dust, dead, closed = amm(1), amm(2, 100), amm(3), amm(4)
    dead.amounts = [dead.owed[0], dead.amounts[1]]
    for pool in (good, dust, dead):
        written.write(pool)
    owner, data = closed.accounts()[closed.key]
    paused = {**closed.accounts(), closed.key: (owner, b"\4" + data[1:])}
    written.put(closed.key, pack(paused, paused.keys(), PACKED_BYTES))
    written.put("A" * 44, b"")
    written.put("B" * 44, b"none of ours")
    written.look()
    assert {key: written.reason(key) for key in written.market.pools} == {
        good.key: None,
        dust.key: OutReason.DUST,
        dead.key: OutReason.DEAD,
        closed.key: OutReason.CLOSED,
        "A" * 44: OutReason.NO_ROOM,
        "B" * 44: OutReason.MISLABELLED,
    }
    assert written.market.traded().keys() == {good.key}


def test_a_pool_that_nobody_watches_any_more_is_gone(written: Written) -> None:
    pool = amm(1)
    written.write(pool)
    written.look()
    written.gone(pool.key)
    assert written.look() == {pool.key}
    assert written.market.pools == {}


def test_an_hour_without_a_word_is_stale(written: Written) -> None:
    pool = amm(1)
    written.write(pool)
    written.look()
    assert written.market.look(mono_ns() + 3_700 * NS_PER_S, UNIX_TS) == {pool.key}
    assert written.reason(pool.key) is OutReason.STALE
