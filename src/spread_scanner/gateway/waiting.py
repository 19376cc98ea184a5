"""Answers that are waited for: once for all who ask the same meanwhile, and few different ones.

Whoever waits holds what he is to be told and looks again and again: a thousand who waited each by
himself would take the memory and the time of those who are told of prices.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from http import HTTPStatus
from typing import Any, TypeVar

from spread_scanner.gateway.problems import NotAnswered

WAITED_MAX = 64  # different ones at once

_T = TypeVar("_T")


class Waits:
    """Of one gateway, on its loop."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def of(self, what: Hashable, wait: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What `wait` brings, or what another who waits for the same is brought. Raises
        NotAnswered where too much is waited for."""
        task: asyncio.Task[_T] | None = self._running.get(what)
        if task is None:
            if len(self._running) >= WAITED_MAX:
                said = f"{WAITED_MAX} answers are being waited for"
                again = (("retry-after", "1"),)
                raise NotAnswered(HTTPStatus.TOO_MANY_REQUESTS, "busy", said, again)
            task = self._running[what] = asyncio.create_task(wait())
            task.add_done_callback(lambda _: self._running.pop(what))
        return await asyncio.shield(task)  # one who goes leaves the others waiting
