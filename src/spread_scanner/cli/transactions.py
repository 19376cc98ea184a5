"""What `spread-ctl tx` shows a person."""

from collections.abc import Iterator

from rich.console import Console

from spread_scanner.cli.console import grid
from spread_scanner.solana import keys, tokens
from spread_scanner.solana.frames import LogState
from spread_scanner.solana.swaps import SwapFee, SwapSeen
from spread_scanner.solana.transaction import JupiterRoute, OwnerChange, Transaction

LAMPORTS_PER_SOL_DIGITS = 9
KEY_LETTERS = 8  # of a key in a table; under --json all of it
COINS = {tokens.WSOL: "SOL", tokens.USDC: "USDC", tokens.USDT: "USDT"}


def tell(console: Console, found: Transaction) -> None:
    """Everything but the events."""
    for line in _head(found):
        console.print(line, markup=False)
    if found.swaps:
        columns = ["at", "program", "pool", "in>", "of", "out>", "of", "fee>", "state"]
        console.print(grid("Swaps", columns, (_swap(one) for one in found.swaps)))
    for route in found.routes:
        console.print(_route(route), markup=False)
    if found.owners:
        rows = (row for owner in found.owners for row in _owner(owner))
        console.print(grid("More or less than before", ["owner", "change>", "of"], rows))


def _head(found: Transaction) -> Iterator[str]:
    version = found.version if found.version == "legacy" else f"v{found.version}"
    state = "succeeded" if found.succeeded else f"failed: {found.error}"
    yield f"{found.signature} ({version}, slot {found.slot:,}) {state}"
    fee, tip = _sol(found.fee_lamports), _sol(found.priority_fee_lamports)
    units = "-" if found.compute_units is None else f"{found.compute_units:,}"
    yield f"Fee {fee} SOL, of which for priority {tip}; {units} compute units."
    if found.logs is not LogState.WHOLE:
        yield f"Its log is {found.logs}: what was said there and nowhere else is not known."
    if found.unknown_programs:
        yield f"Not read: {', '.join(found.unknown_programs)}."


def _sol(lamports: int) -> str:
    return f"{lamports / 10**LAMPORTS_PER_SOL_DIGITS:z.9f}"


def _name(key: str | None) -> str:
    if key is None:
        return "-"
    return COINS.get(key) or key[:KEY_LETTERS]


def _swap(one: SwapSeen) -> list[object]:
    known = len(one.program) < len(keys.SYSTEM)
    return [
        one.at,
        one.program if known else one.program[:KEY_LETTERS],
        _name(one.pool),
        one.amount_in,
        _name(one.mint_in),
        one.amount_out,
        _name(one.mint_out),
        _fees(one.fees),
        str(one.state),
    ]


def _fees(fees: tuple[SwapFee, ...] | None) -> str:
    if fees is None:
        return "-"
    return " + ".join(f"{one.amount:,} {_name(one.mint)}" for one in fees) or "0"


def _route(route: JupiterRoute) -> str:
    way = f"{_name(route.mint_in)} to {_name(route.mint_out)}"
    amounts = " for ".join(
        "-" if one is None else f"{one:,}" for one in (route.amount_out, route.amount_in)
    )
    return f"Jupiter {route.kind} at {route.at}: {way} in {len(route.hops)} hops, {amounts}."


def _owner(owner: OwnerChange) -> Iterator[list[object]]:
    name = owner.owner[:KEY_LETTERS]
    if owner.lamports:
        yield [name, owner.lamports, "lamports"]
    if owner.rent_lamports:
        yield [name, owner.rent_lamports, "lamports of rent"]
    for mint, change in owner.tokens.items():
        yield [name, change, f"wrapped {_name(mint)}" if mint == tokens.WSOL else _name(mint)]
