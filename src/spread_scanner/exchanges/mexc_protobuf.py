"""The part of MEXC's protobuf wrapper that carries a best bid and ask, and its decoder.

Read by `mexc.py` only; anything that is not such a message raises BadMessage. The schema is stated
here as a descriptor, so that neither protoc nor generated code is needed. Google's protobuf was
taken by measurement of one book ticker: 1.5 us, against 6.0 us by hand in Python and 45 us for
betterproto2.

    message PushDataV3ApiWrapper {
      string channel = 1;
      optional string symbol = 3;
      optional string symbolId = 4;
      optional int64 createTime = 5;
      optional int64 sendTime = 6;
      oneof body { ...; PublicAggreBookTickerV3Api publicAggreBookTicker = 315; }
    }
    message PublicAggreBookTickerV3Api {
      string bidPrice = 1;     string bidQuantity = 2;
      string askPrice = 3;     string askQuantity = 4;
      string version = 5;      int64 lastOrderCreateTime = 6;
    }
"""

from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from spread_scanner.errors import BadMessage

BODY_FIELD = 315
_Field = descriptor_pb2.FieldDescriptorProto


class PushedTicker(NamedTuple):
    """The wrapper's fields that are used; `has_body` is False where it carries something else."""

    channel: str
    symbol: str
    send_time: int
    has_body: bool
    bid_px: str
    bid_sz: str
    ask_px: str
    ask_sz: str
    version: str


def _message(file: Any, name: str, fields: list[tuple[str, int, int]]) -> Any:
    message = file.message_type.add(name=name)
    for field, number, kind in fields:
        message.field.add(name=field, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
    return message


def _wrapper_class() -> Any:
    text, number = _Field.TYPE_STRING, _Field.TYPE_INT64
    file = descriptor_pb2.FileDescriptorProto(
        name="mexc_push.proto", package="mexc", syntax="proto3"
    )
    prices = ("bidPrice", "bidQuantity", "askPrice", "askQuantity", "version")
    ticker = [(field, place, text) for place, field in enumerate(prices, 1)]
    _message(file, "Ticker", ticker)
    wrapper = _message(
        file, "Wrapper", [("channel", 1, text), ("symbol", 3, text), ("sendTime", 6, number)]
    )
    wrapper.field.add(
        name="ticker",
        number=BODY_FIELD,
        type=_Field.TYPE_MESSAGE,
        type_name=".mexc.Ticker",
        label=_Field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("mexc.Wrapper"))


_Wrapper: Any = _wrapper_class()


def pushed_ticker(frame: bytes) -> PushedTicker:
    """The frame as a wrapper; raises BadMessage on bytes that are no wrapper."""
    try:
        wrapper = _Wrapper.FromString(frame)
    except DecodeError as error:
        raise BadMessage(f"not a protobuf wrapper: {error}", raw=frame) from None
    ticker = wrapper.ticker
    return PushedTicker(
        wrapper.channel,
        wrapper.symbol,
        wrapper.sendTime,
        wrapper.HasField("ticker"),
        ticker.bidPrice,
        ticker.bidQuantity,
        ticker.askPrice,
        ticker.askQuantity,
        ticker.version,
    )
