"""What a signal says, as the row of the opportunity that it opens. Pure; used by the book."""

import math

from spread_scanner.schema.enums import SignalKind
from spread_scanner.tracker.opportunity import Opportunity, Signal
from spread_scanner.tracker.pairs import Pair


def makes_sense(signal: Signal) -> bool:
    """Whether it can be followed and stored. One that cannot, and was not refused, would end this
    process again and again, as it is read again from the ring.
    """
    numbers = (signal.gross_bps, signal.close_bps, signal.fees_bps, signal.carry_bps)
    more = (signal.net_bps, signal.exit_bps, signal.size_quote, signal.spot_fee_bps)
    known = signal.kind in (SignalKind.ENTER, SignalKind.RESIGNAL)
    return known and all(map(math.isfinite, (*numbers, *more)))


def opened_by(signal: Signal, pair: Pair, number: int, enter_bps: float) -> Opportunity:
    """The row of a new opportunity; `enter_bps` is the threshold in force."""
    return Opportunity(
        id=number,
        symbol=pair.symbol,
        direction=pair.direction,
        legs=pair.legs,
        symbol_id=pair.symbol_id,
        direction_id=pair.direction_id,
        generation=signal.generation,
        instance=signal.instance,
        entry_seq=signal.seq,
        opened_ns=signal.ts_engine,
        enter_bps=enter_bps,
        fees_bps=signal.fees_bps,
        carry_bps=signal.carry_bps,
        entry_gross_bps=signal.gross_bps,
        entry_net_bps=signal.net_bps,
        entry_exit_bps=signal.exit_bps,
        entry_size_quote=signal.size_quote,
        entry_spot_bid_px=signal.spot_bid_px,
        entry_spot_bid_sz=signal.spot_bid_sz,
        entry_spot_ask_px=signal.spot_ask_px,
        entry_spot_ask_sz=signal.spot_ask_sz,
        entry_fut_bid_px=signal.fut_bid_px,
        entry_fut_bid_sz=signal.fut_bid_sz,
        entry_fut_ask_px=signal.fut_ask_px,
        entry_fut_ask_sz=signal.fut_ask_sz,
        entry_spot_age_ns=signal.ts_engine - signal.spot_ts_recv,
        entry_fut_age_ns=signal.ts_engine - signal.fut_ts_recv,
        last_signal_ns=signal.ts_engine,
        last_seen_ns=signal.ts_engine,
        peak_net_bps=signal.net_bps,
        peak_ns=signal.ts_engine,
        flags=signal.flags,
        close_bps=signal.close_bps,
        usual_bps=_known(signal.usual_bps),
        parity_bps=_known(signal.parity_bps),
        size_base=_known(signal.size_base),
        spot_fee_bps=signal.spot_fee_bps,
        fut_fee_bps=signal.fees_bps / 2 - signal.spot_fee_bps,
        settled_ns=signal.ts_engine,
        funding_paid=0.0,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
