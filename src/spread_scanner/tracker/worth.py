"""What an opportunity is worth at a look: net of entering, and what leaving would realise.

Pure; used by the book. The sums are those of schema/costs.py.
"""

from spread_scanner.schema import costs
from spread_scanner.tracker.opportunity import Opportunity
from spread_scanner.tracker.sampler import Look


def net_bps(row: Opportunity, gross_bps: float | None) -> float | None:
    """Net of entering at another gross, with the close and the carry of the opening signal."""
    if gross_bps is None:
        return None
    close_bps, carry_bps = row.close_bps or 0.0, row.carry_bps or 0.0
    return costs.net_bps(gross_bps, close_bps, row.fees_bps, carry_bps)


def mark(row: Opportunity, look: Look, now_ns: int) -> None:
    """Note what leaving now would leave, if both legs can be stood behind."""
    if look.exit_bps is None:
        return
    row.mark_ns = now_ns
    row.mark_spot_bid_px, _, _, row.mark_fut_ask_px = look.px
    row.mark_size_quote = look.exit_size_quote
    row.mark_bps = _realised_bps(row, row.mark_spot_bid_px, row.mark_fut_ask_px)


def _realised_bps(row: Opportunity, spot_bid_px: float, fut_ask_px: float) -> float | None:
    """None: a row of before, which does not know its fees, or a crossed rate was not known."""
    if row.spot_fee_bps is None or row.fut_fee_bps is None or row.funding_paid is None:
        return None
    return costs.realised_bps(
        row.entry_spot_ask_px,
        row.entry_fut_bid_px,
        spot_bid_px,
        fut_ask_px,
        row.spot_fee_bps,
        row.fut_fee_bps,
        row.funding_paid,
    )


def converges(row: Opportunity, take_share: float, now_ns: int) -> bool:
    """Whether leaving now would realise that share of what was promised, or anything at all where
    nothing was. What was not seen now, or not known, has not."""
    if row.mark_ns != now_ns or row.mark_bps is None:
        return False
    return row.mark_bps >= take_share * max(row.entry_net_bps, 0.0)
