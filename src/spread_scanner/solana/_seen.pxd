# A pool that is looked at after each swap, for who shows it natively.
cdef class SeenPool:
    """One pool, by its key."""
    cdef readonly str key
    cdef readonly object fee_rate  # a fraction; None: not known, or nothing was seen yet
    cdef readonly tuple decimals
    cdef readonly tuple units  # smallest ones in a whole token
    cdef readonly tuple mints
    cdef dict _accounts
    cdef object _pool  # of these; None: it was not asked for yet
    # How it is looked at again, as PoolSight has it; told is None where all is to be decoded.
    cdef tuple _fixed
    cdef dict _kept
    cdef object _told
    # As it was quoted last, and by which accounts.
    cdef object _quoted
    cdef dict _quoted_by

    cpdef tuple see(self, dict accounts)
    cdef tuple _see_all(self, dict accounts)
    cdef bint _only_swapped(self) except -1
