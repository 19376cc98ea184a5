"""When the process collects cycles: between turns, where nobody waits for it, and not in the midst
of what is being heard, which the interpreter would do whenever so many objects were made.

Made once all that stays for ever is there, which is walked no more.
"""

import gc

from spread_scanner.clock import NS_PER_S

ALL_NS = 60 * NS_PER_S  # between two walks through everything: some milliseconds each


class GarbageTurns:
    """The collector of this process, by hand until `end`."""

    def __init__(self, now_ns: int) -> None:
        gc.freeze()
        gc.disable()
        self._all_ns = now_ns  # when everything was walked through last

    def rest(self, now_ns: int) -> None:
        """There is time for the youngest objects, now and then for older ones."""
        (young, middle, _), (young_max, middle_max, _) = gc.get_count(), gc.get_threshold()
        if now_ns - self._all_ns >= ALL_NS:
            self._all_ns = now_ns
            gc.collect()
        elif middle > middle_max:
            gc.collect(1)
        elif young > young_max:
            gc.collect(0)

    def end(self) -> None:
        gc.enable()
        gc.unfreeze()
