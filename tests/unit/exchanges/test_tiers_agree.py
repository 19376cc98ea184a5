"""The native and the typed tier give the same quotes, bit for bit, or the native one gives none.

On every recorded message that fits a current channel, and on generated ones: valid, mutated byte
by byte, and with other key order, white space, exponents, huge numbers and empty sides.
"""

import json
import os
import struct
from collections.abc import Callable, Iterable, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.adapter import Adapter, Event, RawQuote
from spread_scanner.exchanges.decode import length_prefixed, line_frames, scaled
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.schema.records import TS_ABSENT

Recordings = Callable[[str], bytes]
Tables = Mapping[str, tuple[int, float, float]]

SETTINGS = SourceSettings(rest_url="http://a.test", ws_url="ws://a.test")
ADAPTERS: dict[str, Adapter] = {one.label: adapter_of(one, SETTINGS) for one in EXCHANGE_SOURCES}
NATIVE_SHARE_MIN = 0.99
EXAMPLES = 5_000 if os.environ.get("SPREAD_STRESS") == "long" else 150


def native_of(label: str, tables: Tables) -> Decoder:
    adapter = ADAPTERS[label]
    return Decoder(adapter.templates(), tables, protobuf=adapter.binary)


def typed(label: str, frame: bytes) -> list[Event] | None:
    """The typed tier's events; None for a bad message, and nothing else may come out of it."""
    try:
        return ADAPTERS[label].parse(frame)
    except BadMessage:
        return None


def bits(
    symbol_id: int, quote: tuple[float, ...], ts_event: int, update_id: int, *others: int
) -> bytes:
    return struct.pack("<I4dqQ2q", symbol_id, *quote, ts_event, update_id, *others)


def check(label: str, native: Decoder, tables: Tables, frame: bytes) -> tuple[int, int]:
    """Fails where the tiers differ; returns how many quotes each tier read from the frame."""
    matched = native.match(frame)
    events = typed(label, frame)
    quotes = [one for one in events or [] if isinstance(one, RawQuote)]
    if matched is not None:
        assert events is not None
        assert events == quotes, frame
        (quote,) = quotes
        symbol_id, px_div, sz_mul = tables[quote.exchange_symbol]
        other = scaled(quote, px_div, sz_mul)
        assert bits(matched[0], matched[1:5], *matched[5:]) == bits(
            symbol_id, other[1:5], *other[5:]
        ), frame
    return int(matched is not None), len(quotes)


def tables_of(label: str, frames: Iterable[bytes]) -> Tables:
    """Every symbol that the typed tier finds, with scales that are not exact in binary."""
    symbols = {
        one.exchange_symbol
        for frame in frames
        for one in typed(label, frame) or []
        if isinstance(one, RawQuote)
    }
    scales = [(1.0, 1.0), (1000.0, 0.01), (3.0, 0.1)]
    return {name: (n, *scales[n % 3]) for n, name in enumerate(sorted(symbols))}


@pytest.mark.parametrize(
    ("label", "name", "count"),
    [
        ("binance-spot", "binance_spot/hftbacktest_spot_btcusdt_20230405.txt.gz", 8_015),
        ("binance-spot", "binance_spot/hftbacktest_spot_btcusdt_20240808.txt.gz", 28_040),
        ("binance-spot", "binance_spot/hftbacktest_spot_btcusdt_20240809.txt.gz", 45_134),
        ("binance-spot", "binance_spot/hftbacktest_spot_ethusdt_20240809.txt.gz", 34_681),
        ("binance-spot", "binance_spot/cryptofeed_ws_rest_20210405.txt.gz", 5_408),
        ("binance-spot", "binance_spot/cryptofeed_ws_20211012.txt.gz", 84),
        ("binance-futures", "binance_usdm/hftbacktest_usdm_btcusdt_20230405.txt.gz", 37_440),
        ("binance-futures", "binance_usdm/hftbacktest_usdm_btcusdt_20240719.txt.gz", 45_147),
        ("binance-futures", "binance_usdm/hftbacktest_usdm_btcusdt_20240808.txt.gz", 66_089),
        ("binance-futures", "binance_usdm/hftbacktest_usdm_ethusdt_20240719.txt.gz", 38_239),
        ("binance-futures", "binance_usdm/cryptofeed_ws_rest_20210405.txt.gz", 3_424),
        ("binance-futures", "binance_usdm/cryptofeed_ws_20210722.txt.gz", 613),
        ("binance-futures", "binance_usdm/captured_frames_2026.jsonl", 1),
        ("bybit-spot", "bybit_spot/captured_frames_2026.jsonl", 1),
        ("bybit-futures", "bybit_linear/captured_frames_2026.jsonl", 1),
        ("okx-spot", "okx/captured_frames_2026.jsonl", 1),
        ("mexc-spot", "mexc_spot/captured_protobuf_frames_202609.jsonl", 1),
        ("mexc-futures", "mexc_futures/captured_frames_2026.jsonl", 1),
    ],
)
def test_recorded_messages(recording: Recordings, label: str, name: str, count: int) -> None:
    frames = list(line_frames(recording(name).splitlines()))
    tables = tables_of(label, frames[:5_000])
    native = native_of(label, tables)

    natively = together = 0
    for frame in frames:
        by_native, by_typed = check(label, native, tables, frame)
        natively += by_native
        together += by_typed

    assert together == count
    assert natively > NATIVE_SHARE_MIN * together


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("binance-spot", "binance_spot/hftbacktest_spot_ethusdt_20240809.txt.gz"),
        ("binance-futures", "binance_usdm/hftbacktest_usdm_btcusdt_20240808.txt.gz"),
    ],
)
def test_recorded_values_are_those_of_the_message(
    recording: Recordings, label: str, name: str
) -> None:
    """Against json and float, which share nothing with either tier."""
    for frame in list(line_frames(recording(name).splitlines()))[::20]:
        data = json.loads(frame)["data"]
        if data.get("e", "bookTicker") != "bookTicker":
            continue
        (quote,) = typed(label, frame) or []

        assert isinstance(quote, RawQuote)
        assert quote[:5] == (data["s"], *(float(data[key]) for key in "bBaA"))
        assert quote.update_id == data["u"]
        if "E" in data:
            assert quote.ts_event == data["T"] * 10**6


@pytest.mark.parametrize(
    ("label", "name", "channel", "count"),
    [
        ("binance-spot", "binance_spot/tardis_mapper_messages_binance.jsonl", "@bookTicker", 1),
        (
            "binance-futures",
            "binance_usdm/tardis_mapper_messages_binance-futures.jsonl",
            "@bookTicker",
            1,
        ),
        ("bybit-spot", "bybit_linear/tardis_mapper_messages_bybit.jsonl", "orderbook.1.", 1),
        ("okx-futures", "okx/tardis_mapper_messages_okex-swap.jsonl", "bbo-tbt", 2),
    ],
)
def test_messages_of_a_feed_archive(
    recording: Recordings, label: str, name: str, channel: str, count: int
) -> None:
    messages = [json.loads(line)["message"] for line in recording(name).splitlines()]
    frames = [json.dumps(one, separators=(",", ":")).encode() for one in messages]
    tables = tables_of(label, frames)
    native = native_of(label, tables)
    results = [check(label, native, tables, one) for one in frames if channel.encode() in one]

    assert [sum(column) for column in zip(*results, strict=True)] == [count, count]


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def text_field(number: int, text: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(text)) + text


def wrapper(
    symbol: str, prices: Iterable[str], version: str, send_time: int, more: bytes = b""
) -> bytes:
    body = b"".join(text_field(n, one.encode()) for n, one in enumerate(prices, 1) if one)
    body += text_field(5, version.encode()) if version else b""
    channel = f"spot@public.aggre.bookTicker.v3.api.pb@10ms@{symbol}".encode()
    head = text_field(1, channel) + (text_field(3, symbol.encode()) if symbol else b"")
    time = b"\x30" + varint(send_time) if send_time else b""
    return head + more + time + text_field(315, body)


def test_protobuf_messages_of_a_feed_archive(recording: Recordings) -> None:
    frames = []
    for line in recording("mexc_spot/tardis_mapper_messages_mexc.jsonl").splitlines():
        message = json.loads(line)["message"]
        ticker = message.get("publicAggreBookTicker")
        if ticker is not None:
            prices = [
                ticker.get(key, "")
                for key in ("bidPrice", "bidQuantity", "askPrice", "askQuantity")
            ]
            time = int(message.get("sendTime", 0))
            frames.append(wrapper(message["symbol"], prices, ticker.get("version", ""), time))
    tables = tables_of("mexc-spot", frames)
    native = native_of("mexc-spot", tables)
    results = [check("mexc-spot", native, tables, frame) for frame in frames]

    assert frames
    assert all(by_typed == 1 for _, by_typed in results)
    assert sum(by_native for by_native, _ in results) >= 2


# Generated messages. ---------------------------------------------------------------------------

SYMBOLS = ["BTCUSDT", "BTC-USDT", "BTC_USDT", "1000PEPEUSDT", "币安人生USDT", "A"]
TABLES: Tables = {
    name: (n, (1.0, 1000.0)[n % 2], (1.0, 0.01)[n % 2]) for n, name in enumerate(SYMBOLS)
}
NATIVE = {label: native_of(label, TABLES) for label in ADAPTERS}

usual_numbers = st.one_of(
    st.from_regex(r"(0|[1-9][0-9]{0,6})\.[0-9]{1,8}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{0,20}", fullmatch=True),
    st.from_regex(r"(0|[1-9][0-9]{0,18})\.[0-9]{1,25}", fullmatch=True),
)
odd_numbers = st.one_of(
    st.sampled_from(
        [
            *["0", "0.0", "-1", "+1", "", " 1", "1 ", "01", "1.", ".5", "1e5", "9.75E+4", "1e-400"],
            *["1e400", "nan", "inf", "-inf", "Infinity", "1_0", "0x10", "null", "true", "٣"],
            *["1.5.2", "9" * 41, "9" * 400, "0." + "0" * 60 + "1", "-0", "1" + "0" * 39],
        ]
    ),
    st.floats(allow_nan=False).map(repr),
)
usual_whole = st.one_of(
    st.integers(1_600_000_000_000, 1_900_000_000_000).map(str),
    st.integers(1, 9_223_372_036_854).map(str),
)
odd_whole = st.one_of(
    st.integers(0, 2**64 + 5).map(str),
    st.sampled_from(
        ["-1", "1.0", "1e3", "01", "null", '"5"', "1790000000", "4102444800000", "4102444800001"]
    ),
)
usual_symbols = st.sampled_from(SYMBOLS)
odd_symbols = st.sampled_from(["NOPE", "", "BTC\\u0055SDT", "x" * 80, '"', "\\", "\n", "é"])
numbers = st.one_of(usual_numbers, usual_numbers, usual_numbers, odd_numbers)
whole = st.one_of(usual_whole, usual_whole, odd_whole)
levels = st.lists(st.tuples(numbers, numbers, whole), max_size=3).map(
    lambda rows: "".join(f",[{px},{sz},{n}]" for px, sz, n in rows)
)


@st.composite
def messages(draw: st.DrawFn, label: str) -> bytes:
    """A frame of the source's channel, with an odd value in up to two of its places."""
    odd = draw(st.one_of(st.just(set()), st.sets(st.integers(0, 7), max_size=2)))
    n = [draw(odd_numbers if place in odd else usual_numbers) for place in range(4)]
    symbol = draw(odd_symbols if 4 in odd else usual_symbols)
    version, ms, other = (draw(odd_whole if place in odd else usual_whole) for place in (5, 6, 7))
    if label == "mexc-spot":
        send_time = int(ms) if ms.isdigit() and len(ms) < 19 else 0
        more = draw(st.sampled_from([b"", text_field(4, b"id"), b"\x28\x07", b"\x38\x07"]))
        return wrapper(symbol, n, version, send_time, more)
    if label.startswith("binance"):
        prices = f'"b":"{n[0]}","B":"{n[1]}","a":"{n[2]}","A":"{n[3]}"'
        text = f'{{"u":{version},"s":"{symbol}",{prices}}}'
        if label == "binance-futures":
            st_ps = draw(st.booleans())
            text = (
                f'{{"e":"bookTicker","u":{version},"s":"{symbol}",'
                + (f'"ps":"{symbol}",' if st_ps else "")
                + f'{prices},"T":{other},"E":{ms}'
                + (f',"st":{draw(st.sampled_from([1, 1, 1, 2]))}}}' if st_ps else "}")
            )
        combined = draw(st.booleans())
        text = f'{{"stream":"{symbol.lower()}@bookTicker","data":{text}}}' if combined else text
    elif label.startswith("bybit"):
        kind = draw(st.sampled_from(["snapshot", "snapshot", "snapshot", "delta", "x"]))
        text = (
            f'{{"topic":"orderbook.1.{symbol}","ts":{ms},"type":"{kind}","data":{{"s":"{symbol}",'
            f'"b":[["{n[0]}","{n[1]}"]],"a":[["{n[2]}","{n[3]}"]],"u":{version},"seq":{other}}},'
            f'"cts":{other}}}'
        )
    elif label.startswith("okx"):
        text = (
            f'{{"arg":{{"channel":"bbo-tbt","instId":"{symbol}"}},"data":[{{'
            f'"asks":[["{n[2]}","{n[3]}","0","2"]],"bids":[["{n[0]}","{n[1]}","0","15"]],'
            f'"ts":"{ms}","seqId":{version}}}]}}'
        )
    else:
        text = (
            f'{{"symbol":"{symbol}","data":{{"cts":{other},'
            f'"asks":[[{n[2]},{n[3]},1]{draw(levels)}],"bids":[[{n[0]},{n[1]},1]{draw(levels)}],'
            f'"version":{version}}},"channel":"push.depth.full","ts":{ms}}}'
        )
    return text.encode()


mutations = st.lists(
    st.tuples(
        st.sampled_from(["cut", "drop", "put", "set", "twice"]),
        st.floats(0, 1),
        st.one_of(
            st.sampled_from(list(b'"\\{}[],:0123456789.eE+- \n\x00\x1f\x7f')), st.integers(0, 255)
        ),
    ),
    max_size=3,
)


def mutated(frame: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    for kind, place, byte in changes:
        at = int(place * len(frame))
        if kind == "cut":
            frame = frame[:at]
        elif kind == "drop":
            frame = frame[:at] + frame[at + 1 :]
        elif kind == "put":
            frame = frame[:at] + bytes([byte]) + frame[at:]
        elif kind == "set":
            frame = frame[:at] + bytes([byte]) + frame[at + 1 :]
        else:
            frame = frame[:at] + frame[at - byte :] if byte < at else frame
    return frame


@pytest.mark.parametrize("label", sorted(ADAPTERS))
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_generated_messages(label: str, data: st.DataObject) -> None:
    frame = data.draw(messages(label))

    check(label, NATIVE[label], TABLES, frame)


@pytest.mark.parametrize("label", sorted(ADAPTERS))
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_mutated_messages(label: str, data: st.DataObject) -> None:
    frame = mutated(data.draw(messages(label)), data.draw(mutations))

    check(label, NATIVE[label], TABLES, frame)


@pytest.mark.parametrize("label", sorted(ADAPTERS))
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(frame=st.binary(max_size=200))
def test_binary_garbage(label: str, frame: bytes) -> None:
    check(label, NATIVE[label], TABLES, frame)


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(frames=st.lists(st.binary(max_size=300), max_size=5))
def test_length_prefixed_frames_come_back(frames: list[bytes]) -> None:
    data = b"".join(varint(len(frame)) + frame for frame in frames)

    assert list(length_prefixed(data)) == frames


def test_usual_generated_messages_do_match_natively() -> None:
    """The generators would prove nothing if their messages never fitted a template."""
    source = SOURCE_BY_LABEL["mexc-spot"]
    assert native_of(source.label, TABLES).match(
        wrapper("BTCUSDT", ["1", "2", "3", "4"], "5", 1_700_000_000_000)
    ) == (0, 1.0, 2.0, 3.0, 4.0, 1_700_000_000_000 * 10**6, 5, TS_ABSENT, TS_ABSENT)
