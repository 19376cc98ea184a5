"""A side that comes as null, as a level of null, or not at all is empty: nobody bids there."""

import json
import math
from collections.abc import Callable

import pytest
from mexc_frames import book_ticker, depth_update

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.adapter import BookChange, Delta, RawQuote
from spread_scanner.exchanges.registry import adapter_of, depth_adapter_of
from spread_scanner.schema.enums import SOURCE_BY_LABEL

SETTINGS = SourceSettings(rest_url="http://a.test", ws_url="ws://a.test")

BINANCE = '{"u":1,"s":"X",%s"a":"2","A":"3"}'
BYBIT = (
    '{"topic":"orderbook.1.X","ts":1790000000000,"type":"snapshot",'
    '"data":{"s":"X",%s"a":[["2","3"]],"u":1,"seq":2},"cts":1790000000000}'
)
OKX = (
    '{"arg":{"channel":"bbo-tbt","instId":"X"},'
    '"data":[{%s"asks":[["2","3","0","1"]],"ts":"1790000000000","seqId":1}]}'
)
MEXC = (
    '{"symbol":"X","data":{"cts":1790000000000,%s"asks":[[2,3,1]],"version":1},'
    '"channel":"push.depth.full","ts":1790000000000}'
)
SPELLINGS = {
    "binance-spot": (BINANCE, ['"b":null,"B":null,', ""]),
    "bybit-futures": (BYBIT, ['"b":null,', '"b":[],', '"b":[null],', ""]),
    "okx-spot": (OKX, ['"bids":null,', '"bids":[],', '"bids":[null],', ""]),
    "mexc-futures": (MEXC, ['"bids":null,', '"bids":[],', '"bids":[null],', ""]),
}
CASES = [(label, frame % side) for label, (frame, sides) in SPELLINGS.items() for side in sides]


@pytest.mark.parametrize(("label", "frame"), CASES)
def test_a_side_that_is_not_there_is_empty(label: str, frame: str) -> None:
    (quote,) = adapter_of(SOURCE_BY_LABEL[label], SETTINGS).parse(frame.encode())

    assert isinstance(quote, RawQuote)
    assert math.isnan(quote.bid_px)
    assert (quote.ask_px, quote.ask_sz) == (2.0, 3.0)


def test_a_side_that_a_delta_calls_null_is_emptied() -> None:
    frame = BYBIT.replace("snapshot", "delta") % '"b":null,'
    (delta,) = adapter_of(SOURCE_BY_LABEL["bybit-spot"], SETTINGS).parse(frame.encode())

    assert isinstance(delta, Delta)
    assert delta.bid is not None
    assert math.isnan(delta.bid[0])
    assert delta.ask == (2.0, 3.0)


@pytest.mark.parametrize(
    ("label", "frame"),
    [
        ("binance-spot", BINANCE % '"b":"x","B":"1",'),
        ("bybit-futures", BYBIT % '"b":[["x","1"]],'),
        ("okx-spot", OKX % '"bids":[["x","1","0","1"]],'),
        ("mexc-futures", MEXC % '"bids":[["x",1,1]],'),
    ],
)
def test_a_message_that_cannot_be_read_still_tells_whose_it_was(label: str, frame: str) -> None:
    adapter = adapter_of(SOURCE_BY_LABEL[label], SETTINGS)

    with pytest.raises(BadMessage):
        adapter.parse(frame.encode())
    assert adapter.symbol_of(frame.encode()) == "X"
    assert adapter.symbol_of(frame.encode() + frame.replace("X", "Y").encode()) == ""
    assert adapter.symbol_of(b"{oops") == ""


Framed = Callable[[str], bytes]


def framed(label: str) -> Framed:
    """A whole quote of a name."""
    frame = (SPELLINGS[label][0] % "").replace('"X"', '"%s"').replace("1.X", "1.%s")
    return lambda name: frame.replace("%s", name).encode()


def combined(name: str) -> bytes:
    small = name.replace("USDT", "usdt").replace("BTC", "btc")
    return b'{"stream":"%s@bookTicker","data":%s}' % (small.encode(), framed("binance-spot")(name))


FRAMES: dict[str, tuple[str, Framed]] = {
    "bare": ("binance-spot", framed("binance-spot")),
    "of a stream": ("binance-spot", combined),
    "bybit": ("bybit-futures", framed("bybit-futures")),
    "okx": ("okx-spot", framed("okx-spot")),
    "mexc": ("mexc-futures", framed("mexc-futures")),
    "wrapped": ("mexc-spot", book_ticker),
    "wrapped, without a symbol": ("mexc-spot", lambda name: book_ticker(name, named=False)),
}
NAMES = ["BTCUSDT", "\u5e01\u5b89\u4eba\u751fUSDT", "A.B-USDT"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", FRAMES)
def test_wherever_a_message_is_cut_off_behind_a_name_it_tells_whose_it_was(
    what: str, name: str
) -> None:
    """Nothing of it before: half a name may be another one."""
    label, made = FRAMES[what]
    frame, adapter = made(name), adapter_of(SOURCE_BY_LABEL[label], SETTINGS)

    told = [adapter.symbol_of(frame[:size]) for size in range(len(frame))]

    assert set(told[: told.index(name)]) == {""}
    assert set(told[told.index(name) :]) == {name}
    if what == "of a stream":
        assert adapter.symbol_of(frame[: frame.index(b"data")]) == name


@pytest.mark.parametrize("label", ["binance-spot", "bybit-futures", "okx-spot", "mexc-futures"])
def test_a_name_in_escapes_is_told_by_what_cannot_be_read(label: str) -> None:
    name = NAMES[1]
    frame = framed(label)(json.dumps(name)[1:-1])
    adapter = adapter_of(SOURCE_BY_LABEL[label], SETTINGS)

    (quote,) = adapter.parse(frame)
    assert isinstance(quote, RawQuote)
    assert quote.exchange_symbol == adapter.symbol_of(frame[:-5]) == name


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_an_update_of_a_book_is_of_its_channels_symbol(name: str, named: bool) -> None:
    """Its own may be left out; what comes behind the channel in the wrapper is none of the name."""
    settings = SourceSettings("http://a.test", "ws://a.test", depth_channel="aggre.depth@100ms")
    adapter = depth_adapter_of(SOURCE_BY_LABEL["mexc-spot"], settings)
    frame = depth_update(name, named=named)

    (change,) = adapter.parse(frame)
    assert isinstance(change, BookChange)
    assert change.exchange_symbol == adapter.symbol_of(frame[:-3]) == name
