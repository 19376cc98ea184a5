"""A wish that pairs be found anew, left as a file by who may start no process.

Who runs discovery acts on it: `up`, or systemd by spread-discovery.path. Several wishes before it
does are one.
"""

from pathlib import Path

from msgspec import Struct

from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError

WISH_FILE = "discover.wanted"


class CannotWish(SpreadError):
    """The wish cannot be left."""


class DiscoveryWished(Struct, frozen=True, forbid_unknown_fields=True):
    """A wish that was left."""

    did: str
    file: str  # there until somebody acts on it


def wish(settings: Settings) -> DiscoveryWished:
    """Leave it. Raises CannotWish."""
    file = settings.data_dir / WISH_FILE
    try:
        file.touch()
    except OSError as error:
        raise CannotWish(f"nobody can be asked: {error.strerror}", file=file) from None
    return DiscoveryWished("pairs are to be found anew: up or systemd begins", str(file))


def taken(data_dir: Path) -> bool:
    """Whether there was a wish; it is the caller's to fulfil from now on."""
    try:
        (data_dir / WISH_FILE).unlink()
    except OSError:  # mostly: there is none
        return False
    return True
