"""The bounded search for cycles that gain: exact, over the best edge of each ordered pair of tokens.

Tokens are numbers, edges stand in rows by their tail (starts, heads), gains are logarithms: a cycle
gains where their sum is above zero. A walk is given up once the best that it could still become,
over any walk back in the hops that are left, is not good enough: nothing is missed by that, and a
market without cycles costs hardly more than the table of those bests. graph.py owns the numbers.
"""

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc

import numpy

cnp.import_array()

cdef enum:
    HOPS = 5

HOPS_MAX = HOPS


cdef struct Search:
    const int32_t *starts
    const int32_t *heads
    const double *gains
    int tokens
    int hops_max
    double *bests  # (hops_max + 1, tokens): of walks of no more hops to the target
    char *on_path
    int32_t path[HOPS]
    int32_t target
    int32_t above  # no other token than the target may be under this
    double gain_min  # what a cycle has to be above
    int limit
    int count
    double *kept_gains  # a heap, the least first
    int32_t *kept_paths


cdef void swap_kept(Search *s, int one, int other) noexcept nogil:
    cdef double gain = s.kept_gains[one]
    cdef int32_t token
    cdef int i
    s.kept_gains[one] = s.kept_gains[other]
    s.kept_gains[other] = gain
    for i in range(HOPS):
        token = s.kept_paths[one * HOPS + i]
        s.kept_paths[one * HOPS + i] = s.kept_paths[other * HOPS + i]
        s.kept_paths[other * HOPS + i] = token


cdef void keep(Search *s, int length, double gain) noexcept nogil:
    """Among the best, in place of the least of them where there is no room."""
    cdef int at, child, i
    if s.count < s.limit:
        at = s.count
        s.count += 1
    else:
        at = 0
    s.kept_gains[at] = gain
    for i in range(HOPS):
        s.kept_paths[at * HOPS + i] = s.path[i] if i < length else -1
    if at:
        while at and s.kept_gains[(at - 1) // 2] > s.kept_gains[at]:
            swap_kept(s, at, (at - 1) // 2)
            at = (at - 1) // 2
    else:
        while 2 * at + 1 < s.count:
            child = 2 * at + 1
            if child + 1 < s.count and s.kept_gains[child + 1] < s.kept_gains[child]:
                child += 1
            if s.kept_gains[child] >= s.kept_gains[at]:
                break
            swap_kept(s, at, child)
            at = child
    if s.count == s.limit and s.kept_gains[0] > s.gain_min:
        s.gain_min = s.kept_gains[0]


cdef void work_out_bests(Search *s) noexcept nogil:
    """Of each token the most that a walk back to the target can gain, by how many hops it has."""
    cdef int hop, token
    cdef int32_t edge, head
    cdef double best, gain
    cdef double *before
    cdef double *now
    for token in range(s.tokens):
        s.bests[token] = -INFINITY
    for hop in range(1, s.hops_max + 1):
        before = s.bests + (hop - 1) * s.tokens
        now = s.bests + hop * s.tokens
        for token in range(s.tokens):
            best = before[token]
            if token >= s.above:
                for edge in range(s.starts[token], s.starts[token + 1]):
                    head = s.heads[edge]
                    gain = s.gains[edge]
                    if head != s.target:
                        if head < s.above:
                            continue
                        gain += before[head]
                    if gain > best:
                        best = gain
            now[token] = best


cdef void walk(Search *s, int length, double gain) noexcept nogil:
    """On from the last of `length` tokens."""
    cdef int32_t tail = s.path[length - 1]
    cdef int32_t edge, head
    cdef int left = s.hops_max - length
    cdef double sum_
    for edge in range(s.starts[tail], s.starts[tail + 1]):
        head = s.heads[edge]
        sum_ = gain + s.gains[edge]
        if head == s.target:
            if length > 1 and sum_ > s.gain_min:
                keep(s, length, sum_)
        elif (left > 0 and head >= s.above and not s.on_path[head]
                and sum_ + s.bests[left * s.tokens + head] > s.gain_min):
            s.path[length] = head
            s.on_path[head] = 1
            walk(s, length + 1, sum_)
            s.on_path[head] = 0


cdef void search_all(Search *s) noexcept nogil:
    """Every cycle once: from its lowest token."""
    cdef int32_t token
    for token in range(s.tokens):
        s.target = s.above = token
        work_out_bests(s)
        if s.bests[s.hops_max * s.tokens + token] > s.gain_min:
            s.path[0] = token
            s.on_path[token] = 1
            walk(s, 1, 0.0)
            s.on_path[token] = 0


cdef void search_through(Search *s, int32_t tail, int32_t edge) noexcept nogil:
    """Every cycle that goes over one edge."""
    cdef int32_t head = s.heads[edge]
    s.target, s.above = tail, 0
    work_out_bests(s)
    if s.gains[edge] + s.bests[(s.hops_max - 1) * s.tokens + head] > s.gain_min:
        s.path[0], s.path[1] = tail, head
        s.on_path[tail] = s.on_path[head] = 1
        walk(s, 2, s.gains[edge])
        s.on_path[tail] = s.on_path[head] = 0


def best_cycles(cnp.ndarray starts not None, cnp.ndarray heads not None,
                cnp.ndarray gains not None, int hops_max, double gain_min, int limit,
                through=None):
    """The best `limit` cycles of 2 to `hops_max` hops whose gains sum to more than `gain_min`.

    starts (tokens + 1,) int32, heads (edges,) int32, gains (edges,) float64. `through`: only those
    over one of these edges, by (tail, edge); else all, each once. Returns gains (n,) descending and
    tokens (n, 5) int32, -1 behind the last. Raises ValueError on arrays that are no such graph.
    """
    cdef Search s
    cdef int at
    cdef int64_t edges = heads.shape[0]
    for array, kind in ((starts, cnp.NPY_INT32), (heads, cnp.NPY_INT32), (gains, cnp.NPY_DOUBLE)):
        if (array.ndim != 1 or cnp.PyArray_TYPE(array) != kind
                or not cnp.PyArray_IS_C_CONTIGUOUS(array)):
            raise ValueError("starts and heads are int32, gains float64, one-dimensional")
    if not 2 <= hops_max <= HOPS or limit < 1 or starts.shape[0] < 2 or gains.shape[0] != edges:
        raise ValueError(f"{hops_max} hops of 2 to {HOPS}, {limit} cycles, {edges} edges")
    s.tokens = <int>(starts.shape[0] - 1)
    if (starts[0] != 0 or starts[s.tokens] != edges or (numpy.diff(starts) < 0).any()
            or (edges and not 0 <= heads.min() <= heads.max() < s.tokens)):
        raise ValueError("starts and heads are no graph")
    pairs = () if through is None else tuple(through)
    for tail, edge in pairs:
        if not (0 <= tail < s.tokens and starts[tail] <= edge < starts[tail + 1]):
            raise ValueError(f"edge {edge} does not begin at token {tail}")
    s.starts = <const int32_t *>cnp.PyArray_DATA(starts)
    s.heads = <const int32_t *>cnp.PyArray_DATA(heads)
    s.gains = <const double *>cnp.PyArray_DATA(gains)
    s.hops_max, s.gain_min, s.limit, s.count = hops_max, gain_min, limit, 0
    s.bests = <double *>malloc((hops_max + 1) * s.tokens * sizeof(double))
    s.on_path = <char *>calloc(s.tokens, 1)
    kept_gains = numpy.empty(limit, numpy.float64)
    kept_paths = numpy.empty((limit, HOPS), numpy.int32)
    s.kept_gains = <double *>cnp.PyArray_DATA(<cnp.ndarray>kept_gains)
    s.kept_paths = <int32_t *>cnp.PyArray_DATA(<cnp.ndarray>kept_paths)
    if s.bests == NULL or s.on_path == NULL:
        free(s.bests)
        free(s.on_path)
        raise MemoryError
    if through is None:
        with nogil:
            search_all(&s)
    else:
        for tail, edge in pairs:
            search_through(&s, <int32_t>tail, <int32_t>edge)
    free(s.bests)
    free(s.on_path)
    order = numpy.argsort(-kept_gains[:s.count], kind="stable")
    return kept_gains[order], kept_paths[order]
