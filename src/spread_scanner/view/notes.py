"""What a signal, an evaluation or a spread says of itself besides its numbers, by name.

The engine sets these bits (schema/records.py); `--json` has the names, the screens their meaning.
"""

from spread_scanner.schema.records import (
    FOLLOW_UP_BOUNDED,
    FOLLOW_UP_TOP_DISAGREES,
    SIGNAL_AGED,
    SIGNAL_BASIS_UNKNOWN,
    SIGNAL_FUNDING_UNKNOWN,
    SIGNAL_LEG_LOST,
    SIGNAL_MINIMUM_UNKNOWN,
)

NAMES = {
    SIGNAL_MINIMUM_UNKNOWN: "minimum_unknown",
    SIGNAL_FUNDING_UNKNOWN: "funding_unknown",
    SIGNAL_BASIS_UNKNOWN: "basis_unknown",
    SIGNAL_LEG_LOST: "leg_lost",
    SIGNAL_AGED: "aged",
    FOLLOW_UP_BOUNDED: "bounded",
    FOLLOW_UP_TOP_DISAGREES: "top_disagrees",
}


def notes_of(flags: int) -> list[str]:
    """The names of the bits that are set, in their order of weight for a person."""
    return [name for bit, name in NAMES.items() if flags & bit]
