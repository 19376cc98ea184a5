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
from spread_scanner.view import pools
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


def test_the_bytes_are_the_records_of_each_price(
    gateway_of: Callable[..., Any], listed_bed: Any, writer: PoolWriter, virtual_clock: Any
) -> None:
    """Of pools that are written, renewed, marked, forgotten and left alone."""
    virtual_clock.advance_ms(1_000)
    asking = gateway_of()
    listed_bed.quote(0, 1, 99.0, 100.0)
    keys = ["A" * 44, "B" * 44, "C" * 44]
    written: list[tuple[int, dict[str, object]]] = [
        (0, {}),
        (1, {"price": 151.0}),
        (0, {}),  # renewed
        (0, {"price": 152.0}),
        (2, {"reserve0": 0.0, "reserve1": 0.0}),
        (1, {"price": 151.0, "flags": PoolFlag.PAUSED}),
        (1, {"price": 151.0, "reserve1": 2.0**70 / 10**6}),
        (2, {"good_ns": 5_000_000}),
    ]
    for place, values in written:
        writer.write(place, pool_row(keys[place], **{**MINTS, **values}))
        for _ in range(2):
            virtual_clock.advance_ms(7)
            for path in ("/prices", "/prices/SOL/USDC"):
                assert answered(asking, path) == answered(asking, f"{path}?now=1"), values
    assert len(answered(asking, "/prices/SOL/USDC")) == 2
    assert answered(asking, "/health")["cached_pools"] == len(answered(asking, "/prices"))


def test_a_record_that_is_only_renewed_is_not_written_out_again(
    gateway_of: Callable[..., Any], writer: PoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, made = gateway_of(), list[float]()
    price_of = pools.price_of

    def counted(settings: Any, row: Any) -> PoolPrice | None:
        made.append(float(row["price"]))
        return price_of(settings, row)

    monkeypatch.setattr(pools, "price_of", counted)
    for price in (150.5, 150.5, 151.0, 151.0):
        writer.write(0, pool_row(POOL, price=price, written_mono_ns=1, told_mono_ns=1, **MINTS))
        answered(asking, "/prices/SOL/USDC")
    assert made == [150.5, 151.0]


LISTED = POOLS_TOML.replace('"SOL"', '"AAA"').replace('"USDC"', '"USDT"')
AT_AAA: dict[str, object] = {**MINTS, "symbol": b"AAA-USDT", "price": 150.0}
FEE, LISTING_FEE = 0.0025, 0.0005


@pytest.fixture
def found(
    gateway_of: Callable[..., Any], listed_bed: Any, writer: PoolWriter
) -> Callable[..., list[Any]]:
    """What a scan finds of AAA/USDT, and that it agrees with /prices."""
    (listed_bed.folder / "config" / "pools.toml").write_text(LISTED)
    listed_bed.settings = config.load()
    asking = gateway_of()

    def scanned(threshold_pct: float = 0.3) -> list[Any]:
        answers = [
            asyncio.run(asking.ask("POST", path, json={"threshold_pct": threshold_pct}))
            for path in ("/scan-arbitrage", "/v1/scan-arbitrage")
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        said, other = (orjson.loads(answer.content) for answer in answers)
        assert said["count"] == other["count"] == len(said["opportunities"])
        prices = {one["pool_id"]: one for one in answered(asking, "/prices/AAA-USDT")}
        for one in said["opportunities"]:
            bought, sold = prices[one["pool_a_id"]], prices[one["pool_b_id"]]
            assert one["pool_a_price"] == bought.get("ask_px", bought["price"])
            assert one["pool_b_price"] == sold.get("bid_px", sold["price"])
            assert one["pair"] == bought["pair"] == sold["pair"]
        assert [one["pool_a_id"] for one in said["opportunities"]] == [
            one["pool_a_id"] for one in other["opportunities"]
        ]
        opportunities: list[Any] = said["opportunities"]
        return opportunities

    return scanned


def test_a_coin_is_bought_in_a_pool_and_sold_on_an_exchange(
    found: Callable[..., list[Any]], listed_bed: Any, writer: PoolWriter
) -> None:
    listed_bed.quote(0, 0, 153.0, 154.0)
    writer.write(0, pool_row(POOL, **AT_AAA))
    (one,) = found()
    assert (one["pool_a_id"], one["pool_a_dex"], one["pool_b_dex"]) == (POOL, "raydium", "binance")
    size = 1_000 / 150  # the reference size: a top holds 10
    assert one["size_base"] == pytest.approx(size)
    paid = 3e5 * size / (2e3 - size) / (1 - FEE)
    assert one["profit_quote"] == pytest.approx(153.0 * (1 - LISTING_FEE) * size - paid)
    assert one["estimated_profit_pct"] == pytest.approx(one["profit_quote"] / size / 150 * 100)
    assert one["price_diff_pct"] == pytest.approx(2.0)
    assert found(2.1) == []


def test_a_coin_is_bought_on_an_exchange_and_sold_in_a_pool(
    found: Callable[..., list[Any]], listed_bed: Any, writer: PoolWriter
) -> None:
    listed_bed.quote(0, 0, 146.0, 147.0)
    writer.write(0, pool_row(POOL, **{**AT_AAA, "reserve0": 10.0, "reserve1": 1_500.0}))
    (one,) = found()
    size = 1_000 / 150
    net = size * (1 - FEE)
    got = 1_500 * net / (10 + net)
    assert one["profit_quote"] == pytest.approx(got - 147.0 * (1 + LISTING_FEE) * size)
    assert one["profit_quote"] < 0, "the impact of that size is more than the difference"
    writer.write(0, pool_row(POOL, **{**AT_AAA, "reserve0": 5.0, "reserve1": 750.0}))
    assert found() == [], "it does not hold the size"


def test_a_bin_trades_what_it_holds_at_one_price_and_two_pools_are_an_arbitrage(
    found: Callable[..., list[Any]], writer: PoolWriter
) -> None:
    bins = {**AT_AAA, "program": b"meteora-dlmm", "price": 155.0, "reserve0": 4.0}
    writer.write(0, pool_row(POOL, **AT_AAA))
    writer.write(
        1, pool_row("7XawhbbxtsRcQA8KTkHT9f9nc6d69UwqCDh6U5EEbEmX", **bins, reserve1=310.0)
    )
    (one,) = found()
    assert (one["pool_a_dex"], one["pool_b_dex"]) == ("raydium", "meteora")
    size = 310 / 155 / (1 - FEE)
    assert one["size_base"] == pytest.approx(size)
    paid = 3e5 * size / (2e3 - size) / (1 - FEE)
    assert one["profit_quote"] == pytest.approx(310.0 - paid)


@pytest.mark.parametrize(
    "said",
    [
        {"flags": PoolFlag.STALE},
        {"fee": float("nan")},
        {"price": 400.0},
        {"symbol": b"AAA-USDC"},
        {"reserve0": 0.0, "reserve1": 0.0},
    ],
)
def test_what_cannot_be_traded_against_is_no_arbitrage(
    found: Callable[..., list[Any]], listed_bed: Any, writer: PoolWriter, said: dict[str, object]
) -> None:
    listed_bed.quote(0, 0, 153.0, 154.0)
    writer.write(0, pool_row(POOL, **{**AT_AAA, **said}))
    assert found() == []
