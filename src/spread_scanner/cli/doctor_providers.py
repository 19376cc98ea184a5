"""What `spread-ctl doctor` finds of the providers of pools: whether each answers, by HTTP and on a
websocket, over each of its ways.

Asked and dialled by the code of feed-solana, in turn with it and not into a ban; what is refused is
told to all who ask there. No URL is said without its key masked.
"""

import asyncio
import itertools
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from picows import WSTransport

from spread_scanner import clock
from spread_scanner.cli.answers import Check
from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.config.files import CREDENTIALS
from spread_scanner.errors import BadMessage, ConfigError
from spread_scanner.pools import asking, rpc
from spread_scanner.pools.asking import GATES_NAMED, AskedProvider, ProviderRefusal
from spread_scanner.pools.endpoints import ProviderEndpoint, endpoint_of
from spread_scanner.pools.line import DIALS
from spread_scanner.pools.rpc import RpcRefusal, RpcTrouble, SlotTold
from spread_scanner.runtime import ws
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.messages import MessageListener
from spread_scanner.web import trust

REACH_S = 5.0
ELSEWHERE = "where it is blocked or limits, another provider, or proxies for it"
KEY = "check its key and its URLs in pools.toml"
UNAUTHORIZED = 401


class _Way(NamedTuple):
    """One of those by which a provider is reached."""

    name: str
    endpoint: ProviderEndpoint
    requests_per_s: float
    proxy: str
    tls: ssl.SSLContext
    gates: Gates

    def failed(self, what: str, where: str, why: str, advice: str) -> Check:
        found = self.endpoint.masked(f"{where}: {why}")
        return Check(f"{self.name} {what}", "fail", found, advice)

    def well(self, what: str, begun_ns: int, found: str) -> Check:
        took_ms = (clock.mono_ns() - begun_ns) / NS_PER_MS
        return Check(f"{self.name} {what}", "ok", f"{took_ms:z.0f} ms, {found}")


def of_providers(settings: Settings, gates: Gates) -> Iterator[Coroutine[Any, Any, Check]]:
    """Two checks of each way; none while pools.toml is not enabled."""
    if not settings.pools.enabled:
        return
    for name, provider in settings.pools.asked():
        try:
            one = endpoint_of(settings, name)
        except ConfigError:
            if provider.key_file.startswith(CREDENTIALS):
                yield _untried(name)
            continue  # said already: see config.files.wrong_keys
        ways = one.proxies or ("",)
        rate = provider.requests_per_s
        for number, proxy in enumerate(ways, 1):
            told = f"provider {name}" + (f" by proxy {number}" if len(ways) > 1 else "")
            way = _Way(told, one, rate, proxy, trust.context(), gates)
            yield _http(way)
            yield _websocket(way)


async def _untried(name: str) -> Check:
    found = "not tried: its key is a credential of a unit, which alone can read it"
    return Check(f"provider {name}", "warn", found, "spread-ctl status says how feed-solana fares")


async def _http(way: _Way) -> Check:
    """Whether the node is well, and how far it is."""
    what, where = "HTTP", way.endpoint.http_told
    async with asking.client(way.tls, way.proxy) as client:
        asked = AskedProvider(way.endpoint, way.requests_per_s, way.gates, client, way.proxy)
        if ban := asked.gate.ban():
            return way.failed(what, where, str(ban), f"wait; {ELSEWHERE}")
        begun_ns = clock.mono_ns()
        try:
            async with asyncio.timeout(REACH_S):
                slot = await _slot(asked)
        except ProviderRefusal as refusal:
            advice = KEY if refusal.status == UNAUTHORIZED else ELSEWHERE
            return way.failed(what, where, str(refusal), advice)
        except BadMessage as error:
            return way.failed(what, where, f"no answer of a node: {error.message}", KEY)
        except TimeoutError:
            return way.failed(what, where, f"no answer within {REACH_S:z.0f} s", ELSEWHERE)
    return way.well(what, begun_ns, f"at slot {slot:,}")


async def _slot(asked: AskedProvider) -> int:
    """The node's, if it calls itself well; some have no word for that. Raises ProviderRefusal,
    BadMessage."""
    numbers = itertools.count(1)

    async def answer(method: str) -> Raw | RpcRefusal:
        number = next(numbers)
        return rpc.result_of(await asked.posted(rpc.request(number, method, [])), number)

    health = await answer("getHealth")
    if isinstance(health, RpcRefusal) and health.trouble is not RpcTrouble.OUR_FAULT:
        raise asked.heard(health)
    found = await answer("getSlot")
    if isinstance(found, RpcRefusal):
        raise asked.heard(found)
    try:
        return msgspec.json.decode(found, type=int)
    except msgspec.MsgspecError as error:
        raise BadMessage("a slot that is none", raw=bytes(found)) from error


class _Slots(MessageListener):
    """Waits for the first slot that is told."""

    def __init__(self) -> None:
        super().__init__(self._heard)
        self.first: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def _heard(self, data: bytes) -> None:
        try:
            message = rpc.heard(data)
        except BadMessage as error:
            self._over(error)
            return
        if isinstance(message, RpcRefusal):
            self._over(BadMessage(f"{message.code}: {message.said}"))
        elif isinstance(message, SlotTold) and not self.first.done():
            self.first.set_result(message.slot)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        self._over(BadMessage("the connection was lost"))

    def _over(self, error: BadMessage) -> None:
        if not self.first.done():
            self.first.set_exception(error)


async def _websocket(way: _Way) -> Check:
    """Dial, and hear a slot, of which there are two a second."""
    what, where = "websocket", way.endpoint.ws_told
    gate = way.gates.gate(GATES_NAMED.format(way.endpoint.name), where, way.proxy, DIALS)
    if ban := gate.ban():
        return way.failed(what, where, str(ban), f"wait; {ELSEWHERE}")
    await gate.turn()
    begun_ns, listener = clock.mono_ns(), _Slots()
    try:
        await ws.dial(
            way.endpoint.ws_url,
            lambda: listener,
            timeout_s=REACH_S,
            proxy=way.proxy,
            tls=way.tls if way.endpoint.ws_url.startswith("wss:") else None,
        )
        listener.send(rpc.subscribe_slots(1))
        async with asyncio.timeout(REACH_S):
            slot = await listener.first
    except ws.DialFailed as error:
        note = ""
        if error.status is not None:
            note = gate.refused(error.status, error.wait_s, error.begun_ns)
        why = f"{error.reason}, {note}" if note else error.reason
        return way.failed(what, where, why, KEY if error.status == UNAUTHORIZED else ELSEWHERE)
    except BadMessage as error:
        return way.failed(what, where, error.message, ELSEWHERE)
    except TimeoutError:
        return way.failed(what, where, f"no slot within {REACH_S:z.0f} s", ELSEWHERE)
    finally:
        if listener.transport is not None:
            listener.transport.disconnect()
    return way.well(what, begun_ns, f"at slot {slot:,}")
