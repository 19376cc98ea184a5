"""A provider's line: the place that keeps one websocket connected, everything subscribed, and what
is told there seeded by HTTP.

All providers are asked for everything at once, so that whoever limits, falls behind or dies is
stood in for by the others. How a line dials, asks and believes is what a line to an exchange does,
by the same settings ([feed]) and code: turns and bans of all processes (runtime/gate.py), pauses
that fall only when a connection has stood with slots (runtime/backoff.py), deadlines and growing
pauses of what is asked for (subscriptions.py), pings and silence (trusted.py). It differs in that
it has several ways out, its provider's proxies, of which one that is banned is passed over; and in
that it calls for no successor, as the other providers are there. No URL is said without its key
masked.
"""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from picows import WSFrame, WSMsgType, WSTransport

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.config.pools import PoolSettings
from spread_scanner.errors import BadMessage
from spread_scanner.pools import asking, fees, rpc
from spread_scanner.pools.asking import (
    FORBIDDEN,
    GATES_NAMED,
    AskedProvider,
    ProviderBanned,
    ProviderRefusal,
)
from spread_scanner.pools.counting import PoolCounting
from spread_scanner.pools.endpoints import ProviderEndpoint
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.fees import FeeHearing, FeeQuestion
from spread_scanner.pools.pace import BEHIND_SLOTS_MAX, SLOT_NS
from spread_scanner.pools.rpc import RpcRefusal, RpcTrouble
from spread_scanner.pools.subscriptions import SLOTS, Subscriptions
from spread_scanner.pools.trusted import ProviderTrust, in_words
from spread_scanner.runtime import logs, ws
from spread_scanner.runtime.backoff import Backoff
from spread_scanner.runtime.gate import Ban, Gate, Gates, Pace
from spread_scanner.runtime.life import End
from spread_scanner.runtime.messages import MessageListener
from spread_scanner.runtime.patience import pauses_of
from spread_scanner.schema.enums import Carries
from spread_scanner.shm.connections import ConnectionRows
from spread_scanner.solana import PoolRefusal, chain_clock
from spread_scanner.solana.priority_fees import RecentFee

DIALS = Pace(1.0)  # a line has one connection; public nodes allow four a second
AGAIN_NS = SLOT_NS  # between two seeds of the same pools
IDLE_S = 0.2
ASIDE_S = 1.0  # between two looks at whether to ask for the chain's clock, or what others pay
CLOCK_OLD_SLOTS_MAX = 150  # a minute: what a provider keeps goes on from its own slot
PASSING = (RpcTrouble.LIMITED, RpcTrouble.BEHIND)  # the same may be granted later
OF_ITS_EDGE = (End.NO_DATA, End.UNHEARD, End.FROZEN)  # another address may do better


@dataclass
class LineShare:
    """What all lines have in common; `policy`, how they dial, ask and believe, as feeds of
    exchanges do, is another one after a reload."""

    policy: Feed
    feed: PoolFeed
    fees: FeeHearing
    count: PoolCounting
    gates: Gates
    rows: ConnectionRows
    tls: ssl.SSLContext


class _Way(NamedTuple):
    """How a provider is reached: through which proxy, if any, and whose turns are waited for."""

    proxy: str
    gate: Gate


class _Socket(MessageListener):
    """What a provider tells, and that it lives."""

    def __init__(self, take: Callable[[bytes], None], trust: ProviderTrust) -> None:
        super().__init__(take)
        self.ended = asyncio.Event()
        self._trust = trust

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = clock.mono_ns()
        self._trust.frame(now_ns)
        if frame.msg_type == WSMsgType.PONG:
            self._trust.ponged(frame.get_payload_as_bytes(), now_ns)
        super().on_ws_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        self.ended.set()

    def ping(self, payload: bytes) -> None:
        if self.transport is not None:
            self.transport.send_ping(payload)

    def cut(self) -> None:
        self.ended.set()
        if self.transport is not None:
            self.transport.disconnect()


class _Life(NamedTuple):
    """A connection that stands, and all that ends with it."""

    socket: _Socket
    trust: ProviderTrust
    asked: AskedProvider
    way: _Way


class ProviderLine:
    """One provider, for as long as the settings name it."""

    def __init__(
        self, endpoint: ProviderEndpoint, settings: PoolSettings, share: LineShare
    ) -> None:
        self.name = endpoint.name
        self.subscriptions = Subscriptions(pauses_of(share.policy))
        self.trouble = "not dialled yet"  # empty: it is connected
        self.woken = asyncio.Event()
        provider = settings.providers[self.name]
        self._endpoint, self._commitment = endpoint, settings.commitment
        self._subscriptions_max, self._fee_call = provider.subscriptions_max, provider.fee_call
        self._requests_per_s = provider.requests_per_s
        self._share, self._feed, self._fees = share, share.feed, share.fees
        self._row = share.rows.take(Carries.ACCOUNTS, self.name, endpoint.shown)
        self._count = share.count.beside(self._row)
        self._log = logs.get_logger(provider=self.name)
        self._numbers, self._connections = itertools.count(1), itertools.count(1)
        self._ways = [_Way(proxy, self._gate(proxy)) for proxy in endpoint.proxies or ("",)]
        self._way = self._ways[0]
        self._next_way = 0
        self._redial = asyncio.Event()  # no pause is waited out any more
        self._backoff, self._rests = self._new_backoff(), self._new_backoff()
        self._life: _Life | None = None
        self._ended = ""  # why we end this connection; empty: we do not
        self._asked_ns: dict[tuple[str, ...], int] = {}  # when these were seeded last
        self._rest_until_ns = 0
        self._aside_until_ns = 0  # likewise, of the clock's and the fees' questions alone
        self._wrong_aside: dict[str, str] = {}  # by what was asked; empty: nothing is

    def _gate(self, proxy: str) -> Gate:
        name = GATES_NAMED.format(self.name)
        return self._share.gates.gate(name, self._endpoint.ws_told, proxy, DIALS)

    def _new_backoff(self) -> Backoff:
        return Backoff(self._share.policy.backoff_s_min, self._share.policy.backoff_s_max)

    # --- dialling

    async def run(self) -> None:
        """Dial, live, and dial again."""
        while True:
            self._way = self._turn_of_ways()
            try:
                await self._way.gate.turn()
                await self._once(self._way)
            except ws.DialFailed as error:
                self._dial_failed(error, self._way.gate)
            pause_s = self._backoff.next_s()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._redial.wait(), pause_s)
            self._redial.clear()

    def _turn_of_ways(self) -> _Way:
        """The next one that is not banned; where all are, the one that is so for the least time."""
        first, self._next_way = self._next_way, (self._next_way + 1) % len(self._ways)
        ways = self._ways[first:] + self._ways[:first]
        return min(ways, key=lambda way: ban.left_s if (ban := way.gate.ban()) else 0.0)

    def _dial_failed(self, error: ws.DialFailed, gate: Gate) -> None:
        """What was answered is told to all who dial there."""
        self._count.add("connect_failures")
        if self._row is not None:
            self._row.ended(self._endpoint.masked(error.reason))
        if error.status is not None:
            note = gate.refused(error.status, error.wait_s, error.begun_ns)
            if note:
                self._log.warning("odd Retry-After", said=note)
        self._said(error.reason)

    def stop(self) -> None:
        """Its task is ended, by whoever began it: the row is another's from now on."""
        if self._row is not None:
            self._share.rows.give_back(self._row)
            self._row, self._count = None, self._count.beside(None)

    def redial(self) -> None:
        """The machine slept: what was told before may be old, what was open is dead, and what was
        paused has paused enough."""
        self._backoff, self._rests = self._new_backoff(), self._new_backoff()
        self._rest_until_ns = self._aside_until_ns = 0
        if self._life is not None:
            self._life.socket.cut()
        self._redial.set()

    def retune(self) -> None:
        """Take the settings that were reloaded; the connection stays. No pause of ours is waited
        out, as with exchanges: turns and bans are the address's.
        """
        policy = self._share.policy
        for backoff in (self._backoff, self._rests):
            backoff.retune(policy.backoff_s_min, policy.backoff_s_max)
        self.subscriptions.pauses = pauses_of(policy)
        self.subscriptions.ask_at_once()
        self._rest_until_ns = self._aside_until_ns = 0
        self.woken.set()
        if self._life is not None:
            self._life.trust.retune(policy)
        else:
            self._redial.set()

    def _said(self, what: str) -> None:
        masked = self._endpoint.masked(what)
        if masked != self.trouble:
            self._log.warning("provider", said=masked)
        self.trouble = masked

    async def _once(self, way: _Way) -> None:
        """One connection. Raises DialFailed where there is none."""
        trust = ProviderTrust(self._share.policy, clock.mono_ns())
        socket = _Socket(self._take, trust)
        await ws.dial(
            self._endpoint.ws_url,
            lambda: socket,
            timeout_s=self._share.policy.connect_timeout_s,
            proxy=way.proxy,
            tls=self._share.tls if self._endpoint.ws_url.startswith("wss:") else None,
        )
        self._count.add("connects")
        self.trouble, self._ended = "", ""
        self.subscriptions = Subscriptions(pauses_of(self._share.policy))
        self._asked_ns.clear()
        opened_ns = clock.mono_ns()
        trust.opened(opened_ns)
        if self._row is not None:
            self._row.opened(next(self._connections), opened_ns)
        self._feed.connected(self.name)
        try:
            async with asking.client(self._share.tls, way.proxy) as client:
                asked = AskedProvider(
                    self._endpoint, self._requests_per_s, self._share.gates, client, way.proxy
                )
                trust.retune(self._share.policy)  # a reload may have come while it was dialled
                self._life = _Life(socket, trust, asked, way)
                self._redial.clear()  # it was asked for, and is done
                await self._until_ended(self._life)
        finally:
            self._life = None
            socket.cut()
            self._count.add("skip_unknown", self.subscriptions.dropped)
            self._feed.lost(self.name, clock.mono_ns())
            self._over()

    def _over(self) -> None:
        """A connection has ended."""
        if not self._ended:
            self._count.add("disconnects")
        self._said(self._ended or "the connection was lost")
        if self._row is not None:
            self._row.ended(self.trouble)
            self._row.dialling()

    async def _until_ended(self, life: _Life) -> None:
        """Keep everything subscribed and seeded while it stands. A fault of ours is raised."""
        tasks = [
            asyncio.create_task(one)
            for one in (life.socket.ended.wait(), self._tend(life), self._ask_aside(life.asked))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- whether it can be believed

    def check(self, now_ns: int) -> None:
        """Look at the clock, several times a second: what is to be pinged, is not stood behind, or
        has to go."""
        ban = self.ban()
        if self._row is not None:
            self._row.banned(*((ban.until_ns, ban.status) if ban is not None else (0, 0)))
        life = self._life
        if life is None:
            return
        felt = life.trust.look(now_ns, self._feed.pace.slot_ns)
        self._feed.doubt(self.name, now_ns, doubted=bool(life.trust.doubted))
        if self._row is not None:
            self._row.heard(life.trust.frame_ns, len(self.subscriptions.keys))
        for _ in range(felt.stood):
            self._backoff.stood()
        if felt.ping is not None:
            life.socket.ping(felt.ping)
        if felt.end is not None and not self._ended:
            self._end(life, felt.end)

    def _end(self, life: _Life, why: End) -> None:
        self._ended = in_words(why)
        if why in OF_ITS_EDGE:
            self._count.add("silent")
            if not life.way.proxy and life.socket.transport is not None:
                ws.useless(life.socket.transport, self._endpoint.ws_url)
        life.socket.cut()

    def ban(self) -> Ban | None:
        """What keeps everybody from dialling there, or from asking."""
        asks = self._life.asked.gate.ban() if self._life is not None else None
        return self._way.gate.ban() or asks

    def amiss(self, now_ns: int) -> str:
        """What is wrong with it, in a word: what keeps it away or is asked too much of it, how far
        it is behind; empty: nothing is."""
        ban, rests_ns = self.ban(), self._rest_until_ns - now_ns
        score, life = self._feed.pace.score(self.name, now_ns), self._life
        if ban is not None:
            return f"{self.name}: {ban}"
        if self.trouble:
            return f"{self.name}: {self.trouble}"
        if rests_ns > 0:
            return f"{self.name}: does not answer, asked again in {rests_ns / NS_PER_S:.0f} s"
        if life is not None and life.trust.doubted:
            return f"{self.name}: {life.trust.doubted}"
        if score is None:
            return f"{self.name}: has told no slot"
        if not score.in_time and score.behind_slots >= BEHIND_SLOTS_MAX:
            return f"{self.name}: {score.behind_slots:,} slots behind"
        if not score.in_time:
            return f"{self.name}: no slot for {score.silent_ns / NS_PER_S:.0f} s"
        if off_s := self._feed.clock_off_s(self.name):
            return f"{self.name}: its clock of the chain is {off_s:+,} s off"
        return ""

    def score(self, now_ns: int) -> str:
        """How often it is first and how late else, of one with which nothing is wrong."""
        score = self._feed.pace.score(self.name, now_ns)
        if score is None:
            return ""
        return f"{self.name} {score.first:.0%} first, {score.late_ns / NS_PER_MS:.0f} ms late"

    # --- what is to be done

    async def _tend(self, life: _Life) -> None:
        """Ask for what is missing, one thing after the other."""
        while True:
            self.woken.clear()
            try:
                if not self._rests_now(life.asked) and await self._one(life):
                    continue
            except ProviderBanned:
                pass
            except ProviderRefusal as refusal:
                self._rest(refusal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), IDLE_S)

    def _rests_now(self, asked: AskedProvider) -> bool:
        return clock.mono_ns() < self._rest_until_ns or asked.gate.ban() is not None

    def _rest(self, refusal: ProviderRefusal) -> None:
        """Ask nothing for a while; what is told meanwhile is heard. A ban stands with all who ask
        there; what is not answered, or answered by a node that is not well, is asked again after a
        pause. Of several requests that were under way together and are refused, the first counts.
        """
        if refusal.wait_s is not None:
            self._count.add("limited")
            self._log.warning(
                "provider", said=self._endpoint.masked(str(refusal)), rests_s=refusal.wait_s
            )
        elif clock.mono_ns() >= self._rest_until_ns:
            pause_s = self._rests.next_s()
            self._rest_until_ns = clock.mono_ns() + int(pause_s * NS_PER_S)
            self._log.warning(
                "provider", said=self._endpoint.masked(str(refusal)), rests_s=round(pause_s, 2)
            )

    async def _one(self, life: _Life) -> bool:
        """Ask the next thing that is to be asked; False: nothing is. Raises ProviderRefusal."""
        by_pool = list(self._in_reach())
        if message := self._next_message(by_pool, clock.mono_ns()):
            await life.asked.turn()
            life.socket.send(message())
            return True
        now_ns, heard = clock.mono_ns(), self.subscriptions.keys
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
        # What was asked for longer ago may be asked for anew, where it is wanted still.
        self._asked_ns = {
            keys: at_ns for keys, at_ns in self._asked_ns.items() if now_ns - at_ns < AGAIN_NS
        } | dict.fromkeys(due, now_ns)
        batch = rpc.batches(due)[0]
        for keys in due:
            if not set(keys) <= set(batch):
                del self._asked_ns[keys]
        await self._seed(life.asked, batch)
        return True

    def _next_message(
        self, by_pool: Sequence[tuple[str, ...]], now_ns: int
    ) -> Callable[[], bytes] | None:
        """What is to be said on the connection, made when its turn has come; None: nothing is."""
        subscriptions = self.subscriptions
        for given_up in subscriptions.keys.difference(*by_pool):
            subscriptions.give_up(given_up)
        if (spare := subscriptions.spare()) is not None:
            return lambda: rpc.unsubscribe_account(next(self._numbers), spare)
        key = subscriptions.next((SLOTS, *itertools.chain.from_iterable(by_pool)), now_ns)
        return None if key is None else lambda: self._subscribe(key)

    def _subscribe(self, key: str) -> bytes:
        number = next(self._numbers)
        self.subscriptions.ask(number, key, clock.mono_ns())
        if key == SLOTS:
            return rpc.subscribe_slots(number)
        return rpc.subscribe_account(number, key, self._commitment)

    def _in_reach(self) -> Iterator[tuple[str, ...]]:
        """What is heard of whom, as far as one connection may hear so much."""
        room, known = self._subscriptions_max, set[str]()
        for keys in self._feed.accounts_by_pool():
            if len(known.union(keys)) <= room:
                known.update(keys)
                yield keys

    async def _seed(self, asked: AskedProvider, keys: Sequence[str]) -> None:
        """Ask what stands, and tell. Raises ProviderRefusal."""
        slot_min = self._feed.units.held.seed_slot_min(keys)
        begun_ns = clock.mono_ns()
        try:
            found = await asked.accounts(next(self._numbers), keys, slot_min)
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
                raise asked.heard(found, begun_ns)
            return
        self._count.add("seeds")
        self._rests.stood()
        self._feed.seeded(self.name, found.slot, found.accounts, clock.mono_ns())

    async def _ask_aside(self, asked: AskedProvider) -> None:
        """Ask for the chain's clock and what others paid, when that is due; what is not answered is
        asked later, by whoever is there then, and keeps nothing else waiting."""
        while True:
            await asyncio.sleep(min(ASIDE_S, self._fees.every_s))
            now_ns = clock.mono_ns()
            if now_ns < self._aside_until_ns or self._rests_now(asked):
                continue
            if self._feed.clock_due(self.name, now_ns):
                await self._read_clock(asked)
            elif (question := self._fees.next(self.name, now_ns)) is not None:
                await self._ask_fees(asked, question)

    async def _read_clock(self, asked: AskedProvider) -> None:
        """The next look at it, of whichever provider, may be answered better."""
        try:
            found = await asked.accounts(next(self._numbers), [chain_clock.KEY], 0, aside=True)
            if isinstance(found, RpcRefusal):
                raise asked.heard(found)
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

    async def _ask_fees(self, asked: AskedProvider, question: FeeQuestion) -> None:
        """What others paid for writing a pool, to its cell."""
        try:
            recent = await self._recent_fees(asked, question.accounts)
        except ProviderRefusal as refusal:
            self._unheard(question)
            self._rest_aside("priority fees", refusal)
        except BadMessage as error:
            self._said_aside("priority fees", str(error))
            self._unheard(question)
        else:
            self._said_aside("priority fees", "")
            self._count.add("fees_heard")
            self._fees.heard(self.name, question.pool, recent, clock.mono_ns())

    def _unheard(self, question: FeeQuestion) -> None:
        self._count.add("fees_failed")
        self._fees.unheard(self.name, question.pool, clock.mono_ns())

    async def _recent_fees(
        self, asked: AskedProvider, accounts: Sequence[str]
    ) -> Sequence[RecentFee] | int:
        """Raises ProviderRefusal, with a wait where too much is asked, and BadMessage."""
        number = next(self._numbers)
        request = rpc.request(number, *self._fees.request(self._fee_call, accounts))
        answer = await asked.posted(request, aside=True)
        found = rpc.result_of(answer, number)
        if isinstance(found, RpcRefusal):
            raise asked.heard(found)
        recent = fees.read(self._fee_call, bytes(found))
        if not isinstance(recent, int) and any(self._feed.cannot_be(one.slot) for one in recent):
            raise BadMessage("fees of a slot that nobody has come near", raw=answer)
        if not isinstance(recent, int) and recent:
            pace, newest = self._feed.pace, max(one.slot for one in recent)
            if (pace.best_slot - newest) * pace.slot_ns > self._fees.heard_ns_max:
                raise BadMessage("fees of slots that are long over", slot=newest)
        return recent

    def _said_aside(self, of: str, trouble: str) -> None:
        """What is wrong with an answer to such a question, told when it begins."""
        if trouble and not self._wrong_aside.get(of):
            self._log.warning("provider", of=of, said=self._endpoint.masked(trouble))
        self._wrong_aside[of] = trouble

    def _rest_aside(self, of: str, refusal: ProviderRefusal) -> None:
        """Who is asked too much is asked nothing for a while; who forbids such a question, no such
        question; what else keeps one from an answer says nothing of the pools' accounts."""
        if isinstance(refusal, ProviderBanned):
            return
        if refusal.passing or (refusal.wait_s is not None and refusal.status not in FORBIDDEN):
            self._rest(refusal)
            return
        self._said_aside(of, str(refusal))
        if refusal.wait_s is not None:
            self._aside_until_ns = clock.mono_ns() + int(refusal.wait_s * NS_PER_S)

    # --- what is heard

    def _take(self, data: bytes) -> None:
        now_ns = clock.mono_ns()
        self._count.add("messages")
        if self._life is None:
            return  # it is being made, or has ended
        if self._life.trust.doubted:
            self._feed.doubt(self.name, now_ns, doubted=True)
        try:
            message = rpc.heard(data)
        except BadMessage:
            self._count.add("skip_bad_message")
            self._life.trust.bad_in_row += 1
            return
        self._life.trust.bad_in_row = 0
        if isinstance(message, rpc.AccountTold):
            self._count.add("accounts")
            of = self.subscriptions.told(message, now_ns)
            if of is not None:
                account = message.owner, message.data
                self._feed.told(self.name, of.key, message.slot, account, now_ns)
        elif isinstance(message, rpc.SlotTold):
            if self._feed.slot(self.name, message.slot, now_ns):
                self._life.trust.slot_ns = now_ns
        elif isinstance(message, rpc.Subscribed):
            for early in self.subscriptions.acknowledged(message, now_ns):
                account = early.told.owner, early.told.data
                self._feed.told(self.name, early.key, early.told.slot, account, now_ns)
            self.woken.set()
        elif isinstance(message, RpcRefusal):
            self._refusal(message, self._life)

    def _refusal(self, refusal: RpcRefusal, life: _Life) -> None:
        """Of a subscription, or of whatever was said."""
        self._count.add("refusals")
        passing = refusal.trouble in PASSING
        key = None
        if refusal.request_id is not None:
            now_ns = clock.mono_ns()
            key = self.subscriptions.refused(refusal.request_id, now_ns, passing=passing)
        if passing:  # asked again after a rest
            self._rest(life.asked.heard(refusal))
        elif key is not None:
            said = self._endpoint.masked(f"{refusal.code}: {refusal.said}")
            self._log.warning("a subscription was refused", key=key, said=said)
