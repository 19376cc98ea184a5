# The tape of a source's order books, for the feed that publishes them natively.
from spread_scanner.shm._ring cimport ss_ring


cdef extern from "level_tape.h" nogil:
    ctypedef struct ss_tape:
        ss_ring ring
        bint on

    void ss_tape_look(ss_tape *tape)
    # Of an ss_book_record each, which rooms that follow books have under a name of their own.
    void ss_level_tape_tell(ss_tape *tape, const void *before, const void *now)


cdef class LevelTape:
    """The write end of a source's tape of levels."""
    cdef ss_tape tape
    cdef readonly object memory
