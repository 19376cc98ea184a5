"""Any call of JSON-RPC, asked of the providers one after the other, for a command that a person
waits for.

The providers are asked in the order of the file, each no faster than its `requests_per_s` and
through its first proxy; who limits, is behind, away or says what cannot be read is passed over for
the next. What one does not understand no other will: that ends it. No URL is said without its key
masked. A pool is read by asking.py, which has all of it from one provider.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
from msgspec import Raw

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.errors import BadMessage
from spread_scanner.pools import asking, rpc
from spread_scanner.pools.asking import NoProvider, ProviderRefusal
from spread_scanner.pools.endpoints import ProviderEndpoint, endpoints_of
from spread_scanner.pools.rpc import RpcRefusal, RpcTrouble
from spread_scanner.runtime import trust
from spread_scanner.runtime.backoff import Allowance

T = TypeVar("T")

_NONE = b"null"


class _Called:
    """One provider while it is asked."""

    def __init__(
        self, endpoint: ProviderEndpoint, requests_per_s: float, client: httpx.AsyncClient
    ) -> None:
        self.endpoint, self._client = endpoint, client
        self._allowance = Allowance.of_rate(requests_per_s)

    async def close(self) -> None:
        await self._client.aclose()

    async def said(self, request: bytes) -> bytes:
        """Raises ProviderRefusal, BadMessage."""
        await asyncio.sleep(self._allowance.wait_s(clock.mono_ns()))
        self._allowance.use(clock.mono_ns())
        return await asking.posted(self._client, self.endpoint.http_url, request)


class ProviderCalls:
    """All providers that are enabled. Raises ConfigError where a key cannot be read."""

    def __init__(self, settings: Settings) -> None:
        tls, providers = trust.context(), settings.pools.providers
        self._numbers = itertools.count(1)
        self._providers = [
            _Called(
                one,
                providers[one.name].requests_per_s,
                asking.client(tls, next(iter(one.proxies), "")),
            )
            for one in endpoints_of(settings)
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._providers:
            await one.close()

    async def ask(
        self,
        method: str,
        params: Sequence[object],
        read: Callable[[Raw], T],
        *,
        null_is_away: bool = False,
    ) -> T:
        """What `read` makes of the result's JSON, of the first provider whose it can be made of: it
        raises BadMessage. `null_is_away`: one that answers null may not know what another one does.
        Raises NoProvider."""
        said: list[str] = []
        for provider in self._providers:
            try:
                found = await self._answered(provider, method, params)
                if not null_is_away or bytes(found) != _NONE:
                    return read(found)
                why = "knows none"
            except (ProviderRefusal, BadMessage) as error:
                why = error.message if isinstance(error, BadMessage) else str(error)
            said.append(provider.endpoint.masked(f"{provider.endpoint.name}: {why}"))
        if not said:
            raise NoProvider("no provider is enabled in pools.toml")
        raise NoProvider(f"no provider has answered {method}", said="; ".join(said))

    async def _answered(self, provider: _Called, method: str, params: Sequence[object]) -> Raw:
        number = next(self._numbers)
        request = rpc.request(number, method, params)
        found = rpc.result_of(await provider.said(request), number)
        if not isinstance(found, RpcRefusal):
            return found
        refused = provider.endpoint.masked(f"{found.code}: {found.said}")
        if found.trouble is RpcTrouble.OUR_FAULT:
            name = provider.endpoint.name
            raise NoProvider(f"{method} was not understood", provider=name, said=refused)
        raise ProviderRefusal(refused)
