"""Pools beside exchanges: in prices, by pair, in health; those that cannot be stood behind are no
prices.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson
import pytest
from pool_rows import POOL, POOLS_TOML, SOL, USDC, pool_row

from spread_scanner import config
from spread_scanner.schema.pools import PoolFlag
from spread_scanner.shm.pools import PoolTable, PoolWriter
from spread_scanner.view.pools import PoolPrice

MINTS = {"mint0": SOL.encode(), "mint1": USDC.encode()}


@pytest.fixture
def writer(listed_bed: Any) -> Iterator[PoolWriter]:
    (listed_bed.folder / "config" / "pools.toml").write_text(POOLS_TOML)
    listed_bed.settings = config.load()
    with PoolTable.attach(listed_bed.namespace) as table, table.writer() as made:
        yield made


def answered(asking: Any, path: str) -> Any:
    answer = asyncio.run(asking.get(path))
    assert answer.status_code == 200, answer.text
    return orjson.loads(answer.content)


def test_a_pool_is_a_price_beside_those_of_exchanges(
    gateway_of: Callable[..., Any], listed_bed: Any, writer: PoolWriter
) -> None:
    asking = gateway_of()
    listed_bed.quote(0, 1, 99.0, 100.0)
    writer.write(0, pool_row(POOL, **MINTS))
    for path in ("/prices", "/prices?now=1"):  # from bytes, and by the framework
        every = answered(asking, path)
        assert sum("bid_px" in one for one in every) == len(every) - 1 > 0
    for path in ("/prices/SOL/USDC", "/prices/sol-usdc", "/prices/SOL%2FUSDC?now=1"):
        (said,) = answered(asking, path)
        price = msgspec.convert(said, PoolPrice)
        assert (price.pool_id, price.dex_name, price.pair) == (POOL, "raydium", "SOL/USDC")
        assert (price.price, price.fee) == (150.5, 0.0025)
        assert (price.base_reserve, price.base_decimals) == (2_000 * 10**9, 9)
        assert (price.quote_reserve, price.quote_decimals) == (300_000 * 10**6, 6)
    assert "SOL/USDC" in answered(asking, "/health")["cached_pairs"]
    assert all("bid_px" in one for one in answered(asking, "/prices?source=okx-spot"))


def test_a_pool_whose_first_token_is_the_quote_is_turned_round(
    gateway_of: Callable[..., Any], writer: PoolWriter
) -> None:
    turned = {"mint0": USDC.encode(), "mint1": SOL.encode(), "decimals0": 6, "decimals1": 9}
    writer.write(0, pool_row(POOL, price=1 / 128, reserve0=3e5, reserve1=2e3, **turned))
    (price,) = answered(gateway_of(), "/prices/SOL/USDC")
    assert (price["price"], price["base_reserve"], price["base_decimals"]) == (128, 2 * 10**12, 9)


def test_reserves_that_javascript_cannot_hold_stand_as_digits_beside(
    gateway_of: Callable[..., Any], writer: PoolWriter
) -> None:
    writer.write(0, pool_row(POOL, reserve0=2.0**53 / 10**9, reserve1=2.0**70 / 10**6, **MINTS))
    (price,) = answered(gateway_of(), "/prices/SOL/USDC")
    assert (price["base_reserve"], price["quote_reserve_raw"]) == (2**53, str(2**70))
    assert "base_reserve_raw" not in price


def test_what_cannot_be_stood_behind_is_no_price_and_is_shown_with_its_reason(
    gateway_of: Callable[..., Any], writer: PoolWriter
) -> None:
    asking = gateway_of()
    writer.write(0, pool_row(POOL, flags=PoolFlag.STALE, **MINTS))
    assert answered(asking, "/prices/SOL/USDC") == []
    (shown,) = answered(asking, "/v1/pools?pool=sol-usdc")
    assert (shown["fresh"], bool(shown["why"])) == (False, True)


def test_a_pool_that_has_nothing_at_its_price_is_no_price(
    gateway_of: Callable[..., Any], writer: PoolWriter
) -> None:
    asking = gateway_of()
    writer.write(0, pool_row(POOL, reserve0=0.0, reserve1=0.0, liquidity=0.0, **MINTS))
    assert answered(asking, "/prices/SOL/USDC") == []
    writer.write(0, pool_row(POOL, reserve0=0.0, reserve1=5.0, **MINTS))
    assert len(answered(asking, "/prices/SOL/USDC")) == 1, "one side of it can be had"


def test_the_tag_stays_while_no_pool_is_written(
    gateway_of: Callable[..., Any], writer: PoolWriter
) -> None:
    asking = gateway_of()
    tags = []
    for price in (150.5, 150.5, 151.0):
        writer.write(0, pool_row(POOL, price=price, **MINTS))
        tags.append(asyncio.run(asking.get("/prices")).headers["etag"])
    assert tags[0] == tags[1] != tags[2]
