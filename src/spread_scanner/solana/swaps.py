"""Swaps in a transaction: per swap the pool, the mints, what went in and came out, the fee. Pure.

Which accounts of an instruction are the pool and its vaults is the program's; amounts are those of
the token transfers into and out of the vaults, which no cut log loses, and where the program said
them, too, both have to agree. A swap of which neither is there has no amounts, never zero.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana.events import (
    SELF_CALL,
    PhoenixLog,
    ProgramEvent,
    RayLog,
    event_of,
    phoenix_log_of,
    ray_log_of,
)
from spread_scanner.solana.frames import CallFrame, FrameEnd
from spread_scanner.solana.transfers import TokenTransfer, TransferBook


class SwapState(StrEnum):
    """What became of a swap."""

    FILLED = "filled"
    REVERTED = "reverted"  # it was filled, and taken back with the whole transaction
    FAILED = "failed"  # it was refused itself
    UNTOLD = "untold"  # it ran, and neither transfers nor events tell of it: cut, or not recorded


class SwapFee(Struct, frozen=True):
    """What was kept of a swap, in smallest units of the mint."""

    mint: str | None
    amount: int


class SwapSeen(Struct, frozen=True):
    """One swap in one pool. `amount_in` leaves the user's account and `amount_out` arrives, with
    transfer fees in them; None: not told. `fees` None: not told either, as by old events."""

    at: str  # the instruction: "5" of the message, "5.3" called by that
    program: str  # as pools.toml has it, or the key of one that Jupiter alone tells of
    pool: str | None
    state: SwapState
    mint_in: str | None
    mint_out: str | None
    amount_in: int | None
    amount_out: int | None
    down: bool | None  # token 0 of the pool goes in
    fees: tuple[SwapFee, ...] | None
    transfer_fee_in: int | None
    transfer_fee_out: int | None
    agreed: bool | None  # what was transferred is what was said; None: only one of them is there


class _Legs(NamedTuple):
    """A pool in an instruction, and its vaults: in the pool's order, or by where the swap goes."""

    pool: str
    vaults: tuple[str, str]
    in_order: bool


class _Said(NamedTuple):
    """What a program said of a swap, as far as it did; amounts as they left and arrived."""

    amount_in: int | None = None
    amount_out: int | None = None
    fees: tuple[SwapFee, ...] | None = None
    transfer_fee_in: int | None = None
    transfer_fee_out: int | None = None
    down: bool | None = None


_Mints = tuple[str | None, str | None]  # in, out


class _Places(NamedTuple):
    """Where a pool's account and its vaults stand; those in the pool's order, or in the swap's."""

    pool: int
    vaults: tuple[int, int]
    in_order: bool = True


def _two(frame: CallFrame, places: _Places) -> _Legs:
    one, other = (frame.account(place) for place in places.vaults)
    return _Legs(frame.account(places.pool), (one, other), places.in_order)


_V4_IN_OLD, _V4_OUT_OLD, _V4_IN, _V4_OUT = 9, 11, 16, 17
_V4_SHORT = 17  # accounts of the old instruction without target orders


def _legs_v4(frame: CallFrame) -> list[_Legs]:
    tag = frame.data[0] if frame.data else -1
    if tag in (_V4_IN, _V4_OUT):
        return [_two(frame, _Places(1, (3, 4)))]
    if tag not in (_V4_IN_OLD, _V4_OUT_OLD):
        return []
    first = 4 if len(frame.accounts) == _V4_SHORT else 5
    return [_two(frame, _Places(1, (first, first + 1)))]


# By discriminator, a place for each pool that is swapped in.
_ByKind = dict[str, tuple[_Places, ...]]
_CLMM_KINDS = "f8c69e91e17587c8", "2b04ed0b1ac91e62"
_CPMM_KINDS = "8fbe5adac41e33de", "37d96256a34ab4ad"
_DLMM_KINDS = (
    *("f8c69e91e17587c8", "414b3f4ceb5b5b88", "fa49652126cf4bb8", "2bd7f784893cf351"),
    *("38ade6d0ade49ccd", "4a62c0d6b1334b33"),
)
_CLMM_PLACES: _ByKind = dict.fromkeys(_CLMM_KINDS, (_Places(2, (5, 6), False),))
_CPMM_PLACES: _ByKind = dict.fromkeys(_CPMM_KINDS, (_Places(3, (6, 7), False),))
_DLMM_PLACES: _ByKind = dict.fromkeys(_DLMM_KINDS, (_Places(0, (2, 3)),))
_WHIRLPOOL_PLACES: _ByKind = {
    "f8c69e91e17587c8": (_Places(2, (4, 6)),),
    "2b04ed0b1ac91e62": (_Places(4, (8, 10)),),
    # Two hops: the second form has the vaults by where the swap goes.
    "c360ed6c44a2dbe6": (_Places(2, (5, 7)), _Places(3, (9, 11))),
    "ba8fd11dfe02c275": (_Places(0, (9, 10), False), _Places(1, (11, 12), False)),
}


def _by_places(places: _ByKind) -> Callable[[CallFrame], list[_Legs]]:
    return lambda frame: [_two(frame, one) for one in places.get(frame.data[:8].hex(), ())]


_PHOENIX_SWAP = 0


def _legs_phoenix(frame: CallFrame) -> list[_Legs]:
    return [_two(frame, _Places(2, (6, 7)))] if frame.data[:1] == bytes([_PHOENIX_SWAP]) else []


class _Program(NamedTuple):
    name: str
    legs: Callable[[CallFrame], list[_Legs]]


PROGRAMS = {
    keys.RAYDIUM_V4: _Program("raydium-v4", _legs_v4),
    keys.RAYDIUM_CLMM: _Program("raydium-clmm", _by_places(_CLMM_PLACES)),
    keys.RAYDIUM_CPMM: _Program("raydium-cpmm", _by_places(_CPMM_PLACES)),
    keys.ORCA_WHIRLPOOL: _Program("orca-whirlpool", _by_places(_WHIRLPOOL_PLACES)),
    keys.METEORA_DLMM: _Program("meteora-dlmm", _by_places(_DLMM_PLACES)),
    keys.PHOENIX: _Program("phoenix", _legs_phoenix),
}


def events_in(frame: CallFrame) -> Iterator[ProgramEvent]:
    """What an instruction said itself, and by calls to itself, in order."""
    for child in frame.children:
        if child.program == frame.program and child.data.startswith(SELF_CALL):
            yield event_of(child.at, child.program, child.data[len(SELF_CALL) :])
    for data in frame.told:
        yield event_of(frame.at, frame.program, data)


def swaps_in(frame: CallFrame, book: TransferBook, failed: bool) -> list[SwapSeen]:
    """The swaps that an instruction is, not those of what it called. Raises BadMessage where it has
    too few accounts."""
    program = PROGRAMS.get(frame.program)
    if program is None:
        return []
    return [_seen(frame, program.name, legs, book, failed) for legs in program.legs(frame)]


def _seen(frame: CallFrame, name: str, legs: _Legs, book: TransferBook, failed: bool) -> SwapSeen:
    moved = [one for child in frame.walk() for one in book.by_frame.get(child.at, ())]
    into = [one for one in moved if one.destination in legs.vaults]
    out_of = [one for one in moved if one.source in legs.vaults]
    vault_in, vault_out = _way(legs, into, out_of)
    mints = _mint(book, vault_in, into), _mint(book, vault_out, out_of)
    said = _said(frame, legs, mints, moved)
    if vault_in is None and legs.in_order and said.down is not None:
        vault_in, vault_out = legs.vaults if said.down else legs.vaults[::-1]
        mints = book.mints.get(vault_in), book.mints.get(vault_out)
    sent = sum(one.amount for one in into) if into and out_of else None
    given = sum(one.amount for one in out_of) if into and out_of else None
    kept_in, kept_out = _kept(said.transfer_fee_in, into), _kept(said.transfer_fee_out, out_of)
    arrived = given if given is None else given - (kept_out or 0)
    told = said.amount_in is not None
    return SwapSeen(
        at=frame.at,
        program=name,
        pool=legs.pool,
        state=_state(frame, failed, sent is not None or told),
        mint_in=mints[0],
        mint_out=mints[1],
        amount_in=said.amount_in if sent is None else sent,
        amount_out=said.amount_out if arrived is None else arrived,
        down=_down(legs, vault_in, mints, said),
        fees=said.fees,
        transfer_fee_in=kept_in,
        transfer_fee_out=kept_out,
        agreed=(sent, arrived) == said[:2] if told and sent is not None else None,
    )


def _state(frame: CallFrame, failed: bool, told: bool) -> SwapState:
    if frame.end is FrameEnd.FAILED:
        return SwapState.FAILED
    if not told:
        return SwapState.UNTOLD
    return SwapState.REVERTED if failed else SwapState.FILLED


def _way(
    legs: _Legs, into: list[TokenTransfer], out_of: list[TokenTransfer]
) -> tuple[str | None, str | None]:
    """The vault that the swap goes into, and the one that it comes out of."""
    if not legs.in_order:
        return legs.vaults
    if into:
        vault_in = into[0].destination
    elif out_of:
        vault_in = legs.vaults[out_of[0].source == legs.vaults[0]]
    else:
        return None, None
    return vault_in, legs.vaults[vault_in == legs.vaults[0]]


def _mint(book: TransferBook, vault: str | None, moved: list[TokenTransfer]) -> str | None:
    known = None if vault is None else book.mints.get(vault)
    return known or next((one.mint for one in moved if one.mint), None)


def _kept(said: int | None, moved: list[TokenTransfer]) -> int | None:
    """What a mint's own fee took: the classic program has none."""
    if said is not None:
        return said
    if not moved or any(one.fee is None for one in moved):
        return None
    return sum(one.fee or 0 for one in moved)


def _down(legs: _Legs, vault_in: str | None, mints: _Mints, said: _Said) -> bool | None:
    if said.down is not None:
        return said.down
    if legs.in_order:
        return None if vault_in is None else vault_in == legs.vaults[0]
    if mints[0] is None or mints[1] is None:
        return None
    return keys.raw(mints[0]) < keys.raw(mints[1])  # the pool's order


def _said(frame: CallFrame, legs: _Legs, mints: _Mints, moved: list[TokenTransfer]) -> _Said:
    if frame.program == keys.RAYDIUM_V4:
        log = ray_log_of(frame.logs)
        return _Said() if log is None else _of_ray_log(log, mints)
    if frame.program == keys.PHOENIX:
        logs = (
            phoenix_log_of(child.data) for child in frame.children if child.program == keys.PHOENIX
        )
        return next((_of_phoenix(log, legs, moved) for log in logs if log), _Said())
    for event in events_in(frame):
        read = _OF_EVENT.get((event.program, event.name))
        if read is not None and legs.pool in event.values.values():
            return read(event.values, mints)
    return _Said()


def _of_ray_log(log: RayLog, mints: _Mints) -> _Said:
    fee = log.fee()
    fees = None if fee is None else (SwapFee(mints[0], fee),)
    return _Said(log.amount_in, log.amount_out, fees, 0, 0, log.coin_in)


def _of_phoenix(log: PhoenixLog, legs: _Legs, moved: list[TokenTransfer]) -> _Said:
    """Lots are said, and not how large one is: what moved of the quote tells that."""
    quote = [one for one in moved if legs.vaults[1] in (one.source, one.destination)]
    units = sum(one.amount for one in quote)
    if not log.quote_lots or units % log.quote_lots or not units:
        return _Said()
    return _Said(fees=(SwapFee(quote[0].mint, log.fee_lots * (units // log.quote_lots)),))


def _of_clmm(values: dict[str, int | bool | str], mints: _Mints) -> _Said:
    down = bool(values["zero_for_one"])
    first, second = ("0", "1") if down else ("1", "0")
    amount_in, kept_in = int(values[f"amount_{first}"]), int(values[f"transfer_fee_{first}"])
    amount_out, kept_out = int(values[f"amount_{second}"]), int(values[f"transfer_fee_{second}"])
    fees = None
    if "trade_fee_0" in values:
        taken = zip(mints, (first, second), strict=True)
        found = (SwapFee(mint, int(values[f"trade_fee_{side}"])) for mint, side in taken)
        fees = tuple(one for one in found if one.amount)
    return _Said(amount_in + kept_in, amount_out - kept_out, fees, kept_in, kept_out, down)


def _of_cpmm(values: dict[str, int | bool | str], mints: _Mints) -> _Said:
    amount_in, kept_in = int(values["input_amount"]), int(values["input_transfer_fee"])
    amount_out, kept_out = int(values["output_amount"]), int(values["output_transfer_fee"])
    fees = None
    if "trade_fee" in values:
        creator_mint = mints[0] if values.get("creator_fee_on_input") else mints[1]
        found = (
            SwapFee(mints[0], int(values["trade_fee"])),
            SwapFee(creator_mint, int(values.get("creator_fee", 0))),
        )
        fees = tuple(one for one in found if one.amount)
    return _Said(amount_in + kept_in, amount_out - kept_out, fees, kept_in, kept_out)


def _of_whirlpool(values: dict[str, int | bool | str], mints: _Mints) -> _Said:
    kept_in, kept_out = int(values["input_transfer_fee"]), int(values["output_transfer_fee"])
    fee = int(values["lp_fee"]) + int(values["protocol_fee"])
    amounts = int(values["input_amount"]), int(values["output_amount"]) - kept_out
    return _Said(*amounts, (SwapFee(mints[0], fee),), kept_in, kept_out, bool(values["a_to_b"]))


def _of_dlmm(values: dict[str, int | bool | str], mints: _Mints) -> _Said:
    fees = (SwapFee(mints[0], int(values["fee"])),)
    amounts = int(values["amount_in"]), int(values["amount_out"])
    return _Said(*amounts, fees, down=bool(values["swap_for_y"]))


def _of_dlmm2(values: dict[str, int | bool | str], mints: _Mints) -> _Said:
    fee = sum(int(values[name]) for name in ("mm_fee", "protocol_fee", "limit_order_fee"))
    mint = mints[0] if values["fees_on_input"] else mints[1]
    down = bool(values["swap_for_y"])
    return _Said(fees=(SwapFee(mint, fee),), down=down)


_OF_EVENT = {
    (keys.RAYDIUM_CLMM, "SwapEvent"): _of_clmm,
    (keys.RAYDIUM_CPMM, "SwapEvent"): _of_cpmm,
    (keys.ORCA_WHIRLPOOL, "Traded"): _of_whirlpool,
    (keys.METEORA_DLMM, "Swap"): _of_dlmm,
    (keys.METEORA_DLMM, "Swap2Evt"): _of_dlmm2,
}
