"""Servers of tests: what one of them opened is closed however it ends.

A loop that ends while a handler still reads cancels it; a stream that nobody closed then is found
by the collector in whatever test runs next, and fails that one.
"""

import asyncio
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def closing(serve: Serve) -> Serve:
    """The server's side is closed however it ends; who asks may go away at any time."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return run
