"""Raydium V4 and CPMM: recorded accounts, the binaries' own answers, and exact fractions as a
second opinion.
"""

import base64
import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_accounts import amm_v4, balance, cpmm, cpmm_config, key, mint
from pool_walks import Now
from solana_data import account, fills, needs_data, read

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
from spread_scanner.solana.raydium_cpmm import CpmmState
from spread_scanner.solana.raydium_v4 import AmmInfo

V4 = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"


NOW = Now(unix_ts=1_790_000_000, slot=453_868_631)
COIN, PC = key("coin"), key("pc")
POOL, VAULTS = key("pool"), (key("vault 0"), key("vault 1"))
U64 = st.integers(1, 2**64 - 1)


def recorded_v4() -> dict[str, tuple[str, bytes]]:
    rows = read("raydium_amm_v4/58oQ_SOL_USDC_2026-08-06.json")
    return {
        k: v
        for name in ("amm_info", "coin_vault", "pc_vault")
        for k, v in account(rows[name]).items()
    }


@needs_data
def test_v4_recorded_pool() -> None:
    accounts = recorded_v4()
    pool = assemble(V4, accounts)
    assert pool.reserves() == (67_661_004_799_950, 4_936_181_262_839)
    assert price(V4, accounts) == pytest.approx(72.9546, abs=1e-4)
    info = decode(*accounts[V4])
    assert isinstance(info, AmmInfo)
    said = read("raydium_amm_v4/58oQ_SOL_USDC_2026-08-06.json")["decoded"]
    assert info.status == said["status"] == 6
    assert info.swap_fee == (25, 10_000)
    old = read("raydium_amm_v4/5y2Q_status1_with_orderbook_2022.json")
    found = decode(*next(iter(account(old["amm_info"]).values())))
    assert isinstance(found, AmmInfo)
    assert found.need_take_pnl == (old["decoded"]["pnl_coin"], old["decoded"]["pnl_pc"])
    assert found.need_take_pnl == (4_566_028_610_387, 3_520_673)
    assert (found.mints, found.vaults) == (
        (old["decoded"]["coin_mint"], old["decoded"]["pc_mint"]),
        (old["decoded"]["coin_vault"], old["decoded"]["pc_vault"]),
    )
    assert (found.market, found.open_orders, found.lp_mint, found.open_time_s) == tuple(
        old["decoded"][name] for name in ("market", "oo", "lp", "open")
    )


@needs_data
@pytest.mark.parametrize("case", fills("raydium_amm_v4/program_run_58oQ.json"))
def test_v4_answers_as_the_binary(case: dict[str, Any]) -> None:
    accounts = recorded_v4()
    mints = assemble(V4, accounts).mints
    mint_in = mints[case["direction"] == "pc2coin"]
    exact: Any = "out" if "out" in case["mode"] else "in"
    if case["result"] is None and exact == "in":
        with pytest.raises(PoolRefusal):
            quote(V4, accounts, mint_in, case["amount"], **NOW)
        return
    found = quote(V4, accounts, mint_in, case["amount"], exact=exact, **NOW)
    paid, received = tuple((case["result"] or {}).values()) or (1, 0)
    if not case.get("old_rounding"):
        assert (found.amount_in, found.amount_out) == (paid, received)
    elif exact == "out":  # that build let some of a unit go
        assert paid <= found.amount_in <= paid + 1
    else:  # and rounded a fee of under one to nothing
        coin, pc = assemble(V4, accounts).reserves()
        assert coin * case["amount"] // (pc + case["amount"]) == received


def v4_accounts(reserves: tuple[int, int], **more: Any) -> dict[str, tuple[str, bytes]]:
    return {
        POOL: amm_v4(vaults=VAULTS, mints=(COIN, PC), **more),
        VAULTS[0]: balance(COIN, reserves[0]),
        VAULTS[1]: balance(PC, reserves[1]),
    }


@needs_data
def test_v4_answers_as_recorded_swaps() -> None:
    for row in read("raydium_amm_v4/ray_logs.json"):
        raw = base64.b64decode(row["ray_log"])
        kind, amount_in, _, direction, _, coin, pc, out = struct.unpack("<B7Q", raw)
        assert kind == 3
        accounts = v4_accounts((coin, pc))
        mint_in = PC if direction == 1 else COIN
        assert (
            quote(POOL, accounts, mint_in, amount_in, **NOW).amount_out == out == row["out_amount"]
        )


def test_v4_numbers_of_our_own() -> None:
    accounts = v4_accounts((5_000_000_123, 700_000_456), pnl=(123, 456))
    assert assemble(POOL, accounts).reserves() == (5_000_000_000, 700_000_000)
    assert price(POOL, accounts) == 140.0
    assert quote(POOL, accounts, COIN, 1_000_000, **NOW) == PoolQuote(
        1_000_000, 139_622, 2_500, True, 0, 0, 0
    )
    assert quote(POOL, accounts, COIN, 139_622, exact="out", **NOW) == PoolQuote(
        999_999, 139_622, 2_500, True, 0, 0, 0
    )
    assert quote(POOL, accounts, PC, 1, exact="out", **NOW).amount_in == 2
    opens = v4_accounts((10**9, 10**9), status=7, open_time_s=NOW["unix_ts"])
    assert quote(POOL, opens, COIN, 1_000, **NOW).amount_out  # at the very second


@settings(max_examples=40)
@given(reserves=st.tuples(U64, U64), amount=U64)
def test_v4_is_the_floor_of_the_exact_product(reserves: tuple[int, int], amount: int) -> None:
    accounts = v4_accounts(reserves)
    net = amount - _ceil(Fraction(amount * 25, 10_000))
    exact = reserves[1] - Fraction(reserves[0] * reserves[1], reserves[0] + net)
    if exact < 1:
        with pytest.raises(PoolRefusal, match="rounded to nothing"):
            quote(POOL, accounts, COIN, amount, **NOW)
        return
    found = quote(POOL, accounts, COIN, amount, **NOW)
    assert found.amount_out == int(exact) < reserves[1]
    _there_and_back(accounts, COIN, found)


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def _there_and_back(accounts: dict[str, tuple[str, bytes]], mint_in: str, found: PoolQuote) -> None:
    """What comes out for an amount costs no more than it, and a unit less would not do."""
    back = quote(POOL, accounts, mint_in, found.amount_out, exact="out", **NOW)
    assert back.amount_in <= found.amount_in
    assert quote(POOL, accounts, mint_in, back.amount_in, **NOW).amount_out >= found.amount_out


@settings(max_examples=40)
@given(reserves=st.tuples(U64, U64), amounts=st.tuples(U64, U64))
def test_v4_more_in_is_never_less_out(reserves: tuple[int, int], amounts: tuple[int, int]) -> None:
    accounts = v4_accounts(reserves)
    outs = [_out(accounts, amount) for amount in sorted(amounts)]
    assert outs[0] <= outs[1] < reserves[1] + 1


def _out(accounts: dict[str, tuple[str, bytes]], amount: int) -> int:
    try:
        return quote(POOL, accounts, COIN, amount, **NOW).amount_out
    except PoolRefusal:
        return 0


CPMM_FILE = "raydium_cpmm/FmNz8_WSOL_CLNS_2026-06-23.json"


def recorded_cpmm() -> tuple[str, dict[str, tuple[str, bytes]]]:
    """The vaults' amounts are those of the run of the binary; they were not recorded."""
    rows = read(CPMM_FILE)
    accounts = account(rows["pool"]) | account(rows["amm_config"])
    state = decode(*accounts[rows["pool"]["pubkey"]])
    assert isinstance(state, CpmmState)
    amounts = (812_345_678_901, 9_876_543_210_123_456)
    for vault, of, amount in zip(state.vaults, state.mints, amounts, strict=True):
        accounts[vault] = balance(of, amount)
    return rows["pool"]["pubkey"], accounts


@needs_data
def test_cpmm_recorded_pool() -> None:
    pool, accounts = recorded_cpmm()
    known = read(CPMM_FILE)["known"]
    state, config = (
        decode(*accounts[pool]),
        decode(*accounts[read(CPMM_FILE)["amm_config"]["pubkey"]]),
    )
    assert isinstance(state, CpmmState)
    assert state.owed == tuple(
        protocol + fund
        for protocol, fund in zip(known["protocol_fees"], known["fund_fees"], strict=True)
    )
    assert state.vaults == (known["token_0_vault"], known["token_1_vault"])
    assert state.decimals == tuple(known["decimals"])
    assert state.creator_fee_enabled is known["enable_creator_fee"]
    rates = ("trade_fee_rate", "protocol_fee_rate", "fund_fee_rate", "creator_fee_rate")
    assert [getattr(config, rate) for rate in rates] == [known[rate] for rate in rates]
    assert pool == keys.pda(
        [b"pool", *(keys.raw(k) for k in (state.amm_config, *state.mints))], keys.RAYDIUM_CPMM
    )


@needs_data
@pytest.mark.parametrize("case", fills("raydium_cpmm/program_run_FmNz8.json"))
def test_cpmm_answers_as_the_binary(case: dict[str, Any]) -> None:
    pool, accounts = recorded_cpmm()
    mint_in = assemble(pool, accounts).mints[not case["zero_for_one"]]
    exact = "in" if case["base_input"] else "out"
    if case["result"] is None:
        if exact == "in":
            with pytest.raises(PoolRefusal):
                quote(pool, accounts, mint_in, case["amount"], **NOW)
        return
    found = quote(pool, accounts, mint_in, case["amount"], exact=exact, **NOW)  # type: ignore[arg-type]
    deltas = case["result"]["user_delta_0"], case["result"]["user_delta_1"]
    signed = (-found.amount_in, found.amount_out)
    assert (signed if case["zero_for_one"] else signed[::-1]) == deltas


@needs_data
def test_cpmm_answers_as_a_recorded_swap_with_fees_on_both_legs() -> None:
    """Its input kept 3 % of the transfer, its creator 1 % of the output."""
    said = read("raydium_cpmm/swap_event_oct2026.json")["decoded"]
    accounts = cpmm_accounts(
        (said["input_vault_before"], said["output_vault_before"]),
        (2_500, 10_000),
        creator_fee_on=2,
        creator_fee=True,
        programs=(keys.TOKEN_2022, keys.TOKEN),
    )
    accounts[COIN] = mint(9, fees=((0, 2**63, 300),) * 2)
    sent = said["input_amount"] + said["input_transfer_fee"]
    found = quote(POOL, accounts, COIN, sent, **NOW)
    fee, kept = said["trade_fee"], said["input_transfer_fee"]
    assert found == PoolQuote(sent, said["output_amount"], fee, True, kept, 0, 0)


def cpmm_accounts(
    reserves: tuple[int, int], rates: tuple[int, int], **more: Any
) -> dict[str, tuple[str, bytes]]:
    return {
        POOL: cpmm(config=key("config"), vaults=VAULTS, mints=(COIN, PC), **more),
        key("config"): cpmm_config(rates[0], creator=rates[1]),
        VAULTS[0]: balance(COIN, reserves[0]),
        VAULTS[1]: balance(PC, reserves[1]),
    }


RATES = st.tuples(st.integers(0, 100_000), st.integers(0, 100_000))


@settings(max_examples=40)
@given(
    reserves=st.tuples(U64, U64),
    rates=RATES,
    amount=U64,
    creator_fee_on=st.integers(0, 2),
    creator_fee=st.booleans(),
)
def test_cpmm_is_the_exact_product_with_fees_rounded_up(
    reserves: tuple[int, int],
    rates: tuple[int, int],
    amount: int,
    creator_fee_on: int,
    creator_fee: bool,
) -> None:
    accounts = cpmm_accounts(
        reserves, rates, creator_fee_on=creator_fee_on, creator_fee=creator_fee
    )
    creator = Fraction(rates[1] if creator_fee else 0, 10**6)
    on_input = creator_fee_on != 2
    fee = _ceil(amount * (Fraction(rates[0], 10**6) + (creator if on_input else 0)))
    net = amount - fee
    gross = int(reserves[1] - Fraction(reserves[0] * reserves[1], reserves[0] + net))
    expected = gross - (0 if on_input else _ceil(gross * creator))
    if expected <= 0:
        with pytest.raises(PoolRefusal):
            quote(POOL, accounts, COIN, amount, **NOW)
        return
    found = quote(POOL, accounts, COIN, amount, **NOW)
    assert (found.amount_out, found.fee) == (expected, fee)
    _there_and_back(accounts, COIN, found)


def test_cpmm_numbers_of_our_own_with_transfer_fees() -> None:
    taxed = mint(9, fees=((0, 0, 0), (1_000, 10**9, 300)))
    accounts = cpmm_accounts(
        (1_000_000_000, 2_000_000_000), (2_500, 0), programs=(keys.TOKEN_2022, keys.TOKEN)
    )
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, COIN, 1_000_000, **NOW)
    assert refused.value.reason is PoolReason.MISSING
    accounts[COIN] = taxed
    before = quote(POOL, accounts, COIN, 1_000_000, unix_ts=0, slot=1_000 * 432_000 - 1)
    found = quote(POOL, accounts, COIN, 1_000_000, **NOW)
    assert before == PoolQuote(1_000_000, 1_993_011, 2_500, True, 0, 0, 0)
    assert found == PoolQuote(1_000_000, 1_933_279, 2_425, True, 30_000, 0, 0)
    sold = quote(POOL, accounts, PC, 1_000_000, exact="out", **NOW)
    assert sold == PoolQuote(2_069_157, 1_000_000, 5_173, True, 0, 30_928, 0)


@pytest.mark.parametrize(
    ("change", "amount", "exact", "reason"),
    [
        ({POOL: None}, 10, "in", PoolReason.MISSING),
        ({POOL: (keys.TOKEN, b"")}, 10, "in", PoolReason.WRONG_OWNER),
        ({POOL: (keys.RAYDIUM_V4, b"\0" * 751)}, 10, "in", PoolReason.WRONG_LENGTH),
        ({VAULTS[1]: None}, 10, "in", PoolReason.MISSING),
        ({VAULTS[1]: (keys.RAYDIUM_V4, b"")}, 10, "in", PoolReason.WRONG_OWNER),
        ({VAULTS[1]: balance(COIN, 10**9)}, 10, "in", PoolReason.WRONG_MINT),
        ({VAULTS[1]: balance(PC, 10**9, state=2)}, 10, "in", PoolReason.CLOSED),
        ({VAULTS[1]: mint(9)}, 10, "in", PoolReason.WRONG_KIND),
        ({"status": 2}, 10, "in", PoolReason.CLOSED),
        ({"status": 5}, 10, "in", PoolReason.CLOSED),
        ({"status": 7, "open_time_s": 1_790_000_001}, 10, "in", PoolReason.CLOSED),
        ({"pnl": (0, 10**9 + 1)}, 10, "in", PoolReason.BAD_VALUE),
        ({"fee": (1, 1)}, 10, "in", PoolReason.BAD_VALUE),
        ({"decimals": (2**22, 6)}, 10, "in", PoolReason.BAD_VALUE),
        ({"decimals": (9, 256)}, 10, "in", PoolReason.BAD_VALUE),
        ({VAULTS[0]: balance(COIN, 0)}, 1, "out", PoolReason.TOO_MUCH),
        ({VAULTS[0]: balance(COIN, 0)}, 10, "in", PoolReason.TOO_MUCH),
        ({VAULTS[1]: balance(PC, 0)}, 10, "in", PoolReason.TOO_MUCH),
        ({}, 0, "in", PoolReason.BAD_AMOUNT),
        ({}, 1e6, "in", PoolReason.BAD_AMOUNT),
        ({}, "5", "in", PoolReason.BAD_AMOUNT),
        ({}, None, "out", PoolReason.BAD_AMOUNT),
        ({}, 2**64, "in", PoolReason.BAD_AMOUNT),
        ({}, 10, "both", PoolReason.BAD_AMOUNT),
        ({}, 1, "in", PoolReason.TOO_SMALL),
        ({}, 10**9, "out", PoolReason.TOO_MUCH),
        ({VAULTS[0]: balance(COIN, 2**64 - 1)}, 10**9 - 1, "out", PoolReason.TOO_MUCH),
    ],
)
def test_v4_is_refused_with_the_reason(
    change: dict[str, Any], amount: Any, exact: Any, reason: PoolReason
) -> None:
    fields = {name: value for name, value in change.items() if name.islower()}
    accounts = v4_accounts((10**9, 10**9), **fields)
    accounts |= {name: value for name, value in change.items() if name not in fields}
    accounts = {name: value for name, value in accounts.items() if value is not None}
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, COIN, amount, exact=exact, **NOW)
    assert refused.value.reason is reason
    assert refused.value.evidence


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_numbers_of_numpy_are_taken_for_what_they_are(kind: type[np.integer[Any]]) -> None:
    """Whose products would be cut off at 64 bits, without a word."""
    accounts = v4_accounts((10**15, 10**15))
    sides: tuple[Any, Any] = ("in", "out")
    amounts: tuple[int, Any] = (10**14, kind(10**14))
    for exact in sides:
        one, other = (quote(POOL, accounts, COIN, amount, exact=exact, **NOW) for amount in amounts)
        assert one == other
        assert type(other.amount_in) is type(other.amount_out) is type(other.fee) is int


@pytest.mark.parametrize("when", [{"unix_ts": None}, {"unix_ts": 1e9}, {"slot": "5"}])
def test_when_a_quote_is_for_is_an_integer(when: dict[str, Any]) -> None:
    asked: dict[str, Any] = {**NOW, **when}
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, v4_accounts((10**9, 10**9)), COIN, 10**6, **asked)
    assert refused.value.reason is PoolReason.BAD_AMOUNT


@pytest.mark.parametrize(
    ("bps", "amount", "arrives"),
    # All of it is kept, or the one unit that there is; of two one arrives.
    [(10_000, 10**6, 0), (1, 101, 0), (1, 202, 1)],
)
def test_what_a_transfer_keeps_as_a_whole_is_too_small(bps: int, amount: int, arrives: int) -> None:
    fees = ((0, 2**64 - 1, bps),) * 2
    accounts = cpmm_accounts((10**9, 10**7), (0, 0), programs=(keys.TOKEN, keys.TOKEN_2022))
    accounts[PC] = mint(6, fees=fees)
    if arrives:
        assert quote(POOL, accounts, COIN, amount, **NOW).amount_out == arrives
        return
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, COIN, amount, **NOW)
    assert refused.value.reason is PoolReason.TOO_SMALL


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 4}, PoolReason.CLOSED),
        ({"open_time_s": 1_790_000_001}, PoolReason.CLOSED),
        ({"protocol": (0, 10**9), "fund": (0, 1)}, PoolReason.BAD_VALUE),
        ({"creator_fee_on": 3}, PoolReason.BAD_VALUE),
        ({"config": POOL}, PoolReason.WRONG_KIND),
    ],
)
def test_cpmm_is_refused_with_the_reason(change: dict[str, Any], reason: PoolReason) -> None:
    accounts = cpmm_accounts((10**9, 10**9), (2_500, 0))
    fields = {"config": key("config"), "vaults": VAULTS, "mints": (COIN, PC)} | change
    accounts[POOL] = cpmm(**fields)
    with pytest.raises(PoolRefusal) as refused:
        quote(POOL, accounts, COIN, 1_000, **NOW)
    assert refused.value.reason is reason


def test_an_empty_side_of_cpmm_is_nothing_to_quote_by() -> None:
    sides: tuple[Any, Any] = ("in", "out")
    for reserves in ((0, 10**9), (10**9, 0)):
        for exact in sides:
            with pytest.raises(PoolRefusal) as refused:
                quote(POOL, cpmm_accounts(reserves, (2_500, 0)), COIN, 1_000, exact=exact, **NOW)
            assert refused.value.reason is PoolReason.TOO_MUCH


def test_the_same_beginning_is_told_apart_by_the_owner() -> None:
    """CLMM's and CPMM's pools begin with the same eight bytes, and their configs do."""
    owner, data = cpmm_config(2_500)
    assert decode(owner, data)
    with pytest.raises(PoolRefusal):
        decode(keys.RAYDIUM_V4, data)
