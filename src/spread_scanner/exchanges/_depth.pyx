# cython: language_level=3
"""The native tier of books (native/depth.h), for the feed's board of books and for tests.

Made once per set of tables, and does not change. On a template that cannot be compiled or a symbol
that cannot be held it raises ValueError; a message that it cannot match is None.
"""

cimport numpy as cnp
from libc.string cimport memcpy

from spread_scanner.exchanges._match cimport SS_MATCHED, ss_symbols_add

cnp.import_array()

LEVELS_MAX = SS_DEPTH_LEVELS_MAX


cdef class DepthDecoder:
    """Templates, or the body's field and the channel of protobuf wrappers, and the symbols:
    spelling -> (id, px_div, sz_mul). `window`: how many levels a side messages show that are
    snapshots, each of them; 0: they are updates."""

    def __cinit__(self, templates, symbols, *, int window=0, wrapped=None):
        cdef char error[128]
        cdef bytes text
        self.window = window
        self.decoder = ss_depth_decoder_new(len(symbols))
        if self.decoder is NULL:
            raise MemoryError
        if wrapped is not None:
            self.decoder.body_field, self.channel = wrapped[0], wrapped[1].encode()
            self.decoder.channel = self.channel
        for template in templates:
            text = template.encode()
            if ss_depth_decoder_add_template(self.decoder, text, error, sizeof(error)) != 0:
                raise ValueError(f"template {template!r}: {(<bytes> error).decode()}")
        for symbol, (symbol_id, px_div, sz_mul) in symbols.items():
            text = symbol.encode()
            if ss_symbols_add(
                self.decoder.symbols, text, len(text), symbol_id, px_div, sz_mul
            ) != 0:
                raise ValueError(f"symbol {symbol!r} cannot be held")

    def __dealloc__(self):
        ss_depth_decoder_free(self.decoder)

    def match(self, bytes frame not None):
        """(symbol_id, after_id, last_id, ts_event, bids, asks) in base units, or None."""
        cdef ss_depth_match found
        if ss_depth_decode(self.decoder, frame, len(frame), &found) != SS_MATCHED:
            return None
        return (
            found.head.symbol_id,
            found.after_id,
            found.head.update_id,
            found.head.ts_event,
            side_of(&found, 0),
            side_of(&found, 1),
        )


cdef side_of(const ss_depth_match *found, int side):
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = found.count[side], 2
    made = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT64, 0)
    memcpy(cnp.PyArray_DATA(made), &found.level[side][0], found.count[side] * sizeof(ss_level))
    return made
