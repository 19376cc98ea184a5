"""What is listed where, under which name and in which unit: the made-up markets of one seed.

Holds the naming traps of the real exchanges: multiplier prefixes and infixes, contract sizes, coins
that only look prefixed, one ticker for two coins, halted and dated and inverse rows. Read by the
market (prices), the REST and websocket dialects (formats) and the truth (which legs make a pair).
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from spread_scanner.schema.enums import (
    EXCHANGE_DIRECTIONS,
    EXCHANGE_SOURCES,
    Direction,
    Exchange,
    Market,
    Source,
)
from spread_scanner.sim._walk import Coin, Quoted

NAMES_SEED = 7  # Synthetic names and prices are the same in every run; a seed moves the markets.
LISTED_SHARE = 0.85
EVERYWHERE = 21  # the first coins of the catalog are on every source that may list them
CLASH_FACTOR = 1.10  # the second coin of a ticker stands this much higher
STABLE_PX = 1.0003
BASIS_KEEP = 0.9  # how much of a listing's distance to its coin remains at its next event
BASIS_BPS_MAX = 3.0
# The least that an order is worth, in quote currency, where the exchange has such a rule.
NOTIONAL_LEAST: Mapping[str, float] = {
    "binance-spot": 5.0, "binance-futures": 5.0,
    "bybit-spot": 5.0, "bybit-futures": 5.0, "mexc-spot": 1.0,
}  # fmt: skip
# By source_id, calm: how long before the envelope the engine's own time is (T, cts); 0: not said.
LAGS_MS = (0, 5, 3, 3, 0, 0, 5, 3)


class Known(NamedTuple):
    """A real coin, with the price it stands near. `only` limits it to some sources."""

    name: str
    price: float
    only: tuple[str, ...] = ()


# Ordered so that a small universe already holds the traps.
KNOWN: tuple[Known, ...] = (
    Known("BTC", 80350.0),
    Known("ETH", 2384.5),
    Known("SOL", 141.2),
    Known("PEPE", 3.919e-6),
    Known("SHIB", 5.477e-6),
    Known("1INCH", 0.0910),
    Known("AI", 0.0186),
    Known("TRUMP", 5.214),
    Known("DOGE", 0.0801),
    Known("BONK", 1.163e-5),
    Known("XRP", 1.902),
    Known("0G", 0.1641),
    Known("SATS", 1.18e-8, ("binance-spot", "binance-futures", "bybit-futures", "okx-spot")),
    Known(
        "BABYDOGE",
        3.81e-10,
        ("binance-spot", "binance-futures", "bybit-spot", "bybit-futures", "mexc-futures"),
    ),
    Known("币安人生", 0.1313, ("binance-spot", "binance-futures", "mexc-spot", "mexc-futures")),
    Known("4", 0.0277),
    Known("2Z", 0.1522),
    Known("67", 0.0193, ("mexc-spot", "mexc-futures", "bybit-futures")),
    Known("FLOKI", 2.716e-5),
    Known("LUNC", 5.52e-5),
    Known("XEC", 7.163e-6),
    *(
        Known(name, price)
        for name, price in {
            "ADA": 0.2161, "ALGO": 0.0916, "ANKR": 0.0041, "AAVE": 129.17, "APT": 0.581,
            "AR": 2.232, "AGLD": 0.1715, "API3": 0.2412, "ASTR": 0.00578, "APE": 0.144,
            "ARKM": 0.1152, "ATOM": 2.41, "AVAX": 9.83, "AXS": 1.02, "BCH": 412.6, "BNB": 871.3,
            "BLUR": 0.0312, "CAKE": 1.83, "CHZ": 0.0287, "COMP": 21.4, "CRV": 0.331,
            "DASH": 38.2, "DOT": 1.94, "DYDX": 0.218, "EGLD": 6.12, "ENA": 0.242, "ENJ": 0.0251,
            "ENS": 8.17, "ETC": 10.9, "ETHFI": 0.731, "FET": 0.242, "FIL": 1.21, "FLOW": 0.112,
            "GALA": 0.0061, "GMT": 0.0164, "GMX": 8.9, "GRT": 0.0372, "GTC": 0.0903,
            "HBAR": 0.1102, "HYPE": 31.4, "ICP": 3.02, "ICX": 0.0531, "IMX": 0.1323, "INJ": 3.91,
            "IOTA": 0.0844, "JASMY": 0.00583, "JTO": 0.361, "JUP": 0.183, "KAS": 0.0391,
            "KAVA": 0.0832, "KSM": 7.11, "LDO": 0.502, "LINK": 11.8, "LPT": 1.428, "LTC": 71.3,
            "MANA": 0.112, "MASK": 0.512, "MINA": 0.0713, "NEAR": 1.31, "NEO": 3.22,
            "NOT": 0.000531, "ONDO": 0.382, "OP": 0.262, "ORDI": 3.41, "PENDLE": 1.61,
            "PYTH": 0.0622, "QNT": 71.9, "RENDER": 1.52, "ROSE": 0.0132, "RUNE": 0.512,
            "SAND": 0.111, "SEI": 0.112, "SNX": 0.382, "STRK": 0.0812, "STX": 0.261,
            "SUI": 1.13, "TAO": 221.7, "THETA": 0.232, "TIA": 0.412, "TON": 1.32, "TRX": 0.331,
            "UNI": 4.82, "VET": 0.0101, "WIF": 0.312, "WLD": 0.501, "XLM": 0.201, "XMR": 391.0,
            "XTZ": 0.431, "YFI": 3120.0, "ZEC": 381.2, "ZIL": 0.00431, "ZRX": 0.131,
        }.items()
    ),
)  # fmt: skip

# Coins that one unit of the listing's base stands for, where it is not one.
MULTIPLIER: Mapping[tuple[str, str], int] = {
    ("binance-futures", "PEPE"): 1000,
    ("bybit-futures", "PEPE"): 1000,
    ("binance-futures", "SHIB"): 1000,
    ("bybit-futures", "SHIB"): 1000,
    ("binance-futures", "BONK"): 1000,
    ("bybit-futures", "BONK"): 1000,
    ("mexc-futures", "BONK"): 1000,
    ("binance-futures", "FLOKI"): 1000,
    ("bybit-futures", "FLOKI"): 1000,
    ("binance-futures", "LUNC"): 1000,
    ("binance-futures", "XEC"): 1000,
    ("binance-spot", "SATS"): 1000,
    ("binance-futures", "SATS"): 1000,
    ("bybit-futures", "SATS"): 10_000,
    ("binance-spot", "BABYDOGE"): 1_000_000,
    ("binance-futures", "BABYDOGE"): 1_000_000,
    ("bybit-futures", "BABYDOGE"): 1_000_000,
    ("mexc-futures", "BABYDOGE"): 1_000_000,
}
# Where the base is spelled by another rule than "<multiplier><coin>".
SPELLED: Mapping[tuple[str, str], str] = {
    ("bybit-futures", "SHIB"): "SHIB1000",
    ("binance-spot", "BABYDOGE"): "1MBABYDOGE",
    ("binance-futures", "BABYDOGE"): "1MBABYDOGE",
    ("mexc-futures", "TRUMP"): "TRUMPOFFICIAL",
}
CLASHES: Mapping[tuple[str, str], float] = {
    # source and ticker: there it is another coin, at this price
    ("okx-spot", "AI"): 0.0186 * CLASH_FACTOR,
    ("okx-futures", "AI"): 0.0186 * CLASH_FACTOR,
}


class Listing(Quoted):
    """One row of one source: its spelling, its units, and what the market says about it now.

    Prices are whole ticks and sizes whole lots; `px_pow` and `sz_pow` are the powers of ten that
    make decimals of them, `px_mul` and `sz_mul` bring those to one base unit. What moves stands in
    `Quoted`; `offset` is a planted leg's: the relative move of its prices.
    """

    def __init__(self, source: Source, coin: Coin, base: str, quote: str, multiplier: int) -> None:
        self.source = source
        self.source_id = source.source_id
        self.label = source.label
        self.coin = coin
        self.base = base
        self.quote = quote
        self.settle = quote
        self.base_name = coin.name
        self.kind = "perpetual" if source.market == Market.FUTURES else "spot"
        self.status = "trading"  # trading, halted, delisted
        self.quiet = False  # quoted by REST, silent on the websocket
        self.driven = False  # moved by a recording, not by the walk
        self.symbol = f"{coin.name}-{quote}"
        self.exchange_symbol = spelled_symbol(source, base, quote)
        self.px_mul = multiplier
        unit = coin.price_start * multiplier
        exponent = math.floor(math.log10(unit))
        self.px_decimals = max(4 - exponent, 1)
        self.px_pow = 10**self.px_decimals
        self.scale = float(multiplier * self.px_pow)  # from the coin's price to ticks
        self.contract_size, self.sz_decimals = _sizes(source, exponent)
        self.sz_pow = 10**self.sz_decimals
        self.sz_mul = self.contract_size * multiplier
        self.lots_typical = max(
            2000.0 / (unit * self.contract_size) * self.sz_pow, 1.0
        )  # about 2,000 of quote
        self.notional_least = NOTIONAL_LEAST.get(source.label, 0.0)
        self.padded = 8 if source.label == "binance-spot" else 0
        self.lags_ms = list(LAGS_MS)  # the universe's, once it is listed
        self.keep, self.limit, self.sway = BASIS_KEEP, BASIS_BPS_MAX * 1e-4, 1.0
        self.said_id = -1  # Bybit's repeats carry the engine's time of the first telling
        self.said_ms = 0

    @property
    def tick_size(self) -> str:
        return f"{1 / self.px_pow:.{self.px_decimals}f}"

    @property
    def lot_step(self) -> str:
        return f"{1 / self.sz_pow:.{self.sz_decimals}f}"

    @property
    def trading(self) -> bool:
        return self.status == "trading"

    @property
    def moves(self) -> bool:
        """Whether the market ever updates it."""
        return (
            self.trading
            and not self.quiet
            and self.kind in ("spot", "perpetual")
            and self.quote == "USDT"
        )


def _sizes(source: Source, exponent: int) -> tuple[float, int]:
    """Base units per unit of size, and decimals of a size."""
    if source.market == Market.FUTURES and source.exchange == Exchange.OKX:
        return float(f"1e{2 - exponent}") if exponent else 100.0, 2 if exponent >= 3 else 1
    if source.market == Market.FUTURES and source.exchange == Exchange.MEXC:
        return float(f"1e{-exponent}"), 0
    return 1.0, min(max(exponent + 1, 0), 6)


def spelled_symbol(source: Source, base: str, quote: str) -> str:
    """How the source writes a pair."""
    if source.exchange == Exchange.OKX:
        return f"{base}-{quote}" + ("-SWAP" if source.market == Market.FUTURES else "")
    if source.exchange == Exchange.MEXC and source.market == Market.FUTURES:
        return f"{base}_{quote}"
    return base + quote


def synthetic_names(count: int, taken: set[str]) -> Iterator[tuple[str, float]]:
    """Pronounceable tickers that are no known coin, with log-uniform prices."""
    rng = np.random.default_rng(NAMES_SEED)
    seen = set(taken)
    made = 0
    while made < count:
        parts = [
            "BCDFGKLMNPRSTVZ"[rng.integers(15)] + "AEIOU"[rng.integers(5)]
            for _ in range(int(rng.integers(2, 4)))
        ]
        name = "".join(parts)
        price = float(f"{10 ** rng.uniform(-3.5, 1.8):.4g}")
        if name not in seen and "USD" not in name:
            seen.add(name)
            made += 1
            yield name, price


class Universe:
    """All coins and listings of one seed."""

    def __init__(self, seed: int, symbols: int, *, stable: bool = False) -> None:
        """`stable`: Binance's spot market says what a USDC is in USDT."""
        self.seed = seed
        self.coins: list[Coin] = []
        self.listings: list[Listing] = []
        self.lags_ms = list(LAGS_MS)
        self.by_source: dict[str, list[Listing]] = {source.label: [] for source in EXCHANGE_SOURCES}
        self.by_name: dict[str, dict[str, Listing]] = {
            source.label: {} for source in EXCHANGE_SOURCES
        }
        rng = np.random.default_rng([seed, 1])
        self._list_coins(symbols, rng)
        self._make_quiet(rng)
        self._add_traps()
        if stable:
            coin = self._coin("USDC", STABLE_PX)
            coin.weight = self.coins[0].weight
            self.add(Listing(EXCHANGE_SOURCES[0], coin, "USDC", "USDT", 1))

    def _coin(self, name: str, price: float) -> Coin:
        rank = len(self.coins)
        coin = Coin(rank, name, price, 0.75 / (rank + 4) + 0.25 / 80)
        self.coins.append(coin)
        return coin

    def add(self, listing: Listing) -> Listing:
        listing.lags_ms = self.lags_ms
        self.listings.append(listing)
        self.by_source[listing.label].append(listing)
        self.by_name[listing.label][listing.exchange_symbol] = listing
        listing.coin.listings.append(listing)
        return listing

    def _list_coins(self, symbols: int, rng: np.random.Generator) -> None:
        taken = {known.name for known in KNOWN}
        pool = [*KNOWN, *(Known(n, p) for n, p in synthetic_names(symbols * 2, taken))]
        left = {source.label: symbols for source in EXCHANGE_SOURCES}
        for position, known in enumerate(pool):
            if not any(left.values()):
                return
            coin = None
            for source in EXCHANGE_SOURCES:
                drawn = rng.random() < LISTED_SHARE or position < EVERYWHERE
                allowed = not known.only or source.label in known.only
                if left[source.label] and drawn and allowed:
                    coin = coin or self._coin(known.name, known.price)
                    self.add(self._listing(source, coin))
                    left[source.label] -= 1

    def _listing(self, source: Source, coin: Coin) -> Listing:
        key = (source.label, coin.name)
        multiplier = MULTIPLIER.get(key, 1)
        base = SPELLED.get(key) or (f"{multiplier}{coin.name}" if multiplier > 1 else coin.name)
        if key in CLASHES:
            coin = self._namesake(coin.name, CLASHES[key])
        listing = Listing(source, coin, base, "USDT", multiplier)
        if key in CLASHES:
            listing.symbol = f"{coin.name}-USDT#namesake"  # a pair with nobody
        return listing

    def _namesake(self, name: str, price: float) -> Coin:
        """The other coin of a ticker; one for all its listings."""
        for coin in self.coins:
            if coin.name == name and coin.price_start == price:
                return coin
        return self._coin(name, price)

    def _make_quiet(self, rng: np.random.Generator) -> None:
        """One listing in fifty, from the tail, is silent on the websocket."""
        for source in EXCHANGE_SOURCES:
            tail = self.by_source[source.label][25:]
            for listing in tail:
                if rng.random() < 0.03:
                    listing.quiet = True

    def _add_traps(self) -> None:
        """Rows that discovery must leave out, on every source that has such rows."""
        by_name = {coin.name: coin for coin in reversed(self.coins)}
        major = [by_name[name] for name in ("BTC", "ETH", "SOL") if name in by_name]
        halted = self._coin("HALTED", 0.5)
        for source in EXCHANGE_SOURCES:
            row = self.add(Listing(source, halted, "HALTED", "USDT", 1))
            row.status = "halted"
            for coin in major[:2]:
                self._usdc(source, coin)
            if source.market == Market.FUTURES and major:
                self._inverse(source, major[0])
                self._dated(source, major[0])
        if "TRUMP" in by_name and "TRUMPOFFICIAL_USDT" in self.by_name["mexc-futures"]:
            other = self._coin("MAGATRUMP", 0.0412)
            self.add(Listing(EXCHANGE_SOURCES[7], other, "TRUMP", "USDT", 1))

    def _usdc(self, source: Source, coin: Coin) -> None:
        row = Listing(source, coin, coin.name, "USDC", 1)
        if source.label == "bybit-futures":
            row.exchange_symbol = f"{coin.name}PERP"
        self.add(row)

    def _inverse(self, source: Source, coin: Coin) -> None:
        if source.exchange in (Exchange.OKX, Exchange.MEXC):
            row = Listing(source, coin, coin.name, "USD", 1)
            row.kind, row.settle = "inverse", coin.name
            row.contract_size = 100.0
            self.add(row)

    def _dated(self, source: Source, coin: Coin) -> None:
        names = {Exchange.BINANCE: f"{coin.name}USDT_261225", Exchange.BYBIT: "BTCUSDT-25DEC26"}
        if source.exchange in names:
            row = Listing(source, coin, coin.name, "USDT", 1)
            row.kind = "dated"
            row.exchange_symbol = names[source.exchange]
            self.add(row)

    def pairs(self) -> Iterator[tuple[Direction, Listing, Listing]]:
        """Every (direction, spot leg, futures leg) that is one coin on two exchanges."""
        legs: dict[tuple[str, int], Listing] = {}
        for listing in self.listings:
            tradable = listing.trading and listing.kind in ("spot", "perpetual")
            if tradable and listing.quote == "USDT":
                legs[listing.label, listing.coin.number] = listing
        for coin in self.coins:
            for direction in EXCHANGE_DIRECTIONS:
                spot = legs.get((direction.spot.label, coin.number))
                futures = legs.get((direction.futures.label, coin.number))
                if spot is not None and futures is not None:
                    yield direction, spot, futures
