"""A side that comes as null, as a level of null, or not at all is empty: nobody bids there."""

import math

import pytest

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.adapter import Delta, RawQuote
from spread_scanner.exchanges.registry import adapter_of
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
