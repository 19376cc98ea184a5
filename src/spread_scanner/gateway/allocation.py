"""How the C library gives this process memory: what is free again goes back at once.

Set once, by the gateway's process, before it has threads. An arena of memory to each thread is for
threads that run at once; ours take turns. Large pieces come from the kernel one by one: left to
itself the library raises the size from which they do with each one that is given back, so that the
quarter of a megabyte which TLS holds ready for each connection, of which it touches a few pages,
would be cut out of memory that large answers have filled before, all of which counts.
"""

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # <malloc.h>
LARGE_BYTES = 128 << 10  # from which a piece is mapped by itself; where the library begins, too


def give_back_at_once() -> None:
    """Whatever is free."""
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
