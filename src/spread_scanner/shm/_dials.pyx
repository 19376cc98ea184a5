"""The shared turns to dial as bytes; native/dials.h holds the protocol.

shm/dials.py maps the segment; runtime/gate.py waits for the turns.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from spread_scanner.shm._memory cimport Memory


cdef extern from "dials.h" nogil:
    ctypedef struct ss_dial_slot:
        int64_t turn_ns[2]
        int64_t ban_from_ns
        int64_t ban_until_ns
        uint64_t ban_status

    int32_t ss_dial_find(ss_dial_slot *slots, int32_t count, uint64_t key)
    int64_t ss_dial_take(void *turn_ns, int64_t now_ns, int64_t cost_ns, int64_t tolerance_ns)
    int64_t ss_dial_ban_left(const ss_dial_slot *slot, int64_t now_ns)
    void ss_dial_ban(ss_dial_slot *slot, int64_t now_ns, int64_t until_ns, uint64_t status)

SIZES = {"dial_slot": sizeof(ss_dial_slot)}
DIALS, WEIGHT = 0, 1


def find(Memory memory not None, Py_ssize_t at, int32_t count, uint64_t key):
    """The number of a key's slot, taken now if it had none; -1 when all are taken."""
    cdef char *slots = memory.at(at, count * <Py_ssize_t>sizeof(ss_dial_slot))
    if memory.view.readonly:
        raise ValueError("the turns are mapped read-only")
    if key == 0:
        raise ValueError("the key 0 means a free slot")
    return ss_dial_find(<ss_dial_slot *>slots, count, key)


cdef class DialSlot:
    """One exchange's host as it is reached from one address. `at` is the slot's offset."""
    cdef ss_dial_slot *slot
    cdef Memory memory

    def __init__(self, Memory memory not None, Py_ssize_t at):
        if memory.view.readonly:
            raise ValueError("the turns are mapped read-only")
        self.memory = memory
        self.slot = <ss_dial_slot *>memory.at(at, sizeof(ss_dial_slot))

    def take(self, int word, int64_t now_ns, int64_t cost_ns, int64_t tolerance_ns):
        """Take a turn of DIALS or WEIGHT: 0, or how many ns to wait before the next try."""
        if not 0 <= word <= 1 or cost_ns < 0 or tolerance_ns < 0:
            raise ValueError("bad turn")
        return ss_dial_take(&self.slot.turn_ns[word], now_ns, cost_ns, tolerance_ns)

    def ban(self, int64_t now_ns, int64_t until_ns, uint64_t status):
        """Nobody dials before `until_ns`; a ban that lasts longer stands."""
        ss_dial_ban(self.slot, now_ns, until_ns, status)

    def banned(self, int64_t now_ns):
        """(ns that the ban still lasts, the status that was answered); (0, 0) without one."""
        cdef int64_t left_ns = ss_dial_ban_left(self.slot, now_ns)
        return left_ns, (self.slot.ban_status if left_ns else 0)

    def last_ban(self):
        """(from, until) of the last ban, in force or over; (0, 0): there was none."""
        return self.slot.ban_from_ns, self.slot.ban_until_ns
