"""What leaving each pair usually earns, as the engine has kept it last (symbology/usual.py).

Read again only when the file is another; a file that is damaged or too old says nothing, as it does
to the engine.
"""

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.symbology import usual
from spread_scanner.symbology.usual import Usual, UsualError

USUAL_DTYPE = np.dtype(
    [
        ("usual_bps", "<f8"),  # NaN: not known
        ("parity_bps", "<f8"),
        ("credited_bps", "<f8"),  # what counts in place of both; NaN: they do
        ("learned", "<f8"),  # share of what makes it trusted; from 1 on it is
    ]
)


class UsualReader:
    """What is known now; `look` costs a stat while nothing has changed."""

    def __init__(self, settings: Settings) -> None:
        self._path = usual.path_of(settings)
        self._trust = settings.config.spread_engine.basis_trust_s
        self._stamp: tuple[int, int, int] | None = None
        self._found: Usual | None = None
        self._places: dict[str, int] = {}
        self._read_ns = self._age_ns = 0  # when it was read, and how old it was then

    def look(self, keys: Sequence[str]) -> npt.NDArray[np.void]:
        """(n,) USUAL_DTYPE of so many pairs, by what they really are (usual.pair_keys)."""
        self._renew()
        rows = np.zeros(len(keys), USUAL_DTYPE)
        rows["usual_bps"] = rows["parity_bps"] = rows["credited_bps"] = np.nan
        found = self._found
        if found is None or found.aged(self._now_wall_ns(found)) is None:
            return rows
        at = np.array([self._places.get(key, -1) for key in keys], int)
        known = at >= 0
        for name, values in (("usual_bps", found.exit_bps), ("parity_bps", found.parity_bps)):
            rows[name][known] = values[at[known]]
        if found.credited_bps is not None:
            rows["credited_bps"][known] = found.credited_bps[at[known]]
        rows["learned"][known] = found.weight[at[known]] / self._trust
        return rows

    @property
    def age_s(self) -> float | None:
        """How old what is kept is; None: nothing is, or it is damaged. Below zero: it was dated by
        a clock that has been set back since."""
        self._renew()
        if self._found is None:
            return None
        return (self._now_wall_ns(self._found) - self._found.wall_ns) / NS_PER_S

    def _now_wall_ns(self, found: Usual) -> int:
        """By the wall clock that dated the file: it may have been set since that was read."""
        return found.wall_ns + self._age_ns + clock.mono_ns() - self._read_ns

    @property
    def learned(self) -> tuple[int, int]:
        """Of how many pairs it is known, and of how many something is kept."""
        self._renew()
        found = self._found
        if found is None or found.aged(self._now_wall_ns(found)) is None:
            return 0, 0
        return int(np.count_nonzero(found.weight >= self._trust)), len(found.keys)

    def _renew(self) -> None:
        try:
            status = os.stat(self._path)
        except OSError:
            self._stamp, self._found = None, None
            return
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._found = usual.read(self._path)
        except UsualError:
            self._found = None
        self._read_ns = clock.mono_ns()
        self._age_ns = clock.wall_ns() - self._found.wall_ns if self._found else 0
        keys = self._found.keys if self._found is not None else ()
        self._places = {key: place for place, key in enumerate(keys) if key}
