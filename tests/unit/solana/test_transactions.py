"""Transactions: recorded ones to their expected values, and built ones of which every number is
known.
"""

import json
import struct
from typing import Any

import pytest
from solana_data import SOLANA, needs_data, read
from solana_transactions import (
    CLMM,
    CPMM,
    DLMM,
    FEE_LAMPORTS,
    JUPITER,
    SELF_CALL,
    TOKEN_2022,
    V4,
    WHIRLPOOL,
    Held,
    Ran,
    checked,
    key,
    key_bytes,
    ray_log,
    told,
    transfer,
)

from spread_scanner.errors import BadMessage
from spread_scanner.solana import parse_transaction
from spread_scanner.solana.base58 import LETTERS_MAX, decode58
from spread_scanner.solana.frames import HEIGHT_MAX, LogState
from spread_scanner.solana.swaps import SwapFee, SwapState
from spread_scanner.solana.tokens import USDC, WSOL

NAMES = {
    "raydium_amm_v4": V4,
    "raydium_clmm": CLMM,
    "raydium_cpmm": CPMM,
    "meteora_dlmm": DLMM,
    "jupiter_v6": JUPITER,
}
OF_EVENT = {"at", "program", "event", "len", "disc"}


def recorded() -> list[Any]:
    if not SOLANA.exists():
        return [pytest.param(None, marks=needs_data, id="no data")]
    found = sorted((SOLANA / "transactions").glob("*.expected.json"))
    return [one.name.removesuffix(".expected.json") for one in found]


@pytest.mark.parametrize("name", recorded())
def test_recorded(name: str) -> None:
    wanted = read(f"transactions/{name}.expected.json")
    found = parse_transaction((SOLANA / "transactions" / f"{name}.json").read_bytes())
    assert found.signature == wanted["signature"]
    assert (found.slot, found.block_time_s) == (wanted["slot"], wanted["blockTime"])
    assert found.succeeded == (wanted["err"] is None)
    assert (found.fee_lamports, found.compute_units) == (
        wanted["fee"],
        wanted["computeUnitsConsumed"],
    )
    assert found.logs is LogState.WHOLE
    moved = [(one.at, one.source, one.destination, one.mint, one.amount) for one in found.transfers]
    assert moved == [
        (one["at"].removeprefix("outer."), one["src"], one["dst"], one["mint"], one["amount"])
        for one in wanted["transfers"]
    ]
    _same_ray_logs(found, wanted)
    _same_events(found, wanted)
    assert found.lamports_unaccounted == 0
    assert sum(one.sol for one in found.owners) == -found.fee_lamports
    assert all(one.agreed is not False for one in found.swaps)
    state = SwapState.FILLED if found.succeeded else SwapState.REVERTED
    assert {one.state for one in found.swaps} <= {state}


def _same_ray_logs(found: Any, wanted: dict[str, Any]) -> None:
    swaps = [one for one in found.swaps if one.program == "raydium-v4"]
    assert [(one.amount_in, one.amount_out, one.down) for one in swaps] == [
        (log["amount_in"], log["out_amount"], log["direction"] == 2) for log in wanted["ray_logs"]
    ]
    # All of them charge the usual 25 in 10,000, rounded up, which explains the amounts.
    assert [one.fees[0].amount for one in swaps if one.fees] == [
        -(-log["amount_in"] * 25 // 10_000) for log in wanted["ray_logs"]
    ]


def _same_events(found: Any, wanted: dict[str, Any]) -> None:
    unread = list(found.events)
    for event in wanted["events"]:
        program = NAMES.get(event["program"], event["program"])
        values = {name: value for name, value in event.items() if name not in OF_EVENT}
        same = next(
            one for one in unread if one.program == program and one.values.items() >= values.items()
        )
        unread.remove(same)
        assert same.name == event["event"] or event["event"] == "?"
        assert event["at"] in ("log", f"inner {same.at}")
        if same.name in ("Swap", "SwapEvent") and program != JUPITER:
            assert values.get("pool", values.get("lb_pair")) in {one.pool for one in found.swaps}
    assert not unread


@needs_data
def test_a_split_route() -> None:
    """80 % by one way of two hops, 20 % by another of one, whose program is not read."""
    name = "transactions/jupiterAggregatorV6_sharedAccountsRoute_1.json"
    found = parse_transaction(read(name))
    (route,) = found.routes
    assert route.hops == (0, 1, 2, 3)
    assert (route.mint_in, route.amount_in, route.amount_out) == (USDC, 100_000_000, 944_945_170)
    unread, dlmm, phoenix, last = found.swaps
    assert (unread.pool, unread.amount_in, unread.fees) == (None, 20_000_000, None)
    assert unread.program in found.unknown_programs
    assert phoenix.pool == "5WyJr7R3aYpHTjSKXFmrgnVaRU987FoxgCkcELeAJqcm"
    assert phoenix.fees == (SwapFee(WSOL, 290_565),)  # a quote lot is a lamport there
    # Whole lots: what is left of what came in stays with Jupiter.
    assert dlmm.amount_out == 126_665_141
    assert phoenix.amount_in == 126_660_000
    assert phoenix.amount_out == last.amount_in == 580_838_181
    owner = next(one for one in found.owners if one.owner == found.fee_payer)
    assert owner.tokens[USDC] == -100_000_000
    assert owner.lamports + owner.rent_lamports == -found.fee_lamports


@needs_data
def test_a_transfer_fee_is_accounted() -> None:
    found = parse_transaction(read("transactions/OKXDEX_swap_0.json"))
    first = found.swaps[0]
    assert (first.amount_in, first.transfer_fee_in, first.transfer_fee_out) == (358_800, 14_352, 0)
    assert found.tokens_made == {first.mint_in: -14_352}  # kept in the account, not in its balance


@needs_data
def test_a_meta_without_its_message() -> None:
    """Nesting three deep, over keys that stand for those that were not recorded."""
    meta = read("transactions/carbon_cpi_tx_meta.json")
    with pytest.raises(BadMessage, match="not what getTransaction answers"):
        parse_transaction(meta)
    own = [key("static", number) for number in range(10)]
    outer = {"programIdIndex": 9, "accounts": [0], "data": ""}
    whole = {
        "slot": 1,
        "version": 0,
        "meta": meta,
        "transaction": {
            "signatures": ["1" * 64],
            "message": {
                "accountKeys": own,
                "header": {"numRequiredSignatures": 1},
                "instructions": [outer] * 4,
            },
        },
    }
    found = parse_transaction(whole)
    (swap,) = found.swaps
    assert (swap.at, swap.program, swap.agreed) == ("3.0", "meteora-dlmm", True)
    assert [one.at for one in found.transfers] == ["3.1", "3.2", "3.4"]
    assert [one.at for one in found.events if one.name == "Swap"] == ["3.3"]


# --- built ones

POOL, USER_IN, USER_OUT = key("pool"), key("user in"), key("user out")
VAULT_0, VAULT_1 = key("vault 0"), key("vault 1")
MINT = next(one for one in map(key, range(99)) if key_bytes(one) > key_bytes(WSOL))
OTHER = key("other mint")
OWNER, AUTHORITY = key("owner"), key("authority")


def held(amount_in: int, amount_out: int, mints: tuple[str, str] = (WSOL, MINT)) -> dict[str, Held]:
    """A user's accounts and a pool's, before and after so much went in and came out."""
    return {
        USER_IN: Held(mints[0], OWNER, 10**12, 10**12 - amount_in),
        USER_OUT: Held(mints[1], OWNER, None, amount_out),
        VAULT_0: Held(mints[0], AUTHORITY, 10**9, 10**9 + amount_in),
        VAULT_1: Held(mints[1], AUTHORITY, 10**9, 10**9 - amount_out),
    }


def amm(amount: int = 1_000_000, *, old: bool = False, cut: bool = False) -> Ran:
    """A swap of SOL in a pool of 1e9 each: fee 2,500, out floor(1e9 * 997500 / (1e9 + 997500))."""
    out = 10**9 * (amount - 2_500) // (10**9 + amount - 2_500)
    book = [key("book", number) for number in range(8)]
    accounts = [TOKEN_2022, POOL, AUTHORITY, VAULT_0, VAULT_1, USER_IN, USER_OUT, OWNER]
    if old:
        accounts = [key("token"), POOL, AUTHORITY, book[0], VAULT_0, VAULT_1, *book, USER_IN]
        accounts += [USER_OUT, OWNER]
    return Ran(
        V4,
        accounts,
        bytes([9 if old else 16]) + amount.to_bytes(8, "little") + bytes(8),
        [transfer(USER_IN, VAULT_0, amount), transfer(VAULT_1, USER_OUT, out)],
        [] if cut else [ray_log(3, amount, 1, 2, 10**12, 10**9, 10**9, out)],
    )


OUT = 996_505  # of amm()


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("heights", [False, True])
def test_an_amm_swap(old: bool, heights: bool) -> None:
    found = parse_transaction(told([amm(old=old)], held(1_000_000, OUT), heights=heights))
    (swap,) = found.swaps
    assert (swap.pool, swap.state, swap.down) == (POOL, SwapState.FILLED, True)
    assert (swap.mint_in, swap.amount_in) == (WSOL, 1_000_000)
    assert (swap.mint_out, swap.amount_out) == (MINT, OUT)
    assert swap.fees == (SwapFee(WSOL, 2_500),)
    assert swap.agreed is True
    assert (swap.transfer_fee_in, swap.transfer_fee_out) == (0, 0)
    assert found.tokens_made == {}
    assert found.lamports_unaccounted == 0
    owner = next(one for one in found.owners if one.owner == OWNER)
    assert owner.tokens == {WSOL: -1_000_000, MINT: OUT}


def test_a_swap_that_names_one_vault_twice() -> None:
    ran = amm()
    ran.accounts[3] = VAULT_1
    ran.called = [transfer(VAULT_1, USER_OUT, OUT)]
    (swap,) = parse_transaction(told([ran], held(0, OUT))).swaps
    assert (swap.amount_in, swap.amount_out) == (1_000_000, OUT)  # as the log says


def test_a_log_that_is_no_pool_of_the_usual_rate() -> None:
    ran = amm()
    ran.logs = [ray_log(3, 1_000_000, 1, 2, 10**12, 10**9, 10**9, OUT - 1)]
    (swap,) = parse_transaction(told([ran], held(1_000_000, OUT))).swaps
    assert swap.fees is None
    assert swap.agreed is False  # what was said is not what was moved, which counts
    assert swap.amount_out == OUT


def test_failed_truncated_and_unknown_are_told_apart() -> None:
    failed = amm()
    failed.failed = True
    err = {"InstructionError": [0, {"Custom": 30}]}
    found = parse_transaction(told([failed], err=err))
    assert not found.succeeded
    assert json.loads(found.error or "") == err
    assert [one.state for one in found.swaps] == [SwapState.FAILED]
    other = Ran(key("other"), [USER_IN], failed=True)
    found = parse_transaction(told([amm(), other], held(1_000_000, OUT), err=err))
    assert [one.state for one in found.swaps] == [SwapState.REVERTED]
    assert found.unknown_programs == (key("other"),)
    found = parse_transaction(told([amm()], held(1_000_000, OUT), log_lines=1))
    assert found.logs is LogState.TRUNCATED
    (swap,) = found.swaps  # transfers tell what the log lost, but for the fee
    assert (swap.state, swap.amount_out, swap.fees) == (SwapState.FILLED, OUT, None)
    assert swap.agreed is None
    answer = told([amm()], held(1_000_000, OUT), log_lines=1)
    answer["meta"]["innerInstructions"] = None
    (swap,) = parse_transaction(answer).swaps
    assert (swap.state, swap.amount_in, swap.amount_out) == (SwapState.UNTOLD, None, None)
    answer["meta"]["logMessages"] = None
    assert parse_transaction(answer).logs is LogState.ABSENT
    (swap,) = parse_transaction(told([amm()], held(1_000_000, OUT))).swaps
    assert swap.state is SwapState.FILLED


def test_an_event_belongs_to_who_said_it() -> None:
    """Another program's words, in the log or as data, are no swap of a pool's."""
    liar = Ran(
        key("liar"),
        [VAULT_0],
        b"",
        [amm(cut=True)],
        [ray_log(3, 5, 1, 2, 10**12, 10**9, 10**9, 4), f"Program {V4} success"],
    )
    for program in (key("liar"), DLMM):  # to itself, and to a program that has not called itself
        liar.called.append(Ran(program, [VAULT_0], SELF_CALL + _dlmm_event(7, 8)))
    found = parse_transaction(told([liar], held(1_000_000, OUT)))
    (swap,) = found.swaps
    assert (swap.at, swap.amount_in, swap.fees) == ("0.0", 1_000_000, None)
    assert [one.name for one in found.events] == [""]


def _dlmm_event(amount_in: int, amount_out: int, fee: int = 3) -> bytes:
    return (
        bytes.fromhex("516ce3becdd00ac4")
        + key_bytes(POOL, OWNER)
        + struct.pack("<iiQQBQQ", -7, -5, amount_in, amount_out, 0, fee, 1)
        + (2_000_000).to_bytes(16, "little")
        + bytes(8)
    )


def _dlmm(amount_in: int, amount_out: int) -> Ran:
    """Y in: the second vault takes it."""
    accounts = [POOL, key("ext"), VAULT_1, VAULT_0, USER_IN, USER_OUT, MINT, WSOL]
    return Ran(
        DLMM,
        accounts,
        bytes.fromhex("414b3f4ceb5b5b88") + bytes(16),
        [
            checked(USER_IN, WSOL, VAULT_0, amount_in),
            checked(VAULT_1, MINT, USER_OUT, amount_out),
            Ran(DLMM, [key("authority of events")], SELF_CALL + _dlmm_event(amount_in, amount_out)),
        ],
    )


def test_a_swap_by_jupiter() -> None:
    hop = bytes.fromhex("40c6cde8260871e2") + key_bytes(DLMM, WSOL)
    hop += (500).to_bytes(8, "little") + key_bytes(MINT) + (400).to_bytes(8, "little")
    said = Ran(JUPITER, [key("authority of events")], SELF_CALL + hop)
    route = Ran(JUPITER, [USER_IN], bytes.fromhex("e517cb977ae3ad2a"), [_dlmm(500, 400), said])
    found = parse_transaction(told([route], held(500, 400)))
    (swap,) = found.swaps
    assert (swap.down, swap.amount_in, swap.amount_out, swap.agreed) == (False, 500, 400, True)
    assert swap.fees == (SwapFee(WSOL, 3),)
    (one,) = found.routes
    assert (one.kind, one.hops, one.amount_in, one.amount_out) == ("route", (0,), 500, 400)
    # Without events of its own, as its second version has it, the swaps themselves are the hops.
    route = Ran(JUPITER, [USER_IN], bytes.fromhex("bb64facc31c4af14"), [_dlmm(500, 400)])
    (one,) = parse_transaction(told([route], held(500, 400))).routes
    assert (one.kind, one.hops, one.amount_out) == ("route_v2", (0,), 400)


@pytest.mark.parametrize(
    ("program", "data", "beside"),
    [
        ("Ed25519SigVerify111111111111111111111111111", b"\2\0", 2),
        ("KeccakSecp256k11111111111111111111111111111", b"\1", 1),
        ("Secp256r1SigVerify1111111111111111111111111", b"\3", 3),
        ("Ed25519SigVerify111111111111111111111111111", b"", 0),
        (DLMM, b"\7", 0),
    ],
)
def test_signatures_that_are_checked_are_no_priority(
    program: str, data: bytes, beside: int
) -> None:
    answer = told([Ran(program, [OWNER], data)])
    answer["meta"]["fee"] = 5_000 * (1 + beside) + 77
    assert parse_transaction(answer).priority_fee_lamports == 77


@pytest.mark.parametrize(("deepest", "is_read"), [(HEIGHT_MAX, True), (HEIGHT_MAX + 1, False)])
def test_calls_that_are_nested_deeper_than_any_can_be(deepest: int, is_read: bool) -> None:
    answer = told([Ran(DLMM, [OWNER], b"x")])
    place = answer["transaction"]["message"]["instructions"][0]["programIdIndex"]
    calls = [
        {"programIdIndex": place, "accounts": [], "data": "", "stackHeight": height}
        for height in range(2, deepest + 1)
    ]
    answer["meta"]["innerInstructions"] = [{"index": 0, "instructions": calls}]
    if is_read:
        parse_transaction(answer)
        return
    with pytest.raises(BadMessage, match="nobody called"):
        parse_transaction(answer)


Hop = tuple[str, int, str, int]


@pytest.mark.parametrize(
    ("hops", "amount_in", "amount_out"),
    [
        ([(WSOL, 100, MINT, 80), (MINT, 80, WSOL, 101)], 100, 101),
        ([(WSOL, 60, MINT, 50), (WSOL, 40, MINT, 30), (MINT, 80, WSOL, 101)], 100, 101),
        ([(WSOL, 100, MINT, 80), (MINT, 50, WSOL, 60), (MINT, 30, WSOL, 41)], 100, 101),
        (
            [
                *((WSOL, 90, MINT, 80), (MINT, 80, WSOL, 95)),
                *((WSOL, 95, OTHER, 70), (OTHER, 70, WSOL, 101)),
            ],
            *(90, 101),
        ),
        ([(WSOL, 60, MINT, 50), (WSOL, 40, MINT, 30), (MINT, 80, OTHER, 9)], 100, 9),
    ],
)
def test_a_route_that_is_split_goes_in_and_comes_out_whole(
    hops: list[Hop], amount_in: int, amount_out: int
) -> None:
    """One that ends with the mint that it began with, too."""
    events = []
    for mint_in, goes_in, mint_out, comes_out in hops:
        hop = bytes.fromhex("40c6cde8260871e2") + key_bytes(key("unknown"), mint_in)
        hop += struct.pack("<Q", goes_in) + key_bytes(mint_out) + struct.pack("<Q", comes_out)
        events.append(Ran(JUPITER, [key("authority of events")], SELF_CALL + hop))
    route = Ran(JUPITER, [USER_IN], bytes.fromhex("e517cb977ae3ad2a"), events)
    (one,) = parse_transaction(told([route], held(amount_in, amount_out))).routes
    assert (len(one.hops), one.amount_in, one.amount_out) == (len(hops), amount_in, amount_out)


def _clmm(event: bytes) -> Ran:
    accounts = [OWNER, key("config"), POOL, USER_IN, USER_OUT, VAULT_0, VAULT_1, key("observed")]
    moved = [transfer(USER_IN, VAULT_0, 900), transfer(VAULT_1, USER_OUT, 800)]
    return Ran(CLMM, accounts, bytes.fromhex("f8c69e91e17587c8") + bytes(33), moved, [], [event])


def _clmm_event(newer: bool, fee_0: int = 9, fee_1: int = 0) -> bytes:
    data = bytes.fromhex("40c6cde8260871e2") + key_bytes(POOL, OWNER, USER_IN, USER_OUT)
    data += struct.pack("<QQQQB", 900, 0, 800, 0, 1) + bytes(32) + struct.pack("<i", -3)
    return data + (struct.pack("<QQ", fee_0, fee_1) if newer else b"")


def test_a_concentrated_swap_in_both_lengths_of_its_event() -> None:
    (older,) = parse_transaction(told([_clmm(_clmm_event(False))], held(900, 800))).swaps
    assert (older.amount_in, older.amount_out, older.down, older.agreed) == (900, 800, True, True)
    assert older.fees is None
    (newer,) = parse_transaction(told([_clmm(_clmm_event(True))], held(900, 800))).swaps
    assert newer.fees == (SwapFee(WSOL, 9),)
    short = _clmm_event(False)[:-1]  # of no version
    found = parse_transaction(told([_clmm(short)], held(900, 800)))
    assert [one.name for one in found.events] == [""]
    assert found.swaps[0].down is True  # by the order of the mints


def test_a_whirlpool_of_two_hops() -> None:
    one, other = (key("whirlpool", number) for number in (1, 2))
    vaults = [key("vault of whirlpool", number) for number in range(4)]
    accounts = [one, other, WSOL, MINT, USDC, *[key("token")] * 3, USER_IN, *vaults, USER_OUT]
    moved = [
        checked(USER_IN, WSOL, vaults[0], 1_000),
        checked(vaults[1], MINT, vaults[2], 700),
        checked(vaults[3], USDC, USER_OUT, 30),
    ]
    ran = Ran(WHIRLPOOL, accounts, bytes.fromhex("ba8fd11dfe02c275") + bytes(50), moved)
    found = parse_transaction(told([ran])).swaps
    assert [(swap.pool, swap.amount_in, swap.amount_out) for swap in found] == [
        (one, 1_000, 700),
        (other, 700, 30),
    ]
    assert [(swap.mint_in, swap.mint_out) for swap in found] == [(WSOL, MINT), (MINT, USDC)]


def test_a_cpmm_swap_with_both_fees() -> None:
    event = bytes.fromhex("40c6cde8260871e2") + key_bytes(POOL)
    event += struct.pack("<QQQQQQB", 10**9, 10**9, 980, 600, 20, 0, 1) + key_bytes(MINT, WSOL)
    event += struct.pack("<QQB", 3, 7, 0)
    accounts = [OWNER, AUTHORITY, key("config"), POOL, USER_OUT, USER_IN, VAULT_1, VAULT_0]
    moved = [
        checked(USER_OUT, MINT, VAULT_1, 1_000, TOKEN_2022),
        checked(VAULT_0, WSOL, USER_IN, 600),
    ]
    ran = Ran(CPMM, accounts, bytes.fromhex("8fbe5adac41e33de") + bytes(16), moved, [], [event])
    (swap,) = parse_transaction(told([ran])).swaps
    assert (swap.amount_in, swap.amount_out) == (1_000, 600)  # with what the mint kept
    assert (swap.transfer_fee_in, swap.transfer_fee_out, swap.agreed) == (20, 0, True)
    assert swap.fees == (SwapFee(MINT, 3), SwapFee(WSOL, 7))
    assert swap.down is False  # SOL's bytes come first
    ran.events = []
    (swap,) = parse_transaction(told([ran])).swaps  # nobody says what the mint kept
    assert (swap.transfer_fee_in, swap.transfer_fee_out) == (None, 0)


def test_rent_and_wrapped_sol_add_up() -> None:
    """An account is opened and another one closed: lamports go to and fro, nothing is lost."""
    opened, wrapped = key("opened"), key("wrapped")
    accounts = {
        opened: Held(MINT, OWNER, None, 5),
        key("mine"): Held(MINT, OWNER, 5, 0),
        wrapped: Held(WSOL, OWNER, 7_000, None),
    }
    lamports = {opened: (0, 2_039_280), wrapped: (2_039_280 + 7_000, 0)}
    found = parse_transaction(told([], accounts, lamports=lamports))
    payer, owner = found.owners
    assert (payer.owner, payer.sol) == (found.fee_payer, 7_000 - FEE_LAMPORTS)
    assert (owner.lamports, owner.rent_lamports, owner.tokens) == (0, 0, {WSOL: -7_000})
    assert sum(one.sol for one in found.owners) == -FEE_LAMPORTS
    assert found.lamports_unaccounted == 0
    assert found.tokens_made == {WSOL: -7_000}  # unwrapped


def _without(name: str) -> dict[str, Any]:
    answer = told([amm()], held(1_000_000, OUT))
    del answer["meta"][name]
    return answer


def _with(**fields: Any) -> dict[str, Any]:
    answer = told([amm()], held(1_000_000, OUT))
    answer["meta"].update({name: one for name, one in fields.items() if name in answer["meta"]})
    answer.update({name: one for name, one in fields.items() if name in answer})
    return answer


def _instruction(**fields: Any) -> dict[str, Any]:
    answer = told([amm()], held(1_000_000, OUT))
    answer["transaction"]["message"]["instructions"][0].update(fields)
    return answer


def _inner(**fields: Any) -> dict[str, Any]:
    answer = told([amm()], held(1_000_000, OUT))
    answer["meta"]["innerInstructions"][0]["instructions"][0].update(fields)
    return answer


WRONG: list[tuple[Any, str]] = [
    (b"", "no JSON"),
    (b"\xff\xfe", "no JSON"),
    ("{", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    ([], "not what getTransaction answers"),
    ([{}, {}], "not what getTransaction answers"),
    ({}, "not what getTransaction answers"),
    ({"result": None}, "no such transaction"),
    ({"error": {"code": -32015, "message": "version"}}, "refused .*-32015"),
    ({"result": {"slot": "1"}}, "not what getTransaction answers"),
    (_with(version=1), "another version"),
    (_with(meta=None), "no meta"),
    (_without("preBalances"), "not what getTransaction answers"),
    (_with(postBalances=[1]), "a balance before and after"),
    (_with(loadedAddresses=None), "keys of accounts are not told"),
    (_instruction(programIdIndex=99), "an account that is not in the list"),
    (_instruction(accounts=[-1]), "an account that is not in the list"),
    (_instruction(data="0OIl"), "no base58"),
    (_instruction(data="é"), "no base58"),
    (_instruction(data="2" * (LETTERS_MAX + 1)), "base58 of no transaction"),
    (_instruction(accounts=[1, 2]), "an instruction of too few accounts"),
    (_inner(stackHeight=5), "an instruction that nobody called"),
    (_inner(stackHeight=0), "an instruction that nobody called"),
    (_inner(accounts=[1]), "an instruction of too few accounts"),
    (
        _with(preTokenBalances=[{"accountIndex": 99, "mint": MINT, "uiTokenAmount": {}}]),
        "not what getTransaction answers",
    ),
]


def _balance(place: int, amount: str) -> dict[str, Any]:
    told_amount = {"amount": amount, "decimals": 6}
    return {"accountIndex": place, "mint": MINT, "uiTokenAmount": told_amount}


WRONG += [
    (_with(preTokenBalances=[_balance(99, "1")]), "a balance of no account"),
    (_with(preTokenBalances=[_balance(0, "-1")]), "an amount that is none"),
    (_with(preTokenBalances=[_balance(0, "1e3")]), "an amount that is none"),
    (_with(preTokenBalances=[_balance(0, "9" * 30)]), "an amount beyond 64 bits"),
    (_with(preTokenBalances=[_balance(0, str(2**64))]), "an amount beyond 64 bits"),
    (_with(postTokenBalances=[_balance(0, "1") | {"mint": "1" * 44}]), "no key of Solana"),
    (_with(postTokenBalances=[_balance(0, "1") | {"mint": ""}]), "no key of Solana"),
    (_with(preTokenBalances=[_balance(0, "1") | {"owner": "O"}]), "no key of Solana"),
    (_with(loadedAddresses={"writable": ["é" * 999], "readonly": []}), "no key of Solana"),
    (_with(fee=10**400), "not what getTransaction answers"),
    (_with(fee=-1), "not what getTransaction answers"),
    (_with(slot=2**63), "not what getTransaction answers"),
    (_with(preBalances=[-1]), "not what getTransaction answers"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_transactions(number: int) -> None:
    said, why = WRONG[number]
    with pytest.raises(BadMessage, match=why):
        parse_transaction(said)


def test_base58() -> None:
    from spread_scanner.sim.solana_keys import text

    for data in (b"", b"\0", b"\0\0\1", bytes(range(64)), b"\xff" * 200):
        assert decode58(text(data)) == data
