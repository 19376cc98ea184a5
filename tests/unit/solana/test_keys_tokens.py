"""Keys, derived addresses, token accounts and mints: solders and recorded addresses as oracles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_accounts import balance, key, mint
from solana_data import needs_data, read
from solders import sysvar
from solders.pubkey import Pubkey
from solders.token.state import Mint as SoldersMint
from solders.token.state import TokenAccount as SoldersAccount

from spread_scanner.solana import PoolReason, PoolRefusal, chain_clock, decode, keys, pda, price
from spread_scanner.solana.tokens import TokenBalance, TokenMint, TransferFee, epoch_of

U64 = st.integers(0, 2**64 - 1)


@needs_data
def test_recorded_addresses_are_derived_and_remembered() -> None:
    vectors = read("pda/pda_vectors.json")
    assert len(vectors) > 20
    for vector in vectors:
        seeds = [bytes.fromhex(seed) for seed in vector["seeds_hex"]]
        assert keys.find(seeds, vector["program"]) == (vector["address"], vector["bump"])
        assert pda(seeds, vector["program"]) == vector["address"]
        assert pda(tuple(seeds), vector["program"]) is pda(seeds, vector["program"])


def test_an_address_that_everybody_knows() -> None:
    derived = pda([b"amm authority"], keys.RAYDIUM_V4)
    assert derived == "5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1"


@given(raw=st.binary(min_size=32, max_size=32))
def test_base58_there_and_back(raw: bytes) -> None:
    assert keys.raw(keys.text(raw)) == raw
    assert keys.text(raw) == str(Pubkey.from_bytes(raw))


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda: keys.text(b"short"), PoolReason.WRONG_LENGTH),
        (lambda: keys.raw("0OIl"), PoolReason.BAD_VALUE),
        (lambda: pda([b"x" * 33], keys.TOKEN), PoolReason.BAD_VALUE),
        (lambda: pda([b"x"] * 16, keys.TOKEN), PoolReason.BAD_VALUE),
        (lambda: decode(key("nobody"), b""), PoolReason.WRONG_OWNER),
        (lambda: decode(keys.SYSTEM, b"1"), PoolReason.WRONG_OWNER),
        (lambda: decode(keys.SYSTEM, b""), PoolReason.ABSENT),
        (lambda: price("pool", {"pool": (keys.SYSTEM, b"")}), PoolReason.ABSENT),
        (lambda: decode(keys.TOKEN, b"\0" * 82), PoolReason.BAD_VALUE),
        (lambda: decode(keys.TOKEN, b"\0" * 165), PoolReason.BAD_VALUE),
        (lambda: decode(keys.TOKEN, b"\0" * 164), PoolReason.WRONG_LENGTH),
        (lambda: decode(keys.TOKEN, mint(9, fees=((0, 0, 0),) * 2)[1]), PoolReason.WRONG_LENGTH),
        (lambda: decode(keys.TOKEN_2022, b"\0" * 165 + b"\3"), PoolReason.WRONG_LENGTH),
        (
            lambda: decode(keys.TOKEN_2022, mint(9, fees=((0, 0, 0),) * 2)[1][:-1]),
            PoolReason.BAD_VALUE,
        ),
        (lambda: decode(*mint(9, fees=((0, 0, 0), (0, 0, 10_001)))), PoolReason.BAD_VALUE),
    ],
)
def test_what_is_no_key_or_account_is_refused(ask, reason: PoolReason) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PoolRefusal) as refused:
        ask()
    assert refused.value.reason is reason
    assert refused.value.evidence


@given(amount=U64, decimals=st.integers(0, 255), supply=U64)
def test_solders_reads_the_same(amount: int, decimals: int, supply: int) -> None:
    owner, data = balance(key("mint"), amount, state=2)
    ours, theirs = decode(owner, data), SoldersAccount.from_bytes(data)
    assert ours == TokenBalance(str(theirs.mint), str(theirs.owner), theirs.amount, True)
    owner, data = mint(decimals)
    data = data[:36] + supply.to_bytes(8, "little") + data[44:]
    them = SoldersMint.from_bytes(data)
    assert decode(owner, data) == TokenMint(them.decimals, them.supply)


def test_a_token_2022_mint_keeps_a_fee_that_changes_with_the_epoch() -> None:
    found = decode(*mint(8, fees=((3, 500, 100), (1_050, 1_000_000, 250))))
    assert isinstance(found, TokenMint)
    assert found.decimals == 8
    assert found.fee(1_049) == TransferFee(3, 500, 100)
    assert found.fee(epoch_of(453_868_631)) == TransferFee(1_050, 1_000_000, 250)
    assert found.fee(1_049).of(1_001) == 11
    assert found.fee(1_049).of(10**12) == 500


@given(amount=st.integers(1, 2**63), bps=st.integers(1, 9_999), maximum=U64)
def test_what_is_sent_on_top_is_the_least_that_lets_so_much_arrive(
    amount: int, bps: int, maximum: int
) -> None:
    fee = TransferFee(0, maximum, bps)
    sent = amount + fee.on_top_of(amount)
    assert sent - fee.of(sent) >= amount
    assert (sent - 1) - fee.of(sent - 1) < amount or sent == amount + fee.of(sent)


def test_the_chains_clock_is_read_and_nothing_else_of_its_owner() -> None:
    assert str(sysvar.CLOCK) == chain_clock.KEY
    words = (350_000_000, 1_789_000_000, 810, 811, 1_790_000_000)
    data = b"".join(word.to_bytes(8, "little") for word in words)
    assert decode(keys.SYSVAR, data) == chain_clock.ChainClock(words[0], words[-1])
    with pytest.raises(PoolRefusal) as refused:
        decode(keys.SYSVAR, data[:-1])
    assert refused.value.reason is PoolReason.WRONG_LENGTH
