"""The loop of whoever dials: a name that nobody resolves holds up neither its end nor another's."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from picows import WSListener

from spread_scanner.runtime import dial_loop
from spread_scanner.runtime.rest import http_client
from spread_scanner.runtime.ws import DialFailed, dial

NOWHERE = "nobody-answers.test"


class Resolver:
    """One that is away for one name: who asks for it waits until `back`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.back = threading.Event()
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        flags = more[3] if len(more) > 3 else named.get("flags", 0)
        if host not in (NOWHERE, NOWHERE.encode()) or flags & socket.AI_NUMERICHOST:
            return self._real(host, port, *more, **named)
        self.asked.append(host)
        self.back.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.back.set()


async def by_websocket(proxy: str = "") -> None:
    url = f"ws://{NOWHERE if not proxy else '127.0.0.1'}:9/"
    with contextlib.suppress(DialFailed):
        await dial(url, WSListener, timeout_s=60.0, proxy=proxy)


async def by_rest() -> None:
    async with http_client("", None, 60.0) as client:
        await client.get(f"http://{NOWHERE}:9/")


WAYS: dict[str, Callable[[], Awaitable[None]]] = {
    "websocket": by_websocket,
    "rest": by_rest,
    "http proxy": lambda: by_websocket(f"http://{NOWHERE}:9"),
    "socks proxy": lambda: by_websocket(f"socks5://{NOWHERE}:9"),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_end_waits_for_no_name(resolver: Resolver, way: str) -> None:
    async def act() -> None:
        asking = asyncio.ensure_future(WAYS[way]())
        while not resolver.asked:
            assert not asking.done()
            await asyncio.sleep(0.001)
        assert (await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 9))[0][4][1] == 9

    dial_loop.run(act())

    assert not resolver.back.is_set()


def test_a_name_is_asked_for_once_at_a_time_and_everybody_hears(resolver: Resolver) -> None:
    async def act() -> list[Any]:
        ask = asyncio.get_running_loop().getaddrinfo
        asking = [asyncio.ensure_future(ask(NOWHERE, 9)) for _ in range(3)]
        while not resolver.asked:
            assert not any(one.done() for one in asking)
            await asyncio.sleep(0.001)
        asking.pop().cancel()
        resolver.back.set()
        said = await asyncio.gather(*asking, return_exceptions=True)
        return [*said, *await asyncio.gather(ask(NOWHERE, 9), return_exceptions=True)]

    said = dial_loop.run(act())

    assert [str(one) for one in said] == [
        f"[Errno {socket.EAI_AGAIN}] Temporary failure in name resolution"
    ] * 3
    assert len(resolver.asked) == 2


def test_who_was_given_no_thread_to_ask_in_asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def act() -> None:
        ask = asyncio.get_running_loop().getaddrinfo
        with monkeypatch.context() as without:
            without.setattr(threading.Thread, "start", refuse)
            with pytest.raises(socket.gaierror, match="new thread"):
                await ask("localhost", 9)
        async with asyncio.timeout(60):
            assert await ask("localhost", 9)

    dial_loop.run(act())


def test_who_dials_runs_on_it_and_who_does_not_serves() -> None:
    package = Path(dial_loop.__file__).parents[1]
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "uvloop.run(" in path.read_text(encoding="utf-8")
    }
    assert found == {"gateway/main.py", "runtime/dial_loop.py", "sim/cli.py"}
