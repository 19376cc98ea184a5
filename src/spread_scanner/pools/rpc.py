"""What is said to a Solana RPC provider, and what it answers: JSON-RPC over websocket and HTTP.
Pure.

`heard` reads one message of a websocket, `answered` one answer to getMultipleAccounts. Whatever is
not as documented is a BadMessage; what a provider refuses is an RpcRefusal, with what follows from
it. Requests always name encoding and commitment: the defaults are base58 and finalized. Accounts
are asked for in base64; base64+zstd is not asked for, and refused.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from spread_scanner.errors import BadMessage
from spread_scanner.pools._frames import read_told
from spread_scanner.solana import PoolRefusal, keys

KEYS_MAX = 100  # of one getMultipleAccounts
ENCODING = "base64"
CLOSED_ACCOUNT = (keys.SYSTEM, b"")  # one that does not exist, as spread_scanner.solana takes it

_Number = Annotated[int, Meta(ge=0)]  # some providers' subscriptions take all of 64 bits
_Slot = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class RpcTrouble(Enum):
    """What follows from an error; the value is the answer a person reads first."""

    LIMITED = "asked too much: later, or another provider"
    BEHIND = "the node is behind or unwell: another provider"
    NOT_THERE_YET = "the slot that was asked for is not reached: again, for the same slot"
    OUR_FAULT = "the request is not understood: the same again would be refused again"
    OTHER = "refused"


TROUBLES = {
    429: RpcTrouble.LIMITED,
    -32005: RpcTrouble.BEHIND,
    -32016: RpcTrouble.NOT_THERE_YET,
    -32600: RpcTrouble.OUR_FAULT,
    -32601: RpcTrouble.OUR_FAULT,
    -32602: RpcTrouble.OUR_FAULT,
    -32700: RpcTrouble.OUR_FAULT,
}


class Subscribed(Struct, frozen=True):
    """A subscription stands; what is there now is not told."""

    request_id: int
    subscription: int


class Unsubscribed(Struct, frozen=True):
    """A subscription was given up, or there was none of that number."""

    request_id: int
    done: bool


class AccountTold(Struct, frozen=True):
    """An account was written in this slot: who owns it and its bytes afterwards."""

    subscription: int
    slot: int
    owner: str
    data: bytes


class SlotTold(Struct, frozen=True):
    """The provider has come to this slot."""

    subscription: int
    slot: int
    parent: int
    root: int


class RpcRefusal(Struct, frozen=True):
    """An error in place of an answer; `request_id` is None where the provider could not read it."""

    request_id: int | None
    code: int
    said: str

    @property
    def trouble(self) -> RpcTrouble:
        return TROUBLES.get(self.code, RpcTrouble.OTHER)


class AccountsRead(Struct, frozen=True):
    """Accounts as they stood at the end of one slot; those that do not exist are CLOSED_ACCOUNT."""

    slot: int
    accounts: dict[str, tuple[str, bytes]]


RpcMessage = Subscribed | Unsubscribed | AccountTold | SlotTold | RpcRefusal


class _Error(Struct):
    code: int
    message: str


class _Envelope(Struct):
    jsonrpc: str
    id: int | None = None
    method: str = ""
    params: Raw = Raw(b"")
    result: Raw = Raw(b"")
    error: _Error | None = None


class _Context(Struct):
    slot: _Slot


class _Account(Struct):
    lamports: _Number
    data: tuple[bytes, str]  # base64, which msgspec decodes
    owner: str
    space: int | None = None


class _AccountResult(Struct):
    context: _Context
    value: _Account


class _AccountParams(Struct):
    result: _AccountResult
    subscription: _Number


class _SlotResult(Struct):
    slot: _Slot
    parent: _Slot
    root: _Slot


class _SlotParams(Struct):
    result: _SlotResult
    subscription: _Number


class _Accounts(Struct):
    context: _Context
    value: list[_Account | None]


def heard(data: bytes) -> RpcMessage:
    """One message of a websocket. Raises BadMessage."""
    if (found := read_told(data)) is not None:  # as nearly all that is heard
        subscription, slot, owner, held, lamports = found
        _check_owner(owner, data)
        if not lamports:
            owner, held = CLOSED_ACCOUNT
        return AccountTold(subscription, slot, owner, held)
    envelope = _envelope(data)
    if envelope.error is not None:
        return RpcRefusal(envelope.id, envelope.error.code, envelope.error.message)
    if envelope.method == "accountNotification":
        return _account_told(_of(envelope.params, _AccountParams, data), data)
    if envelope.method == "slotNotification":
        told = _of(envelope.params, _SlotParams, data)
        at = told.result
        return SlotTold(told.subscription, at.slot, at.parent, at.root)
    if envelope.method:
        raise BadMessage("a notification that was not asked for", raw=data)
    if envelope.id is None:
        raise BadMessage("an answer to no request", raw=data)
    result = _of(envelope.result, bool | _Number, data)
    if isinstance(result, bool):
        return Unsubscribed(envelope.id, result)
    return Subscribed(envelope.id, result)


def _account_told(of: _AccountParams, data: bytes) -> AccountTold:
    owner, held = _account(of.result.value, data)
    return AccountTold(of.subscription, of.result.context.slot, owner, held)


def answered(data: bytes, request_id: int, asked: Sequence[str]) -> AccountsRead | RpcRefusal:
    """The answer to getMultipleAccounts for these keys, in their order. Raises BadMessage."""
    envelope = _envelope(data)
    if envelope.error is not None:
        return RpcRefusal(envelope.id, envelope.error.code, envelope.error.message)
    if envelope.id != request_id:
        raise BadMessage("the answer to another request", wanted=request_id, raw=data)
    found = _of(envelope.result, _Accounts, data)
    if len(found.value) != len(asked):
        raise BadMessage("as many accounts as keys are wanted", wanted=len(asked), raw=data)
    accounts = {
        key: CLOSED_ACCOUNT if account is None else _account(account, data)
        for key, account in zip(asked, found.value, strict=True)
    }
    return AccountsRead(found.context.slot, accounts)


T = TypeVar("T")


def _envelope(data: bytes) -> _Envelope:
    envelope = _decoded(data, _Envelope, data)
    if envelope.jsonrpc != "2.0":
        raise BadMessage("JSON-RPC 2.0 is wanted", raw=data)
    return envelope


def _of(raw: Raw, kind: Any, data: bytes) -> Any:
    if not bytes(raw):
        raise BadMessage("neither a result nor an error", raw=data)
    return _decoded(raw, kind, data)


def _decoded(raw: bytes | Raw, kind: type[T], data: bytes) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not what a provider says: {error}", raw=data) from None


def _account(account: _Account, data: bytes) -> tuple[str, bytes]:
    held, encoding = account.data
    if encoding != ENCODING:
        raise BadMessage("another encoding than was asked for", encoding=encoding, wanted=ENCODING)
    _check_owner(account.owner, data)
    if account.space is not None and account.space != len(held):
        raise BadMessage("an account that was cut", space=account.space, length=len(held))
    return (account.owner, held) if account.lamports else CLOSED_ACCOUNT


def _check_owner(owner: str, data: bytes) -> None:
    try:
        keys.raw(owner)
    except PoolRefusal as error:
        raise BadMessage(f"an owner that is none: {error}", raw=data) from None


def subscribe_account(request_id: int, key: str, commitment: str) -> bytes:
    settings = {"encoding": ENCODING, "commitment": commitment}
    return request(request_id, "accountSubscribe", [key, settings])


def unsubscribe_account(request_id: int, subscription: int) -> bytes:
    return request(request_id, "accountUnsubscribe", [subscription])


def subscribe_slots(request_id: int) -> bytes:
    return request(request_id, "slotSubscribe", [])


def read_accounts(
    request_id: int, asked: Sequence[str], commitment: str, slot_min: int = 0
) -> bytes:
    """getMultipleAccounts, from a node that has reached this slot at least."""
    if not 0 < len(asked) <= KEYS_MAX:
        raise ValueError(f"1 to {KEYS_MAX} keys at once, not {len(asked)}")
    settings: dict[str, object] = {"encoding": ENCODING, "commitment": commitment}
    if slot_min:
        settings["minContextSlot"] = slot_min
    return request(request_id, "getMultipleAccounts", [list(asked), settings])


def request(request_id: int, method: str, params: Sequence[object]) -> bytes:
    """Any call, for whoever reads its result by `result_of`."""
    asked = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return msgspec.json.encode(asked)


def result_of(data: bytes, request_id: int) -> Raw | RpcRefusal:
    """What a call was answered, not read yet. Raises BadMessage."""
    envelope = _envelope(data)
    if envelope.error is not None:
        return RpcRefusal(envelope.id, envelope.error.code, envelope.error.message)
    if envelope.id != request_id:
        raise BadMessage("the answer to another request", wanted=request_id, raw=data)
    if not bytes(envelope.result):
        raise BadMessage("neither a result nor an error", raw=data)
    return envelope.result


def batches(of_pools: Iterable[Iterable[str]]) -> list[list[str]]:
    """Keys for as few requests as hold all accounts of a pool in one, so that they are of one slot;
    a key that several pools need may be asked for more than once."""
    found: list[dict[str, None]] = []
    for wanted in of_pools:
        named = dict.fromkeys(wanted)
        if len(named) > KEYS_MAX:
            raise ValueError(f"a pool of {len(named)} accounts, more than {KEYS_MAX}")
        if not found or len(found[-1] | named) > KEYS_MAX:
            found.append({})
        found[-1] |= named
    return [list(batch) for batch in found if batch]
