"""Any call of JSON-RPC, asked of the providers one after the other, for a command that a person
waits for.

The providers are asked in the order of the file, each in its turn among all processes that ask it
and through its first proxy; who limits, is behind, away or says what cannot be read is passed over
for the next. What one does not understand no other will: that ends it. No URL is said without its
key masked. A pool is read by asking.py, which has all of it from one provider.
"""

import itertools
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar

from msgspec import Raw

from spread_scanner.config import Settings
from spread_scanner.errors import BadMessage
from spread_scanner.pools import asking, rpc
from spread_scanner.pools.asking import AskedProvider, NoProvider, ProviderRefusal
from spread_scanner.pools.endpoints import endpoints_of
from spread_scanner.pools.rpc import RpcRefusal, RpcTrouble
from spread_scanner.runtime.gate import Gates
from spread_scanner.web import trust

T = TypeVar("T")

_NONE = b"null"


class ProviderCalls:
    """All providers that are enabled. Raises ConfigError where a key cannot be read."""

    def __init__(self, settings: Settings) -> None:
        tls, providers = trust.context(), settings.pools.providers
        self._numbers = itertools.count(1)
        self._open = AsyncExitStack()
        self._gates = self._open.enter_context(Gates(settings.config.system.namespace))
        self._providers: list[AskedProvider] = []
        for one in endpoints_of(settings):
            proxy = next(iter(one.proxies), "")
            client = asking.client(tls, proxy)
            self._open.push_async_callback(client.aclose)
            rate = providers[one.name].requests_per_s
            self._providers.append(AskedProvider(one, rate, self._gates, client, proxy))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()

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

    async def _answered(
        self, provider: AskedProvider, method: str, params: Sequence[object]
    ) -> Raw:
        number = next(self._numbers)
        request = rpc.request(number, method, params)
        found = rpc.result_of(await provider.posted(request), number)
        if not isinstance(found, RpcRefusal):
            return found
        refused = provider.endpoint.masked(f"{found.code}: {found.said}")
        if found.trouble is RpcTrouble.OUR_FAULT:
            name = provider.endpoint.name
            raise NoProvider(f"{method} was not understood", provider=name, said=refused)
        provider.heard(found)
        raise ProviderRefusal(refused)
