"""The Solana side of exchange-sim: a chain, its providers, and the port at which they are asked.

    http://127.0.0.1:PORT/NAME   ws://127.0.0.1:PORT/NAME   a provider
    GET /swap/v1/quote, /swap/v2/order   a pretend Jupiter over the same pools
    POST /control                a fault, or an order: {"do": "fork", "slots": 3}
    GET /truth                   every pool as it stands now

HTTP by h11, websockets by the sans-I/O protocol of websockets. Faults come by orders, and, with
`fault_every_s`, from the seed. Whoever keeps the truth (pool_truth.py) looks when something was
told, and hears of what all providers tell alike: after that nobody can be held to a moment.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, cast

import h11
import orjson
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.sim.answers import Answer
from spread_scanner.sim.chain import ARRAYS, MISSING, SLOT_S, Chain, ChainMarket
from spread_scanner.sim.chain_pools import BASES, OTHERS, SYSTEM, USDC, USDT, Account
from spread_scanner.sim.http_requests import HttpRequests
from spread_scanner.sim.jupiter import SimJupiter
from spread_scanner.sim.rpc_provider import LIMITED, Listening, RpcProvider

FAULT_S = 1.0  # so long one that comes from the seed lasts
FAULTS = ("fork", "cut", "lag", "limit", "lose", "silent", "away", "wrong-owner", "missing-array")


class SolanaSide:
    """The chain and everybody who tells of it."""

    def __init__(
        self,
        seed: int,
        pools: int,
        *,
        providers: int = 2,
        swaps_per_slot: float = 4.0,
        slot_s: float = SLOT_S,
        fault_every_s: float = 0.0,
        market: ChainMarket | None = None,
    ) -> None:
        self.chain = Chain(seed, pools, swaps_per_slot, market, slot_s=slot_s)
        self.told: Callable[[], None] = lambda: None  # a slot, or that one never was
        self.acted: Callable[[dict[str, Any]], None] = lambda said: None
        self.shaken: Callable[[], None] = lambda: None  # what was told is other than it was
        names = [chr(ord("a") + number) for number in range(providers)]
        # The second one is a slot behind, and tells before it acknowledges.
        self.providers = {
            name: RpcProvider(name, self.chain, lag_slots=number % 2, early=number % 2 == 1)
            for number, name in enumerate(names)
        }
        self.jupiter = SimJupiter(self.chain)
        self.port = 0
        self.faults = 0
        self._rng = random.Random(f"{seed} faults")
        self._slot_s, self._fault_every_s = slot_s, fault_every_s
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        for provider in self.providers.values():
            provider.cut_all()
        if self._server is not None:
            self._server.close()

    async def _tick(self) -> None:
        due_ns = fault_ns = clock.mono_ns()
        while True:
            due_ns += int(self._slot_s * NS_PER_S)
            await asyncio.sleep(max(0.0, (due_ns - clock.mono_ns()) / NS_PER_S))
            self.chain.step()
            for provider in self.providers.values():
                provider.advance()
            self.told()
            every_ns = int(self._fault_every_s * NS_PER_S)
            if every_ns and clock.mono_ns() - fault_ns >= every_ns:
                fault_ns = clock.mono_ns()
                self._some_fault()

    def _some_fault(self) -> None:
        """One of any kind, of any provider, for a moment."""
        provider = self._rng.choice([*self.providers])
        pool = self._rng.choice([*self.chain.pools])
        said = {"do": self._rng.choice(FAULTS), "provider": provider, "pool": pool}
        self.act({**said, "slots": self._rng.randint(1, 5), "count": 3, "for_s": FAULT_S})

    def act(self, said: dict[str, Any]) -> None:
        """One order. Raises KeyError on one that means nothing."""
        self.faults += said["do"] != "faults"
        self.acted(said)
        if not self._on_chain(said):
            self._on_provider(self.providers[said["provider"]], said)

    def _on_chain(self, said: dict[str, Any]) -> bool:
        """What all providers see alike; False: it is something else."""
        kind, for_s = said["do"], said.get("for_s")
        if kind == "fork":
            changed = self.chain.fork(int(said.get("slots", 2)))
            for provider in self.providers.values():
                provider.forked(changed)
            self.shaken()
            self.told()
        elif kind == "swaps":
            self.chain.swaps_per_slot = float(said["per_slot"])
            self._fault_every_s = 0.0
        elif kind == "faults":
            self._fault_every_s = float(said["every_s"])
        elif kind == "wrong-owner":
            _, data = self.chain.account(said["pool"], self.chain.slot)
            self._bend({said["pool"]: (SYSTEM, data)}, for_s)
        elif kind == "missing-array":
            pool = self.chain.pools[said["pool"]]
            self._bend(dict.fromkeys(pool.arrays(ARRAYS), MISSING), for_s)
        elif kind == "jupiter":  # its key and pace, whether it limits or is away
            for name in ("key", "requests_per_s", "limited", "away"):
                setattr(self.jupiter, name, said.get(name, getattr(self.jupiter, name)))
        elif kind == "swap":
            self.chain.ordered.append((said["pool"], int(said["side"]), int(said["amount"])))
        else:
            return False
        return True

    def _on_provider(self, provider: RpcProvider, said: dict[str, Any]) -> None:
        kind, for_s = said["do"], said.get("for_s")
        if kind == "cut":
            provider.cut_all()
        elif kind == "lag":
            provider.lag_slots = int(said["slots"])
            self._later(for_s, lambda: setattr(provider, "lag_slots", provider.usual_lag_slots))
        elif kind == "limit" and for_s is not None:
            provider.limited = True
            self._later(for_s, lambda: setattr(provider, "limited", False))
        elif kind == "limit":
            provider.limits = int(said.get("count", 1))
        elif kind == "lose":
            provider.lost = int(said.get("count", 1))
        elif kind == "silent":
            provider.silent = True
            self._later(for_s, lambda: self._heard_again(provider))
        elif kind == "heard":
            self._heard_again(provider)
        elif kind == "away":
            provider.away = True
            provider.cut_all()
            self._later(for_s, lambda: setattr(provider, "away", False))
        elif kind == "clock":
            provider.clock_off_s = int(said["off_s"])
            self._later(for_s, lambda: setattr(provider, "clock_off_s", 0))
        else:
            raise KeyError(kind)

    def _bend(self, accounts: dict[str, Account], for_s: float | None) -> None:
        """These are something else for a while, and told so."""
        self.chain.bent.update(accounts)
        self.chain.touch(accounts)
        self.shaken()
        self._later(for_s, lambda: self._straight([*accounts]))

    def _straight(self, keys: list[str]) -> None:
        for key in keys:
            self.chain.bent.pop(key, None)  # it may have been bent twice
        self.chain.touch(keys)
        self.shaken()

    def _heard_again(self, provider: RpcProvider) -> None:
        """What it did not tell nobody will tell: its connections are worth nothing any more."""
        provider.silent = False
        provider.cut_all()

    def _later(self, for_s: float | None, what: Any) -> None:
        if for_s is not None:
            asyncio.get_running_loop().call_later(float(for_s), what)

    def truth(self) -> dict[str, Any]:
        """Every pool as it stands, in numbers that lose nothing."""
        pools = {
            key: {
                "kind": pool.kind,
                "symbol": f"{pool.coins[0].name}-{pool.coins[1].name}",
                "price": float(pool.price()),
                "reserves": [
                    float(amount / 10**coin.decimals)
                    for amount, coin in zip(pool.reserves(), pool.coins, strict=True)
                ],
                "quotes": [pool.quote(side, 10**7) for side in (0, 1)],
            }
            for key, pool in self.chain.pools.items()
        }
        told = {name: provider.counts for name, provider in self.providers.items()}
        return {
            "slot": self.chain.slot,
            "pools": pools,
            "told": told,
            "faults": self.faults,
            "wallet": self.chain.wallets.shown,
            "jupiter": self.jupiter.counts,
        }

    def urls(self) -> dict[str, dict[str, str]]:
        """Where each provider is reached."""
        base = f"127.0.0.1:{self.port}"
        return {
            name: {"http_url": f"http://{base}/{name}", "ws_url": f"ws://{base}/{name}"}
            for name in self.providers
        }

    def pools_toml(self) -> str:
        """pools.toml, as the config package reads it."""
        lines = ["enabled = true", ""]
        for name, urls in self.urls().items():
            lines += [f"[providers.{name}]", *(f'{key} = "{url}"' for key, url in urls.items())]
            lines += ["requests_per_s = 200.0", ""]
        for coin in (*BASES, *OTHERS, USDC, USDT):
            lines += [f"[mints.{coin.mint}]", f'coin = "{coin.name}"', ""]
        for key, pool in self.chain.pools.items():
            mints = ", ".join(f'"{coin.mint}"' for coin in pool.coins)
            lines += [f"[pools.{key}]", f'program = "{pool.kind}"', f"mints = [{mints}]", ""]
        return "\n".join(lines)


class _Client(asyncio.Protocol):
    """One TCP connection: requests over HTTP, or a websocket."""

    def __init__(self, side: SolanaSide) -> None:
        self._side = side
        self._transport = cast(asyncio.Transport, None)
        self._head = bytearray()
        self._http: HttpRequests | None = None
        self._ws: ServerProtocol | None = None
        self._provider: RpcProvider | None = None
        self._listening = Listening(self._say, self._cut)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._provider is not None:
            self._provider.listeners.discard(self._listening)

    def data_received(self, data: bytes) -> None:
        if self._ws is not None:
            self._ws.receive_data(data)
            self._ws_events(self._ws)
            return
        if self._http is None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data, self._head = bytes(self._head), bytearray()
            if b"upgrade: websocket" in data[:end].lower():
                self._ws = ServerProtocol(max_size=1 << 20)
                self._ws.receive_data(data)
                self._ws_events(self._ws)
                return
            self._http = HttpRequests(self._transport, self._respond)
        self._http.receive(data)

    # --- HTTP

    def _respond(self, request: h11.Request, body: bytes) -> Answer:
        target, headers = request.target.decode(), [("content-type", "application/json")]
        if target.startswith("/swap/"):
            of = {name.decode(): value.decode() for name, value in request.headers}
            status, found, more = self._side.jupiter.answer(target, of)
            return Answer(status, [*headers, *more], orjson.dumps(found))
        status, said = self._answered(target, body)
        return Answer(status, headers, said)

    def _answered(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/truth":
            return 200, orjson.dumps(self._side.truth())
        if path == "/control":
            try:
                self._side.act(orjson.loads(body))
            except (KeyError, TypeError, ValueError, orjson.JSONDecodeError) as error:
                return 400, orjson.dumps({"error": repr(error)})
            return 200, b"{}"
        provider = self._side.providers.get(path[1:])
        if provider is None:
            return 404, b"{}"
        if provider.away:
            return 503, b"{}"
        limited = provider.is_limiting
        answer = provider.answer(body)
        return (LIMITED if limited else 200), answer

    # --- websocket

    def _ws_events(self, ws: ServerProtocol) -> None:
        for event in ws.events_received():
            if isinstance(event, Request):
                self._shake(ws, event)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT and self._provider:
                self._hear(self._provider, bytes(event.data))
        self._pass_on(ws)
        if ws.close_expected() and not self._transport.is_closing():
            self._transport.close()

    def _hear(self, provider: RpcProvider, request: bytes) -> None:
        if provider.lost:
            provider.lost -= 1
        else:
            self._say(provider.answer(request, self._listening))

    def _shake(self, ws: ServerProtocol, request: Request) -> None:
        provider = self._side.providers.get(request.path[1:])
        if provider is None or provider.away:
            ws.send_response(ws.reject(404 if provider is None else 503, "not here\n"))
            return
        ws.send_response(ws.accept(request))
        self._provider = provider
        self._listening.since_ns = clock.mono_ns()
        provider.listeners.add(self._listening)

    def _pass_on(self, ws: ServerProtocol) -> None:
        for data in ws.data_to_send():
            if not self._transport.is_closing():
                self._transport.write(data) if data else self._transport.write_eof()

    def _say(self, message: bytes) -> None:
        if self._ws is not None and self._ws.state is State.OPEN:
            self._ws.send_text(message)
            self._pass_on(self._ws)

    def _cut(self) -> None:
        self._transport.abort()
