"""Indicators of the mids of many cells, over bars of several lengths (native/bars.h)."""

cimport numpy as cnp
from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy

from spread_scanner.schema.analysis import (
    BAR_SECONDS,
    CELL_ANALYSIS_DTYPE,
    INDICATORS_DTYPE,
    AnalysisFlag,
)
from spread_scanner.schema.records import TS_ABSENT

cnp.import_array()

cdef extern from "analysis.h" nogil:
    enum:
        SS_FRAMES
        SS_ANALYSIS_USABLE

    ctypedef struct ss_indicators:
        double rsi, ema, middle, upper, lower

    ctypedef struct ss_bars:
        uint64_t bars
        ss_indicators closed, running

    ctypedef struct ss_cell_analysis:
        int64_t ts, ts_sample
        double mid
        uint32_t generation, flags
        ss_bars frames[SS_FRAMES]

cdef extern from "bars.h" nogil:
    ctypedef struct ss_periods:
        int64_t rsi, ema, bollinger
        double deviations

    ctypedef struct ss_bar_state:
        int64_t bars, oldest

    void ss_bar_close(const ss_periods *periods, ss_bar_state *state, double *window,
                      double close, ss_indicators *values)
    void ss_bar_look(const ss_periods *periods, const ss_bar_state *state, double *window,
                     double close, ss_indicators *values)

SIZES = {"cell_analysis": sizeof(ss_cell_analysis), "bar_state": sizeof(ss_bar_state)}
assert len(BAR_SECONDS) == SS_FRAMES and AnalysisFlag.USABLE == SS_ANALYSIS_USABLE


cdef int take_periods(ss_periods *periods, wanted) except -1:
    periods.rsi, periods.ema, periods.bollinger, periods.deviations = wanted
    if periods.rsi < 2 or periods.ema < 1 or periods.bollinger < 1:
        raise ValueError(f"a period that cannot be: {wanted}")
    return 0


def indicators(cnp.ndarray closes not None, periods):
    """A series from scratch: (n,) closes -> (n,) INDICATORS_DTYPE, what it showed after each.

    `periods` is a stats.periods.Periods. Every close is one, NaN excluded by the caller.
    """
    cdef ss_periods wanted
    cdef ss_bar_state state
    cdef Py_ssize_t count, i
    cdef const double *values
    cdef double *window
    cdef ss_indicators *out
    take_periods(&wanted, periods)
    closes = numpy.ascontiguousarray(closes, numpy.float64)
    count = cnp.PyArray_SIZE(closes)
    result = numpy.empty(count, INDICATORS_DTYPE)
    ring = numpy.zeros(wanted.bollinger)
    fresh = numpy.zeros(sizeof(ss_bar_state), numpy.uint8)
    state = (<ss_bar_state *>cnp.PyArray_DATA(fresh))[0]
    values = <const double *>cnp.PyArray_DATA(closes)
    window = <double *>cnp.PyArray_DATA(ring)
    out = <ss_indicators *>cnp.PyArray_DATA(result)
    with nogil:
        for i in range(count):
            ss_bar_close(&wanted, &state, window, values[i], &out[i])
    return result


cdef class BarIndicators:
    """Indicators of n cells. `step` takes a mid of each for one second of the grid."""
    cdef readonly object records
    cdef object states, windows, pending
    cdef ss_cell_analysis *shown
    cdef ss_bar_state *state
    cdef double *window
    cdef double *running
    cdef ss_periods periods
    cdef Py_ssize_t count
    cdef int64_t lengths[SS_FRAMES]
    cdef int64_t last_tick
    cdef bint started

    def __init__(self, cnp.ndarray records not None, periods):
        """`records` is (n,) CELL_ANALYSIS_DTYPE, into which every step writes its results."""
        cdef Py_ssize_t frame
        if records.dtype != CELL_ANALYSIS_DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(records):
            raise ValueError("records must be contiguous and of CELL_ANALYSIS_DTYPE")
        take_periods(&self.periods, periods)
        for frame in range(SS_FRAMES):
            self.lengths[frame] = BAR_SECONDS[frame]
        self.count = cnp.PyArray_SIZE(records)
        self.records = records
        self.states = numpy.zeros((self.count, SS_FRAMES, sizeof(ss_bar_state)), numpy.uint8)
        self.windows = numpy.zeros((self.count, SS_FRAMES, self.periods.bollinger))
        self.pending = numpy.empty((self.count, SS_FRAMES))
        self.shown = <ss_cell_analysis *>cnp.PyArray_DATA(records)
        self.state = <ss_bar_state *>cnp.PyArray_DATA(<cnp.ndarray>self.states)
        self.window = <double *>cnp.PyArray_DATA(<cnp.ndarray>self.windows)
        self.running = <double *>cnp.PyArray_DATA(<cnp.ndarray>self.pending)
        self.started = False
        self.forget(slice(None))

    def forget(self, which):
        """Begin anew with these cells (an index or a mask): they are other coins now."""
        self.states[which] = 0
        self.pending[which] = NAN
        empty = numpy.zeros((), CELL_ANALYSIS_DTYPE)
        empty["ts_sample"] = TS_ABSENT
        empty["mid"] = NAN
        for part in ("closed", "running"):
            for name in INDICATORS_DTYPE.names:
                empty["frames"][part][name] = NAN
        self.records[which] = empty

    def take_over(self, BarIndicators old not None, cnp.ndarray places not None):
        """Go on where `old` is, whose periods are the same: cell i with its cell places[i], or
        anew where that is -1."""
        mine = numpy.flatnonzero(places >= 0)
        theirs = places[mine]
        self.forget(slice(None))
        self.states[mine] = old.states[theirs]
        self.windows[mine] = old.windows[theirs]
        self.pending[mine] = old.pending[theirs]
        self.records[mine] = old.records[theirs]
        self.last_tick, self.started = old.last_tick, old.started

    def step(self, int64_t tick, int64_t ts_ns, cnp.ndarray mids not None):
        """The mids of all cells at second `tick`, which is `ts_ns`; NaN where there is none.

        A bar closes with the last second that it has, or at the first look after it; one without
        a mid is none. Ticks only go up; those that were left out had no mids.
        """
        cdef Py_ssize_t frame
        cdef bint ended, ends
        cdef int64_t length
        cdef const double *values
        if mids.dtype != numpy.float64 or cnp.PyArray_SIZE(mids) != self.count:
            raise ValueError("as many mids as cells, float64")
        if self.started and tick <= self.last_tick:
            raise ValueError(f"tick {tick} after {self.last_tick}")
        mids = numpy.ascontiguousarray(mids)
        values = <const double *>cnp.PyArray_DATA(mids)
        for frame in range(SS_FRAMES):
            length = self.lengths[frame]
            ended = self.started and tick // length != self.last_tick // length
            ends = (tick + 1) % length == 0
            with nogil:
                self.advance(frame, ended, ends, values)
        self.stamp(ts_ns, values)
        self.last_tick = tick
        self.started = True

    cdef void advance(self, Py_ssize_t frame, bint ended, bint ends,
                      const double *mids) noexcept nogil:
        cdef ss_bar_state *state
        cdef ss_bars *bars
        cdef double *window
        cdef double *running
        cdef Py_ssize_t i, place
        for i in range(self.count):
            place = i * SS_FRAMES + frame
            state, running = &self.state[place], &self.running[place]
            window = &self.window[place * self.periods.bollinger]
            bars = &self.shown[i].frames[frame]
            if ended and isfinite(running[0]):
                self.close(state, window, running, bars)
            if isfinite(mids[i]):
                running[0] = mids[i]
                if not ends:
                    ss_bar_look(&self.periods, state, window, mids[i], &bars.running)
            if ends and isfinite(running[0]):
                self.close(state, window, running, bars)

    cdef void close(self, ss_bar_state *state, double *window, double *running,
                    ss_bars *bars) noexcept nogil:
        ss_bar_close(&self.periods, state, window, running[0], &bars.closed)
        bars.running = bars.closed
        bars.bars = <uint64_t>state.bars
        running[0] = NAN

    cdef void stamp(self, int64_t ts_ns, const double *mids) noexcept nogil:
        cdef ss_cell_analysis *shown
        cdef Py_ssize_t i
        for i in range(self.count):
            shown = &self.shown[i]
            shown.ts = ts_ns
            shown.mid = NAN
            shown.flags = 0
            if isfinite(mids[i]):
                shown.mid = mids[i]
                shown.ts_sample = ts_ns
                shown.flags = SS_ANALYSIS_USABLE
