"""The engine's kept evaluations as bytes; native/evaluations.h holds the protocol.

shm/evaluations.py maps and claims the segment; the engine's loop writes through the pxd.
"""

cimport numpy as cnp

import numpy

from spread_scanner.schema.records import EVALUATION_DTYPE
from spread_scanner.shm._memory cimport Memory, raise_closed

cnp.import_array()

SIZES = {
    "evaluation": sizeof(ss_evaluation),
    "evaluations_control": sizeof(ss_evaluations_control),
}


cdef class EvaluationRows:
    def __init__(self, Memory memory not None, layout):
        """`layout` is a layout.EvaluationsLayout."""
        self.memory = memory
        self.ring.capacity = layout.slots
        self.ring.control = <ss_evaluations_control *>memory.at(
            layout.control_at, sizeof(ss_evaluations_control))
        self.ring.slots = <ss_evaluation_slot *>memory.at(
            layout.slots_at, layout.slots * sizeof(ss_evaluation))

    def shut(self):
        """Refuse all further rows."""
        self.closed = True

    def append(self, cnp.ndarray rows not None):
        """Write rows, (n,) EVALUATION_DTYPE, each over the oldest one."""
        cdef Py_ssize_t i
        cdef const ss_evaluation *row
        if self.closed:
            raise_closed("evaluations")
        if rows.dtype != EVALUATION_DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(rows):
            raise ValueError(f"rows must be contiguous and of {EVALUATION_DTYPE}")
        row = <const ss_evaluation *>cnp.PyArray_DATA(rows)
        for i in range(cnp.PyArray_SIZE(rows)):
            ss_evaluations_append(&self.ring, &row[i])

    def copy(self):
        """All whole rows, (n,) EVALUATION_DTYPE, in no order; a row under way is left out."""
        cdef Py_ssize_t slots = <Py_ssize_t>self.ring.capacity, i, count = 0
        cdef ss_evaluation *out
        rows = numpy.empty(slots, EVALUATION_DTYPE)
        out = <ss_evaluation *>cnp.PyArray_DATA(rows)
        with nogil:
            for i in range(slots):
                count += ss_evaluations_read(&self.ring, i, &out[count])
        return rows[:count]

    @property
    def head(self):
        """How many rows were ever begun."""
        return ss_evaluations_head(&self.ring)
