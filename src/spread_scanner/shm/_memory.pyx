"""A mapped segment's bytes, and the atomic words and eventcounts that lie in it (native/words.h,
native/wake.h).

Nothing in the native core knows names, files or locks: segment.py maps the bytes and says where
things lie.
"""

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.ref cimport Py_INCREF

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    # Steals the reference to the dtype.
    object PyArray_NewFromDescr(type subtype, cnp.dtype descr, int nd, const cnp.npy_intp *dims,
                                const cnp.npy_intp *strides, void *data, int flags, object obj)

SIZES = {"wake": sizeof(ss_wake)}


cdef object empty_records(object dtype, Py_ssize_t count):
    """A new one-dimensional array of a structured dtype, over bytes: numpy.empty looks through all
    the fields for what may not be left as it is, which takes longer than all else."""
    cdef cnp.npy_intp shape = count, size = count * cnp.PyDataType_ELSIZE(dtype)
    cdef cnp.ndarray raw = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_UINT8)
    Py_INCREF(dtype)
    cdef cnp.ndarray records = PyArray_NewFromDescr(cnp.ndarray, dtype, 1, &shape, NULL,
                                                    cnp.PyArray_DATA(raw), cnp.NPY_ARRAY_CARRAY,
                                                    None)
    cnp.set_array_base(records, raw)
    return records


cdef int64_t wait_ns(double timeout_ms) except -1:
    """A time-out in ns. Every wait has one: it bounds what a notifier's death can cost."""
    if not 0 <= timeout_ms <= 3.6e6:
        raise ValueError(f"timeout_ms must be 0 to 3,600,000, not {timeout_ms}")
    return <int64_t>(timeout_ms * 1e6)


cdef int raise_closed(str what) except -1:
    raise ValueError(f"the {what} is closed: its place may be another's by now")


cdef class Memory:
    def __cinit__(self, buffer, *, bint writable):
        PyObject_GetBuffer(buffer, &self.view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
        self.held = True
        self.base = <char *>self.view.buf
        self.size = self.view.len

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    @property
    def address(self):
        """Where the segment is mapped; for tests of alignment."""
        return <size_t>self.base

    cdef char *at(self, Py_ssize_t offset, Py_ssize_t size) except NULL:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise IndexError(f"bytes {offset} to {offset + size} of a segment of {self.size}")
        return self.base + offset


@cython.final
cdef class Words:
    def __init__(self, Memory memory not None):
        self.memory = memory

    def load(self, Py_ssize_t offset):
        """The 64-bit word at `offset` (acquire)."""
        return ss_word_load((<Memory>self.memory).at(offset, 8))

    def store(self, Py_ssize_t offset, uint64_t value):
        """Store the 64-bit word at `offset` (release)."""
        if self.closed:
            raise_closed("segment")
        ss_word_store((<Memory>self.memory).at(offset, 8), value)

    def shut(self):
        """Refuse all further stores."""
        self.closed = True

    def wake_prepare(self, Py_ssize_t offset):
        """First half of a wait on the eventcount at `offset`: look for work after it."""
        return ss_wake_prepare(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake)))

    def wake_cancel(self, Py_ssize_t offset):
        """There was work: do not wait."""
        ss_wake_cancel(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake)))

    def wake_wait(self, Py_ssize_t offset, uint32_t key, double timeout_ms):
        """Second half: park. False on time-out."""
        cdef ss_wake *wake = <ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake))
        cdef int64_t timeout_ns = wait_ns(timeout_ms)
        cdef int woken
        with nogil:
            woken = ss_wake_wait(wake, key, timeout_ns)
        return bool(woken)

    def wake_notify(self, Py_ssize_t offset):
        """Wake who is parked at `offset`. True if a system call was needed."""
        return bool(ss_wake_notify(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake))))

    def wake_broadcast(self, Py_ssize_t offset):
        """Wake all who are parked at `offset`, with a system call in any case."""
        ss_wake_broadcast(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake)))
