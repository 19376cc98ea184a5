"""All spreads as the screens have them."""

import contextlib
from typing import Any

import msgspec
import numpy as np
import pytest

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_DIRECTIONS, QuoteFlag
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import DirectionRow, lots_of
from spread_scanner.symbology.usual import Usual
from spread_scanner.view.columns import columns_of
from spread_scanner.view.spreads import SpreadBoard, named, top


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
    assert quoted["close_bps"] == pytest.approx(-100.0)  # half of both widths: nothing is learned
    assert quoted["net_bps"] == pytest.approx(100.0 - 100.0 - 4 * 5.0)
    assert quoted["learned"] == 0.0
    assert quoted["exit_bps"] == pytest.approx((99.0 - 102.0) / 100.0 * 1e4)
    assert quoted["size_quote"] == pytest.approx(300.0)
    assert quoted["enter_bps"] == 10.0
    assert quoted["usable"]
    assert not rows[rows["symbol_id"] == 0]["usable"][0]
    assert np.isnan(rows[rows["symbol_id"] == 0]["net_bps"][0])
    assert top(rows, 5)["symbol_id"].tolist() == [1]


def test_of_few_symbols_a_board_says_what_that_of_all_says(up_bed: Any) -> None:
    tables = _tables(up_bed)
    with PriceStore.attach(up_bed.namespace) as store:
        with store.writer(0) as spot, store.writer(3) as futures:
            for symbol_id in (0, 1, 2):
                now_ns, bid = store.clock.now_ns(), 99.0 + symbol_id
                spot.write(symbol_id, bid, 2.0, bid + 1.0, 3.0, now_ns, now_ns, 1)
                futures.write(symbol_id, bid + 2.0, 4.0, bid + 3.0, 5.0, now_ns, now_ns, 1)
        rows = SpreadBoard(up_bed.settings, tables, store).rows()
        few = SpreadBoard(up_bed.settings, tables.paired((1,)), store).rows()
    of_one = rows[rows["symbol_id"] == 1]
    assert len(few) == len(of_one) > 0
    for name in set(rows.dtype.names or ()) - {"spot_age_ms", "fut_age_ms"}:
        np.testing.assert_array_equal(few[name], of_one[name], err_msg=name)


def test_a_leg_that_was_never_quoted_has_no_age(up_bed: Any) -> None:
    with PriceStore.attach(up_bed.namespace) as store, store.writer(0) as spot:
        board = SpreadBoard(up_bed.settings, _tables(up_bed), store)
        now_ns = store.clock.now_ns()
        spot.write(1, 99.0, 2.0, 100.0, 3.0, now_ns, now_ns, 1)
        rows = board.rows()
    aged = [(one.spot_age_ms, one.fut_age_ms) for one in named(rows, {}, [None] * len(rows))]
    of_quoted = rows["symbol_id"].tolist().index(1)
    spot_age_ms, _ = aged.pop(of_quoted)
    assert spot_age_ms is not None
    assert spot_age_ms >= 0.0
    assert set(aged) == {(None, None)}
    assert np.isnan(rows["fut_age_ms"]).all()
    columns = columns_of(rows, rows["net_bps"], {}, ts_ns=now_ns, version=1, generation=1)
    assert columns.fut_age_ms == [None] * len(rows)


def test_sizes_are_in_whole_lots_of_both_legs(up_bed: Any) -> None:
    made = _tables(up_bed)
    steps = {0: 0.4, 3: 0.7}  # of each source: 2.8 fit in 3
    rows = tuple(
        msgspec.structs.replace(row, lot_step=steps.get(row.source_id)) for row in made.instruments
    )
    tables = msgspec.structs.replace(made, instruments=rows, lots=lots_of(rows))
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(up_bed.settings, tables, store)
        now_ns = store.clock.now_ns()
        with store.writer(0) as spot, store.writer(3) as futures:
            spot.write(1, 99.0, 2.0, 100.0, 3.0, now_ns, now_ns, 1)
            futures.write(1, 101.0, 4.0, 102.0, 5.0, now_ns, now_ns, 1)
        rows_now = board.rows()
    assert rows_now[rows_now["symbol_id"] == 1]["size_quote"].tolist() == pytest.approx([280.0])


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


@pytest.mark.parametrize(
    ("flags", "px", "implausible"),
    [
        (int(QuoteFlag.JUMPED), 101.0, True),
        (int(QuoteFlag.JUMPED | QuoteFlag.SILENT), 101.0, False),
        (int(QuoteFlag.SILENT), 500.0, False),
        (0, 500.0, True),
        (0, 101.0, False),
    ],
)
def test_what_is_not_one_coin_at_one_time_is_told_from_what_is_stale(
    up_bed: Any, flags: int, px: float, implausible: bool
) -> None:
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(up_bed.settings, _tables(up_bed), store)
        now_ns = store.clock.now_ns()
        with store.writer(0) as spot, store.writer(3) as futures:
            spot.write(1, 99.0, 2.0, 100.0, 3.0, now_ns, now_ns, 1)
            futures.write(1, px, 4.0, px + 1, 5.0, now_ns, now_ns, 1, flags)
            for writer in (spot, futures):
                writer.heartbeat(now_ns - store.clock.anchor_ns)
            rows = board.rows()
    (row,) = rows[rows["symbol_id"] == 1]
    assert row["implausible"] == implausible
    assert row["usable"] == (not implausible and not flags)


def test_a_leg_that_is_alone_makes_its_pairs_unusable(up_bed: Any) -> None:
    tables = _tables(up_bed)
    rows = tuple(
        DirectionRow(number, (1,)) for number in range(len(EXCHANGE_DIRECTIONS))
    )  # the symbol of the bed on every source
    tables = msgspec.structs.replace(tables, directions=rows)
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(up_bed.settings, tables, store)
        with contextlib.ExitStack() as held:
            writers = [held.enter_context(store.writer(source)) for source in range(8)]

            def usable(at: float) -> set[int]:
                """Sources whose every pair can be stood behind, spot of the first at this price."""
                now_ns = store.clock.now_ns()
                for source, writer in enumerate(writers):
                    px = at if source == 0 else 100.0
                    writer.write(1, px - 0.1, 1.0, px + 0.1, 1.0, now_ns, now_ns, 1)
                    writer.heartbeat(now_ns - store.clock.anchor_ns)
                good = board.rows()
                lost = good[~good["usable"]]["direction_id"].tolist()
                return {DIRECTIONS[number].spot.source_id for number in lost}

            assert usable(105.0) == set()
            assert usable(110.6) == {0}, "alone, though no further from another than can be"


def test_what_the_engine_has_learned_is_on_the_board_at_once(up_bed: Any) -> None:
    """Also how far it has come, and nothing of what is damaged or older than a half-life."""
    path, tables = usual.path_of(up_bed.settings), _tables(up_bed)
    keys = tuple(usual.pair_keys(tables).values())
    now_ns, half_life_s = clock.wall_ns(), 3_600.0

    def write(share: float, age_s: float = 0.0, credited: float | None = None) -> None:
        weight = np.full(len(keys), 291.0 * share)
        wall_ns = now_ns - int(age_s * NS_PER_S)
        means = np.full(len(keys), -30.0), np.full(len(keys), -3.0)
        medians = None if credited is None else np.full(len(keys), credited)
        usual.write(path, Usual(1, wall_ns, half_life_s, keys, weight, *means, medians))

    up_bed.quote(0, 1, 99.98, 100.0)
    up_bed.quote(3, 1, 101.0, 101.02)
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(up_bed.settings, tables, store)

        def seen() -> list[float]:
            (row,) = (row for row in board.rows() if row["symbol_id"] == 1)
            return [round(float(row[name]), 6) for name in ("learned", "close_bps", "net_bps")]

        by_widths = [-2.0, 100.0 - 2.0 - 20.0]
        assert seen() == [0.0, *by_widths]
        write(0.4)
        assert seen() == [0.4, *by_widths]
        write(2.0)
        assert seen() == [2.0, -30.0, 100.0 - 30.0 - 20.0]
        write(2.0, credited=12.5)
        assert seen() == [2.0, 12.5, 100.0 + 12.5 - 20.0]
        write(0.4, credited=12.5)
        assert seen() == [0.4, *by_widths]
        write(2.0, age_s=half_life_s + 1)
        assert seen() == [0.0, *by_widths]
        path.write_bytes(b"damaged")
        assert seen() == [0.0, *by_widths]


def _tables(bed: Any) -> Any:
    from spread_scanner.symbology import tables

    return tables.load(bed.settings.generated_dir)
