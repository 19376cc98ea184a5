"""What leaving each pair usually earns, as the engine last adopted it: data_dir/usual.NAMESPACE.

Writer:  spread-engine, once a minute; a simulation, which seeds the history that it has made up.
Readers: the engine at its start, the screens, the alerts.

Kept by the coin and what is really listed on both legs, never by an id: a pair whose name, listing
or multiplier has changed begins anew, also where nobody was there to see it. A whole file or none:
it is written beside and renamed. One that is damaged is named (UsualError) and used by nobody; the
next write takes its place.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
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
from spread_scanner.symbology.replacing import replace
from spread_scanner.symbology.tables import InstrumentRow, ListedPair, Tables, listed_pairs

PairNumbers = npt.NDArray[np.float64]
FORMAT = 4
ALONE_FORMAT = 3  # without what funding was expected to cost, and where it was adopted
BARRED = 128  # of the flags: the pair was blocked as implausible


class UsualCause(IntEnum):
    """What a generation was adopted for."""

    MINUTE = 0  # it was due
    RELOAD = 1
    START = 2


class UsualOrigin(NamedTuple):
    """Whose it is: what stood in force with it."""

    ts: int = 0  # when it was put in force, on the session clock; 0: not noted
    tables: int = 0  # their generation
    settings: int = 0  # their digest
    cause: UsualCause = UsualCause.MINUTE


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
    carry_bps: PairNumbers | None = None  # what funding was expected to cost; NaN: not noted
    flags: npt.NDArray[np.uint8] | None = None  # what all signals say, and BARRED
    origin: UsualOrigin = UsualOrigin()

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
    numbers: bytes  # weights, exits, parities, what is credited, what funding costs: float64 each
    flags: bytes = b""
    origin: UsualOrigin = UsualOrigin()


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
    replace(path, whole(usual))


def whole(usual: Usual) -> bytes:
    """A generation as its file has it, and the log."""
    nothing = np.full(len(usual.keys), np.nan)
    numbers = [usual.weight, usual.exit_bps, usual.parity_bps]
    numbers += [nothing if one is None else one for one in (usual.credited_bps, usual.carry_bps)]
    flags = np.zeros(len(usual.keys), np.uint8) if usual.flags is None else usual.flags
    columns = np.concatenate(numbers).astype("<f8").tobytes()
    made = _File(FORMAT, *usual[:4], columns, flags.tobytes(), usual.origin)
    return sealed.closed(msgspec.msgpack.encode(made))


def read(path: Path) -> Usual | None:
    """What was written last; None where there is nothing. Raises UsualError."""
    body = sealed.read(path, UsualError)
    if body is None:
        return None
    try:
        return _decoded(body)
    except UsualError as error:
        error.evidence["file"] = str(path)
        raise


def read_whole(raw: bytes) -> Usual:
    """The same of a whole file's bytes, as the log has it. Raises UsualError."""
    return _decoded(sealed.opened(raw, UsualError))


def _decoded(body: bytes) -> Usual:
    try:
        found = msgspec.msgpack.decode(body, type=_File)
        if found.format not in (FORMAT, ALONE_FORMAT):
            raise UsualError("of another version", format=found.format)
        alone = found.format == ALONE_FORMAT
        numbers = np.frombuffer(found.numbers, "<f8").reshape(4 if alone else 5, len(found.keys))
        flags = None if alone else np.frombuffer(found.flags, np.uint8).reshape(len(found.keys))
    except (msgspec.DecodeError, ValueError) as error:
        raise UsualError(f"damaged: {error}") from None
    carry = None if alone else numbers[4]
    of_pairs = (*numbers[:4], carry, flags, found.origin)
    return Usual(found.generation, found.wall_ns, found.half_life_s, found.keys, *of_pairs)


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
