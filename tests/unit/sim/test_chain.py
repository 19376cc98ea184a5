"""The simulator's chain against the product: two writings of one thing, to the last unit; and its
settings.
"""

import random
from pathlib import Path

import pytest
from assembled_pools import assembled
from typer.testing import CliRunner

from spread_scanner.config import load_pools
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.pools import POOLS_MAX
from spread_scanner.sim import solana_keys
from spread_scanner.sim.chain import FIRST_SLOT, Chain, unix_s
from spread_scanner.sim.chain_pools import SYSTEM, WHIRLPOOL
from spread_scanner.sim.cli import app
from spread_scanner.sim.configout import write_config
from spread_scanner.sim.rpc_server import SolanaSide
from spread_scanner.solana import keys
from spread_scanner.solana.pool import price_of, quote_of

COUNT = 15


def test_keys_and_addresses_are_those_of_the_library() -> None:
    rng = random.Random(7)
    for _ in range(20):
        raw = bytes(rng.choices(range(256), k=32))
        assert solana_keys.text(raw) == keys.text(raw)
        assert solana_keys.raw(keys.text(raw)) == raw
        seeds = [b"tick_array", raw, str(rng.randint(-9_999, 9_999)).encode()]
        assert solana_keys.derived(seeds, WHIRLPOOL) == keys.pda(seeds, WHIRLPOOL)
    assert solana_keys.text(bytes(32)) == keys.text(bytes(32)) == SYSTEM


@pytest.mark.parametrize("seed", range(3))
def test_every_pool_is_priced_and_quoted_alike(seed: int) -> None:
    chain, rng = Chain(seed, COUNT, 6.0), random.Random(seed)
    crossed: dict[str, int] = {}
    for _ in range(10):
        chain.step()
        for pool in chain.pools.values():
            one = assembled(chain, pool)
            assert one.mints == tuple(coin.mint for coin in pool.coins)
            assert price_of(one) == float(pool.price())
            for side in (0, 1):
                amount = rng.randint(10**5, 10**9)
                found = quote_of(one, one.mints[side], amount, True, unix_s(chain.slot), chain.slot)
                assert found.amount_out == pool.quote(side, amount)
                paid = quote_of(one, one.mints[side], amount, False, unix_s(chain.slot), chain.slot)
                assert paid.amount_in == pool.costs(side, amount)
            side, amount = pool.some(rng)
            found = quote_of(one, one.mints[side], amount, True, unix_s(chain.slot), chain.slot)
            assert found.amount_out == pool.quote(side, amount)
            crossed[pool.kind] = max(crossed.get(pool.kind, 0), found.crossed)
    assert min(crossed["raydium-clmm"], crossed["meteora-dlmm"]) >= 1


def test_a_fork_takes_back_what_was_swapped() -> None:
    chain = Chain(3, COUNT, 5.0)
    for _ in range(5):
        chain.step()
    prices = {key: pool.price() for key, pool in chain.pools.items()}
    accounts = {key: chain.account(key, chain.slot) for key in chain.pools}
    for _ in range(4):
        chain.step()
    changed = chain.fork(4)
    assert chain.slot == FIRST_SLOT + 5
    assert {key: pool.price() for key, pool in chain.pools.items()} == prices
    assert {key: chain.account(key, chain.slot) for key in chain.pools} == accounts
    assert changed
    assert all(chain.written.get(slot) is None for slot in range(chain.slot + 1, chain.slot + 5))
    chain.step()
    for pool in chain.pools.values():
        assert price_of(assembled(chain, pool)) == float(pool.price())


def test_the_same_seed_makes_the_same_chain() -> None:
    one, other = Chain(5, COUNT, 3.0), Chain(5, COUNT, 3.0)
    for chain in (one, other):
        for _ in range(6):
            chain.step()
    assert {key: one.account(key, one.slot) for key in one.pools} == {
        key: other.account(key, other.slot) for key in other.pools
    }
    assert Chain(6, COUNT, 3.0).pools.keys().isdisjoint(one.pools)


def test_a_folder_of_settings_has_no_pools_of_an_earlier_run(tmp_path: Path) -> None:
    bps = {direction.label: 40.0 for direction in DIRECTIONS}
    side = SolanaSide(1, 2)
    side.port = 1
    write_config(tmp_path, {}, bps, side.pools_toml())
    assert load_pools(tmp_path).runs
    write_config(tmp_path, {}, bps)
    assert not load_pools(tmp_path).runs


def test_more_pools_than_a_system_has_places_for_are_refused() -> None:
    done = CliRunner().invoke(app, ["--pools", str(POOLS_MAX + 1)])
    assert (done.exit_code, str(POOLS_MAX) in done.output) == (2, True)
