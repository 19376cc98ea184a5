# What the connections of one source share, as the compiled listener sees it.
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from spread_scanner.shm._rows cimport Row, ss_bucket
from spread_scanner.shm._store cimport ss_quote, ss_store
from spread_scanner.shm._writer cimport StoreWriter


cdef extern from "best_lag.h" nogil:
    enum:
        SS_LAG_KEPT
        SS_LAG_WINDOWS

    ctypedef struct ss_best_lag:
        int64_t now_ns
        uint32_t windows_passed
        double drift

    void ss_lag_init(ss_best_lag *best, double drift, int kept, int windows)
    void ss_lag_ended(ss_best_lag *best)
    void ss_lag_lost(ss_best_lag *best)
    void ss_lag_recall(ss_best_lag *best, int64_t lag_ns, int64_t mono_ns)
    int64_t ss_lag_excess(const ss_best_lag *best, int64_t lag_ns)
    int ss_lag_judge(ss_best_lag *best, int64_t lag_ns, int64_t lag_ns_max)


cdef extern from "standing.h" nogil:
    enum:
        SS_STORED
        SS_REPEAT
        SS_RESET
        SS_DUPLICATE
        SS_OUT_OF_ORDER
        SS_IMPOSSIBLE

    const int64_t SS_REPEAT_NS_MIN

    ctypedef struct ss_memory:
        int64_t heard_ns

    ctypedef struct ss_silence:
        int64_t ns_min
        double intervals_max

    double ss_stepped(double mean, double interval)
    void ss_memory_note(ss_memory *memory, int64_t mono_ns, int64_t deaf_ns, int news,
                        const ss_silence *silence)


cdef extern from "board.h" nogil:
    const int64_t SS_STALL_NS

    ctypedef struct ss_board:
        ss_store *store
        uint32_t source_id
        uint32_t max_symbols
        uint32_t epoch
        ss_memory *memory
        ss_best_lag *best
        ss_silence silence
        int64_t looked_ns
        int64_t deaf_ns
        int changed

    void ss_board_at(ss_board *board, int64_t mono_ns)
    int ss_board_put(ss_board *board, uint32_t symbol, ss_quote *quote, const ss_quote *old,
                     uint32_t connection)


cdef class BestLag:
    cdef ss_best_lag lag


cdef class Board:
    cdef readonly StoreWriter writer
    cdef readonly Row row
    cdef readonly object clock
    cdef readonly int64_t anchor_ns
    cdef public int64_t lag_ns_max
    cdef public int64_t clock_off_ns_max
    cdef readonly cnp.ndarray heard_ns
    cdef readonly cnp.ndarray mean_ns
    cdef readonly cnp.ndarray news_ns
    cdef readonly cnp.ndarray news_mean_ns
    cdef readonly cnp.ndarray mid
    cdef readonly cnp.ndarray wrote
    cdef readonly BestLag best
    cdef const int64_t *mono_at
    cdef ss_board native
    cdef object held
    cdef ss_bucket *counters
    cdef ss_bucket *exchange_to_recv
    cdef ss_bucket *recv_to_cell
    cdef remember(self, uint32_t count)
