"""Accounts asked of a provider by HTTP: the seeds of a line (line.py), and a pool as it stands now
for whoever wants one quote and listens to nobody.

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
from spread_scanner.config.pools import PoolEntry
from spread_scanner.errors import BadMessage, SpreadError
from spread_scanner.pools import rpc
from spread_scanner.pools.endpoints import ProviderEndpoint
from spread_scanner.pools.held import Account
from spread_scanner.pools.rpc import AccountsRead, RpcRefusal, RpcTrouble
from spread_scanner.pools.wanted import wanted
from spread_scanner.runtime.refusals import pause_of, retry_after_s
from spread_scanner.solana import PoolReason, PoolRefusal, chain_clock

ANSWER_S_MAX = 10.0
ANSWER_BYTES_MAX = 16 << 20
# Of the chain's clock, 40 bytes, or of fees: 150 slots, of which each is said in some 60 bytes.
ASIDE_BYTES_MAX = 64 << 10
COMMITMENT = "confirmed"  # of what is asked for, whatever is heard
READS_MAX = 12  # of one pool, each of which named more accounts than the one before
AGAIN_S = 0.4  # a node that has not reached the slot of the read before

T = TypeVar("T")


class ProviderRefusal(Exception):
    """A provider said that it was asked too much, or cannot answer now; `wait_s` is its own word,
    `status` that of HTTP, or 0."""

    def __init__(self, said: str, wait_s: float | None = None, status: int = 0) -> None:
        super().__init__(said)
        self.wait_s, self.status = wait_s, status


def refused(said: RpcRefusal, wait_s: float | None = None) -> ProviderRefusal:
    """What the words of an answer come to."""
    return ProviderRefusal(f"{said.code}: {said.said}", wait_s)


class NoProvider(SpreadError):
    """None of the providers has answered, and why."""


class PoolRead(NamedTuple):
    """All that a pool's price needs, as it stood at the end of a slot."""

    provider: str
    slot: int
    unix_ts: int  # of the chain's clock
    accounts: Mapping[str, Account]


def told_to_wait_s(status: int, asked_s: float | None) -> float | None:
    """As with exchanges: no longer than is believable."""
    pause = pause_of(status, asked_s)
    return None if pause is None else pause.seconds


def client(tls: ssl.SSLContext, proxy: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        proxy=proxy or None,
        verify=tls,
        timeout=ANSWER_S_MAX,
        trust_env=False,
        headers={"content-type": "application/json"},
    )


async def accounts(
    asked: httpx.AsyncClient,
    url: str,
    number: int,
    keys: Sequence[str],
    slot_min: int,
    bytes_max: int = ANSWER_BYTES_MAX,
) -> AccountsRead | RpcRefusal:
    """getMultipleAccounts. Raises ProviderRefusal, BadMessage."""
    request = rpc.read_accounts(number, keys, COMMITMENT, slot_min)
    return rpc.answered(await posted(asked, url, request, bytes_max), number, keys)


async def posted(
    asked: httpx.AsyncClient, url: str, request: bytes, bytes_max: int = ANSWER_BYTES_MAX
) -> bytes:
    """What a request was answered. Raises ProviderRefusal, and BadMessage where that is longer."""
    try:
        return await _posted(asked, url, request, bytes_max)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError) as error:
        # A UnicodeError: a name that cannot be encoded.
        raise ProviderRefusal(f"{type(error).__name__}: {error}") from None


async def _posted(asked: httpx.AsyncClient, url: str, request: bytes, bytes_max: int) -> bytes:
    async with (
        asyncio.timeout(ANSWER_S_MAX),
        asked.stream("POST", url, content=request) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            said = retry_after_s(answer.headers.get("retry-after", ""), clock.wall_ns())
            wait_s = told_to_wait_s(answer.status_code, said)
            raise ProviderRefusal(f"HTTP {answer.status_code}", wait_s, answer.status_code)
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > bytes_max:
                raise BadMessage("an answer that is too long", bytes_max=bytes_max)
    return bytes(body)


async def of_pool(
    endpoints: Sequence[ProviderEndpoint],
    tls: ssl.SSLContext,
    pool: str,
    entry: PoolEntry,
    arrays: int,
    use: Callable[[PoolRead], T],
) -> T:
    """What `use` makes of the pool as it stands now; where that needs an array further out, it is
    read as well. Raises PoolRefusal, and NoProvider where none answers."""
    said: list[str] = []
    for endpoint in endpoints:
        proxy = next(iter(endpoint.proxies), "")
        async with client(tls, proxy) as asked:
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    return await _of_provider(asked, endpoint, pool, entry, arrays, use)
            except (ProviderRefusal, BadMessage, TimeoutError) as error:
                what = error.message if isinstance(error, BadMessage) else str(error)
                said.append(endpoint.masked(f"{endpoint.name}: {what or type(error).__name__}"))
    raise NoProvider("no provider has answered", said="; ".join(said))


async def _of_provider(
    asked: httpx.AsyncClient,
    endpoint: ProviderEndpoint,
    pool: str,
    entry: PoolEntry,
    arrays: int,
    use: Callable[[PoolRead], T],
) -> T:
    keys, slot = [pool], 0
    numbers = itertools.count(1)
    for _ in range(READS_MAX):
        if len(keys) >= rpc.KEYS_MAX:
            raise PoolRefusal(PoolReason.TOO_MUCH, accounts=len(keys), allowed=rpc.KEYS_MAX - 1)
        found = await accounts(
            asked, endpoint.http_url, next(numbers), [*keys, chain_clock.KEY], slot
        )
        if isinstance(found, RpcRefusal):
            if found.trouble is not RpcTrouble.NOT_THERE_YET:
                raise refused(found)
            await asyncio.sleep(AGAIN_S)
            continue
        slot = found.slot
        more = set(wanted(pool, entry, found.accounts, arrays).keys).difference(keys)
        if not more:
            try:
                return use(_read(endpoint.name, found))
            except PoolRefusal as refusal:
                more = _missing(refusal, keys)
                if not more:
                    raise
        keys += sorted(more)
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
