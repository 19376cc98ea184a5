"""feed-solana as a process, beside the simulator's Solana: every pool's cell is right at the end,
whatever happens in between.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import seeds
from solana_bed import FeedBed, SolanaThread, feeding, solana

from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.sim.chain_pools import SYSTEM
from spread_scanner.view import status

COUNT = 6
SLOT_S = 0.05
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USDT = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"


@pytest.fixture
def chain() -> Iterator[SolanaThread]:
    with solana(1, COUNT, slot_s=SLOT_S) as thread:
        yield thread


@pytest.fixture
def bed(tmp_path: Path, namespace: str, chain: SolanaThread) -> Iterator[FeedBed]:
    with feeding(tmp_path, namespace, chain.side.pools_toml()) as made:
        yield made


def right(bed: FeedBed, chain: SolanaThread) -> bool:
    """Every cell is fresh and says what the chain has, to the last digit."""
    truth, found = chain.truth()["pools"], bed.pools()
    return truth.keys() == found.keys() and all(
        found[key].fresh and found[key].price == said["price"] for key, said in truth.items()
    )


def holds(bed: FeedBed, chain: SolanaThread) -> bool:
    """Every cell has the reserves that the chain has. Where liquidity is concentrated they come
    with arrays, which may be told behind the pool's own account."""
    truth, found = chain.truth()["pools"], bed.pools()
    return all(
        found[key].reserves == pytest.approx(said["reserves"], rel=1e-12)
        for key, said in truth.items()
    )


def why(bed: FeedBed, pool: str) -> str:
    found = bed.pools()
    return found[pool].why if pool in found else ""


def fresh(bed: FeedBed, pools: list[str]) -> bool:
    found = bed.pools()
    return all(pool in found and found[pool].fresh for pool in pools)


def counted(bed: FeedBed, label: str) -> int:
    found: int = bed.health().counters[label]
    return found


def straighten(chain: SolanaThread) -> None:
    """Accounts that were something else are what they are, and told so."""

    def straight() -> None:
        keys = [*chain.side.chain.bent]
        chain.side.chain.bent.clear()
        chain.side.chain.touch(keys)

    chain.ask(straight)


def conditions(bed: FeedBed) -> set[str]:
    return {one.key for one in status.read(bed.settings, 0.0).conditions}


def state(bed: FeedBed) -> ProcessState:
    found: ProcessState = bed.health().state
    return found


@pytest.mark.slow  # who limits rests for ten seconds
def test_every_pool_is_right_at_the_end(bed: FeedBed, chain: SolanaThread) -> None:
    bed.start()
    bed.wait("all pools are fresh", bed.all_fresh)
    chain.act(do="fork", slots=2)
    chain.act(do="cut", provider="a")
    chain.act(do="limit", provider="b", count=1)
    bed.wait("it dials again", lambda: bed.health().counters["connects"] >= 3)
    chain.act(do="swaps", per_slot=0)
    bed.wait("every cell is right", lambda: right(bed, chain) and holds(bed, chain))
    truth = chain.truth()["pools"]
    for key, one in bed.pools().items():
        assert one.reserves == pytest.approx(truth[key]["reserves"], rel=1e-12)
        assert (one.program, one.symbol) == (truth[key]["kind"], truth[key]["symbol"])
    bed.wait("it is well", lambda: state(bed) is ProcessState.RUNNING)
    bed.wait("each is scored", lambda: bed.health().message.count("first, ") == 2)
    counters = bed.health().counters
    assert counters["pools_fresh"] == COUNT
    assert counters["skip_bad_message"] == 0
    assert bed.end() == 0
    assert bed.pools() == {}


@pytest.mark.slow
def test_it_says_what_is_wrong_obeys_and_comes_back(bed: FeedBed, chain: SolanaThread) -> None:
    pool, *others = chain.side.chain.pools
    toml = chain.side.pools_toml()
    at = toml.index(f"[pools.{pool}]")
    bed.write(toml[:at] + toml[at:].replace(USDC, USDT, 1))
    chain.act(do="lose", provider="b", count=2)
    bed.start()
    bed.wait("it is refused", lambda: "mint" in why(bed, pool))
    bed.wait("the others are fresh", lambda: fresh(bed, others))
    bed.wait("status tells it", lambda: "refused:pools" in conditions(bed))
    assert pool in bed.log.read_text()

    bed.wait("what nobody answered is asked anew", lambda: counted(bed, "providers") == 2)
    assert (counted(bed, "connects"), counted(bed, "disconnects")) == (2, 0), "where it was asked"
    bed.write(toml)
    bed.order(lambda operator: operator.reload(FEED_SOLANA))
    bed.wait("it is taken", bed.all_fresh)
    bed.wait("status tells it no more", lambda: "refused:pools" not in conditions(bed))

    chain.act(do="wrong-owner", pool=pool)
    bed.wait("another owner is refused", lambda: SYSTEM in why(bed, pool))
    straighten(chain)
    bed.wait("it is what it was", bed.all_fresh)

    kinds = {one.kind: key for key, one in chain.side.chain.pools.items()}
    chain.act(do="missing-array", pool=kinds["meteora-dlmm"])
    bed.wait("a pair without bins is refused", lambda: SYSTEM in why(bed, kinds["meteora-dlmm"]))
    straighten(chain)
    bed.wait("its bins are back", bed.all_fresh)

    bed.order(lambda operator: operator.pause(FEED_SOLANA))
    bed.wait("it is paused", lambda: all(one.why == "paused" for one in bed.pools().values()))
    bed.order(lambda operator: operator.pause(FEED_SOLANA, paused=False))
    bed.wait("it goes on", bed.all_fresh)

    chain.act(do="silent", provider="a")
    chain.act(do="silent", provider="b")
    bed.wait("nobody tells a slot", lambda: not any(one.fresh for one in bed.pools().values()))
    bed.wait("it says so", lambda: state(bed) is ProcessState.DEGRADED)
    bed.wait("and who", lambda: "a: no slot for" in bed.health().message)
    for provider in "ab":
        chain.act(do="heard", provider=provider)
    chain.act(do="swaps", per_slot=0)
    bed.wait("every cell is right", lambda: right(bed, chain))

    assert bed.process is not None
    bed.process.kill()
    bed.process.wait()
    bed.process = None
    bed.wait("a dead one's word grows old", lambda: not bed.all_fresh())
    bed.start()
    bed.wait("its next life is right", lambda: right(bed, chain))


@pytest.mark.slow
def test_faults_of_a_fresh_seed_leave_no_cell_wrong(tmp_path: Path, namespace: str) -> None:
    seed = seeds.fresh()
    print(f"seed {seed}")
    with (
        solana(seed, 12, slot_s=SLOT_S, providers=3, fault_every_s=0.25) as chain,
        feeding(tmp_path, namespace, chain.side.pools_toml()) as bed,
    ):
        bed.start()
        bed.wait("faults were lived through", lambda: chain.truth()["faults"] >= 16)
        chain.act(do="swaps", per_slot=0)
        bed.wait("every cell is right", lambda: right(bed, chain))
