"""spread-gateway as a process, over real sockets: off, on, taken port, reload, TLS, its end."""

import asyncio
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest
from gateway_bed import Started, certified, secret
from websockets.sync.client import connect

from bed import free_port, until
from spread_scanner import config
from spread_scanner.config import files
from spread_scanner.errors import ConfigError
from spread_scanner.gateway.main import READERS, Serving
from spread_scanner.orders import orders
from spread_scanner.schema.names import (
    DATABASE_FILE,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_NOT_UP,
    EXIT_SETTINGS,
    GATEWAY,
)
from spread_scanner.shminit import making


@pytest.fixture
def start(listed_bed: Any) -> Iterator[Any]:
    lives: list[Started] = []

    def begin(more: str = "") -> Started:
        with (listed_bed.folder / "config" / "config.toml").open("a") as file:
            file.write(more)
        lives.append(Started(listed_bed))
        return lives[-1]

    yield begin
    for life in lives:
        life.child.kill()
        life.child.wait()


def test_it_ends_at_once_where_it_is_not_enabled(up_bed: Any) -> None:
    life = Started(up_bed)
    assert life.child.wait(60) == EXIT_DONE


def test_it_answers_obeys_and_ends(start: Any, listed_bed: Any) -> None:
    token = secret(listed_bed, "control")
    life = start('control_token_file = "control"\n')
    address = life.address()
    with httpx.Client(base_url=address) as web:
        assert web.get("/v1/directions").status_code == 200
        assert web.get("/health").json()["status"] == "unavailable"  # nobody quotes
        sent = {"authorization": f"Bearer {token}"}
        paused = web.post("/v1/control/pause/spread-gateway", headers=sent)
        assert paused.json()["answered_us"][GATEWAY] > 0
        assert web.get("/v1/directions").json()["code"] == "paused"
        resumed = web.post("/v1/control/resume/spread-gateway", headers=sent)
        assert GATEWAY in resumed.json()["answered_us"]
        assert web.get("/v1/directions").status_code == 200
    life.child.send_signal(signal.SIGTERM)
    assert life.child.wait(30) == EXIT_DONE
    with pytest.raises(httpx.ConnectError):
        httpx.get(address + "/health")


def test_however_many_ask_a_few_threads_read(start: Any) -> None:
    life = start()
    address = life.address()
    threads = f"/proc/{life.child.pid}/task"

    async def ask_at_once() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=60) as web:
            asked = [web.get(path) for path in ("/v1/spreads", "/v1/connections") * 16]
            answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {200}

    assert httpx.get(address + "/v1/directions").status_code == 200  # all else has begun
    before = len(os.listdir(threads))
    asyncio.run(ask_at_once())
    assert 0 < len(os.listdir(threads)) - before <= READERS


def test_a_reload_takes_new_tokens_and_refuses_another_port(start: Any, listed_bed: Any) -> None:
    life = start()
    address = life.address()
    secret(listed_bed, "token")
    text = (listed_bed.folder / "config" / "config.toml").read_text()
    (listed_bed.folder / "config" / "config.toml").write_text(text + 'token_file = "token"\n')
    assert orders.reload(config.load()).refused == {}
    assert httpx.get(address + "/v1/directions").status_code == 401
    (listed_bed.folder / "config" / "config.toml").write_text(text.replace("port = 0", "port = 1"))
    with pytest.raises(ConfigError, match=r"spread-gateway\.port"):
        orders.reload(config.load())
    assert httpx.get(address + "/v1/directions").status_code == 401


def test_a_reload_changes_how_often_it_beats(listed_bed: Any) -> None:
    file = listed_bed.folder / "config" / "config.toml"
    text = file.read_text()
    serving = Serving.__new__(Serving)  # what it rests by is all that is looked at
    process = SimpleNamespace(settings=config.load(file.parent, environ={}))
    serving._process, serving._broadcast = cast(Any, process), cast(Any, SimpleNamespace(clients=1))
    before_s = serving.rest_s()
    file.write_text(text.replace("[system]", "[system]\nheartbeat_ms = 10", 1))
    process.settings = config.load(file.parent, environ={})
    assert before_s > serving.rest_s() == 0.01


def test_a_port_that_is_taken_is_said(start: Any, listed_bed: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = listed_bed.folder / "config" / "config.toml"
        file.write_text(file.read_text().replace("port = 0", f"port = {port}"))
        life = start()
        assert life.child.wait(60) == EXIT_FAILED
    assert "Address already in use" in life.row().message
    assert str(port) in life.row().message


def test_it_leaves_segments_that_were_replaced_and_its_next_life_shows_the_new_ones(
    start: Any, listed_bed: Any
) -> None:
    """Who starts it again is systemd or `up`, as with every process; at the same address."""
    file = listed_bed.folder / "config" / "config.toml"
    file.write_text(file.read_text().replace("port = 0", f"port = {free_port()}"))
    life = start()
    address = life.address()
    with httpx.Client(base_url=address) as web:  # and keeps its connection
        before = web.get("/v1/status").json()["processes"]
        making.ensure(listed_bed.settings, force=True)
        assert life.child.wait(60) == EXIT_NOT_UP
        assert start().address() == address
        after = web.get("/v1/status").json()["processes"]
    starts = [
        {one["process"]: one["starts"] for one in found}[GATEWAY] for found in (before, after)
    ]
    assert starts == [1, 1]  # of a health segment that is new


def test_it_speaks_tls_with_the_certificate_that_lies_there_at_the_last_reload(
    start: Any, listed_bed: Any
) -> None:
    folder = listed_bed.folder
    trusting = certified(folder)
    address = start('tls_certificate = "certificate.pem"\ntls_key = "key.pem"\n').address()
    assert address.startswith("https://")

    def answers(trusted: ssl.SSLContext) -> bool:
        try:
            return httpx.get(address + "/v1/directions", verify=trusted).status_code == 200
        except httpx.ConnectError:
            return False

    assert answers(trusting)
    with connect(address.replace("http", "ws") + "/v1/stream", ssl=trusting) as web:
        web.send('{"op":"subscribe","kinds":["prices"]}')
        told = [json.loads(web.recv(timeout=30))["type"] for _ in range(2)]
        assert told == ["hello", "prices"]
    renewed = certified(folder)  # in its place
    assert orders.reload(config.load()).refused == {}
    assert (answers(trusting), answers(renewed)) == (False, True)

    (folder / "key.pem").write_text("no key")
    with pytest.raises(ConfigError, match="no certificate and key of each other"):
        orders.reload(config.load())
    assert answers(renewed)

    elsewhere = certified(folder, "other-")
    file = folder / "config" / "config.toml"
    text = file.read_text()
    file.write_text(
        text.replace('"certificate.', '"other-certificate.').replace('"key', '"other-key')
    )
    assert orders.reload(config.load()).refused == {}
    assert (answers(renewed), answers(elsewhere)) == (False, True)

    file.write_text(text.replace('tls_certificate = "certificate.pem"\ntls_key = "key.pem"\n', ""))
    with pytest.raises(ConfigError, match=r"tls_certificate \(a restart of spread-gateway\)"):
        orders.reload(config.load())
    assert answers(elsewhere)


def test_a_reload_changes_how_many_may_be_connected(start: Any, listed_bed: Any) -> None:
    address = start().address()
    file = listed_bed.folder / "config" / "config.toml"
    text = file.read_text()
    door = (urlsplit(address).hostname, urlsplit(address).port)
    file.write_text(text + "connections_max = 1\n")
    assert orders.reload(config.load()).refused == {}
    with socket.create_connection(door, timeout=10), httpx.Client() as web:
        assert web.get(address + "/v1/directions").json()["code"] == "full"
        file.write_text(text)
        assert orders.reload(config.load()).refused == {}
        assert web.get(address + "/v1/directions").status_code == 200


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('host = "0.0.0.0"\n', "token_file"),
        ('host = "example.org"\n', "host"),
        ('token_file = "nowhere"\n', "token_file"),
        ('control_token_file = "short"\n', "control_token_file"),
        ('control_token_file = "open"\n', "mode 0600"),
        ('token_file = "no_protocol"\n', "openssl rand -hex 32"),
        ('token_file = "mine"\ncontrol_token_file = "mine"\n', "that of token_file"),
        ('token_file = "pipe"\n', "a pipe, socket or device"),
        ('token_file = "config"\n', "Is a directory"),
        ('tls_certificate = "pipe"\ntls_key = "pipe"\n', "a pipe, socket or device"),
        ('tls_certificate = "nowhere"\n', "tls_key"),
        ('tls_certificate = "nowhere"\ntls_key = "nowhere"\n', "tls_certificate"),
        ("rate_per_s = 0\n", "rate_per_s"),
        ('origins = ["example.org"]\n', "origins"),
    ],
)
def test_settings_that_cannot_be_are_refused(listed_bed: Any, more: str, says: str) -> None:
    secret(listed_bed, "short", "abc")
    secret(listed_bed, "open")
    secret(listed_bed, "mine")
    secret(listed_bed, "no_protocol", "what/no+browser-can-send==")  # as a subprotocol
    os.mkfifo(listed_bed.folder / "pipe", 0o600)
    (listed_bed.folder / "open").chmod(0o644)
    with (listed_bed.folder / "config" / "config.toml").open("a") as file:
        file.write(more)
    with pytest.raises(ConfigError, match=says):
        files.check_files(config.load())


def test_a_process_with_such_settings_ends_with_2(
    start: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    life = start('control_token_file = "nowhere"\n')
    assert life.child.wait(60) == EXIT_SETTINGS
    assert "control_token_file" in capfd.readouterr().err


def test_its_end_is_not_held_up_by_an_order_that_nobody_answers(start_python: Any) -> None:
    """Those who ordered give up, one after the other as they like; the process then ends."""
    child = start_python(
        """if True:
        import asyncio, threading
        from spread_scanner.gateway import api

        async def orders():
            asked = threading.Event()

            def order():
                asked.set()
                threading.Event().wait()

            waits = asyncio.create_task(api._apart(order, "orders"))
            while not asked.is_set():
                await asyncio.sleep(0.001)
            waits.cancel()

        asyncio.run(orders())
        """
    )
    assert child.wait(60) == EXIT_DONE


@pytest.mark.slow  # spread-ctl itself
def test_its_end_is_not_held_up_by_whom_it_asks(start: Any, listed_bed: Any) -> None:
    """A child that would never answer: stopped, as on a machine that is out of memory."""
    (listed_bed.settings.data_dir / DATABASE_FILE).write_bytes(b"?")  # or nobody is asked
    life = start()
    address = life.address()
    children = Path(f"/proc/{life.child.pid}/task")
    told: list[httpx.Response] = []
    asks = threading.Thread(
        target=lambda: told.append(httpx.get(f"{address}/v1/report", timeout=60))
    )
    asks.start()

    def of_it() -> list[int]:
        pids = [int(pid) for one in children.glob("*/children") for pid in one.read_text().split()]
        # One that is forked and not yet what it is to be would stop the thread that makes it.
        return [pid for pid in pids if b"report" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    until(lambda: bool(of_it()), timeout_s=60)
    os.kill(of_it()[0], signal.SIGSTOP)
    life.child.send_signal(signal.SIGTERM)
    assert life.child.wait(8) == EXIT_DONE  # its unit waits for ten seconds
    asks.join()
    assert (told[0].status_code, told[0].json()["code"]) == (503, "stopping")
