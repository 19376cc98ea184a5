"""A transaction as an RPC node tells it: the answer to getTransaction in the encoding `json`. Pure.

`read` takes the answer's text or what it was decoded to, with or without its envelope. What is
refused or not as documented is a BadMessage; what was not found is one, too.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from spread_scanner.errors import BadMessage
from spread_scanner.solana import keys
from spread_scanner.solana.pool import U64_MAX
from spread_scanner.solana.refusal import PoolRefusal

AMOUNT_DIGITS_MAX = 20  # a u64's
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # lamports, too: there are fewer
_Byte = Annotated[int, Meta(ge=0, le=255)]


class WireInstruction(Struct, frozen=True):
    """Program and accounts are places in the list of all keys."""

    programIdIndex: int  # noqa: N815
    accounts: list[int]
    data: str
    stackHeight: int | None = None  # noqa: N815


class WireInner(Struct, frozen=True):
    """What an instruction of the message called, in order."""

    index: int
    instructions: list[WireInstruction]


class WireAmount(Struct, frozen=True):
    amount: str
    decimals: _Byte

    @property
    def units(self) -> int:
        """In smallest units. Raises BadMessage."""
        if not (self.amount.isascii() and self.amount.isdigit()):
            raise BadMessage("an amount that is none", amount=self.amount[:AMOUNT_DIGITS_MAX])
        if len(self.amount) > AMOUNT_DIGITS_MAX or int(self.amount) > U64_MAX:
            raise BadMessage("an amount beyond 64 bits", digits=len(self.amount))
        return int(self.amount)


class WireTokenBalance(Struct, frozen=True):
    """A token account before or after; old nodes did not tell its owner."""

    accountIndex: int  # noqa: N815
    mint: str
    uiTokenAmount: WireAmount  # noqa: N815
    owner: str = ""


class WireLoaded(Struct, frozen=True):
    """Keys from lookup tables."""

    writable: list[str] = []
    readonly: list[str] = []


class WireMeta(Struct, frozen=True):
    """What became of the transaction."""

    fee: _Count
    preBalances: list[_Count]  # noqa: N815
    postBalances: list[_Count]  # noqa: N815
    err: Any = None
    innerInstructions: list[WireInner] | None = None  # noqa: N815
    logMessages: list[str] | None = None  # noqa: N815
    preTokenBalances: list[WireTokenBalance] | None = None  # noqa: N815
    postTokenBalances: list[WireTokenBalance] | None = None  # noqa: N815
    loadedAddresses: WireLoaded | None = None  # noqa: N815
    computeUnitsConsumed: _Count | None = None  # noqa: N815


class WireHeader(Struct, frozen=True):
    numRequiredSignatures: _Byte  # noqa: N815


class WireMessage(Struct, frozen=True):
    """What was signed."""

    accountKeys: list[str]  # noqa: N815
    instructions: list[WireInstruction]
    header: WireHeader


class WireSigned(Struct, frozen=True):
    signatures: list[str]
    message: WireMessage


class WireTransaction(Struct, frozen=True):
    """A confirmed transaction."""

    slot: _Count
    meta: WireMeta | None
    transaction: WireSigned
    version: Literal["legacy"] | int = "legacy"
    blockTime: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None  # noqa: N815

    def keys(self) -> list[str]:
        """Of all accounts, in the order in which instructions count them: the message's own, then
        those loaded as writable, then the others. Some tell all as the message's; there is a
        balance for each. Raises BadMessage where some are not told."""
        own = self.transaction.message.accountKeys
        if self.meta is None or len(own) == len(self.meta.preBalances):
            return own
        loaded = self.meta.loadedAddresses or WireLoaded()
        found = [*own, *loaded.writable, *loaded.readonly]
        wanted = len(self.meta.preBalances)
        if len(found) != wanted:
            raise BadMessage("keys of accounts are not told", keys=len(found), wanted=wanted)
        return found


def read(said: bytes | str | dict[str, Any] | list[Any]) -> WireTransaction:
    """Whatever of an answer somebody has. Raises BadMessage."""
    document: Any = said
    if isinstance(said, bytes | str):
        try:
            document = msgspec.json.decode(said)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raw = said if isinstance(said, bytes) else said.encode("utf-8", "replace")
            raise BadMessage(f"no JSON: {error}", raw=raw) from None
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if isinstance(document, dict) and isinstance(document.get("error"), dict):
        refused = document["error"]
        raise BadMessage("refused", code=refused.get("code"), said=str(refused.get("message")))
    if isinstance(document, dict) and "result" in document:
        document = document["result"]
    if document is None:
        raise BadMessage("no such transaction, or none that this node still knows")
    try:
        found = msgspec.convert(document, WireTransaction)
    except msgspec.ValidationError as error:
        raise BadMessage(f"not what getTransaction answers in the encoding json: {error}") from None
    if found.version not in ("legacy", 0):
        raise BadMessage("another version", version=found.version, allowed=("legacy", 0))
    _check_keys(found)
    return found


def _check_keys(found: WireTransaction) -> None:
    """Raises BadMessage for what is none."""
    named = {*found.transaction.message.accountKeys}
    if (meta := found.meta) is not None:
        loaded = meta.loadedAddresses or WireLoaded()
        named |= {*loaded.writable, *loaded.readonly}
        held = [*(meta.preTokenBalances or ()), *(meta.postTokenBalances or ())]
        named |= {key for one in held for key in (one.mint, one.owner or one.mint)}
    for key in named:
        try:
            keys.raw(key)
        except PoolRefusal:
            raise BadMessage("no key of Solana", key=key[: len(keys.SYSTEM) * 2]) from None
