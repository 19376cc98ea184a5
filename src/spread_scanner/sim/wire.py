"""Quotes as the bytes of each exchange's websocket: payloads, protobuf and frames.

Written from the exchanges' documentation alone. An encoder is made once per listing and form (a
form is one spelling of the channel, see `FORMS`) and called once per message, so everything that
does not change is prepared here.
"""

import struct
from collections.abc import Callable
from functools import lru_cache

import orjson

from spread_scanner.schema.enums import Exchange, Market
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing

TEXT, BINARY = 0x81, 0x82
HEADS_READY = 2048


Encoder = Callable[[Tick], bytes]  # gives a whole websocket frame


def head(opcode: int, size: int) -> bytes:
    """The header of an unmasked, unfragmented frame."""
    if size < 126:
        return bytes((opcode, size))
    if size < 65_536:
        return struct.pack("!BBH", opcode, 126, size)
    return struct.pack("!BBQ", opcode, 127, size)


_TEXT_HEADS = [head(TEXT, size) for size in range(HEADS_READY)]
_BINARY_HEADS = [head(BINARY, size) for size in range(HEADS_READY)]


def text_frame(payload: bytes) -> bytes:
    size = len(payload)
    return (_TEXT_HEADS[size] if size < HEADS_READY else head(TEXT, size)) + payload


def binary_frame(payload: bytes) -> bytes:
    size = len(payload)
    return (_BINARY_HEADS[size] if size < HEADS_READY else head(BINARY, size)) + payload


def forms(listing: Listing) -> tuple[str, ...]:
    """The spellings in which a source may send one listing; the first is the usual one."""
    exchange = listing.source.exchange
    if exchange == Exchange.BINANCE:
        return ("combined", "raw")
    if exchange == Exchange.MEXC:
        return ("10ms", "100ms") if listing.source.market == Market.SPOT else ("full5",)
    return ("",)


def encoder(listing: Listing, form: str) -> Encoder:
    """The bytes of one quote of this listing."""
    exchange, market = listing.source.exchange, listing.source.market
    if exchange == Exchange.BINANCE:
        return _binance(listing, form)
    if exchange == Exchange.BYBIT:
        return _bybit(listing)
    if exchange == Exchange.OKX:
        return _okx(listing)
    return _mexc_spot(listing, form) if market == Market.SPOT else _mexc_futures(listing)


def _binance(listing: Listing, form: str) -> Encoder:
    name = listing.exchange_symbol
    stream = f"{name.lower()}@bookTicker"
    opening = f'{{"stream":"{stream}","data":' if form == "combined" else ""
    closing = "}" if form == "combined" else ""
    if listing.source.market == Market.SPOT:
        start = f'{opening}{{"u":'
        middle = f',"s":"{name}","b":"'

        def spot(t: Tick) -> bytes:
            return text_frame(
                f'{start}{t[0]}{middle}{t[1]}","B":"{t[2]}","a":"{t[3]}","A":"{t[4]}"}}{closing}'.encode()
            )

        return spot
    start = f'{opening}{{"e":"bookTicker","u":'
    middle = f',"s":"{name}","ps":"{name}","b":"'
    lags_ms, source_id = listing.lags_ms, listing.source_id

    def futures(t: Tick) -> bytes:
        return text_frame(
            (
                f'{start}{t[0]}{middle}{t[1]}","B":"{t[2]}","a":"{t[3]}","A":"{t[4]}",'
                f'"T":{t[5] - lags_ms[source_id]},"E":{t[5]},"st":1}}{closing}'
            ).encode()
        )

    return futures


def _bybit(listing: Listing) -> Encoder:
    name = listing.exchange_symbol
    start = f'{{"topic":"orderbook.1.{name}","ts":'
    middle = f',"type":"snapshot","data":{{"s":"{name}","b":[["'
    lags_ms, source_id = listing.lags_ms, listing.source_id

    def encode(t: Tick) -> bytes:
        if t[0] != listing.said_id:
            listing.said_id, listing.said_ms = t[0], t[5] - lags_ms[source_id]
        return text_frame(
            (
                f'{start}{t[5]}{middle}{t[1]}","{t[2]}"]],"a":[["{t[3]}","{t[4]}"]],'
                f'"u":{t[0]},"seq":{t[6]}}},"cts":{listing.said_ms}}}'
            ).encode()
        )

    return encode


def _okx(listing: Listing) -> Encoder:
    start = (
        f'{{"arg":{{"channel":"bbo-tbt","instId":"{listing.exchange_symbol}"}},"data":[{{"asks":[["'
    )

    def encode(t: Tick) -> bytes:
        return text_frame(
            (
                f'{start}{t[3]}","{t[4]}","0","{1 + t[0] % 7}"]],"bids":[["{t[1]}","{t[2]}","0",'
                f'"{1 + t[0] % 9}"]],"ts":"{t[5]}","seqId":{t[0]}}}]}}'
            ).encode()
        )

    return encode


def _mexc_futures(listing: Listing) -> Encoder:
    """Five levels; beyond the first they lie one tick apart with made-up sizes."""
    start = f'{{"symbol":"{listing.exchange_symbol}","data":{{"cts":'
    decimals, pow10 = listing.px_decimals, listing.px_pow
    level = f",[%.{decimals}f,"
    deeper_asks = "".join(f"{level}{40 * n + 3},%d]" for n in range(1, 5))
    deeper_bids = "".join(f"{level}{30 * n + 7},%d]" for n in range(1, 5))
    lags_ms, source_id = listing.lags_ms, listing.source_id

    def encode(t: Tick) -> bytes:
        bid, ask = round(float(t[1]) * pow10), round(float(t[3]) * pow10)
        orders = 1 + t[0] % 5
        rest = f",{orders}]"
        asks = deeper_asks % (
            (ask + 1) / pow10, orders, (ask + 2) / pow10, orders,
            (ask + 3) / pow10, orders, (ask + 4) / pow10, orders,
        )  # fmt: skip
        bids = deeper_bids % (
            (bid - 1) / pow10, orders, (bid - 2) / pow10, orders,
            (bid - 3) / pow10, orders, (bid - 4) / pow10, orders,
        )  # fmt: skip
        return text_frame(
            (
                f'{start}{t[5] - lags_ms[source_id]},"asks":[[{t[3]},{t[4]}{rest}{asks}],'
                f'"bids":[[{t[1]},{t[2]}{rest}{bids}],"version":{t[0]}}},'
                f'"channel":"push.depth.full","ts":{t[5]}}}'
            ).encode()
        )

    return encode


@lru_cache(maxsize=1 << 14)
def varint(number: int) -> bytes:
    """Protobuf's base-128 integer."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def length_delimited(field: int, payload: bytes) -> bytes:
    """Protobuf wire type 2: key, length, bytes."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def unpadded(number: str) -> str:
    """MEXC spot spells numbers without trailing zeros."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def mexc_topic(exchange_symbol: str, speed: str) -> str:
    return f"spot@public.aggre.bookTicker.v3.api.pb@{speed}@{exchange_symbol}"


def _mexc_spot(listing: Listing, form: str) -> Encoder:
    start = length_delimited(1, mexc_topic(listing.exchange_symbol, form).encode())
    start += length_delimited(3, listing.exchange_symbol.encode()) + b"\x30"
    body_key = varint(315 << 3 | 2)
    lags_ms, source_id = listing.lags_ms, listing.source_id

    def encode(t: Tick) -> bytes:
        bid_px, bid_sz = unpadded(t[1]).encode(), unpadded(t[2]).encode()
        ask_px, ask_sz = unpadded(t[3]).encode(), unpadded(t[4]).encode()
        version = str(t[0]).encode()
        body = b"\x0a%c%b\x12%c%b\x1a%c%b\x22%c%b\x2a%c%b\x30%b" % (
            len(bid_px), bid_px, len(bid_sz), bid_sz, len(ask_px), ask_px, len(ask_sz), ask_sz,
            len(version), version, varint(t[5] - lags_ms[source_id]),
        )  # fmt: skip
        return binary_frame(start + varint(t[5]) + body_key + varint(len(body)) + body)

    return encode


def one_sided(listing: Listing, form: str, tick: Tick) -> bytes:
    """A quote with an empty side, as each exchange says it. Rare, so it is not prepared."""
    exchange, market = listing.source.exchange, listing.source.market
    if exchange == Exchange.BINANCE:
        return _binance(listing, form)(_filled(tick, "0.00000000"))
    if exchange == Exchange.MEXC and market == Market.SPOT:
        return _mexc_spot_partial(listing, form, tick)
    frame = encoder(listing, form)(_filled(tick, "1"))
    message = orjson.loads(frame[_head_size(frame) :])
    data = message["data"][0] if exchange == Exchange.OKX else message["data"]
    short = exchange == Exchange.BYBIT
    if not tick.bid_px:
        data["b" if short else "bids"] = []
    if not tick.ask_px:
        data["a" if short else "asks"] = []
    return text_frame(orjson.dumps(message))


def _filled(tick: Tick, filler: str) -> Tick:
    """The same quote with a number where the side is empty."""
    sides = (text or filler for text in (tick.bid_px, tick.bid_sz, tick.ask_px, tick.ask_sz))
    bid_px, bid_sz, ask_px, ask_sz = sides
    return tick._replace(bid_px=bid_px, bid_sz=bid_sz, ask_px=ask_px, ask_sz=ask_sz)


def _head_size(frame: bytes) -> int:
    return {126: 4, 127: 10}.get(frame[1], 2)


def _mexc_spot_partial(listing: Listing, form: str, tick: Tick) -> bytes:
    """Proto3: an empty string is not on the wire at all."""
    sides = (tick.bid_px, tick.bid_sz, tick.ask_px, tick.ask_sz, str(tick.update_id))
    body = b"".join(
        length_delimited(field, unpadded(text).encode())
        for field, text in enumerate(sides, 1)
        if text
    )
    start = length_delimited(1, mexc_topic(listing.exchange_symbol, form).encode())
    start += length_delimited(3, listing.exchange_symbol.encode()) + b"\x30" + varint(tick.ts_ms)
    return binary_frame(start + length_delimited(315, body))


def without_body(listing: Listing, form: str, ts_ms: int) -> bytes:
    """A MEXC spot frame of channel, symbol and time alone: it says nothing about either side."""
    start = length_delimited(1, mexc_topic(listing.exchange_symbol, form).encode())
    start += length_delimited(3, listing.exchange_symbol.encode()) + b"\x30"
    return binary_frame(start + varint(ts_ms))
