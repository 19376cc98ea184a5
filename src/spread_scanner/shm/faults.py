"""What can go wrong with shared memory, each with its own class so that a caller can tell."""

from spread_scanner.errors import SegmentError, SpreadError


class NoSegment(SegmentError):
    """Nothing of that name exists: not started yet, or another namespace is meant."""


class NotReady(SegmentError):
    """The segment exists but its creator has not finished it, or died while making it."""


class WrongSegment(SegmentError):
    """The bytes are not what this version expects: magic, version, layout, sizes or checksum."""


class Retired(SegmentError):
    """The segment has been replaced by a newer instance: let go of it and attach again."""


class NoSpace(SegmentError):
    """/dev/shm is too full for the segment."""


class NoSharedMemory(SegmentError):
    """There is no /dev/shm, or it may not be written."""


class ForeignSegment(SegmentError):
    """The segment belongs to another user, who alone may read it."""


class AlreadyClaimed(SegmentError):
    """Another live process holds this one-writer place."""


class RingCorrupt(SegmentError):
    """The positions of a ring contradict each other: they were overwritten and are not followed."""


class BadNamespace(SegmentError):
    """A namespace or segment name with characters that are not allowed."""


class BadInput(SpreadError):
    """A quote, id or array that the store does not take. Nothing was written."""
