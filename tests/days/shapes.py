"""How an exchange spells what is not usual: an empty side, half a frame, a time that cannot be.

The spellings are those of the reference and of reports about the live exchanges; the usual quote
comes from the simulator's encoders and is changed as text, never by a parser of the product.
"""

from collections.abc import Callable
from random import Random

import orjson

from spread_scanner.schema.enums import Exchange, Market
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import encoder, head, one_sided, text_frame

MINUS = "a price below zero"
HALF = "cut off in the midst"
NO_BID, NO_ASK = "no bid", "no ask"
NULL_BID, NULL_ASK = "the bid is null", "the ask is null"
EMPTY_BID, EMPTY_ASK = (NO_BID, NULL_BID), (NO_ASK, NULL_ASK)
UNREADABLE = (MINUS, HALF)

MS_PER_S = 1_000
MS_PER_DAY = 86_400_000


def shaped(shape: str, listing: Listing, form: str, tick: Tick) -> bytes:
    """The frame of a tick in one of the shapes above."""
    if shape in EMPTY_BID or shape in EMPTY_ASK:
        return _one_sided(shape, listing, form, tick)
    if shape == MINUS:
        return encoder(listing, form)(tick._replace(bid_px="-1"))
    frame = encoder(listing, form)(tick)
    opcode, payload = frame[0], frame[head_size(frame) :]
    # So much that its symbol still stands there, and nothing of it is a message.
    name = listing.exchange_symbol.encode()
    end = max(payload.rfind(name) + len(name) + 8, len(payload) * 3 // 4)
    kept = payload[: min(end, len(payload) - 2)]
    return head(opcode, len(kept)) + kept


def _one_sided(shape: str, listing: Listing, form: str, tick: Tick) -> bytes:
    bid = shape in EMPTY_BID
    left = tick._replace(bid_px="", bid_sz="") if bid else tick._replace(ask_px="", ask_sz="")
    frame = one_sided(listing, form, left)
    exchange = listing.source.exchange
    has_lists = exchange is not Exchange.BINANCE and not is_protobuf(listing)
    if shape in (NO_BID, NO_ASK) or not has_lists:
        return frame
    message = orjson.loads(frame[head_size(frame) :])
    data = message["data"][0] if exchange is Exchange.OKX else message["data"]
    short = exchange is Exchange.BYBIT
    data[("b" if short else "bids") if bid else ("a" if short else "asks")] = None
    return text_frame(orjson.dumps(message))


def is_protobuf(listing: Listing) -> bool:
    return listing.source.exchange is Exchange.MEXC and listing.source.market is Market.SPOT


def head_size(frame: bytes) -> int:
    return {126: 4, 127: 10}.get(frame[1], 2)


# What stands where a time in milliseconds is to stand: given the right one.
TIMES: tuple[Callable[[int], int], ...] = (
    lambda ms: ms // MS_PER_S,  # in seconds
    lambda ms: ms * 1_000,  # in microseconds
    lambda _: MS_PER_DAY,  # 1970
    lambda ms: ms + 3_600 * MS_PER_S,  # an hour ahead
    lambda ms: ms + 30 * 365 * MS_PER_DAY,
)


# The same of the engine's time beside a good one of sending, which it cannot lie ahead of.
ENGINE_TIMES = (*TIMES[:3], lambda ms: ms + 10 * MS_PER_S, TIMES[-1])


def misdated(engine_ms: int, sent_ms: int) -> bool:
    """Whether an engine's time cannot be, in what was sent then."""
    return not sent_ms - 10 * 365 * MS_PER_DAY < engine_ms <= sent_ms + 500


def impossible_time(ms: int, random: Random, engines: bool = False) -> int:
    """A time that cannot be, by one of the ways in which it goes wrong."""
    way: Callable[[int], int] = random.choice(ENGINE_TIMES if engines else TIMES)
    return way(ms)
