"""A wish that pairs be found anew, left as a file by who may start no process.

Who runs discovery acts on it: `up`, or systemd by spread-discovery.path, whose unit cannot read the
settings: under systemd the file is in the units' state folder, wherever data_dir is. Several wishes
before somebody acts are one.
"""

import os
from pathlib import Path

from msgspec import Struct

from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError

WISH_FILE = "discover.wanted"
STATE_VARIABLE = "STATE_DIRECTORY"  # set by systemd


class CannotWish(SpreadError):
    """The wish cannot be left."""


class DiscoveryWished(Struct, frozen=True, forbid_unknown_fields=True):
    """A wish that was left."""

    did: str
    file: str  # there until somebody acts on it


def wish(settings: Settings) -> DiscoveryWished:
    """Leave it. Raises CannotWish."""
    file = _file(settings)
    try:
        file.touch()
    except OSError as error:
        raise CannotWish(f"nobody can be asked: {error.strerror}", file=file) from None
    return DiscoveryWished("pairs are to be found anew: up or systemd begins", str(file))


def taken(settings: Settings) -> bool:
    """Whether there was a wish; it is the caller's to fulfil from now on."""
    try:
        _file(settings).unlink()
    except OSError:  # mostly: there is none
        return False
    return True


def _file(settings: Settings) -> Path:
    state = os.environ.get(STATE_VARIABLE)
    return (Path(state) if state else settings.data_dir) / WISH_FILE
