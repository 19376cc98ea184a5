# cython: language_level=3
"""One side of a book from its JSON, natively (native/levels.h), for the depth adapters.

What is not spelled as levels usually are is None: the typed tier decides.
"""

cimport numpy as cnp
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t

cnp.import_array()

cdef extern from "levels.h" nogil:
    int64_t ss_read_levels(const char *p, const char *end, double *pairs, int64_t most)

LEVELS_MAX = 1_024  # of a side in one message
LEVEL_BYTES_MIN = 6  # [1,2],
cdef int64_t levels_max = LEVELS_MAX
cdef Py_ssize_t level_bytes_min = LEVEL_BYTES_MIN


def read_levels(raw):
    """(n, 2) float64 of prices above zero and sizes of at least it; None: not for this tier."""
    cdef Py_buffer view
    cdef cnp.npy_intp shape[2]
    cdef int64_t count, most
    cdef const char *text
    PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)
    try:
        text = <const char *>view.buf
        most = min(levels_max, view.len // level_bytes_min + 1)
        shape[0], shape[1] = most, 2
        made = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT64, 0)
        count = ss_read_levels(text, text + view.len, <double *>cnp.PyArray_DATA(made), most)
    finally:
        PyBuffer_Release(&view)
    if count < 0:
        return None
    return made[:count]
