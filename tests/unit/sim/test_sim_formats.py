"""The simulator's bytes beside real payloads: same keys in the same order, same kinds of values."""

import json
from pathlib import Path
from typing import Any

import pytest

from spread_scanner.sim.dialects import HangUp, Talk, dialects
from spread_scanner.sim.market import Market
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing, Universe
from spread_scanner.sim.wire import encoder, forms, head, one_sided, varint

ROOT = Path(__file__).parents[3]
PAYLOADS = ROOT / "tests" / "payloads"
TICK = Tick(29_141_506_058, "63561.5", "1.776", "63561.6", "4.848", 1_786_659_828_109, 764)


@pytest.fixture(scope="module")
def universe() -> Universe:
    made = Universe(seed=2, symbols=60)
    Market(made)
    return made


def shape(value: Any) -> Any:
    """Keys in order and kinds of leaves; all elements of an array must be alike."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        kinds = [shape(item) for item in value]
        return ["array", kinds[0] if kinds else None]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
    )


def payload(frame: bytes) -> bytes:
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def btc(universe: Universe, label: str) -> Listing:
    return next(row for row in universe.by_source[label] if row.symbol == "BTC-USDT")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("binance-spot", "binance/spot_book_ticker_combined.json"),
        ("binance-futures", "binance/futures_book_ticker_combined.json"),
        ("bybit-spot", "bybit/order_book.json"),
        ("bybit-futures", "bybit/order_book.json"),
        ("okx-spot", "okx/bbo_tbt.json"),
        ("okx-futures", "okx/bbo_tbt.json"),
        ("mexc-futures", "mexc/depth_full.json"),
    ],
)
def test_a_json_quote_has_the_shape_of_a_real_one(
    universe: Universe, label: str, name: str
) -> None:
    listing = btc(universe, label)
    frame = encoder(listing, forms(listing)[0])(TICK)
    text = payload(frame)
    real = (PAYLOADS / name).read_text()

    assert frame[0] == 0x81
    assert head(0x81, len(text)) + text == frame
    assert shape(json.loads(text)) == shape(json.loads(real))
    assert b" " not in text
    assert "63561.5" in text.decode()


def test_the_real_mexc_frame_is_rebuilt_byte_for_byte(universe: Universe) -> None:
    """Captured on 2026-09-23; the optional creation times differ by a few ms, so they are set."""
    real = bytes.fromhex((PAYLOADS / "mexc" / "book_ticker.hex").read_text())
    listing = btc(universe, "mexc-spot")
    at = real.index(b"\x1a\x07BTCUSDT\x30") + len(b"\x1a\x07BTCUSDT\x30")
    number = sum((byte & 0x7F) << (7 * n) for n, byte in enumerate(real[at : at + 6]))
    tick = Tick(81_999_275_445, "86503.92", "14.91335308", "86503.93", "0.004965", number, 0)
    made = payload(encoder(listing, "10ms")(tick))

    # lastOrderCreateTime: six ms before in the capture, five here
    assert varint(number) == real[at : at + 6]
    assert made[:-6] == real[:-6]
    assert len(made) == len(real)


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_an_empty_side_is_said_as_each_exchange_says_it(universe: Universe, side: str) -> None:
    tick = TICK._replace(**{f"{side}_px": "", f"{side}_sz": ""})  # type: ignore[arg-type]
    for label, keys in {"bybit-spot": ("b", "a"), "mexc-futures": ("bids", "asks")}.items():
        listing = btc(universe, label)
        data = json.loads(payload(one_sided(listing, forms(listing)[0], tick)))["data"]
        assert data[keys[side == "ask"]] == []
        assert data[keys[side == "bid"]] != []
    okx = json.loads(payload(one_sided(btc(universe, "okx-spot"), "", tick)))["data"][0]
    assert okx["bids" if side == "bid" else "asks"] == []
    binance = json.loads(payload(one_sided(btc(universe, "binance-spot"), "combined", tick)))[
        "data"
    ]
    assert float(binance["b" if side == "bid" else "a"]) == 0.0
    mexc = one_sided(btc(universe, "mexc-spot"), "10ms", tick)
    assert (b"63561.5" in mexc) == (side == "ask")


def talk() -> Talk:
    return Talk("c0a1", True, lambda _: None, lambda _: None)


def speak(universe: Universe, label: str, *texts: str) -> list[Any]:
    dialect, conversation = dialects(universe, set())[label], talk()
    answers: list[Any] = []
    for text in texts:
        answers += [
            json.loads(said) if said[0] == "{" else said
            for said in dialect.hear(conversation, text, 1_789_498_321_789)
        ]
    return answers


def real(name: str) -> Any:
    return json.loads((PAYLOADS / name).read_text())


def test_binance_acknowledges_the_unknown_and_refuses_only_the_malformed(
    universe: Universe,
) -> None:
    good = '{"method":"SUBSCRIBE","params":["nope@bookTicker","btcusdt@bookTicker"],"id":17}'

    assert speak(universe, "binance-spot", good) == [real("binance/ack.json")]
    assert speak(universe, "binance-spot", "{oops")[0]["code"] == 3
    assert speak(universe, "binance-spot", '{"params":[],"id":1}')[0]["code"] == 2
    assert speak(universe, "binance-spot", good, '{"method":"LIST_SUBSCRIPTIONS","id":3}')[1] == {
        "result": ["nope@bookTicker", "btcusdt@bookTicker"],
        "id": 3,
    }
    streams = [f"x{n}@bookTicker" for n in range(1_025)]
    with pytest.raises(HangUp):
        speak(
            universe,
            "binance-spot",
            json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}),
        )


def test_a_book_ticker_asked_of_the_wrong_futures_base_is_acknowledged_and_silent(
    universe: Universe,
) -> None:
    carried: list[object] = []
    wrong = Talk("c0a1", True, carried.append, lambda _: None, path="market/stream")
    text = '{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":17}'
    answers = dialects(universe, set())["binance-futures"].hear(wrong, text, 0)

    assert [json.loads(answer) for answer in answers] == [real("binance/ack.json")]
    assert not carried


def test_bybit_rejects_a_whole_request_for_one_bad_topic(universe: Universe) -> None:
    def ask(label: str, *names: str) -> str:
        args = [f"orderbook.1.{name}" for name in names]
        return json.dumps({"req_id": "17", "op": "subscribe", "args": args})

    assert speak(universe, "bybit-spot", ask("bybit-spot", "BTCUSDT")) == [real("bybit/ack.json")]
    refused = speak(universe, "bybit-spot", ask("", "BTCUSDT", "NOPEUSDT"), ask("", "BTCUSDT"))
    assert refused == [real("bybit/refused.json"), real("bybit/ack.json")]
    again = speak(universe, "bybit-spot", ask("", "BTCUSDT"), ask("", "BTCUSDT"))
    assert again[1]["ret_msg"] == "error:already subscribed,topic:orderbook.1.BTCUSDT"
    eleven = [row.exchange_symbol for row in universe.by_source["bybit-spot"][:11]]
    assert not speak(universe, "bybit-spot", ask("", *eleven))[0]["success"]
    assert speak(universe, "bybit-futures", ask("", "BTCUSDT", "SHIB1000USDT"))[0]["success"]
    assert speak(universe, "bybit-spot", '{"op":"ping"}') == [real("bybit/pong.json")]


def test_okx_answers_each_argument_on_its_own(universe: Universe) -> None:
    args = [{"channel": "bbo-tbt", "instId": name} for name in ("NOPE-USDT", "BTC-USDT")]
    answers = speak(universe, "okx-spot", json.dumps({"id": "17", "op": "subscribe", "args": args}))

    assert [shape(answer) for answer in answers] == [
        shape(real("okx/refused.json")),
        shape(real("okx/ack.json")),
    ]
    assert speak(universe, "okx-spot", "ping") == ["pong"]
    assert speak(universe, "okx-spot", "PING")[0]["code"] == "60012"


def test_okx_takes_480_requests_in_any_hour(universe: Universe) -> None:
    dialect, conversation = dialects(universe, set())["okx-spot"], talk()
    text = '{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT"}]}'

    def ask(at_ms: int) -> str:
        (answer,) = dialect.hear(conversation, text, at_ms)
        return str(json.loads(answer)["event"])

    assert {ask(1_000 * n) for n in range(480)} == {"subscribe"}
    assert ask(3_599_999) == "error"
    assert ask(3_601_000) == "subscribe"  # the first two are an hour old


def test_mexc_spot_holds_thirty_topics_and_says_code_zero_whatever_happens(
    universe: Universe,
) -> None:
    def ask(*names: str) -> str:
        topics = [f"spot@public.aggre.bookTicker.v3.api.pb@10ms@{name}" for name in names]
        return json.dumps({"method": "SUBSCRIPTION", "params": topics})

    assert speak(universe, "mexc-spot", ask("BTCUSDT", "ETHUSDT")) == [real("mexc/spot_ack.json")]
    assert speak(universe, "mexc-spot", ask("NOPEUSDT")) == [real("mexc/spot_refused.json")]
    names = [row.exchange_symbol for row in universe.by_source["mexc-spot"][:31]]
    failed, done = speak(universe, "mexc-spot", ask(*names))
    assert failed["code"] == done["code"] == 0
    assert names[30] in failed["msg"]
    assert done["msg"].count(",") == 29
    for ping in ("PING", "ping"):
        said = speak(universe, "mexc-spot", f'{{"method":"{ping}"}}')
        assert said == [real("mexc/spot_pong.json")]


def test_mexc_futures_names_no_symbol_and_ignores_unknown_methods(universe: Universe) -> None:
    def ask(name: str) -> str:
        return json.dumps({"method": "sub.depth.full", "param": {"symbol": name, "limit": 5}})

    assert speak(universe, "mexc-futures", ask("BTC_USDT")) == [real("mexc/futures_ack.json")]
    refused = real("mexc/futures_refused.json")
    assert shape(speak(universe, "mexc-futures", ask("NOPE_USDT"))[0]) == shape(refused)
    pong = speak(universe, "mexc-futures", '{"method":"ping"}')[0]
    assert shape(pong) == shape(real("mexc/futures_pong.json"))
    assert speak(universe, "mexc-futures", '{"method":"sub.nothing"}') == []


def test_announcements_have_paths_and_names_of_their_own(universe: Universe) -> None:
    def ask(label: str, path: str, text: str) -> tuple[Talk, str]:
        talk = Talk("c0a1", True, lambda _: None, lambda _: None, path=path)
        return talk, dialects(universe, set())[label].hear(talk, text, 0)[0]

    status = '{"op":"subscribe","args":["system.status"]}'
    talk, answer = ask("bybit-spot", "v5/public/misc/status", status)
    assert json.loads(answer)["success"]
    assert "system.status" in talk.topics
    quotes = '{"op":"subscribe","args":["orderbook.1.BTCUSDT"]}'
    for path, text in (("v5/public/spot", status), ("v5/public/misc/status", quotes)):
        talk, answer = ask("bybit-spot", path, text)
        assert not json.loads(answer)["success"]
        assert not talk.topics
    args = [{"channel": "instruments", "instType": "SPOT"}, {"channel": "status"}]
    talk = Talk("c0a1", True, lambda _: None, lambda _: None, path="ws/v5/public")
    text = json.dumps({"op": "subscribe", "args": args})
    answers = dialects(universe, set())["okx-spot"].hear(talk, text, 0)
    assert [json.loads(one)["event"] for one in answers] == ["subscribe", "subscribe"]
    assert set(talk.topics) == {"instruments:SPOT", "status"}
    talk, answer = ask("mexc-futures", "edge", '{"method":"sub.contract","param":{}}')
    assert json.loads(answer)["channel"] == "rs.sub.contract"
    assert set(talk.topics) == {"contract"}
    dialects(universe, set())["mexc-futures"].hear(talk, '{"method":"unsub.contract"}', 0)
    assert not talk.topics
    wrong = json.dumps({"op": "subscribe", "args": [{"channel": "instruments"}]})
    _, answer = ask("okx-spot", "ws/v5/public", wrong)
    assert json.loads(answer)["code"] == "60018"
