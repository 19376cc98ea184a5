# cython: language_level=3
"""The native tier of decoding, for the compiled listener, for tests and for spread-ctl decode.

A Decoder is made once per set of tables and does not change. On a template that cannot be compiled
or a symbol that cannot be held it raises ValueError; a message it cannot match is None.
"""

REASONS = (
    "matched",
    "other text",
    "other number",
    "other value",
    "other time",
    "unknown symbol",
)

cdef tuple _FAULTS = (
    "",
    "a symbol of 1 to 64 bytes without quotes, backslashes and control characters",
    "scales that are positive and finite",
    "each symbol once",
    "no more symbols than room was made for",
)


cdef class Decoder:
    """Templates (or the protobuf matcher) and the symbols: spelling -> (id, px_div, sz_mul)."""

    def __cinit__(self, templates, symbols, *, bint protobuf=False):
        cdef char error[128]
        cdef bytes text
        cdef int fault
        self.decoder = ss_decoder_new(len(symbols), protobuf)
        if self.decoder is NULL:
            raise MemoryError
        for template in templates:
            text = template.encode()
            if ss_decoder_add_template(self.decoder, text, error, sizeof(error)) != 0:
                raise ValueError(f"template {template!r}: {(<bytes> error).decode()}")
        for symbol, (symbol_id, px_div, sz_mul) in symbols.items():
            text = symbol.encode()
            fault = ss_symbols_add(
                self.decoder.symbols, text, len(text), symbol_id, px_div, sz_mul
            )
            if fault != 0:
                raise ValueError(f"symbol {symbol!r}: needs {_FAULTS[fault]}")

    def __dealloc__(self):
        ss_decoder_free(self.decoder)

    def match(self, bytes frame not None):
        """(symbol_id, bid_px, bid_sz, ask_px, ask_sz, ts_event, update_id, ts_engine, ts_sent), or
        None."""
        cdef ss_match found
        if ss_decode(self.decoder, frame, len(frame), &found) != SS_MATCHED:
            return None
        return (
            found.symbol_id,
            found.bid_px,
            found.bid_sz,
            found.ask_px,
            found.ask_sz,
            found.ts_event,
            found.update_id,
            found.ts_engine,
            found.ts_sent,
        )

    def reason(self, bytes frame not None):
        """Why the frame is none of this tier's: one of REASONS."""
        cdef ss_match found
        return REASONS[ss_decode(self.decoder, frame, len(frame), &found)]
