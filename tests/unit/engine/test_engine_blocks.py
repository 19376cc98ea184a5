"""A pair that is implausible for so long is blocked: until it is judged anew, over restarts."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from engine_bed import Bed, settings, tables

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.engine.blocks import Blocks, JudgedSet
from spread_scanner.engine.core import Engine
from spread_scanner.engine.keeping import blocks_keeper
from spread_scanner.engine.plan import Plan, empty_pairs
from spread_scanner.schema.enums import QuoteFlag, SignalKind, Verdict
from spread_scanner.symbology import blocked, sealed
from spread_scanner.symbology.blocked import BlockedError, KeptBlock
from spread_scanner.symbology.tables import Tables

ENTER, _, EXIT, _ = map(int, SignalKind)
ABSURD, GOOD, AFAR = 15_000, 15, 400  # bps; a real dislocation of a few per cent
GIVEN: dict[str, Any] = {"implausible_bps": 1_000}


def stand(bed: Bed, seconds: int, bps: float) -> list[int]:
    """A quote of each leg a second."""
    kinds = []
    for _ in range(seconds):
        bed.spread(bps)
        kinds += bed.kinds(1_000)
    return kinds


def judged(generation: int, *, asked_s: float = 1, old: bool = False, **how: Any) -> Tables:
    """A set whose run began to ask so much later than now."""
    made = tables(generation=generation)
    rows = tuple(
        msgspec.structs.replace(row, last_known=old and row.source_id == 3)
        for row in made.instruments
    )
    asked_ns = clock.wall_ns() + int(asked_s * NS_PER_S)
    return msgspec.structs.replace(made, instruments=rows, asked_wall_ns=asked_ns, **how)


@pytest.fixture
def bed(namespace: str) -> Any:
    with Bed(namespace, settings(**GIVEN)) as made:
        yield made


def test_what_stands_absurd_for_ten_seconds_is_blocked_and_says_so(bed: Bed) -> None:
    assert stand(bed, 10, ABSURD) == []
    assert bed.engine.newly_blocked() == []
    assert stand(bed, 1, ABSURD) == []
    (block,) = bed.engine.newly_blocked()
    assert (block.direction, block.symbol) == ("binance-bybit", "C0-USDT")
    assert block.gross_bps == pytest.approx(ABSURD)
    assert stand(bed, 5, GOOD) == []
    assert bed.evaluations.recent(limit=1)[0]["verdict"] == Verdict.BLOCKED
    assert bed.count("no_blocked") == 6
    assert bed.count("blocks") == 1
    assert bed.engine.newly_blocked() == []
    bed.spread(GOOD, direction_id=3)  # the other way round is another pair
    assert ENTER in bed.kinds(1)
    for _ in range(11):
        bed.spread(ABSURD, direction_id=3)
        bed.step(1_000)
    (other,) = bed.engine.newly_blocked()
    assert set(bed.engine.blocks.values()) == {block, other}


def test_one_absurd_sample_blocks_nobody_however_long_it_stands(bed: Bed) -> None:
    stand(bed, 3, 0)
    bed.spread(ABSURD)
    for _ in range(15):
        bed.quote(0, 99, 100)  # the other leg is quoted on
        bed.step(1_000)
    assert bed.count("no_implausible") > 0
    assert bed.count("blocks") == 0
    assert stand(bed, 2, GOOD) == [ENTER]
    for _ in range(20):  # again and again, with a moment between that is none
        stand(bed, 8, ABSURD)
        stand(bed, 1, GOOD)
    assert bed.count("blocks") == 0


def test_a_dislocation_of_some_per_cent_stays_a_signal(bed: Bed) -> None:
    assert stand(bed, 60, AFAR) == [ENTER]
    assert stand(bed, 1, 0) == [EXIT]
    assert bed.count("blocks") == 0


def test_a_leg_that_cannot_be_used_is_no_stand(bed: Bed) -> None:
    stand(bed, 9, ABSURD)
    bed.quote(3, 250, 251, flags=int(QuoteFlag.STALE))
    bed.step(100)
    assert stand(bed, 9, ABSURD) == []
    assert bed.count("blocks") == 0
    stand(bed, 2, ABSURD)
    assert bed.count("blocks") == 1


def leap(bed: Bed, seconds: int, bps: float) -> list[int]:
    """A quote of each leg a second, the perpetual's of another level than it was."""
    kinds = []
    for _ in range(seconds):
        bed.quote(0, 99, 100)
        bed.quote(3, 100 + bps / 100, 101 + bps / 100, flags=int(QuoteFlag.JUMPED))
        kinds += bed.kinds(1_000)
    return kinds


@pytest.mark.parametrize("bps", [GOOD, ABSURD])
def test_a_leg_of_another_level_is_blocked_as_what_is_too_far_apart(bed: Bed, bps: float) -> None:
    """Both may have been redenominated: the distance alone says nothing of it."""
    assert leap(bed, 10, bps) == []
    assert bed.engine.newly_blocked() == []
    assert leap(bed, 1, bps) == []
    (block,) = bed.engine.newly_blocked()
    assert block.gross_bps == pytest.approx(bps)
    assert stand(bed, 5, GOOD) == []
    assert bed.evaluations.recent(limit=1)[0]["verdict"] == Verdict.BLOCKED
    bed.engine.load(bed.settings, judged(2))
    bed.know()
    assert stand(bed, 2, GOOD) == [ENTER]


def test_a_level_that_is_back_in_time_blocks_nobody(bed: Bed) -> None:
    leap(bed, 9, ABSURD)
    assert stand(bed, 2, GOOD) == [ENTER]
    assert leap(bed, 1, GOOD) == [EXIT]
    stand(bed, 1, 0)
    assert bed.count("blocks") == 0


def test_a_leap_that_would_signal_nothing_begins_no_stand_and_ends_none(bed: Bed) -> None:
    leap(bed, 15, 0)
    assert bed.count("blocks") == 0
    leap(bed, 1, GOOD)
    leap(bed, 9, 0)
    assert bed.count("blocks") == 0
    leap(bed, 1, 0)
    assert bed.count("blocks") == 1


def test_one_quote_of_another_level_blocks_nobody_however_long_it_stands(bed: Bed) -> None:
    leap(bed, 1, GOOD)
    for _ in range(15):
        bed.quote(0, 99, 100)
        bed.step(1_000)
    assert bed.evaluations.recent(limit=1)[0]["verdict"] == Verdict.IMPLAUSIBLE
    assert bed.count("blocks") == 0


def test_what_nobody_saw_has_not_stood(bed: Bed) -> None:
    stand(bed, 5, ABSURD)
    bed.spread(ABSURD)
    bed.step(20_000)  # stopped, or asleep
    stand(bed, 9, ABSURD)
    assert bed.count("blocks") == 0


def test_a_wide_book_is_no_other_coin(bed: Bed) -> None:
    stand(bed, 15, -2_000)
    assert bed.count("blocks") == 0


def test_the_hold_is_a_setting(namespace: str) -> None:
    with Bed(namespace, settings(implausible_hold_s=2.0, **GIVEN)) as bed:
        stand(bed, 3, ABSURD)
        assert bed.count("blocks") == 1


def test_only_a_judgement_that_asked_after_it_lifts_a_block(bed: Bed) -> None:
    stand(bed, 11, ABSURD)
    holding = [
        judged(2, judged_in=1),  # a quick look
        judged(3, asked_s=-60),  # it had begun before
        judged(4, old=True),  # an exchange was not reached
    ]
    for given in holding:
        bed.engine.load(bed.settings, given)  # which takes note, too
        assert stand(bed, 2, GOOD) == [], given.generation
    bed.engine.load(bed.settings, judged(5))
    assert bed.engine.blocks == {}
    bed.know()
    assert stand(bed, 2, GOOD) == [ENTER]
    stand(bed, 11, ABSURD)
    (block,) = bed.engine.newly_blocked()
    assert block.judgement == 5


def test_another_contract_is_another_pair(bed: Bed) -> None:
    stand(bed, 11, ABSURD)
    made = judged(2, asked_s=-60)
    rows = tuple(msgspec.structs.replace(row, px_div=1_000.0) for row in made.instruments)
    bed.engine.load(bed.settings, msgspec.structs.replace(made, instruments=rows))
    bed.know()
    assert stand(bed, 1, GOOD) == [ENTER]


def test_a_block_outlives_the_engine(bed: Bed, kept_in: Any) -> None:
    keeper = blocks_keeper(kept_in, structlog.get_logger())
    assert keeper.recall() == {}
    stand(bed, 11, ABSURD)
    bed.engine.newly_blocked()
    keeper.write(bed.engine.blocks)
    bed.end()
    bed.row, bed.slot = bed.health.claim("spread-engine"), bed.control.claim("spread-engine")
    again = blocks_keeper(kept_in, structlog.get_logger()).recall()
    bed.engine = Engine(bed.namespace, bed.row, bed.slot, None, again)
    bed.engine.load(bed.settings, tables())
    bed.know()
    assert stand(bed, 3, GOOD) == []
    assert bed.count("no_blocked") > 0
    assert bed.engine.blocks is again, "it would be written once more"
    bed.engine.load(bed.settings, judged(2))
    bed.know()
    assert stand(bed, 1, GOOD) == [ENTER]


def test_a_block_outlives_an_upgrade(bed: Bed, kept_in: Any) -> None:
    """The versions before kept the listings alone."""
    stand(bed, 12, ABSURD)
    bed.engine.newly_blocked()
    ((key, block),) = bed.engine.blocks.items()
    nameless = {key.removeprefix(f"{block.symbol} "): block}
    assert nameless.keys() != {key}
    path = blocked.path_of(kept_in)
    sealed.write(path, msgspec.msgpack.encode([1, nameless]))
    assert blocked.read(path) == {key: block}
    sealed.write(path, msgspec.msgpack.encode([blocked.FORMAT + 1, nameless]))
    with pytest.raises(BlockedError, match="another version"):
        blocked.read(path)


def test_a_damaged_file_is_named_and_not_used(kept_in: Any) -> None:
    path = blocked.path_of(kept_in)
    one = {"a b": KeptBlock("binance-bybit", "C0-USDT", 15_000.0, 1, 1)}
    blocked.write(path, one)
    assert blocked.read(path) == one
    path.write_bytes(path.read_bytes()[:-1])
    with structlog.testing.capture_logs() as said:
        assert blocks_keeper(kept_in, structlog.get_logger()).recall() is None
    assert "blocked" in said[0]["event"]
    assert str(path) in said[0]["error"]


def test_a_disk_that_refuses_is_said_once_until_it_works_again(kept_in: Any) -> None:
    path = blocked.path_of(kept_in)
    path.parent.write_text("a file where the folder should be")
    with structlog.testing.capture_logs() as said:
        keeper = blocks_keeper(kept_in, structlog.get_logger())
        keeper.write({})
        keeper.write({})
        assert len(said) == 1
        path.parent.unlink()
        keeper.write({})
    assert blocked.read(path) == {}


def test_whoever_is_lifted_had_been_asked_about() -> None:
    block = KeptBlock("binance-bybit", "C0-USDT", 15_000.0, 100, 1)
    assert JudgedSet(2, 101, frozenset()).lifts("a b", block)
    assert not JudgedSet(2, 100, frozenset()).lifts("a b", block)
    assert not JudgedSet(1, 101, frozenset()).lifts("a b", block)
    assert not JudgedSet(2, 101, frozenset({"a b"})).lifts("a b", block)


def test_a_block_ahead_of_the_clock_is_lifted_by_a_judgement_after_the_next() -> None:
    """The clock has been set back since: no run would ask after it for years."""
    ahead = KeptBlock("binance-bybit", "C0-USDT", 15_000.0, clock.wall_ns() + 10**17, 1)
    blocks, plan = Blocks({"a b": ahead}), Plan(empty_pairs(1), {0: "C0-USDT"}, 2, ("a b",))
    for generation, held in ((2, True), (3, False)):
        judgement = JudgedSet(generation, clock.wall_ns() + 1_000, frozenset())
        blocks.judge(judgement, plan, {"a b": 0})
        assert ("a b" in blocks.now) == held


@pytest.fixture
def kept_in(tmp_path: Path) -> Any:
    return msgspec.structs.replace(settings(), folder=tmp_path / "config")
