"""A provider asked by HTTP: in its turn among all processes that ask there, and not while a ban is
in force that any of them was told of (runtime/gate.py), as exchanges are. For the seeds of a line
(line.py), any call (calls.py), and a pool as it stands now for whoever wants one quote and listens
to nobody.

Such a one asks the providers in the order of the settings, each until it has told everything that
the pool's price needs, of one slot, with the chain's clock; the first that does is believed. What a
provider does not answer is ProviderRefusal, without its key.
"""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import httpx

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.config.pools import PoolEntry
from spread_scanner.errors import BadMessage, SpreadError
from spread_scanner.pools import rpc
from spread_scanner.pools.endpoints import ProviderEndpoint
from spread_scanner.pools.held import Account
from spread_scanner.pools.rpc import AccountsRead, RpcRefusal, RpcTrouble
from spread_scanner.pools.wanted import wanted
from spread_scanner.runtime import logs
from spread_scanner.runtime.failures import failure_in_words
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.refusals import in_words, pause_of, retry_after_s
from spread_scanner.solana import PoolReason, PoolRefusal, chain_clock
from spread_scanner.web.bodies import PACKED, UNASKED, read_body

ANSWER_S_MAX = 10.0  # a hundred arrays are a megabyte: more than an acknowledgement may take
ANSWER_BYTES_MAX = 16 << 20
# Of the chain's clock, 40 bytes, or of fees: 150 slots, of which each is said in some 60 bytes.
ASIDE_BYTES_MAX = 64 << 10
COMMITMENT = "confirmed"  # of what is asked for, whatever is heard
READS_MAX = 12  # of one pool, each of which named more accounts than the one before
AGAIN_S = 0.4  # a node that has not reached the slot of the read before

TOO_MANY = 429
FORBIDDEN = (403, 451)  # what is asked, or by whom: other calls may be granted
# Two sections of one host have two keys, and what one key is refused says nothing of the other: so
# turns and bans are a section's, of all processes that read the same pools.toml.
GATES_NAMED = "solana-{}"

T = TypeVar("T")


class ProviderRefusal(Exception):
    """A provider said that it was asked too much, or cannot answer now; `status` is that of HTTP or
    0, `asked_s` its Retry-After; `passing`: by its own words it may answer the same later."""

    def __init__(
        self, said: str, status: int = 0, asked_s: float | None = None, *, passing: bool = False
    ) -> None:
        super().__init__(said)
        self.status, self.asked_s, self.passing = status, asked_s, passing

    @property
    def wait_s(self) -> float | None:
        """For how long who answers so is not asked, as exchanges are not; None: it says nothing of
        the next request."""
        pause = pause_of(self.status, self.asked_s)
        return None if pause is None else pause.seconds


class ProviderBanned(ProviderRefusal):
    """Nobody is to ask there now; who was told so has said it."""


def refused(said: RpcRefusal) -> ProviderRefusal:
    """What the words of an answer come to."""
    status = TOO_MANY if said.trouble is RpcTrouble.LIMITED else 0
    passing = said.trouble in (RpcTrouble.LIMITED, RpcTrouble.BEHIND)
    return ProviderRefusal(f"{said.code}: {said.said}", status, passing=passing)


class NoProvider(SpreadError):
    """None of the providers has answered, and why."""


class PoolRead(NamedTuple):
    """All that a pool's price needs, as it stood at the end of a slot."""

    provider: str
    slot: int
    unix_ts: int  # of the chain's clock
    accounts: Mapping[str, Account]


def client(tls: ssl.SSLContext, proxy: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        proxy=proxy or None,
        verify=tls,
        timeout=ANSWER_S_MAX,
        trust_env=False,
        headers={"content-type": "application/json", **PACKED},
    )


class AskedProvider:
    """One provider, as it is asked over one way."""

    def __init__(
        self,
        endpoint: ProviderEndpoint,
        requests_per_s: float,
        gates: Gates,
        client: httpx.AsyncClient,
        proxy: str,
    ) -> None:
        self.endpoint, self._client, self._cost_s = endpoint, client, 1.0 / requests_per_s
        self.gate = gates.gate(GATES_NAMED.format(endpoint.name), endpoint.http_told, proxy)

    async def turn(self) -> None:
        """Wait until it may be asked the next thing; raises ProviderBanned."""
        ban = await self.gate.weight(self._cost_s, 0.0)
        if ban is not None:
            raise ProviderBanned(str(ban))

    async def posted(self, request: bytes, *, aside: bool = False) -> bytes:
        """What it answers, asked in its turn. Raises ProviderRefusal, and BadMessage where that is
        too long. A refusal that concerns whoever asks there is told to all of them; where something
        is asked `aside`, which is to be answered in short, it may be of such a question alone."""
        await self.turn()
        begun_ns = clock.mono_ns()
        try:
            most = ASIDE_BYTES_MAX if aside else ANSWER_BYTES_MAX
            return await _answer(self._client, self.endpoint.http_url, request, most)
        except ProviderRefusal as refusal:
            if not aside or refusal.status not in FORBIDDEN:
                self.refused(refusal, begun_ns)
            raise

    def refused(self, refusal: ProviderRefusal, begun_ns: int | None = None) -> None:
        """Tell all who ask there, if it concerns them."""
        if refusal.status:
            note = self.gate.refused(refusal.status, refusal.asked_s, begun_ns)
            if note:
                logs.get_logger(provider=self.endpoint.name).warning("odd Retry-After", said=note)

    async def accounts(
        self, number: int, keys: Sequence[str], slot_min: int, *, aside: bool = False
    ) -> AccountsRead | RpcRefusal:
        """getMultipleAccounts. Raises ProviderRefusal, BadMessage."""
        request = rpc.read_accounts(number, keys, COMMITMENT, slot_min)
        return rpc.answered(await self.posted(request, aside=aside), number, keys)

    def heard(self, said: RpcRefusal, begun_ns: int | None = None) -> ProviderRefusal:
        """The same of words in an answer that HTTP called good."""
        refusal = refused(said)
        self.refused(refusal, begun_ns)
        return refusal


async def _answer(asked: httpx.AsyncClient, url: str, request: bytes, bytes_max: int) -> bytes:
    try:
        return await _posted(asked, url, request, bytes_max)
    except (*UNASKED, TimeoutError) as error:
        raise ProviderRefusal(failure_in_words(error, ANSWER_S_MAX)) from None


async def _posted(asked: httpx.AsyncClient, url: str, request: bytes, bytes_max: int) -> bytes:
    async with (
        asyncio.timeout(ANSWER_S_MAX),
        asked.stream("POST", url, content=request) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            said = retry_after_s(answer.headers.get("retry-after", ""), clock.wall_ns())
            words = in_words(answer.status_code)
            raise ProviderRefusal(f"HTTP {words}", answer.status_code, said)
        body = await read_body(answer, bytes_max)
    if body is None:
        raise BadMessage("an answer that is too long", bytes_max=bytes_max)
    return body


async def of_pool(
    settings: Settings,
    endpoints: Sequence[ProviderEndpoint],
    tls: ssl.SSLContext,
    pool: str,
    entry: PoolEntry,
    use: Callable[[PoolRead], T],
) -> T:
    """What `use` makes of the pool as it stands now; where that needs an array further out, it is
    read as well. Raises PoolRefusal, and NoProvider where none answers."""
    said: list[str] = []
    with Gates(settings.config.system.namespace) as gates:
        for endpoint in endpoints:
            proxy = next(iter(endpoint.proxies), "")
            rate = settings.pools.providers[endpoint.name].requests_per_s
            async with client(tls, proxy) as dialled:
                asked = AskedProvider(endpoint, rate, gates, dialled, proxy)
                try:
                    async with asyncio.timeout(ANSWER_S_MAX):
                        return await _of_provider(asked, pool, entry, settings.pools.arrays, use)
                except (ProviderRefusal, BadMessage, TimeoutError) as error:
                    what = error.message if isinstance(error, BadMessage) else str(error)
                    what = what or type(error).__name__
                    said.append(endpoint.masked(f"{endpoint.name}: {what}"))
    raise NoProvider("no provider has answered", said="; ".join(said))


async def _of_provider(
    asked: AskedProvider,
    pool: str,
    entry: PoolEntry,
    arrays: int,
    use: Callable[[PoolRead], T],
) -> T:
    keys, slot, goes_on = [pool], 0, False
    numbers = itertools.count(1)
    for _ in range(READS_MAX):
        if len(keys) >= rpc.KEYS_MAX:
            raise PoolRefusal(PoolReason.TOO_MUCH, accounts=len(keys), allowed=rpc.KEYS_MAX - 1)
        found = await asked.accounts(next(numbers), [*keys, chain_clock.KEY], slot)
        if isinstance(found, RpcRefusal):
            if found.trouble is not RpcTrouble.NOT_THERE_YET:
                raise asked.heard(found)
            await asyncio.sleep(AGAIN_S)
            continue
        slot = found.slot
        more = set(wanted(pool, entry, found.accounts, arrays).keys).difference(keys)
        if not more:
            try:
                return use(_read(asked.endpoint.name, found))
            except PoolRefusal as refusal:
                more, goes_on = _missing(refusal, keys), True
                if not more:
                    raise
        keys += sorted(more)
    if goes_on:
        said = "it goes on through arrays that nobody is asked for"
        raise PoolRefusal(PoolReason.TOO_MUCH, said=said, accounts=len(keys))
    raise ProviderRefusal("what it told named more accounts each time")


def _missing(refusal: PoolRefusal, keys: Sequence[str]) -> set[str]:
    """The account that a swap came to and that was not asked for."""
    key = refusal.evidence.get("key")
    if refusal.reason is PoolReason.MISSING and isinstance(key, str) and key not in keys:
        return {key}
    return set()


def _read(provider: str, found: AccountsRead) -> PoolRead:
    """With the clock among the accounts. Raises PoolRefusal where that is none."""
    _, data = found.accounts[chain_clock.KEY]
    return PoolRead(provider, found.slot, chain_clock.decode(data).unix_ts, found.accounts)
