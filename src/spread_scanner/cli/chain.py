"""The commands that look at Solana itself: one transaction, one wallet.

Asked of the providers of pools.toml; feed-solana need not run, nor pools.toml be enabled. Wrong
words are a usage error, what no provider answers is exit code 1.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spread_scanner import config
from spread_scanner.cli.check import recorded
from spread_scanner.cli.console import EXIT_CODES, Json, people, print_json
from spread_scanner.config import Settings, files
from spread_scanner.errors import Unusable

if TYPE_CHECKING:
    from spread_scanner.solana.transaction import Transaction
    from spread_scanner.solana.wallets import Wallet


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("tx", tx), ("wallet", wallet)):
        app.command(name, epilog=EXIT_CODES)(command)


def tx(
    named: Annotated[
        str,
        typer.Argument(
            metavar="FILE|SIGNATURE",
            help="What getTransaction answered, - for stdin; or a signature, asked of the "
            "providers of pools.toml.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """A transaction of Solana: its swaps and routes, what they cost, who has what more or less."""
    settings = config.load()
    files.check_extra(settings)
    from spread_scanner.cli.transactions import tell
    from spread_scanner.solana import is_signature, parse_transaction

    if is_signature(named) and not Path(named).exists():
        found = asyncio.run(_told(settings, named))
    else:
        found = parse_transaction(recorded(Path(named)))
    if as_json:
        print_json(found)
    else:
        tell(people(), found)


def wallet(
    address: Annotated[str, typer.Argument(help="The owner's key.")],
    dust: Annotated[
        float, typer.Option(help="Whole tokens below which an amount is none.", min=0, max=1e18)
    ] = 0.001,
    as_json: Json = False,
) -> None:
    """What a wallet of Solana holds: SOL, as it is and wrapped, tokens of both programs, rent."""
    settings = config.load()
    files.check_extra(settings)
    from spread_scanner.cli.wallets import tell
    from spread_scanner.solana import PoolRefusal, keys

    try:
        keys.raw(address)
    except PoolRefusal:
        raise Unusable("no key of Solana: 32 bytes in base58", address=address) from None
    found = asyncio.run(_held(settings, address, dust))
    if as_json:
        print_json(found)
    else:
        tell(people(), found)


async def _held(settings: Settings, address: str, dust: float) -> "Wallet":
    from spread_scanner.pools.calls import ProviderCalls
    from spread_scanner.pools.wallet import scan

    async with ProviderCalls(settings) as calls:
        return await scan(calls, address, dust)


async def _told(settings: Settings, signature: str) -> "Transaction":
    """By the first provider that knows it. Raises NoProvider."""
    from spread_scanner.pools.calls import ProviderCalls
    from spread_scanner.solana import parse_transaction

    how = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    async with ProviderCalls(settings) as calls:
        return await calls.ask(
            "getTransaction",
            [signature, how],
            lambda said: parse_transaction(bytes(said)),
            null_is_away=True,
        )
