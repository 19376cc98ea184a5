"""Depth channels: each kind of message to a BookChange, what is refused, how updates follow."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage, BadQuote, ConfigError, ExchangeError
from spread_scanner.exchanges.adapter import Ack, BookChange, Notice, NoticeKind, Refused
from spread_scanner.exchanges.depth import (
    DepthAdapter,
    Fit,
    change,
    checked,
    depth_decoder_of,
    fits,
)
from spread_scanner.exchanges.mexc_protobuf import AGGRE_DEPTHS_FIELD
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.schema.channels import DEPTH_CHANNELS
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.schema.records import TS_ABSENT

UNDATED = (TS_ABSENT, TS_ABSENT)

Payloads = Callable[[str], bytes]
MS = 10**6


def depth(label: str, channel: str = "") -> DepthAdapter:
    settings = SourceSettings(
        rest_url="https://rest.test/", ws_url="wss://ws.test/x", depth_channel=channel
    )
    return depth_adapter_of(SOURCE_BY_LABEL[label], settings)


def only(adapter: DepthAdapter, frame: bytes) -> BookChange:
    (event,) = adapter.parse(frame)
    assert isinstance(event, BookChange)
    return event


# label, channel, payload; then symbol, snapshot, levels a side, ids, time, beyond.
SAID = [
    ("binance-spot", "depth@100ms", "binance/spot_depth.json",
     ("NKNUSDT", False, 3, 0, 499869749, 499869752, 1633998512068 * MS, False)),
    ("binance-futures", "depth@100ms", "binance/futures_depth.json",
     ("SUSHIUSDT", False, 3, 2, 600859598061, 600859600917, 1626992741024 * MS, False)),
    ("binance-spot", "depth20@100ms", "binance/spot_depth20.json",
     ("NKNUSDT", True, 5, 5, 0, 499869752, TS_ABSENT, False)),
    ("binance-futures", "depth20@100ms", "binance/futures_depth20.json",
     ("SUSHIUSDT", True, 3, 2, 600859598061, 600859600917, 1626992741024 * MS, False)),
    ("bybit-futures", "", "bybit/depth_snapshot.json",
     ("XRPUSDT", True, 50, 50, None, None, None, True)),
    ("bybit-spot", "", "bybit/depth_delta.json",
     ("XRPUSDT", False, 13, 22, None, None, None, False)),
    ("okx-futures", "", "okx/books_update.json",
     ("UNI-USD-SWAP", False, 3, 2, 123455, 123460, 1652459225464 * MS, False)),
    ("okx-futures", "", "okx/books_snapshot.json",
     ("UNI-USD-SWAP", True, 3, 2, -1, 123460, 1652459225464 * MS, False)),
    ("mexc-futures", "depth", "mexc/depth.json",
     ("SKHYNIXSTOCK_USDT", False, 1, 1, 1111084805, 1111084807, 1789498405579 * MS, False)),
    ("mexc-futures", "", "mexc/depth_full.json",
     ("RIF_USDT", True, 3, 3, 5220571684, 5220571685, 1789498322165 * MS, False)),
    ("mexc-spot", "", "mexc/limit_depth.hex",
     ("BTCUSDT", True, 5, 5, 82164155642, 82164155643, 1790281247251 * MS, False)),
]  # fmt: skip


@pytest.mark.parametrize(("label", "channel", "name", "expected"), SAID)
def test_what_a_message_says(
    payload: Payloads, label: str, channel: str, name: str, expected: tuple[object, ...]
) -> None:
    said = only(depth(label, channel), payload(name))

    symbol, snapshot, bids, asks, *numbers, beyond = expected
    assert (said.exchange_symbol, said.snapshot, said.beyond) == (symbol, snapshot, beyond)
    assert (said.bids.shape, said.asks.shape) == ((bids, 2), (asks, 2))
    for ours, theirs in zip(said[4:7], numbers, strict=True):
        assert theirs is None or ours == theirs
    assert said.bids.dtype == np.float64
    assert said.bids.flags.c_contiguous


def test_bybit_follows_on_the_id_before(payload: Payloads) -> None:
    snapshot = only(depth("bybit-futures"), payload("bybit/depth_snapshot.json"))
    update = only(depth("bybit-futures"), payload("bybit/depth_delta.json"))

    assert fits(snapshot.last_id, update) is Fit.NEXT
    assert update.bids[0].tolist() == [1.9531, 6198.0]


SEEDS = [
    ("binance-spot", "depth@100ms", "binance/rest_depth.json", "NKNUSDT", 499869752, 5),
    ("okx-futures", "", "okx/rest_books.json", "UNI-USD-SWAP", 123460, 3),
    ("mexc-futures", "depth", "mexc/rest_depth.json", "SKHYNIXSTOCK_USDT", 1111084807, 1),
    ("mexc-spot", "aggre.depth@100ms", "binance/rest_depth.json", "NKNUSDT", 499869752, 5),
]


@pytest.mark.parametrize(("label", "channel", "name", "symbol", "last_id", "bids"), SEEDS)
def test_seeds_by_rest(
    payload: Payloads, label: str, channel: str, name: str, symbol: str, last_id: int, bids: int
) -> None:
    adapter = depth(label, channel)
    request = adapter.seed_request(symbol)
    assert request is not None
    assert symbol in request.path or symbol in request.params.values()
    assert max(int(request.params.get(key, 0)) for key in ("limit", "sz")) == 100

    seed = adapter.parse_seed(symbol, payload(name))

    assert (seed.exchange_symbol, seed.snapshot, seed.last_id) == (symbol, True, last_id)
    assert len(seed.bids) == bids


def test_a_seed_that_is_refused(payload: Payloads) -> None:
    with pytest.raises(ExchangeError):
        depth("binance-spot", "depth@100ms").parse_seed("X", payload("binance/rest_error.json"))
    with pytest.raises(ExchangeError):
        depth("okx-spot").parse_seed("X", payload("okx/rest_error.json"))
    with pytest.raises(BadMessage):
        depth("okx-spot").parse_seed("X", b'{"code":"0","msg":"","data":[]}')


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda one: one.label)
def test_whoever_sends_snapshots_is_asked_for_none_by_rest(source: object) -> None:
    label = source.label  # type: ignore[attr-defined]
    for channel in DEPTH_CHANNELS[label]:
        adapter = depth(label, channel)
        seeded = adapter.seed_request("X") is not None
        assert seeded == (not adapter.snapshots_only and not label.startswith("bybit"))
        assert depth_decoder_of(adapter, {"X": (0, 1.0, 1.0)}).match(b"") is None
    with pytest.raises(ConfigError, match=r"depth_channel"):
        depth(label, "nope")


ASKED = [
    ("binance-spot", "", '["btcusdt@depth20@100ms","ethusdt@depth20@100ms"]'),
    ("binance-futures", "depth@100ms", '["btcusdt@depth@100ms","ethusdt@depth@100ms"]'),
    ("bybit-spot", "", '["orderbook.50.BTCUSDT","orderbook.50.ETHUSDT"]'),
    ("okx-spot", "", '{"channel":"books","instId":"BTCUSDT"}'),
    ("mexc-spot", "", '["spot@public.limit.depth.v3.api.pb@BTCUSDT@20"'),
    ("mexc-spot", "aggre.depth@100ms", '["spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"'),
]


@pytest.mark.parametrize(("label", "channel", "text"), ASKED)
def test_what_is_asked(label: str, channel: str, text: str) -> None:
    adapter = depth(label, channel)
    asked = adapter.subscribe(["BTCUSDT", "ETHUSDT"], 7)
    assert text in asked
    more = adapter.subscribe(["BTCUSDT", "ETHUSDT", "SOLUSDT"], 7)
    assert len(more) - len(asked) <= adapter.topic_bytes("SOLUSDT")
    assert adapter.unsubscribe(["BTCUSDT"], 8) != adapter.subscribe(["BTCUSDT"], 8)


def test_mexc_futures_ask_for_one_book_at_a_time() -> None:
    assert json.loads(depth("mexc-futures").subscribe(["BTC_USDT"], 1)) == {
        "method": "sub.depth.full",
        "param": {"symbol": "BTC_USDT", "limit": 20},
    }
    assert json.loads(depth("mexc-futures", "depth").unsubscribe(["BTC_USDT"], 1)) == {
        "method": "unsub.depth",
        "param": {"symbol": "BTC_USDT"},
    }


def test_answers_are_those_of_the_quotes_channel(payload: Payloads) -> None:
    assert depth("binance-spot").parse(payload("binance/ack.json")) == [Ack("17")]
    (ack,) = depth("mexc-spot").parse(
        b'{"id":0,"code":0,"msg":"spot@public.limit.depth.v3.api.pb@BTCUSDT@20,'
        b'spot@public.limit.depth.v3.api.pb@ETHUSDT@20"}'
    )
    assert isinstance(ack, Ack)
    assert ack.exchange_symbols == ("BTCUSDT", "ETHUSDT")
    (refused,) = depth("bybit-spot").parse(
        b'{"success":false,"ret_msg":"error:handler not found,topic:orderbook.50.NOPE",'
        b'"conn_id":"c","req_id":"2","op":"subscribe"}'
    )
    assert isinstance(refused, Refused)
    assert refused.exchange_symbols == ("NOPE",)
    (refused,) = depth("okx-spot").parse(payload("okx/refused.json"))
    assert isinstance(refused, Refused)
    (pong,) = depth("mexc-futures").parse(payload("mexc/futures_pong.json"))
    assert pong == Notice(NoticeKind.PONG)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("binance-spot", "binance/spot_book_ticker_combined.json"),
        ("binance-futures", "binance/futures_book_ticker_combined.json"),
        ("bybit-spot", "bybit/order_book.json"),
        ("okx-spot", "okx/bbo_tbt.json"),
        ("mexc-spot", "mexc/book_ticker.hex"),
        ("mexc-spot", "mexc/book_ticker_no_body.hex"),
    ],
)
def test_quotes_are_no_books(payload: Payloads, label: str, name: str) -> None:
    events = depth(label).parse(payload(name))
    assert [type(event) for event in events] == [Notice]


@pytest.mark.parametrize(("label", "channel", "name", "_"), SAID)
def test_a_book_that_cannot_be_read_names_its_symbol(
    payload: Payloads, label: str, channel: str, name: str, _: object
) -> None:
    """However it is damaged: a level that is none, or the end missing."""
    frame, adapter = payload(name), depth(label, channel)
    if name.endswith(".hex"):
        with pytest.raises(BadMessage):
            adapter.parse(frame[:-7])
        return
    symbol = only(adapter, frame).exchange_symbol
    for damaged in (frame.replace(b'"bids":[[', b'"bids":[{},[').replace(b'"b":[[', b'"b":[{},['),
                    frame[:-3]):  # fmt: skip
        with pytest.raises(BadMessage):
            adapter.parse(damaged)
        assert adapter.symbol_of(damaged) == symbol


@pytest.mark.parametrize("level", ["-1", "0"])
def test_a_level_that_cannot_be(payload: Payloads, level: str) -> None:
    frame = payload("binance/futures_depth.json").replace(b'"7.5040"', f'"{level}"'.encode())
    with pytest.raises(BadQuote) as caught:
        depth("binance-futures", "depth@100ms").parse(frame)
    assert caught.value.evidence["symbol"] == "SUSHIUSDT"


def test_levels_without_a_size_may_stand_anywhere() -> None:
    assert checked([(0.0, 0.0), (1.0, 2.0), (2.0, 0.0)], "X").tolist() == [[1.0, 2.0], [2.0, 0.0]]
    for impossible in ((0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.inf)):
        with pytest.raises(BadQuote):
            checked([impossible], "X")


def test_null_and_nothing_are_no_levels(payload: Payloads) -> None:
    for bids in (b"null", b"[]"):
        frame = b'{"e":"depthUpdate","s":"X","U":5,"u":6,"b":%b,"a":[null,["1","2"]]}' % bids
        said = only(depth("binance-spot", "depth@100ms"), frame)
        assert (len(said.bids), said.asks.tolist()) == (0, [[1.0, 2.0]])


@pytest.mark.parametrize("time", ["null", '"soon"', "1790000000000"])
@pytest.mark.parametrize(
    ("label", "channel", "frame"),
    [
        (
            "binance-futures",
            "depth@100ms",
            '{"e":"depthUpdate","E":TIME,"T":TIME,"s":"X","U":4,"u":5,"pu":3,'
            '"b":null,"a":[["1","2"]]}',
        ),
        (
            "okx-spot",
            "",
            '{"arg":{"channel":"books","instId":"X"},"action":"update","data":[{"asks":[["1","2",'
            '"0","1"]],"bids":null,"ts":TIME,"seqId":5,"prevSeqId":4}]}',
        ),
        (
            "mexc-futures",
            "",
            '{"symbol":"X","data":{"cts":TIME,"asks":[[1,2,1]],"bids":null,"version":5},'
            '"channel":"push.depth.full","ts":TIME}',
        ),
    ],
)
def test_null_is_no_levels_whatever_stands_for_the_time(
    label: str, channel: str, frame: str, time: str
) -> None:
    said = only(depth(label, channel), frame.replace("TIME", time).encode())
    assert (len(said.bids), said.asks.tolist()) == (0, [[1.0, 2.0]])


def test_mexc_spot_updates_lead_from_one_version_to_another(payload: Payloads) -> None:
    """Made of the captured first levels: the body of the other channel."""

    def field(number: int, body: bytes) -> bytes:
        key = number << 3 | 2
        head = bytes((key,)) if key < 128 else bytes((key & 127 | 128, key >> 7))
        return head + bytes((len(body),)) + body

    levels = field(1, field(1, b"100.1") + field(2, b"0")) + field(2, field(1, b"99.5"))
    versions = field(4, b"101") + field(5, b"103")
    topic = b"spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
    frame = field(1, topic) + field(3, b"BTCUSDT") + field(AGGRE_DEPTHS_FIELD, levels + versions)
    adapter = depth("mexc-spot", "aggre.depth@100ms")
    with pytest.raises(BadMessage):  # a level without a size
        adapter.parse(frame)
    levels = field(1, field(1, b"100.1") + field(2, b"0"))
    frame = field(1, topic) + field(3, b"BTCUSDT") + field(AGGRE_DEPTHS_FIELD, levels + versions)
    said = only(adapter, frame)
    assert (said.after_id, said.last_id, said.ts_event) == (100, 103, TS_ABSENT)
    assert said.asks.tolist() == [[100.1, 0.0]]


NONE = np.zeros((0, 2))


@pytest.mark.parametrize(
    ("known_id", "after_id", "last_id", "fit"),
    [
        (10, 10, 12, Fit.NEXT),
        (10, 8, 12, Fit.NEXT),  # it begins before a seed and ends after it
        (10, 11, 12, Fit.GAP),
        (10, 7, 9, Fit.OLD),
        (10, 7, 10, Fit.OLD),
        (10, 10, 10, Fit.OLD),  # it lives
        (10, 11, 11, Fit.GAP),  # it lives, and something was missed
        (10, 10, 3, Fit.NEXT),  # a sequence that begins anew
        (10, 9, 3, Fit.OLD),
        (10, -1, 0, Fit.NEXT),  # no ids
    ],
)
def test_how_updates_follow(known_id: int, after_id: int, last_id: int, fit: Fit) -> None:
    assert fits(known_id, change("X", NONE, NONE, (after_id, last_id), UNDATED)) is fit


@pytest.mark.parametrize("ids", [(-2, 1), (1, 2**64)])
def test_ids_out_of_range(ids: tuple[int, int]) -> None:
    with pytest.raises(BadMessage):
        change("X", NONE, NONE, ids, UNDATED)
    with pytest.raises(BadMessage):
        change("", NONE, NONE, (1, 2), UNDATED)
