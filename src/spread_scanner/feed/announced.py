"""What an exchange announced that still holds, over a restart: data_dir/halts.NAMESPACE.SOURCE.

Writer and reader: the source's feed. Replaced in one rename when it changes, a few times a day. One
that is missing or damaged, or that cannot be written, is as if nothing had been heard: what is
halted is then found by its silence, or by the next discovery.
"""

from pathlib import Path

import msgspec

from spread_scanner.config import Settings
from spread_scanner.exchanges.notices import Maintenance
from spread_scanner.schema.enums import Source
from spread_scanner.symbology.replacing import replace


class Announced(msgspec.Struct):
    """The file. `judgement`: of the tables that were in force, by which halts hold."""

    judgement: int = 0
    halted: dict[str, str] = {}  # by the exchange's spelling: the state in its word
    heard_ns: dict[str, int] = {}  # when that was heard, since 1970; an older version kept none
    maintenance: dict[str, Maintenance] = {}  # by the exchange's name for it, or its title


def path_of(settings: Settings, source: Source) -> Path:
    return settings.data_dir / f"halts.{settings.config.system.namespace}.{source.label}"


def read(path: Path) -> Announced:
    """Raises OSError or ValueError where there is something that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Announced)
    except FileNotFoundError:
        return Announced()
    except RecursionError as error:
        raise ValueError(f"damaged: {error}") from None


def write(path: Path, announced: Announced) -> None:
    """Replace the file, or remove it where nothing holds. Raises OSError."""
    if not announced.halted and not announced.maintenance:
        path.unlink(missing_ok=True)
        return
    replace(path, msgspec.json.encode(announced), synced=False)
