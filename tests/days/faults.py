"""What goes wrong in a day: all kinds of faults, and when they come.

A schedule is drawn from the seed alone, so that a shorter one is a prefix of it. Each kind says how
long after its end everything has to be well again (`within_s`): the times stand in
docs/developing.md. Kinds that a well-behaved feed does not notice have a time of 0.
"""

from collections.abc import Collection, Iterator
from random import Random

import depth_faults
import of_orders
import of_wires
import of_words
from fault import Fault, Kind

KINDS: dict[str, Kind] = {**of_wires.KINDS, **of_words.KINDS, **of_orders.KINDS}
# Those of books come where they are asked for: the days of quotes stay what they are.
EVERY_KIND: dict[str, Kind] = {**KINDS, **of_wires.GIVEN, **of_words.GIVEN, **depth_faults.KINDS}


def schedule(
    seed: str, hours: float, *, dense: float = 1.0, kinds: Collection[str] = tuple(KINDS)
) -> list[Fault]:
    """The faults of a day, in order; `dense` shortens the pauses between them."""
    return list(_drawn(Random(f"faults {seed}"), hours, dense, sorted(kinds)))


def _drawn(rand: Random, hours: float, dense: float, names: list[str]) -> Iterator[Fault]:
    weights = [EVERY_KIND[name].weight for name in names]
    at_s = 60.0 + 120 * rand.random()
    while True:
        name = rand.choices(names, weights)[0]
        kind = EVERY_KIND[name]
        for_s = rand.uniform(*kind.for_s)
        fault = Fault(at_s, name, for_s, rand.random(), rand.random())
        calm = rand.random() < 0.4
        pause_s = kind.within_s + rand.uniform(65, 300) if calm else rand.uniform(1, 240)
        lasts_s = 0.0 if kind.beside else for_s
        if at_s + lasts_s + kind.within_s + 130 > hours * 3_600:
            return
        yield fault
        at_s += lasts_s * (1.0 if calm else rand.random()) + pause_s / dense
