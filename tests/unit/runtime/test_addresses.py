"""Several addresses of a name: the one that answers is found, and found again."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from answering import Serve, closing
from picows import WSListener
from socks_proxy import socks5
from test_ws_dial import good

from spread_scanner.runtime import addresses
from spread_scanner.runtime.ws import DialFailed, dial, useless

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    addresses._winners.clear()
    addresses._losers.clear()


def info(family: int, host: str) -> Any:
    return (family, socket.SOCK_STREAM, 6, "", (host, 80))


def test_families_take_turns_and_nothing_is_lost() -> None:
    found = [info(V6, "a"), info(V6, "b"), info(V6, "c"), info(V4, "d"), info(V6, "a")]

    assert [one[4][0] for one in addresses.in_turn(found)] == ["a", "d", "b", "c"]
    assert [one[4][0] for one in addresses.in_turn(found, ("c", 80))] == ["c", "a", "d", "b"]
    assert addresses.in_turn(found, ("gone", 80)) == addresses.in_turn(found)
    last = addresses.in_turn(found, ("c", 80), [("b", 80), ("a", 80)])
    assert [one[4][0] for one in last] == ["c", "d", "b", "a"]


@contextlib.asynccontextmanager
async def named(
    answers: Sequence[str], serve: Serve = good, tried: list[str] | None = None
) -> AsyncIterator[int]:
    """A name with these addresses; a server listens on 127.0.0.1, 127.0.0.2 swallows what comes.

    `tried` is given each address that is connected to, in turn.
    """
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(closing(serve), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    real, connect = loop.getaddrinfo, loop.sock_connect

    async def noted(sock: socket.socket, address: Any) -> None:
        if tried is not None:
            tried.append(address[0])
        await connect(sock, address)

    async def several(host: Any, port: Any, **more: Any) -> Any:
        if host != "several.test":
            return await real(host, port, **more)
        return [one for answer in answers for one in await real(answer, port, **more)]

    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(4):  # a full backlog: Linux drops what asks further
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(hole.getsockname())
        loop.getaddrinfo = several  # type: ignore[method-assign]
        loop.sock_connect = noted  # type: ignore[method-assign]
        async with server:
            yield port


async def reached(port: int) -> str:
    """Dial by the name; the address that answered."""
    transport = await dial(f"ws://several.test:{port}/", WSListener, timeout_s=10.0)
    peer: str = transport.underlying_transport.get_extra_info("peername")[0]
    transport.disconnect()
    await transport.wait_disconnected()
    return peer


def test_a_first_address_that_swallows_everything_is_passed_by_and_not_tried_first_again() -> None:
    tried: list[str] = []

    async def run() -> list[str]:
        async with named(["127.0.0.2", "127.0.0.1"], tried=tried) as port:
            first = await reached(port)
            tried.append("once more")
            return [first, await reached(port)]

    assert asyncio.run(run()) == ["127.0.0.1", "127.0.0.1"]
    assert tried[:4] == ["127.0.0.2", "127.0.0.1", "once more", "127.0.0.1"]


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await good(reader, writer)


@pytest.mark.parametrize(("scheme", "serve"), [("http", tunnel), ("socks5", socks5([], good))])
def test_the_name_of_a_proxy_is_raced_like_that_of_an_exchange(scheme: str, serve: Serve) -> None:
    tried: list[str] = []

    async def run() -> None:
        async with named(["127.0.0.2", "127.0.0.1"], serve, tried) as port:
            for _ in range(2):
                tried.append("a dial")
                transport = await dial(
                    "ws://exchange.test:9443/ws", WSListener, timeout_s=10.0,
                    proxy=f"{scheme}://several.test:{port}",
                )  # fmt: skip
                transport.disconnect()
                await transport.wait_disconnected()

    asyncio.run(run())
    assert tried[:5] == ["a dial", "127.0.0.2", "127.0.0.1", "a dial", "127.0.0.1"]


@pytest.mark.parametrize(
    "answer", [b"", b"\x05", b"\x04\x00", b"\x05\xff", b"\x05\x00\x05\x01", b"HTTP"]
)
@pytest.mark.parametrize("answers", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
def test_a_proxy_that_hangs_up_in_the_midst_is_a_dial_that_failed(
    answers: list[str], answer: bytes
) -> None:
    """Whichever of two ways through it is gone, by how many addresses its name has."""

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()

    async def run() -> None:
        async with named(answers, hangs_up) as port:
            proxy = f"socks5://several.test:{port}"
            await dial("ws://exchange.test/", WSListener, timeout_s=10.0, proxy=proxy)

    with pytest.raises(DialFailed):
        asyncio.run(run())


def test_an_edge_that_connects_and_never_shakes_hands_is_tried_last() -> None:
    """Though it won once: it answered then, and is dead behind its socket now."""

    @closing
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass

    async def run() -> list[str]:
        async with named(["127.0.0.5", "127.0.0.1"]) as port:
            edge = await asyncio.start_server(mute, "127.0.0.5", port)
            addresses._winners["several.test", port] = ("127.0.0.5", port)
            with pytest.raises(DialFailed):
                await dial(f"ws://several.test:{port}/", WSListener, timeout_s=0.3)
            peers = [await reached(port) for _ in range(2)]
            edge.close()
            return peers

    assert asyncio.run(run()) == ["127.0.0.1", "127.0.0.1"]


def test_an_edge_that_shakes_hands_and_gives_nothing_is_tried_last() -> None:
    async def run() -> list[str]:
        async with named(["127.0.0.5", "127.0.0.1"]) as port:
            url = f"ws://several.test:{port}/"
            edge = await asyncio.start_server(good, "127.0.0.5", port)
            transport = await dial(url, WSListener, timeout_s=10.0)
            useless(transport, url)
            transport.disconnect()
            peers = [await reached(port) for _ in range(2)]
            edge.close()
            return peers

    assert asyncio.run(run()) == ["127.0.0.1", "127.0.0.1"]


def test_a_first_address_that_refuses_costs_no_pause() -> None:
    async def run() -> float:
        async with named(["127.0.0.3", "127.0.0.1"]) as port:
            began_s = asyncio.get_running_loop().time()
            assert await reached(port) == "127.0.0.1"
            return asyncio.get_running_loop().time() - began_s

    assert asyncio.run(run()) < 4 * addresses.STAGGER_S


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1"]])
def test_a_host_of_one_family_only_is_reached(answers: list[str]) -> None:
    async def run() -> str:
        async with named(answers) as port:
            return await reached(port)

    assert asyncio.run(run()) == "127.0.0.1"


def test_none_that_answers_is_one_failure_with_its_reason() -> None:
    async def run() -> None:
        async with named(["127.0.0.3", "127.0.0.4"]) as port:
            await reached(port)

    with pytest.raises(DialFailed) as failed:
        asyncio.run(run())
    assert failed.value.reason == "connection refused"


def test_a_name_without_address_is_a_dns_failure() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()

        async def nothing(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        loop.getaddrinfo = nothing  # type: ignore[method-assign]
        await dial("ws://nowhere.test/", WSListener, timeout_s=5.0)

    with pytest.raises(DialFailed) as failed:
        asyncio.run(run())
    assert failed.value.reason == "DNS: Name or service not known"


def test_a_cancelled_dial_leaves_no_socket_behind() -> None:
    async def run() -> list[str]:
        told: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(str(context)))
        async with named(["127.0.0.2", "127.0.0.2"]) as port:
            task = asyncio.create_task(reached(port))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return told

    assert asyncio.run(run()) == []
