"""What feed-solana takes of memory: run as a process of its own by bench_pools.py.

A hundred pools of five programs with their sources are told of as many swaps each as said, and as
often of an array beside each price that was written; private memory is printed in MB then: with all
that the process loads to dial providers, three clients and their TLS, which dial nobody.
"""

import sys
from pathlib import Path

from bench_pools import MINTS, loaded_pools
from pool_told import told_pools

from spread_scanner.pools import asking, hearing
from spread_scanner.web import trust

KB_IN_MB = 1_024
PROVIDERS = 3


def private_mb() -> float:
    """Of this process, swapped out or not."""
    rows = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    kinds = ("Private_Clean:", "Private_Dirty:", "Swap:")
    return sum(int(row.split()[1]) for row in rows if row.startswith(kinds)) / KB_IN_MB


def main(rounds: int) -> None:
    tls = trust.context()
    dials = hearing.PoolHearing, [asking.client(tls, "") for _ in range(PROVIDERS)]
    programs, accounts = loaded_pools()
    with told_pools(programs, MINTS, accounts, sources=True) as pools:
        for _ in range(rounds):
            pools.next_slot()
            pools.rest()
            arrays = filter(None, map(pools.array, programs))
            for key in [*(key for pool in programs for key in pools.moving(pool)), *arrays]:
                pools.take(pools.frame(key))
                pools.rest()
        print(private_mb())
    del dials


main(int(sys.argv[1]))
