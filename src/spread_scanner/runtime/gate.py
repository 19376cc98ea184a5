"""The gate before every dial: an address's turns, shared by all processes, and its bans.

Used by whoever dials or asks an exchange: feeds, discovery. A turn is taken when one is ready to
dial, never ahead of it, and those of one process queue in order: so nobody waits for one that is
itself waiting. Of several processes the one that has waited through most turns tries first: a
source whose dials fail does not take all turns of its exchange. A ban that any process was told of
keeps all of them from dialling until it is over.
"""

import asyncio
import contextlib
import math
from typing import NamedTuple
from urllib.parse import urlsplit

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.errors import SegmentError
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.runtime.refusals import in_words, pause_of
from spread_scanner.shm._dials import DIALS, WEIGHT
from spread_scanner.shm.dials import Dials

CAREFUL_NS = 60 * NS_PER_S  # after a ban
COURTESY_NS = 20 * NS_PER_MS  # who comes first tries so much later, who has waited, less
# A ban's end is looked at again: the machine may have slept, and a sleep goes on after that.
SLEEP_S_MIN, SLEEP_S_MAX = 0.001, 1.0


class Pace(NamedTuple):
    """So many per second in the long run, and `burst` of them at once after a rest."""

    per_s: float
    burst: int = 1


REST = Pace(1.0)  # a request is paced by its weight instead


class Ban(NamedTuple):
    """What an exchange answered, and how long nobody dials because of it."""

    status: int
    left_s: float
    until_ns: int = 0  # monotonic

    def __str__(self) -> str:
        return f"{in_words(self.status)}, nobody dials for {self.left_s:.0f} s more"


class Gate:
    """One exchange's host, as it is reached from one outgoing address."""

    def __init__(self, dials: Dials, name: str, pace: Pace, namespace: str = "") -> None:
        self.name = name
        self._dials = dials
        self._namespace = namespace
        self._slot = dials.slot(name)
        self._cost_ns = round(NS_PER_S / pace.per_s)
        self._tolerance_ns = self._cost_ns * (pace.burst - 1)
        self._queue = asyncio.Lock()
        self._weight_queue = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for a turn to dial, and take it: dial at once."""
        async with self._queue:
            await self._take(DIALS, self._cost_ns, self._tolerance_ns)

    async def weight(self, cost_s: float, ban_s_max: float = math.inf) -> Ban | None:
        """Wait until earlier requests are paid for; this one, of so many seconds of the exchange's
        limit, is paid by the next. A ban that lasts longer than `ban_s_max` is not waited for: it
        is returned, and nothing is to be asked. It may come while others are waited for.
        """
        async with self._weight_queue:
            return await self._take(WEIGHT, round(cost_s * NS_PER_S), 0, ban_s_max)

    def ban(self) -> Ban | None:
        """The ban in force."""
        now_ns = clock.mono_ns()
        left_ns, status = self._slot.banned(now_ns)
        return Ban(status, left_ns / NS_PER_S, now_ns + left_ns) if left_ns else None

    def refused(self, status: int, asked_s: float | None, begun_ns: int | None = None) -> str:
        """Tell all who pass here of an exchange's refusal; returns what is odd about it, or "".

        `asked_s` is what its Retry-After said, if it did. `begun_ns`, monotonic, is when what it
        refuses was dialled or asked (None: now): the answers to all that was under way when a ban
        came are one refusal, and only what was tried after its end says that it was too short.
        """
        now_ns = clock.mono_ns()
        if begun_ns is None:
            begun_ns = now_ns
        from_ns, until_ns = self._slot.last_ban()
        last_ns = until_ns - from_ns
        just_over = begun_ns >= until_ns > from_ns and now_ns - until_ns < last_ns
        pause = pause_of(status, asked_s, last_ns / NS_PER_S if just_over else 0.0)
        if pause is None:
            return ""
        self._slot.ban(now_ns, now_ns + round(pause.seconds * NS_PER_S), status)
        return pause.note

    async def _take(
        self, word: int, cost_ns: int, tolerance_ns: int, ban_s_max: float = math.inf
    ) -> Ban | None:
        rounds = 0
        while True:
            now_ns = clock.mono_ns()
            self._open_again()
            wait_ns = self._slot.banned(now_ns)[0]
            if wait_ns > ban_s_max * NS_PER_S:
                return self.ban()
            if not wait_ns:
                since_ns = now_ns - self._slot.last_ban()[1]
                # No burst at first: what the first ones are answered the others hear in time.
                at_once_ns = 0 if since_ns < CAREFUL_NS else tolerance_ns
                wait_ns = self._slot.take(word, now_ns, cost_ns, at_once_ns)
                if wait_ns:
                    rounds += 1
                    wait_ns += COURTESY_NS // rounds
            if not wait_ns:
                return None
            await asyncio.sleep(min(max(wait_ns / NS_PER_S, SLEEP_S_MIN), SLEEP_S_MAX))

    def _open_again(self) -> None:
        """Follow the others to the slots that replaced these."""
        if self._dials.retired:
            with contextlib.suppress(SegmentError):
                dials = Dials.open(self._namespace)
                self._slot = dials.slot(self.name)
                self._dials = dials


class Gates:
    """A process's gates, by exchange, host and proxy; use as a context manager."""

    def __init__(self, namespace: str) -> None:
        """`fault` says why the turns are this process's alone, or is empty."""
        self.fault = ""
        self._namespace = namespace
        try:
            self._dials = Dials.open(namespace)
        except (SegmentError, OSError) as error:
            self.fault = str(error)
            self._dials = Dials.private()
        self._made: dict[tuple[str, Pace], Gate] = {}

    def gate(self, exchange: str, url: str, proxy: str, pace: Pace = REST) -> Gate:
        """The gate to an URL's host. One address is limited per exchange and host, whatever the
        market; what leaves through a proxy has the proxy's address.
        """
        key = (gate_name(exchange, url, proxy), pace)
        if key not in self._made:
            self._made[key] = Gate(self._dials, key[0], pace, self._namespace)
        return self._made[key]

    def of(self, adapter: Adapter, proxy: str) -> Gate:
        """The gate to an adapter's websocket."""
        limits = adapter.limits
        pace = Pace(limits.connects_per_s_max, limits.connects_burst)
        return self.gate(adapter.source.exchange.label, adapter.ws_url(), proxy, pace)

    def by_rest(self, adapter: Adapter, proxy: str) -> Gate:
        """The gate to an adapter's REST interface."""
        return self.gate(adapter.source.exchange.label, adapter.rest_base(), proxy)

    def close(self) -> None:
        self._dials.close()

    def __enter__(self) -> "Gates":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def gate_name(exchange: str, url: str, proxy: str) -> str:
    """For example "okx ws.okx.com direct". A proxy is named without its password."""
    through = urlsplit(proxy)
    user = f"{through.username}@" if through.username else ""
    via = f"{user}{through.hostname}:{through.port}" if proxy else "direct"
    return f"{exchange} {urlsplit(url).hostname} {via}"
