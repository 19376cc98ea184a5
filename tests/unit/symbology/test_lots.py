"""The common lot of two listings is exact, and what is missing or absurd is said, never guessed."""

import math
import random
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

import bed
from spread_scanner.errors import TableError
from spread_scanner.schema.lots import LOT_NEVER, LotFlag
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.lots import LegRules, pair_rules
from spread_scanner.symbology.tables import (
    DirectionRow,
    InstrumentRow,
    LotRow,
    QuarantineRow,
    SymbolRow,
    Tables,
    lots_of,
)

STEPS_UNKNOWN = LotFlag.SPOT_STEP_UNKNOWN | LotFlag.FUT_STEP_UNKNOWN


def lot_of(spot: tuple[float, float | None], fut: tuple[float, float | None]) -> float:
    """By (base units per unit, step) of each leg."""
    return pair_rules(LegRules(*spot, None, None), LegRules(*fut, None, None)).lot


@pytest.mark.parametrize(
    ("spot", "fut", "lot"),
    [
        ((1.0, 1e-5), (1.0, 0.001), 0.001),
        ((1.0, 0.1), (1.0, 0.3), 0.3),  # in floats 0.3 % 0.1 is 0.0999
        ((1.0, 0.04), (1.0, 0.06), 0.12),
        ((1.0, 1e-8), (0.01, 0.01), 0.0001),  # OKX: 0.01 contracts of 0.01 BTC
        ((1.0, 1.0), (1000.0, 1.0), 1000.0),  # 1000PEPE
        ((1.0, 1.0), (1_000_000.0, 0.1), 100_000.0),
        ((1000.0, 1.0), (10_000.0, 1.0), 10_000.0),
        ((1.0, 0.00000001), (0.1 * 3, 1.0), 0.3),  # a product with dust: 0.30000000000000004
        ((1.0, 1e-18), (1e-12, 1e-3), 1e-15),
        ((1.0, None), (10.0, 1.0), 10.0),
        ((1.0, 0.01), (1.0, math.nan), 0.01),
        ((1.0, None), (1.0, None), 0.0),
        ((1.0, 0.999999999), (1.0, 0.1), LOT_NEVER),
        ((1.0, 1e39), (1e39, 1e39), LOT_NEVER),
    ],
)
def test_the_lot_is_the_smallest_that_both_take(
    spot: tuple[float, float | None], fut: tuple[float, float | None], lot: float
) -> None:
    assert lot_of(spot, fut) == lot
    assert lot_of(fut, spot) == lot
    never = (
        LotFlag.NEVER_MEETS
        in pair_rules(LegRules(*spot, None, None), LegRules(*fut, None, None)).flags
    )
    assert never == (lot == LOT_NEVER)


def test_any_two_decimal_steps_divide_their_lot_exactly() -> None:
    seed = bed.seed()
    chance = random.Random(seed)
    for _ in range(500):
        legs = [
            (10.0 ** chance.randint(-6, 6), chance.randint(1, 30) * 10.0 ** chance.randint(-8, 2))
            for _ in range(2)
        ]
        lot = lot_of(legs[0], legs[1])
        if lot == LOT_NEVER:
            continue
        exact = Fraction(f"{lot:.12g}")
        for scale, step in legs:
            whole = exact / (Fraction(f"{scale:.12g}") * Fraction(f"{step:.12g}"))
            assert whole.denominator == 1, (legs, lot)


def test_minima_are_in_base_units_and_a_missing_one_is_zero_and_flagged() -> None:
    told = pair_rules(LegRules(1.0, 0.1, 2.0, 5.0), LegRules(1000.0, 1.0, 3.0, None))
    assert told[:5] == (1000.0, 2.0, 3000.0, 5.0, 0.0)
    assert told.flags == LotFlag.FUT_MIN_NOTIONAL_UNKNOWN
    nothing = pair_rules(LegRules(1.0, None, None, None), LegRules(1.0, None, None, None))
    assert nothing[:5] == (0.0,) * 5
    assert nothing.flags == STEPS_UNKNOWN | LotFlag(8 + 16 + 32 + 64)


def a_set() -> Tables:
    """BTC is a pair of binance-okx, PEPE one that is kept out; SOLO stands on one source."""
    instruments = (
        InstrumentRow(0, 0, "BTCUSDT", 1.0, 1.0, None, 1e-5, 1e-5, 5.0, False, False),
        InstrumentRow(0, 1, "PEPEUSDT", 1.0, 1.0, None, 0.999999999, 1.0, 5.0, False, False),
        InstrumentRow(0, 2, "SOLOUSDT", 1.0, 1.0, None, 1.0, 1.0, 5.0, False, False),
        InstrumentRow(5, 0, "BTC-USDT-SWAP", 1.0, 0.01, None, 0.01, 0.01, None, False, False),
        InstrumentRow(5, 1, "PEPE-USDT-SWAP", 1.0, 1e7, None, 0.1, 0.1, None, False, False),
    )
    return Tables(
        generation=1,
        created_wall_ns=1,
        symbols=tuple(
            SymbolRow(number, f"{base}-USDT", base, "USDT")
            for number, base in enumerate(("BTC", "PEPE", "SOLO"))
        ),
        instruments=instruments,
        directions=(DirectionRow(1, (0,)),),
        funding=(),
        quarantine=(QuarantineRow(1, "PEPE-USDT", "prices disagree"),),
        lots=lots_of(instruments),
    )


def test_every_pair_has_its_lot_in_the_tables_those_that_are_kept_out_too(tmp_path: Path) -> None:
    publish.publish(tmp_path, a_set(), {})
    loaded = tables.load(tmp_path)
    assert loaded == a_set()
    found = loaded.lots_by_pair()
    assert {symbol_id for _, symbol_id in found} == {0, 1}
    missing = int(LotFlag.FUT_MIN_NOTIONAL_UNKNOWN)
    (direction_id,) = {direction_id for direction_id, _ in found}
    assert found[direction_id, 0] == LotRow(direction_id, 0, 1e-4, 1e-5, 1e-4, 5.0, 0.0, missing)
    assert found[direction_id, 1].flags & LotFlag.NEVER_MEETS


def test_a_set_of_an_older_version_has_the_same_lots(tmp_path: Path) -> None:
    publish.publish(tmp_path, msgspec.structs.replace(a_set(), lots=()), {})
    old = tables.load(tmp_path)
    assert old.lots == ()
    assert old.lots_by_pair() == a_set().lots_by_pair()


class DirectionsFileBefore(msgspec.Struct, frozen=True):
    """directions.bin as a version without lots knows it."""

    format: int
    generation: int
    directions: tuple[DirectionRow, ...]
    quarantine: tuple[QuarantineRow, ...]


def test_an_older_version_reads_what_this_one_writes(tmp_path: Path) -> None:
    publish.publish(tmp_path, a_set(), {})
    data = (tmp_path / "directions.bin").read_bytes()
    before = msgspec.msgpack.decode(data, type=DirectionsFileBefore)
    assert before.directions == a_set().directions


@pytest.mark.parametrize("change", [{"lot": math.inf}, {"lot": -1.0}, {"symbol_id": 9}])
def test_a_lot_that_cannot_be_is_refused_by_name(tmp_path: Path, change: dict[str, float]) -> None:
    bad = msgspec.structs.replace(a_set().lots[0], **change)
    publish.publish(tmp_path, msgspec.structs.replace(a_set(), lots=(bad,)), {})
    with pytest.raises(TableError, match=r"a lot that cannot be.*directions\.bin"):
        tables.load(tmp_path)
