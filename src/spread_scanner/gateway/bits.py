"""Which of some rows: a whole number's bits, the row that comes first as the lowest.

What each write to the store changes is few of many rows; numpy's masks of them cost a microsecond
a step whatever they hold, and bits the fraction of it.
"""

from collections.abc import Sequence

import numpy as np

from spread_scanner.schema.freshness import Mask

Bits = int
FEW = 32  # which are counted off faster than an array is made of them


def of_mask(mask: Mask) -> Bits:
    """Of (n,) bool."""
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def of_places(places: Sequence[int]) -> Bits:
    """Of their numbers."""
    if len(places) > FEW:
        mask = np.zeros(max(places) + 1, np.bool_)
        mask[places] = True
        return of_mask(mask)
    rows = 0
    for place in places:
        rows |= 1 << place
    return rows


def mask_of(rows: Bits, count: int) -> Mask:
    """As (count,) bool."""
    packed = np.frombuffer(rows.to_bytes((count + 7) // 8, "little"), np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").astype(np.bool_)


def places(rows: Bits) -> list[int]:
    """Their numbers, ascending."""
    if rows.bit_count() > FEW:
        return np.flatnonzero(mask_of(rows, rows.bit_length())).tolist()
    found = []
    while rows:
        lowest = rows & -rows
        found.append(lowest.bit_length() - 1)
        rows ^= lowest
    return found
