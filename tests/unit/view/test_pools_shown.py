"""Pools as they are shown: why one cannot be stood behind, and what is not known."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from pool_rows import pool_row, refused_row

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.pools import PoolFlag, fresh_pools
from spread_scanner.shm.pools import PoolTable
from spread_scanner.view import pools

OLD_NS = 3 * NS_PER_S


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, ""),
        ({"flags": PoolFlag.STALE}, "no provider that is in time covers it"),
        ({"flags": PoolFlag.STALE, "slot": 0}, "nothing has come yet"),
        ({"flags": PoolFlag.REFUSED | PoolFlag.STALE, "why": b"another mint"}, "another mint"),
        ({"flags": PoolFlag.PAUSED | PoolFlag.STALE}, "paused"),
        ({"good_ns": OLD_NS - 1}, "nobody has renewed it for too long"),
    ],
)
def test_why_a_pool_is_not_fresh(up_bed: Any, said: dict[str, Any], why: str) -> None:
    if "good_ns" in said:
        said = {**said, "renewed_mono_ns": clock.mono_ns() - OLD_NS}
    with PoolTable.attach(up_bed.namespace) as table, table.writer() as writer:
        writer.write(0, pool_row("one", **said))
        (found,) = pools.of_all(up_bed.settings)
        assert fresh_pools(table.rows(), clock.mono_ns()).tolist() == [not why]
    assert (found.fresh, found.why) == (not why, why)


def test_all_that_is_known_of_a_refusal_is_told_below_the_table(
    up_bed: Any, spread_ctl: Callable[..., tuple[int, str, str]]
) -> None:
    why = f"the pool does not trade this mint (mint='{'M' * 44}', allowed='{'A' * 44}')"
    with PoolTable.attach(up_bed.namespace) as table, table.writer() as writer:
        writer.write(0, pool_row("one"))
        writer.write(1, refused_row("other" + "x" * 39, why.encode()))
        code, out, _ = spread_ctl("pools")
    assert code == 0
    assert f"otherxxx: {why}" in " ".join(out.split())
    assert "the pool does not trade this mint\n" in out.replace(" \n", "\n")


def test_pools_are_found_by_key_program_and_symbol(up_bed: Any) -> None:
    with PoolTable.attach(up_bed.namespace) as table, table.writer() as writer:
        writer.write(0, pool_row("one"))
        writer.write(5, pool_row("other", program=b"orca-whirlpool", symbol=b"", price=np.nan))
        assert [one.pool for one in pools.of_all(up_bed.settings)] == ["one", "other"]
        for wanted in ("sol-", "sol/usd", "V4", "one"):
            assert [one.pool for one in pools.of_all(up_bed.settings, wanted)] == ["one"]
        (other,) = pools.of_all(up_bed.settings, "Orca")
    assert (other.symbol, other.price, other.liquidity) == (None, None, None)


def test_without_a_segment_there_is_nothing_to_show(bed: Any) -> None:
    assert pools.of_all(bed.settings) == []


def test_an_empty_table_says_why_it_is_empty(up_bed: Any) -> None:
    settings = up_bed.settings
    assert "`enabled = false`" in pools.why_none(settings, "")
    on = msgspec.structs.replace(settings.pools, enabled=True)
    assert "has told of none yet" in pools.why_none(msgspec.structs.replace(settings, pools=on), "")
    with PoolTable.attach(up_bed.namespace) as table, table.writer() as writer:
        writer.write(0, pool_row("one"))
        assert pools.why_none(settings, "X") == (
            'No pool whose key, program or symbol contains "X" is watched.'
        )
