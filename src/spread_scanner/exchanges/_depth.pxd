"""The native tier of books as the feed's board of books sees it: `cimport DepthDecoder`, and call
`ss_depth_decode` on each frame without Python.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from spread_scanner.exchanges._match cimport ss_match, ss_symbols


cdef extern from "book.h" nogil:
    ctypedef struct ss_level:
        double px
        double sz


cdef extern from "depth.h" nogil:
    enum:
        SS_DEPTH_LEVELS_MAX

    ctypedef struct ss_depth_match:
        ss_match head
        int64_t after_id
        int64_t count[2]
        ss_level level[2][512]

    ctypedef struct ss_depth_decoder:
        ss_symbols *symbols
        unsigned body_field
        const char *channel

    ss_depth_decoder *ss_depth_decoder_new(size_t symbols)
    void ss_depth_decoder_free(ss_depth_decoder *decoder)
    int ss_depth_decoder_add_template(
        ss_depth_decoder *decoder, const char *text, char *error, size_t error_size
    )
    int ss_depth_decode(
        ss_depth_decoder *decoder, const char *buf, size_t size, ss_depth_match *out
    )
    bint ss_depth_follows(int64_t known_id, int64_t after_id, int64_t last_id)


cdef class DepthDecoder:
    cdef ss_depth_decoder *decoder
    cdef readonly int window  # levels a side of snapshots, where each message is one; else 0
    cdef bytes channel
