"""The commands that look at Solana itself: one transaction, one wallet.

Asked of the providers of pools.toml; feed-solana need not run, nor pools.toml be enabled. Wrong
words are a usage error, what no provider answers is exit code 1.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner import config
from spread_scanner.cli.check import recorded
from spread_scanner.cli.console import EXIT_CODES, Json, people, print_json
from spread_scanner.config import Settings, files


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("tx", tx),):
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
        said = asyncio.run(_told(settings, named))
    else:
        said = recorded(Path(named))
    found = parse_transaction(said)
    if as_json:
        print_json(found)
    else:
        tell(people(), found)


async def _told(settings: Settings, signature: str) -> bytes:
    """What the first provider that knows the transaction says of it. Raises NoProvider."""
    from spread_scanner.pools.calls import ProviderCalls

    how = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    async with ProviderCalls(settings) as calls:
        return bytes(await calls.ask("getTransaction", [signature, how], null_is_away=True))
