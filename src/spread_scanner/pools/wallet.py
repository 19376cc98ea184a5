"""A wallet as providers tell it: its lamports, its token accounts of both programs, their mints.

Token accounts are asked for once a program, since no call has both; mints in as many requests as
hold them, each within what one may name, and all no faster than a provider lets itself be asked.
What two providers tell may be of two slots: the earliest is said.
"""

import contextlib
from collections.abc import Iterable
from functools import partial
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from spread_scanner.errors import BadMessage
from spread_scanner.pools import rpc
from spread_scanner.pools.calls import ProviderCalls
from spread_scanner.solana import keys, tokens, wallets
from spread_scanner.solana.refusal import PoolRefusal
from spread_scanner.solana.tokens import TokenMint
from spread_scanner.solana.wallets import TokenHolding, Wallet

T = TypeVar("T")

COMMITMENT = "confirmed"
_Number = Annotated[int, Meta(ge=0)]
_Mints = dict[str, tuple[TokenMint, tuple[str, ...]]]


class _Context(Struct):
    slot: _Number


class _Balance(Struct):
    context: _Context
    value: _Number


class _Held(Struct):
    lamports: _Number
    data: tuple[bytes, str]
    owner: str


class _Owned(Struct):
    pubkey: str
    account: _Held


class _AllOwned(Struct):
    context: _Context
    value: list[_Owned]


class _Accounts(Struct):
    context: _Context
    value: list[_Held | None]


async def scan(calls: ProviderCalls, address: str, dust: float) -> Wallet:
    """Everything that the address holds. Raises NoProvider, BadMessage; PoolRefusal for an address
    that is none."""
    keys.raw(address)
    how = {"encoding": "base64", "commitment": COMMITMENT}
    of_account = [address, {"commitment": COMMITMENT}]
    balance = await calls.ask("getBalance", of_account, partial(_read, _Balance))
    slots, owned = [balance.context.slot], list[_Owned]()
    for program in tokens.PROGRAMS:
        asked = [address, {"programId": program}, how]
        found = await calls.ask("getTokenAccountsByOwner", asked, partial(_read, _AllOwned))
        slots.append(found.context.slot)
        owned += found.value
    mints = await _mints(calls, {_mint_of(one) for one in owned}, slots)
    holdings = [_holding(one, address, mints, dust) for one in owned]
    return wallets.wallet(address, min(slots), balance.value, holdings)


async def _mints(calls: ProviderCalls, wanted: Iterable[str], slots: list[int]) -> _Mints:
    """Those that are not known beforehand, with their extensions; one that is gone is left out,
    whatever stands in its place: whoever made it may close it, and nobody asks to hold it."""
    asked = sorted(set(wanted) - set(tokens.KNOWN_DECIMALS))
    how = {"encoding": "base64", "commitment": COMMITMENT}
    found: _Mints = {}
    for at in range(0, len(asked), rpc.KEYS_MAX):
        batch = asked[at : at + rpc.KEYS_MAX]
        told = await calls.ask("getMultipleAccounts", [batch, how], partial(_as_many, len(batch)))
        slots.append(told.context.slot)
        for key, one in zip(batch, told.value, strict=True):
            if one is None or one.owner not in tokens.PROGRAMS:
                continue
            data = _bytes(one)
            with contextlib.suppress(PoolRefusal):
                mint = tokens.decode(one.owner, data)
                extensions = wallets.extensions_of(data) if one.owner == keys.TOKEN_2022 else ()
                if isinstance(mint, TokenMint):
                    found[key] = mint, extensions
    return found


def _mint_of(one: _Owned) -> str:
    return keys.text(_bytes(one.account)[: keys.KEY_BYTES])


def _holding(one: _Owned, address: str, mints: _Mints, dust: float) -> TokenHolding:
    data = _bytes(one.account)
    if data[keys.KEY_BYTES : 2 * keys.KEY_BYTES] != keys.raw(address):
        raise BadMessage("a token account of somebody else", account=one.pubkey, wanted=address)
    account = one.account
    return wallets.holding(one.pubkey, account.owner, account.lamports, data, mints, dust)


def _bytes(account: _Held) -> bytes:
    data, encoding = account.data
    if encoding != rpc.ENCODING:
        raise BadMessage("another encoding than was asked for", encoding=encoding)
    if account.owner not in tokens.PROGRAMS:
        raise BadMessage("an account of no token program", owner=account.owner)
    return data


def _read(kind: type[T], said: Raw) -> T:
    try:
        return msgspec.json.decode(said, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not what a provider says: {error}") from None


def _as_many(wanted: int, said: Raw) -> _Accounts:
    told = _read(_Accounts, said)
    if len(told.value) != wanted:
        raise BadMessage("another number of accounts than of keys")
    return told
