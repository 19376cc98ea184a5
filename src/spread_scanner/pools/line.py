"""A provider's line: the place that keeps one websocket connected, everything subscribed, and what
is told there seeded by HTTP.

All providers are asked for everything at once, so that whoever limits, falls behind or dies is
stood in for by the others. A line asks no faster than its provider lets itself be asked, dials with
growing pauses, through its proxies in turn, and ends a connection on which no slot was told for too
long. No URL is said without its key masked.
"""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Callable, Iterator, Sequence

import httpx
from picows import WSTransport

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config.pools import PoolSettings
from spread_scanner.errors import BadMessage
from spread_scanner.pools import asking, fees, rpc
from spread_scanner.pools.asking import ProviderRefusal, told_to_wait_s
from spread_scanner.pools.counting import PoolCounting
from spread_scanner.pools.endpoints import ProviderEndpoint
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.fees import FeeHearing, FeeQuestion
from spread_scanner.pools.pace import BEHIND_SLOTS_MAX, SLOT_NS
from spread_scanner.pools.rpc import RpcRefusal, RpcTrouble
from spread_scanner.pools.subscriptions import Subscriptions
from spread_scanner.runtime import logs, ws
from spread_scanner.runtime.backoff import Allowance, Backoff
from spread_scanner.runtime.messages import MessageListener
from spread_scanner.solana import PoolRefusal, chain_clock
from spread_scanner.solana.priority_fees import RecentFee

DIAL_S_MAX = 10.0
ANSWER_NS_MAX = 5 * NS_PER_S  # subscriptions that are asked for, and no answer came to any
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 60.0  # between two dials, and after a provider said "too much"
STOOD_NS = 60 * NS_PER_S
SILENT_NS_MAX = 15 * NS_PER_S  # no slot for so long: the connection is ended
AGAIN_NS = SLOT_NS  # between two seeds of the same pools
IDLE_S = 0.2
ASIDE_S = 1.0  # between two looks at whether to ask for the chain's clock, or what others pay
CLOCK_OLD_SLOTS_MAX = 150  # a minute: what a provider keeps goes on from its own slot
BAD_IN_A_ROW_MAX = 20
PASSING = (RpcTrouble.LIMITED, RpcTrouble.BEHIND)  # the same may be granted later
FORBIDDEN = (403, 451)  # what is asked, or by whom; other calls may be granted


def _refused(refusal: RpcRefusal) -> ProviderRefusal:
    """As a status would have it: with a wait, where the same may be granted later."""
    return asking.refused(refusal, 0.0 if refusal.trouble in PASSING else None)


class _Socket(MessageListener):
    """What a provider tells; `wake` is called when the connection has ended."""

    def __init__(self, take: Callable[[bytes], None], wake: Callable[[], None]) -> None:
        super().__init__(take)
        self.closed = False
        self._wake = wake

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        self.closed = True
        self._wake()

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.disconnect()


class ProviderLine:
    """One provider, for as long as the settings name it."""

    def __init__(
        self,
        endpoint: ProviderEndpoint,
        settings: PoolSettings,
        feed: PoolFeed,
        hearing: FeeHearing,
        count: PoolCounting,
        tls: ssl.SSLContext,
    ) -> None:
        self.name = endpoint.name
        self.subscriptions = Subscriptions()
        self.trouble = "not dialled yet"  # empty: it is connected
        self.woken = asyncio.Event()
        provider = settings.providers[self.name]
        self._endpoint, self._commitment = endpoint, settings.commitment
        self._subscriptions_max, self._fee_call = provider.subscriptions_max, provider.fee_call
        self._feed, self._fees, self._count, self._tls = feed, hearing, count, tls
        self._log = logs.get_logger(provider=self.name)
        self._ended = ""  # why we end this connection; empty: we do not
        self._numbers = itertools.count(1)
        self._proxies = itertools.cycle(endpoint.proxies or ("",))
        self._allowance = Allowance.of_rate(provider.requests_per_s)
        self._backoff = Backoff(PAUSE_S_MIN, PAUSE_S_MAX)  # of dials
        self._rests = Backoff(PAUSE_S_MIN, PAUSE_S_MAX)
        self._socket: _Socket | None = None
        self._asked_ns: dict[tuple[str, ...], int] = {}  # when these were seeded last
        self._refused: set[str] = set()  # accounts whose subscriptions were, in this life
        self._bad_in_a_row = 0
        self._slot_ns = 0  # when a slot was told last
        self._answer_ns = 0  # when a subscription was answered last, or the first one asked for
        self._rest_until_ns = 0
        self._aside_until_ns = 0  # likewise, of the clock's and the fees' questions alone
        self._wrong_aside: dict[str, str] = {}  # by what was asked; empty: nothing is

    async def run(self) -> None:
        """Dial, live, and dial again."""
        while True:
            proxy = next(self._proxies)
            begun_ns = clock.mono_ns()
            wait_s: float | None = None
            try:
                await self._life(proxy)
            except ws.DialFailed as error:
                self._count.add("connect_failures")
                self._said(error.reason)
                wait_s = told_to_wait_s(error.status or 0, error.wait_s)
            if clock.mono_ns() - begun_ns > STOOD_NS:
                self._backoff.stood()
            await asyncio.sleep(max(self._backoff.next_s(), wait_s or 0.0))

    def health(self, now_ns: int) -> str:
        """How it fares, in a word: what keeps it away or is asked too much of it, how far it is
        behind; where nothing is wrong, its score."""
        rests_ns = self._rest_until_ns - now_ns
        score = self._feed.pace.score(self.name, now_ns)
        if self.trouble:
            return f"{self.name}: {self.trouble}"
        if rests_ns > 0:
            return f"{self.name}: limited, asked again in {rests_ns / NS_PER_S:.0f} s"
        if score is None:
            return f"{self.name}: has told no slot"
        if not score.in_time and score.behind_slots >= BEHIND_SLOTS_MAX:
            return f"{self.name}: {score.behind_slots:,} slots behind"
        if not score.in_time:
            return f"{self.name}: no slot for {score.silent_ns / NS_PER_S:.0f} s"
        if off_s := self._feed.clock_off_s(self.name):
            return f"{self.name}: its clock of the chain is {off_s:+,} s off"
        return f"{self.name} {score.first:.0%} first, {score.late_ns / NS_PER_MS:.0f} ms late"

    def cut(self) -> None:
        """What the connection has told may be old: a new one is dialled."""
        if self._socket is not None:
            self._socket.cut()

    def _said(self, what: str) -> None:
        masked = self._endpoint.masked(what)
        if masked != self.trouble:
            self._log.warning("provider", said=masked)
        self.trouble = masked

    async def _life(self, proxy: str) -> None:
        """One connection. Raises DialFailed where there is none."""
        socket = _Socket(self._take, self.woken.set)
        await ws.dial(
            self._endpoint.ws_url,
            lambda: socket,
            timeout_s=DIAL_S_MAX,
            proxy=proxy,
            tls=self._tls if self._endpoint.ws_url.startswith("wss:") else None,
        )
        self._count.add("connects")
        self._socket, self.trouble, self._ended = socket, "", ""
        self.subscriptions, self._bad_in_a_row = Subscriptions(), 0
        self._asked_ns.clear()
        self._refused.clear()
        self._slot_ns = clock.mono_ns()
        self._feed.connected(self.name)
        try:
            async with asking.client(self._tls, proxy) as client:
                socket.send(rpc.subscribe_slots(next(self._numbers)))
                aside = asyncio.create_task(self._ask_aside(client))
                try:
                    await self._tend(socket, client, aside)
                finally:
                    aside.cancel()
                    await asyncio.gather(aside, return_exceptions=True)
        finally:
            socket.cut()
            self._socket = None
            self._count.add("skip_unknown", self.subscriptions.dropped)
            self._feed.lost(self.name, clock.mono_ns())
        if not self._ended:
            self._count.add("disconnects")
        self._said(self._ended or "the connection was lost")

    # --- what is to be done

    async def _tend(
        self, socket: _Socket, client: httpx.AsyncClient, beside: asyncio.Task[None]
    ) -> None:
        """Keep everything subscribed and seeded, until the connection is gone; `beside` ends with a
        fault of ours alone, which is raised."""
        while not socket.closed:
            if beside.done():
                beside.result()
            self.woken.clear()
            now_ns = clock.mono_ns()
            if silence := self._silence(now_ns):
                self._ended = silence
                self._count.add("silent")
                return
            wait_s = max(self._allowance.wait_s(now_ns), (self._rest_until_ns - now_ns) / NS_PER_S)
            if wait_s <= 0:
                try:
                    if await self._one(socket, client, now_ns):
                        continue
                except ProviderRefusal as limited:
                    self._count.add("limited")
                    self._rest(limited)
            await self._idle(min(max(wait_s, 0.01), IDLE_S) if wait_s > 0 else IDLE_S)

    def _silence(self, now_ns: int) -> str:
        """What has not come for so long that the connection is worth nothing; empty: all does."""
        if now_ns - self._slot_ns > SILENT_NS_MAX:
            return "no slot was told for too long"
        if self.subscriptions.unanswered and now_ns - self._answer_ns > ANSWER_NS_MAX:
            return "subscriptions were not answered"
        return ""

    async def _idle(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.woken.wait(), seconds)

    def _rest(self, limited: ProviderRefusal) -> None:
        """Ask nothing for a while; what is told meanwhile is heard. Of several requests that were
        under way together and are refused, the first counts."""
        if clock.mono_ns() < self._rest_until_ns and limited.wait_s is None:
            return
        pause_s = max(self._rests.next_s(), limited.wait_s or 0.0)
        self._rest_until_ns = clock.mono_ns() + int(pause_s * NS_PER_S)
        self._log.warning("provider", said=self._endpoint.masked(str(limited)), rests_s=pause_s)

    async def _one(self, socket: _Socket, client: httpx.AsyncClient, now_ns: int) -> bool:
        """The next thing that is to be asked; False: nothing is."""
        by_pool = list(self._in_reach())
        heard = self.subscriptions.keys
        for key in heard.difference(*by_pool):
            number = self.subscriptions.give_up(key)
            if number is not None:
                self._allowance.use(now_ns)
                socket.send(rpc.unsubscribe_account(next(self._numbers), number))
                return True
        asked = heard | self.subscriptions.asked | self._refused
        for key in itertools.chain.from_iterable(by_pool):
            if key not in asked:
                number = next(self._numbers)
                self._allowance.use(now_ns)
                if not self.subscriptions.unanswered:
                    self._answer_ns = now_ns
                self.subscriptions.ask(number, key)
                socket.send(rpc.subscribe_account(number, key, self._commitment))
                return True
        unseeded = set(self._feed.units.held.unseeded(self.name))
        due = [
            keys
            for keys in by_pool
            if heard.issuperset(keys)
            and unseeded.intersection(keys)
            and now_ns - self._asked_ns.get(keys, -AGAIN_NS) >= AGAIN_NS
        ]
        if not due:
            return False
        self._asked_ns.update(dict.fromkeys(due, now_ns))
        batch = rpc.batches(due)[0]
        for keys in due:
            if not set(keys) <= set(batch):
                del self._asked_ns[keys]
        self._allowance.use(now_ns)
        await self._seed(client, batch)
        return True

    def _in_reach(self) -> Iterator[tuple[str, ...]]:
        """What is heard of whom, as far as one connection may hear so much."""
        room, known = self._subscriptions_max, set[str]()
        for keys in self._feed.accounts_by_pool():
            if len(known.union(keys)) <= room:
                known.update(keys)
                yield keys

    async def _seed(self, client: httpx.AsyncClient, keys: Sequence[str]) -> None:
        """Ask what stands, and tell. Raises ProviderRefusal."""
        slot_min = self._feed.units.held.seed_slot_min(keys)
        number = next(self._numbers)
        try:
            found = await asking.accounts(client, self._endpoint.http_url, number, keys, slot_min)
        except ProviderRefusal:
            self._count.add("seeds_failed")
            raise
        except BadMessage as error:
            self._count.add("skip_bad_message")
            self._count.add("seeds_failed")
            raise ProviderRefusal(error.message) from None
        if isinstance(found, RpcRefusal):
            self._count.add("seeds_failed")
            self._count.add("refusals")
            if found.trouble is not RpcTrouble.NOT_THERE_YET:
                raise asking.refused(found)
            return
        self._count.add("seeds")
        self._rests.stood()
        if self._socket is not None and not self._socket.closed:
            self._feed.seeded(self.name, found.slot, found.accounts, clock.mono_ns())

    async def _ask_aside(self, client: httpx.AsyncClient) -> None:
        """Ask for the chain's clock and what others paid, when that is due and nothing stands in
        the way; what is not answered is asked later, by whoever is there then, and keeps nothing
        else waiting."""
        while True:
            await asyncio.sleep(min(ASIDE_S, self._fees.every_s))
            now_ns = clock.mono_ns()
            rest_until_ns = max(self._rest_until_ns, self._aside_until_ns)
            if now_ns >= rest_until_ns and self._allowance.wait_s(now_ns) <= 0:
                if self._feed.clock_due(self.name, now_ns):
                    self._allowance.use(now_ns)
                    await self._read_clock(client)
                elif (asked := self._fees.next(self.name, now_ns)) is not None:
                    self._allowance.use(now_ns)
                    await self._ask_fees(client, asked)

    async def _read_clock(self, client: httpx.AsyncClient) -> None:
        """The next look at it, of whichever provider, may be answered better."""
        asked, number = [chain_clock.KEY], next(self._numbers)
        try:
            url, most = self._endpoint.http_url, asking.ASIDE_BYTES_MAX
            found = await asking.accounts(client, url, number, asked, 0, most)
            if isinstance(found, RpcRefusal):
                raise _refused(found)
            _, data = found.accounts[chain_clock.KEY]
            told = chain_clock.decode(data)
            if not 0 <= found.slot - told.slot <= CLOCK_OLD_SLOTS_MAX:
                raise BadMessage("a clock of another slot", slot=told.slot, asked=found.slot)
        except ProviderRefusal as refusal:
            self._rest_aside("the chain's clock", refusal)
        except (BadMessage, PoolRefusal) as error:
            self._said_aside("the chain's clock", str(error))
            self._count.add("skip_bad_message")
        else:
            now_ns, wall_ns = clock.mono_ns(), clock.wall_ns()
            self._feed.clock_told(self.name, told.slot, told.unix_ts, now_ns, wall_ns)
            off = "it is not what is believed" if self._feed.clock_off_s(self.name) else ""
            self._said_aside("the chain's clock", off)

    async def _ask_fees(self, client: httpx.AsyncClient, asked: FeeQuestion) -> None:
        """What others paid for writing a pool, to its cell."""
        try:
            recent = await self._recent_fees(client, asked.accounts)
        except ProviderRefusal as refusal:
            self._count.add("fees_failed")
            self._rest_aside("priority fees", refusal)
        except BadMessage as error:
            self._said_aside("priority fees", str(error))
            self._count.add("fees_failed")
        else:
            self._said_aside("priority fees", "")
            self._count.add("fees_heard")
            self._fees.heard(asked.pool, recent, clock.mono_ns())

    async def _recent_fees(
        self, client: httpx.AsyncClient, accounts: Sequence[str]
    ) -> Sequence[RecentFee] | int:
        """Raises ProviderRefusal, with a wait where too much is asked, and BadMessage."""
        number = next(self._numbers)
        request = rpc.request(number, *self._fees.request(self._fee_call, accounts))
        url, most = self._endpoint.http_url, asking.ASIDE_BYTES_MAX
        answer = await asking.posted(client, url, request, most)
        found = rpc.result_of(answer, number)
        if isinstance(found, RpcRefusal):
            raise _refused(found)
        recent = fees.read(self._fee_call, bytes(found))
        if not isinstance(recent, int) and any(self._feed.cannot_be(one.slot) for one in recent):
            raise BadMessage("fees of a slot that nobody has come near", raw=answer)
        return recent

    def _said_aside(self, of: str, trouble: str) -> None:
        """What is wrong with an answer to such a question, told when it begins."""
        if trouble and not self._wrong_aside.get(of):
            self._log.warning("provider", of=of, said=self._endpoint.masked(trouble))
        self._wrong_aside[of] = trouble

    def _rest_aside(self, of: str, refusal: ProviderRefusal) -> None:
        """Who is asked too much is asked nothing for a while; who forbids such a question, no such
        question."""
        if refusal.wait_s is not None and refusal.status not in FORBIDDEN:
            self._count.add("limited")
            self._rest(refusal)
            return
        self._said_aside(of, str(refusal))
        if refusal.wait_s is not None:
            self._aside_until_ns = clock.mono_ns() + int(refusal.wait_s * NS_PER_S)

    # --- what is heard

    def _take(self, data: bytes) -> None:
        now_ns = clock.mono_ns()
        self._count.add("messages")
        try:
            message = rpc.heard(data)
        except BadMessage as error:
            self._bad(error)
            return
        self._bad_in_a_row = 0
        if isinstance(message, rpc.AccountTold):
            self._count.add("accounts")
            of = self.subscriptions.told(message, now_ns)
            if of is not None:
                account = message.owner, message.data
                self._feed.told(self.name, of.key, message.slot, account, now_ns)
        elif isinstance(message, rpc.SlotTold):
            if self._feed.slot(self.name, message.slot, now_ns):
                self._slot_ns = now_ns
        elif isinstance(message, rpc.Subscribed):
            self._answer_ns = now_ns
            for key, told in self.subscriptions.acknowledged(message, now_ns):
                self._feed.told(self.name, key, told.slot, (told.owner, told.data), now_ns)
            self.woken.set()
        elif isinstance(message, RpcRefusal):
            self._refusal(message)

    def _bad(self, error: BadMessage) -> None:
        self._count.add("skip_bad_message")
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= BAD_IN_A_ROW_MAX:
            self._ended = f"too many bad messages in a row: {error.message}"
            self.cut()

    def _refusal(self, refusal: RpcRefusal) -> None:
        self._count.add("refusals")
        self._answer_ns = clock.mono_ns()
        key = None if refusal.request_id is None else self.subscriptions.refused(refusal.request_id)
        said = self._endpoint.masked(f"{refusal.code}: {refusal.said}")
        if refusal.trouble in PASSING:  # asked again after a rest
            self._count.add("limited")
            self._rest(ProviderRefusal(said))
        elif key is not None:
            self._refused.add(key)
            self._log.warning("a subscription was refused", key=key, said=said)
