# cython: language_level=3
"""How a frame goes out: to one client, or to all who are told the same, in one call.

A frame is put behind room for its head once; picows writes the head there, and the socket gets both
without a copy, in one system call a client, as long as its transport has nothing waiting. Else, and
over TLS, the transport takes a copy (picows decides). Runs on the gateway's loop alone.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from picows.picows cimport WSMsgType, WSTransport

cdef enum:
    HEAD_BYTES_MAX = 14  # which picows wants before what it is to send


cdef class Outlet:
    """Takes frames of one client, and counts them."""

    cdef readonly int64_t frames
    cdef readonly int64_t bytes_told  # without heads

    cdef int put(self, bytearray framed, bint packed) except -1:
        """`framed`: a frame behind HEAD_BYTES_MAX bytes of room."""
        self.take(bytes(framed[HEAD_BYTES_MAX:]), packed)
        return 0

    def take(self, frame, packed):
        """Whatever is to become of it, where no socket takes it."""
        raise NotImplementedError


cdef class SocketOutlet(Outlet):
    """Sends what it takes."""

    cdef WSTransport transport

    def __init__(self, WSTransport transport not None):
        self.transport = transport

    cdef int put(self, bytearray framed, bint packed) except -1:
        self.transport.send_reuse_external_buffer(
            WSMsgType.BINARY if packed else WSMsgType.TEXT,
            PyByteArray_AS_STRING(framed) + HEAD_BYTES_MAX,
            len(framed) - HEAD_BYTES_MAX,
        )
        return 0


def send_out(list outlets not None, bytes frame not None, bint packed):
    """One frame to each of those; packed: as a binary one. What has gone or said goodbye takes
    nothing."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(frame)
    cdef bytearray framed = PyByteArray_FromStringAndSize(NULL, HEAD_BYTES_MAX + size)
    cdef Outlet outlet
    memcpy(PyByteArray_AS_STRING(framed) + HEAD_BYTES_MAX, PyBytes_AS_STRING(frame), size)
    for outlet in outlets:
        outlet.frames += 1
        outlet.bytes_told += size
        outlet.put(framed, packed)
