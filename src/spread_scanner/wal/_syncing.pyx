"""A thread that has files synced, one at a time, without the interpreter (native/syncing.h)."""

from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF

import os

cdef extern from "syncing.h" nogil:
    ctypedef int (*ss_sync_call)(void *of, int file)

    ctypedef struct ss_syncing:
        int error

    ss_syncing *ss_syncing_new(ss_sync_call call)
    int ss_syncing_begin(ss_syncing *one, int file, void *of)
    int ss_syncing_done(ss_syncing *one)
    int ss_syncing_wait(ss_syncing *one)
    void ss_syncing_end(ss_syncing *one)


cdef class SyncThread:
    """Its methods are for one thread, the one that is not it."""
    cdef ss_syncing *one
    cdef bint under_way
    cdef object call
    cdef object error

    def __cinit__(self):
        self.one = ss_syncing_new(_called)
        if self.one == NULL:
            raise MemoryError

    def __dealloc__(self):
        # A sync that is under way ends before its thread does.
        if self.one != NULL:
            ss_syncing_end(self.one)

    def begin(self, call not None, int file):
        """Have `call(file)` made, after the one before was heard of. os.fdatasync is without the
        interpreter; any other needs it. Raises OSError where there is no thread."""
        if self.under_way or file < 0:
            raise ValueError("one sync at a time, of an open file")
        cdef void *of = NULL if call is os.fdatasync else <void *>self
        self.call = call
        if of != NULL:
            Py_INCREF(self)  # until it was made
        cdef int error = ss_syncing_begin(self.one, file, of)
        if error:
            if of != NULL:
                Py_DECREF(self)
            raise OSError(error, os.strerror(error))
        self.under_way = True

    @property
    def done(self):
        """Whether what was begun is over."""
        return bool(self.under_way and ss_syncing_done(self.one))

    def result(self):
        """Wait until it is over. Raises what the call raised."""
        cdef bint heard = False
        if not self.under_way:
            raise ValueError("none was begun")
        while not heard:
            with nogil:
                heard = ss_syncing_wait(self.one)
            if not heard:
                PyErr_CheckSignals()
        self.under_way = False
        raised, self.error = self.error, None
        if raised is not None:
            raise raised
        if self.one.error:
            raise OSError(self.one.error, os.strerror(self.one.error))


cdef int _called(void *of, int file) noexcept with gil:
    cdef SyncThread thread = <SyncThread>of
    try:
        thread.call(file)
    except BaseException as error:
        thread.error = error
    Py_DECREF(thread)
    return 0
