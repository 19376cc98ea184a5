"""Which of a name's addresses answers: raced, the last winner first (happy eyeballs, RFC 8305).

Used by ws.py. A dead first address, as a broken IPv6 route or one edge of a network makes it, costs
a quarter of a second the first time and nothing afterwards. The winner is who shook hands: an edge
that takes connections and says nothing would win every race, so one whose handshake failed, or
whose connection brought nothing (`blame`), is forgotten and tried last, until it does better.
"""

import asyncio
import itertools
import socket
from collections.abc import Iterable, Sequence
from typing import Any

STAGGER_S = 0.25  # as RFC 8305 recommends

Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]

Name = tuple[str, int]

# Of this process, by name and port.
_winners: dict[Name, Any] = {}
_losers: dict[Name, list[Any]] = {}  # whose handshake failed, the latest last


class Way:
    """One dial's way to a name, of which the dial says in the end whether it led anywhere."""

    def __init__(self) -> None:
        self._taken: tuple[Name, Any] | None = None

    async def connected(self, host: str, port: int) -> socket.socket | None:
        """A socket that is connected to one of the name's addresses.

        None where the name has one address only: whoever asks has the loop connect to it. Raises
        OSError when none answers; the caller's deadline bounds it.
        """
        loop = asyncio.get_running_loop()
        name = (host, port)
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        there = {info[4] for info in found}
        losers = _losers[name] = [one for one in _losers.get(name, ()) if one in there]
        infos = in_turn(found, _winners.get(name), losers)
        if len(infos) == 1:
            return None
        sock = await _race(loop, infos)
        try:
            self._taken = (name, sock.getpeername())
        except OSError:  # it has hung up since
            sock.close()
            raise
        return sock

    def opened(self) -> None:
        """The handshake succeeded."""
        if self._taken is not None:
            name, address = self._taken
            _winners[name] = address
            _losers[name] = [one for one in _losers.get(name, ()) if one != address]

    def failed(self) -> None:
        """It did not: TLS, an answer that is none, or nothing at all."""
        if self._taken is not None:
            blame(*self._taken)


def blame(name: Name, address: Any) -> None:
    """This address of a name is of no use now: it is tried last."""
    if _winners.get(name) == address:
        del _winners[name]
    _losers[name] = [*(one for one in _losers.get(name, ()) if one != address), address]


def in_turn(found: Iterable[Info], winner: Any = None, losers: Sequence[Any] = ()) -> list[Info]:
    """Each address once: the last winner, then the families by turns, as the resolver has them, and
    at last the losers, the latest at the very end.
    """
    by_family: dict[int, dict[Any, Info]] = {}
    for info in found:
        by_family.setdefault(info[0], {}).setdefault(info[4], info)
    turns = itertools.zip_longest(*(rows.values() for rows in by_family.values()))
    ordered = [info for turn in turns for info in turn if info is not None]

    def rank(info: Info) -> int:
        address = info[4]
        return losers.index(address) + 1 if address in losers else -1 if address == winner else 0

    return sorted(ordered, key=rank)


async def _race(loop: asyncio.AbstractEventLoop, infos: list[Info]) -> socket.socket:
    waiting = iter(infos)
    running: set[asyncio.Task[socket.socket]] = set()
    over: list[asyncio.Task[socket.socket]] = []
    errors: list[BaseException] = []
    try:
        while True:
            info = next(waiting, None)
            if info is not None:
                running.add(loop.create_task(_connect(loop, info)))
            if not running:
                break
            done, running = await asyncio.wait(
                running,
                timeout=STAGGER_S if info is not None else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            over += done
            errors += [error for one in done if (error := one.exception()) is not None]
            for one in done:
                if one.exception() is None:
                    over.remove(one)
                    return one.result()
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for one in [*over, *running]:
            if not one.cancelled() and one.exception() is None:
                one.result().close()
    if not errors:
        raise OSError("the name has no address")
    raise errors[0]


async def _connect(loop: asyncio.AbstractEventLoop, info: Info) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
