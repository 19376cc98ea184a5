"""Raydium CLMM: recorded accounts, the binary's own answers, exact fractions, and what came in
2026.
"""

import base64
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_accounts import (
    clmm,
    clmm_config,
    clmm_dynamic,
    clmm_extension,
    clmm_ticks,
    key,
)
from pool_walks import Now, exact_walk, gives_no_less_for_more, is_walked
from solana_data import SOLANA, account, fills, needs_data, read

from spread_scanner.solana import (
    PoolQuote,
    PoolReason,
    PoolRefusal,
    assemble,
    decode,
    keys,
    price,
    quote,
)
from spread_scanner.solana.concentrated import TICK_MAX, TICK_MIN, Start, walk
from spread_scanner.solana.raydium_clmm import (
    POOL_BYTES,
    PRICES,
    ClmmPool,
    ClmmState,
    ClmmTicks,
    array_key,
    extension_key,
)
from spread_scanner.solana.tokens import USDC, WSOL

RUN = "raydium_clmm/program_run_synthetic_ticks.json"
NOW_TS, SLOT = 1_790_000_000, 453_868_631


def test_prices_at_the_ends() -> None:
    assert PRICES.at(TICK_MIN) == 4_295_048_016
    assert PRICES.at(TICK_MAX) == 79_226_673_521_066_979_257_578_248_091
    assert PRICES.at(0) == 2**64


@needs_data
def test_recorded_pools() -> None:
    data = (SOLANA / "raydium_clmm/Ds33rQ1d_SOL_USDC_pool_state.bin").read_bytes()
    state = decode(keys.RAYDIUM_CLMM, data)
    assert isinstance(state, ClmmState)
    key_of = "Ds33rQ1d4AXwxqyeXX6Pc3G4pFNr6iWb3dd8YfBBQMPr"
    accounts = {key_of: (keys.RAYDIUM_CLMM, data), state.amm_config: clmm_config(100)}
    assert price(key_of, accounts) == pytest.approx(83.551469620431, rel=1e-12)
    assert state.mints == (WSOL, USDC)
    assert state.tick_spacing == 1
    assert PRICES.tick_of(state.sqrt_price) == state.tick

    head = read("raydium_clmm/SPYx_USDC_slot441977650_head.json")
    pool, known = head["pool"]["pubkey"], head["known"]
    accounts = account(head["pool"], POOL_BYTES)
    state = decode(*accounts[pool])
    assert isinstance(state, ClmmState)
    assert (state.liquidity, state.sqrt_price) == (
        int(known["liquidity"]),
        int(known["sqrt_price_x64"]),
    )
    assert (state.tick, state.decimals) == (known["tick_current"], tuple(known["decimals"]))
    assert (
        keys.pda(
            [b"pool", *(keys.raw(k) for k in (state.amm_config, *state.mints))], keys.RAYDIUM_CLMM
        )
        == pool
    )
    ratio = (state.sqrt_price / 2**64) ** 2 * 10 ** (8 - 6)
    assert ratio == pytest.approx(known["price_token1_per_token0_ui"], rel=1e-12)

    row = read("raydium_clmm/carbon_pool_state_account.json")
    state = decode(row["owner"], base64.b64decode(row["data"]))
    assert isinstance(state, ClmmState)
    assert (state.liquidity, state.sqrt_price, state.tick, state.decimals) == (
        *(3_464_101_788_356, 647_525_941_329_892_376_628, 71_168),
        (9, 6),
    )
    assert state.volatility_fee is None
    row = read("raydium_clmm/carbon_tick_array_state_account.json")
    array = decode(row["owner"], base64.b64decode(row["data"]))
    assert isinstance(array, ClmmTicks)
    assert all(array.start <= tick.index for tick in array.ticks)


def recorded_run(rate: int) -> tuple[str, dict[str, Any]]:
    state = read(RUN)["state"]
    pool = state["pool"]["pubkey"]
    accounts: dict[str, Any] = account(state["pool"]) | {
        state["amm_config"]["pubkey"]: clmm_config(rate)
    }
    for start, ticks in state["ticks"].items():
        nets = {int(tick): int(row["liquidity_net"]) for tick, row in ticks.items()}
        assert state["tick_array_pdas"][start] == array_key(pool, int(start))
        accounts[array_key(pool, int(start))] = clmm_ticks(pool, int(start), 1, nets)
    accounts[extension_key(pool)] = (keys.SYSTEM, b"")
    return pool, accounts


@needs_data
@pytest.mark.parametrize("case", fills(RUN))
def test_answers_as_the_binary(case: dict[str, Any]) -> None:
    pool, accounts = recorded_run(case["trade_fee_rate"])
    down, by_input = case["zero_for_one"], case["is_base_input"]
    exact: Any = "in" if by_input else "out"
    asked = (pool, accounts, WSOL if down else USDC, case["amount"])
    if case["result"] is None:
        with pytest.raises(PoolRefusal):
            quote(*asked, exact=exact, unix_ts=NOW_TS, slot=SLOT)
        return
    found = quote(*asked, exact=exact, unix_ts=NOW_TS, slot=SLOT)
    result = case["result"]
    signed = (-found.amount_in, found.amount_out)
    deltas = (result["user_delta_0"], result["user_delta_1"])
    assert (signed if down else signed[::-1]) == deltas
    pooled = assemble(pool, accounts)
    assert isinstance(pooled, ClmmPool)
    state, config = pooled.state, pooled.config
    path = walk(
        Start(state.sqrt_price, state.tick, state.liquidity),
        pooled.ticks,
        case["amount"],
        down=down,
        by_input=by_input,
        rules=pooled.rules(down, NOW_TS),
    )
    assert str(path.sqrt_price) == result["post_sqrt_price_x64"]
    assert str(path.liquidity) == result["post_liquidity"]
    tick = PRICES.tick_of(path.sqrt_price) if path.tick is None else path.tick
    assert tick == result["post_tick"]
    for name, owed, rate in (
        ("protocol", state.protocol_fees, config.protocol_fee_rate),
        ("fund", state.fund_fees, config.fund_fee_rate),
    ):
        kept = list(owed)
        kept[not down] += sum(fee * rate // 10**6 for fee, _ in path.fees)
        assert kept == [result[f"{name}_fees_0"], result[f"{name}_fees_1"]]


POOL, CONFIG = key("clmm"), key("clmm config")
SPACING = 10
WIDTH = 60 * SPACING


def accounts_of(
    nets: dict[int, int],
    tick: int,
    liquidity: int,
    orders: dict[int, tuple[int, int]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    orders = orders or {}
    spacing = more.pop("spacing", SPACING)
    width = 60 * spacing
    numbers = {at // width for at in (*nets, *orders)}
    accounts = {
        array_key(POOL, number * width): clmm_ticks(
            *(POOL, number * width, spacing),
            {at: net for at, net in nets.items() if at // width == number},
            {at: amounts for at, amounts in orders.items() if at // width == number},
        )
        for number in numbers
    }
    accounts[CONFIG] = clmm_config(more.pop("rate", 2_500))
    accounts[extension_key(POOL)] = clmm_extension(POOL, numbers)
    accounts[POOL] = clmm(
        config=CONFIG,
        spacing=spacing,
        liquidity=liquidity,
        sqrt_price=PRICES.at(tick),
        tick=tick,
        mints=(WSOL, USDC),
        arrays=numbers,
        **more,
    )
    return accounts


@st.composite
def pools(draw: st.DrawFn) -> tuple[dict[int, int], int, int]:
    """One position around all, others in it; arrays without ticks lie in between."""
    low, high = -8 * WIDTH, 9 * WIDTH
    edges = st.integers(low // SPACING, high // SPACING).map(lambda place: place * SPACING)
    pairs = draw(st.lists(st.tuples(edges, edges, st.integers(1, 10**15)), max_size=8))
    tick = draw(st.integers(low, high - 1))
    pairs.append((low, high, draw(st.integers(1, 10**15))))
    nets: dict[int, int] = {}
    liquidity = 0
    for one, other, size in pairs:
        bottom, top = sorted((one, other))
        if bottom < top:
            nets[bottom] = nets.get(bottom, 0) + size
            nets[top] = nets.get(top, 0) - size
            liquidity += size if bottom <= tick < top else 0
    return nets, tick, liquidity


AMOUNTS = st.integers(1, 10**15)


@settings(max_examples=25)
@given(pool=pools(), amount=AMOUNTS, down=st.booleans(), by_input=st.booleans())
def test_is_the_exact_walk(
    pool: tuple[dict[int, int], int, int], amount: int, down: bool, by_input: bool
) -> None:
    nets, tick, liquidity = pool
    nets = {at: net for at, net in nets.items() if net}
    met = sorted((at for at in nets if (at <= tick if down else at > tick)), reverse=down)
    expected = exact_walk(
        PRICES.at(tick),
        [(PRICES.at(at), nets[at]) for at in met],
        liquidity,
        amount,
        Fraction(2_500, 10**6),
        down=down,
        by_input=by_input,
    )
    accounts = accounts_of(nets, tick, liquidity)
    asked = (accounts, POOL, expected, amount)
    is_walked(*asked, down=down, by_input=by_input, when=Now(unix_ts=NOW_TS, slot=SLOT))


@settings(max_examples=25)
@given(pool=pools(), amounts=st.tuples(AMOUNTS, AMOUNTS), down=st.booleans(), on=st.integers(0, 2))
def test_more_in_is_never_less_out(
    pool: tuple[dict[int, int], int, int], amounts: tuple[int, int], down: bool, on: int
) -> None:
    nets, tick, liquidity = pool
    assembled = assemble(POOL, accounts_of(nets, tick, liquidity, fee_on=on))
    gives_no_less_for_more(assembled, amounts, down, NOW_TS)


WIDE = {-600: 10**12, 600: -(10**12)}


def test_a_fee_on_the_output_is_taken_in_one_direction() -> None:
    """Token 1 is what the fee is taken of: of the output going down, of the input going up."""
    accounts = accounts_of(WIDE, 0, 10**12, fee_on=2)
    plain = quote(
        POOL, accounts_of(WIDE, 0, 10**12, rate=0), WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT
    )
    down = quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert not down.fee_on_input
    assert down.fee == -(-plain.amount_out * 2_500 // 10**6)
    assert down.amount_out == plain.amount_out - down.fee
    out = quote(POOL, accounts, WSOL, down.amount_out, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert (out.amount_out, out.fee_on_input) == (down.amount_out, False)
    assert out.amount_in <= 10**6
    up = quote(POOL, accounts, USDC, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert up == quote(
        *(POOL, accounts_of(WIDE, 0, 10**12), USDC, 10**6), unix_ts=NOW_TS, slot=SLOT
    )


def test_volatility_adds_to_the_fee_and_decays() -> None:
    """One spacing away from the reference is 10,000 of volatility: 10^8 * control over 10^13 of
    all.
    """
    fee = {"control": 50_000, "accumulator_max": 350_000, "last_update_ts": NOW_TS - 10}
    dynamic = clmm_dynamic(**fee, index_reference=3)
    accounts = accounts_of(WIDE, 0, 10**12, dynamic=dynamic)
    found = quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT)
    # At the tick 0 it is 3 spacings away, but 4 just below it, whither the swap goes.
    crossed = 4 * 10_000 * SPACING
    rate = 2_500 + -(-50_000 * crossed * crossed // 10**13)
    assert rate == 3_300
    assert found.fee == pytest.approx(10**6 * rate // 10**6, abs=2)
    calm = quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS + 10_000, slot=SLOT)
    assert calm.fee < found.fee
    most = accounts_of(
        WIDE, 0, 10**12, dynamic=clmm_dynamic(**fee | {"control": 99_999}, index_reference=35)
    )
    assert quote(POOL, most, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT).fee == 100_000


def test_limit_orders_at_a_tick_are_filled_before_it_is_crossed() -> None:
    """At the tick 0 one token is worth one: what was opened before comes first, as one amount."""
    nets = {-600: 10**12, 0: 5 * 10**11, 600: -15 * 10**11}
    accounts = accounts_of(nets, 0, 15 * 10**11, orders={0: (7_000, 3_000)}, rate=1_000)
    within = quote(POOL, accounts, WSOL, 5_000, unix_ts=NOW_TS, slot=SLOT)
    assert within == PoolQuote(5_000, 4_995, 5, True, 0, 0, 1)
    out = quote(POOL, accounts, WSOL, 4_995, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert out == PoolQuote(5_000, 4_995, 5, True, 0, 0, 1)
    beyond = quote(POOL, accounts, WSOL, 30_000, unix_ts=NOW_TS, slot=SLOT)
    rest = 30_000 - 10_000 - 11  # ceil(10,000 * 1,000 / 999,000)
    after = accounts_of({-600: 10**12, 600: -(10**12)}, -1, 10**12, rate=1_000)
    after[POOL] = clmm(
        config=CONFIG,
        spacing=SPACING,
        liquidity=10**12,
        sqrt_price=2**64,
        tick=-1,
        mints=(WSOL, USDC),
        arrays={-1, 1},
    )
    then = quote(POOL, after, WSOL, rest, unix_ts=NOW_TS, slot=SLOT)
    assert beyond.amount_out == 10_000 + then.amount_out
    assert beyond.fee == 11 + then.fee
    up = quote(POOL, accounts, USDC, 5_000, unix_ts=NOW_TS, slot=SLOT)
    assert up.crossed == 0  # orders below are none of a swap that goes up


def test_arrays_beyond_the_pools_bitmap_are_found_by_the_extension() -> None:
    far = 600 * 60
    nets = {-far - 1_000: 10**15, far + 1_000: -(10**15)}
    accounts = accounts_of(nets, 0, 10**15, spacing=1)
    found = quote(POOL, accounts, WSOL, 10**9, unix_ts=NOW_TS, slot=SLOT)
    assert found.crossed == 0
    pooled = assemble(POOL, accounts)
    assert isinstance(pooled, ClmmPool)
    assert pooled.ticks.indexes == (-far - 1_000, far + 1_000)
    del accounts[extension_key(POOL)]
    pooled = assemble(POOL, accounts)
    assert isinstance(pooled, ClmmPool)
    assert pooled.ticks.above.missing == extension_key(POOL)
    assert quote(POOL, accounts, WSOL, 10**9, unix_ts=NOW_TS, slot=SLOT) == found


def test_what_lies_beyond_an_array_that_is_not_given_is_not_made_up() -> None:
    nets = {-1_800: 10**12, -600: 10**12, 600: -2 * 10**12}
    accounts = accounts_of(nets, 0, 2 * 10**12)
    whole = quote(POOL, accounts, WSOL, 10**11, unix_ts=NOW_TS, slot=SLOT)
    assert whole.crossed == 1
    near = quote(POOL, accounts, WSOL, 10**9, unix_ts=NOW_TS, slot=SLOT)
    gone = array_key(POOL, -1_800)
    del accounts[gone]
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, WSOL, 10**11, unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.reason is PoolReason.MISSING
    assert refused.value.evidence["key"] == gone
    assert quote(POOL, accounts, WSOL, 10**9, unix_ts=NOW_TS, slot=SLOT) == near


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 1 << 4}, PoolReason.CLOSED),
        ({"open_time_s": NOW_TS}, PoolReason.CLOSED),
        ({"fee_on": 3}, PoolReason.BAD_VALUE),
        ({"liquidity": 0}, PoolReason.BAD_VALUE),
        ({"sqrt_price": 0}, PoolReason.BAD_VALUE),
        # The price is not at the tick: more would come out than is there, or less than nothing.
        ({"tick": 1}, PoolReason.BAD_VALUE),
        ({"tick": -2}, PoolReason.BAD_VALUE),
        ({"tick": -(2**31)}, PoolReason.BAD_VALUE),
        # No pool is beyond the last tick, whatever its price, nor before the first but by one.
        ({"tick": TICK_MAX + 1, "sqrt_price": PRICES.at(TICK_MAX)}, PoolReason.BAD_VALUE),
        ({"tick": 2**31 - 1, "sqrt_price": PRICES.at(TICK_MAX)}, PoolReason.BAD_VALUE),
        ({"tick": TICK_MIN - 1, "sqrt_price": PRICES.at(TICK_MIN)}, PoolReason.TOO_MUCH),
        ({"tick": TICK_MIN - 2, "sqrt_price": PRICES.at(TICK_MIN)}, PoolReason.BAD_VALUE),
        ({"config": POOL}, PoolReason.WRONG_KIND),
        ({"config": key("nowhere")}, PoolReason.MISSING),
        ({"mints": (WSOL, key("unheard of"))}, PoolReason.MISSING),
    ],
)
def test_is_refused_with_the_reason(change: dict[str, Any], reason: PoolReason) -> None:
    accounts = accounts_of(WIDE, 0, 10**12)
    fields: dict[str, Any] = {
        **{"config": CONFIG, "spacing": SPACING, "liquidity": 10**12, "sqrt_price": 2**64},
        **{"tick": 0, "mints": (WSOL, USDC), "arrays": (-1, 1)},
    }
    accounts[POOL] = clmm(**fields | change)
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, WSOL, 10**10, unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.reason is reason


def elsewhere(array: tuple[str, bytes], index: int) -> tuple[str, bytes]:
    """The first of its ticks that has anything is said to be at another one."""
    owner, data = array
    at = next(at for at in range(44, 44 + 60 * 168, 168) if any(data[at : at + 168]))
    return owner, data[:at] + index.to_bytes(4, "little", signed=True) + data[at + 4 :]


def test_all_that_the_price_is_worth_is_more_than_there_is() -> None:
    """Where the fee is on the output, what is wanted with it may be the whole price to the last
    unit: what would be left is none, and nothing is divided by it."""
    sqrt_price = 10**24
    accounts = accounts_of(WIDE, 0, 10**12) | {CONFIG: clmm_config(999_999)}
    accounts[POOL] = clmm(
        config=CONFIG,
        spacing=SPACING,
        liquidity=2**64,
        sqrt_price=sqrt_price,
        tick=PRICES.tick_of(sqrt_price),
        mints=(WSOL, USDC),
        arrays=(-1,),
        fee_on=2,
    )
    for wanted in (sqrt_price // 10**6 + by for by in (-1, 0, 1)):
        with pytest.raises(PoolRefusal) as refused:
            quote(POOL, accounts, WSOL, wanted, exact="out", unix_ts=NOW_TS, slot=SLOT)
        assert refused.value.reason is PoolReason.TOO_MUCH


def test_wrong_arrays_are_refused() -> None:
    accounts = accounts_of(WIDE, 0, 10**12)
    below = array_key(POOL, -600)
    for data, reason in (
        (clmm_ticks(POOL, 0, SPACING, {}), PoolReason.BAD_VALUE),
        (clmm_ticks(key("another"), -600, SPACING, {}), PoolReason.BAD_VALUE),
        (elsewhere(accounts[below], 100_000), PoolReason.BAD_VALUE),
        (elsewhere(accounts[below], -590), PoolReason.BAD_VALUE),
        (accounts[CONFIG], PoolReason.WRONG_KIND),
        ((keys.RAYDIUM_CLMM, accounts[below][1][:-1]), PoolReason.WRONG_LENGTH),
        ((keys.RAYDIUM_CPMM, accounts[below][1]), PoolReason.WRONG_OWNER),
    ):
        with pytest.raises(PoolRefusal) as refused:
            quote(POOL, accounts | {below: data}, WSOL, 1_000, unix_ts=NOW_TS, slot=SLOT)
        assert refused.value.reason is reason
