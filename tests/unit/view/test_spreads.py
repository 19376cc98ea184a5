"""All spreads as the screens have them."""

from typing import Any

import numpy as np
import pytest

from spread_scanner.shm import PriceStore
from spread_scanner.view.spreads import SpreadBoard, top


def test_the_board_has_the_spread_costs_and_threshold_of_each_pair(up_bed: Any) -> None:
    tables = _tables(up_bed)
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(up_bed.settings, tables, store)
        spot, futures = store.writer(0), store.writer(3)
        now_ns = store.clock.now_ns()
        spot.write(1, 99.0, 2.0, 100.0, 3.0, now_ns, now_ns, 1)
        futures.write(1, 101.0, 4.0, 102.0, 5.0, now_ns, now_ns, 1)
        for writer in (spot, futures):
            writer.heartbeat(now_ns - store.clock.anchor_ns)
        rows = board.rows()
        spot.close()
        futures.close()
    quoted = rows[rows["symbol_id"] == 1][0]
    assert board.pairs == 3
    assert quoted["gross_bps"] == pytest.approx(100.0)
    assert quoted["net_bps"] == pytest.approx(100.0 - 4 * 5.0)
    assert quoted["exit_bps"] == pytest.approx((99.0 - 102.0) / 100.0 * 1e4)
    assert quoted["size_quote"] == pytest.approx(300.0)
    assert quoted["enter_bps"] == 10.0
    assert quoted["usable"]
    assert not rows[rows["symbol_id"] == 0]["usable"][0]
    assert np.isnan(rows[rows["symbol_id"] == 0]["net_bps"][0])
    assert top(rows, 5)["symbol_id"].tolist() == [1]


def test_a_pair_whose_feed_has_stopped_beating_is_not_usable(up_bed: Any) -> None:
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(up_bed.settings, _tables(up_bed), store)
        now_ns = store.clock.now_ns()
        with store.writer(0) as spot, store.writer(3) as futures:
            for writer in (spot, futures):
                writer.write(1, 99.0, 2.0, 100.0, 3.0, now_ns, now_ns, 1)
                writer.heartbeat(now_ns - store.clock.anchor_ns)
            assert board.rows()["usable"].sum() == 1
            spot.heartbeat(now_ns - store.clock.anchor_ns - 3_600_000_000_000)
            assert board.rows()["usable"].sum() == 0


def _tables(bed: Any) -> Any:
    from spread_scanner.symbology import tables

    return tables.load(bed.settings.generated_dir)
