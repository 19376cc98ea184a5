"""Orca Whirlpool: recorded accounts, the binary's own answers, the SDK's vectors, and exact
fractions.
"""

import base64
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_accounts import key, whirlpool, whirlpool_dynamic, whirlpool_oracle, whirlpool_ticks
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
from spread_scanner.solana.concentrated import (
    STEPS_MAX,
    TICK_MAX,
    TICK_MIN,
    FeeRules,
    RangeEnd,
    Start,
    TickRange,
    Walk,
    walk,
)
from spread_scanner.solana.orca_whirlpool import (
    POOL_BYTES,
    PRICES,
    Whirlpool,
    WhirlpoolPool,
    WhirlpoolTicks,
    array_key,
    oracle_key,
)
from spread_scanner.solana.tokens import USDC, WSOL

CZFQ = "orca_whirlpool/Czfq_SOL_USDC_2026-08-07.json"
RUN = "orca_whirlpool/program_run_synthetic_ticks.json"
NOW_TS, SLOT = 1_790_000_000, 453_868_631


@needs_data
def test_prices_of_ticks_are_the_programs_own() -> None:
    vectors = read("orca_whirlpool/tick_sqrt_price_vectors.json")["cases"]
    assert len(vectors) > 15
    for tick, up, down in vectors:
        assert (PRICES.at(tick), PRICES.at(-tick)) == (int(up), int(down))


def test_prices_at_the_ends() -> None:
    assert PRICES.at(TICK_MIN) == 4_295_048_016
    assert PRICES.at(TICK_MAX) == 79_226_673_515_401_279_992_447_579_055


@settings(max_examples=40)
@given(tick=st.integers(TICK_MIN, TICK_MAX - 1), beyond=st.integers(0, 2**64))
def test_a_price_is_at_the_highest_tick_no_dearer(tick: int, beyond: int) -> None:
    found = min(PRICES.at(tick) + beyond, PRICES.at(TICK_MAX))
    at = PRICES.tick_of(found)
    assert PRICES.at(at) <= found
    assert at == TICK_MAX or found < PRICES.at(at + 1)
    assert PRICES.tick_of(PRICES.at(tick)) == tick


@needs_data
@pytest.mark.parametrize("name", ["Czfq_SOL_USDC_2026-08-07", "SOL_USDT_2026-08-07"])
def test_recorded_pools(name: str) -> None:
    rows = read(f"orca_whirlpool/{name}.json")
    accounts = account(rows["pool"], POOL_BYTES)
    pool, known = rows["pool"]["pubkey"], rows["known"]
    state = decode(*accounts[pool])
    assert isinstance(state, Whirlpool)
    assert (state.tick_spacing, state.fee_rate, state.protocol_fee_rate) == (
        known["tick_spacing"],
        known["fee_rate"],
        known["protocol_fee_rate"],
    )
    assert (state.liquidity, state.sqrt_price) == (
        int(known["liquidity"]),
        int(known["sqrt_price"]),
    )
    assert state.tick == known["tick_current_index"] == PRICES.tick_of(state.sqrt_price)
    assert state.mints == (known["token_mint_a"], known["token_mint_b"])
    assert state.vaults == (known["token_vault_a"], known["token_vault_b"])
    assert price(pool, accounts) == pytest.approx(known["price_b_per_a_ui"], rel=1e-12)
    seeds = [b"whirlpool", *(keys.raw(k) for k in (state.config, *state.mints))]
    tier = state.fee_tier_index.to_bytes(2, "little")
    assert keys.pda([*seeds, tier], keys.ORCA_WHIRLPOOL) == pool


@needs_data
def test_recorded_prices_and_arrays() -> None:
    data = (SOLANA / "orca_whirlpool/83v8iPyZ_SOL_USDC_whirlpool.bin").read_bytes()
    pool = "83v8iPyZihDEjDdY8RdZddyZNyUtXngz69Lgo9Kt5d6d"
    found = price(pool, {pool: (keys.ORCA_WHIRLPOOL, data)})
    assert found == pytest.approx(63.006792786538313, rel=1e-12)

    of_one = read("orca_whirlpool/EgxU92_set/whirlpool.json")
    accounts = account(of_one)
    for name in ("fixed_tick_array_lower", "fixed_tick_array_upper", "token_a", "token_b"):
        accounts |= account(read(f"orca_whirlpool/EgxU92_set/{name}.json"))
    state = decode(*accounts[of_one["pubkey"]])
    assert isinstance(state, Whirlpool)
    assert (state.tick_spacing, state.fee_rate, state.tick) == (64, 2_000, -115_109)
    assert (state.liquidity, state.sqrt_price) == (462_271_585_695_307, 58_410_682_143_245_572)
    for start in (-444_928, 439_296):
        array = decode(*accounts[array_key(of_one["pubkey"], start)])
        assert isinstance(array, WhirlpoolTicks)
        assert array.start == start
        assert list(array.liquidity_net.values()) == [5_118_139 if start < 0 else -5_118_139]
        assert array.whirlpool == of_one["pubkey"]
    assert assemble(of_one["pubkey"], accounts).decimals == (9, 6)

    splash = read("orca_whirlpool/carbon_whirlpool_account.json")
    state = decode(splash["owner"], base64.b64decode(splash["data"]))
    assert isinstance(state, Whirlpool)
    assert state.tick_spacing == 32_896
    for name, kind in (("tick_array_account", 9_988), ("dynamic_tick_array_account0", None)):
        row = read(f"orca_whirlpool/carbon_{name}.json")
        data = base64.b64decode(row["data"])
        assert kind in (None, len(data))
        array = decode(row["owner"], data)
        assert isinstance(array, WhirlpoolTicks)


def recorded_run() -> tuple[str, dict[str, tuple[str, bytes]]]:
    rows, run = read(CZFQ), read(RUN)
    pool = rows["pool"]["pubkey"]
    accounts = account(rows["pool"], POOL_BYTES)
    for start, ticks in run["state"]["ticks"].items():
        nets = {int(tick): int(row["liquidity_net"]) for tick, row in ticks.items()}
        accounts[array_key(pool, int(start))] = whirlpool_ticks(pool, int(start), 4, nets)
        assert run["state"]["tick_array_pdas"][start] == array_key(pool, int(start))
    return pool, accounts


@needs_data
@pytest.mark.parametrize("case", fills(RUN))
def test_answers_as_the_binary(case: dict[str, Any]) -> None:
    pool, accounts = recorded_run()
    mint_in = WSOL if case["a_to_b"] else USDC
    exact: Any = "in" if case["amount_specified_is_input"] else "out"
    asked = (pool, accounts, mint_in, case["amount"])
    if case["result"] is None:
        with pytest.raises(PoolRefusal) as refused:
            quote(*asked, exact=exact, unix_ts=NOW_TS, slot=SLOT)
        assert refused.value.reason is PoolReason.MISSING
        return
    found = quote(*asked, exact=exact, unix_ts=NOW_TS, slot=SLOT)
    result = case["result"]
    signed = (-found.amount_in, found.amount_out)
    deltas = (result["user_delta_a"], result["user_delta_b"])
    assert (signed if case["a_to_b"] else signed[::-1]) == deltas
    pooled = assemble(pool, accounts)
    assert isinstance(pooled, WhirlpoolPool)
    state = pooled.state
    path = walk(
        Start(state.sqrt_price, state.tick, state.liquidity),
        pooled.ticks,
        case["amount"],
        down=case["a_to_b"],
        by_input=exact == "in",
        rules=FeeRules(state.fee_rate),
    )
    assert str(path.sqrt_price) == result["post_sqrt_price"]
    assert str(path.liquidity) == result["post_liquidity"]
    assert _tick(path) == result["post_tick"]
    kept = sum(fee * state.protocol_fee_rate // 10_000 for fee, _ in path.fees)
    owed = list(state.protocol_fees)
    owed[not case["a_to_b"]] += kept
    assert owed == [result["protocol_fee_owed_a"], result["protocol_fee_owed_b"]]


def _tick(path: Walk) -> int:
    return PRICES.tick_of(path.sqrt_price) if path.tick is None else path.tick


@needs_data
@pytest.mark.parametrize(
    "name", ["swap_test_cases", pytest.param("swap_test_cases_splash_pool", id="splash")]
)
def test_vectors_of_the_sdk(name: str) -> None:
    for case in read(f"orca_whirlpool/{name}.json"):
        expected = case["expectation"]
        start, ticks, limit = _of_vector(case)
        asked = {"down": case["aToB"], "by_input": case["amountIsInput"]}
        amount = int(case["tradeAmount"])
        if expected["exception"] == "ZeroTradableAmount":
            assert amount == 0  # refused before any maths
        elif expected["exception"]:
            with pytest.raises(PoolRefusal):
                walk(start, ticks, amount, rules=FeeRules(case["feeRate"]), limit=limit, **asked)
        else:
            path = walk(start, ticks, amount, rules=FeeRules(case["feeRate"]), limit=limit, **asked)
            _same_as_vector(case, path)


def _of_vector(case: dict[str, Any]) -> tuple[Start, TickRange, int]:
    """Three arrays without a tick; the limit is the last tick of them in the swap's direction."""
    width, tick = 88 * case["tickSpacing"], case["currTickIndex"]
    own = tick // width
    down = case["aToB"]
    if not down and (tick + case["tickSpacing"]) // width != own:
        own += 1  # going up the search begins beyond the last tick of an array
    last = (own - 2) * width if down else (own + 3) * width - 1
    last = min(max(last, TICK_MIN), TICK_MAX)
    limit = PRICES.at(last)
    end = RangeEnd(last, limit, None)
    start = Start(PRICES.at(tick), tick, int(case["liquidity"]))
    return start, TickRange((), (), end, end), limit


def _same_as_vector(case: dict[str, Any], path: Walk) -> None:
    expected = case["expectation"]
    amounts = path.amount_in, path.amount_out
    a, b = amounts if case["aToB"] else amounts[::-1]
    kept = [(fee * case["protocolFeeRate"] // 10_000, fee, at) for fee, at in path.fees]
    growth = sum(((fee - part) << 64) // at if at else 0 for part, fee, at in kept)
    found = {
        "exception": "",
        "amountA": str(a),
        "amountB": str(b),
        "nextLiquidity": str(path.liquidity),
        "nextTickIndex": _tick(path),
        "nextSqrtPrice": str(path.sqrt_price),
        "nextFeeGrowthGlobal": str(growth),
        "nextProtocolFee": str(sum(part for part, _, _ in kept)),
    }
    assert found == expected, case


POOL, A, B = key("whirlpool"), key("a"), key("b")
SPACING = 8
WIDTH = 88 * SPACING


def accounts_of(nets: dict[int, int], tick: int, liquidity: int, **more: Any) -> dict[str, Any]:
    """A pool within five arrays, empty or of either kind."""
    accounts: dict[str, Any] = dict.fromkeys(
        (array_key(POOL, number * WIDTH) for number in range(-2, 3)), (keys.SYSTEM, b"")
    )
    for number in range(-2, 3):
        start = number * WIDTH
        own = {at: net for at, net in nets.items() if start <= at < start + WIDTH}
        build = whirlpool_dynamic if number % 2 else whirlpool_ticks
        if own:
            accounts[array_key(POOL, start)] = build(POOL, start, SPACING, own)
    accounts[POOL] = whirlpool(
        spacing=SPACING,
        fee_rate=more.pop("fee_rate", 3_000),
        liquidity=liquidity,
        sqrt_price=PRICES.at(tick) + more.pop("above", 0),
        tick=tick,
        mints=(WSOL, USDC),
        **more,
    )
    return accounts


@st.composite
def pools(draw: st.DrawFn) -> tuple[dict[int, int], int, int]:
    """Positions as people open them, so that the liquidity is never less than nothing."""
    edges = st.integers(-2 * 88, 3 * 88 - 1).map(lambda place: place * SPACING)
    pairs = draw(st.lists(st.tuples(edges, edges, st.integers(1, 10**15)), max_size=8))
    tick = draw(st.integers(-WIDTH, 2 * WIDTH - 1))
    base = draw(st.integers(1, 10**15))
    nets: dict[int, int] = {}
    liquidity = base
    for one, other, size in pairs:
        low, high = sorted((one, other))
        if low == high:
            continue
        nets[low] = nets.get(low, 0) + size
        nets[high] = nets.get(high, 0) - size
        liquidity += size if low <= tick < high else 0
    return nets, tick, liquidity


AMOUNTS = st.integers(1, 10**15)


@settings(max_examples=25)
@given(pool=pools(), amount=AMOUNTS, down=st.booleans(), by_input=st.booleans())
def test_is_the_exact_walk(
    pool: tuple[dict[int, int], int, int], amount: int, down: bool, by_input: bool
) -> None:
    nets, tick, liquidity = pool
    accounts = accounts_of(nets, tick, liquidity)
    edge = -2 * WIDTH if down else 3 * WIDTH
    met = sorted((at for at in nets if (at <= tick if down else at > tick)), reverse=down)
    expected = exact_walk(
        PRICES.at(tick),
        [(PRICES.at(at), nets[at]) for at in met] + [(PRICES.at(edge), 0)],
        liquidity,
        amount,
        Fraction(3_000, 10**6),
        down=down,
        by_input=by_input,
    )
    now = Now(unix_ts=NOW_TS, slot=SLOT)
    asked = (accounts, POOL, expected, amount)
    found = is_walked(*asked, down=down, by_input=by_input, when=now, small=True)
    if by_input and found and found.amount_out:
        mint_in = WSOL if down else USDC
        back = quote(POOL, accounts, mint_in, found.amount_out, exact="out", **now)
        assert back.amount_in <= found.amount_in + 1 + found.crossed
        assert back.amount_out == found.amount_out


@settings(max_examples=25)
@given(pool=pools(), amounts=st.tuples(AMOUNTS, AMOUNTS), down=st.booleans())
def test_more_in_is_never_less_out(
    pool: tuple[dict[int, int], int, int], amounts: tuple[int, int], down: bool
) -> None:
    gives_no_less_for_more(assemble(POOL, accounts_of(*pool)), amounts, down, NOW_TS)


def test_numbers_of_our_own() -> None:
    accounts = accounts_of({-80: 10**12, 80: -(10**12)}, 0, 10**12)
    asked = (POOL, accounts, WSOL)
    found = quote(*asked, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert found == PoolQuote(10**6, 996_999, 3_000, True, 0, 0, 0)
    out = quote(*asked, 996_999, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert out == PoolQuote(1_000_000, 996_999, 3_000, True, 0, 0, 0)
    assert price(POOL, accounts) == 1_000.0  # 9 and 6 decimals
    nothing = quote(*asked, 1, unix_ts=NOW_TS, slot=SLOT)  # the binary takes it all the same
    assert nothing == PoolQuote(1, 0, 1, True, 0, 0, 0)


ADAPTIVE = {"tier": 1_024, "fee_rate": 1_000}


def adaptive(tick: int = 0, **oracle: Any) -> dict[str, Any]:
    accounts = accounts_of({-800: 10**12, 800: -(10**12)}, tick, 10**12, **ADAPTIVE)
    fields = {"group_size": SPACING, "control": 50_000, "reference_ts": NOW_TS - 10}
    accounts[oracle_key(POOL)] = whirlpool_oracle(POOL, **fields | oracle)
    return accounts


def test_an_adaptive_fee_grows_with_the_way_and_decays() -> None:
    """Four groups below the reference: (4 * 10,000 * 8)^2 * control over 10^13."""
    adds = -(-50_000 * (4 * 10_000 * SPACING) ** 2 // 10**13)
    accounts = adaptive(group_reference=3)
    found = quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert found.fee == -(-(10**6) * (1_000 + adds) // 10**6)
    calm = quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS + 1_000, slot=SLOT)
    assert 1_000 < calm.fee < found.fee
    kept = adaptive(accumulator=200_000, reduction=5_000)
    later = quote(POOL, kept, WSOL, 10**6, unix_ts=NOW_TS + 100, slot=SLOT)
    assert later.fee > calm.fee
    old = adaptive(accumulator=200_000, reduction=5_000, major_swap_ts=NOW_TS + 3_600)
    aged = quote(POOL, old, WSOL, 10**6, unix_ts=NOW_TS + 3_601, slot=SLOT)
    assert aged.fee == calm.fee
    most = adaptive(control=99_999, group_reference=100)
    assert quote(POOL, most, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT).fee <= 100_000
    nothing = adaptive(control=0, group_reference=100)
    assert quote(POOL, nothing, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT).fee == 1_000


@pytest.mark.parametrize("down", [False, True])
def test_a_fee_that_changes_more_often_than_a_swap_may_compute_ends_in_a_refusal(
    down: bool,
) -> None:
    """With each tick, over all that there are: seconds for one quote, and no swap on the chain."""
    wide = 32_768
    accounts = {
        POOL: whirlpool(
            spacing=wide,
            liquidity=10**9,
            sqrt_price=2**64,
            tick=0,
            mints=(WSOL, USDC),
            **ADAPTIVE,
        ),
        array_key(POOL, -88 * wide): whirlpool_ticks(POOL, -88 * wide, wide, {-13 * wide: 10**9}),
        array_key(POOL, 0): whirlpool_ticks(POOL, 0, wide, {13 * wide: -(10**9)}),
        oracle_key(POOL): whirlpool_oracle(
            POOL, group_size=1, control=100, accumulator_max=2**32 - 1
        ),
    }
    pooled = assemble(POOL, accounts)
    assert pooled.swap(down, 4 * 10**8, True, NOW_TS).amount_out > 10**8
    with pytest.raises(PoolRefusal) as refused:
        pooled.swap(down, 10**12, True, NOW_TS)
    assert refused.value.reason is PoolReason.TOO_MUCH
    assert refused.value.evidence["steps"] == STEPS_MAX


@settings(max_examples=25)
@given(
    amount=st.integers(1, 10**11),
    reference=st.integers(-60, 60),
    down=st.booleans(),
    most=st.sampled_from([0, 15_000, 350_000]),
    tick=st.integers(-799, 799),
)
def test_an_adaptive_fee_lies_between_its_bounds(
    amount: int, reference: int, down: bool, most: int, tick: int
) -> None:
    accounts = adaptive(tick, group_reference=reference, accumulator_max=most)
    pooled = assemble(POOL, accounts)
    try:
        found = pooled.swap(down, amount, True, NOW_TS)
    except PoolRefusal:
        return
    rate_max = 1_000 + -(-50_000 * (most * SPACING) ** 2 // 10**13)
    plain = accounts_of({-800: 10**12, 800: -(10**12)}, tick, 10**12, fee_rate=1_000)
    least = assemble(POOL, plain).swap(down, amount, True, NOW_TS)
    steps = 2 + 1_600 // SPACING
    assert least.fee - 1 <= found.fee <= amount * rate_max // 10**6 + steps
    assert found.amount_out <= least.amount_out + 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({oracle_key(POOL): None}, PoolReason.MISSING),
        ({oracle_key(POOL): (keys.METEORA_DLMM, b"")}, PoolReason.WRONG_OWNER),
        (
            {oracle_key(POOL): whirlpool_oracle(key("another"), group_size=8, control=1)},
            PoolReason.WRONG_KIND,
        ),
        ({oracle_key(POOL): whirlpool_oracle(POOL, group_size=0, control=1)}, PoolReason.BAD_VALUE),
        (
            {
                oracle_key(POOL): whirlpool_oracle(
                    POOL, group_size=8, control=1, opens_ts=NOW_TS + 1
                )
            },
            PoolReason.CLOSED,
        ),
        (
            {
                oracle_key(POOL): whirlpool_oracle(
                    POOL, group_size=8, control=1, reference_ts=NOW_TS + 1
                )
            },
            PoolReason.BAD_AMOUNT,
        ),
        ({array_key(POOL, 0): None}, PoolReason.MISSING),
        ({array_key(POOL, 0): whirlpool_ticks(POOL, WIDTH, 8, {})}, PoolReason.BAD_VALUE),
        ({array_key(POOL, 0): whirlpool_ticks(key("another"), 0, 8, {})}, PoolReason.BAD_VALUE),
        (
            {array_key(POOL, 0): (keys.ORCA_WHIRLPOOL, whirlpool_ticks(POOL, 0, 8, {})[1][1:])},
            PoolReason.WRONG_KIND,
        ),
        (
            {array_key(POOL, 0): (keys.ORCA_WHIRLPOOL, whirlpool_ticks(POOL, 0, 8, {})[1][:-1])},
            PoolReason.WRONG_LENGTH,
        ),
        (
            {
                array_key(POOL, 0): (
                    keys.ORCA_WHIRLPOOL,
                    whirlpool_dynamic(POOL, 0, 8, {8: 1})[1][:-1],
                )
            },
            PoolReason.BAD_VALUE,
        ),
        (
            {array_key(POOL, 0): (keys.ORCA_WHIRLPOOL, whirlpool_dynamic(POOL, 0, 8, {})[1][:147])},
            PoolReason.WRONG_LENGTH,
        ),
        ({array_key(POOL, 0): adaptive()[POOL]}, PoolReason.WRONG_KIND),
        ({POOL: adaptive(group_reference=1)[array_key(POOL, 0)]}, PoolReason.WRONG_KIND),
        ({POOL: (keys.ORCA_WHIRLPOOL, b"\0" * 653)}, PoolReason.WRONG_KIND),
    ],
)
def test_is_refused_with_the_reason(change: dict[str, Any], reason: PoolReason) -> None:
    accounts = {k: v for k, v in (adaptive() | change).items() if v is not None}
    accounts.setdefault(array_key(POOL, -WIDTH), (keys.SYSTEM, b""))
    if POOL in change and change[POOL][1][:8] != b"\0" * 8:
        accounts[POOL] = whirlpool_ticks(POOL, 0, 8, {})
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.reason is reason


@pytest.mark.parametrize("off", [-2, 1, 2**31 - 1])
def test_a_price_that_is_not_at_its_tick_is_refused(off: int) -> None:
    """More would come out than is there, or less than nothing go in."""
    accounts = adaptive()
    owner, data = accounts[POOL]
    state = decode(owner, data)
    assert isinstance(state, Whirlpool)
    tick = min(state.tick + off, 2**31 - 1).to_bytes(4, "little", signed=True)
    with pytest.raises(PoolRefusal) as refused:
        decode(owner, data[:81] + tick + data[85:])
    assert refused.value.reason is PoolReason.BAD_VALUE
