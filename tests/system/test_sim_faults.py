"""The simulator's faults, limits and timers, as a client meets them."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
TOPIC = "spot@public.aggre.bookTicker.v3.api.pb@10ms@"
SUBSCRIBE = {
    "binance-spot": '{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}',
    "binance-futures": '{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}',
    "bybit-spot": '{"op":"subscribe","args":["orderbook.1.BTCUSDT"]}',
    "bybit-futures": '{"op":"subscribe","args":["orderbook.1.BTCUSDT"]}',
    "okx-spot": '{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT"}]}',
    "okx-futures": '{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"}]}',
    "mexc-spot": json.dumps({"method": "SUBSCRIPTION", "params": [TOPIC + "BTCUSDT"]}),
    "mexc-futures": '{"method":"sub.depth.full","param":{"symbol":"BTC_USDT","limit":5}}',
}


class Sim:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        self.sources = ready["sources"]
        self.control = ready["control"]

    @contextmanager
    def open(self, label: str, *, subscribe: bool = True) -> Iterator[ClientConnection]:
        """A connection that has heard its first quote."""
        url = self.sources[label]["ws_url"]
        with connect(url, ping_interval=None, close_timeout=1) as connection:
            if subscribe:
                connection.send(SUBSCRIBE[label])
                assert heard(connection, 3)
            yield connection

    def do(self, **action: Any) -> httpx.Response:
        return httpx.post(self.control, json=action)

    @contextmanager
    def fault(self, **action: Any) -> Iterator[None]:
        """In force for as long as this takes, however slow the machine is."""
        assert self.do(**action).status_code == 200
        try:
            yield
        finally:
            ended = self.do(do="end", source=action["source"], what=action["do"])
            assert ended.status_code == 200

    def get(self, label: str, path: str, timeout_s: float = 5.0) -> httpx.Response:
        return httpx.get(self.sources[label]["rest_url"] + path, timeout=timeout_s)


def heard(connection: ClientConnection, count: int) -> list[Any]:
    """The next `count` messages; fails at the deadline."""
    return [connection.recv(DEADLINE_S) for _ in range(count)]


def start(*arguments: str) -> Iterator[Sim]:
    command = [sys.executable, str(ROOT / "bins" / "exchange-sim"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Sim(process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0


@pytest.fixture(scope="module")
def sim() -> Iterator[Sim]:
    yield from start("--symbols", "8", "--rate", "2000")


@pytest.fixture(scope="module")
def hasty() -> Iterator[Sim]:
    """A simulator whose ping and idle times are a hundredth, and whose day lasts two seconds."""
    yield from start("--symbols", "8", "--rate", "2000", "--time-scale", "0.01", "--life-s", "2")


def silent(connection: ClientConnection) -> bool:
    """Nothing more comes: what is on the way is read first."""
    while True:
        try:
            connection.recv(0.3)
        except TimeoutError:
            return True
        except ConnectionClosed:
            return False


def test_freeze_stops_the_data_and_nothing_else(sim: Sim) -> None:
    with sim.open("binance-futures") as connection:
        with sim.fault(do="freeze", source="binance-futures"):
            assert silent(connection)
            assert connection.ping().wait(DEADLINE_S)
        assert heard(connection, 3)


def test_half_open_reads_and_answers_nothing(sim: Sim) -> None:
    with (
        sim.open("bybit-spot") as connection,
        sim.fault(do="half-open", source="bybit-spot"),
    ):
        assert silent(connection)
        assert not connection.ping().wait(0.3)
        with sim.open("bybit-spot"):
            pass  # a new connection is well


def test_close_says_goodbye_and_cut_does_not(sim: Sim) -> None:
    with sim.open("okx-spot") as connection:
        sim.do(do="close", source="okx-spot")
        with pytest.raises(ConnectionClosed) as closed:
            heard(connection, 10_000)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    with sim.open("mexc-futures") as connection:
        sim.do(do="cut", source="mexc-futures")
        with pytest.raises(ConnectionClosedError) as cut:
            heard(connection, 10_000)
        assert cut.value.rcvd is None


def test_poison_is_one_bad_frame_in_a_good_stream(sim: Sim) -> None:
    with sim.open("okx-futures") as connection:
        sim.do(do="poison", source="okx-futures", kind="binary")
        while isinstance(connection.recv(DEADLINE_S), str):
            pass
        assert all(isinstance(frame, str) for frame in heard(connection, 3))


def test_drop_and_duplicate_and_reorder_bend_the_stream_for_a_while(sim: Sim) -> None:
    def numbers(connection: ClientConnection, count: int) -> list[int]:
        frames = [json.loads(frame) for frame in heard(connection, count)]
        return [frame["data"]["u"] for frame in frames if "stream" in frame]

    with sim.open("binance-spot") as connection:
        usual = numbers(connection, 60)
        assert usual == sorted(set(usual))
        with sim.fault(do="duplicate", source="binance-spot"):
            doubled = numbers(connection, 1)
            while len(set(doubled)) == len(doubled):
                doubled += numbers(connection, 1)
    with (
        sim.open("binance-spot") as connection,
        sim.fault(do="reorder", source="binance-spot", symbol="BTC-USDT"),
    ):
        mixed = numbers(connection, 1)
        while mixed == sorted(mixed):
            mixed += numbers(connection, 1)


def test_rest_faults_are_429_and_5xx_and_half_a_body_and_silence(sim: Sim) -> None:
    path = "/api/v3/ticker/bookTicker"

    def spoiled(**fault: Any) -> httpx.Response:
        sim.do(do="rest", source="mexc-spot", count=1, **fault)
        never = fault["mode"] == "timeout"
        return sim.get("mexc-spot", path, timeout_s=0.5 if never else DEADLINE_S)

    limited = spoiled(mode="429", retry_after_s=7)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert spoiled(mode="5xx", status=502).status_code == 502
    with pytest.raises(json.JSONDecodeError):
        spoiled(mode="truncated").json()
    with pytest.raises(httpx.ReadTimeout):
        spoiled(mode="timeout")
    assert sim.get("mexc-spot", path).json()


def test_one_refused_symbol_fails_a_bybit_batch_until_it_is_over(sim: Sim) -> None:
    batch = '{"op":"subscribe","args":["orderbook.1.BTCUSDT","orderbook.1.ETHUSDT"]}'
    with sim.open("bybit-futures", subscribe=False) as connection:
        with sim.fault(do="refuse-symbol", source="bybit-futures", symbol="ETHUSDT"):
            connection.send(batch)
            assert not json.loads(connection.recv(DEADLINE_S))["success"]
        connection.send(batch)
        assert json.loads(connection.recv(DEADLINE_S))["success"]


def test_a_delisted_symbol_falls_silent_and_leaves_the_list(sim: Sim) -> None:
    sim.do(do="delist", source="mexc-futures", symbol="ETH_USDT")
    rows = sim.get("mexc-futures", "/api/v1/contract/detail").json()["data"]

    assert "ETH_USDT" not in {row["symbol"] for row in rows}
    with sim.open("mexc-futures") as connection:
        connection.send('{"method":"sub.depth.full","param":{"symbol":"ETH_USDT","limit":5}}')
        while True:
            message = json.loads(connection.recv(DEADLINE_S))
            assert message.get("symbol") != "ETH_USDT"
            if message["channel"] == "rs.error":
                return


def test_a_quote_by_hand_may_have_an_empty_side(sim: Sim) -> None:
    with sim.open("okx-futures") as connection:
        sim.do(do="quote", source="okx-futures", symbol="BTC-USDT", bid_px="", bid_sz="",
               ask_px="80000.5", ask_sz="3")  # fmt: skip
        while True:
            data = json.loads(connection.recv(DEADLINE_S))["data"][0]
            if not data["bids"]:
                assert data["asks"][0][:2] == ["80000.5", "3"]
                return


def test_refused_connections_get_an_http_error(sim: Sim) -> None:
    with (
        sim.fault(do="refuse", source="mexc-spot"),
        pytest.raises(InvalidStatus),
        sim.open("mexc-spot"),
    ):
        pass
    with sim.open("mexc-spot"):
        pass


def test_nonsense_asked_of_the_control_path_is_refused_with_a_reason(sim: Sim) -> None:
    for action in (
        {"do": "explode", "source": "okx-spot"},
        {"do": "freeze"},
        {"do": "freeze", "source": "kraken-spot"},
        {"do": "plant", "symbol": "NO-USDT", "direction": "okx-mexc"},
        {"do": "end", "source": "okx-spot"},
        {"do": "end", "source": "okx-spot", "what": "delist"},
        {"do": "end", "source": "okx-spot", "what": "close"},
    ):
        answer = sim.do(**action)
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_binance_cuts_a_client_that_talks_too_much(sim: Sim) -> None:
    with sim.open("binance-spot", subscribe=False) as connection:
        for number in range(6):
            connection.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{number}}}')
        with pytest.raises(ConnectionClosed) as closed:
            heard(connection, 100)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def test_mexc_futures_cuts_who_does_not_ping_even_while_data_flow(hasty: Sim) -> None:
    with hasty.open("mexc-futures") as connection, pytest.raises(ConnectionClosed):
        heard(connection, 100_000)


def test_bybit_keeps_who_pings(hasty: Sim) -> None:
    """Client silence is bounded by six seconds here; a ping is answered and nothing is cut."""
    with hasty.open("bybit-futures") as connection:
        for _ in range(3):
            connection.send('{"op":"ping"}')
            while "pong" not in str(connection.recv(DEADLINE_S)):
                pass


def test_binance_announces_and_makes_its_cut(hasty: Sim) -> None:
    with hasty.open("binance-spot") as connection:
        while "serverShutdown" not in str(connection.recv(DEADLINE_S)):
            pass
        with pytest.raises(ConnectionClosed):
            heard(connection, 100_000)


def test_binance_cuts_who_does_not_answer_its_pings(hasty: Sim) -> None:
    """Its ping comes every 0.2 s here and wants its pong within 0.6 s, long before the cut."""
    with hasty.open("binance-spot") as connection:
        send_frame = connection.protocol.send_frame
        connection.protocol.send_frame = lambda frame: (  # type: ignore[method-assign]
            None if frame.opcode is Opcode.PONG else send_frame(frame)
        )
        with pytest.raises(ConnectionClosed) as closed:
            heard(connection, 100_000)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "no pong")


# --- what an address may do


@contextmanager
def dialled(sim: Sim, label: str, address: str) -> Iterator[ClientConnection]:
    """A connection from an address of the test's own: its counts are nobody else's."""
    url = sim.sources[label]["ws_url"]
    port = int(url.split(":")[2].split("/")[0])
    sock = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
    with connect(url, sock=sock, ping_interval=None, close_timeout=1) as connection:
        yield connection


def refusal(sim: Sim, label: str, address: str) -> tuple[int, str | None]:
    with pytest.raises(InvalidStatus) as refused, dialled(sim, label, address):
        pass
    response = refused.value.response
    return response.status_code, response.headers.get("Retry-After")


def test_dials_are_counted_per_exchange_and_address(sim: Sim) -> None:
    with (
        dialled(sim, "okx-spot", "127.0.0.20"),
        dialled(sim, "okx-futures", "127.0.0.20"),
        dialled(sim, "okx-spot", "127.0.0.20"),
    ):
        assert refusal(sim, "okx-futures", "127.0.0.20") == (429, "1")
        with dialled(sim, "okx-futures", "127.0.0.21"):
            pass


@pytest.mark.parametrize("kind", ["ping", "pong", "text"])
def test_pings_and_pongs_count_as_messages(sim: Sim, kind: str) -> None:
    with dialled(sim, "binance-futures", f"127.0.1.{len(kind) + ord(kind[1])}") as connection:
        for number in range(40):  # ten are allowed in a second, and a second may end between
            try:
                if kind == "text":
                    connection.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{number}}}')
                else:
                    getattr(connection, kind)()
                # Whoever talks on while he is told to go may lose the reason to a reset.
                with suppress(TimeoutError):
                    connection.recv(0.02)
            except ConnectionClosed:
                break
        with pytest.raises(ConnectionClosed) as closed:
            heard(connection, 100)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def test_who_is_cut_for_talking_again_and_again_is_banned_everywhere(sim: Sim) -> None:
    address = "127.0.0.30"
    for _ in range(3):
        with dialled(sim, "binance-spot", address) as connection:
            for _ in range(40):
                with suppress(ConnectionClosed):
                    connection.pong()
            with pytest.raises(ConnectionClosed):
                heard(connection, 100)
    status, wait_s = refusal(sim, "binance-futures", address)
    assert status == 418
    assert 100 <= int(wait_s or 0) <= 120
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(transport=transport) as client:
        url = sim.sources["binance-spot"]["rest_url"] + "/api/v3/time"
        answer = client.get(url)
        assert answer.status_code == 418
        assert 100 <= int(answer.headers["retry-after"]) <= 120
    assert sim.get("binance-spot", "/api/v3/time").status_code == 200


def test_a_ban_on_request_keeps_sockets_and_requests_out(sim: Sim) -> None:
    with sim.fault(do="ban", source="mexc-futures", retry_after_s=77):
        assert refusal(sim, "mexc-futures", "127.0.0.1") == (418, "77")
        answer = sim.get("mexc-futures", "/api/v1/contract/ping")
        assert (answer.status_code, answer.headers["retry-after"]) == (418, "77")
        assert sim.get("mexc-spot", "/api/v3/ping").status_code == 200
    assert sim.get("mexc-futures", "/api/v1/contract/ping").status_code == 200


def test_a_refused_upgrade_may_say_when_to_come_again(sim: Sim) -> None:
    with sim.fault(do="refuse", source="bybit-spot", status=451):
        assert refusal(sim, "bybit-spot", "127.0.0.1") == (451, None)
    asked = {"status": 429, "retry_after_s": 9, "date": True}
    with sim.fault(do="refuse", source="bybit-futures", **asked):
        status, date = refusal(sim, "bybit-futures", "127.0.0.1")
    assert status == 429
    assert date is not None
    assert date.endswith("GMT")


# --- what is said


def test_an_acknowledgement_may_be_all_that_comes(sim: Sim) -> None:
    silenced = SUBSCRIBE["okx-spot"].replace("BTC", "ETH")
    with sim.fault(do="ack-only", source="okx-spot", symbol="ETH-USDT"):
        with sim.open("okx-spot", subscribe=False) as connection:
            connection.send(silenced)
            assert json.loads(connection.recv(DEADLINE_S))["event"] == "subscribe"
            assert silent(connection)
            connection.send(SUBSCRIBE["okx-spot"])
            assert len(heard(connection, 3)) == 3
        with sim.open("okx-spot", subscribe=False) as connection:
            connection.send(silenced)
            connection.send(silenced.replace("subscribe", "unsubscribe"))
            assert json.loads(heard(connection, 2)[1])["event"] == "unsubscribe"


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("binance-spot", {"code": -1003, "msg": "Requests are too frequent"}),
        ("bybit-spot", {"success": False, "ret_msg": "Requests are too frequent"}),
        ("okx-futures", {"event": "error", "code": "60014"}),
        ("mexc-spot", {"code": 0, "msg": "Requests are too frequent"}),
        ("mexc-futures", {"channel": "rs.error", "data": "Requests are too frequent"}),
    ],
)
def test_an_error_may_name_nobody(sim: Sim, label: str, said: dict[str, Any]) -> None:
    sim.do(do="nameless-error", source=label, count=1, for_s=600)
    with sim.open(label, subscribe=False) as connection:
        connection.send(SUBSCRIBE[label])
        error = json.loads(connection.recv(DEADLINE_S))
        assert {key: error[key] for key in said} == said
        assert "BTC" not in json.dumps(error)
        connection.send(SUBSCRIBE[label])  # the next one is heard
        assert len(heard(connection, 3)) == 3


def test_a_request_may_get_lost(sim: Sim) -> None:
    sim.do(do="lose-request", source="bybit-futures", count=1, for_s=600)
    with sim.open("bybit-futures", subscribe=False) as connection:
        connection.send(SUBSCRIBE["bybit-futures"])
        assert silent(connection)
        connection.send(SUBSCRIBE["bybit-futures"])
        assert json.loads(connection.recv(DEADLINE_S))["success"]


def test_mexc_spot_frames_may_lack_a_body_or_a_side(sim: Sim) -> None:
    def frames(count: int) -> list[bytes]:
        with sim.open("mexc-spot") as connection:
            return [frame for frame in heard(connection, count) if isinstance(frame, bytes)]

    whole = min(len(frame) for frame in frames(20))
    with sim.fault(do="bodyless", source="mexc-spot", p=0.5):
        assert min(len(frame) for frame in frames(40)) < whole - 30
    assert sim.do(do="bodyless", source="okx-spot").status_code == 400


def test_a_side_may_be_missing(sim: Sim) -> None:
    with (
        sim.fault(do="one-sided", source="bybit-spot", side="bid"),
        sim.open("bybit-spot") as connection,
    ):
        while json.loads(connection.recv(DEADLINE_S)).get("data", {}).get("b") != []:
            pass


def test_the_engines_time_may_fall_behind_the_envelopes(sim: Sim) -> None:
    def behind_ms(label: str) -> int:
        with sim.open(label) as connection:
            message = json.loads(connection.recv(DEADLINE_S))
            while "data" not in message:
                message = json.loads(connection.recv(DEADLINE_S))
            data = message["data"]
            return int(data["E"] - data["T"] if "E" in data else message["ts"] - message["cts"])

    for label in ("binance-futures", "bybit-futures"):
        calm = behind_ms(label)
        assert 0 < calm < 100
        with sim.fault(do="engine-lag", source=label, lag_ms=30_000):
            assert behind_ms(label) == calm + 30_000


def test_a_halted_book_is_repeated_with_the_engines_old_time(sim: Sim) -> None:
    with (
        sim.fault(do="halt", source="bybit-spot", symbol="ETH-USDT"),
        sim.open("bybit-spot", subscribe=False) as connection,
    ):
        connection.send('{"op":"subscribe","args":["orderbook.1.ETHUSDT"]}')
        quotes = [json.loads(text) for text in heard(connection, 3)[1:]]
    assert quotes[0]["data"]["u"] == quotes[1]["data"]["u"]
    assert quotes[0]["cts"] == quotes[1]["cts"]
    assert quotes[0]["ts"] < quotes[1]["ts"]


# --- one TCP connection


def test_a_connection_that_has_served_requests_becomes_a_websocket(sim: Sim) -> None:
    for label, source in sim.sources.items():
        port = int(source["ws_url"].split(":")[2].split("/")[0])
        own = ("127.0.0.66", 0)  # turns to dial are counted by address
        with socket.create_connection(("127.0.0.1", port), source_address=own) as sock:
            reader = sock.makefile("rb")
            for path in ("/nothing", "/nothing"):
                sock.sendall(f"GET /{label}{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                status = reader.readline()
                assert b"404" in status
                size = 0
                while (line := reader.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                reader.read(size)
            with connect(source["ws_url"], sock=sock, ping_interval=None) as connection:
                connection.send(SUBSCRIBE[label])
                assert heard(connection, 3)
