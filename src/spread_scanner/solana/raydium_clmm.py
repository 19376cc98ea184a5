"""Raydium CLMM: concentrated liquidity in arrays of 60 ticks, found by a bitmap. Pure; wrong bytes
are refused.

Checked: decoding of pool, config and tick array on recorded accounts, quotes with the config's fee
against the mainnet binary of 2024 over several ticks and arrays. From the source alone, never run:
what came in 2026 (a fee that grows with volatility, a fee on the output, limit orders at ticks),
the bitmap's extension, Token-2022 mints.
"""

from collections.abc import Callable
from functools import partial
from struct import Struct as Layout

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
from spread_scanner.solana.layout import Q64_BITS, bits_of, checked, i32, i128, u16, u32, u64, u128
from spread_scanner.solana.pool import (
    RATE_ALL,
    Accounts,
    Filled,
    LastSeen,
    PoolSight,
    account_of,
    bytes_of,
    mint_of,
    remembered,
)
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenMint

POOL_BYTES, POOL_KIND = 1_544, bytes.fromhex("f7ede3f5d7c3de46")
ARRAY_BYTES, ARRAY_KIND = 10_240, bytes.fromhex("c09b55cd31f9812a")
EXTENSION_BYTES, EXTENSION_KIND = 1_832, bytes.fromhex("3c9624db61808b99")
CONFIG_BYTES, CONFIG_KIND = 117, bytes.fromhex("daf42168cbcb2b6f")
TICKS_IN_ARRAY = 60
_TICK_BYTES, _TICKS_AT = 168, 44
# The pool's own bitmap has so many arrays to either side of tick 0, its extension more.
BITMAP_HALF = 512
_EXTENSION_WORDS, _WORD_BYTES = 14, 64
_SWAP_DISABLED = 1 << 4
_FEE_ON_INPUT, _FEE_ON_TOKEN0, _FEE_ON_TOKEN1 = 0, 1, 2
_DYNAMIC_AT, _DYNAMIC_END = 1_096, 1_176
_EMPTY = bytes(16)
_NOT_DYNAMIC = bytes(_DYNAMIC_END - _DYNAMIC_AT)
# Keys from 9 on, decimals, spacing, liquidity, price, tick; fees; status and where the fee is on.
_POOL = Layout("<32s32x32s32s32s32s32s2BH16s16si36x2Q64x2B")
_POOL_AT = 9
_SPACING_AT, _LIQUIDITY_AT, _TICK_AT = 235, 237, 269
PLACE = slice(_TICK_AT, _TICK_AT + 4)  # of the tick that the price is at
# But for liquidity, price, tick and fees; what comes of rewards, and of volatility.
KEPT = KeptBytes((0, _LIQUIDITY_AT), (389, 397), (904, 1_032), (1_080, 1_088))

_FACTORS = (
    *(0xFFFCB933BD6FB800, 0xFFF97272373D4000, 0xFFF2E50F5F657000, 0xFFE5CACA7E10F000),
    *(0xFFCB9843D60F7000, 0xFF973B41FA98E800, 0xFF2EA16466C9B000, 0xFE5DEE046A9A3800),
    *(0xFCBE86C7900BB000, 0xF987A7253AC65800, 0xF3392B0822BB6000, 0xE7159475A2CAF000),
    *(0xD097F3BDFD2F2000, 0xA9F746462D9F8000, 0x70D869A156F31C00, 0x31BE135F97ED3200),
    *(0x9AA508B5B85A500, 0x5D6AF8DEDC582C, 0x2216E584F5FA),
)


def _sqrt_price_at(tick: int) -> int:
    """Factors of 64 fractional bits going down, each product cut off; turned over going up."""
    ratio, steps = 1 << Q64_BITS, abs(tick)
    for place, factor in enumerate(_FACTORS):
        if steps >> place & 1:
            ratio = ratio * factor >> Q64_BITS
    return (2**128 - 1) // ratio if tick > 0 else ratio


PRICES = PriceTable(_sqrt_price_at)


class VolatilityFee(Struct, frozen=True):
    """What a pool's fee grows by with volatility (2026)."""

    filter_s: int
    decay_s: int
    reduction: int
    control: int
    accumulator_max: int
    index_reference: int
    volatility_reference: int
    accumulator: int
    last_update_ts: int


class ClmmState(Struct, frozen=True):
    """The pool's account: price, liquidity, and which arrays have ticks near it."""

    amm_config: str
    mints: tuple[str, str]
    vaults: tuple[str, str]
    observation: str
    decimals: tuple[int, int]
    tick_spacing: int
    liquidity: int
    sqrt_price: int
    tick: int
    protocol_fees: tuple[int, int]
    status: int
    fee_on: int
    bitmap: int
    fund_fees: tuple[int, int]
    open_time_s: int
    volatility_fee: VolatilityFee | None


class ClmmConfig(Struct, frozen=True):
    """A tier of fees in parts of a million; protocol's and fund's are parts of the trade fee."""

    index: int
    protocol_fee_rate: int
    trade_fee_rate: int
    tick_spacing: int
    fund_fee_rate: int


class ClmmTick(Struct, frozen=True):
    """A tick that has liquidity or orders: what is not filled of those opened since, and before."""

    place: int  # in its array
    index: int
    liquidity_net: int
    liquidity_gross: int
    orders: int
    orders_part_filled: int


class ClmmTicks(Struct, frozen=True):
    """An array of ticks, of which those that have anything are told."""

    pool: str
    start: int
    ticks: tuple[ClmmTick, ...]


class ClmmBitmap(Struct, frozen=True):
    """Which arrays beyond the pool's own bitmap have ticks; a word of 512 bits each, outwards."""

    pool: str
    above: tuple[int, ...]
    below: tuple[int, ...]


def decode(data: bytes) -> ClmmState | ClmmConfig | ClmmTicks | ClmmBitmap:
    if data.startswith(ARRAY_KIND):
        return _array(data)
    if data.startswith(CONFIG_KIND):
        return _config(data)
    if data.startswith(EXTENSION_KIND):
        return _extension(data)
    checked(data, "CLMM PoolState", length=POOL_BYTES, kind=POOL_KIND)
    (
        config,
        mint0,
        mint1,
        vault0,
        vault1,
        observation,
        decimals0,
        decimals1,
        spacing,
        liquidity,
        sqrt_price,
        tick,
        protocol0,
        protocol1,
        status,
        fee_on,
    ) = _POOL.unpack_from(data, _POOL_AT)
    text = keys.text
    found = ClmmState(
        amm_config=text(config),
        mints=(text(mint0), text(mint1)),
        vaults=(text(vault0), text(vault1)),
        observation=text(observation),
        decimals=(decimals0, decimals1),
        tick_spacing=spacing,
        liquidity=int.from_bytes(liquidity, "little"),
        sqrt_price=int.from_bytes(sqrt_price, "little"),
        tick=tick,
        protocol_fees=(protocol0, protocol1),
        status=status,
        fee_on=fee_on,
        bitmap=int.from_bytes(data[904:1_032], "little"),
        fund_fees=(u64(data, 1_064), u64(data, 1_072)),
        open_time_s=u64(data, 1_080),
        volatility_fee=_volatility(data[_DYNAMIC_AT:_DYNAMIC_END]),
    )
    stands = PRICES.stands_at(found.tick, found.sqrt_price)
    if not stands or not found.tick_spacing or found.fee_on > _FEE_ON_TOKEN1:
        raise PoolRefusal(
            PoolReason.BAD_VALUE,
            wanted="CLMM PoolState",
            sqrt_price=found.sqrt_price,
            tick=found.tick,
            tick_spacing=found.tick_spacing,
            fee_on=found.fee_on,
        )
    return found


def _volatility(data: bytes) -> VolatilityFee | None:
    if data == _NOT_DYNAMIC:
        return None
    return VolatilityFee(
        filter_s=u16(data, 0),
        decay_s=u16(data, 2),
        reduction=u16(data, 4),
        control=u32(data, 6),
        accumulator_max=u32(data, 10),
        index_reference=i32(data, 14),
        volatility_reference=u32(data, 18),
        accumulator=u32(data, 22),
        last_update_ts=u64(data, 26),
    )


def _config(data: bytes) -> ClmmConfig:
    checked(data, "CLMM AmmConfig", length=CONFIG_BYTES, kind=CONFIG_KIND)
    found = ClmmConfig(u16(data, 9), u32(data, 43), u32(data, 47), u16(data, 51), u32(data, 53))
    if found.trade_fee_rate >= RATE_ALL:
        raise PoolRefusal(
            PoolReason.BAD_VALUE, wanted="CLMM AmmConfig", trade_fee_rate=found.trade_fee_rate
        )
    return found


def _array(data: bytes) -> ClmmTicks:
    checked(data, "CLMM TickArrayState", length=ARRAY_BYTES, kind=ARRAY_KIND)
    ends = _TICKS_AT + TICKS_IN_ARRAY * _TICK_BYTES
    ticks = tuple(
        ClmmTick(
            place,
            i32(data, at),
            i128(data, at + 4),
            u128(data, at + 20),
            u64(data, at + 124),
            u64(data, at + 132),
        )
        for place, at in enumerate(range(_TICKS_AT, ends, _TICK_BYTES))
        if data[at + 20 : at + 36] != _EMPTY or data[at + 124 : at + 140] != _EMPTY
    )
    return ClmmTicks(keys.text(data[8:40]), i32(data, 40), ticks)


def _extension(data: bytes) -> ClmmBitmap:
    checked(data, "CLMM TickArrayBitmapExtension", length=EXTENSION_BYTES, kind=EXTENSION_KIND)
    words = [
        int.from_bytes(data[at : at + _WORD_BYTES], "little")
        for at in range(40, EXTENSION_BYTES, _WORD_BYTES)
    ]
    above, below = words[:_EXTENSION_WORDS], words[_EXTENSION_WORDS:]
    return ClmmBitmap(keys.text(data[8:40]), tuple(above), tuple(below))


class _VolatilityFees:
    """The config's fee and what volatility adds, which grows with each spacing that is crossed."""

    advances_at_ticks = False

    def __init__(
        self, state: ClmmState, fee: VolatilityFee, rate: int, down: bool, ts: int
    ) -> None:
        self._fee, self._rate, self._down = fee, rate, down
        self._spacing, self._tick = state.tick_spacing, state.tick
        self._index = state.tick // state.tick_spacing
        elapsed_s = max(ts - fee.last_update_ts, 0)
        self._reference, self._index_reference = fee.volatility_reference, fee.index_reference
        if elapsed_s >= fee.filter_s:
            kept = fee.accumulator * fee.reduction // VOLATILITY_SCALE
            self._reference = kept if elapsed_s < fee.decay_s else 0
            self._index_reference = self._index
        self._accumulator = fee.accumulator
        self._skipped = False

    def next(self, target: int, liquidity: int) -> tuple[int, int]:
        self._accumulate()
        adds = volatility_rate(self._fee.control, self._accumulator, self._spacing)
        rate = min(self._rate + min(adds, RATE_MAX), RATE_MAX)
        self._skipped = not liquidity or self._accumulator == self._fee.accumulator_max
        if self._skipped:
            return rate, target
        index = self._index if self._down else self._index + 1
        edge = PRICES.within(index * self._spacing)
        return rate, max(target, edge) if self._down else min(target, edge)

    def _accumulate(self) -> None:
        distance = abs(self._index_reference - self._index)
        grown = self._reference + distance * VOLATILITY_SCALE
        self._accumulator = min(grown, self._fee.accumulator_max)

    def advance(self, sqrt_price: int, tick: TickAt) -> None:
        if self._skipped:
            at = tick.tick if sqrt_price == tick.sqrt_price else PRICES.tick_of(sqrt_price)
            self._index = at // self._spacing
            if not self._down and at % self._spacing == 0:
                self._index -= 1
        self._index += -1 if self._down else 1


def match_orders(
    tick: TickAt, remaining: int, down: bool, by_input: bool, rate: int, fee_on_input: bool
) -> tuple[int, int, int]:
    """What limit orders at a tick give: in without its fee, out after one, and the fee."""
    # Token 1 per token 0, Q64.64, rounded against whoever swaps.
    squared, one = tick.sqrt_price * tick.sqrt_price, 1 << Q64_BITS
    low, high = squared // one, -(-squared // one)
    fee = amount_in = 0
    if by_input:
        fee = -(-remaining * rate // RATE_ALL) if fee_on_input else 0
        amount_in = remaining - fee
        out = amount_in * low // one if down else amount_in * one // high
    else:
        out = min(remaining, tick.orders)
        if not fee_on_input:
            out = -(-out * RATE_ALL // (RATE_ALL - rate))
    if not by_input or out > tick.orders:
        out = min(out, tick.orders)
        amount_in = -(-out * one // low) if down else -(-out * high // one)
        fee = -(-amount_in * rate // (RATE_ALL - rate)) if fee_on_input else 0
    if not out or not amount_in:
        raise PoolRefusal(PoolReason.TOO_SMALL, at_tick=tick.tick, remaining=remaining)
    if not fee_on_input:
        fee = -(-out * rate // RATE_ALL)
        out -= fee
    return amount_in, out, fee


class ClmmPool(ConcentratedPool):
    """The pool, its config, its ticks as far as they are known, and what its mints keep."""

    def __init__(
        self,
        state: ClmmState,
        config: ClmmConfig,
        known: Callable[[], TickRange],
        mints: tuple[TokenMint, TokenMint],
    ) -> None:
        start = Start(state.sqrt_price, state.tick, state.liquidity)
        super().__init__(state.mints, mints, start, known)
        self.state, self.config = state, config
        self._static = self._rules(False), self._rules(True)

    def fee_rate(self) -> float:
        return self.config.trade_fee_rate / RATE_ALL

    def sight(self, key: str) -> PoolSight:
        return self._sight(key, KEPT, _LIQUIDITY_AT, PRICES, (self.state.amm_config,))

    def check_open(self, unix_ts: int, slot: int) -> None:
        if self.state.status & _SWAP_DISABLED:
            raise PoolRefusal(PoolReason.CLOSED, status=self.state.status)
        if unix_ts <= self.state.open_time_s:
            raise PoolRefusal(
                PoolReason.CLOSED, open_time_s=self.state.open_time_s, unix_ts=unix_ts
            )

    def moment(self, unix_ts: int, slot: int) -> int:
        """Volatility fades with each second."""
        return unix_ts if self.state.volatility_fee else unix_ts > self.state.open_time_s

    def _rules(self, down: bool) -> FeeRules:
        side = _FEE_ON_TOKEN0 if down else _FEE_ON_TOKEN1
        on_input = self.state.fee_on in (_FEE_ON_INPUT, side)
        return FeeRules(self.config.trade_fee_rate, None, on_input, match_orders)

    def rules(self, down: bool, unix_ts: int) -> FeeRules:
        rules, fee = self._static[down], self.state.volatility_fee
        if fee is None:
            return rules
        return rules._replace(schedule=_VolatilityFees(self.state, fee, rules.rate, down, unix_ts))

    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        found = super().swap(down, amount, by_input, unix_ts, slot)
        if not found.amount_in or not found.amount_out:
            raise PoolRefusal(
                PoolReason.TOO_SMALL, amount_in=found.amount_in, amount_out=found.amount_out
            )
        return found


decoded = remembered(decode)
_ARRAYS = LastSeen[object]()
_MET = LastSeen[dict[int, TickAt]]()


def place_of(data: bytes) -> int:
    """The number of the array that a pool's price is in, by its account."""
    return i32(data, _TICK_AT) // (TICKS_IN_ARRAY * u16(data, _SPACING_AT))


def array_key(pool: str, start: int) -> str:
    """Raises PoolRefusal where there is no such tick, as an odd bitmap may say."""
    if abs(start) >= 2**31:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="CLMM TickArrayState", start=start)
    seeds = [b"tick_array", keys.raw(pool), start.to_bytes(4, "big", signed=True)]
    return keys.pda(seeds, keys.RAYDIUM_CLMM)


def extension_key(pool: str) -> str:
    seeds = [b"pool_tick_array_bitmap_extension", keys.raw(pool)]
    return keys.pda(seeds, keys.RAYDIUM_CLMM)


def filled_arrays(state: ClmmState, extension: ClmmBitmap | None) -> list[int]:
    """The arrays that have ticks, ascending, as far as the bitmaps are given."""
    found = [bit - BITMAP_HALF for bit in bits_of(state.bitmap)]
    if extension is not None:
        size = _WORD_BYTES * 8
        for place, (above, below) in enumerate(zip(extension.above, extension.below, strict=True)):
            found += [BITMAP_HALF + place * size + bit for bit in bits_of(above)]
            found += [-BITMAP_HALF - (place + 1) * size + bit for bit in bits_of(below)]
    return sorted(found)


class _Arrays:
    """Which arrays have ticks, by their number from the tick 0, as the bitmaps tell."""

    def __init__(self, key: str, state: ClmmState, accounts: Accounts) -> None:
        self._key, self._accounts = key, accounts
        self._own, self.width = state.bitmap, TICKS_IN_ARRAY * state.tick_spacing
        lowest, highest = TICK_MIN // self.width, TICK_MAX // self.width
        self._own_covers_all = lowest >= -BITMAP_HALF and highest < BITMAP_HALF
        self._every: int | None = None

    def _all(self) -> int:
        """Every bit, from the lowest word on; the extension is asked for when it is needed."""
        if self._every is None:
            found = self._extension()
            bits = 0
            for word in (*found.above[::-1], None, *found.below):
                size = 2 * BITMAP_HALF if word is None else _WORD_BYTES * 8
                bits = bits << size | (self._own if word is None else word)
            self._every = bits
        return self._every

    def _extension(self) -> ClmmBitmap:
        key = extension_key(self._key)
        if self._accounts.get(key) == (keys.SYSTEM, b""):
            nothing = (0,) * _EXTENSION_WORDS
            return ClmmBitmap(self._key, nothing, nothing)
        found = decoded(bytes_of(self._accounts, key, keys.RAYDIUM_CLMM, "bitmap extension"))
        if not isinstance(found, ClmmBitmap) or found.pool != self._key:
            raise PoolRefusal(PoolReason.WRONG_KIND, wanted="bitmap extension", key=key)
        return found

    def tells(self, number: int, down: bool) -> bool:
        """Whether what is given says which array is next: without the extension it may not."""
        if extension_key(self._key) in self._accounts or self._own_covers_all:
            return True
        if not -BITMAP_HALF <= number < BITMAP_HALF:
            return False
        return _next_bit(self._own, number + BITMAP_HALF, down) is not None

    def onward(self, number: int, down: bool) -> int | None:
        """The next array with ticks from this one on, itself included."""
        if -BITMAP_HALF <= number < BITMAP_HALF:
            found = _next_bit(self._own, number + BITMAP_HALF, down)
            if found is not None:
                return found - BITMAP_HALF
        if self._own_covers_all:
            return None
        offset = BITMAP_HALF + _EXTENSION_WORDS * _WORD_BYTES * 8
        found = _next_bit(self._all(), number + offset, down)
        return None if found is None else found - offset


def _next_bit(bits: int, at: int, down: bool) -> int | None:
    if at < 0:
        return None
    if down:
        rest = bits & ((2 << at) - 1)
        return rest.bit_length() - 1 if rest else None
    rest = bits >> at
    return at + (rest & -rest).bit_length() - 1 if rest else None


def _known(key: str, state: ClmmState, accounts: Accounts) -> TickRange:
    """From the price outwards, from array to array that has ticks, as far as they are given."""
    arrays = _Arrays(key, state, accounts)
    own = state.tick // arrays.width
    found: dict[int, TickAt] = {}
    ends = [_reach(key, state, accounts, arrays, own, down, found) for down in (True, False)]
    ticks = tuple(found[index] for index in sorted(found))
    return TickRange(ticks, tuple(tick.tick for tick in ticks), ends[0], ends[1])


def _reach(
    key: str,
    state: ClmmState,
    accounts: Accounts,
    arrays: _Arrays,
    own: int,
    down: bool,
    found: dict[int, TickAt],
) -> RangeEnd:
    number: int | None = own
    here = RangeEnd(state.tick, state.sqrt_price, None)
    while number is not None:
        if not arrays.tells(number, down):
            number = min(number, -BITMAP_HALF - 1) if down else max(number, BITMAP_HALF)
            return _end(number, state, down, extension_key(key))
        number = arrays.onward(number, down)
        if number is None:
            break
        start = number * arrays.width
        if array_key(key, start) not in accounts:
            return _end(number, state, down, array_key(key, start))
        found |= _ticks(key, accounts, start, state.tick_spacing)
        number += -1 if down else 1
    # The program fails where no tick is left, even if there is liquidity.
    met = [at for at in found.values() if (at.tick <= here.tick) is down]
    last = (min if down else max)(met, default=None)
    return RangeEnd(last.tick, last.sqrt_price, None) if last else here


def _end(number: int, state: ClmmState, down: bool, missing: str) -> RangeEnd:
    """The first tick that a missing array may have; the price itself, if that is in it."""
    start, spacing = number * TICKS_IN_ARRAY * state.tick_spacing, state.tick_spacing
    edge = start + (TICKS_IN_ARRAY - 1) * spacing if down else start
    if (edge > state.tick) if down else (edge <= state.tick):
        return RangeEnd(state.tick, state.sqrt_price, missing)
    return RangeEnd(edge, PRICES.within(edge), missing)


def _ticks(key: str, accounts: Accounts, start: int, spacing: int) -> dict[int, TickAt]:
    at = array_key(key, start)
    read = partial(_ARRAYS.of, at, read=decode)
    found = account_of(accounts, at, keys.RAYDIUM_CLMM, read, ClmmTicks, "CLMM TickArrayState")
    if found.start != start or found.pool != key:
        raise PoolRefusal(PoolReason.BAD_VALUE, start=found.start, wanted=start, pool=found.pool)
    return _MET.of((at, spacing), accounts[at][1], lambda data: _met(found, spacing))


def _met(array: ClmmTicks, spacing: int) -> dict[int, TickAt]:
    """An array's ticks as a swap meets them, by index. Raises PoolRefusal where one is said to be
    elsewhere than its place says."""
    for tick in array.ticks:
        if tick.index != array.start + tick.place * spacing:
            raise PoolRefusal(
                PoolReason.BAD_VALUE, start=array.start, place=tick.place, tick=tick.index
            )
    return {
        tick.index: TickAt(
            tick.index,
            PRICES.at(tick.index),
            tick.liquidity_net if tick.liquidity_gross else 0,
            tick.orders + tick.orders_part_filled,
        )
        for tick in array.ticks
        if TICK_MIN <= tick.index <= TICK_MAX
    }


def assemble(key: str, accounts: Accounts) -> ClmmPool:
    ours = keys.RAYDIUM_CLMM
    state = account_of(accounts, key, ours, decoded, ClmmState, "CLMM PoolState")
    config = account_of(accounts, state.amm_config, ours, decoded, ClmmConfig, "CLMM AmmConfig")
    mints = (mint_of(accounts, state.mints[0]), mint_of(accounts, state.mints[1]))
    return ClmmPool(state, config, partial(_known, key, state, accounts), mints)
