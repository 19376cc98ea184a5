"""Token transfers in a transaction, and whose each token account is. Pure.

A plain transfer does not name its mint: it is that of either account, as the balances before or
after tell it, or as the account was opened within the transaction.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from spread_scanner.errors import BadMessage
from spread_scanner.solana import keys, tokens
from spread_scanner.solana.frames import CallFrame
from spread_scanner.solana.layout import u64
from spread_scanner.solana.wire_transaction import WireTokenBalance

_TRANSFER, _CHECKED, _FEE_EXTENSION, _CHECKED_WITH_FEE = 3, 12, 26, 1
# Opening an account: whether its owner stands in the data, or is an account of the instruction.
_OPENS_BY_ACCOUNT, _OPENS_BY_DATA = (1,), (16, 18)


class TokenTransfer(Struct, frozen=True):
    """Tokens that went from account to account, in smallest units, as they were sent."""

    at: str
    source: str
    destination: str
    mint: str | None  # None: nobody tells
    amount: int
    fee: int | None  # that the mint kept of it; None: Token-2022 does not say


class TransferBook:
    """All transfers of a transaction, and what is known of token accounts."""

    def __init__(
        self,
        frames: Sequence[CallFrame],
        told: Iterable[WireTokenBalance],
        account_keys: Sequence[str],
    ) -> None:
        self.mints: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        for balance in told:
            if not 0 <= balance.accountIndex < len(account_keys):
                raise BadMessage("a balance of no account", place=balance.accountIndex)
            key = account_keys[balance.accountIndex]
            self.mints[key] = balance.mint
            if balance.owner:
                self.owners[key] = balance.owner
        ran = [one for frame in frames for one in frame.walk() if one.program in tokens.PROGRAMS]
        for one in ran:
            self._opened(one)
        self.by_frame: dict[str, list[TokenTransfer]] = {}
        for one in ran:
            if (transfer := self._transfer(one)) is not None:
                self.by_frame[one.at] = [transfer]

    def all(self) -> tuple[TokenTransfer, ...]:
        """In the order in which they ran."""
        return tuple(one for found in self.by_frame.values() for one in found)

    def _opened(self, frame: CallFrame) -> None:
        kind = frame.data[0] if frame.data else -1
        if kind in _OPENS_BY_ACCOUNT and len(frame.accounts) > 2:
            owner = frame.accounts[2]
        elif kind in _OPENS_BY_DATA and len(frame.data) == 1 + keys.KEY_BYTES:
            owner = keys.text(frame.data[1:])
        else:
            return
        self.mints.setdefault(frame.account(0), frame.account(1))
        self.owners.setdefault(frame.account(0), owner)

    def _transfer(self, frame: CallFrame) -> TokenTransfer | None:
        data, classic = frame.data, frame.program == keys.TOKEN
        if data[:1] == bytes([_TRANSFER]) and len(data) >= 9:
            source, destination = frame.account(0), frame.account(1)
            mint = self.mints.get(source) or self.mints.get(destination)
            amount, fee = u64(data, 1), 0 if classic else None
        elif data[:1] == bytes([_CHECKED]) and len(data) >= 9:
            source, mint, destination = (frame.account(place) for place in range(3))
            amount, fee = u64(data, 1), 0 if classic else None
        elif data[:2] == bytes([_FEE_EXTENSION, _CHECKED_WITH_FEE]) and len(data) >= 19:
            source, mint, destination = (frame.account(place) for place in range(3))
            amount, fee = u64(data, 2), u64(data, 11)
        else:
            return None
        for account in (source, destination):
            if mint is not None:
                self.mints.setdefault(account, mint)
        return TokenTransfer(frame.at, source, destination, mint, amount, fee)
