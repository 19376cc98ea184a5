"""The simulator's curves against recorded runs of the programs themselves."""

import base64
from fractions import Fraction
from typing import Any

import pytest
from solana_data import SOLANA, fills, needs_data, read

from spread_scanner.sim.swap_curves import (
    BinCurve,
    BinOrders,
    BinRates,
    exact_bins,
    exact_walk,
    tick_at,
    tick_price,
)
from spread_scanner.solana import decode, keys
from spread_scanner.solana.meteora_dlmm import DlmmBins, LbPair
from spread_scanner.solana.raydium_clmm import ClmmState

TICKS = "raydium_clmm/program_run_synthetic_ticks.json"
PAIRS = {
    "9t3EyC": "9t3EyC9FweyL7PBWvKz3mrXg8B9fwFc9SK3QxM4ENqhd",
    "EtAdVR": "EtAdVRLFH22rjWh3mcUasKFF27WtHhsaCvK27tPFFWig",
}


def test_a_tick_is_found_by_its_price() -> None:
    for tick in (-443_000, -5, -1, 0, 1, 24_817, 443_000):
        price = tick_price(tick)
        assert (tick_at(price), tick_at(price - 1), tick_at(price + 1)) == (tick, tick - 1, tick)


@needs_data
@pytest.mark.parametrize("case", fills(TICKS))
def test_ticks_are_walked_as_by_the_program(case: dict[str, Any]) -> None:
    recorded = read(TICKS)["state"]
    account = recorded["pool"]["account"]
    state = decode(account["owner"], base64.b64decode(account["data"][0]))
    assert isinstance(state, ClmmState)
    down, by_input = case["zero_for_one"], case["is_base_input"]
    nets = {
        int(tick): int(row["liquidity_net"])
        for ticks in recorded["ticks"].values()
        for tick, row in ticks.items()
    }
    met = sorted((at for at in nets if (at <= state.tick) is down), reverse=down)
    found = exact_walk(
        state.sqrt_price,
        [(tick_price(at), nets[at]) for at in met],
        state.liquidity,
        case["amount"],
        Fraction(case["trade_fee_rate"], 10**6),
        down=down,
        by_input=by_input,
    )
    result = case["result"]
    if result is None:
        assert not (found.whole and found.amount_in and found.amount_out)
        return
    assert found.whole
    signed = -found.amount_in, found.amount_out
    assert (signed if down else signed[::-1]) == (result["user_delta_0"], result["user_delta_1"])
    assert str(found.sqrt_price) == result["post_sqrt_price_x64"]
    assert str(found.liquidity) == result["post_liquidity"]


def recorded_curve(name: str) -> tuple[BinCurve, int, int]:
    """A pair as it was recorded, and what its vaults hold."""
    folder = SOLANA / "meteora_dlmm" / PAIRS[name]
    data = {path.stem: path.read_bytes() for path in folder.glob("*.bin")}
    pair = decode(keys.METEORA_DLMM, data["lb_pair"])
    assert isinstance(pair, LbPair)
    rates = BinRates(
        *(pair.base_rate, pair.variable_fee_control, pair.accumulator_max),
        *(pair.filter_s, pair.decay_s, pair.reduction),
    )
    curve = BinCurve(pair.active_id, pair.bin_step, {}, rates, pair.collect_fee_mode == 1)
    curve.accumulator, curve.reference = pair.accumulator, pair.volatility_reference
    curve.index, curve.updated_s = pair.index_reference, pair.last_update_ts
    for number in (1, 2):
        array = decode(keys.METEORA_DLMM, data[f"bin_array_{number}"])
        assert isinstance(array, DlmmBins)
        for place, held in array.bins.items():
            bin_id = array.number * 70 + place
            curve.bins[bin_id] = held.amount_x, held.amount_y
            if pair.has_orders:
                curve.orders[bin_id] = BinOrders(held.processed_orders, held.open_orders, held.asks)
    held_x, held_y = (
        int.from_bytes(data[f"reserve_{side}"][64:72], "little") for side in ("x", "y")
    )
    return curve, held_x, held_y


@needs_data
@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, *row.values, id=f"{name}-{row.id}", marks=row.marks)
        for name in PAIRS
        for row in fills(f"meteora_dlmm/program_run_{name}.json")
    ],
)
def test_bins_are_walked_as_by_the_program(name: str, case: dict[str, Any]) -> None:
    curve, held_x, held_y = recorded_curve(name)
    down = case["swap_for_y"]
    parts = exact_bins(
        curve,
        case["amount"],
        down=down,
        by_input=not case["exact_out"],
        unix_s=case["unix_timestamp"],
    )
    result = case["result"]
    if parts is None or result is None:
        # What it refuses beyond that is more than a vault holds, or an array it was not given.
        out = sum(part.amount_out for part in parts or ())
        refused = parts is None or out > (held_y if down else held_x) or "3005" in case["error"]
        assert result is None
        assert refused or case["exact_out"]
        return
    paid, received = (
        sum(part.amount_in for part in parts),
        sum(part.amount_out for part in parts),
    )
    assert (paid, received) == (result["user_paid"], result["user_received"])
