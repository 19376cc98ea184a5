"""What all pools have in common: where accounts are looked up, who may swap what, and what a quote
is.

A program's file decodes its accounts and knows its own maths on what arrives at the pool and what
leaves it; here stands what is round about: both legs' transfer fees, and amounts that cannot be.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from operator import index
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from spread_scanner.solana import keys, tokens
from spread_scanner.solana._kept import KeptBytes
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenBalance, TokenMint

Decoded = TypeVar("Decoded")
Accounts = Mapping[str, tuple[str, bytes]]  # by key: who owns the account, and its bytes
U64_MAX = 2**64 - 1
RATE_ALL = 1_000_000  # of what Raydium's and Orca's rates of fees are parts


class PoolQuote(Struct, frozen=True):
    """What a swap of this amount would do now, in the smallest units of each token.

    `amount_in` leaves the user's account and `amount_out` arrives there, with both transfer fees in
    them.
    """

    amount_in: int
    amount_out: int
    fee: int  # of the pool, in the token that `fee_on_input` tells
    fee_on_input: bool
    transfer_fee_in: int
    transfer_fee_out: int
    crossed: int  # ticks or bins or orders that the price went through


class Filled(Struct, frozen=True):
    """What arrives at the pool and leaves it, its fee included, before any transfer fee."""

    amount_in: int
    amount_out: int
    fee: int
    fee_on_input: bool = True
    crossed: int = 0


# What a swap changes of what is shown: Pool.price_ratio, reserves and liquidity.
SwapTold = tuple[tuple[int, int], tuple[int, int], int | None]


class PoolSight(NamedTuple):
    """How a pool is looked at again after a swap: the accounts that are the same, those of which
    some bytes are, and what the others tell then; None: all is to be decoded."""

    fixed: tuple[str, ...]
    kept: dict[str, KeptBytes]
    told: Callable[[dict[str, tuple[str, bytes]]], SwapTold | None]


class Pool(ABC):
    """A pool with every account that its price needs, decoded. Token 0 and 1 are in the pool's
    order.
    """

    def __init__(self, mints: tuple[str, str], token_mints: tuple[TokenMint, TokenMint]) -> None:
        self.mints, self._token_mints = mints, token_mints

    @property
    def decimals(self) -> tuple[int, int]:
        return self._token_mints[0].decimals, self._token_mints[1].decimals

    def token_mints(self) -> tuple[TokenMint, TokenMint]:
        """Both mints: what is kept of transfers."""
        return self._token_mints

    @abstractmethod
    def reserves(self) -> tuple[int, int]:
        """What price and sizes come from; virtual ones where liquidity is concentrated."""

    def depth(self) -> tuple[int, int]:
        """About what there is of each token to be swapped against, further from the price too."""
        return self.reserves()

    def liquidity(self) -> int | None:
        """At the price, in the program's own unit; None where it has no such thing."""
        return None

    def fee_rate(self) -> float | None:
        """What is taken of a swap, as a fraction, without what volatility adds; None where that
        is not known."""
        return None

    @abstractmethod
    def price_ratio(self, unix_ts: int = 0, slot: int = 0) -> tuple[int, int]:
        """Token 1 per token 0 in smallest units, as numerator and denominator; only an order book
        asks when.
        """

    def sight(self, key: str) -> PoolSight | None:
        """How this one, which stands under the key, is looked at again; None: by decoding it."""
        return None

    def follow(self, before: "Pool") -> None:
        """Take over what was worked out of the same pool before a swap, which has written nothing
        but what PoolSight says: arrays are the same."""
        return

    @abstractmethod
    def check_open(self, unix_ts: int, slot: int) -> None:
        """Refuse while the pool does not trade."""

    def moment(self, unix_ts: int, slot: int) -> Hashable:
        """What of this second and slot a swap depends on: while that is the same, and the pool, so
        is every swap."""
        return unix_ts, slot

    @abstractmethod
    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        """Token 0 in (down) or token 1 in. What cannot be filled as a whole is refused."""


REMEMBERED_MAX = 512  # accounts of a program whose state is kept
PRICES_MAX = 16_384  # of a program's ticks or bins that are kept: some 200 bytes each


def remembered(decode: Callable[[bytes], Decoded]) -> Callable[[bytes], Decoded]:
    """The same decoder, which knows bytes again: of a pool's accounts few change in a slot."""
    return lru_cache(maxsize=REMEMBERED_MAX)(decode)


ASKED_IN_TURN = 16_384  # questions, after which accounts that none was of are forgotten


class LastSeen(Generic[Decoded]):
    """What the last bytes of each account came to, for arrays: one has 10 KB, so that neither what
    it was before is kept, nor, for longer than two turns, arrays that a price has left."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[bytes, Decoded]] = {}
        self._earlier: dict[Hashable, tuple[bytes, Decoded]] = {}  # not asked for in this turn
        self._asked = 0

    def of(self, account: Hashable, data: bytes, read: Callable[[bytes], Decoded]) -> Decoded:
        """The same as `read` of the bytes, whose refusals are raised each time."""
        self._asked += 1
        if self._asked > ASKED_IN_TURN or len(self._kept) > REMEMBERED_MAX:
            self._earlier, self._kept, self._asked = self._kept, {}, 1
        kept = self._kept.get(account) or self._earlier.pop(account, None)
        found = kept[1] if kept is not None and kept[0] == data else read(data)
        self._kept[account] = data, found  # the very bytes that whoever asks holds, too
        return found

    def __len__(self) -> int:
        return len(self._kept) + len(self._earlier)


def bytes_of(accounts: Accounts, key: str, owner: str | tuple[str, ...], what: str) -> bytes:
    """The bytes of an account that has to be there and belong to this program, or one of these."""
    found = accounts.get(key)
    if found is None:
        raise PoolRefusal(PoolReason.MISSING, wanted=what, key=key)
    if found[0] not in (owner if isinstance(owner, tuple) else (owner,)):
        raise not_of_program(found, wanted=what, key=key, owner=found[0], allowed=owner)
    return found[1]


def not_of_program(account: tuple[str, bytes], **evidence: object) -> PoolRefusal:
    """Of an account that no program is asked to read which has to: whose it is, or that it is
    nobody's, as it does not exist."""
    absent = account == (keys.SYSTEM, b"")
    return PoolRefusal(PoolReason.ABSENT if absent else PoolReason.WRONG_OWNER, **evidence)


def account_of(
    accounts: Accounts,
    key: str,
    owner: str | tuple[str, ...],
    decode: Callable[[bytes], object],
    kind: type[Decoded],
    what: str,
) -> Decoded:
    """An account of a program, decoded, which has to be of this kind of its accounts."""
    found = decode(bytes_of(accounts, key, owner, what))
    if not isinstance(found, kind):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted=what, key=key)
    return found


def vault_of(accounts: Accounts, key: str, mint: str) -> TokenBalance:
    """A pool's vault; a frozen one lets nothing out."""
    data = bytes_of(accounts, key, tokens.PROGRAMS, "vault")
    found = tokens.decode(accounts[key][0], data)
    if not isinstance(found, TokenBalance):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="vault", key=key)
    if found.mint != mint:
        raise PoolRefusal(PoolReason.WRONG_MINT, vault=key, mint=found.mint, wanted=mint)
    if found.frozen:
        raise PoolRefusal(PoolReason.CLOSED, frozen_vault=key)
    return found


def mint_of(accounts: Accounts, key: str) -> TokenMint:
    """A mint, from the accounts or of those that are known."""
    if key not in accounts and key in tokens.KNOWN_DECIMALS:
        return TokenMint(tokens.KNOWN_DECIMALS[key], 0)
    data = bytes_of(accounts, key, tokens.PROGRAMS, "mint")
    found = tokens.decode(accounts[key][0], data)
    if not isinstance(found, TokenMint):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="mint", key=key)
    return found


def price_of(pool: Pool, unix_ts: int = 0, slot: int = 0) -> float:
    """Token 1 per token 0 in whole tokens, to show; quotes are never made of it."""
    ratio = pool.price_ratio(unix_ts, slot)
    if ratio[1] == 0:
        raise PoolRefusal(PoolReason.TOO_MUCH, reserves=pool.reserves())
    return price_in_tokens(ratio, pool.decimals)


def price_in_tokens(ratio: tuple[int, int], decimals: tuple[int, int]) -> float:
    """The same of a ratio in smallest units, whose denominator is not 0."""
    (numerator, denominator), (decimals0, decimals1) = ratio, decimals
    try:
        return float(numerator * 10**decimals0 / (denominator * 10**decimals1))
    except OverflowError:
        raise PoolRefusal(PoolReason.BAD_VALUE, decimals=decimals, ratio=ratio) from None


def quote_of(
    pool: Pool, mint_in: str, amount: int, by_input: bool, unix_ts: int, slot: int
) -> PoolQuote:
    """What swapping exactly so much in, or out, would do in this slot."""
    amount, unix_ts, slot = _whole(amount), _whole(unix_ts), _whole(slot)
    mints = pool.mints
    if mint_in not in mints:
        raise PoolRefusal(PoolReason.WRONG_MINT, mint=mint_in, allowed=mints)
    if not 0 < amount <= U64_MAX:
        raise PoolRefusal(PoolReason.BAD_AMOUNT, amount=amount, allowed=f"1 to {U64_MAX}")
    pool.check_open(unix_ts, slot)
    down = mint_in == mints[0]
    epoch = tokens.epoch_of(slot)
    one, other = pool.token_mints()
    fee_in, fee_out = one.fee(epoch), other.fee(epoch)
    if not down:
        fee_in, fee_out = fee_out, fee_in
    if by_input:
        arrives = _some(amount - fee_in.of(amount))
        filled = pool.swap(down, arrives, True, unix_ts, slot)
        # An order book takes whole lots: what it leaves is not sent, and pays no transfer fee.
        all_sent = filled.amount_in == arrives
    else:
        filled = pool.swap(down, amount + fee_out.on_top_of(amount), False, unix_ts, slot)
        all_sent = False
    paid = amount if all_sent else filled.amount_in + fee_in.on_top_of(filled.amount_in)
    gross = filled.amount_out + (0 if filled.fee_on_input else filled.fee)
    if max(paid, gross) > U64_MAX:
        raise PoolRefusal(PoolReason.TOO_MUCH, amount=amount, amount_in=paid, amount_out=gross)
    kept_out = fee_out.of(filled.amount_out)
    if 0 < filled.amount_out <= kept_out:
        raise PoolRefusal(PoolReason.TOO_SMALL, amount_out=filled.amount_out, kept=kept_out)
    return PoolQuote(
        paid,
        filled.amount_out - kept_out,
        filled.fee,
        filled.fee_on_input,
        paid - filled.amount_in,
        kept_out,
        filled.crossed,
    )


def moment_of(pool: Pool, unix_ts: int, slot: int) -> Hashable:
    """What of this second and slot a quote depends on: fees on transfers go by the epoch."""
    return tokens.epoch_of(slot), pool.moment(unix_ts, slot)


def _whole(number: int) -> int:
    """As an integer without end: numpy's, whose products are cut off, are made one. What is none is
    refused."""
    if type(number) is int:
        return number
    try:
        return int(index(number))
    except TypeError:
        raise PoolRefusal(PoolReason.BAD_AMOUNT, number=number, allowed="an integer") from None


def _some(amount: int) -> int:
    if amount <= 0:
        raise PoolRefusal(PoolReason.TOO_SMALL, arrives=amount)
    return amount
