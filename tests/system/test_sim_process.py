"""The simulator as a process: what it says on the wire, what it says it said, and how it fails."""

import asyncio
import json
import math
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bed import until
from spread_scanner import config
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0

Fact = dict[str, Any]


class Sim:
    """One running exchange-sim and what a client needs to know about it."""

    def __init__(self, process: subprocess.Popen[str], ready: Fact) -> None:
        self.process = process
        self.sources: dict[str, dict[str, str]] = ready["sources"]
        self.control = ready["control"]
        self.solana = ready["solana"]

    def rest(self, label: str, path: str, **params: str) -> Any:
        return httpx.get(self.sources[label]["rest_url"] + path, params=params).json()

    def do(self, **action: Any) -> None:
        answer = httpx.post(self.control, json=action)
        assert answer.status_code == 200, answer.text

    def state(self) -> Fact:
        return dict(httpx.get(self.control + "/state").json())

    def thresholds(self, given_bps: float) -> dict[tuple[str, str], float]:
        """What each pair's gross spread must reach, so that leaving as it usually does leaves what
        was given; by direction and symbol."""
        told = httpx.get(self.control + "/usual").json()
        return {
            (row["direction"], row["symbol"]): given_bps - min(row["exit_bps"], row["parity_bps"])
            for row in told
        }

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE_S) == 0


@contextmanager
def running(*arguments: str) -> Iterator[Sim]:
    command = [sys.executable, str(ROOT / "bins" / "exchange-sim"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Sim(process, json.loads(process.stdout.readline()))
        finally:
            if process.poll() is None:
                process.kill()


def requests_of(label: str, names: list[str]) -> list[list[str]]:
    """Per connection, the texts that subscribe to `names`."""
    if label.startswith("binance"):
        params = [f"{name.lower()}@bookTicker" for name in names]
        return [[json.dumps({"method": "SUBSCRIBE", "params": params, "id": 1})]]
    if label.startswith("bybit"):
        tens = [names[at : at + 10] for at in range(0, len(names), 10)]
        topics = [[f"orderbook.1.{name}" for name in ten] for ten in tens]
        return [[json.dumps({"op": "subscribe", "args": args}) for args in topics]]
    if label.startswith("okx"):
        channels = [{"channel": "bbo-tbt", "instId": name} for name in names]
        return [[json.dumps({"op": "subscribe", "args": channels})]]
    if label == "mexc-spot":
        topic = "spot@public.aggre.bookTicker.v3.api.pb@10ms@"
        thirties = [names[at : at + 30] for at in range(0, len(names), 30)]
        return [
            [json.dumps({"method": "SUBSCRIPTION", "params": [topic + name for name in thirty]})]
            for thirty in thirties
        ]
    return [
        [
            json.dumps({"method": "sub.depth.full", "param": {"symbol": name, "limit": 5}})
            for name in names
        ]
    ]


def names_of(sim: Sim, label: str) -> list[str]:
    if label in ("binance-spot", "mexc-spot"):
        return [row["symbol"] for row in sim.rest(label, "/api/v3/exchangeInfo")["symbols"]]
    if label == "binance-futures":
        return [row["symbol"] for row in sim.rest(label, "/fapi/v1/exchangeInfo")["symbols"]]
    if label.startswith("bybit"):
        category = "spot" if label == "bybit-spot" else "linear"
        answer = sim.rest(label, "/v5/market/instruments-info", category=category, limit="1000")
        return [row["symbol"] for row in answer["result"]["list"]]
    if label.startswith("okx"):
        kind = "SPOT" if label == "okx-spot" else "SWAP"
        rows = sim.rest(label, "/api/v5/public/instruments", instType=kind)["data"]
        return [row["instId"] for row in rows if row["state"] == "live"]
    return [row["symbol"] for row in sim.rest(label, "/api/v1/contract/detail")["data"]]


def protobuf_fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field number and value of each field of a message: varints and strings are all there is."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            assert key & 7 == 2
            size = number()
            yield key >> 3, data[at : at + size]
            at += size


def quote_of(label: str, frame: str | bytes) -> tuple[str, int, str, str, str, str] | None:
    """Exchange symbol, update id, bid, size, ask, size; None for what is no quote."""
    if isinstance(frame, bytes):
        fields = dict(protobuf_fields(frame))
        if 315 not in fields:
            return None  # MEXC's frame without a body
        body = dict(protobuf_fields(fields[315]))
        texts = [body.get(n, b"").decode() for n in range(1, 6)]
        return fields[3].decode(), int(texts[4]), texts[0], texts[1], texts[2], texts[3]
    message = json.loads(frame, parse_float=str, parse_int=str)
    if label.startswith("binance") and "stream" in message:
        data = message["data"]
        return data["s"], int(data["u"]), data["b"], data["B"], data["a"], data["A"]
    if label.startswith("bybit") and "topic" in message:
        data = message["data"]
        bid, ask = (data[side][0] if data[side] else ["", ""] for side in "ba")
        return data["s"], int(data["u"]), bid[0], bid[1], ask[0], ask[1]
    if label.startswith("okx") and "data" in message:
        data = message["data"][0]
        bid, ask = (data[side][0] if data[side] else ["", ""] for side in ("bids", "asks"))
        return message["arg"]["instId"], int(data["seqId"]), bid[0], bid[1], ask[0], ask[1]
    if message.get("channel") == "push.depth.full":
        data = message["data"]
        bid, ask = (data[side][0] if data[side] else ["", ""] for side in ("bids", "asks"))
        return message["symbol"], int(data["version"]), bid[0], bid[1], ask[0], ask[1]
    return None


async def listen(
    sim: Sim, wanted: dict[str, list[str]], until: Callable[[], Awaitable[None]]
) -> dict[str, list[Any]]:
    """Subscribe to everything wanted; frames by source until `until` returns, then the rest."""
    heard: dict[str, list[Any]] = {label: [] for label in wanted}
    opened: list[ClientConnection] = []

    async def read(label: str, connection: ClientConnection) -> None:
        try:
            async for frame in connection:
                heard[label].append(frame)
        except ConnectionClosed:
            return

    readers = []
    for label, names in wanted.items():
        for texts in requests_of(label, names):
            connection = await connect(sim.sources[label]["ws_url"], max_queue=None)
            opened.append(connection)
            for text in texts:
                await connection.send(text)
            readers.append(asyncio.create_task(read(label, connection)))
    await until()
    _, pending = await asyncio.wait(readers, timeout=DEADLINE_S)
    assert not pending
    for connection in opened:
        await connection.close()
    return heard


def test_what_it_says_it_sent_is_what_arrived_and_the_truth_follows_from_it(tmp_path: Path) -> None:
    """Quotes are decoded here, spreads computed here; the truth file must say the same."""
    truth, sent = tmp_path / "truth.jsonl", tmp_path / "sent.json"
    threshold = 30.0
    arguments = ["--seed", "11", "--symbols", "40", "--rate", "3000", "--truth", str(truth)]
    arguments += ["--sent", str(sent), "--threshold-bps", str(threshold)]
    arguments += ["--plant-every-s", "0.1", "--plant-hold-s", "0.1,0.4"]
    with running(*arguments) as sim:
        wanted = {label: names_of(sim, label) for label in sim.sources}
        thresholds = sim.thresholds(threshold)

        async def long_enough() -> None:
            await asyncio.to_thread(until, lambda: sim.state().get("intervals", 0) >= 12)
            sim.process.send_signal(signal.SIGTERM)

        heard = asyncio.run(listen(sim, wanted, long_enough))
        assert sim.process.wait(DEADLINE_S) == 0

    last = {row["source"] + row["exchange_symbol"]: row for row in json.loads(sent.read_text())}
    streams: dict[str, dict[int, tuple[float, float]]] = {}
    count = 0
    for label, frames in heard.items():
        for frame in frames:
            quote = quote_of(label, frame)
            if quote is None:
                continue
            count += 1
            name, update_id, bid_px, _, ask_px, ask_sz = quote
            row = last[label + name]
            assert update_id >= max(streams.get(label + name, {0: None}))
            both = float(bid_px) / row["px_mul"], float(ask_px) / row["px_mul"]
            streams.setdefault(label + name, {})[update_id] = both
            if update_id == row["update_id"]:
                assert float(bid_px) == float(row["bid_px"])
                assert float(ask_sz) == float(row["ask_sz"])
                assert math.isclose(row["base"]["bid_px"], both[0], rel_tol=1e-15)
    assert count > 200
    for key, row in last.items():
        assert max(streams[key]) == row["update_id"], key
    check_intervals(truth, last, streams, thresholds)


def check_intervals(
    truth: Path,
    last: dict[str, Fact],
    streams: dict[str, dict[int, tuple[float, float]]],
    thresholds: dict[tuple[str, str], float],
) -> None:
    """Every interval's first quotes stand over the threshold, its end does not, peaks agree."""
    by_symbol = {(row["source"], row["symbol"]): key for key, row in last.items()}
    legs = {d.label: (d.spot.label, d.futures.label) for d in EXCHANGE_DIRECTIONS}
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    intervals = [row for row in rows if "start_ns" in row and "direction" in row]
    assert len(intervals) >= 12
    assert any(row["planted"] for row in intervals)
    for row in intervals:
        spot_label, futures_label = legs[row["direction"]]
        threshold = thresholds[row["direction"], row["symbol"]]
        assert row["threshold_bps"] == threshold
        spot = streams[by_symbol[spot_label, row["symbol"]]]
        futures = streams[by_symbol[futures_label, row["symbol"]]]
        first = row["spot_update_id_first"], row["futures_update_id_first"]
        assert gross(spot[first[0]][1], futures[first[1]][0]) >= threshold
        if row["end_ns"] is None:
            continue
        assert row["end_ns"] >= row["start_ns"]
        end = row["spot_update_id_last"], row["futures_update_id_last"]
        assert gross(spot[end[0]][1], futures[end[1]][0]) < threshold
        asks = [ask for number, (_, ask) in spot.items() if first[0] <= number <= end[0]]
        bids = [bid for number, (bid, _) in futures.items() if first[1] <= number <= end[1]]
        assert row["peak_bps"] <= gross(min(asks), max(bids)) + 1e-9
    still_open = {(row["direction"], row["symbol"]) for row in intervals if row["end_ns"] is None}
    for direction in EXCHANGE_DIRECTIONS:
        for (label, symbol), key in by_symbol.items():
            other = by_symbol.get((direction.futures.label, symbol))
            if label == direction.spot.label and other is not None and "#" not in symbol:
                ask, bid = (
                    streams[key][max(streams[key])][1],
                    streams[other][max(streams[other])][0],
                )
                over = gross(ask, bid) >= thresholds[direction.label, symbol]
                assert over == ((direction.label, symbol) in still_open), symbol


def gross(spot_ask: float, futures_bid: float) -> float:
    return (futures_bid - spot_ask) / spot_ask * 1e4


def test_the_config_that_it_writes_is_one_that_the_product_reads(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "config"
    threshold = json.dumps({"default": 44, "okx-mexc": 20})
    with running(
        *("--symbols", "5", "--pools", "4"),
        *("--config-out", str(folder), "--threshold-bps", threshold),
    ) as sim:
        settings = config.load(folder, environ={})

        assert settings.exchanges["okx-spot"].rest_url == sim.sources["okx-spot"]["rest_url"]
        for direction in EXCHANGE_DIRECTIONS:
            enter = settings.directions.thresholds(direction.label, "BTC-USDT").enter_bps
            spot = settings.exchanges[direction.spot.label]
            futures = settings.exchanges[direction.futures.label]
            fees = 2 * (spot.fee_bps("BTC-USDT") + futures.fee_bps("BTC-USDT"))
            assert enter + fees == pytest.approx(20 if direction.label == "okx-mexc" else 44)
        assert settings.config.spread_engine.hold_h == 0.0
        assert settings.pools.runs
        assert len(settings.pools.pools) == 4
        truth = httpx.get(f"{sim.solana}/truth").json()
        assert truth["pools"].keys() == settings.pools.pools.keys()
        sim.stop()


def test_the_same_seed_and_epoch_send_the_same_bytes() -> None:
    """Two processes side by side, subscribed at different moments: where they overlap, every byte
    is the same. One after the other would overlap only on a machine that subscribes in time."""
    arguments = ["--seed", "5", "--symbols", "12", "--rate", "5000", "--plant-every-s", "0.2"]
    arguments += ["--epoch-ns", str(1_700_000_000 * 10**9)]
    with running(*arguments) as one, running(*arguments) as other:
        sims = (one, other)
        wanted = {label: names_of(one, label)[:6] for label in one.sources}

        async def hear_both() -> list[dict[str, list[Any]]]:
            subscribed = asyncio.Barrier(2)

            async def long_enough(sim: Sim) -> None:
                await subscribed.wait()
                last = max(each.state()["tick"] for each in sims) + 600
                await asyncio.to_thread(until, lambda: sim.state()["tick"] > last)
                sim.process.send_signal(signal.SIGTERM)

            return await asyncio.gather(
                *(listen(sim, wanted, partial(long_enough, sim)) for sim in sims)
            )

        found = [quotes_by_leg(heard) for heard in asyncio.run(hear_both())]
        assert all(sim.process.wait(DEADLINE_S) == 0 for sim in sims)
    compared = 0
    for key, first in found[0].items():
        second = found[1].get(key, {})
        # A first quote right after the subscription carries the time of the subscription.
        common = (set(first) & set(second)) - {min(first, default=0), min(second, default=0)}
        assert all(first[number] == second[number] for number in common), key
        compared += len(common)
    assert compared > 300


def quotes_by_leg(heard: dict[str, list[Any]]) -> dict[str, dict[int, Any]]:
    """Per source and symbol, the first frame of each update id."""
    seen: dict[str, dict[int, Any]] = {}
    for label, frames in heard.items():
        for frame in frames:
            quote = quote_of(label, frame) if not is_answer(frame) else None
            if quote is not None:
                seen.setdefault(f"{label}:{quote[0]}", {}).setdefault(quote[1], frame)
    return seen


def is_answer(frame: str | bytes) -> bool:
    return isinstance(frame, str) and '"code"' in frame


def test_a_script_leaves_its_faults_in_the_truth_and_unwatched_times_too(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text(
        '[[action]]\nat_s = 0.2\ndo = "skew"\nsource = "okx-spot"\nfor_s = 0.1\nskew_ms = -50\n'
        '[[action]]\nat_s = 0.3\ndo = "freeze"\nsource = "bybit-spot"\n',
        encoding="utf-8",
    )
    truth = tmp_path / "truth.jsonl"
    arguments = ["--symbols", "3", "--script", str(script), "--truth", str(truth)]
    with running(*arguments) as sim:

        async def come_and_go() -> None:
            async with connect(sim.sources["okx-spot"]["ws_url"]) as connection:
                await connection.send(requests_of("okx-spot", ["BTC-USDT"])[0][0])
                await asyncio.wait_for(connection.recv(), DEADLINE_S)
                await asyncio.wait_for(connection.recv(), DEADLINE_S)

        asyncio.run(come_and_go())
        until(lambda: "freeze:bybit-spot" in sim.state()["faults"])
        until(lambda: "skew:okx-spot" not in sim.state()["faults"])
        sim.stop()
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    faults = {row["fault"]: row for row in rows if "fault" in row}

    assert faults["skew"]["source"] == "okx-spot"
    assert faults["skew"]["end_mono_ns"] > faults["skew"]["start_mono_ns"]
    assert faults["freeze"]["end_ns"] is None
    assert faults["unwatched"]["symbols"] == ["BTC-USDT"]


def test_sigusr1_writes_the_last_quotes_at_once(tmp_path: Path) -> None:
    sent = tmp_path / "sent.json"
    with running("--symbols", "3", "--sent", str(sent)) as sim:
        assert not sent.exists()
        sim.process.send_signal(signal.SIGUSR1)
        until(sent.exists)
        assert json.loads(sent.read_text()) == []
        sim.stop()


def test_a_wrong_script_ends_the_start_with_the_reason(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"at_s": 1, "do": "explode", "source": "okx-spot"}\n', encoding="utf-8")
    command = [sys.executable, str(ROOT / "bins" / "exchange-sim"), "--script", str(script)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 2
    assert "explode" in ended.stderr


@pytest.mark.parametrize(
    "label",
    [
        "binance-futures",
        *(
            pytest.param(label, marks=pytest.mark.slow)
            for label in ("bybit-spot", "mexc-spot", "mexc-futures")
        ),
    ],
)
def test_the_flood_sends_what_it_reports(label: str) -> None:
    """Every frame is counted, ids rise for each symbol, and the last quotes are as reported."""
    names = {"mexc-futures": ["BTC_USDT", "ETH_USDT"]}.get(label, ["BTCUSDT", "ETHUSDT"])
    command = [sys.executable, str(ROOT / "bins" / "exchange-sim"), "flood", "--source", label]
    command += ["--messages", "6000", "--symbols", "5", "--batch", "256", "--seconds", "20"]

    async def drink(url: str) -> list[Any]:
        quotes: list[Any] = []
        async with connect(url, max_queue=None) as connection, asyncio.timeout(DEADLINE_S):
            for text in requests_of(label, names)[0]:
                await connection.send(text)
            while len(quotes) < 6_000:
                frame = await connection.recv()
                quote = quote_of(label, frame) if not is_answer(frame) else None
                quotes += [quote] if quote is not None else []
        return quotes

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        quotes = asyncio.run(drink(ready["ws_url"]))
        report = json.loads(process.stdout.readline())
        assert process.wait(DEADLINE_S) == 0
    assert report["sent"] == 6_000
    latest: dict[str, Any] = {}
    for quote in quotes:
        assert quote[1] > latest.get(quote[0], (0, 0))[1]
        latest[quote[0]] = quote
    assert len(report["last"]) == len(latest) == 2
    for row in report["last"]:
        quote = latest[row["exchange_symbol"]]
        assert quote[1] == row["update_id"]
        values = [float(row[key]) for key in ("bid_px", "bid_sz", "ask_px", "ask_sz")]
        assert [float(text) for text in quote[2:]] == values
