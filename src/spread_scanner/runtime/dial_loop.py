"""The event loop of whoever dials: uvloop, whose end waits for no name that nobody resolves.

uvloop and asyncio ask the system's resolver in threads that a loop's end, and the process's, wait
for; a resolver that is away takes ten seconds and more, and has four names asked at a time. Here
each name is asked for once at a time, in a thread that nobody waits for. All that dials comes
through `getaddrinfo`: websockets (picows), REST (httpx) and proxies (python-socks).
"""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from threading import Thread
from typing import Any, TypeVar

import uvloop

_T = TypeVar("_T")
_Answer = list[tuple[Any, ...]] | Exception


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run it to its end, as `asyncio.run` does."""
    return uvloop.run(main, loop_factory=DialLoop)


class DialLoop(uvloop.Loop):
    """As uvloop's, but for how it asks for names."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[tuple[Any, ...], asyncio.Future[_Answer]] = {}

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """What the system's resolver answers. Raises socket.gaierror, UnicodeError."""
        asked = (host, port, family, type, proto, flags)
        with contextlib.suppress(socket.gaierror):  # a name, and no address that stands for itself
            return list(socket.getaddrinfo(*asked[:-1], flags | socket.AI_NUMERICHOST))
        answer = self._asked.get(asked)
        if answer is None:
            answer = self.create_future()
            try:
                Thread(target=self._ask, args=(asked,), name="resolver", daemon=True).start()
            except RuntimeError as error:  # this machine has no more threads to give
                raise socket.gaierror(socket.EAI_AGAIN, str(error)) from None
            self._asked[asked] = answer
        found = await asyncio.shield(answer)
        if isinstance(found, Exception):
            raise found
        return found

    def _ask(self, asked: tuple[Any, ...]) -> None:
        found: _Answer
        try:
            found = list(socket.getaddrinfo(*asked))
        except (OSError, ValueError) as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            self.call_soon_threadsafe(self._answered, asked, found)

    def _answered(self, asked: tuple[Any, ...], found: _Answer) -> None:
        self._asked.pop(asked).set_result(found)
