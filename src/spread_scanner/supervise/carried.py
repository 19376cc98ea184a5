"""What the engine should have said that both order books carry: by the books as they were told.

Reckoned here from the truth file by docs/economics.md, by nothing of the engine's: net at each size
and at the tops, and the largest size that is still over the threshold, in whole lots. What leaving
is assumed to earn, and the threshold, are the record's own: learned.py and the signals' scores
judge those. No settlement is crossed. Not judged, but counted by why: a record whose books are not
in the file, for nobody was told them while the pair paid, one of a pair that never paid, and one of
a pool's ladder while its providers were shaken. Any other ladder has to agree with one that may
have been made of its pools as they stood at its slot, or a few before or after, by a rate that was
another one for no longer than a slot and what its maker may be late. Where it does not, and its
maker waited for a CPU for longer than a slot, it is counted, too: pools that came meanwhile are in
no file together.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain, product
from types import MappingProxyType
from typing import NamedTuple

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTION_BY_LABEL
from spread_scanner.schema.figures import plain
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.seen import SeenFollowUp, SeenRung
from spread_scanner.supervise.truth import OrderRule, SentBook, SentSide, TruthFile
from spread_scanner.symbology.fees import FeeOfFill

BPS = 1e4
NEARLY_A_LOT = 1e-9
EXACT = 1e-9  # relative
SHORT = 1e-6  # relative, of what is said in single precision
NEAR_BPS = 1e-4  # so near the threshold either of two lots may be the largest
SHOWN = 20  # levels of a side that is cut off: there may be more


class CarriedJudged(NamedTuple):
    """What was said of a signal's books, and the largest size that is right, in base units; `why`:
    what of it is wrong, empty where nothing is."""

    said: SeenFollowUp
    right_base: float
    why: str

    @property
    def ok(self) -> bool:
        return not self.why


# Why what was said of books is not judged.
UNTOLD = "nobody was told these books"
NEVER_PAID = "of pairs that never paid"
SHAKEN_THEN = "providers of pools were shaken"
BUSY_THEN = "made late on a busy machine"
# A slot. A ladder of pools stands for so long, and whose maker has waited for a CPU for longer may
# have made it of pools that nobody else knew together.
WAITED_NS_MAX = 400 * NS_PER_MS
NOBODY_WAITED = Lateness(0.0)


class RightCarried(NamedTuple):
    """All that was said of books, judged or not."""

    judged: Sequence[CarriedJudged] = ()
    unjudged: Mapping[str, int] = MappingProxyType({})  # how many for which reason


class _Books(NamedTuple):
    """Both books of a pair, and what it costs. `known`: so much of a side is known to whoever
    follows it; beyond there may be more."""

    spot: SentBook
    futures: SentBook
    close_bps: float
    fees_bps: float
    known: float = math.inf

    @property
    def sides(self) -> tuple[SentSide, SentSide, SentSide, SentSide]:
        return self.spot.bids, self.spot.asks, self.futures.bids, self.futures.asks

    @property
    def depth(self) -> float:
        """The size that all four sides hold, as far as they are known."""
        return min(self.known, *(_held(side) for side in self.sides))

    def net_bps(self, size: float) -> float:
        """What is left of so many base units; NaN: a side holds less, or is not known so far."""
        if size * (1 - NEARLY_A_LOT) > self.known:
            return math.nan
        out, paid, got, back = (_average_px(side, size) for side in self.sides)
        top_out, top_back = self.spot.bids[0][0], self.futures.asks[0][0]
        moved = (out - back) - (top_out - top_back)
        return (got - paid + moved) / paid * BPS + self.close_bps - self.fees_bps

    def bounded(self, over_bps: float) -> bool:
        """Whether it pays to the end of a side that is cut off, so that there may be more."""
        held = [side for side in self.sides if math.isclose(_held(side), self.depth, rel_tol=EXACT)]
        pays = self.net_bps(self.depth) >= over_bps
        return pays and (not held or all(len(side) == SHOWN for side in held))

    def ordered(self, size: float, rule: OrderRule) -> bool:
        """Whether both legs take an order of so much, now and when it is left."""
        legs = ((self.spot, rule.spot_notional_least), (self.futures, rule.futures_notional_least))
        return size > 0 and all(
            size * min(book.bids[0][0], book.asks[0][0]) >= least * (1 - EXACT)
            for book, least in legs
        )

    def largest(self, over_bps: float, rule: OrderRule) -> float:
        """Of whole lots, the most with a net of so much; 0: nothing that can be ordered.

        Money over a threshold bends down as levels get worse, so that less than what pays pays."""
        least, most = 0, math.floor(self.depth / rule.lot + NEARLY_A_LOT)
        while least < most:
            lots = (least + most + 1) // 2
            size = min(lots * rule.lot, self.depth)
            least, most = (lots, most) if self.net_bps(size) >= over_bps else (least, lots - 1)
        size = least * rule.lot
        return size if self.ordered(size, rule) else 0.0


def right_carried(
    said: Iterable[SeenFollowUp],
    sent: TruthFile,
    fee_bps: FeeOfFill,
    late: Lateness = NOBODY_WAITED,
) -> RightCarried:
    """Of each record whose two books are known; `fee_bps`: of one fill of a symbol there."""
    judged: list[CarriedJudged] = []
    unjudged: Counter[str] = Counter()
    for one in said:
        found = _one_judged(one, sent, fee_bps, late)
        if isinstance(found, str):
            unjudged[found] += 1
        else:
            judged.append(found)
    return RightCarried(judged, dict(unjudged))


def _one_judged(
    one: SeenFollowUp, sent: TruthFile, fee_bps: FeeOfFill, late: Lateness
) -> CarriedJudged | str:
    """By the first books that it agrees with, or any; or why it is not judged."""
    legs = DIRECTION_BY_LABEL[one.direction]
    rule = sent.rules.get((one.symbol, one.direction))
    if rule is None:
        return NEVER_PAID
    by_pools = legs.spot.exchange.by_pools
    spots: Iterable[SentBook] = sent.books.get(
        (legs.spot.label, one.symbol, one.spot_update_id), ()
    )
    futures = sent.books.get((legs.futures.label, one.symbol, one.fut_update_id), ())
    is_told = bool(spots)
    late_ns = late.before_ns(one, one.mono_ns) if by_pools else 0
    if by_pools:
        spots = [
            told
            for told in sent.ladders(legs.spot.label, one.symbol, one.spot_update_id)
            if told.rate_age_ns <= WAITED_NS_MAX + late_ns
        ]
    fees_bps = 2 * sum(fee_bps(leg, one.symbol) for leg in (legs.spot, legs.futures))
    found: CarriedJudged | None = None
    for told in product(spots, futures):
        for books in _as_known(one, _Books(*told, one.close_bps, fees_bps), rule):
            judged = _judged(one, books, rule)
            if judged.ok:
                return judged
            found = found or judged
    if not found or not is_told:
        return SHAKEN_THEN if by_pools and sent.are_shaken(one.mono_ns, 0) else UNTOLD
    if by_pools:
        if sent.are_shaken(one.mono_ns, late_ns):
            return SHAKEN_THEN
        if late_ns - late.tolerance_ns > WAITED_NS_MAX:
            return BUSY_THEN
    return found


def _as_known(said: SeenFollowUp, books: _Books, rule: OrderRule) -> Iterator[_Books]:
    """As they were told; and where it says that there may be more, as they are to whoever knows a
    side only to the level that it ends at: of a book that was begun by a short snapshot, or has
    lost levels to the market since."""
    yield books
    if not said.bounded:
        return
    for end in chain.from_iterable(accumulate(size for _, size in side) for side in books.sides):
        whole = math.floor(end / rule.lot + NEARLY_A_LOT) * rule.lot
        if math.isclose(whole, said.size_base, rel_tol=EXACT):
            yield books._replace(known=end)


def _judged(said: SeenFollowUp, books: _Books, rule: OrderRule) -> CarriedJudged:
    if not all(books.sides):
        return CarriedJudged(said, 0.0, "a side of a book is empty")
    return CarriedJudged(said, books.largest(said.enter_bps, rule), _why(said, books, rule))


def _why(said: SeenFollowUp, books: _Books, rule: OrderRule) -> str:
    """What is wrong with it; empty: nothing."""
    top_px = books.spot.asks[0][0]
    over_bps = said.enter_bps + NEAR_BPS, said.enter_bps - NEAR_BPS
    least, most = (books.largest(bps, rule) for bps in over_bps)
    bounded = [books.bounded(bps) for bps in over_bps]
    if not least * (1 - EXACT) <= said.size_base <= most * (1 + EXACT):
        return "the largest size"
    if not math.isclose(said.size_quote, said.size_base * top_px, rel_tol=EXACT):
        return "the largest size in the quote coin"
    if not math.isclose(said.net_bps, books.net_bps(SHORT * books.depth), abs_tol=NEAR_BPS):
        return "net at the tops"
    if said.bounded not in bounded:
        return "whether there may be more"
    wrong = next((one for one in said.rungs if not _rung_ok(one, books, rule)), None)
    return "" if wrong is None else f"net at {plain(wrong.size_quote)}"


def _rung_ok(said: SeenRung, books: _Books, rule: OrderRule) -> bool:
    size = said.size_quote / books.spot.asks[0][0]
    if size < rule.lot or math.isclose(size, books.depth, rel_tol=SHORT):
        return True  # a listing's own least, or the last bits, decide whether it is carried
    net_bps = books.net_bps(size)
    if math.isnan(net_bps) or not books.ordered(size, rule):
        return math.isnan(said.net_bps)
    alike = partial(math.isclose, rel_tol=SHORT)
    return (
        math.isclose(said.net_bps, net_bps, rel_tol=SHORT, abs_tol=NEAR_BPS)
        and alike(said.buy_px, _average_px(books.spot.asks, size))
        and alike(said.sell_px, _average_px(books.futures.bids, size))
    )


def _held(side: SentSide) -> float:
    return math.fsum(size for _, size in side)


def _average_px(side: SentSide, size: float) -> float:
    """What so many base units cost or bring each; NaN: there are not so many."""
    held = money = 0.0
    for px, sz in side:
        taken = min(sz, size - held)
        held, money = held + taken, money + px * taken
        if held >= size * (1 - NEARLY_A_LOT):
            return money / held
    return math.nan
