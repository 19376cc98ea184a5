"""A call beside the loop that may hang, in a thread that no end waits for.

An executor's threads are waited for when the process ends, and neither a resolver that is away nor
a server that gives a byte now and then has a bound of its own.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


def begin(call: Callable[[], _T], name: str) -> Future[_T]:
    """Have it made; what comes of it, once it is over."""
    future: Future[_T] = Future()
    future.set_running_or_notify_cancel()  # who gives up waiting takes nothing back
    Thread(target=_made, args=(call, future), name=name, daemon=True).start()
    return future


def _made(call: Callable[[], _T], future: Future[_T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
