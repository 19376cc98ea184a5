"""What leaving each pair usually earns, as the engine last adopted it: data_dir/usual.NAMESPACE.

Writer:  spread-engine, once a minute; a simulation, which seeds the history that it has made up.
Readers: the engine at its start, the screens, the alerts.

Kept by the coin and what is really listed on both legs, never by an id: a pair whose name, listing
or multiplier has changed begins anew, also where nobody was there to see it. A whole file or none:
it is written beside and renamed. One that is damaged is named (UsualError) and used by nobody; the
next write takes its place.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError
from spread_scanner.schema.costs import full_weight
from spread_scanner.schema.enums import SOURCES
from spread_scanner.symbology import sealed
from spread_scanner.symbology.tables import InstrumentRow, ListedPair, Tables, listed_pairs

PairNumbers = npt.NDArray[np.float64]
FORMAT = 3


class UsualError(SpreadError):
    """The file of what is usual cannot be read, or is damaged."""


class Usual(NamedTuple):
    """One generation, by pair: the weight of its looks, and their means in basis points."""

    generation: int
    wall_ns: int  # when it was adopted
    half_life_s: float
    keys: tuple[str, ...]
    weight: PairNumbers
    exit_bps: PairNumbers  # NaN where the weight is 0
    parity_bps: PairNumbers
    credited_bps: PairNumbers | None = None  # what leaving counts for in place of both; NaN: not

    def aged(self, now_wall_ns: int) -> PairNumbers | None:
        """The weights now; None: it is older than a half-life, and says nothing any more. One that
        lies as far ahead was dated by a clock that has been set back: nobody knows how old it is.
        """
        age_s = (now_wall_ns - self.wall_ns) / NS_PER_S
        if abs(age_s) > self.half_life_s:
            return None
        aged: PairNumbers = self.weight * 2.0 ** (-max(0.0, age_s) / self.half_life_s)
        return aged


class _File(msgspec.Struct, array_like=True):
    format: int
    generation: int
    wall_ns: int
    half_life_s: float
    keys: tuple[str, ...]
    numbers: bytes  # weights, exits, parities and what is credited, float64 each


def path_of(settings: Settings) -> Path:
    """Where it lies; beside it systems of other namespaces have theirs."""
    return settings.data_dir / f"usual.{settings.config.system.namespace}"


def pair_key(symbol: str, spot: InstrumentRow, futures: InstrumentRow) -> str:
    """What a pair really is: its coin, both listings, and what brings each to base units."""
    return f"{symbol} {_leg(spot)} {_leg(futures)}"


def keyed_pairs(tables: Tables) -> Iterator[tuple[str, ListedPair]]:
    """Each pair of listings that a direction may hold, after its key."""
    names = tables.symbol_names()
    for pair in listed_pairs(tables.instruments):
        yield pair_key(names.get(pair.symbol_id, ""), pair.spot, pair.futures), pair


def pair_keys(tables: Tables) -> dict[tuple[int, int], str]:
    """The key of each pair of listings that a direction may hold, by (direction_id, symbol_id)."""
    return {(pair.direction_id, pair.symbol_id): key for key, pair in keyed_pairs(tables)}


def write(path: Path, usual: Usual) -> None:
    """Put a generation in place of the one before. Raises OSError; that one stays then."""
    credited = usual.credited_bps
    if credited is None:
        credited = np.full(len(usual.keys), np.nan)
    columns = [usual.weight, usual.exit_bps, usual.parity_bps, credited]
    numbers = np.concatenate(columns).astype("<f8")
    body = msgspec.msgpack.encode(_File(FORMAT, *usual[:4], numbers.tobytes()))
    sealed.write(path, body)


def read(path: Path) -> Usual | None:
    """What was written last; None where there is nothing. Raises UsualError."""
    body = sealed.read(path, UsualError)
    if body is None:
        return None
    try:
        found = msgspec.msgpack.decode(body, type=_File)
        if found.format != FORMAT:
            raise UsualError("of another version", file=str(path), format=found.format)
        numbers = np.frombuffer(found.numbers, "<f8").reshape(4, len(found.keys))
    except (msgspec.DecodeError, ValueError) as error:
        raise UsualError(f"damaged: {error}", file=str(path)) from None
    return Usual(found.generation, found.wall_ns, found.half_life_s, found.keys, *numbers)


def seed(
    path: Path,
    tables: Tables,
    wall_ns: int,
    half_life_s: float,
    usually: Callable[[InstrumentRow, InstrumentRow], tuple[float, float] | None],
) -> int:
    """Write a history as if each pair had been fresh for ever; `usually` gives what leaving it
    earns and what its widths leave at parity, in basis points, or None: of this pair nothing is
    known. Returns of how many it is. Raises OSError."""
    known = {
        key: numbers
        for key, pair in keyed_pairs(tables)
        if (numbers := usually(pair.spot, pair.futures)) is not None
    }
    exits, parities = np.array(list(known.values()), float).reshape(-1, 2).T
    weight = np.full(len(known), full_weight(half_life_s))
    write(path, Usual(1, wall_ns, half_life_s, tuple(known), weight, exits, parities))
    return len(known)


def _leg(row: InstrumentRow) -> str:
    return f"{SOURCES[row.source_id].label}:{row.exchange_symbol}/{row.px_div:g}*{row.sz_mul:g}"
