"""Who waits for a web server waits for so long at most, whatever drips, and for each piece alone
where nobody said how long."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from spread_scanner import clock
from spread_scanner.web.timely import answered_by, bound

PIECE_S = 60.0  # which no drip takes
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n"


def drip(door: socket.socket, begins: bytes) -> None:
    with door, door.accept()[0] as line:
        try:
            line.sendall(begins)
            while True:
                line.sendall(b"a")
                clock.sleep(0.002)
        except OSError:  # who asked has gone
            return


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with bound(httpx.Client(timeout=PIECE_S, trust_env=False)) as made:
        yield made


@pytest.mark.parametrize(
    "begins", [b"", HEAD + b"x: ", HEAD + b"\r\n"], ids=["line", "head", "body"]
)
def test_who_is_never_done_is_waited_for_so_long_in_all(
    client: httpx.Client, begins: bytes
) -> None:
    door = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{door.getsockname()[1]}/"
    threading.Thread(target=drip, args=(door, begins), daemon=True).start()
    with pytest.raises(httpx.TimeoutException), answered_by(clock.awake_s() + 0.05):
        client.get(url)


def test_where_no_time_is_left_nobody_is_asked(client: httpx.Client) -> None:
    with pytest.raises(httpx.ConnectTimeout), answered_by(clock.awake_s()):
        client.get("http://127.0.0.1:9/")
    with pytest.raises(httpx.ConnectError):  # the time was of that alone
        client.get("http://127.0.0.1:9/")
