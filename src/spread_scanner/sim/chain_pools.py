"""Pools of a pretend Solana: their accounts' bytes, and swaps by maths of its own, in fractions.

Raydium's AMM V4 (vaults alone are written by a swap), its CPMM (vaults, and what is owed in the
pool), and Orca's Whirlpool (price and liquidity in the pool, arrays of ticks around).
Written from the layouts' documentation; the product's decoders are held to it. A Whirlpool here has
one position over all prices, so that no swap crosses a tick; its price goes through arrays, some of
which are there, without a tick, and some are not.
"""

import copy
import math
import random
from decimal import Decimal, localcontext
from fractions import Fraction
from hashlib import sha256
from typing import NamedTuple, Self

from spread_scanner.sim.solana_keys import derived, named, raw
from spread_scanner.sim.swap_curves import exact_walk

SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
V4 = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
CPMM = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"
WHIRLPOOL = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"
MILLION = 1_000_000
Q64 = 1 << 64
TICKS = 88  # of an array
TICK_BYTES = 113
ROOT_MIN, ROOT_MAX = 4_295_048_016, 79_226_673_515_401_279_992_447_579_055  # of a Whirlpool's price
SWAPPED_USD_MAX = 30_000.0
SWAPPED_SHARE_MAX = 2e-3  # of a pool, where somebody minds what its coins are worth elsewhere

Account = tuple[str, bytes]


class Coin(NamedTuple):
    """A token, and about what one is worth."""

    name: str
    mint: str
    decimals: int
    usd: int | Fraction


USDC = Coin("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6, 1)
USDT = Coin("USDT", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", 6, 1)
BASES = (
    Coin("SOL", "So11111111111111111111111111111111111111112", 9, 150),
    Coin("RAY", "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R", 6, 3),
    Coin("ORCA", "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE", 6, 2),
    Coin("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6, 1),
)
OTHERS = (  # where exchanges say what they are worth
    Coin("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5, Fraction(1, 50_000)),
    Coin("WIF", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm", 6, 1),
)


def le(value: int, length: int) -> bytes:
    return value.to_bytes(length, "little", signed=value < 0)


def laid(length: int, *parts: tuple[int, bytes]) -> bytes:
    """So many bytes, zero but for these at their places."""
    data = bytearray(length)
    for at, part in parts:
        data[at : at + len(part)] = part
    return bytes(data)


def vault(mint: str, amount: int) -> Account:
    return TOKEN, laid(165, (0, raw(mint)), (64, le(amount, 8)), (108, b"\1"))


def down(value: Fraction) -> int:
    return math.floor(value)


def up(value: Fraction) -> int:
    return math.ceil(value)


class SimPool:
    """One pool: two coins, and what it holds of them in smallest units."""

    program, kind = "", ""

    def __init__(self, seed: int, number: int, coins: tuple[Coin, Coin], usd: int) -> None:
        self.key = named(seed, self.program, "pool", number)
        self.coins = coins
        self.vaults = tuple(named(seed, self.program, "vault", number, side) for side in (0, 1))
        self.usd = usd  # about what it holds of each coin
        self.amounts = [int(usd * 10**coin.decimals // coin.usd) for coin in coins]
        self.unix_s = 0  # of the chain's clock, by which some fees change

    def copied(self) -> Self:
        """As it stands now, to go back to."""
        found = copy.copy(self)
        found.__dict__ = {name: copy.copy(value) for name, value in self.__dict__.items()}
        return found

    def accounts(self) -> dict[str, Account]:
        """All that it needs."""
        return {
            key: vault(coin.mint, amount)
            for key, coin, amount in zip(self.vaults, self.coins, self.amounts, strict=True)
        }

    def arrays(self, around: int) -> dict[str, Account]:
        """Those around its price that are there."""
        return {}

    def everything(self, around: int) -> dict[str, Account]:
        """With the arrays."""
        return self.accounts() | self.arrays(around)

    def reserves(self) -> tuple[Fraction, Fraction]:
        """In smallest units; virtual ones where liquidity is concentrated."""
        return Fraction(self.amounts[0]), Fraction(self.amounts[1])

    def ratio(self) -> Fraction:
        """Token 1 per token 0 in smallest units."""
        reserve0, reserve1 = self.reserves()
        return reserve1 / reserve0

    def price(self) -> Fraction:
        """Token 1 per token 0 in whole tokens."""
        return self.ratio() * Fraction(10) ** (self.coins[0].decimals - self.coins[1].decimals)

    def quote(self, side: int, amount: int) -> int:
        """What so much of coin `side` gives of the other one; 0: nothing, or too much."""
        raise NotImplementedError

    def costs(self, side: int, amount: int) -> int:
        """What of coin `side` so much of the other one takes; 0: there is not so much."""
        raise NotImplementedError

    def swap(self, side: int, amount: int) -> None:
        """Do it."""
        out = self.quote(side, amount)
        self.amounts[side] += amount
        self.amounts[1 - side] -= out

    def some(self, rng: random.Random, usd_max: float = SWAPPED_USD_MAX) -> tuple[int, int]:
        """A swap that somebody may want: towards where the price began, more often than not."""
        worth = Fraction(self.coins[0].usd, self.coins[1].usd)
        side = 0 if rng.random() < (0.7 if self.price() > worth else 0.3) else 1
        usd = math.exp(rng.uniform(math.log(10), math.log(usd_max)))
        return side, int(usd * 10 ** self.coins[side].decimals / self.coins[side].usd) + 1

    def towards(self, price: float) -> tuple[int, int]:
        """About the swap after which a whole token 0 costs so many of token 1: side and amount, 0
        where there is none."""
        share = float(self.price()) / price
        side = 0 if share > 1 else 1
        depth = float(self.reserves()[side])
        return side, int(depth * (math.sqrt(share if side == 0 else 1 / share) - 1))


class SimAmm(SimPool):
    """Raydium's AMM V4: reserves are the vaults less what is owed; a swap writes the vaults."""

    program, kind = V4, "raydium-v4"
    fee = Fraction(25, 10_000)

    def __init__(self, seed: int, number: int, coins: tuple[Coin, Coin], usd: int) -> None:
        super().__init__(seed, number, coins, usd)
        self.owed = (12_345 + number, 67_890)

    def reserves(self) -> tuple[Fraction, Fraction]:
        return Fraction(self.amounts[0] - self.owed[0]), Fraction(self.amounts[1] - self.owed[1])

    def quote(self, side: int, amount: int) -> int:
        reserves = self.reserves()
        net = amount - up(amount * self.fee)
        into, out_of = reserves[side], reserves[1 - side]
        return down(out_of - into * out_of / (into + net))

    def costs(self, side: int, amount: int) -> int:
        return up(_taken_in(self.reserves(), side, amount) / (1 - self.fee))

    def accounts(self) -> dict[str, Account]:
        numbers = {
            **{0: 6, 32: self.coins[0].decimals, 40: self.coins[1].decimals},
            **{176: self.fee.numerator, 184: self.fee.denominator},
            **{192: self.owed[0], 200: self.owed[1]},
        }
        parts = [(at, le(number, 8)) for at, number in numbers.items()]
        keys = (*self.vaults, *(coin.mint for coin in self.coins))
        parts += [(336 + 32 * place, raw(key)) for place, key in enumerate(keys)]
        return {self.key: (V4, laid(752, *parts)), **super().accounts()}


class SimCpmm(SimPool):
    """Raydium's CPMM: a part of each fee is owed to protocol and fund, and stays in the vault."""

    program, kind = CPMM, "raydium-cpmm"
    rate, protocol, fund = 2_500, 120_000, 40_000

    def __init__(self, seed: int, number: int, coins: tuple[Coin, Coin], usd: int) -> None:
        super().__init__(seed, number, coins, usd)
        self.config = named(seed, "cpmm config")
        self.protocol_owed, self.fund_owed = [0, 0], [0, 0]

    def reserves(self) -> tuple[Fraction, Fraction]:
        held = zip(self.amounts, self.protocol_owed, self.fund_owed, strict=True)
        reserve0, reserve1 = (Fraction(amount - one - other) for amount, one, other in held)
        return reserve0, reserve1

    def _fee(self, amount: int) -> int:
        return up(Fraction(amount * self.rate, MILLION))

    def quote(self, side: int, amount: int) -> int:
        reserves = self.reserves()
        net = amount - self._fee(amount)
        into, out_of = reserves[side], reserves[1 - side]
        return down(out_of * (1 - into / (into + net)))

    def costs(self, side: int, amount: int) -> int:
        net = _taken_in(self.reserves(), side, amount)
        return up(Fraction(net * MILLION, MILLION - self.rate))

    def swap(self, side: int, amount: int) -> None:
        super().swap(side, amount)
        fee = self._fee(amount)
        self.protocol_owed[side] += down(Fraction(fee * self.protocol, MILLION))
        self.fund_owed[side] += down(Fraction(fee * self.fund, MILLION))

    def accounts(self) -> dict[str, Account]:
        keys = (
            *(self.config, SYSTEM, *self.vaults, named(self.key, "lp")),
            *(*(coin.mint for coin in self.coins), TOKEN, TOKEN, named(self.key, "observation")),
        )
        parts = [(8 + 32 * place, raw(key)) for place, key in enumerate(keys)]
        owed = (*self.protocol_owed, *self.fund_owed)
        parts += [(341 + 8 * place, le(amount, 8)) for place, amount in enumerate(owed)]
        parts += [(331, bytes(coin.decimals for coin in self.coins)), (0, kind_of("PoolState"))]
        rates = (self.rate, self.protocol, self.fund)
        config = [(12 + 8 * place, le(rate, 8)) for place, rate in enumerate(rates)]
        return {
            self.key: (CPMM, laid(637, *parts)),
            self.config: (CPMM, laid(236, (0, kind_of("AmmConfig")), *config)),
            **super().accounts(),
        }


class SimWhirlpool(SimPool):
    """Orca's Whirlpool: price and liquidity are the pool's own; vaults say nothing of either."""

    program, kind = WHIRLPOOL, "orca-whirlpool"
    spacing, rate = 2, 400

    def __init__(self, seed: int, number: int, coins: tuple[Coin, Coin], usd: int) -> None:
        super().__init__(seed, number, coins, usd)
        amount0, amount1 = self.amounts
        self.sqrt_price = math.isqrt(amount1 * Q64 * Q64 // amount0)
        self.liquidity = 20 * math.isqrt(amount0 * amount1)
        self.amounts = [20 * amount for amount in self.amounts]

    def reserves(self) -> tuple[Fraction, Fraction]:
        price = Fraction(self.sqrt_price, Q64)
        return self.liquidity / price, self.liquidity * price

    def ratio(self) -> Fraction:
        return Fraction(self.sqrt_price, Q64) ** 2

    def _after(self, side: int, net: int) -> int:
        """The root of the price when so much has come in: rounded up where it falls, and down."""
        if side == 0:
            return up(1 / (Fraction(1, self.sqrt_price) + Fraction(net, self.liquidity * Q64)))
        return self.sqrt_price + down(Fraction(net * Q64, self.liquidity))

    def _net(self, amount: int) -> int:
        return down(Fraction(amount * (MILLION - self.rate), MILLION))

    def quote(self, side: int, amount: int) -> int:
        after, before = self._after(side, self._net(amount)), self.sqrt_price
        if side == 0:
            return down(Fraction(self.liquidity * (before - after), Q64))
        return down(self.liquidity * Q64 * (Fraction(1, before) - Fraction(1, after)))

    def costs(self, side: int, amount: int) -> int:
        found = exact_walk(
            self.sqrt_price,
            [(ROOT_MIN if side == 0 else ROOT_MAX, 0)],
            self.liquidity,
            amount,
            Fraction(self.rate, MILLION),
            down=side == 0,
            by_input=False,
        )
        return found.amount_in if found.whole else 0

    def swap(self, side: int, amount: int) -> None:
        after = self._after(side, self._net(amount))
        super().swap(side, amount)
        self.sqrt_price = after

    def tick(self) -> int:
        """The highest whose price is no more than this one's."""
        with localcontext() as context:
            context.prec = 60
            root = Decimal(self.sqrt_price) / Decimal(Q64)
            return math.floor(2 * root.ln() / Decimal("1.0001").ln())

    def array(self, start: int) -> str:
        return derived([b"tick_array", raw(self.key), str(start).encode()], WHIRLPOOL)

    def accounts(self) -> dict[str, Account]:
        coin0, coin1 = self.coins
        parts = (
            (0, kind_of("Whirlpool")),
            (41, le(self.spacing, 2) + le(self.spacing, 2) + le(self.rate, 2)),
            (49, le(self.liquidity, 16) + le(self.sqrt_price, 16) + le(self.tick(), 4)),
            (101, raw(coin0.mint) + raw(self.vaults[0])),
            (181, raw(coin1.mint) + raw(self.vaults[1])),
        )
        return {self.key: (WHIRLPOOL, laid(653, *parts)), **super().accounts()}

    def arrays(self, around: int) -> dict[str, Account]:
        """Those around the price that are there: two of three."""
        width = TICKS * self.spacing
        own = self.tick() // width
        found = {}
        for number in range(own - around, own + around + 1):
            if number % 3:
                start = number * width
                parts = (8, le(start, 4)), (12 + TICKS * TICK_BYTES, raw(self.key))
                found[self.array(start)] = WHIRLPOOL, laid(9_988, (0, kind_of("TickArray")), *parts)
        return found


def _taken_in(reserves: tuple[Fraction, Fraction], side: int, amount: int) -> int:
    """Before any fee, for so much of the other coin, where the product of both stays; 0: there is
    not so much."""
    into, out_of = reserves[side], reserves[1 - side]
    return up(into * amount / (out_of - amount)) if amount < out_of else 0


def kind_of(name: str) -> bytes:
    """How an account of this kind begins."""
    return sha256(f"account:{name}".encode()).digest()[:8]
