"""MEXC spot's changes of a book, as the exchange's own definition has them: no frame of this
channel was recorded. Written by hand, apart from what product and simulator make of it.
"""

from random import Random

TOPIC = "spot@public.aggre.depth.v3.api.pb"
TICKER_TOPIC = "spot@public.aggre.bookTicker.v3.api.pb"
BODY_FIELD, TICKER_FIELD = 313, 315


def _varint(value: int) -> bytes:
    made = b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def book_ticker(symbol: str, *, named: bool = True) -> bytes:
    """A best bid and ask; `named`: not in the channel alone."""
    body = _field(1, "1") + _field(2, "2") + _field(3, "3") + _field(4, "4") + _field(5, "77")
    frame = _field(1, f"{TICKER_TOPIC}@10ms@{symbol}") + (_field(3, symbol) if named else b"")
    return frame + _field(6, 1_790_000_000_000) + _field(TICKER_FIELD, body)


def depth_update(symbol: str, *, named: bool = True) -> bytes:
    """A change of one level of each side."""
    body = b"".join(
        _field(side, _field(1, px) + _field(2, "2")) for side, px in ((1, "3"), (2, "1"))
    )
    body += _field(4, "8") + _field(5, "9")
    frame = _field(1, f"{TOPIC}@100ms@{symbol}") + (_field(3, symbol) if named else b"")
    return frame + _field(6, 1_790_000_000_000) + _field(BODY_FIELD, body)


def aggregated_depth(chance: Random, symbol: str = "BTCUSDT", levels_max: int = 40) -> bytes:
    """A frame with any number of levels, a third of which are taken away; what may be left out is
    there or not."""
    body = b""
    for side in (1, 2):  # asks, bids
        for _ in range(chance.randrange(levels_max + 1)):
            px = f"{chance.randrange(1, 10**6)}.{chance.randrange(10**4)}"
            sz = f"{chance.randrange(10**5)}.{chance.randrange(1, 10**6)}"
            body += _field(side, _field(1, px) + _field(2, "0" if chance.random() < 0.3 else sz))
    first = chance.randrange(1, 2**40)
    if chance.random() < 0.5:
        body += _field(3, f"{TOPIC}@100ms")
    body += _field(4, str(first)) + _field(5, str(first + chance.randrange(100)))
    if chance.random() < 0.5:
        body += _field(6, 1_790_000_000_000 + chance.randrange(10**6))
    frame = _field(1, f"{TOPIC}@100ms@{symbol}") + _field(3, symbol)
    if chance.random() < 0.5:
        frame += _field(5, 1_790_000_000_000)
    frame += _field(6, 1_790_000_000_000 + chance.randrange(10**6))
    return frame + _field(BODY_FIELD, body)
