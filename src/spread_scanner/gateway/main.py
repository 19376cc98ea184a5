"""spread-gateway: answers programs and people over HTTP.

Reads the store, the health and control segments, the database, always through the view; writes its
own health row, whose message is its address. One loop has the server, the orders and the heartbeat,
so that who beats does answer. Ends at once with code 0 unless it is enabled, so that its unit may
always be enabled. A request that cannot be answered is a problem of whoever asked; when the
segments are replaced the process leaves, and its next life attaches to the new ones.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvicorn
import uvloop

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings, files
from spread_scanner.config.settings import Gateway
from spread_scanner.errors import Category, SpreadError
from spread_scanner.gateway import past
from spread_scanner.gateway.access import Access
from spread_scanner.gateway.allocation import settle_allocation
from spread_scanner.gateway.api import api_of
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.connections import BoundedHttp, Seats, files_for
from spread_scanner.gateway.counting import Counting
from spread_scanner.gateway.front import Front
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.sockets import Sockets
from spread_scanner.gateway.watching import Watching
from spread_scanner.runtime.process import NO_MORE, NOT_ENABLED, Process, run
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import GATEWAY

LOOK_NS = NS_PER_S  # between two looks at how everybody fares
KEEP_ALIVE_S = 75
TICK_S = 0.1  # between two looks at what the stream tells by the clock
GOODBYE_S = 1  # for requests under way, at the end
# Threads that read for whoever asks (gateway/api.py). One at a time has the interpreter: more serve
# nobody sooner, and each holds tables and an answer of some MB. The second is there for when the
# first waits for the disk.
READERS = 2
WAITING_MAX = 512  # connections that the kernel holds until they are taken


class CannotListen(SpreadError):
    """The address that the gateway is to listen at is not to be had."""

    category = Category.FATAL


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    return run(GATEWAY, _body)


def _body(process: Process) -> None:
    if not process.settings.config.spread_gateway.wanted:
        process.unwanted(NOT_ENABLED)
        return
    settle_allocation(by_tls=bool(process.settings.config.spread_gateway.tls_certificate))
    with (
        contextlib.closing(LiveSystem(process.settings)) as system,
        contextlib.closing(listening(process.settings.config.spread_gateway)) as door,
    ):
        uvloop.run(Serving(process, system, door).run())


def listening(settings: Gateway) -> socket.socket:
    """The door, open. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server(
            (settings.host, settings.port),
            family=family,
            backlog=WAITING_MAX,
            # "::" is every address of this machine, those of IPv4 too.
            dualstack_ipv6=settings.host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise CannotListen(
            f"nobody can listen there: {error.strerror or error}",
            host=settings.host,
            port=settings.port,
            setting=f"{GATEWAY}.port",
            allowed="a port that is free; 0 takes any",
        ) from None


def serving(front: Front, broadcast: Broadcast, seats: Seats) -> uvicorn.Config:
    """How connections are taken: within bounds, requests by the front, sockets by the push."""
    return uvicorn.Config(
        front,
        http=partial(BoundedHttp, seats, front.at_once),  # type: ignore[arg-type]
        ws=Sockets(broadcast, front.check_socket, seats),  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GOODBYE_S,
    )


class _Server(uvicorn.Server):
    """Signals are the process's own (runtime/process.py)."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """The process's whole state."""

    def __init__(self, process: Process, system: LiveSystem, door: socket.socket) -> None:
        self._process = process
        self._system = system
        self._door = door
        self._count = Counting(process.row, process.log)
        path = process.settings.folder / "config.toml"
        gateway = process.settings.config.spread_gateway
        access = Access(gateway, files.tokens(gateway, path))
        self._front = Front(system, access, api_of(system, self._count), self._count)
        self._front.paused = process.orders.paused
        self._broadcast = Broadcast(system, self._attend, self._count.stream_failed)
        self._woken = asyncio.Event()
        self._seats = Seats(files_for(gateway.connections_max), self._count)
        self._tls = files.tls_context(gateway, path)
        self._server = _Server(serving(self._front, self._broadcast, self._seats))
        self._server.config.load()
        self._server.config.ssl = self._tls
        self._looked_ns = 0

    async def run(self) -> None:
        """Serve, beat and obey until the end."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(READERS, "reader"))

        def wake() -> None:
            loop.call_soon_threadsafe(self._woken.set)

        self._process.watch(wake)
        serving = asyncio.create_task(self._server.serve(sockets=[self._door]))
        self._process.row.generation(self._system.generation)
        self._process.state(ProcessState.RUNNING, self.address())
        self._warn()
        with contextlib.closing(self._system.bits()) as bits:
            self._bits = bits
            with contextlib.closing(Watching(bits, self._flush)) as self._watching:
                while self._turn() and not serving.done():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), self.rest_s())
                    self._woken.clear()
                self._broadcast.close()
        past.end()
        self._server.should_exit = True
        await serving

    def rest_s(self) -> float:
        """Until the next turn, should nobody wake it: it beats, by the settings in force."""
        beat_s = self._process.settings.config.system.heartbeat_ms / 1e3
        return min(beat_s, TICK_S if self._broadcast.clients else LOOK_NS / NS_PER_S)

    def _attend(self) -> None:
        """Somebody has come who is to be told: now, and not what was written while nobody was."""
        if self._broadcast.watches:
            self._bits.take_all()
            self._watching.want(wanted=True)
        self._woken.set()

    def _flush(self) -> bool:
        """Cells changed; or there is more to be told of those that did."""
        again = self._broadcast.flush(self._bits.take_all())
        self._watching.want(wanted=self._broadcast.watches)
        return again

    def _turn(self) -> bool:
        """What is due; whether to go on."""
        process = self._process
        orders = process.poll()
        if orders is not None:
            if orders.reload and process.reload(orders, self._prepared):
                self._count.add("reloads")
            self._front.paused = orders.paused
            if orders.paused:
                self._broadcast.let_all_go("spread-gateway is paused")
            process.applied(orders)
        if not process.settings.config.spread_gateway.wanted:
            process.unwanted(NOT_ENABLED, NO_MORE)
            return False
        now_ns = clock.mono_ns()
        if now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = now_ns
            try:
                self._system.look()
            except OSError as error:  # no file descriptor is left: what was seen last is shown
                self._process.log.warning("the system cannot be looked at", reason=str(error))
            prices = self._system.shown.prices
            self._count.add("prices_encoded", prices.encoded)
            prices.encoded = 0
        self._broadcast.tick()
        self._watching.want(wanted=self._broadcast.watches)
        return not process.stopping

    def _prepared(self, settings: Settings) -> Callable[[], None]:
        """New settings and tables, read and checked; the call puts them in force."""
        gateway, path = settings.config.spread_gateway, settings.folder / "config.toml"
        access = Access(gateway, files.tokens(gateway, path))
        files.tls_context(gateway, path)  # what cannot be served is refused before it is
        taken = self._system.prepared(settings)

        def put_in_force() -> None:
            taken()
            if access.tokens != self._front.access.tokens:
                self._broadcast.let_all_go("the tokens have changed")
            self._front.access = access
            self._seats.most = files_for(gateway.connections_max)
            if self._tls:  # as it was renewed in its place, or lies elsewhere now
                files.load_certificate(self._tls, gateway, path)
            self._process.row.generation(self._system.generation)

        return put_in_force

    def address(self) -> str:
        """As a browser takes it."""
        host, port = self._door.getsockname()[:2]
        scheme = "https" if self._tls else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def _warn(self) -> None:
        gateway = self._process.settings.config.spread_gateway
        self._process.log.info("listening", address=self.address())
        if self._seats.most < gateway.connections_max:
            self._process.log.warning(
                "fewer connections than connections_max: the limit of open files is too low",
                connections=self._seats.most,
                setting="LimitNOFILE",
            )
        if gateway.token_file and not self._tls:
            self._process.log.warning("tokens go over the wire in plain text: set tls_certificate")
