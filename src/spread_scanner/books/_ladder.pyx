"""What the order books of many pairs carry, natively: schema/native/ladder.h over arrays. The words, and
the same for one pair in plain Python, are in schema/ladder.py.
"""

cimport numpy as cnp
from libc.math cimport NAN

import numpy

from spread_scanner.books._order_book cimport ss_book_record

from spread_scanner.schema.books import BOOK_DTYPE
from spread_scanner.schema.ladder import RUNG_DTYPE, TERMS_DTYPE

cnp.import_array()

cdef extern from "ladder.h" nogil:
    ctypedef struct ss_terms:
        pass

    ctypedef struct ss_rung:
        double buy_px
        double sell_px
        double net_bps
        double thin

    ctypedef struct ss_carried:
        double size_base
        int bounded

    ctypedef struct ss_pair_books:
        pass

    ss_pair_books ss_pair_books_of(const ss_book_record *spot, const ss_book_record *fut)
    int ss_pair_books_stand(const ss_pair_books *books)
    void ss_ladder(const ss_pair_books *books, const ss_terms *terms, const double *sizes_quote,
                   int count, ss_rung *rungs)
    ss_carried ss_ladder_carried(const ss_pair_books *books, const ss_terms *terms)

SIZES = {"terms": sizeof(ss_terms), "rung": sizeof(ss_rung)}


def ladders(cnp.ndarray spot not None, cnp.ndarray fut not None, cnp.ndarray terms not None,
            cnp.ndarray sizes_quote not None):
    """Of n pairs, by their books (n,) BOOK_DTYPE, what they cost and ask (n,) TERMS_DTYPE, and k sizes
    in the quote coin (k,) float64: (n, k) RUNG_DTYPE; (n,) the largest size that pays, in base units;
    (n,) bool whether the known levels ended before that, beyond which there may be more. NaN where a side has no level."""
    cdef Py_ssize_t pairs = cnp.PyArray_SIZE(spot), i
    cdef int sizes = <int>cnp.PyArray_SIZE(sizes_quote)
    cdef const ss_book_record *spot_at
    cdef const ss_book_record *fut_at
    cdef const ss_terms *terms_at
    cdef const double *sizes_at
    cdef ss_rung *rungs_at
    cdef double *carried_at
    cdef cnp.npy_bool *bounded_at
    check("spot", spot, BOOK_DTYPE, pairs)
    check("fut", fut, BOOK_DTYPE, pairs)
    check("terms", terms, TERMS_DTYPE, pairs)
    check("sizes_quote", sizes_quote, numpy.dtype("f8"), sizes)
    rungs = numpy.full((pairs, sizes), NAN, RUNG_DTYPE)
    carried = numpy.full(pairs, NAN)
    bounded = numpy.zeros(pairs, bool)
    spot_at = <const ss_book_record *>cnp.PyArray_DATA(spot)
    fut_at = <const ss_book_record *>cnp.PyArray_DATA(fut)
    terms_at = <const ss_terms *>cnp.PyArray_DATA(terms)
    sizes_at = <const double *>cnp.PyArray_DATA(sizes_quote)
    rungs_at = <ss_rung *>cnp.PyArray_DATA(rungs)
    carried_at = <double *>cnp.PyArray_DATA(carried)
    bounded_at = <cnp.npy_bool *>cnp.PyArray_DATA(bounded)
    with nogil:
        for i in range(pairs):
            one_pair(&spot_at[i], &fut_at[i], &terms_at[i], sizes_at, sizes, &rungs_at[i * sizes],
                     &carried_at[i], &bounded_at[i])
    return rungs, carried, bounded


cdef void one_pair(const ss_book_record *spot, const ss_book_record *fut, const ss_terms *terms,
                   const double *sizes_quote, int sizes, ss_rung *rungs, double *carried,
                   cnp.npy_bool *bounded) noexcept nogil:
    cdef ss_pair_books books = ss_pair_books_of(spot, fut)
    cdef ss_carried found
    if not ss_pair_books_stand(&books):
        return
    ss_ladder(&books, terms, sizes_quote, sizes, rungs)
    found = ss_ladder_carried(&books, terms)
    carried[0], bounded[0] = found.size_base, found.bounded


cdef int check(str name, cnp.ndarray values, dtype, Py_ssize_t count) except -1:
    if values.dtype != dtype or not cnp.PyArray_IS_C_CONTIGUOUS(values) or cnp.PyArray_SIZE(values) != count:
        raise ValueError(f"{name}: {count} contiguous {dtype} are needed, not {values.dtype}")
    return 0
