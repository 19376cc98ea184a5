"""What the last discovery knew beside its tables: every listing of every source, and its doubts.

Writer:  pair-discovery, as known.json of each set.
Readers: the next discovery; doctor and reload, which warn about settings that name nothing known.

A set without the file, or with one that cannot be read, is one that knows nothing: nobody fails for
it, and nothing is warned about.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.errors import TableError
from spread_scanner.schema.enums import DIRECTION_BY_LABEL
from spread_scanner.symbology.tables import CURRENT

KNOWN_JSON = "known.json"
LOOKS_JSON = "looks.json"
SETTINGS_FILES = ("directions.toml", "exchanges.toml")  # a warning about settings begins with one


class KnownListing(Struct, frozen=True, array_like=True):
    """One row of an exchange's list."""

    base: str  # as the exchange spells it
    symbol: str  # "BTC-USDT"; empty where nobody had to decide it
    trades: bool  # it was tradable, and of a kind that is taken


class Doubt(Struct, frozen=True):
    """A source that lost too much at once: when that was first seen, and what was left then."""

    since_wall_ns: int
    left: tuple[str, ...]


class KnownSource(Struct, frozen=True):
    """The listings by the exchange's spelling; empty where the source was never reached."""

    listings: dict[str, KnownListing] = {}
    doubt: Doubt | None = None

    @property
    def symbols(self) -> set[str]:
        return {row.symbol for row in self.listings.values() if row.symbol}


class Known(Struct, frozen=True):
    """known.json, by source label."""

    sources: dict[str, KnownSource] = {}

    def of(self, label: str) -> KnownSource:
        return self.sources.get(label, KnownSource())


class QuickLooks(Struct, frozen=True):
    """looks.json beside the sets: what quick looks found and did not take, and since when."""

    first_wall_ns: dict[str, int] = {}  # by "source:EXCHANGE_SYMBOL"


def load_looks(folder: Path) -> QuickLooks:
    """Of a generated folder; none where there are none."""
    try:
        return msgspec.json.decode((folder / LOOKS_JSON).read_bytes(), type=QuickLooks)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return QuickLooks()


def save_looks(folder: Path, looks: QuickLooks) -> None:
    """In one rename; its time says when the last look was. Raises TableError."""
    temporary = folder / f".tmp-{LOOKS_JSON}"
    try:
        temporary.write_bytes(msgspec.json.encode(looks))
        temporary.replace(folder / LOOKS_JSON)
    except OSError as error:
        raise TableError(f"cannot be written: {error.strerror}", file=temporary) from None


def looked_s_ago(folder: Path) -> float:
    """Wall time since the last quick look; infinite where there was none or it lies ahead."""
    try:
        age_s = clock.wall_ns() / NS_PER_S - (folder / LOOKS_JSON).stat().st_mtime
    except OSError:
        return math.inf
    return age_s if age_s >= 0 else math.inf


def load_known(folder: Path) -> Known:
    """Of the set in force below the generated folder; where there is none, one of no source."""
    try:
        return msgspec.json.decode((folder / CURRENT / KNOWN_JSON).read_bytes(), type=Known)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Known()


def encoded(known: Known) -> str:
    """The file's text, the same for the same content."""
    return msgspec.json.encode(known, order="sorted").decode() + "\n"


def idle_settings(settings: Settings, known: Known) -> list[str]:
    """Settings that name a listing, symbol or pair that no exchange has: likely a slip of the pen.

    A source that was never reached says nothing against a name, and is left out.
    """
    labels = [label for label, source in settings.exchanges.items() if source.enabled]
    told = {label: known.of(label) for label in labels if known.of(label).listings}
    rows = [*_idle_listings(settings, labels, told)]
    if labels and len(told) == len(labels):  # else the missing one might have it
        rows += _idle_symbols(settings, told)
    rows += _idle_pairs(settings, told)
    for label, source in told.items():
        symbols = source.symbols
        rows += [
            f'exchanges.toml [{label}] symbol_fees_bps "{symbol}" meets no listing there'
            for symbol in settings.exchanges[label].symbol_fees_bps
            if symbol not in symbols
        ]
    return rows


def _idle_listings(
    settings: Settings, enabled: list[str], told: dict[str, KnownSource]
) -> Iterator[str]:
    symbols = settings.directions.symbols
    rules = [("alias", key) for key in symbols.alias]
    rules += [("multiplier", key) for key in symbols.multiplier]
    rules += [("deny", key) for key in symbols.deny if ":" in key]
    for name, key in rules:
        label, _, spelled = key.partition(":")
        if label not in told:
            continue  # away so far, or not enabled
        listings = told[label].listings
        if spelled not in listings and all(row.base != spelled for row in listings.values()):
            yield f'directions.toml [symbols] {name} "{key}" meets no listing'


def _idle_symbols(settings: Settings, told: dict[str, KnownSource]) -> Iterator[str]:
    directions = settings.directions
    symbols = directions.symbols
    names = [("[symbol]", key) for key in directions.symbol]
    names += [("[symbols] allow", key) for key in symbols.allow]
    names += [("[symbols] deny", key) for key in symbols.deny if ":" not in key]
    names += [("[symbols] identity_band_pct", key) for key in symbols.identity_band_pct]
    listed = set[str]().union(*(source.symbols for source in told.values()))
    for where, key in names:
        if key not in listed:
            yield f'directions.toml {where} "{key}" meets no listing'


def _idle_pairs(settings: Settings, told: dict[str, KnownSource]) -> Iterator[str]:
    for key in settings.directions.pair:
        label, _, symbol = key.partition(":")
        direction = DIRECTION_BY_LABEL[label]
        legs = [leg.label for leg in (direction.spot, direction.futures)]
        for leg in legs:
            if leg in told and symbol not in told[leg].symbols:
                yield f'directions.toml [pair] "{key}" meets no listing: {leg} has no {symbol}'
                break
