"""From an exchange's spelling of a coin to the coin: aliases, multiplier prefixes, and doubt.

"1000PEPE" is a thousand PEPE, "1INCH" is a coin, and no rule about letters can tell: so a prefix or
suffix only proposes. What decides, in this order: the settings, the exchange's own name for the
coin, prices on other listings, what an earlier set of tables held, a short table of coins that are
known to be sold by the thousand. Undecided stays as it is spelled.

Pure functions; read by discovery. `Coin.why` is for the report.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from spread_scanner.schema.figures import plain

NAN = math.nan

# How far a unit price may lie from another listing's for a prefix to be believed. Wider than the
# identity band, which judges the pair afterwards; far narrower than the next power of ten.
AGREES_PCT = 10.0

# A multiplier as it is written: a power of ten from a thousand up, or "1M", before or behind.
PREFIXED = re.compile(r"(10{3,9})(?=\D)(.+)")
MILLION = re.compile(r"(1M)(.{3,})")
SUFFIXED = re.compile(r"(.*\D)(10{3,9})")

UNDECIDED = "left as spelled"
RENAMED = {"XBT": "BTC", "XDG": "DOGE"}

# Coins whose single unit is too cheap to be listed everywhere. Asked last, when no price tells.
SOLD_IN_BULK = frozenset(
    {
        "AIDOGE", "APU", "BABYDOGE", "BOB", "BONK", "BTT", "BTTC", "CAT", "CHEEMS", "COQ",
        "ELON", "FLOKI", "LADYS", "LUNC", "MOG", "NEIROCTO", "PEIPEI", "PEPE", "PUMP",
        "RATS", "SATS", "SHIB", "STARL", "TOSHI", "TURBO", "WEN", "WHY", "X", "XEC",
    }
)  # fmt: skip


class Listing(NamedTuple):
    """What an exchange says of one instrument. `mid` is a REST mid price, NaN where unknown."""

    source: str
    exchange_symbol: str
    base: str
    quote: str
    base_name: str
    mid: float


class Coin(NamedTuple):
    """The coin behind a listing: one unit of its base is `multiplier` of `base`."""

    base: str
    multiplier: float
    why: str


class NameRules(NamedTuple):
    """The settings' alias and multiplier lists, and the coins of the previous tables."""

    alias: Mapping[str, str]  # "source:EXCHANGE_SYMBOL" or "source:BASE" to base
    multiplier: Mapping[str, float]  # "source:EXCHANGE_SYMBOL" to multiplier
    previous: Mapping[tuple[str, str], tuple[str, float]]  # (source, exchange symbol) to coin


def candidates(base: str) -> list[tuple[str, float]]:
    """What a spelling may mean besides itself: (coin, multiplier), without any judgement."""
    found: list[tuple[str, float]] = []
    if match := PREFIXED.fullmatch(base):
        found.append((match[2], float(match[1])))
    if match := MILLION.fullmatch(base):
        found.append((match[2], 1e6))
    if match := SUFFIXED.fullmatch(base):
        found.append((match[1], float(match[2])))
    return found


def spellings(
    source: str, exchange_symbol: str, base: str, base_name: str, rules: NameRules
) -> set[str]:
    """Every coin that a listing may come to, without a look at prices: for who asks whether it is
    worth looking.
    """
    listing = Listing(source, exchange_symbol, base, "", base_name, NAN)
    decided = _by_settings(listing, rules)
    if decided is not None:
        return {decided.base}
    bare = {_spelled(listing), base.strip().upper()}
    return bare | {coin for name in bare for coin, _ in candidates(name)}


def coins(listings: Sequence[Listing], rules: NameRules) -> list[Coin]:
    """The coin behind each listing, in the same order."""
    decided = [_by_settings(listing, rules) for listing in listings]
    prices = _unit_prices(listings, decided)
    found = [
        coin or _by_evidence(listing, rules, prices)
        for listing, coin in zip(listings, decided, strict=True)
    ]
    # A listing without a price follows those that are spelled like it and have one.
    told = {_spelled(row): coin for row, coin in zip(listings, found, strict=True) if row.mid > 0}
    return [
        told.get(_spelled(row), coin) if coin.why.startswith(UNDECIDED) else coin
        for row, coin in zip(listings, found, strict=True)
    ]


def _by_settings(listing: Listing, rules: NameRules) -> Coin | None:
    """What a person has written down is not argued with."""
    key = f"{listing.source}:{listing.exchange_symbol}"
    base = rules.alias.get(key) or rules.alias.get(f"{listing.source}:{listing.base}")
    multiplier = rules.multiplier.get(key)
    if base is not None:
        return Coin(base, multiplier or 1.0, "alias in the settings")
    if multiplier is None:
        return None
    spelled = _spelled(listing)
    for coin, written in candidates(spelled):
        if written == multiplier:
            return Coin(coin, multiplier, "multiplier in the settings")
    return Coin(spelled, multiplier, "multiplier in the settings")


def _spelled(listing: Listing) -> str:
    """The base to start from: the exchange's name for the coin before its ticker."""
    base = (listing.base_name or listing.base).strip().upper()
    return RENAMED.get(base, base)


class _Price(NamedTuple):
    """What one unit of a coin would cost, if the listing is read with this multiplier."""

    listing: Listing
    multiplier: float
    unit: float
    plain: bool  # read as it is spelled


# (coin, quote) to every reading of every listing that comes to that coin
_Prices = dict[tuple[str, str], list[_Price]]


def _unit_prices(listings: Sequence[Listing], decided: Sequence[Coin | None]) -> _Prices:
    prices: _Prices = defaultdict(list)
    for listing, coin in zip(listings, decided, strict=True):
        if not listing.mid > 0:
            continue
        spelled = _spelled(listing)
        readings = [(spelled, 1.0), *candidates(spelled)]
        if coin is not None:
            readings = [(coin.base, coin.multiplier)]
        for base, multiplier in readings:
            price = _Price(listing, multiplier, listing.mid / multiplier, base == spelled)
            prices[base, listing.quote].append(price)
    return prices


def _by_evidence(listing: Listing, rules: NameRules, prices: _Prices) -> Coin:
    spelled, bare = _spelled(listing), listing.base.strip().upper()
    why = "" if spelled == bare else f"another name for {listing.base}"
    asked = candidates(spelled)
    if not asked:
        for base, multiplier in candidates(bare):
            if base == spelled:  # ticker 1000BONK, and the exchange says that the coin is BONK
                return Coin(base, multiplier, why)
        return Coin(spelled, 1.0, why)
    disproved = False
    for base, multiplier in asked:
        verdict = _judged(listing, base, multiplier, prices)
        if verdict:
            return Coin(base, multiplier, verdict)
        disproved = disproved or verdict is not None
    known = rules.previous.get((listing.source, listing.exchange_symbol))
    if known is not None and known in [*asked, (spelled, 1.0)]:
        return Coin(*known, "as in the previous tables")
    for base, multiplier in asked:
        if base in SOLD_IN_BULK and not disproved:
            return Coin(base, multiplier, "known to be sold in bulk")
    doubt = "no listing of the bare coin agrees" if disproved else "nothing to compare it with"
    return Coin(spelled, 1.0, f"{UNDECIDED}: {doubt}")


def _judged(listing: Listing, base: str, multiplier: float, prices: _Prices) -> str | None:
    """Why a reading is right; "" if other listings speak against it; None if none speaks.

    Only readings with another multiplier say anything: that two listings called 1000X cost the
    same holds whatever X is.
    """
    if not listing.mid > 0:
        return None
    unit = listing.mid / multiplier
    heard = False
    for other in prices.get((base, listing.quote), []):
        if other.multiplier == multiplier or other.listing.source == listing.source:
            continue
        heard = heard or other.plain
        if max(unit / other.unit, other.unit / unit) <= 1 + AGREES_PCT / 100:
            return (
                f"its price is {plain(multiplier / other.multiplier, 15)} times that of "
                f"{other.listing.source}:{other.listing.exchange_symbol}"
            )
    return "" if heard else None
