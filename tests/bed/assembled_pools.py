"""The pretend chain's pools as the product decodes them."""

from spread_scanner import solana
from spread_scanner.sim.chain import Chain
from spread_scanner.sim.chain_pools import SYSTEM, WHIRLPOOL, SimPool
from spread_scanner.solana import orca_whirlpool


def assembled(chain: Chain, pool: SimPool) -> solana.Pool:
    """As a reader of the chain has it: arrays that are not there are known not to be."""
    names = pool.everything(4)
    accounts = {name: chain.account(name, chain.slot) for name in names}
    owner, data = accounts[pool.key]
    if owner == WHIRLPOOL:
        state = orca_whirlpool.decode(data)
        assert isinstance(state, orca_whirlpool.Whirlpool)
        for start in orca_whirlpool.array_starts(state, 2):
            accounts.setdefault(orca_whirlpool.array_key(pool.key, start), (SYSTEM, b""))
    return solana.assemble(pool.key, accounts)
