"""The native decoder as other compiled modules see it: `cimport Decoder`, take `.decoder`, call
`ss_decode` on each frame without Python. The pointer lives as long as the Decoder does.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "decoder.h" nogil:
    ctypedef struct ss_match:
        double bid_px
        double bid_sz
        double ask_px
        double ask_sz
        int64_t ts_event
        int64_t ts_engine
        int64_t ts_sent
        uint64_t update_id
        uint32_t symbol_id

    ctypedef struct ss_symbols:
        size_t count

    ctypedef struct ss_decoder:
        ss_symbols *symbols
        int count

    enum ss_reason:
        SS_MATCHED
        SS_OTHER_TEXT
        SS_OTHER_NUMBER
        SS_OTHER_VALUE
        SS_OTHER_TIME
        SS_UNKNOWN_SYMBOL
        SS_REASONS

    ss_decoder *ss_decoder_new(size_t symbols, int protobuf)
    void ss_decoder_free(ss_decoder *decoder)
    int ss_decoder_add_template(
        ss_decoder *decoder, const char *text, char *error, size_t error_size
    )
    int ss_symbols_add(
        ss_symbols *symbols, const char *key, size_t size, uint32_t symbol_id, double px_div,
        double sz_mul
    )
    int ss_decode(ss_decoder *decoder, const char *buf, size_t size, ss_match *out)


cdef class Decoder:
    cdef ss_decoder *decoder
