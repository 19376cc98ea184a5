"""What providers say of slots that cannot be: of hours to come, or of a chain that was begun anew.
One of them must not keep what the others tell from being heard. Pools are the simulator's.
"""

from collections.abc import Callable, Iterator

import pytest

from spread_scanner.config.pools import MintSettings, PoolEntry, PoolSettings
from spread_scanner.pools.counting import PoolCounting
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.pace import AHEAD_SLOTS_MAX, LEAP_SLOTS_MAX, ProviderPace
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.shm import Health
from spread_scanner.shm.pools import PoolTable
from spread_scanner.sim.chain_kinds import made
from spread_scanner.sim.chain_pools import SimPool
from spread_scanner.solana.packed import unpack

MS, S = 1_000_000, 1_000_000_000
SLOT = 350_000_000
FAR = [SLOT + AHEAD_SLOTS_MAX + 1, 2**62]


class Told:
    """One pool of two vaults, and what its providers tell."""

    def __init__(self, feed: PoolFeed, pool: SimPool, table: PoolTable) -> None:
        self.feed, self.pool, self.table, self.now_ns = feed, pool, table, S
        self.watched = feed.pools[pool.key]

    def connected(self, provider: str, slot: int) -> None:
        self.feed.connected(provider)
        self.feed.slot(provider, slot, self.now_ns)
        self.seeded(provider, slot)

    def seeded(self, provider: str, slot: int) -> None:
        for _ in range(2):  # the second time what the pool's own account names
            keys = self.watched.wanted.keys
            if slot >= self.feed.units.held.seed_slot_min(keys):  # as a node would answer
                accounts = self.pool.accounts()
                given = {key: accounts[key] for key in keys}
                self.feed.seeded(provider, slot, given, self.now_ns)

    def swapped(self, provider: str, slot: int) -> None:
        """Somebody swaps, and this provider tells of it."""
        self.now_ns += 400 * MS
        self.feed.slot(provider, slot if slot < SLOT + AHEAD_SLOTS_MAX else SLOT, self.now_ns)
        self.pool.swap(0, 10**6)
        for key, (owner, data) in self.pool.accounts().items():
            if key in self.watched.wanted.moving:
                self.feed.told(provider, key, slot, (owner, data), self.now_ns)

    @property
    def right(self) -> bool:
        shown = self.watched.cell.pool
        if shown is None or not self.watched.good:
            return False
        reserves = tuple(int(amount) for amount in self.pool.reserves())
        return tuple(shown.reserves()) == reserves


@pytest.fixture
def told(namespace: str) -> Iterator[Told]:
    (pool,) = made(1, 1)
    mints = [coin.mint for coin in pool.coins]
    settings = PoolSettings(
        mints={coin.mint: MintSettings(coin.name) for coin in pool.coins},
        pools={pool.key: PoolEntry("raydium-v4", mints)},
    )
    with (
        Health.create(namespace) as health,
        health.claim(FEED_SOLANA) as row,
        PoolTable.create(namespace) as table,
        table.writer() as writer,
    ):
        feed = PoolFeed(settings, writer, PoolCounting(row), lambda pool, why: None)
        yield Told(feed, pool, table)


@pytest.mark.parametrize("far", FAR)
def test_an_account_of_a_slot_to_come_does_not_stand_over_all_that_follows(
    told: Told, far: int
) -> None:
    told.connected("a", SLOT)
    told.connected("b", SLOT)
    assert told.right
    told.swapped("a", far)
    assert not told.feed.units.held.covered_by(next(iter(told.watched.wanted.moving))) - {"b"}
    told.feed.lost("a", told.now_ns)
    told.swapped("b", SLOT + 2)
    assert told.right


@pytest.mark.parametrize("far", FAR)
def test_what_was_told_before_anybody_told_a_slot_is_not_believed_either(
    told: Told, far: int
) -> None:
    told.feed.connected("a")
    told.seeded("a", far)
    told.feed.slot("a", SLOT, told.now_ns)
    assert not told.watched.good
    told.seeded("a", SLOT)
    assert told.right


def test_two_that_differ_on_a_slot_to_come_do_not_have_a_seed_waited_for(told: Told) -> None:
    told.feed.connected("a")
    told.feed.connected("b")
    told.seeded("a", 2**62)
    told.swapped("a", 2**62)
    told.seeded("b", 2**62)
    told.connected("b", SLOT)
    assert told.right


def test_a_chain_that_was_begun_anew_is_heard(told: Told) -> None:
    told.connected("a", SLOT + 9_000)
    told.feed.lost("a", told.now_ns)
    told.pool.swap(0, 10**6)
    told.connected("a", SLOT)
    assert told.right


@pytest.mark.parametrize("slot", [SLOT + LEAP_SLOTS_MAX + 1, 2**63 - 1])
def test_a_leap_of_one_leaves_the_others_in_time(slot: int) -> None:
    pace = ProviderPace()
    assert pace.told("a", SLOT, 0)
    assert not pace.told("b", slot, 0)
    assert not pace.told("a", slot, 0)
    assert pace.best_slot == SLOT
    assert pace.in_time("a", 0)
    assert not pace.in_time("b", 0)


def test_who_goes_back_far_stands_there() -> None:
    pace = ProviderPace()
    pace.told("a", 2**62, 0)
    pace.told("b", SLOT, 0)
    assert not pace.in_time("b", 0)
    for slot in range(SLOT, SLOT + 20):
        pace.told("a", slot, slot - SLOT)
    assert pace.best_slot == SLOT + 19
    assert pace.in_time("a", 20)
    pace.told("b", SLOT + 19, 20)
    assert pace.in_time("b", 20)


def test_a_cell_is_good_until_its_provider_would_be_out_of_time(told: Told) -> None:
    """Who finds a dead process's cell does not believe it for longer than the process had."""
    told.connected("a", SLOT)
    begun_ns = told.now_ns
    told.now_ns += 1_900 * MS
    for key in sorted(told.watched.wanted.moving):
        told.feed.told("a", key, SLOT + 1, told.pool.accounts()[key], told.now_ns)
    (row,) = told.table.rows()
    assert told.watched.good
    assert row["renewed_mono_ns"] + row["good_ns"] == begun_ns + 2 * S


def test_a_fork_that_has_not_come_as_far_yet_renews_what_is_good(told: Told) -> None:
    told.connected("a", SLOT)
    for slot in range(SLOT - 20, SLOT):
        told.now_ns += 400 * MS
        told.feed.slot("a", slot, told.now_ns)
        (row,) = told.table.rows()
        assert row["renewed_mono_ns"] + row["good_ns"] == told.now_ns + 2 * S


def test_providers_are_scored_by_who_tells_first_and_how_late() -> None:
    pace = ProviderPace()
    for slot in range(SLOT, SLOT + 40):
        at_ns = (slot - SLOT) * 400 * MS
        one, other = ("a", "c") if slot % 4 else ("c", "a")
        pace.told(one, slot, at_ns)
        pace.told(other, slot, at_ns + 20 * MS)
        pace.told("b", slot - 1, at_ns + 30 * MS)
        pace.told("b", slot - 1, at_ns + 40 * MS)  # again: no news
    now_ns = at_ns + 100 * MS
    found = {name: pace.score(name, now_ns) for name in "abc"}
    assert all(score is not None and score.in_time for score in found.values())
    shares = {name: score.first for name, score in found.items() if score is not None}
    assert shares == pytest.approx({"a": 0.75, "b": 0.0, "c": 0.25})
    late = {name: score.late_ns / MS for name, score in found.items() if score is not None}
    assert late == pytest.approx({"a": 5.0, "b": 430.0, "c": 15.0})
    assert found["b"] is not None
    assert found["b"].behind_slots == 1


def test_who_falls_silent_or_away_has_another_score_or_none() -> None:
    pace = ProviderPace()
    for slot in range(SLOT, SLOT + 4):
        pace.told("a", slot, (slot - SLOT) * 400 * MS)
    assert pace.score("b", S) is None
    silent = pace.score("a", 10 * S)
    assert silent is not None
    assert (silent.in_time, silent.silent_ns) == (False, 10 * S - 1_200 * MS)
    pace.lost("a")
    assert pace.score("a", 10 * S) is None


def test_a_pools_cell_stands_before_the_accounts_that_it_is_quoted_by(told: Told) -> None:
    later: list[Callable[[], None]] = []
    told.feed.soon = later.append
    told.connected("a", SLOT)
    told.swapped("a", SLOT + 1)
    assert told.right
    (place,), (row,) = told.table.placed()
    published = int(row["published"])
    assert published > 1
    assert told.table.packed(place, row["key"], published) is None
    assert len(later) == 1, "once for all publications until then"
    later[0]()
    packed = told.table.packed(place, row["key"], published)
    assert packed
    assert (
        unpack(packed).items()
        >= {key: told.pool.accounts()[key] for key in told.watched.wanted.moving}.items()
    )
