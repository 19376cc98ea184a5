"""The leg that no feed of a day writes: beside the single source of it, well at all times.

Now and then it moves so far that an entry would pay, and back.
"""

from collections.abc import Callable
from random import Random

from exchange import Exchange
from loop import VirtualLoop

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import PriceStore
from spread_scanner.shm.price_store import Writer

TEMPTED = 0.01  # each 20 s: some twice an hour
PREMIUM = 1.02  # while it tempts: far beyond any threshold
REFRESH_NS = 20 * NS_PER_S


class OtherLeg:
    """`futures`: the exchange is the spot leg, and this one the other. `wrote` is called after each
    change.
    """

    def __init__(
        self, loop: VirtualLoop, store: PriceStore, writer: Writer, exchange: Exchange,
        random: Random, wrote: Callable[[], None], *, futures: bool,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._store = store
        self._writer = writer
        self._exchange = exchange
        self._random = random
        self._wrote = wrote
        self._futures = futures
        self._premium = 1.0
        self._attempts = 0

    def beat(self) -> None:
        self._writer.heartbeat(clock.mono_ns())

    def refresh(self) -> None:
        """Write it, and again and again from now on."""
        self._loop.call_ns(REFRESH_NS, self.refresh)
        if self._random.random() < TEMPTED:
            self._tempt(on=True)
            self._loop.call_ns(3 * NS_PER_S, self._relent)
        self._write()

    def tempt(self, after_s: float) -> None:
        """After a while it moves so far that an entry would pay, for some seconds."""
        self._loop.call_ns(int(after_s * NS_PER_S), self._beckon)
        self._loop.call_ns(int((after_s + 4) * NS_PER_S), self._relent)

    def _beckon(self) -> None:
        self._tempt(on=True)

    def _relent(self) -> None:
        self._tempt(on=False)

    def _tempt(self, *, on: bool) -> None:
        self._premium = PREMIUM if on else 1.0
        self._write()

    def _write(self) -> None:
        factor = self._premium if self._futures else 1 / self._premium
        now_ns = self._store.clock.now_ns()
        for row in self._exchange.rows.values():
            middle = row.middle / row.listing.px_pow / row.listing.px_mul * factor
            self._attempts += 1
            self._writer.write(
                row.symbol_id, middle * (1 - 1e-5), 1e9, middle * (1 + 1e-5), 1e9,
                TS_ABSENT, now_ns, self._attempts,
            )  # fmt: skip
        self.beat()
        self._wrote()
