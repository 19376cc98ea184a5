"""Both ends of a ring: native/ring.h, with numpy records."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from spread_scanner.shm._memory cimport (
    Memory,
    empty_records,
    raise_closed,
    ss_awake_ns,
    ss_source_ns,
    ss_wake_calls,
    ss_wake_cancel,
    ss_wake_notify,
    ss_wake_prepare,
    ss_wake_wait,
    wait_ns,
)

from spread_scanner.clock import installed
from spread_scanner.shm.faults import RingCorrupt

cnp.import_array()

SIZES = {"ring_control": sizeof(ss_ring_control)}


cdef int ring_view(ss_ring *ring, Memory memory, layout) except -1:
    """Point a ring at its bytes; `layout` is a layout.RingLayout."""
    ring.control = <ss_ring_control *>memory.at(layout.control_at, sizeof(ss_ring_control))
    ring.capacity = layout.slots
    ring.record_bytes = layout.record_bytes
    ring.slots = memory.at(layout.slots_at, layout.slots * layout.record_bytes)
    return 0


cdef int ring_to_write(ss_ring *ring, Memory memory, layout) except -1:
    """Its write end, going on where it was left."""
    ring_view(ring, memory, layout)
    ring.other = ss_ring_taken(ring.control)
    return 0


def ring_start(Memory memory not None, layout, uint64_t position):
    """Set both positions of a ring that nobody uses yet."""
    cdef ss_ring ring
    ring_view(&ring, memory, layout)
    ss_ring_start(ring.control, position)


def ring_positions(Memory memory not None, layout):
    """(write_pos, read_pos, dropped, notifications) of a ring, each read once."""
    cdef ss_ring ring
    ring_view(&ring, memory, layout)
    # read_pos first: a pop in between makes in_ring larger than it is, never negative.
    read = ss_ring_taken(ring.control)
    dropped = ss_ring_dropped(ring.control)
    write = ss_ring_written(ring.control)
    return write, read, dropped, ss_wake_calls(&ring.control.wake)


cdef class RingProducer:
    def __init__(self, Memory memory not None, layout, dtype):
        self.memory = memory
        self.dtype = dtype
        ring_to_write(&self.ring, memory, layout)

    def try_push(self, record):
        """Push one record (a 0-d or 1-element array, or a numpy.void, of the ring's dtype).

        False when the ring is full: the record is dropped and counted. Raises RingCorrupt.
        """
        cdef cnp.ndarray array = cnp.PyArray_FROM_O(record)
        if cnp.PyArray_SIZE(array) != 1:
            raise ValueError(f"one record, not {cnp.PyArray_SIZE(array)}")
        return self.push(array) == 1

    def push_many(self, cnp.ndarray records not None):
        """Push records, (n,) of the ring's dtype. Returns how many fitted; the rest is dropped and
        counted. Wakes the consumer once. Raises RingCorrupt."""
        return self.push(records)

    def shut(self):
        """Refuse all further pushes."""
        self.closed = True

    cdef int64_t push(self, cnp.ndarray records) except -1:
        cdef int64_t pushed
        if self.closed:
            raise_closed("write end")
        if <object>records.descr is not self.dtype and records.dtype != self.dtype:
            raise ValueError(f"records must be of {self.dtype}, not {records.dtype}")
        if not cnp.PyArray_IS_C_CONTIGUOUS(records):
            raise ValueError("records must be contiguous")
        pushed = ss_ring_push(&self.ring, cnp.PyArray_DATA(records), cnp.PyArray_SIZE(records))
        if pushed == SS_RING_CORRUPT:
            raise RingCorrupt("ring positions contradict each other; nothing was pushed",
                              write_pos=ss_ring_written(self.ring.control),
                              read_pos=ss_ring_taken(self.ring.control))
        if pushed:
            ss_wake_notify(&self.ring.control.wake)
        return pushed


cdef class RingConsumer:
    def __init__(self, Memory memory not None, layout, dtype):
        self.memory = memory
        self.clock = installed()
        self.mono_at = <const int64_t *><uintptr_t>self.clock.mono_address()
        self.dtype = dtype
        ring_view(&self.ring, memory, layout)
        self.ring.other = ss_ring_written(self.ring.control)

    def pop_many(self, uint64_t limit):
        """Take up to `limit` records, oldest first: (n,) of the ring's dtype. Raises RingCorrupt."""
        cdef cnp.ndarray records = self.copy(0, limit)
        if cnp.PyArray_SIZE(records) > 0:
            ss_ring_release(&self.ring, cnp.PyArray_SIZE(records))
        return records

    def peek_many(self, uint64_t limit, uint64_t beyond=0):
        """Copy up to `limit` records that stay in the ring until `release`; the next peek starts at
        the same place. For a consumer that must not lose what it has not yet made durable; it
        passes as `beyond` how many of the oldest it has copied already and not yet released."""
        return self.copy(beyond, limit)

    def shut(self):
        """Refuse to take, look or wait any more."""
        self.closed = True

    cdef int check(self) except -1:
        if self.closed:
            raise_closed("read end")
        return 0

    def release(self, uint64_t count):
        """Give the oldest `count` records' slots back. Returns how many there were to give."""
        cdef int64_t released
        self.check()
        released = ss_ring_release(&self.ring, count)
        if released == SS_RING_CORRUPT:
            self.corrupt()
        return released

    cdef copy(self, uint64_t beyond, uint64_t limit):
        cdef int64_t ready, count
        self.check()
        if limit > self.ring.capacity:
            limit = self.ring.capacity
        if beyond > self.ring.capacity:
            beyond = self.ring.capacity
        ready = ss_ring_available(&self.ring, beyond + limit)
        if ready == SS_RING_CORRUPT:
            self.corrupt()
        count = max(0, min(<int64_t>limit, ready - <int64_t>beyond))
        records = empty_records(self.dtype, count)
        if count > 0:
            ss_ring_peek_beyond(&self.ring, cnp.PyArray_DATA(records), beyond, <uint64_t>count)
        return records

    cdef corrupt(self):
        raise RingCorrupt("ring positions contradict each other; nothing was read",
                          write_pos=ss_ring_written(self.ring.control),
                          read_pos=ss_ring_taken(self.ring.control))

    def wait(self, double timeout_ms, uint64_t beyond=0):
        """Park until there are more than `beyond` records: True, or until the time-out: False. May
        wake early."""
        cdef int64_t timeout_ns = wait_ns(timeout_ms)
        cdef uint32_t key
        cdef int64_t ready
        cdef int woken = 1
        self.check()
        with nogil:
            key = ss_wake_prepare(&self.ring.control.wake)
            ready = ss_ring_available(&self.ring, beyond + 1)
            if ready == SS_RING_CORRUPT or <uint64_t>ready > beyond:
                ss_wake_cancel(&self.ring.control.wake)
            else:
                woken = ss_wake_wait(&self.ring.control.wake, key, timeout_ns)
        return bool(woken)

    def wait_peek(self, double timeout_ms, uint64_t limit, uint64_t beyond=0, double warm_ms=0):
        """`wait`, then `peek_many`, in one step: (records, monotonic ns at which they were copied).

        What runs after a park runs with cold caches, so the copy and its stamp come before the
        interpreter does anything: that saves tens of microseconds on a quiet machine. With
        `warm_ms` the park is cut into pieces of that length, without the interpreter: a process
        that ran a moment ago is woken several times sooner than one that slept for long.
        """
        cdef int64_t timeout_ns = wait_ns(timeout_ms), piece_ns = timeout_ns, until_ns
        cdef int64_t ready, count = 0, copied_ns
        cdef uint32_t key
        cdef cnp.ndarray records
        self.check()
        if limit > self.ring.capacity:
            limit = self.ring.capacity
        if warm_ms > 0:
            piece_ns = min(timeout_ns, wait_ns(warm_ms))
        self.make_room(limit)
        with nogil:
            until_ns = ss_awake_ns() + timeout_ns
            while True:
                key = ss_wake_prepare(&self.ring.control.wake)
                ready = ss_ring_available(&self.ring, beyond + 1)
                if ready == SS_RING_CORRUPT or ready > <int64_t>beyond:
                    ss_wake_cancel(&self.ring.control.wake)
                    break
                if ss_wake_wait(&self.ring.control.wake, key, piece_ns):
                    break
                if ss_awake_ns() + piece_ns > until_ns:
                    break
            ready = ss_ring_available(&self.ring, beyond + limit)
            if ready > <int64_t>beyond:
                count = min(<int64_t>limit, ready - <int64_t>beyond)
                ss_ring_peek_beyond(&self.ring, self.copied, beyond, <uint64_t>count)
            copied_ns = ss_source_ns(self.mono_at)
        if ready == SS_RING_CORRUPT:
            self.corrupt()
        records = empty_records(self.dtype, count)
        memcpy(cnp.PyArray_DATA(records), self.copied, count * self.ring.record_bytes)
        return records, copied_ns

    cdef int make_room(self, uint64_t limit) except -1:
        """Have a buffer of at least `limit` records to copy into without the GIL."""
        if limit > self.room:
            free(self.copied)
            self.room = 0
            self.copied = <char *>malloc(limit * self.ring.record_bytes)
            if self.copied == NULL:
                raise MemoryError
            self.room = limit
        return 0

    def __dealloc__(self):
        free(self.copied)

    def notify(self):
        """Wake this consumer if it is parked; for whoever has something to tell it."""
        return bool(ss_wake_notify(&self.ring.control.wake))
