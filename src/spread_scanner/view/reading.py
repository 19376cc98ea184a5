"""What all records of the view have in common: typed, frozen, and exactly what their JSON says.

`spread-ctl X --json` prints one of them and nothing else, and so does every other door; what fields
they have is written down in docs/schema.json, from these very classes.
"""

import math

import numpy as np
import numpy.typing as npt
from msgspec import Struct


class Reading(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that was read, at one moment. A number that is not known is None, never zero."""


def known(value: float) -> float | None:
    """A number as a record has it: NaN in memory is None here, and null in JSON."""
    return None if math.isnan(value) else float(value)


def known_each(values: npt.NDArray[np.float64]) -> list[float | None]:
    """The same of many: there may be thousands, and few that are not known."""
    found: list[float | None] = values.tolist()
    for at in np.flatnonzero(np.isnan(values)).tolist():
        found[at] = None
    return found
