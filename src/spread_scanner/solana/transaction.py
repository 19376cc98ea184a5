"""A transaction read whole: what it swapped, by which route, what it moved, what everybody has more
or less of. Pure.

`parse_transaction` takes getTransaction's answer in the encoding json, legacy or v0. What a node
refused, does not know or tells in another form is a BadMessage. A transaction that failed is read
as far as it ran; what it did was taken back, which each swap's state says.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from spread_scanner.errors import BadMessage
from spread_scanner.solana import keys, tokens, wire_transaction
from spread_scanner.solana.base58 import decode58
from spread_scanner.solana.events import JUPITER_V6, ProgramEvent
from spread_scanner.solana.frames import SIGNATURE_CHECKS, CallFrame, LogState, frames_of
from spread_scanner.solana.layout import u32, u64
from spread_scanner.solana.network_fees import SIGNATURE_LAMPORTS
from spread_scanner.solana.swaps import PROGRAMS, SwapSeen, SwapState, events_in, swaps_in
from spread_scanner.solana.transfers import TokenTransfer, TransferBook
from spread_scanner.solana.wire_transaction import WireMeta, WireTokenBalance

COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
SIGNATURE_BYTES = 64
_UNITS_LIMIT, _UNITS_PRICE = 2, 3
_KNOWN = {*PROGRAMS, *tokens.PROGRAMS, JUPITER_V6, keys.SYSTEM, COMPUTE_BUDGET, ASSOCIATED_TOKEN}
_ROUTES = {
    "e517cb977ae3ad2a": "route",
    "c1209b3341d69c81": "shared_accounts_route",
    "d033ef977b2bed5c": "exact_out_route",
    "b0d169a89a7d453e": "shared_accounts_exact_out_route",
    "bb64facc31c4af14": "route_v2",
    "d19853937cfed8e9": "shared_accounts_route_v2",
    "9d8ab85215f4f324": "exact_out_route_v2",
}


class JupiterRoute(Struct, frozen=True):
    """One route of Jupiter's: from the first hop's mint to the last one's. `hops` are places in the
    transaction's swaps, in their order; a route that is split has more hops than mints."""

    at: str
    kind: str
    hops: tuple[int, ...]
    mint_in: str | None
    mint_out: str | None
    amount_in: int | None
    amount_out: int | None


class OwnerChange(Struct, frozen=True):
    """What somebody has more of than before. `lamports` are those of the own account, fee paid;
    `rent_lamports` those that its token accounts hold beside wrapped SOL; tokens by mint, wrapped
    SOL among them."""

    owner: str
    lamports: int
    rent_lamports: int
    tokens: dict[str, int]

    @property
    def sol(self) -> int:
        """Lamports of any kind."""
        return self.lamports + self.rent_lamports + self.tokens.get(tokens.WSOL, 0)


class Transaction(Struct, frozen=True):
    """What a transaction did. `lamports_unaccounted`: what all accounts together have more or less
    of than the fee explains, always 0; `tokens_made` what they have more or less of a mint: minted,
    burned, or kept of transfers."""

    signature: str
    version: Literal["legacy"] | int
    slot: int
    block_time_s: int | None
    fee_payer: str
    error: str | None  # None: it succeeded
    logs: LogState
    fee_lamports: int
    priority_fee_lamports: int
    compute_units: int | None
    compute_units_limit: int | None  # as it was asked for; None: the usual
    compute_unit_price: int | None  # micro-lamports
    swaps: tuple[SwapSeen, ...]
    routes: tuple[JupiterRoute, ...]
    transfers: tuple[TokenTransfer, ...]
    events: tuple[ProgramEvent, ...]
    owners: tuple[OwnerChange, ...]
    lamports_unaccounted: int
    tokens_made: dict[str, int]
    unknown_programs: tuple[str, ...]  # that ran, and of which only what they call is read

    @property
    def succeeded(self) -> bool:
        return self.error is None


def is_signature(text: str) -> bool:
    """Whether a text names a transaction: base58 of 64 bytes."""
    try:
        return len(decode58(text)) == SIGNATURE_BYTES
    except BadMessage:
        return False


def parse_transaction(rpc_json: bytes | str | dict[str, Any] | list[Any]) -> Transaction:
    """getTransaction's answer, as text or decoded. Raises BadMessage."""
    found = wire_transaction.read(rpc_json)
    meta, account_keys = found.meta, found.keys()
    if meta is None:
        raise BadMessage("nothing is told of what became of it: no meta")
    if not account_keys or not found.transaction.signatures:
        raise BadMessage("a transaction that nobody signed")
    before, after = meta.preTokenBalances or [], meta.postTokenBalances or []
    frames, logs = frames_of(found, account_keys)
    book = TransferBook(frames, (*before, *after), account_keys)
    failed = meta.err is not None
    swaps, routes = _swaps_and_routes(frames, book, failed)
    limit, price = _budget(frames)
    signatures = found.transaction.message.header.numRequiredSignatures + _checked(frames)
    owners, unaccounted, made = _balances(meta, account_keys, book)
    ran = [one for frame in frames for one in frame.walk()]
    return Transaction(
        signature=found.transaction.signatures[0],
        version=found.version,
        slot=found.slot,
        block_time_s=found.blockTime,
        fee_payer=account_keys[0],
        error=msgspec.json.encode(meta.err).decode() if failed else None,
        logs=logs,
        fee_lamports=meta.fee,
        priority_fee_lamports=meta.fee - SIGNATURE_LAMPORTS * signatures,
        compute_units=meta.computeUnitsConsumed,
        compute_units_limit=limit,
        compute_unit_price=price,
        swaps=swaps,
        routes=routes,
        transfers=book.all(),
        events=tuple(event for one in ran for event in events_in(one)),
        owners=owners,
        lamports_unaccounted=unaccounted,
        tokens_made=made,
        unknown_programs=tuple(
            dict.fromkeys(one.program for one in ran if one.program not in _KNOWN)
        ),
    )


def _checked(frames: list[CallFrame]) -> int:
    """Signatures beside the transaction's own, which are paid for likewise."""
    checks = (one for one in frames if one.program in SIGNATURE_CHECKS)
    return sum(one.data[0] for one in checks if one.data)


def _budget(frames: list[CallFrame]) -> tuple[int | None, int | None]:
    limit = price = None
    for frame in frames:
        if frame.program == COMPUTE_BUDGET and len(frame.data) >= 5:
            if frame.data[0] == _UNITS_LIMIT:
                limit = u32(frame.data, 1)
            elif frame.data[0] == _UNITS_PRICE and len(frame.data) >= 9:
                price = u64(frame.data, 1)
    return limit, price


def _swaps_and_routes(
    frames: list[CallFrame], book: TransferBook, failed: bool
) -> tuple[tuple[SwapSeen, ...], tuple[JupiterRoute, ...]]:
    """In the order in which they ran."""
    swaps: list[SwapSeen] = []
    routes: list[JupiterRoute] = []

    def visit(frame: CallFrame) -> None:
        first = len(swaps)
        swaps.extend(swaps_in(frame, book, failed))
        told = {one.at: one for one in events_in(frame) if one.name == "SwapEvent"}
        for child in frame.children:
            seen = len(swaps)
            visit(child)
            last = frame.program == JUPITER_V6 and told.get(child.at)
            if last and last.values["amm"] not in PROGRAMS and seen == len(swaps):
                swaps.append(_told_by_jupiter(last, frame, failed))
        kind = _ROUTES.get(frame.data[:8].hex())
        if frame.program == JUPITER_V6 and kind is not None:
            routes.append(_route(frame.at, kind, first, swaps))

    for frame in frames:
        visit(frame)
    return tuple(swaps), tuple(routes)


def _told_by_jupiter(event: ProgramEvent, frame: CallFrame, failed: bool) -> SwapSeen:
    """A hop of a program that is not read here: its pool and fees are not told."""
    values = event.values
    state = SwapState.REVERTED if failed else SwapState.FILLED
    return SwapSeen(
        at=event.at,
        program=str(values["amm"]),
        pool=None,
        state=state,
        mint_in=str(values["input_mint"]),
        mint_out=str(values["output_mint"]),
        amount_in=int(values["input_amount"]),
        amount_out=int(values["output_amount"]),
        down=None,
        fees=None,
        transfer_fee_in=None,
        transfer_fee_out=None,
        agreed=None,
    )


def _route(at: str, kind: str, first: int, swaps: list[SwapSeen]) -> JupiterRoute:
    hops = swaps[first:]
    if not hops:
        return JupiterRoute(at, kind, (), None, None, None, None)
    mint_in, mint_out = hops[0].mint_in, hops[-1].mint_out
    # Of a cycle, what goes in before any comes back, and what comes out after the last went in.
    back = [at for at, one in enumerate(hops) if at and one.mint_out == mint_in]
    again = [at for at, one in enumerate(hops[:-1]) if one.mint_in == mint_out]
    entering = [one for one in hops[: min(back, default=None)] if one.mint_in == mint_in]
    leaving = [one for one in hops[max(again, default=0) :] if one.mint_out == mint_out]
    return JupiterRoute(
        at,
        kind,
        tuple(range(first, len(swaps))),
        mint_in,
        mint_out,
        _sum([one.amount_in for one in entering]),
        _sum([one.amount_out for one in leaving]),
    )


def _sum(amounts: list[int | None]) -> int | None:
    known = [one for one in amounts if one is not None]
    return sum(known) if len(known) == len(amounts) else None


def _balances(
    meta: WireMeta, account_keys: list[str], book: TransferBook
) -> tuple[tuple[OwnerChange, ...], int, dict[str, int]]:
    """Per owner, in the order of accounts; what of it the fee does not explain; and what there is
    more of a mint than before."""
    if not len(meta.preBalances) == len(meta.postBalances) == len(account_keys):
        raise BadMessage(
            "a balance before and after for each account is wanted",
            before=len(meta.preBalances),
            after=len(meta.postBalances),
            wanted=len(account_keys),
        )
    of_tokens = _token_changes(meta, account_keys)
    lamports: dict[str, list[int]] = {}
    held: dict[str, dict[str, int]] = {}
    made: dict[str, int] = {}
    for key, before, after in zip(account_keys, meta.preBalances, meta.postBalances, strict=True):
        mint = book.mints.get(key)
        owner = key if mint is None else book.owners.get(key, key)
        changed = of_tokens.get(key, 0)
        of_owner = lamports.setdefault(owner, [0, 0])
        wrapped = changed if mint == tokens.WSOL else 0
        of_owner[mint is not None] += after - before - wrapped
        if mint is not None and changed:
            of_mint = held.setdefault(owner, {})
            of_mint[mint] = of_mint.get(mint, 0) + changed
            made[mint] = made.get(mint, 0) + changed
    owners = tuple(
        OwnerChange(
            owner,
            of_lamports[0],
            of_lamports[1],
            {mint: change for mint, change in held.get(owner, {}).items() if change},
        )
        for owner, of_lamports in lamports.items()
        if any(of_lamports) or any(held.get(owner, {}).values())
    )
    unaccounted = sum(meta.postBalances) - sum(meta.preBalances) + meta.fee
    return owners, unaccounted, {mint: change for mint, change in made.items() if change}


def _token_changes(meta: WireMeta, account_keys: list[str]) -> dict[str, int]:
    """By token account; one that was opened or closed had nothing, or has nothing."""

    def units(balances: list[WireTokenBalance] | None) -> dict[str, int]:
        return {account_keys[one.accountIndex]: one.uiTokenAmount.units for one in balances or ()}

    before, after = units(meta.preTokenBalances), units(meta.postTokenBalances)
    return {key: after.get(key, 0) - before.get(key, 0) for key in {**before, **after}}
