"""spread-paths as a process, beside feed-solana and the simulator's Solana: a cycle that was
constructed is found, and what it pays is the simulator's own integers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from solana_bed import ROOT, WAIT_S, FeedBed, SolanaThread, feeding, solana

from spread_scanner.config.pools import FeeSettings
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import PATHS
from spread_scanner.shm import Health
from spread_scanner.view.cycles import CycleView, StoredCycles

WANTED = "[spread-paths]\nenabled = true\nhops_max = 3\nscan_every_s = 0.5\n"


class PathsBed:
    """spread-paths over a feed's segments."""

    def __init__(self, feed: FeedBed) -> None:
        self.feed = feed
        self.stored = StoredCycles(feed.settings.data_dir)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = {**os.environ, "SPREAD_CONFIG_DIR": str(self.feed.folder)}
        environ.pop("SPREAD_SYSTEM__NAMESPACE", None)
        with self.feed.log.open("ab") as log:
            command: list[str | Path] = [sys.executable, ROOT / "bins" / PATHS]
            self.process = subprocess.Popen(command, env=environ, stderr=log)

    def health(self) -> Any:
        with Health.attach(self.feed.namespace) as health:
            return health.read(PATHS) if PATHS in health.names() else None

    def counted(self, label: str) -> int:
        found = self.health()
        return 0 if found is None else int(found.counters[label])

    def cycles(self) -> list[CycleView]:
        return self.stored.last(1_000)

    def wait(self, what: str, is_so: Callable[[], bool]) -> None:
        assert self.process is None or self.process.poll() is None, self.feed.log.read_text()
        self.feed.wait(f"{what} ({self.health()})", is_so)

    def end(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(WAIT_S)


@contextmanager
def finding(folder: Path, namespace: str, chain: SolanaThread) -> Iterator[PathsBed]:
    often = "\n[fees]\nask_every_s = 0.1\n"
    with feeding(folder, namespace, chain.side.pools_toml() + often) as feed:
        config = feed.folder / "config.toml"
        config.write_text(config.read_text() + WANTED)
        bed = PathsBed(feed)
        try:
            yield bed
        finally:
            bed.stored.close()
            if bed.process is not None and bed.process.poll() is None:
                bed.process.kill()
                bed.process.wait()


def left_over(chain: SolanaThread, found: CycleView) -> list[int]:
    """What the simulator's own pools make of the amount, swap by swap."""

    def swapped() -> list[int]:
        amounts = [int(found.hops[0].amount_in)]
        for hop in found.hops:
            pool = chain.side.chain.pools[hop.pool]
            side = [coin.mint for coin in pool.coins].index(hop.mint_in)
            amounts.append(pool.quote(side, amounts[-1]))
        return amounts

    amounts: list[int] = chain.ask(swapped)
    return amounts


def test_it_ends_at_once_unless_it_is_enabled(tmp_path: Path, namespace: str) -> None:
    with (
        solana(3, 2, slot_s=0.05) as chain,
        finding(tmp_path, namespace, chain) as bed,
    ):
        config = bed.feed.folder / "config.toml"
        config.write_text(config.read_text().replace("enabled = true", "enabled = false"))
        bed.start()
        assert bed.process is not None
        assert bed.process.wait(WAIT_S) == 0
        assert bed.health().message == "not enabled: there is nothing to do"


@pytest.mark.slow
def test_a_constructed_cycle_is_found_with_the_simulators_own_integers(
    tmp_path: Path, namespace: str
) -> None:
    with (
        solana(3, 9, slot_s=0.1, swaps_per_slot=0.0) as chain,
        finding(tmp_path, namespace, chain) as bed,
    ):
        bed.feed.start()
        bed.feed.wait("all pools are fresh", bed.feed.all_fresh)
        bed.start()
        bed.wait("all pools are traded", lambda: bed.counted("traded") == 9)
        bed.wait("of all pools fees are heard", lambda: bed.counted("fees_known") == 9)
        pool = next(iter(chain.side.chain.pools.values()))
        chain.act(do="swap", pool=pool.key, side=0, amount=pool.amounts[0] // 20)
        kinds = {"raydium-v4", "raydium-cpmm", "orca-whirlpool"}

        def through_it() -> list[CycleView]:
            return [c for c in bed.cycles() if any(hop.pool == pool.key for hop in c.hops)]

        bed.wait(
            "it is found, and pools of all kinds",
            lambda: (
                bool(through_it())
                and kinds <= {hop.program for one in bed.cycles() for hop in one.hops}
            ),
        )
        through = through_it()
        for found in through:
            amounts = [int(found.hops[0].amount_in), *(int(hop.amount_out) for hop in found.hops)]
            assert left_over(chain, found) == amounts
            assert amounts[-1] > amounts[0]
            assert found.net_sol > 0
            assert found.priority_heard
            assert (found.priority_micro_lamports or 0) > FeeSettings().micro_lamports_min
        # Nobody swaps: what was found stands, and would have paid the same five slots later.
        first = through[0].id
        bed.wait(
            "it was looked after",
            lambda: any(one.id == first and len(one.looks) == 3 for one in bed.cycles()),
        )
        [after] = [one for one in bed.cycles() if one.id == first]
        assert [look.after_slots for look in after.looks] == [1, 2, 5]
        assert all(look.paid_net_sol == pytest.approx(after.net_sol) for look in after.looks)
        assert all(look.stands and look.slot > after.slot for look in after.looks)
        assert after.ended_ns is None
        # Somebody takes it: swapped back, it pays no more.
        chain.act(do="swap", pool=pool.key, side=1, amount=pool.amounts[1] // 19)
        bed.wait(
            "it has ended",
            lambda: any(one.id == first and one.ended_ns is not None for one in bed.cycles()),
        )
        assert bed.health().state is ProcessState.RUNNING
        assert bed.end() == 0
        assert all(one.ended_ns is not None for one in bed.cycles())
