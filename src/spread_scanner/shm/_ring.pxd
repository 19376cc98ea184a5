# Both ends of a ring, for the room that pushes natively (engine).
cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t

from spread_scanner.shm._memory cimport Memory, ss_wake


cdef extern from "ring.h" nogil:
    enum:
        SS_RING_CORRUPT

    ctypedef struct ss_ring_control:
        ss_wake wake

    ctypedef struct ss_ring:
        ss_ring_control *control
        char *slots
        uint64_t capacity
        uint64_t record_bytes
        uint64_t other

    void ss_ring_start(ss_ring_control *control, uint64_t position)
    uint64_t ss_ring_written(const ss_ring_control *control)
    uint64_t ss_ring_taken(const ss_ring_control *control)
    uint64_t ss_ring_dropped(const ss_ring_control *control)
    int64_t ss_ring_push(ss_ring *ring, const void *records, uint64_t count)
    int64_t ss_ring_available(ss_ring *ring, uint64_t wanted)
    int64_t ss_ring_peek_beyond(ss_ring *ring, void *records, uint64_t beyond, uint64_t limit)
    int64_t ss_ring_release(ss_ring *ring, uint64_t count)


cdef int ring_to_write(ss_ring *ring, Memory memory, layout) except -1


cdef class RingProducer:
    """The write end of a ring."""
    cdef ss_ring ring
    cdef readonly object memory
    cdef object dtype
    cdef bint closed
    cdef int64_t push(self, cnp.ndarray records) except -1


cdef class RingConsumer:
    """The read end of a ring."""
    cdef ss_ring ring
    cdef readonly object memory
    cdef readonly object clock
    cdef const int64_t *mono_at
    cdef object dtype
    cdef char *copied
    cdef uint64_t room
    cdef bint closed
    cdef int check(self) except -1
    cdef int make_room(self, uint64_t limit) except -1
    cdef copy(self, uint64_t beyond, uint64_t limit)
    cdef corrupt(self)
