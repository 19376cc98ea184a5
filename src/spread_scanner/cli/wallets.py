"""What `spread-ctl wallet` shows a person."""

from decimal import Decimal

from rich.console import Console

from spread_scanner.cli.console import grid
from spread_scanner.cli.transactions import KEY_LETTERS
from spread_scanner.solana import tokens
from spread_scanner.solana.wallets import TokenHolding, Wallet

SOL_DECIMALS = 9
COINS = {tokens.WSOL: "wrapped SOL", tokens.USDC: "USDC", tokens.USDT: "USDT"}


def tell(console: Console, found: Wallet) -> None:
    """Sums, then what is worth something, then how much dust there is."""
    console.print(f"{found.address} as of slot {found.slot:,}", markup=False)
    parts = (
        (found.lamports, "SOL"),
        (found.wrapped_lamports, "wrapped"),
        (found.rent_lamports, "rent of token accounts"),
        (found.reclaimable_lamports, "of that in empty ones"),
    )
    console.print(", ".join(f"{whole(of, SOL_DECIMALS)} {what}" for of, what in parts) + ".")
    shown = [one for one in found.holdings if not one.dust]
    if shown:
        columns = ["amount>", "of", "account", "program", "note"]
        console.print(grid("", columns, (_row(one) for one in shown)))
    if dust := len(found.holdings) - len(shown):
        what = "account" if dust == 1 else "accounts"
        console.print(f"{dust} {what} of dust or nothing; --json has all of them.")


def whole(units: int, decimals: int) -> str:
    """Smallest units as whole tokens, exactly."""
    text = f"{Decimal(units).scaleb(-decimals):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _row(one: TokenHolding) -> list[object]:
    amount = f"{one.amount:,} units" if one.decimals is None else whole(one.amount, one.decimals)
    notes = [*(["frozen"] if one.frozen else []), *one.extensions, *one.mint_extensions]
    if one.withheld:
        notes.append(f"{one.withheld:,} units withheld")
    mint, account = COINS.get(one.mint) or one.mint[:KEY_LETTERS], one.account[:KEY_LETTERS]
    return [amount, mint, account, one.program, ", ".join(notes)]
