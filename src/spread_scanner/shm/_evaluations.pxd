# The engine's kept evaluations, for the room that writes them (engine).
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "evaluations.h" nogil:
    ctypedef struct ss_evaluation:
        pass

    ctypedef struct ss_evaluations_control:
        pass

    ctypedef struct ss_evaluation_slot:
        pass

    ctypedef struct ss_evaluations:
        ss_evaluations_control *control
        ss_evaluation_slot *slots
        uint64_t capacity

    uint64_t ss_evaluations_append(ss_evaluations *ring, const ss_evaluation *row)
    uint64_t ss_evaluations_head(const ss_evaluations *ring)
    int ss_evaluations_read(const ss_evaluations *ring, uint64_t number, ss_evaluation *row)


cdef class EvaluationRows:
    """The rows of an evaluations segment."""
    cdef ss_evaluations ring
    cdef readonly object memory
    cdef bint closed
