"""Every kind of frame of every exchange, from its payload file to events."""

import inspect
import json
import math
from collections.abc import Callable

import pytest

from spread_scanner.errors import BadMessage, BadQuote, SpreadError
from spread_scanner.exchanges import binance, bybit, mexc, okx
from spread_scanner.exchanges.adapter import (
    Ack,
    Adapter,
    Delta,
    Event,
    Notice,
    NoticeKind,
    RawQuote,
    RefusalKind,
    Refused,
)
from spread_scanner.schema.enums import EXCHANGE_SOURCES, Source
from spread_scanner.schema.records import TS_ABSENT

Adapters = Callable[..., Adapter]
Payloads = Callable[[str], bytes]

NAN = math.nan
BTC = "BTCUSDT"

QUOTES = [
    (
        "binance-spot",
        "binance/spot_book_ticker.json",
        RawQuote(BTC, 61837.63, 3.78826, 61837.64, 1.54698, TS_ABSENT, 50093239212),
    ),
    (
        "binance-spot",
        "binance/spot_book_ticker_combined.json",
        RawQuote(BTC, 61837.63, 3.78826, 61837.64, 1.54698, TS_ABSENT, 50093239212),
    ),
    (
        "binance-futures",
        "binance/futures_book_ticker.json",
        RawQuote(
            "ETHUSDT",
            1943.64,
            113.445,
            1943.65,
            182.433,
            1785121247583 * 10**6,
            11139947831981,
            ts_sent=1785121247584 * 10**6,
        ),
    ),
    (
        "binance-futures",
        "binance/futures_book_ticker_combined.json",
        RawQuote(
            "ETHUSDT",
            1943.64,
            113.445,
            1943.65,
            182.433,
            1785121247583 * 10**6,
            11139947831981,
            ts_sent=1785121247584 * 10**6,
        ),
    ),
    (
        "binance-futures",
        "binance/futures_book_ticker_old.json",
        RawQuote(
            "ETHUSDT",
            3424.98,
            77.165,
            3424.99,
            79.991,
            1721347202808 * 10**6,
            4984035700533,
            ts_sent=1721347202809 * 10**6,
        ),
    ),
    (
        "bybit-futures",
        "bybit/order_book.json",
        RawQuote(
            BTC,
            63561.5,
            1.776,
            63561.6,
            4.848,
            1786659828109 * 10**6,
            31398762,
            1786659828107 * 10**6,
        ),
    ),
    (
        "bybit-spot",
        "bybit/order_book_type_first.json",
        RawQuote(BTC, 28552.0, 0.047, 28552.1, 25.433, 1680673820717 * 10**6, 7003305),
    ),
    (
        "okx-spot",
        "okx/bbo_tbt.json",
        RawQuote(
            "ETH-USDT", 1969.29, 28.639431, 1969.3, 34.015588, 1785136396508 * 10**6, 72498651540
        ),
    ),
    (
        "okx-futures",
        "okx/bbo_tbt_no_seq.json",
        RawQuote("BTC-USDT-SWAP", 38632.3, 990.0, 38632.4, 727.0, 1651761120004 * 10**6, 0),
    ),
    (
        "mexc-spot",
        "mexc/book_ticker.hex",
        RawQuote(
            BTC, 86503.92, 14.91335308, 86503.93, 0.004965, 1790145447239 * 10**6, 81999275445
        ),
    ),
    (
        "mexc-spot",
        "mexc/book_ticker_full.hex",
        RawQuote(
            BTC, 86503.92, 14.91335308, 86503.93, 0.004965, 1790145447239 * 10**6, 81999275445
        ),
    ),
    (
        "mexc-futures",
        "mexc/depth_full.json",
        RawQuote(
            "RIF_USDT",
            0.08049,
            46.0,
            0.08055,
            48.0,
            1789498322169 * 10**6,
            5220571685,
            1789498322165 * 10**6,
        ),
    ),
    (
        "mexc-futures",
        "mexc/depth_full_cts_last.json",
        RawQuote(
            "RIF_USDT",
            0.08049,
            46.0,
            0.08055,
            48.0,
            1789498322169 * 10**6,
            5220571685,
            1789498322165 * 10**6,
        ),
    ),
    (
        "mexc-futures",
        "mexc/depth_full_exponent.json",
        RawQuote(
            "BTC_USDT",
            97500.0,
            46.0,
            97501.0,
            48.0,
            1789498322169 * 10**6,
            5220571686,
            1789498322165 * 10**6,
        ),
    ),
]

ONE_SIDED = [
    ("bybit-spot", "bybit/order_book_no_bid.json", (NAN, NAN, 63561.6, 4.848)),
    ("okx-spot", "okx/bbo_tbt_no_ask.json", (1969.29, 28.639431, NAN, NAN)),
    ("mexc-spot", "mexc/book_ticker_no_ask.hex", (100.0, 4.0, NAN, NAN)),
    ("mexc-futures", "mexc/depth_full_no_bid.json", (NAN, NAN, 97501.0, 48.0)),
]

CONTROL = [
    ("binance-spot", "binance/ack.json", Ack("17")),
    (
        "binance-spot",
        "binance/error.json",
        Refused("17", (), "2", "Invalid request: request ID must be an unsigned integer"),
    ),
    ("binance-futures", "binance/error_nested.json", Refused("", (), "3", "Invalid JSON")),
    (
        "binance-spot",
        "binance/server_shutdown.json",
        Notice(NoticeKind.SHUTDOWN, "serverShutdown"),
    ),
    ("binance-spot", "binance/trade.json", Notice(NoticeKind.OTHER, "btcusdt@trade")),
    (
        "binance-futures",
        "binance/futures_book_ticker_coin_margined.json",
        Notice(NoticeKind.OTHER, "coin-margined"),
    ),
    ("bybit-spot", "bybit/ack.json", Ack("17", (), True)),
    (
        "bybit-spot",
        "bybit/refused.json",
        Refused(
            "17",
            ("NOPEUSDT",),
            "handler not found",
            "error:handler not found,topic:orderbook.1.NOPEUSDT",
            RefusalKind.SYMBOL,
        ),
    ),
    ("bybit-futures", "bybit/pong.json", Notice(NoticeKind.PONG)),
    ("okx-spot", "okx/ack.json", Ack("17", ("BTC-USDT",), True)),
    (
        "okx-futures",
        "okx/notice_upgrade.json",
        Notice(
            NoticeKind.SHUTDOWN,
            "The connection will soon be closed for a service upgrade. Please reconnect.",
        ),
    ),
    ("mexc-spot", "mexc/spot_ack.json", Ack("0", ("BTCUSDT", "ETHUSDT"))),
    ("mexc-spot", "mexc/spot_pong.json", Notice(NoticeKind.PONG)),
    ("mexc-spot", "mexc/book_ticker_no_body.hex", Notice(NoticeKind.OTHER, "no body")),
    (
        "mexc-spot",
        "mexc/deals.hex",
        Notice(NoticeKind.OTHER, "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"),
    ),
    ("mexc-futures", "mexc/futures_ack.json", Ack("", (), True)),
    (
        "mexc-futures",
        "mexc/futures_refused.json",
        Refused(
            "",
            ("NOPE_USDT",),
            "rs.error",
            "Contract [NOPE_USDT] not exists",
            RefusalKind.SYMBOL,
        ),
    ),
    ("mexc-futures", "mexc/futures_pong.json", Notice(NoticeKind.PONG)),
]


@pytest.mark.parametrize(("label", "name", "expected"), QUOTES)
def test_a_quote_is_read_with_its_values(
    adapter_for: Adapters, payload: Payloads, label: str, name: str, expected: RawQuote
) -> None:
    assert adapter_for(label).parse(payload(name)) == [expected]


@pytest.mark.parametrize(("label", "name", "expected"), ONE_SIDED)
def test_an_empty_side_is_nan(
    adapter_for: Adapters,
    payload: Payloads,
    label: str,
    name: str,
    expected: tuple[float, float, float, float],
) -> None:
    (event,) = adapter_for(label).parse(payload(name))

    assert isinstance(event, RawQuote)
    assert str(event[1:5]) == str(expected)


@pytest.mark.parametrize(("label", "name", "expected"), CONTROL)
def test_a_frame_that_is_no_quote_says_what_it_is(
    adapter_for: Adapters, payload: Payloads, label: str, name: str, expected: Event
) -> None:
    assert adapter_for(label).parse(payload(name)) == [expected]


def test_a_refusal_of_okx_names_the_instrument_in_its_text(
    adapter_for: Adapters, payload: Payloads
) -> None:
    (event,) = adapter_for("okx-spot").parse(payload("okx/refused.json"))

    assert isinstance(event, Refused)
    assert (event.request_id, event.exchange_symbols, event.code) == ("17", ("NOPE-USDT",), "60018")


def test_a_refusal_of_mexc_spot_is_told_by_its_text_only(
    adapter_for: Adapters, payload: Payloads
) -> None:
    (event,) = adapter_for("mexc-spot").parse(payload("mexc/spot_refused.json"))

    assert isinstance(event, Refused)
    assert event.exchange_symbols == ("NOPEUSDT",)


def test_a_mexc_refusal_names_the_refused_only(adapter_for: Adapters) -> None:
    topic = "spot@public.aggre.bookTicker.v3.api.pb@10ms@"
    text = f"Not Subscribed successfully! [{topic}A,{topic}B]. Reason: Blocked! Others: [{topic}C]."
    frame = json.dumps({"id": 3, "code": 0, "msg": text}).encode()

    (event,) = adapter_for("mexc-spot").parse(frame)

    assert isinstance(event, Refused)
    assert (event.request_id, event.exchange_symbols) == ("3", ("A", "B"))


REFUSALS = [
    ("okx-spot", '{"event":"error","code":"60014","msg":"Requests too frequent."}', "busy"),
    ("okx-spot", '{"event":"error","code":"60012","msg":"Invalid request: {}"}', "unknown"),
    ("okx-spot", '{"id":"1","event":"error","code":"60018","msg":"Wrong URL"}', "unknown"),
    (
        "okx-spot",
        '{"event":"error","code":"60018","msg":"channel:bbo-tbt,instId:A-B doesn\'t exist."}',
        "symbol",
    ),
    (
        "okx-futures",
        '{"event":"error","code":"64003","msg":"no","arg":{"channel":"bbo-tbt","instId":"A"}}',
        "symbol",
    ),
    ("okx-futures", '{"event":"error","code":"50013","msg":"Systems are busy."}', "busy"),
    (
        "bybit-spot",
        '{"success":false,"ret_msg":"error:handler not found,topic:orderbook.1.A","req_id":"1"}',
        "symbol",
    ),
    ("bybit-spot", '{"success":false,"ret_msg":"Too many visits!","op":"subscribe"}', "busy"),
    ("bybit-spot", '{"success":false,"ret_msg":"","ret_code":10006,"op":"subscribe"}', "busy"),
    ("bybit-spot", '{"success":false,"ret_msg":"args size >10","op":"subscribe"}', "full"),
    (
        "bybit-futures",
        '{"success":false,"ret_msg":"args length exceeds 21000","op":"subscribe"}',
        "full",
    ),
    ("bybit-futures", '{"success":false,"ret_msg":"params error","op":"subscribe"}', "unknown"),
    ("mexc-futures", '{"channel":"rs.error","data":"Requests are too frequent"}', "busy"),
    ("mexc-futures", '{"channel":"rs.error","data":"Invalid request"}', "unknown"),
    ("mexc-futures", '{"channel":"rs.error","data":"Contract [A_B] not exists"}', "symbol"),
    ("mexc-spot", '{"id":0,"code":510,"msg":"Request frequently too fast"}', "busy"),
    ("mexc-spot", '{"id":0,"code":1,"msg":"no"}', "unknown"),
    ("mexc-spot", '{"id":0,"code":0,"msg":"msg too frequent"}', "busy"),
    ("mexc-spot", '{"id":0,"code":0,"msg":""}', "unknown"),
    ("binance-spot", '{"code":2,"msg":"Invalid request: too many parameters","id":1}', "full"),
    ("binance-spot", '{"code":2,"msg":"Invalid request: unknown variant","id":1}', "unknown"),
    ("binance-spot", '{"error":{"code":3,"msg":"Invalid JSON"},"id":null}', "unknown"),
    ("binance-futures", '{"error":{"code":-1003,"msg":"Too many requests"},"id":1}', "busy"),
    ("binance-futures", '{"code":0,"msg":"Unknown property","id":1}', "unknown"),
]


@pytest.mark.parametrize(("label", "frame", "kind"), REFUSALS)
def test_a_refusal_says_what_it_is_about(
    adapter_for: Adapters, label: str, frame: str, kind: str
) -> None:
    (event,) = adapter_for(label).parse(frame.encode())

    assert isinstance(event, Refused)
    assert event.kind is RefusalKind(kind)


def test_a_mexc_refusal_by_words_names_its_symbols(adapter_for: Adapters) -> None:
    topic = "spot@public.aggre.bookTicker.v3.api.pb@10ms@A"
    text = f"Not Subscribed successfully! [{topic}].  Reason\uff1a Blocked! "

    (event,) = adapter_for("mexc-spot").parse(json.dumps({"code": 0, "msg": text}).encode())

    assert isinstance(event, Refused)
    assert (event.exchange_symbols, event.kind) == (("A",), RefusalKind.SYMBOL)


def test_what_bybit_has_already_subscribed_is_accepted(adapter_for: Adapters) -> None:
    frame = (
        b'{"success":false,"ret_msg":"error:already subscribed,topic:orderbook.1.BTCUSDT",'
        b'"req_id":"4","op":"subscribe"}'
    )

    assert adapter_for("bybit-spot").parse(frame) == [Ack("4", (BTC,), True)]


def test_text_pong_of_okx(adapter_for: Adapters) -> None:
    assert adapter_for("okx-spot").parse(b"pong") == [Notice(NoticeKind.PONG)]


def test_a_bybit_delta_moves_one_side(adapter_for: Adapters, payload: Payloads) -> None:
    adapter = adapter_for("bybit-spot")

    moved = adapter.parse(payload("bybit/order_book_delta.json"))
    (emptied,) = adapter.parse(payload("bybit/order_book_delta_emptied.json"))

    assert moved == [Delta(BTC, (27991.7, 0.777), None, 1682092584425 * 10**6, 1188472)]
    assert isinstance(emptied, Delta)
    assert emptied.bid is None
    assert emptied.ask is not None
    assert all(math.isnan(value) for value in emptied.ask)


def test_both_sides_at_zero_is_an_empty_book(adapter_for: Adapters) -> None:
    frame = b'{"u":1,"s":"X","b":"0.00000000","B":"0.00","a":"0.00000000","A":"0.00"}'

    (event,) = adapter_for("binance-spot").parse(frame)

    assert isinstance(event, RawQuote)
    assert all(math.isnan(value) for value in event[1:5])


@pytest.mark.parametrize(
    ("bid_px", "bid_sz"),
    [("0", "1"), ("-1", "1"), ("1", "-1"), ("nan", "nan"), ("inf", "1"), ("1", "inf")],
)
def test_a_price_that_cannot_be_is_a_bad_quote(
    adapter_for: Adapters, bid_px: str, bid_sz: str
) -> None:
    frame = f'{{"u":1,"s":"X","b":"{bid_px}","B":"{bid_sz}","a":"2","A":"1"}}'.encode()

    with pytest.raises(BadQuote):
        adapter_for("binance-spot").parse(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"u":1,"s":"X","b":"1","B":"1","a":"2"}',
        b'{"u":1,"s":"X","b":"1","B":"1","a":"2","A":"1e400"}',
        b'{"u":1,"s":"X","b":" 1","B":"1","a":"2","A":"1"}',
        b'{"u":1,"s":"","b":"1","B":"1","a":"2","A":"1"}',
        b'{"u":-1,"s":"X","b":"1","B":"1","a":"2","A":"1"}',
        b'{"u":18446744073709551616,"s":"X","b":"1","B":"1","a":"2","A":"1"}',
        b'{"u":1,"s":"\xff","b":"1","B":"1","a":"2","A":"1"}',
        b'{"u":1,"s":"X","b":"1","B":"1","a":"2","A":"1"',
        b'{"stream":"btcusdt@bookTicker","data":{"u":1}}',
        b'{"x":' + b"[" * 100_000,
        b"",
        b"\x00\x01\x02",
        b"null",
        b"[]",
        b"{}",
    ],
)
def test_bad_bytes_are_bad_messages_with_evidence(adapter_for: Adapters, frame: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        adapter_for("binance-spot").parse(frame)

    assert caught.value.evidence["raw"] == frame
    assert caught.value.evidence["source"] == "binance-spot"


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
@pytest.mark.parametrize("frame", [b"", b"{", b"{}", b"\xff\xfe", b"null", b"7", b"\x0a\xff\x01"])
def test_no_source_takes_garbage(adapter_for: Adapters, source: Source, frame: bytes) -> None:
    with pytest.raises(SpreadError):
        adapter_for(source.label).parse(frame)


@pytest.mark.parametrize(
    ("label", "name"), [(label, name) for label, name, _ in QUOTES if name.endswith("json")]
)
def test_order_of_keys_and_white_space_do_not_matter(
    adapter_for: Adapters, payload: Payloads, label: str, name: str
) -> None:
    def turned(value: object) -> object:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(one) for one in value] if isinstance(value, list) else value

    adapter = adapter_for(label)
    other = json.dumps(turned(json.loads(payload(name))), indent=1).encode()

    assert adapter.parse(other) == adapter.parse(payload(name))


def test_a_byte_order_mark_is_ignored(adapter_for: Adapters, payload: Payloads) -> None:
    adapter = adapter_for("bybit-spot")
    frame = payload("bybit/order_book.json")

    assert adapter.parse(b"\xef\xbb\xbf" + frame) == adapter.parse(frame)


def test_a_symbol_in_chinese_stays_what_it_is(adapter_for: Adapters) -> None:
    frame = '{"u":1,"s":"币安人生USDT","b":"1","B":"1","a":"2","A":"1"}'.encode()

    (event,) = adapter_for("binance-spot").parse(frame)

    assert isinstance(event, RawQuote)
    assert event.exchange_symbol == "币安人生USDT"


@pytest.mark.parametrize("version", ["x", "1.5", "-1", "18446744073709551616", "9" * 5000])
def test_a_mexc_version_that_is_no_id_is_bad(
    adapter_for: Adapters, payload: Payloads, version: str
) -> None:
    def field(number: int, text: bytes) -> bytes:
        tag, size = number << 3 | 2, len(text)
        return varint(tag) + varint(size) + text

    def varint(value: int) -> bytes:
        low = bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
        return low + (varint(value >> 7) if value > 0x7F else b"")

    body = b"".join(field(n, b"1") for n in range(1, 5)) + field(5, version.encode())
    head = field(1, b"spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT") + field(3, b"BTCUSDT")

    with pytest.raises(BadMessage):
        adapter_for("mexc-spot").parse(head + b"\x30\x01" + field(315, body))


@pytest.mark.parametrize(
    ("struct", "name"),
    [
        (binance.BookTicker, "binance/spot_book_ticker.json"),
        (binance.BookTicker, "binance/futures_book_ticker.json"),
        (bybit.OrderBook, "bybit/order_book.json"),
        (okx.ChannelBook, "okx/bbo_tbt.json"),
        (mexc.FuturesControl, "mexc/futures_refused.json"),
    ],
)
def test_a_struct_shows_its_payload(payload: Payloads, struct: type, name: str) -> None:
    shown = "".join((inspect.getdoc(struct) or "").split())
    text = payload(name).decode()
    inner = text[text.index('"data":[') + 8 : -2] if struct is okx.ChannelBook else text

    assert "".join(inner.split()) in shown
