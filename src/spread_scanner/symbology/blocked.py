"""Pairs that were implausible for so long that they are blocked: data_dir/blocked.NAMESPACE.

Writer:  spread-engine, whenever a pair is blocked or judged anew.
Readers: the engine at its start, spread-ctl why, the alerts.

Kept by the coin and what is really listed on both legs, never by an id: another name, listing or
multiplier is another pair. A whole file or none (sealed.py); one that is damaged is named
(BlockedError) and used by nobody: what is still absurd is blocked again within seconds. Rejected:
in the file of what is usual, which is written once a minute, ages, and is thrown away whole when
its format changes. This one is taken over: a block holds over an upgrade, too.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError
from spread_scanner.symbology import sealed

FORMAT = 2
NAMELESS_FORMAT = 1  # its keys were the listings alone; the symbol stands in each block


class BlockedError(SpreadError):
    """The file of what is blocked cannot be read, or is damaged."""


class KeptBlock(NamedTuple):
    """One pair's."""

    direction: str
    symbol: str
    gross_bps: float  # what it was then
    wall_ns: int  # when it was blocked
    judgement: int  # the set whose verdicts the tables were then


class _File(msgspec.Struct, array_like=True):
    format: int
    blocks: dict[str, KeptBlock]


def path_of(settings: Settings) -> Path:
    """Where it lies; beside it systems of other namespaces have theirs."""
    return settings.data_dir / f"blocked.{settings.config.system.namespace}"


def write(path: Path, blocks: dict[str, KeptBlock]) -> None:
    """Put these, by pair (usual.pair_key), in place of those before. Raises OSError."""
    sealed.write(path, msgspec.msgpack.encode(_File(FORMAT, blocks)))


def read(path: Path) -> dict[str, KeptBlock]:
    """What is blocked; nothing where there is no file. Raises BlockedError."""
    body = sealed.read(path, BlockedError)
    if body is None:
        return {}
    try:
        found = msgspec.msgpack.decode(body, type=_File)
    except msgspec.DecodeError as error:
        raise BlockedError(f"damaged: {error}", file=str(path)) from None
    if found.format == NAMELESS_FORMAT:
        return {f"{block.symbol} {key}": block for key, block in found.blocks.items()}
    if found.format != FORMAT:
        raise BlockedError("of another version", file=str(path), format=found.format)
    return found.blocks
