"""Meteora DLMM: recorded accounts, the binary's own answers, and exact fractions as a second
opinion.
"""

import base64
import itertools
import random
from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_accounts import balance, dlmm_bins, dlmm_extension, key, lb_pair
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
from spread_scanner.solana.meteora_dlmm import (
    ARRAY_BYTES,
    DlmmBins,
    DlmmPool,
    LbPair,
    _BinFees,
    array_key,
    extension_key,
    price_at,
)
from spread_scanner.solana.tokens import USDC, WSOL

PAIRS = {
    "9t3EyC": "9t3EyC9FweyL7PBWvKz3mrXg8B9fwFc9SK3QxM4ENqhd",
    "EtAdVR": "EtAdVRLFH22rjWh3mcUasKFF27WtHhsaCvK27tPFFWig",
}
NOW_TS, SLOT = 1_790_000_000, 453_868_631


@needs_data
def test_prices_of_bins_are_the_programs_own() -> None:
    vectors = read("meteora_dlmm/price_from_id_vectors.json")
    assert len(vectors["cases"]) >= 10
    for bin_id, bin_step, expected in vectors["cases"]:
        assert price_at(bin_id, bin_step) == int(expected)
    said = vectors["ui_price"]
    found = price_at(said["bin_id"], said["bin_step"]) / 2**64 * 10 ** (8 - 6)
    assert found == pytest.approx(float(said["price"]), rel=1e-12)


def test_prices_of_bins_rise_by_the_step() -> None:
    for bin_id in (-5_000, -1, 0, 1, 5_000):
        steps = Fraction(price_at(bin_id + 1, 25), price_at(bin_id, 25))
        assert float(steps) == pytest.approx(1.0025, rel=1e-12)
    with pytest.raises(PoolRefusal):
        price_at(2**19, 1)


def recorded(name: str) -> tuple[str, dict[str, Any]]:
    pair = PAIRS[name]
    folder, info = (
        SOLANA / "meteora_dlmm" / pair,
        read(f"meteora_dlmm/program_run_{name}.json")["info"],
    )
    data = {path.stem: path.read_bytes() for path in folder.glob("*.bin")}
    accounts: dict[str, Any] = {pair: (keys.METEORA_DLMM, data["lb_pair"])}
    for number, array in enumerate(info["bin_array_pdas"], 1):
        accounts[array] = (keys.METEORA_DLMM, data[f"bin_array_{number}"])
    for side in "xy":
        accounts[info[f"reserve_{side}"]] = (keys.TOKEN, data[f"reserve_{side}"])
        if f"token_{side}_mint" in data:
            accounts[info[f"token_{side}"]] = (keys.TOKEN, data[f"token_{side}_mint"])
    return pair, accounts


@needs_data
def test_recorded_pairs() -> None:
    for name in PAIRS:
        pair, accounts = recorded(name)
        info = read(f"meteora_dlmm/program_run_{name}.json")["info"]
        state = decode(*accounts[pair])
        assert isinstance(state, LbPair)
        assert (state.active_id, state.bin_step, state.pair_type) == tuple(
            info[field] for field in ("active_id", "bin_step", "pair_type")
        )
        assert state.mints == (info["token_x"], info["token_y"])
        assert state.reserves == (info["reserve_x"], info["reserve_y"])
        for address in info["bin_array_pdas"]:
            array = decode(*accounts[address])
            assert isinstance(array, DlmmBins)
            assert array_key(pair, array.number) == address
    row = read("meteora_dlmm/carbon_lb_pair_account.json")
    state = decode(row["owner"], base64.b64decode(row["data"]))
    assert isinstance(state, LbPair)
    assert (state.base_factor, state.accumulator, state.bin_step) == (62_500, 150_000, 80)
    folder = "meteora_dlmm/FJbEo74c"
    for path in sorted((SOLANA / folder).glob("*.json")):
        for address, (owner, data) in account(read(f"{folder}/{path.name}")).items():
            found = decode(owner, data)
            if isinstance(found, DlmmBins):
                assert array_key(found.pair, found.number) == address


@needs_data
@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, *row.values, id=f"{name}-{row.id}", marks=row.marks)
        for name in PAIRS
        for row in fills(f"meteora_dlmm/program_run_{name}.json")
    ],
)
def test_answers_as_the_binary(name: str, case: dict[str, Any]) -> None:
    pair, accounts = recorded(name)
    mint_in = assemble(pair, accounts).mints[not case["swap_for_y"]]
    exact: Any = "out" if case["exact_out"] else "in"
    if "Custom(3005)" in (case["error"] or "") and case["swap_for_y"]:
        # It takes arrays in the order in which they are given, and had none after the active one.
        del accounts[array_key(pair, -1)]
    asked = (pair, accounts, mint_in, case["amount"])
    when = {"unix_ts": case["unix_timestamp"], "slot": case["slot"]}
    if case["result"] is None:
        with pytest.raises(PoolRefusal) as refused:
            quote(*asked, exact=exact, **when)
        missing = "Custom(3005)" in case["error"]
        assert refused.value.reason is (PoolReason.MISSING if missing else PoolReason.TOO_MUCH)
        return
    found = quote(*asked, exact=exact, **when)
    assert [found.amount_in, found.amount_out] == [
        case["result"]["user_paid"],
        case["result"]["user_received"],
    ]


POOL, VAULTS = key("pair"), (key("vault x"), key("vault y"))
STEP = 20


def accounts_of(
    bins: dict[int, tuple[int, int]],
    active_id: int = 0,
    orders: dict[int, tuple[int, int, bool]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    orders = orders or {}
    numbers = {bin_id // 70 for bin_id in (*bins, *orders)}
    accounts = {
        array_key(POOL, number): dlmm_bins(
            *(POOL, number),
            {at: held for at, held in bins.items() if at // 70 == number},
            {at: held for at, held in orders.items() if at // 70 == number},
        )
        for number in numbers
    }
    accounts[extension_key(POOL)] = dlmm_extension(POOL, numbers)
    accounts[VAULTS[0]], accounts[VAULTS[1]] = balance(WSOL, 10**15), balance(USDC, 10**15)
    fields: Any = {"active_id": active_id, "bin_step": STEP, "arrays": numbers}
    accounts[POOL] = lb_pair(mints=(WSOL, USDC), vaults=VAULTS, **fields | more)
    return accounts


def exact_bins(
    bins: dict[int, tuple[int, int]], amount: int, rate: Fraction, down: bool, by_input: bool
) -> tuple[int, int, int] | None:
    """What goes in and out and is kept, by fractions; None if not all of it is filled."""
    paid = received = fees = 0
    for bin_id in sorted(bins, reverse=down):
        held = bins[bin_id][down]
        if (bin_id > 0 if down else bin_id < 0) or not held or not amount:
            continue
        unit = Fraction(price_at(bin_id, STEP), 2**64)
        unit = unit if down else 1 / unit  # of what comes out, for one in
        most = ceil(held / unit)
        most_fee = ceil(most * rate / (1 - rate))
        if by_input and amount > most + most_fee:
            went_in, out, fee = most, held, most_fee
        elif by_input:
            fee = ceil(amount * rate)
            went_in = amount - fee
            out = min(floor(went_in * unit), held)
        else:
            out = min(amount, held)
            went_in = ceil(out / unit)
            fee = ceil(went_in * rate / (1 - rate))
        paid, received, fees = paid + went_in + fee, received + out, fees + fee
        amount -= went_in + fee if by_input else out
    return None if amount else (paid, received, fees)


@settings(max_examples=30)
@given(
    bins=st.dictionaries(
        st.integers(-200, 200),
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)),
        max_size=9,
    ),
    amount=st.integers(1, 10**13),
    down=st.booleans(),
    by_input=st.booleans(),
)
def test_is_the_exact_walk(
    bins: dict[int, tuple[int, int]], amount: int, down: bool, by_input: bool
) -> None:
    expected = exact_bins(bins, amount, Fraction(10_000 * STEP * 10, 10**9), down, by_input)
    accounts = accounts_of(bins)
    exact: Any = "in" if by_input else "out"
    asked: Any = (POOL, accounts, WSOL if down else USDC, amount)
    if expected is None or not expected[1]:
        with pytest.raises(PoolRefusal):
            quote(*asked, exact=exact, unix_ts=NOW_TS, slot=SLOT)
        return
    found = quote(*asked, exact=exact, unix_ts=NOW_TS, slot=SLOT)
    assert (found.amount_in, found.amount_out, found.fee) == expected
    held = [sum(amounts[side] for amounts in bins.values()) for side in (0, 1)]
    assert found.amount_out <= held[down]
    if by_input:
        back = quote(*(*asked[:3], found.amount_out), exact="out", unix_ts=NOW_TS, slot=SLOT)
        assert back.amount_in <= found.amount_in + 1 + found.crossed
        more = exact_bins(bins, amount + 1, Fraction(10_000 * STEP * 10, 10**9), down, True)
        assert more is None or more[1] >= found.amount_out


EVEN = {
    number: (10**9 if number >= 0 else 0, 10**9 if number <= 0 else 0) for number in range(-9, 10)
}


def test_numbers_of_our_own() -> None:
    accounts = accounts_of(EVEN)
    assert price(POOL, accounts) == 1_000.0  # 9 and 6 decimals
    asked = (POOL, accounts, WSOL)
    found = quote(*asked, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert found == PoolQuote(10**6, 998_000, 2_000, True, 0, 0, 0)
    through = quote(*asked, 2 * 10**9, unix_ts=NOW_TS, slot=SLOT)
    assert through == PoolQuote(2 * 10**9, 1_994_011_975, 4_000_001, True, 0, 0, 1)


def test_the_fee_is_taken_of_y_where_the_pair_says_so() -> None:
    accounts = accounts_of(EVEN, collect_fee_mode=1)
    down = quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert down == PoolQuote(10**6, 998_000, 2_000, False, 0, 0, 0)
    out = quote(POOL, accounts, WSOL, 998_000, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert out == PoolQuote(10**6, 998_000, 2_000, False, 0, 0, 0)
    up = quote(POOL, accounts, USDC, 10**6, unix_ts=NOW_TS, slot=SLOT)
    assert up.fee_on_input


def test_the_fee_follows_the_clock() -> None:
    """Volatility of 100,000 halves within the decay and is forgotten after it."""
    fields = {
        "control": 50_000,
        "accumulator": 100_000,
        "reference": 100_000,
        "last_update_ts": NOW_TS,
    }
    before: Any = fields
    accounts = accounts_of(EVEN, **before)
    fees = [
        quote(POOL, accounts, WSOL, 10**6, unix_ts=NOW_TS + by, slot=SLOT).fee
        for by in (0, 29, 30, 599, 600)
    ]
    variable = [
        -(-50_000 * (volatility * STEP) ** 2 // 10**11) for volatility in (100_000, 50_000, 0)
    ]
    rates = [2_000_000 + rate for rate in variable]
    expected = [-(-(10**6) * rate // 10**9) for rate in rates]
    assert fees == [expected[0]] * 2 + [expected[1]] * 2 + [expected[2]]


def test_orders_fill_after_the_makers_and_only_from_the_vault() -> None:
    """At the bin 0, Y for X: 10^9 of the makers, then what is left of orders in process, then open
    ones.
    """
    orders = {0: (3_000, 2_000, False), 1: (10**9, 0, True)}
    accounts = accounts_of({0: (0, 10_000)}, orders=orders, function_type=2)
    asked = (POOL, accounts, WSOL)
    for out in (9_999, 10_000, 11_000, 12_500, 15_000):
        found = quote(*asked, out, exact="out", unix_ts=NOW_TS, slot=SLOT)
        assert found.amount_in == out + -(-out * 2 // 998)
    with pytest.raises(PoolRefusal) as refused:
        quote(*asked, 15_001, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.reason is PoolReason.TOO_MUCH
    plain = accounts_of({0: (0, 10_000)}, orders=orders, function_type=1)
    with pytest.raises(PoolRefusal):
        quote(POOL, plain, WSOL, 12_000, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert quote(POOL, accounts, USDC, 10**6, unix_ts=NOW_TS, slot=SLOT).amount_out > 0
    del accounts[VAULTS[1]]
    assert quote(*asked, 10_000, exact="out", unix_ts=NOW_TS, slot=SLOT)
    with pytest.raises(PoolRefusal) as refused:
        quote(*asked, 12_000, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.evidence["key"] == VAULTS[1]
    accounts[VAULTS[1]] = balance(USDC, 10_500)
    sides: tuple[Any, Any] = ("in", "out")
    for exact in sides:
        with pytest.raises(PoolRefusal) as refused:
            quote(*asked, 12_000, exact=exact, unix_ts=NOW_TS, slot=SLOT)
        assert refused.value.reason is PoolReason.TOO_MUCH


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("by_input", [False, True])
@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("first", [10_000, 10**9])
def test_one_bin_and_going_through_bins_agree(
    first: int, mode: int, by_input: bool, down: bool
) -> None:
    """To the last unit, where the first bin is nearly used up, too, has orders behind, or where the
    vault holds less than it says."""
    bins = {-7: (0, 10**9), -3: (0, first), 2: (first, 0), 5: (10**9, 0)}
    orders = {-3: (3_000, 2_000, False), 2: (3_000, 2_000, True)}
    accounts = accounts_of(bins, orders=orders, function_type=2, collect_fee_mode=mode)
    held = first == 10_000
    in_vault = 9_990 if held else 10**12
    mints = zip(VAULTS, (WSOL, USDC), strict=True)
    accounts |= {vault: balance(mint, in_vault) for vault, mint in mints}
    pooled = assemble(POOL, accounts)
    assert isinstance(pooled, DlmmPool)
    rng = random.Random(f"{first} {mode} {by_input} {down}")
    fees, on_input = _BinFees(pooled.pair, NOW_TS), not (down and mode)
    used = first
    if by_input and not held:
        used = pooled._through(down, first, False, fees, on_input).amount_in
    around = range(used - 20, used + 20) if not held else range(9_700, 10_500, 3)
    refused = crossed = 0
    for amount in (
        1,
        2,
        499,
        first + first // 5,
        *around,
        *(int(10 ** rng.uniform(0, 9.2)) for _ in range(99)),
    ):
        try:
            through = pooled._through(down, amount, by_input, fees, on_input)
        except PoolRefusal as refusal:
            refused += 1
            with pytest.raises(PoolRefusal, match=refusal.reason.value):
                pooled.swap(down, amount, by_input, NOW_TS)
            continue
        crossed += through.crossed > 0
        assert pooled.swap(down, amount, by_input, NOW_TS) == through
    assert refused if held else crossed


def stored(account: tuple[str, bytes], place: int, price: int) -> tuple[str, bytes]:
    """An array in which one bin's price stands, by its place."""
    owner, data = account
    at = 56 + 144 * place + 16
    return owner, data[:at] + price.to_bytes(16, "little") + data[at + 16 :]


def with_prices(accounts: dict[str, Any], step: int, rng: random.Random) -> None:
    """Some bins have their price stored; in some pairs one has that of another."""
    arrays = [name for name, (_, data) in accounts.items() if len(data) == ARRAY_BYTES]
    odd = rng.randrange(60 * len(arrays))
    for name in arrays:
        number = int.from_bytes(accounts[name][1][8:16], "little", signed=True)
        for place in rng.sample(range(70), 20):
            bin_id, odd = number * 70 + place, odd - 1
            price = price_at(bin_id + (not odd), step)
            accounts[name] = stored(accounts[name], place, price)


def said(swap: Callable[..., object], *asked: object) -> object:
    try:
        return swap(*asked)
    except PoolRefusal as refusal:
        return refusal.reason


@pytest.mark.parametrize("seed", range(40))
def test_in_any_pair_the_way_and_going_through_bins_agree(seed: int) -> None:
    """To the last unit, and in what is refused: few units and as many as there can be, at any
    price, over several arrays, with fees that grow on the way."""
    print(f"seed {seed}")
    rng = random.Random(f"any pair {seed}")
    size = rng.choice((3, 6, 9, 19.2))
    step, middle = rng.choice(((STEP, 0), (STEP, 0), (STEP, 9_000), (400, 900), (400, -900)))
    active = middle + rng.randrange(-75, 75)

    def amount() -> int:
        return 0 if rng.random() < 0.2 else min(int(10 ** rng.uniform(0, size)), 2**64 - 1)

    places = rng.sample(range(middle - 210, middle + 210), rng.choice((5, 60, 300)))
    bins = {at: (amount() * (at >= active), amount() * (at <= active)) for at in places}
    many = rng.choice((0, 0, 3))
    orders = {at: (amount(), amount(), at > active) for at in rng.sample(places, many)}
    accounts = accounts_of(
        bins,
        active,
        orders,
        **{"function_type": 2 if many else 1, "collect_fee_mode": rng.randrange(2)},
        **{"control": rng.choice((0, 50_000, 2**32 - 1)), "power": rng.choice((0, 2))},
        **{"accumulator_max": rng.choice((150_000, 2**32 - 1)), "bin_step": step},
    )
    with_prices(accounts, step, rng)
    pooled = assemble(POOL, accounts)
    assert isinstance(pooled, DlmmPool)
    fees = _BinFees(pooled.pair, NOW_TS)
    for down, by_input in itertools.product((False, True), repeat=2):
        on_input = not (down and pooled.pair.collect_fee_mode)
        for asked in [amount() or 1 for _ in range(60)]:
            found = said(pooled.swap, down, asked, by_input, NOW_TS)
            through = said(pooled._through, down, asked, by_input, fees, on_input)
            assert found == through, (seed, down, by_input, asked)


@pytest.mark.parametrize("exact", ["in", "out"])
@pytest.mark.parametrize("function_type", [1, 2])  # natively, and with what orders fill
def test_a_stored_price_that_is_not_the_bins_is_refused(exact: Any, function_type: int) -> None:
    """As soon as a swap comes to it; what stands there is the bin's own otherwise."""
    first, second = price_at(-1, STEP), price_at(-2, STEP)
    orders = {} if function_type == 1 else {-1: (5, 5, False)}
    accounts = accounts_of(EVEN, orders=orders, function_type=function_type)
    at = array_key(POOL, -1)
    asked: dict[str, Any] = {"exact": exact, "unix_ts": NOW_TS, "slot": SLOT}
    expected = quote(POOL, accounts, WSOL, 15 * 10**8, **asked)
    accounts[at] = stored(accounts[at], 69, first)
    assert quote(POOL, accounts, WSOL, 15 * 10**8, **asked) == expected
    accounts[at] = stored(accounts[at], 68, first)
    assert quote(POOL, accounts, WSOL, 15 * 10**8, **asked) == expected
    for told in (first, 1, 2**128 - 1, second ^ 1 << 90):
        odd = accounts | {at: stored(accounts[at], 68, told)}
        with pytest.raises(PoolRefusal) as refused:
            quote(POOL, odd, WSOL, 25 * 10**8, **asked)
        assert refused.value.reason is PoolReason.BAD_VALUE


def test_arrays_beyond_the_pairs_bitmap() -> None:
    far = 600 * 70
    accounts = accounts_of({0: (0, 1_000), -far: (0, 10**12), far: (10**12, 0)}, bin_step=1)
    pooled = assemble(POOL, accounts)
    assert isinstance(pooled, DlmmPool)
    assert sorted(pooled.bins) == [-far, 0, far]
    assert pooled.swap(True, 10_000, True, NOW_TS).crossed == 1
    del accounts[extension_key(POOL)]
    assert assemble(POOL, accounts).swap(True, 500, True, NOW_TS)
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, WSOL, 10_000, unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.evidence["key"] == extension_key(POOL)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 1}, PoolReason.CLOSED),
        ({"activation_point": NOW_TS + 1}, PoolReason.CLOSED),
        ({"activation_type": 0, "activation_point": SLOT + 1}, PoolReason.CLOSED),
        ({"bin_step": 0}, PoolReason.BAD_VALUE),
        ({"collect_fee_mode": 2}, PoolReason.BAD_VALUE),
        ({"mints": (WSOL, key("unheard of"))}, PoolReason.MISSING),
        ({"arrays": {0, -1, -2}}, PoolReason.MISSING),
        ({array_key(POOL, -1): None}, PoolReason.MISSING),
        ({array_key(POOL, -1): dlmm_bins(POOL, 0, {})}, PoolReason.BAD_VALUE),
        ({array_key(POOL, -1): dlmm_bins(key("another"), -1, {})}, PoolReason.BAD_VALUE),
        ({array_key(POOL, -1): (keys.ORCA_WHIRLPOOL, b"")}, PoolReason.WRONG_OWNER),
        ({array_key(POOL, -1): (keys.METEORA_DLMM, b"")}, PoolReason.WRONG_KIND),
        ({extension_key(POOL): dlmm_extension(key("another"), ())}, PoolReason.WRONG_KIND),
        ({POOL: dlmm_bins(POOL, 0, {})}, PoolReason.WRONG_KIND),
        ({POOL: (keys.METEORA_DLMM, accounts_of(EVEN)[POOL][1][:-1])}, PoolReason.WRONG_LENGTH),
        ({VAULTS[1]: balance(WSOL, 1)}, PoolReason.WRONG_MINT),
        ({VAULTS[1]: balance(USDC, 1)}, PoolReason.TOO_MUCH),
    ],
)
def test_is_refused_with_the_reason(change: dict[str, Any], reason: PoolReason) -> None:
    fields = {name: value for name, value in change.items() if name.isascii() and name.islower()}
    accounts = accounts_of(EVEN)
    base: Any = {"mints": (WSOL, USDC), "vaults": VAULTS, "active_id": 0, "bin_step": STEP}
    accounts[POOL] = lb_pair(**base | {"arrays": {0, -1}} | fields)
    accounts |= {name: value for name, value in change.items() if name not in fields}
    accounts = {name: value for name, value in accounts.items() if value is not None}
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, WSOL, 10**11, unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.reason is reason
