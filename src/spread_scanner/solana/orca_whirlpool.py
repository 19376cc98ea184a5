"""Orca Whirlpool: concentrated liquidity in arrays of 88 ticks, fixed or growing. Pure; wrong bytes
are refused.

Checked: decoding on recorded accounts of every kind but the Oracle, quotes with a static fee
against the mainnet binary of 2024 over several ticks and arrays, and the SDK's vectors, full-range
pools included. From the source alone, never run: the adaptive fee of pools with an Oracle, and
Token-2022 mints. An array that does not exist is empty; one that is not given ends what can be
quoted. The smallest amounts go in and give nothing, as the binary has it, which the other programs
refuse.
"""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana._kept import KeptBytes
from spread_scanner.solana.concentrated import (
    RATE_MAX,
    TICK_MAX,
    TICK_MIN,
    VOLATILITY_SCALE,
    ConcentratedPool,
    FeeRules,
    PriceTable,
    RangeEnd,
    Start,
    TickAt,
    TickRange,
    volatility_rate,
)
from spread_scanner.solana.layout import checked, i32, i128, u16, u32, u64, u128
from spread_scanner.solana.pool import (
    RATE_ALL,
    Accounts,
    LastSeen,
    PoolSight,
    account_of,
    bytes_of,
    mint_of,
    remembered,
)
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenMint

POOL_BYTES, POOL_KIND = 653, bytes.fromhex("3f95d10ce1806309")
ARRAY_BYTES, ARRAY_KIND = 9_988, bytes.fromhex("4561bdbe6e0742bb")
DYNAMIC_BYTES_MIN, DYNAMIC_BYTES_MAX = 148, 10_004
DYNAMIC_KIND = bytes.fromhex("11d8f68ee1c7da38")
ORACLE_BYTES, ORACLE_KIND = 254, bytes.fromhex("8bc283b38cb3e5f4")
TICKS_IN_ARRAY = 88
_TICK_BYTES, _DYNAMIC_TICK_BYTES = 113, 112
REFERENCE_AGE_S_MAX = 3_600
_SPACING_AT, _LIQUIDITY_AT, _TICK_AT = 41, 49, 81
PLACE = slice(_TICK_AT, _TICK_AT + 4)  # of the tick that the price is at
# But for liquidity, price, tick and fees, and what comes of rewards.
KEPT = KeptBytes((0, _LIQUIDITY_AT), (101, 165), (181, 245))

_UP = (
    *(79232123823359799118286999567, 79236085330515764027303304731),
    *(79244008939048815603706035061, 79259858533276714757314932305),
    *(79291567232598584799939703904, 79355022692464371645785046466),
    *(79482085999252804386437311141, 79736823300114093921829183326),
    *(80248749790819932309965073892, 81282483887344747381513967011),
    *(83390072131320151908154831281, 87770609709833776024991924138),
    *(97234110755111693312479820773, 119332217159966728226237229890),
    *(179736315981702064433883588727, 407748233172238350107850275304),
    *(2098478828474011932436660412517, 55581415166113811149459800483533),
    *(38992368544603139932233054999993551,),
)
_DOWN = (
    *(18445821805675392311, 18444899583751176498, 18443055278223354162, 18439367220385604838),
    *(18431993317065449817, 18417254355718160513, 18387811781193591352, 18329067761203520168),
    *(18212142134806087854, 17980523815641551639, 17526086738831147013, 16651378430235024244),
    *(15030750278693429944, 12247334978882834399, 8131365268884726200, 3584323654723342297),
    *(696457651847595233, 26294789957452057, 37481735321082),
)


def _sqrt_price_at(tick: int) -> int:
    """Factors of 96 fractional bits going up, of 64 going down, each product cut off."""
    factors, bits = (_UP, 96) if tick >= 0 else (_DOWN, 64)
    ratio, steps = 1 << bits, abs(tick)
    for place, factor in enumerate(factors):
        if steps >> place & 1:
            ratio = ratio * factor >> bits
    return ratio >> bits - 64


PRICES = PriceTable(_sqrt_price_at)


class Whirlpool(Struct, frozen=True):
    """The pool's account: price and liquidity. Decimals are in the mints."""

    config: str
    tick_spacing: int
    fee_tier_index: int
    fee_rate: int
    protocol_fee_rate: int
    liquidity: int
    sqrt_price: int
    tick: int
    protocol_fees: tuple[int, int]
    mints: tuple[str, str]
    vaults: tuple[str, str]

    @property
    def adaptive(self) -> bool:
        """Whether the fee changes with the price, by what the Oracle has."""
        return self.fee_tier_index != self.tick_spacing


class WhirlpoolTicks(Struct, frozen=True):
    """An array of ticks, of which the initialised ones are told: what each adds going up, by
    offset.
    """

    start: int
    whirlpool: str
    liquidity_net: Mapping[int, int]


class AdaptiveFee(Struct, frozen=True):
    """The Oracle of a pool whose fee is adaptive."""

    whirlpool: str
    trade_enable_ts: int
    filter_s: int
    decay_s: int
    reduction: int
    control: int
    accumulator_max: int
    group_size: int
    reference_ts: int
    major_swap_ts: int
    volatility_reference: int
    group_reference: int
    accumulator: int


def decode(data: bytes) -> Whirlpool | WhirlpoolTicks | AdaptiveFee:
    if data.startswith(ARRAY_KIND):
        return _fixed(data)
    if data.startswith(DYNAMIC_KIND):
        return _dynamic(data)
    if data.startswith(ORACLE_KIND):
        return _oracle(data)
    checked(data, "Whirlpool", length=POOL_BYTES, kind=POOL_KIND)
    found = Whirlpool(
        config=keys.text(data[8:40]),
        tick_spacing=u16(data, 41),
        fee_tier_index=u16(data, 43),
        fee_rate=u16(data, 45),
        protocol_fee_rate=u16(data, 47),
        liquidity=u128(data, 49),
        sqrt_price=u128(data, 65),
        tick=i32(data, 81),
        protocol_fees=(u64(data, 85), u64(data, 93)),
        mints=(keys.text(data[101:133]), keys.text(data[181:213])),
        vaults=(keys.text(data[133:165]), keys.text(data[213:245])),
    )
    if not PRICES.stands_at(found.tick, found.sqrt_price) or not found.tick_spacing:
        raise PoolRefusal(
            PoolReason.BAD_VALUE,
            wanted="Whirlpool",
            sqrt_price=found.sqrt_price,
            tick=found.tick,
            tick_spacing=found.tick_spacing,
        )
    return found


def _fixed(data: bytes) -> WhirlpoolTicks:
    checked(data, "Whirlpool TickArray", length=ARRAY_BYTES, kind=ARRAY_KIND)
    ends = 12 + TICKS_IN_ARRAY * _TICK_BYTES
    set_up = data[12:ends:_TICK_BYTES]
    nets = {
        place: i128(data, 12 + place * _TICK_BYTES + 1)
        for place, initialised in enumerate(set_up)
        if initialised
    }
    return WhirlpoolTicks(i32(data, 8), keys.text(data[ends : ends + 32]), nets)


def _dynamic(data: bytes) -> WhirlpoolTicks:
    if not DYNAMIC_BYTES_MIN <= len(data) <= DYNAMIC_BYTES_MAX:
        raise PoolRefusal(
            PoolReason.WRONG_LENGTH,
            wanted="Whirlpool DynamicTickArray",
            length=len(data),
            wanted_length=f"{DYNAMIC_BYTES_MIN} to {DYNAMIC_BYTES_MAX}",
        )
    nets, at = {}, 60
    for place in range(TICKS_IN_ARRAY):
        initialised = data[at : at + 1]
        at += 1
        if initialised == b"\1":
            nets[place] = i128(data, at)
            at += _DYNAMIC_TICK_BYTES
        elif initialised != b"\0":
            break
    else:
        if at <= len(data) and sum(1 << place for place in nets) == u128(data, 44):
            return WhirlpoolTicks(i32(data, 8), keys.text(data[12:44]), nets)
    raise PoolRefusal(PoolReason.BAD_VALUE, wanted="Whirlpool DynamicTickArray", at=at)


def _oracle(data: bytes) -> AdaptiveFee:
    checked(data, "Whirlpool Oracle", length=ORACLE_BYTES, kind=ORACLE_KIND)
    found = AdaptiveFee(
        whirlpool=keys.text(data[8:40]),
        trade_enable_ts=u64(data, 40),
        filter_s=u16(data, 48),
        decay_s=u16(data, 50),
        reduction=u16(data, 52),
        control=u32(data, 54),
        accumulator_max=u32(data, 58),
        group_size=u16(data, 62),
        reference_ts=u64(data, 82),
        major_swap_ts=u64(data, 90),
        volatility_reference=u32(data, 98),
        group_reference=i32(data, 102),
        accumulator=u32(data, 106),
    )
    if not found.group_size:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="Whirlpool Oracle", group_size=0)
    return found


class _AdaptiveFees:
    """The fee of groups of ticks: it grows with their distance from where the price was before.

    Where it has reached its maximum a whole stretch is one step.
    """

    advances_at_ticks = True

    def __init__(
        self, oracle: AdaptiveFee, static_rate: int, tick: int, down: bool, unix_ts: int
    ) -> None:
        self._oracle, self._static_rate, self._down = oracle, static_rate, down
        self._group = tick // oracle.group_size
        self._reference, self._group_reference = self._referred(unix_ts)
        reach = -(-(oracle.accumulator_max - self._reference) // VOLATILITY_SCALE)
        self._lowest, self._highest = self._group_reference - reach, self._group_reference + reach
        self._accumulator = 0

    def _referred(self, unix_ts: int) -> tuple[int, int]:
        """What volatility there was before this swap, and around which group."""
        oracle = self._oracle
        last = max(oracle.reference_ts, oracle.major_swap_ts)
        if unix_ts < last:
            raise PoolRefusal(PoolReason.BAD_AMOUNT, unix_ts=unix_ts, oracle_ts=last)
        if unix_ts - oracle.reference_ts > REFERENCE_AGE_S_MAX or unix_ts - last >= oracle.decay_s:
            return 0, self._group
        if unix_ts - last < oracle.filter_s:
            return oracle.volatility_reference, oracle.group_reference
        return oracle.accumulator * oracle.reduction // VOLATILITY_SCALE, self._group

    def next(self, target: int, liquidity: int) -> tuple[int, int]:
        self._accumulate()
        oracle = self._oracle
        adaptive = volatility_rate(oracle.control, self._accumulator, oracle.group_size)
        rate = min(self._static_rate + adaptive, RATE_MAX)
        bound = self._bound(liquidity)
        self._skipped = bound is None or not self._lowest <= self._group <= self._highest
        if bound is None:
            return rate, target
        edge = PRICES.within(bound)
        return rate, max(target, edge) if self._down else min(target, edge)

    def _accumulate(self) -> None:
        distance = abs(self._group_reference - self._group)
        grown = self._reference + distance * VOLATILITY_SCALE
        self._accumulator = min(grown, self._oracle.accumulator_max)

    def _bound(self, liquidity: int) -> int | None:
        """The tick at which the fee changes next; None where it does so no more."""
        size = self._oracle.group_size
        if not self._oracle.control or not liquidity:
            return None
        if self._group < self._lowest and self._lowest * size > TICK_MIN:
            return None if self._down else self._lowest * size
        if self._group > self._highest and (self._highest + 1) * size < TICK_MAX:
            return (self._highest + 1) * size if self._down else None
        return self._group * size if self._down else (self._group + 1) * size

    def advance(self, sqrt_price: int, tick: TickAt) -> None:
        if self._skipped:
            size = self._oracle.group_size
            reached = sqrt_price == tick.sqrt_price
            index = tick.tick if reached else PRICES.tick_of(sqrt_price)
            on_edge = index % size == 0 and (reached or sqrt_price == PRICES.at(index))
            group = index // size - 1 if on_edge and not self._down else index // size
            if (group < self._group) if self._down else (group > self._group):
                self._group = group
        self._group += -1 if self._down else 1


class WhirlpoolPool(ConcentratedPool):
    """The pool, its ticks as far as they are known, and what its mints keep."""

    def __init__(
        self,
        state: Whirlpool,
        known: Callable[[], TickRange],
        mints: tuple[TokenMint, TokenMint],
        oracle: AdaptiveFee | None = None,
    ) -> None:
        start = Start(state.sqrt_price, state.tick, state.liquidity)
        super().__init__(state.mints, mints, start, known)
        self.state, self.oracle = state, oracle
        self._static = FeeRules(state.fee_rate)

    def fee_rate(self) -> float:
        return self.state.fee_rate / RATE_ALL

    def sight(self, key: str) -> PoolSight:
        oracle = (oracle_key(key),) if self.state.adaptive else ()
        return self._sight(key, KEPT, _LIQUIDITY_AT, PRICES, oracle)

    def check_open(self, unix_ts: int, slot: int) -> None:
        if self.oracle is not None and unix_ts < self.oracle.trade_enable_ts:
            opens = self.oracle.trade_enable_ts
            raise PoolRefusal(PoolReason.CLOSED, trade_enable_ts=opens, unix_ts=unix_ts)

    def moment(self, unix_ts: int, slot: int) -> int:
        """Volatility fades with each second."""
        return unix_ts if self.oracle is not None else 0

    def rules(self, down: bool, unix_ts: int) -> FeeRules:
        if self.oracle is None:
            return self._static
        rate, tick = self.state.fee_rate, self.state.tick
        return FeeRules(rate, _AdaptiveFees(self.oracle, rate, tick, down, unix_ts))


decoded = remembered(decode)
_ARRAYS = LastSeen[object]()


def place_of(data: bytes) -> int:
    """The number of the array that a pool's price is in, by its account."""
    return i32(data, _TICK_AT) // (TICKS_IN_ARRAY * u16(data, _SPACING_AT))


def array_key(pool: str, start: int) -> str:
    return keys.pda([b"tick_array", keys.raw(pool), str(start).encode()], keys.ORCA_WHIRLPOOL)


def oracle_key(pool: str) -> str:
    return keys.pda([b"oracle", keys.raw(pool)], keys.ORCA_WHIRLPOOL)


def array_starts(state: Whirlpool, arrays: int) -> list[int]:
    """Where the arrays around the price begin: its own, and so many to either side."""
    width = TICKS_IN_ARRAY * state.tick_spacing
    own = state.tick // width
    edge_low, edge_high = TICK_MIN // width, TICK_MAX // width
    around = range(max(own - arrays, edge_low), min(own + arrays, edge_high) + 1)
    return [number * width for number in around]


def _known(pool: str, state: Whirlpool, accounts: Accounts) -> TickRange:
    """Arrays without a gap around the price, as far as they are given."""
    width = TICKS_IN_ARRAY * state.tick_spacing
    own = state.tick // width * width
    if array_key(pool, own) not in accounts:
        here = RangeEnd(state.tick, state.sqrt_price, array_key(pool, own))
        return TickRange((), (), here, here)
    below = _reach(pool, state, accounts, own, -width)
    above = _reach(pool, state, accounts, own + width, width)
    ticks = tuple(sorted({**below[0], **above[0]}.values()))
    return TickRange(ticks, tuple(tick.tick for tick in ticks), below[1], above[1])


def _reach(
    pool: str, state: Whirlpool, accounts: Accounts, start: int, stride: int
) -> tuple[dict[int, TickAt], RangeEnd]:
    found: dict[int, TickAt] = {}
    width = abs(stride)
    while TICK_MIN - width < start <= TICK_MAX:
        key = array_key(pool, start)
        given = accounts.get(key)
        if given is None:
            edge = start + width if stride < 0 else start
            return found, RangeEnd(edge, PRICES.within(edge), key)
        if given != (keys.SYSTEM, b""):
            data = bytes_of(accounts, key, keys.ORCA_WHIRLPOOL, "ticks")
            found |= _ticks(pool, state, _ARRAYS.of(key, data, decode), start)
        start += stride
    edge = TICK_MIN if stride < 0 else TICK_MAX
    return found, RangeEnd(edge, PRICES.at(edge), None)


def _ticks(pool: str, state: Whirlpool, array: object, start: int) -> dict[int, TickAt]:
    if not isinstance(array, WhirlpoolTicks):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="Whirlpool TickArray", start=start)
    if array.start != start or array.whirlpool != pool:
        raise PoolRefusal(
            PoolReason.BAD_VALUE, start=array.start, wanted=start, whirlpool=array.whirlpool
        )
    indexes = (
        (start + place * state.tick_spacing, net) for place, net in array.liquidity_net.items()
    )
    return {
        index: TickAt(index, PRICES.at(index), net)
        for index, net in indexes
        if TICK_MIN <= index <= TICK_MAX
    }


def assemble(key: str, accounts: Accounts) -> WhirlpoolPool:
    state = account_of(accounts, key, keys.ORCA_WHIRLPOOL, decoded, Whirlpool, "Whirlpool")
    oracle = None
    if state.adaptive:
        found = decoded(bytes_of(accounts, oracle_key(key), keys.ORCA_WHIRLPOOL, "Oracle"))
        if not isinstance(found, AdaptiveFee) or found.whirlpool != key:
            raise PoolRefusal(PoolReason.WRONG_KIND, wanted="Whirlpool Oracle", of=key)
        oracle = found
    mints = (mint_of(accounts, state.mints[0]), mint_of(accounts, state.mints[1]))
    return WhirlpoolPool(state, partial(_known, key, state, accounts), mints, oracle)
