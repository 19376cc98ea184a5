"""A process that lives in a thread of the test's own: it obeys orders, and reloads or refuses."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.shm import Control, Health


def takes(_settings: Settings) -> Callable[[], None]:
    return lambda: None


@contextmanager
def living(bed: Any, name: str, prepare: Any = takes) -> Iterator[Process]:
    """A real Process that reloads."""
    over = threading.Event()
    with ExitStack() as stack:
        health = stack.enter_context(Health.attach(bed.namespace))
        control = stack.enter_context(Control.attach(bed.namespace))
        process = Process(
            name,
            config.load(),
            logs.set_up(name),
            stack.enter_context(health.claim(name)),
            stack.enter_context(control.claim(name)),
        )

        def live() -> None:
            while not over.is_set():
                orders = process.poll()
                if orders is not None:
                    if orders.reload:
                        process.reload(orders, prepare)
                    process.applied(orders)
                time.sleep(0.001)

        thread = threading.Thread(target=live)
        thread.start()
        try:
            yield process
        finally:
            over.set()
            thread.join()
