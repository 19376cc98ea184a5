"""The engine says how near pairs are to their thresholds: each second, at once when one enters."""

import math

import msgspec
import pytest
from engine_bed import Bed, settings, tables

from spread_scanner.config import Books, Settings
from spread_scanner.schema.enums import DIRECTIONS, QuoteFlag
from spread_scanner.shm.faults import AlreadyClaimed
from spread_scanner.shm.wants import NOT_NEAR

DIRECTION = DIRECTIONS[0]


def having(given: Settings, margin_bps: float) -> Settings:
    books = Books(books_margin_bps=margin_bps)
    return msgspec.structs.replace(given, config=msgspec.structs.replace(given.config, books=books))


def near(bed: Bed, symbol_id: int = 0) -> float:
    return float(bed.wants.near_bps(DIRECTION.spot.source_id, bed.now_ns)[symbol_id])


def test_each_second_it_is_said_how_near_a_pair_is(namespace: str) -> None:
    with Bed(namespace, having(settings({"enter_bps": 20.0}), 5.0)) as bed:
        enter_bps = float(bed.engine.loop.pairs["enter_bps"][0])
        for net_bps in (-30.0, enter_bps - 3.25, 0.0):
            bed.spread(net_bps)
            bed.step(1_000)
            assert near(bed) == pytest.approx(net_bps - enter_bps, abs=1e-3)
        assert near(bed, 1) == NOT_NEAR, "it was never quoted"


def test_what_enters_is_said_at_once_and_while_it_stands(namespace: str) -> None:
    with Bed(namespace, having(settings(), 5.0)) as bed:
        bed.spread(-50.0)
        bed.step(1_000)
        bed.spread(200.0)
        assert bed.kinds(1) == [1]
        assert near(bed) == math.inf
        bed.step(3_000)
        bed.step(3_000)
        assert near(bed) == math.inf
        bed.spread(-50.0)
        bed.kinds(1_000)
        assert near(bed) < 0


def test_what_cannot_be_stood_behind_is_not_near_for_long(namespace: str) -> None:
    with Bed(namespace, having(settings(), 5.0)) as bed:
        bed.spread(5.0)
        bed.step(1_000)
        assert near(bed) > NOT_NEAR
        bed.quote(DIRECTION.spot.source_id, 99, 100, flags=int(QuoteFlag.SILENT))
        for _ in range(7):
            bed.beat()
            bed.step(1_000)
        assert near(bed) == NOT_NEAR


def test_nobody_is_told_unless_the_settings_ask(namespace: str) -> None:
    with Bed(namespace, having(settings(), -1.0)) as bed:
        bed.wants.near_writer().close()  # free
        bed.spread(200.0)
        assert bed.kinds(1_000) == [1]
        assert near(bed) == NOT_NEAR
        bed.engine.load(having(settings(), 0.0), tables())
        with pytest.raises(AlreadyClaimed):
            bed.wants.near_writer()
        bed.step(1_000)
        assert near(bed) == math.inf
        bed.engine.load(having(settings(), -1.0), tables())
        bed.wants.near_writer().close()
