"""Lines of the truth file, and of what was last sent (docs/simulator.md). Pure."""

from collections.abc import Sequence
from typing import Any

from spread_scanner.sim.legs import NAN, Leg, Pair
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing

Side = Sequence[tuple[str, str]]  # price and size, the best first
BOOK_LEVELS = 20  # a side: what is published of a book


def fallen(pair: Pair) -> dict[str, Any]:
    """The row that says when the last interval of a pair had also left the exit threshold."""
    return {
        "symbol": pair.symbol,
        "direction": pair.direction.label,
        "fell_mono_ns": pair.fell_ns,
    }


def _in_base_units(listing: Listing, tick: Tick) -> dict[str, float]:
    """The number that a decimal text means is exact here: float() rounds as any parser must."""
    px, sz = listing.px_mul, listing.sz_mul
    return {
        "bid_px": float(tick.bid_px) / px if tick.bid_px else NAN,
        "bid_sz": float(tick.bid_sz) * sz if tick.bid_sz else NAN,
        "ask_px": float(tick.ask_px) / px if tick.ask_px else NAN,
        "ask_sz": float(tick.ask_sz) * sz if tick.ask_sz else NAN,
    }


def quote_row(leg: Leg, tick: Tick) -> dict[str, Any]:
    """A quote as it was sent, in base units; of pools, one of several that one slot may mean."""
    listing = leg.listing
    return {
        "asked" if listing.source.exchange.by_pools else "quote": tick.update_id,
        "source": listing.label,
        "symbol": listing.symbol,
        **_in_base_units(listing, tick),
    }


def book_row(listing: Listing, update_id: int, bids: Side, asks: Side) -> dict[str, Any]:
    """A book as it was told, in base units."""
    px, sz = listing.px_mul, listing.sz_mul

    def in_base_units(side: Side) -> list[tuple[float, float]]:
        return [(float(price) / px, float(size) * sz) for price, size in side[:BOOK_LEVELS]]

    return {
        "book": update_id,
        "source": listing.label,
        "symbol": listing.symbol,
        "bids": in_base_units(bids),
        "asks": in_base_units(asks),
    }


def sent_row(leg: Leg, tick: Tick) -> dict[str, Any]:
    """The same, as it was spelled on the wire, too."""
    listing = leg.listing
    base = _in_base_units(listing, tick)
    return {
        "source": listing.label,
        "symbol": listing.symbol,
        "exchange_symbol": listing.exchange_symbol,
        "update_id": tick.update_id,
        "ts_ms": tick.ts_ms,
        "bid_px": tick.bid_px,
        "bid_sz": tick.bid_sz,
        "ask_px": tick.ask_px,
        "ask_sz": tick.ask_sz,
        "base": {**base, "bid_px": leg.bid, "ask_px": leg.ask},
        "px_mul": listing.px_mul,
        "sz_mul": listing.sz_mul,
        "messages": leg.count,
    }
