"""When a pool is whole and published: single cases, and any order of what providers tell against a
chain that knows what stood in each slot. The clock is virtual.
"""

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spread_scanner.pools._units import HeldAccounts, PoolUnits
from spread_scanner.pools.held import AccountTaking
from spread_scanner.pools.pace import ProviderPace
from spread_scanner.pools.units import OUTDATED_NS_MAX, SETTLE_NS, WholeBecause, WholePool
from spread_scanner.pools.wanted import WantedAccounts

OWNER = "owner"
COIN, PC, AMM = "coin vault", "pc vault", "amm"
V4 = WantedAccounts((AMM, COIN, PC), frozenset({AMM, COIN, PC}), frozenset({COIN, PC}))
POOL, NEAR, FAR, CONFIG = "pool", "near ticks", "far ticks", "config"
CLMM = WantedAccounts((POOL, CONFIG, NEAR, FAR), frozenset({POOL, CONFIG}), frozenset({POOL}))
MS = 1_000_000


def account(text: object) -> tuple[str, bytes]:
    return OWNER, str(text).encode()


class Watched:
    """Pools on a virtual clock: each thing that is told says what is published by it."""

    def __init__(self, pool: str, wanted: WantedAccounts) -> None:
        self.units, self.pool, self.now_ns = PoolUnits(), pool, 0
        self.units.watch(pool, wanted)
        self.units.held.connected("a")

    def told(self, key: str, slot: int, text: object, provider: str = "a") -> list[WholePool]:
        return self.units.told(key, slot, *account(text), provider, self.now_ns)

    def seeded(self, slot: int, provider: str = "a", **texts: object) -> list[WholePool]:
        names = {"coin": COIN, "pc": PC, "amm": AMM, "pool": POOL, "config": CONFIG}
        names |= {"near": NEAR, "far": FAR}
        accounts = {names[name]: account(text) for name, text in texts.items()}
        return self.units.seeded(provider, slot, accounts, self.now_ns)

    def after(self, ms: int) -> list[WholePool]:
        self.now_ns += ms * MS
        return self.units.due(self.now_ns)


def v4() -> Watched:
    watched = Watched(AMM, V4)
    found = watched.seeded(10, amm="m", coin="c10", pc="p10")
    assert [(one.slot, one.because) for one in found] == [(10, WholeBecause.TOGETHER)]
    return watched


def texts(found: list[WholePool]) -> list[tuple[int, str, str]]:
    """Slot, coin and pc of each that is published."""
    return [
        (one.slot, one.accounts[COIN][1].decode(), one.accounts[PC][1].decode()) for one in found
    ]


def test_a_swap_is_published_when_both_vaults_are_there() -> None:
    watched = v4()
    assert watched.told(COIN, 11, "c11") == []
    assert watched.units.next_due_ns() == SETTLE_NS
    found = watched.told(PC, 11, "p11")
    assert texts(found) == [(11, "c11", "p11")]
    assert found[0].because is WholeBecause.TOGETHER
    assert found[0].accounts[AMM] == account("m")
    assert watched.units.next_due_ns() is None


def test_who_does_not_tell_of_both_vaults_says_nothing_by_his_silence() -> None:
    watched = v4()
    watched.units.held.connected("b")  # ahead, and only the coin's vault is subscribed there yet
    assert watched.told(COIN, 12, "c12", "b") == []
    assert watched.after(50) == []
    assert watched.units.next_due_ns() == watched.now_ns + SETTLE_NS
    assert watched.told(COIN, 13, "c13", "b") == []
    assert watched.after(50) == []
    assert texts(watched.told(PC, 13, "p13")) == [(13, "c13", "p13")]
    watched.told(COIN, 14, "c14", "b")
    assert texts(watched.seeded(14, "b", amm="m", coin="c14", pc="p14")) == [(14, "c14", "p14")]
    watched.told(COIN, 15, "c15", "b")
    assert texts(watched.after(50)) == [(15, "c15", "p14")], "now it would tell of the other one"


def test_one_vault_alone_is_published_after_a_while_and_not_before() -> None:
    watched = v4()
    watched.told(COIN, 11, "c11")
    assert watched.after(49) == []
    found = watched.after(1)
    assert texts(found) == [(11, "c11", "p10")]
    assert found[0].because is WholeBecause.SETTLED
    assert watched.after(100) == []


def test_a_later_slot_publishes_what_stood_before_it() -> None:
    watched = v4()
    watched.told(COIN, 11, "c11")
    found = watched.told(COIN, 12, "c12")
    assert texts(found) == [(11, "c11", "p10")]
    assert found[0].because is WholeBecause.LATER_SLOT
    assert texts(watched.told(PC, 12, "p12")) == [(12, "c12", "p12")]


def test_the_pools_own_account_waits_for_the_vaults_of_its_slot() -> None:
    watched = v4()
    assert watched.told(AMM, 11, "m11") == []
    assert watched.told(COIN, 11, "c11") == []
    assert texts(watched.told(PC, 11, "p11")) == [(11, "c11", "p11")]


def test_what_is_told_before_the_seed_is_kept_and_what_is_older_is_dropped() -> None:
    watched = Watched(AMM, V4)
    assert watched.told(COIN, 11, "c11") == []
    assert watched.told(PC, 11, "p11") == []
    assert watched.told(AMM, 8, "m8") == []
    assert not watched.units.is_whole(AMM)
    found = watched.seeded(10, amm="m10", coin="c10", pc="p10")
    assert texts(found) == [(11, "c11", "p11")]
    assert watched.told(AMM, 9, "m9") == []
    assert watched.units.held.get(AMM).account == account("m10")  # type: ignore[union-attr]


def test_a_seed_between_both_vaults_of_a_swap_mixes_nothing() -> None:
    watched = Watched(AMM, V4)
    watched.told(COIN, 11, "c11")
    assert watched.seeded(10, amm="m", coin="c10", pc="p10") == []
    assert texts(watched.told(PC, 11, "p11")) == [(11, "c11", "p11")]


def test_the_second_provider_repeats_and_the_slower_is_old() -> None:
    watched = v4()
    watched.units.held.connected("b")
    watched.seeded(10, "b", amm="m", coin="c10", pc="p10")
    watched.told(COIN, 11, "c11")
    watched.told(COIN, 11, "c11", "b")
    assert texts(watched.told(PC, 11, "p11", "b")) == [(11, "c11", "p11")]
    assert watched.told(PC, 11, "p11", "a") == []
    assert watched.told(COIN, 9, "c9", "b") == []
    assert watched.units.is_whole(AMM)


def test_other_bytes_for_one_slot_are_believed_neither_until_a_seed() -> None:
    watched = v4()
    watched.units.held.connected("b")
    watched.seeded(10, "b", amm="m", coin="c10", pc="p10")
    watched.told(COIN, 11, "c11")
    assert watched.told(COIN, 11, "another", "b") == []
    assert watched.units.held.doubted == {COIN}
    assert not watched.units.is_whole(AMM)
    assert watched.told(PC, 11, "p11") == []
    assert watched.after(100) == []
    held = watched.units.held
    assert held.seed_slot_min([COIN, PC]) == 11
    assert watched.seeded(10, amm="m", coin="c10", pc="p10") == []
    assert not watched.units.is_whole(AMM), "a seed of before is of no use"
    assert texts(watched.seeded(12, amm="m", coin="c11", pc="p11")) == [(12, "c11", "p11")]
    assert watched.units.is_whole(AMM)
    assert not held.doubted


def test_a_fork_is_taken_back_by_whom_it_was_told_and_by_nobody_else() -> None:
    watched = v4()
    watched.units.held.connected("b")
    watched.seeded(10, "b", amm="m", coin="c10", pc="p10")
    watched.told(COIN, 12, "c12 of a fork")
    watched.told(PC, 12, "p12 of a fork")
    assert watched.told(COIN, 11, "c11", "b") == []
    assert watched.units.held.get(COIN).slot == 12  # type: ignore[union-attr]
    assert watched.told(COIN, 11, "c11") == []
    assert not watched.units.is_whole(AMM), "the other vault may be of the fork"
    assert watched.units.held.doubted == {PC}
    assert watched.told(PC, 11, "p11") == []
    assert watched.after(100) == []
    assert texts(watched.seeded(13, amm="m", coin="c11", pc="p11")) == [(13, "c11", "p11")]


def test_what_is_older_than_a_seed_is_no_fork() -> None:
    watched = v4()
    assert watched.told(COIN, 9, "c9") == []
    assert watched.units.held.get(COIN).slot == 10  # type: ignore[union-attr]


@pytest.mark.parametrize("repeated", [False, True], ids=["alone", "repeated"])
def test_what_was_told_by_who_is_lost_stands_on_the_word_of_another(repeated: bool) -> None:
    """A fork may be taken back while nobody is there to say so."""
    watched = v4()
    watched.units.held.connected("b")
    watched.seeded(10, "b", amm="m", coin="c10", pc="p10")
    for name in "ab" if repeated else "a":
        watched.told(COIN, 12, "c12", name)
        watched.told(PC, 12, "p12", name)
    watched.units.held.lost("a")
    assert watched.units.is_whole(AMM) is repeated
    if repeated:
        watched.told(COIN, 11, "c11", "b")
        assert watched.units.held.doubted == {PC}, "its word is b's, to take back"
    else:
        assert watched.units.held.seed_slot_min(V4.keys) == 12
    watched.seeded(13, "b", amm="m", coin="c10", pc="p10")
    assert watched.units.is_whole(AMM)


def test_everything_is_stale_after_a_reconnect_until_it_is_seeded() -> None:
    watched = v4()
    watched.told(COIN, 15, "c15")
    watched.units.held.lost("a")
    assert not watched.units.is_whole(AMM)
    assert watched.after(100) == []
    assert watched.told(PC, 15, "p15") == [], "a connection that is lost tells nothing"
    watched.units.held.connected("a")
    assert set(watched.units.held.unseeded("a")) == {AMM, COIN, PC}
    assert watched.told(PC, 16, "p16") == []
    assert watched.seeded(12, amm="m", coin="c12", pc="p12") == []
    assert not watched.units.is_whole(AMM), "a seed of before what was seen says nothing"
    assert watched.units.held.seed_slot_min(V4.keys) == 15
    watched.seeded(17, amm="m", coin="c17", pc="p17")
    assert watched.units.is_whole(AMM)
    assert watched.units.held.unseeded("a") == []


def test_another_provider_stands_behind_it_where_one_is_lost() -> None:
    watched = v4()
    watched.units.held.connected("b")
    watched.seeded(10, "b", amm="m", coin="c10", pc="p10")
    watched.units.held.lost("a")
    assert watched.units.is_whole(AMM)
    watched.told(COIN, 11, "c11", "b")
    assert texts(watched.told(PC, 11, "p11", "b")) == [(11, "c11", "p11")]


def test_arrays_that_are_not_known_are_left_out_and_come_later() -> None:
    watched = Watched(POOL, CLMM)
    found = watched.seeded(10, pool="q10", config="f", near="n10")
    assert [sorted(one.accounts) for one in found] == [sorted({POOL, CONFIG, NEAR})]
    assert [one.slot for one in watched.told(POOL, 11, "q11")] == [11]
    assert watched.told(NEAR, 12, "n12") == [], "it waits for the pool of its slot"
    found = watched.told(POOL, 12, "q12")
    assert [(one.slot, one.accounts[NEAR]) for one in found] == [(12, account("n12"))]
    found = watched.told(NEAR, 12, "n12 again")
    assert found == [], "two that differ for one slot"
    found = watched.seeded(13, near="n12", far="f12")
    assert found == []
    assert [sorted(one.accounts) for one in watched.after(50)] == [sorted(CLMM.keys)]


def test_other_arrays_are_watched_when_the_price_has_moved() -> None:
    watched = Watched(POOL, CLMM)
    watched.seeded(10, pool="q10", config="f", near="n10", far="f10")
    moved = CLMM._replace(keys=(POOL, CONFIG, FAR, "new ticks"))
    watched.units.watch(POOL, moved)
    assert watched.units.is_whole(POOL)
    assert watched.units.held.unseeded("a") == ["new ticks"]
    assert watched.told(NEAR, 11, "n11") == []
    assert watched.units.held.judged(NEAR, 11, account("n11"), "a") is AccountTaking.UNHEARD
    found = watched.told(POOL, 11, "q11")
    assert [sorted(one.accounts) for one in found] == [sorted({POOL, CONFIG, FAR})]


def test_a_swap_into_another_array_waits_for_that() -> None:
    """As of DLMM, whose swaps write the pair and every array of bins that they come to."""
    keys = (POOL, NEAR, FAR)
    before, after = (
        WantedAccounts(keys, frozenset({POOL, own}), frozenset({POOL, own})) for own in (NEAR, FAR)
    )
    watched = Watched(POOL, before)
    assert len(watched.seeded(10, pool="q10", near="n10", far="f10")) == 1
    watched.units.watch(POOL, after)
    assert watched.told(POOL, 11, "q11") == []
    assert watched.told(NEAR, 11, "n11") == []
    [found] = watched.told(FAR, 11, "f11")
    assert found.accounts == {key: account(f"{key[0]}11") for key in (NEAR, FAR)} | {
        POOL: account("q11")
    }


def test_pools_share_accounts_and_each_goes_by_itself() -> None:
    watched = Watched(POOL, CLMM)
    other = WantedAccounts(("pool 2", CONFIG), frozenset({"pool 2", CONFIG}), frozenset({"pool 2"}))
    watched.units.watch("pool 2", other)
    watched.seeded(10, pool="q10", config="f", near="n10", far="f10")
    assert (watched.units.is_whole(POOL), watched.units.is_whole("pool 2")) == (True, False)
    watched.units.seeded("a", 10, {"pool 2": account("r10")}, 0)
    assert watched.told(CONFIG, 11, "f11") == []
    assert {one.pool for one in watched.after(50)} == {POOL, "pool 2"}
    watched.units.unwatch(POOL)
    assert watched.units.held.get(POOL) is None
    assert watched.units.held.get(CONFIG) is not None
    watched.units.unwatch("pool 2")
    assert watched.units.held.get(CONFIG) is None


def test_what_is_covered_is_fresh_only_while_its_provider_is_in_time() -> None:
    watched, pace = v4(), ProviderPace()
    assert not watched.units.is_fresh(AMM, pace, 0)
    pace.told("a", 10, 0)
    assert watched.units.is_fresh(AMM, pace, 2_000 * MS)
    assert not watched.units.is_fresh(AMM, pace, 2_001 * MS)
    pace.told("b", 20, 2_001 * MS)
    pace.told("a", 11, 2_001 * MS)
    assert watched.units.is_fresh(AMM, pace, 2_001 * MS)
    pace.told("b", 21, 2_001 * MS)
    assert not watched.units.is_fresh(AMM, pace, 2_001 * MS), "ten slots behind"
    watched.units.held.connected("b")
    watched.seeded(21, "b", amm="m", coin="c10", pc="p10")
    assert watched.units.is_fresh(AMM, pace, 2_001 * MS)


def test_what_was_published_before_a_reconnect_is_not_fresh_while_what_came_since_waits() -> None:
    watched, pace = v4(), ProviderPace()
    watched.units.held.lost("a")
    watched.units.held.connected("b")  # ahead: the other vault, and slots, are not subscribed there
    watched.told(COIN, 25, "c25", "b")
    watched.units.held.connected("a")
    assert watched.seeded(20, amm="m", coin="c20", pc="p20") == []
    pace.told("a", 20, 0)
    assert watched.units.is_whole(AMM)
    assert not watched.units.is_fresh(AMM, pace, 0), "nobody told what was written meanwhile"
    assert watched.told(PC, 21, "p21") == []
    assert not watched.units.is_fresh(AMM, pace, 0)
    assert watched.told(COIN, 25, "c25") == []
    assert texts(watched.told(PC, 25, "p25")) == [(25, "c25", "p25")]
    assert watched.units.is_fresh(AMM, pace, 0)


def test_what_is_known_to_be_old_is_fresh_no_longer_than_a_provider_may_be_silent() -> None:
    watched, pace = v4(), ProviderPace()
    watched.units.held.connected("b")
    assert watched.told(COIN, 12, "c12", "b") == []
    for ms in (0, 1_000, 1_999):
        assert watched.after(ms - watched.now_ns // MS) == []
        pace.told("a", 11, watched.now_ns)
        assert watched.units.fresh_until_ns(AMM, pace, watched.now_ns) == OUTDATED_NS_MAX
    assert watched.told(PC, 11, "p11") == [], "what waits has not begun anew"
    assert not watched.units.is_fresh(AMM, pace, OUTDATED_NS_MAX)


def test_who_repeats_the_newest_and_covers_all_says_by_his_silence_that_it_is_all() -> None:
    watched = v4()
    watched.units.held.connected("b")
    assert watched.told(COIN, 12, "c12", "b") == []
    assert watched.after(50) == []
    assert watched.told(COIN, 12, "c12") == []
    assert texts(watched.after(50)) == [(12, "c12", "p10")]


class Chain:
    """What stood at the end of each slot; a swap writes both vaults, anybody else one account."""

    def __init__(self, rng: random.Random, first: int, slots: int, name: str = "") -> None:
        self.stood = {first: {AMM: "m", COIN: "c", PC: "p"}}
        self.written: dict[int, list[str]] = {}
        for slot in range(first + 1, first + slots):
            self._go_on(rng, slot, name)

    def _go_on(self, rng: random.Random, slot: int, name: str) -> None:
        keys = rng.choice([[], [COIN, PC], [COIN, PC], [AMM, COIN, PC], [AMM]])
        self.written[slot] = keys
        self.stood[slot] = self.stood[slot - 1] | {key: f"{key} {slot}{name}" for key in keys}

    def at(self, slot: int) -> dict[str, tuple[str, bytes]]:
        return {key: account(text) for key, text in self.stood[slot].items()}


class Message(NamedTuple):
    at_ns: int
    order: int
    provider: str
    key: str  # empty: a seed
    slot: int


def heard(rng: random.Random, chain: Chain, providers: list[str]) -> list[Message]:
    """What each provider tells, in its own order: of one slot within less than SETTLE_NS."""
    found: list[Message] = []
    for provider in providers:
        lag_ns, last_ns = rng.randrange(0, 900) * MS, 0
        for slot, keys in chain.written.items():
            begins_ns = max(slot * 400 * MS + lag_ns, last_ns)
            for key in rng.sample(keys, len(keys)):
                last_ns = begins_ns + rng.randrange(0, 45) * MS
                found.append(Message(last_ns, len(found), provider, key, slot))
        seed = rng.choice(list(chain.stood))
        at_ns = seed * 400 * MS + rng.randrange(0, 2_000) * MS
        found.append(Message(at_ns, len(found), provider, "", seed))
    return sorted(found)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), providers=st.integers(1, 3))
def test_whatever_the_order_what_is_published_stood(seed: int, providers: int) -> None:
    """In-order providers of any lag, seeds at any time: never two slots mixed, never back, and the
    last is what stands."""
    rng = random.Random(seed)
    chain = Chain(rng, 100, 30)
    names = ["a", "b", "c"][:providers]
    units = PoolUnits()
    units.watch(AMM, V4)
    published: list[WholePool] = []
    for name in names:
        units.held.connected(name)
    messages = heard(rng, chain, names)
    for message in messages:
        while (due_ns := units.next_due_ns()) is not None and due_ns <= message.at_ns:
            published += units.due(due_ns)
        if message.key:
            text = chain.stood[message.slot][message.key]
            told = message.key, message.slot, *account(text), message.provider, message.at_ns
            published += units.told(*told)
        else:
            seeds = chain.at(message.slot)
            published += units.seeded(message.provider, message.slot, seeds, message.at_ns)
    published += units.due(messages[-1].at_ns + SETTLE_NS)
    assert units.is_whole(AMM)
    slots = [one.slot for one in published]
    assert slots == sorted(slots)
    pairs = {(row[COIN], row[PC]) for row in chain.stood.values()}
    for one in published:
        assert (one.accounts[COIN][1].decode(), one.accounts[PC][1].decode()) in pairs
    assert published[-1].accounts == chain.at(max(chain.stood))


class AllThatWasSaid:
    """Of some accounts, by providers that come and go, and what that comes to by itself."""

    def __init__(self, keys: list[str]) -> None:
        self.stood = {at: {key: account(f"{key} {at // 3}") for key in keys} for at in range(60)}
        self.latest = dict.fromkeys(keys, -1)
        self.covers: dict[str, set[str]] = {key: set() for key in keys}
        self.alive: dict[str, int] = {}  # the last slot that it told, by provider: in order
        self._words: dict[str, dict[str, int]] = {key: {} for key in keys}  # the last, by provider
        self._holder = dict.fromkeys(keys, "")  # whose word is held

    def gone(self, provider: str) -> None:
        for key, words in self._words.items():
            self.covers[key].discard(provider)
            words.pop(provider, None)
            if self._holder[key] == provider:
                heirs = [name for name, slot in words.items() if slot // 3 == self.latest[key] // 3]
                self._holder[key] = min(heirs, default="")
                if not heirs:
                    self.covers[key].clear()

    def said(self, provider: str, key: str, slot: int, *, seed: bool) -> None:
        if slot > self.latest[key] or (seed and not self.covers[key]):
            self.latest[key], self._holder[key] = slot, provider
        self._words[key][provider] = slot
        if seed:
            self.covers[key].add(provider)
        else:
            self.alive[provider] = slot


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_whatever_the_order_the_latest_is_held_and_covered_by_who_has_seeded(seed: int) -> None:
    """Any order at all, connections that come and go."""
    rng = random.Random(seed)
    held, keys = HeldAccounts(), [COIN, PC]
    held.want(keys)
    said = AllThatWasSaid(keys)
    for slot in sorted(rng.choices(range(60), k=80)):
        provider, key = rng.choice("abc"), rng.choice(keys)
        match rng.choice(["told", "told", "told", "seed", "connected", "lost"]):
            case "connected":
                held.connected(provider)
                said.gone(provider)
                said.alive[provider] = 0
            case "lost":
                held.lost(provider)
                said.gone(provider)
                said.alive.pop(provider, None)
            case "seed" if provider in said.alive:
                assert held.seed(provider, slot, {key: said.stood[slot][key]}) == [key]
                said.said(provider, key, slot, seed=True)
            case "told":
                late = max(slot - rng.randrange(0, 5), said.alive.get(provider, 0))
                held.take(key, late, said.stood[late][key], provider)
                if provider in said.alive:
                    said.said(provider, key, late, seed=False)
        for name in keys:
            found, latest = held.get(name), said.latest[name]
            assert (found.slot if found else -1) == latest
            assert found is None or found.account == said.stood[latest][name]
            assert held.covered_by(name) == said.covers[name]


class Forked:
    """A provider tells a fork until FORK_ENDS, then what replaced it from `since` on."""

    FORK_ENDS, ENDS = 111, 115

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.now_ns = rng, 0
        self.fork = Chain(rng, 100, self.FORK_ENDS - 99, " of the fork")
        self.since = rng.randrange(101, self.FORK_ENDS + 1)
        self.good = Chain(rng, 100, self.ENDS - 99)
        for slot in range(100, self.since):
            self.good.stood[slot] = self.fork.stood[slot]
        for slot in range(self.since, self.ENDS + 1):
            written = {key: f"{key} {slot}" for key in self.good.written[slot]}
            self.good.stood[slot] = self.good.stood[slot - 1] | written
        self.units, self.published = PoolUnits(), list[WholePool]()
        self.units.watch(AMM, V4)
        self.units.held.connected("a")
        self.seeded(self.fork, 100)

    def seeded(self, chain: Chain, slot: int) -> None:
        self.published += self.units.seeded("a", slot, chain.at(slot), self.now_ns)

    def told(self, chain: Chain, key: str, slot: int, within_ms: int = 20) -> None:
        self.now_ns += self.rng.randrange(0, within_ms) * MS
        self.published += self.units.due(self.now_ns)
        told = key, slot, *chain.at(slot)[key]
        self.published += self.units.told(*told, "a", self.now_ns)

    def taken_back(self) -> None:
        """What the fork wrote is told as it stood before, with the slot that had written that, in
        any time."""
        before = self.good.stood[self.since - 1]
        for key in (AMM, COIN, PC):
            if self.fork.stood[self.FORK_ENDS][key] != before[key]:
                slots = [at for at in range(101, self.since) if key in self.fork.written[at]]
                self.told(self.good, key, max(slots, default=100), within_ms=200)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_a_fork_is_never_mixed_with_what_replaced_it(seed: int) -> None:
    forked = Forked(random.Random(seed))
    for slot, keys in forked.fork.written.items():
        for key in keys:
            forked.told(forked.fork, key, slot)
        forked.now_ns += 400 * MS
    forked.taken_back()
    for slot in range(forked.since, Forked.ENDS + 1):
        for key in forked.good.written[slot]:
            forked.told(forked.good, key, slot)
        forked.now_ns += 400 * MS
        if forked.units.held.doubted and forked.rng.random() < 0.5:
            forked.seeded(forked.good, slot)
    forked.seeded(forked.good, Forked.ENDS)
    forked.published += forked.units.due(forked.now_ns + SETTLE_NS)
    rows = [*forked.fork.stood.values(), *forked.good.stood.values()]
    pairs = {(row[COIN], row[PC]) for row in rows}
    for one in forked.published:
        assert (one.accounts[COIN][1].decode(), one.accounts[PC][1].decode()) in pairs
    assert forked.units.is_whole(AMM)
    assert forked.published[-1].accounts == forked.good.at(Forked.ENDS)


@pytest.mark.parametrize("wanted", [V4, CLMM])
def test_nothing_is_published_before_a_seed(wanted: WantedAccounts) -> None:
    watched = Watched(wanted.keys[0], wanted)
    for slot in range(3):
        for key in wanted.keys:
            assert watched.told(key, slot, slot) == []
    assert watched.after(1_000) == []
