"""Exponentially weighted means of many pairs (native/means.h)."""

cimport numpy as cnp
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint32_t

import numpy

from spread_scanner.schema.analysis import HALF_LIVES, PAIR_ANALYSIS_DTYPE, AnalysisFlag

cnp.import_array()

cdef extern from "analysis.h" nogil:
    enum:
        SS_HALF_LIVES
        SS_ANALYSIS_USABLE
        SS_ANALYSIS_KNOWN_0

    ctypedef struct ss_basis:
        double now

    ctypedef struct ss_pair_analysis:
        int64_t ts, ts_sample
        uint32_t flags
        ss_basis entry, exit

cdef extern from "means.h" nogil:
    ctypedef struct ss_means:
        pass

    void ss_means_decay(ss_means *means, const double *decay)
    void ss_means_add(ss_means *means, const double *sample)
    uint32_t ss_means_show(const ss_means *means, const double *now, const double *known,
                           ss_pair_analysis *shown)

SIZES = {"pair_analysis": sizeof(ss_pair_analysis), "means": sizeof(ss_means)}
assert HALF_LIVES == SS_HALF_LIVES
assert (AnalysisFlag.USABLE, AnalysisFlag.KNOWN_0) == (SS_ANALYSIS_USABLE, SS_ANALYSIS_KNOWN_0)


cdef class PairMeans:
    """Of n pairs. `step` takes the entry and exit basis of each for one second."""
    cdef readonly object records
    cdef object means
    cdef ss_means *state
    cdef ss_pair_analysis *shown
    cdef Py_ssize_t count
    cdef double half_lives_s[SS_HALF_LIVES]
    cdef double known[SS_HALF_LIVES]

    def __init__(self, cnp.ndarray records not None, half_lives_s, known):
        """`records` is (n,) PAIR_ANALYSIS_DTYPE, into which every step writes its results; `known`
        is the weight of each half-life from which on its deviation counts."""
        cdef int k
        if records.dtype != PAIR_ANALYSIS_DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(records):
            raise ValueError("records must be contiguous and of PAIR_ANALYSIS_DTYPE")
        if len(half_lives_s) != SS_HALF_LIVES or min(half_lives_s) <= 0:
            raise ValueError(f"{SS_HALF_LIVES} half-lives above zero, not {half_lives_s}")
        for k in range(SS_HALF_LIVES):
            self.half_lives_s[k], self.known[k] = half_lives_s[k], known[k]
        self.records = records
        self.count = cnp.PyArray_SIZE(records)
        self.means = numpy.zeros((self.count, sizeof(ss_means)), numpy.uint8)
        self.state = <ss_means *>cnp.PyArray_DATA(<cnp.ndarray>self.means)
        self.shown = <ss_pair_analysis *>cnp.PyArray_DATA(records)

    def forget(self, which):
        """Begin anew with these pairs (an index or a mask)."""
        self.means[which] = 0

    def take_over(self, PairMeans old not None, mine, theirs):
        """Go on with pairs of another, whose half-lives are the same."""
        self.means[mine] = old.means[theirs]

    def step(self, int64_t steps, int64_t ts_ns, cnp.ndarray usable not None,
             cnp.ndarray basis not None):
        """`steps` seconds after the last one: (n,) bool, (2, n) float64."""
        cdef double decay[SS_HALF_LIVES]
        cdef double now[2]
        cdef Py_ssize_t i
        cdef int k
        cdef ss_pair_analysis *shown
        cdef const cnp.npy_bool *is_usable
        cdef const double *values
        if usable.dtype != bool or cnp.PyArray_SIZE(usable) != self.count:
            raise ValueError("as many bools as pairs")
        if basis.dtype != numpy.float64 or cnp.PyArray_SIZE(basis) != 2 * self.count:
            raise ValueError("entry and exit of as many pairs, float64")
        usable, basis = numpy.ascontiguousarray(usable), numpy.ascontiguousarray(basis)
        is_usable = <const cnp.npy_bool *>cnp.PyArray_DATA(usable)
        values = <const double *>cnp.PyArray_DATA(basis)
        for k in range(SS_HALF_LIVES):
            decay[k] = 2.0 ** (-steps / self.half_lives_s[k])
        with nogil:
            for i in range(self.count):
                shown = &self.shown[i]
                ss_means_decay(&self.state[i], decay)
                now[0] = now[1] = NAN
                if is_usable[i]:
                    now[0], now[1] = values[i], values[self.count + i]
                    ss_means_add(&self.state[i], now)
                    shown.ts_sample = ts_ns
                shown.ts = ts_ns
                shown.entry.now, shown.exit.now = now[0], now[1]
                shown.flags = ss_means_show(&self.state[i], now, self.known, shown)
                if is_usable[i]:
                    shown.flags |= SS_ANALYSIS_USABLE
