"""A SOCKS5 proxy for tests: it notes what it was asked for and serves whatever is behind it."""

import asyncio

from answering import Serve

NO_AUTHENTICATION = b"\x05\x00"
GRANTED = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


def socks5(asked: list[tuple[str, int]], behind: Serve) -> Serve:
    """RFC 1928 without authentication, CONNECT to a name only; then `behind` has the stream."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, methods = await reader.readexactly(2)
        assert version == 5
        await reader.readexactly(methods)
        writer.write(NO_AUTHENTICATION)
        version, command, _, kind, length = await reader.readexactly(5)
        # A name (3), not an address: the proxy's resolver is asked, not ours.
        assert (version, command, kind) == (5, 1, 3)
        name = (await reader.readexactly(length)).decode()
        asked.append((name, int.from_bytes(await reader.readexactly(2))))
        writer.write(GRANTED)
        await behind(reader, writer)

    return serve
