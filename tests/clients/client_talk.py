"""How a client process and its test talk: one JSON line each way.

The client says what it read by REST, then answers every line on its standard input with the last
quotes that its streams told it. The end of the input is its end.
"""

import json
import sys
import threading
from collections.abc import Callable
from typing import Any


def sources() -> tuple[str, dict[str, str]]:
    """The source that this process is to read, and the REST and websocket base of each."""
    label, bases = sys.argv[1], json.loads(sys.argv[2])
    return label, bases


def say(**message: Any) -> None:
    print(json.dumps(message, default=str), flush=True)


def answer_looks(look: Callable[[], dict[str, list[Any]]], end: Callable[[], object]) -> None:
    """In a thread of its own: the client's streams go on meanwhile."""

    def listen() -> None:
        for _ in sys.stdin:
            say(last=look())
        end()

    threading.Thread(target=listen, daemon=True).start()
