"""The hunt turn by turn: one slot, a pause, a reload, and forgetting that keeps up."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from pool_rows import pool_row

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.paths import hunting
from spread_scanner.paths.hunting import PathHunt
from spread_scanner.paths.keeping import FORGOTTEN_AT_ONCE, KeptCycles
from spread_scanner.schema.counters import PATH_COUNTERS
from spread_scanner.schema.names import CYCLES_FILE
from spread_scanner.schema.pools import PACKED_BYTES
from spread_scanner.shm.pools import PoolTable
from spread_scanner.sim.chain_pools import BASES, USDC, SimAmm
from spread_scanner.solana.packed import pack
from spread_scanner.view.cycles import CycleView, StoredCycles

SHIPPED = Path(__file__).parents[3] / "config"
SLOT = 350_000_000
OTHER_UNIX_S = 1_700_000_000  # of a chain whose clock is years off this machine's
NEAR_S = 600
LABELS = {row.counter_id: row.label for row in PATH_COUNTERS}


class Row:
    """A health row, by labels."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def add(self, number: int, count: int) -> None:
        self.counted[LABELS[number]] += count

    def set(self, number: int, value: int) -> None:
        self.counted[LABELS[number]] = value

    def observe(self, number: int, ns: int) -> None:
        pass


class HuntBed:
    """Two pools of the same tokens, of which the second is dearer by a tenth once it is written;
    and two more over a third token, which nobody watches yet."""

    def __init__(self, settings: Any, table: PoolTable, writer: Any, data_dir: Path) -> None:
        self.settings, self._writer, self._data = settings, writer, data_dir
        self.row, self.orders = Row(), SimpleNamespace(paused=False)
        self.said = ""
        pairs = [(BASES[0], USDC)] * 2 + [(BASES[1], USDC), (BASES[0], BASES[1])]
        self.pools = [SimAmm(1, at, coins, 1_000_000) for at, coins in enumerate(pairs, 1)]
        self._published = [0] * len(self.pools)
        self.kept = KeptCycles(data_dir / CYCLES_FILE, 0)
        process: Any = SimpleNamespace(
            settings=settings,
            row=self.row,
            orders=self.orders,
            state=lambda _, said: self._say(said),
        )
        self.hunt = PathHunt(process, table, self.kept)

    def _say(self, said: str) -> None:
        self.said = said

    def write(self, place: int, slot: int, dearer: bool = False, **values: object) -> None:
        pool = self.pools[place]
        if dearer:
            pool.amounts[1] = pool.amounts[1] * 11 // 10
        self._published[place] += 1
        packed = pack(pool.everything(1), pool.accounts().keys(), PACKED_BYTES)
        self._writer.write_state(place, pool.key, self._published[place], packed)
        said = {"program": pool.kind.encode(), "slot": slot, "published": self._published[place]}
        self._writer.write(place, pool_row(pool.key, **said, **values))

    def slot(self, slot: int) -> None:
        self._writer.slot(slot)

    def chain_clock(self, unix_s: int) -> None:
        """What it says now."""
        self._writer.clock(unix_s * 1_000 - clock.mono_ns() // NS_PER_MS)

    def turn(self) -> list[CycleView]:
        """What is stored after it."""
        self.hunt._flush_due_ns = 0
        self.hunt.turn()
        stored = StoredCycles(self._data)
        with contextlib.closing(stored):
            return stored.last(99)


@pytest.fixture
def bed(namespace: str, tmp_path: Path) -> Iterator[HuntBed]:
    with PoolTable.create(namespace) as table, table.writer() as writer:
        made = HuntBed(config.load(SHIPPED, {}), table, writer, tmp_path)
        made.slot(SLOT)
        for place in (0, 1):
            made.write(place, SLOT - 9)
        assert made.turn() == []
        yield made
        made.kept.close()


def test_a_cycle_waits_until_its_pools_are_of_one_slot(bed: HuntBed) -> None:
    bed.write(1, SLOT, dearer=True)
    assert bed.turn() == [], "the other may have been swapped in this slot, too"
    assert bed.row.counted["not_one_slot"] == 1
    assert bed.turn() == []
    assert bed.row.counted["not_one_slot"] == 1, "it waits for a slot, not for time"
    bed.slot(SLOT + 1)
    (found,) = bed.turn()
    assert (found.one_slot, found.slot, found.oldest_slot) == (True, SLOT + 1, SLOT - 9)
    assert (found.priority_heard, found.priority_micro_lamports) == (False, 1_000)
    assert "priority fees of 2 are the floor: none was heard" in bed.said


def test_what_is_wrong_comes_first_as_a_row_has_no_room_for_all(bed: HuntBed) -> None:
    bed.kept.trouble = "attempt to write a readonly database"
    bed.hunt._tell()
    assert bed.said.startswith("the database: attempt to write a readonly database; 2 of 2 pools")


@pytest.mark.parametrize(("of_first", "of_second", "heard"), [(7, 9, True), (0, 9, False)])
def test_a_cycles_fee_was_heard_where_that_of_all_its_pools_was(
    bed: HuntBed, of_first: int, of_second: int, heard: bool
) -> None:
    for place, price in enumerate((of_first, of_second)):
        told = {
            "priority_price": price * 1_000,
            "priority_mono_ns": clock.mono_ns() if price else 0,
        }
        bed.write(place, SLOT, dearer=place == 1, **told)
    (found,) = bed.turn()
    assert (found.priority_heard, found.priority_micro_lamports) == (heard, 9_000), "the dearest"
    assert bed.row.counted["fees_known"] == (2 if heard else 1)
    assert ("the floor" not in bed.said) is heard


def _paid_for_writing(found: CycleView) -> int:
    """Lamports, of two swaps in AMM V4."""
    units = -(-(25_000 + 2 * 35_000) * 115 // 100)
    return 5_000 + -(-units * (found.priority_micro_lamports or 0) // 1_000_000)


AGE_MS, HALF_MS, PRICE = 700.0, 400.0, 5_000_000


@pytest.mark.parametrize("half", [1e3, 1e9])
def test_a_score_is_what_is_left_less_for_an_old_leg_and_for_depth_and_never_for_landing(
    bed: HuntBed, monkeypatch: pytest.MonkeyPatch, half: float
) -> None:
    """By the simulator's own integers, and the formula as the documentation has it."""
    _set(bed, age_half_ms=HALF_MS, landing_half_micro_lamports=half)
    now_ns = clock.mono_ns()
    monkeypatch.setattr("spread_scanner.clock.mono_ns", lambda: now_ns)
    renewed_ns = [now_ns - int(AGE_MS * NS_PER_MS), now_ns - 90 * NS_PER_MS]
    for place in (0, 1):
        told = {"priority_price": PRICE, "priority_mono_ns": now_ns}
        bed.write(place, SLOT, dearer=place == 1, renewed_mono_ns=renewed_ns[place], **told)
    (found,) = bed.turn()
    used, amount = [], int(found.hops[0].amount_in)
    for hop in found.hops:
        pool = next(pool for pool in bed.pools if pool.key == hop.pool)
        side = [coin.mint for coin in pool.coins].index(hop.mint_in)
        amount = pool.quote(side, amount)
        used.append(amount / float(pool.reserves()[1 - side]))
    left = amount - int(found.hops[0].amount_in) - _paid_for_writing(found)
    assert found.net_sol == pytest.approx(left / 1e9)
    assert found.depth_used == pytest.approx(max(used))
    assert found.oldest_leg_ms == pytest.approx(AGE_MS), "of the oldest leg, not of the newest"
    expected = left / 1e9 * 0.5 ** (AGE_MS / HALF_MS) * (1 - max(used))
    assert found.score == pytest.approx(expected)
    assert found.landing_model == pytest.approx(PRICE / (PRICE + half)), "which no score has in it"


@pytest.mark.parametrize(("hops_max", "longer"), [(2, 1), (3, 0)])
def test_a_whole_search_that_finds_nothing_says_whether_longer_cycles_gain(
    bed: HuntBed, hops_max: int, longer: int
) -> None:
    _set(bed, hops_max=hops_max)
    for place in (2, 3):
        bed.write(place, SLOT)
    assert bed.turn() == []
    assert bed.row.counted["longer_cycles"] == 0, "none gains, however long"
    bed.write(3, SLOT, dearer=True)
    bed.slot(SLOT + 1)
    bed.hunt._scan_due_ns = 0
    found = bed.turn()
    assert bed.row.counted["longer_cycles"] == longer
    assert [len(one.hops) for one in found] == [3] * (1 - longer) * len(found)
    assert bool(found) is not bool(longer)


def test_both_of_one_slot_need_not_wait(bed: HuntBed) -> None:
    bed.write(1, SLOT, dearer=True)
    bed.write(0, SLOT)
    (found,) = bed.turn()
    assert (found.one_slot, found.oldest_slot) == (True, SLOT)


def test_the_chains_second_counts_once_it_was_told(
    bed: HuntBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[int] = []
    look = bed.hunt._market.look

    def looked(now_ns: int, unix_ts: int) -> set[str]:
        seconds.append(unix_ts)
        return look(now_ns, unix_ts)

    monkeypatch.setattr(bed.hunt._market, "look", looked)
    bed.turn()
    assert abs(seconds[-1] - clock.wall_ns() // NS_PER_S) < NEAR_S, "this machine's, until then"
    bed.chain_clock(OTHER_UNIX_S)
    bed.turn()
    assert abs(seconds[-1] - OTHER_UNIX_S) < NEAR_S


def _set(bed: HuntBed, **values: Any) -> None:
    made = msgspec.structs.replace(
        bed.settings.config,
        spread_paths=msgspec.structs.replace(bed.settings.config.spread_paths, **values),
    )
    settings = SimpleNamespace(config=made, pools=bed.settings.pools)
    put_in_force = bed.hunt.prepared(settings)  # type: ignore[arg-type]
    assert bed.turn() == [], "not before it is put in force"
    put_in_force()
    bed.hunt.reloaded()


def test_a_reload_is_in_force_with_the_next_turn(bed: HuntBed) -> None:
    _set(bed, net_min_sol=1e5)
    bed.write(1, SLOT, dearer=True)
    bed.slot(SLOT + 1)
    assert bed.turn() == []
    assert bed.row.counted["not_worth"] == 1
    _set(bed, net_min_sol=0.0, one_slot=False)
    bed.write(1, SLOT + 1)
    (found,) = bed.turn()
    assert found.one_slot is False, "kept at once, and marked"
    assert bed.row.counted["reloads"] == 2


def test_while_it_is_paused_pools_are_read_and_nothing_is_searched(bed: HuntBed) -> None:
    scans = bed.row.counted["scans"]
    bed.orders.paused = True
    bed.write(1, SLOT, dearer=True)
    bed.slot(SLOT + 1)
    assert bed.turn() == []
    assert (bed.row.counted["scans"], bed.row.counted["traded"]) == (scans, 2)
    bed.orders.paused = False
    (found,) = bed.turn()
    assert found.ended_ns is None
    assert bed.row.counted["scans"] == scans + 1, "everything, as anything may have changed"


def test_forgetting_goes_on_at_once_while_there_is_more(
    bed: HuntBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE, 3, 5]
    monkeypatch.setattr(bed.kept, "forget", lambda *_: waiting.pop(0))
    bed.hunt._forget_due_ns = 0
    for _ in range(9):
        bed.turn()
    assert waiting == [5], "the next time is due after FORGET_NS"
    assert hunting.FORGET_NS > 0
