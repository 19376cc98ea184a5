"""Meteora DLMM: liquidity in bins of one price each, 70 in an array. Pure; wrong bytes are refused.

Checked: decoding on recorded accounts, quotes against the program's binary (0.12) on two recorded
pairs, every swap that it filled: fees on either leg, and exact-in filled by orders. From the
documentation alone, never run: exact-out filled by orders, the bitmap's extension, Token-2022. An
array that is not given ends what can be quoted.

Pairs of before limit orders have other counters in the orders' places, which the program takes for
orders all the same: what they seem to give is more than the vault holds. So whatever orders fill is
held to the vault.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache, partial
from struct import Struct as Layout
from typing import Any, NamedTuple

from msgspec import Struct

from spread_scanner.solana import _bins, keys
from spread_scanner.solana._bins import BinWay
from spread_scanner.solana._kept import KeptBytes, SwappedBin
from spread_scanner.solana.layout import Q64_BITS, bits_of, checked, i32, u64
from spread_scanner.solana.pool import (
    PRICES_MAX,
    Accounts,
    Filled,
    LastSeen,
    Pool,
    PoolSight,
    account_of,
    bytes_of,
    mint_of,
    remembered,
    vault_of,
)
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import BALANCE_KEPT, TokenMint

PAIR_BYTES, PAIR_KIND = 904, bytes.fromhex("210b3162b565b10d")
ARRAY_BYTES, ARRAY_KIND = 10_136, bytes.fromhex("5c8e5cdc059446b5")
EXTENSION_BYTES, EXTENSION_KIND = 1_576, bytes.fromhex("506f7c7137ed1205")
BINS_IN_ARRAY = 70
_BIN_BYTES, _BINS_AT = 144, 56
BITMAP_HALF = 512
_EXTENSION_WORDS, _WORD_BYTES = 12, 64
_RATE_ALL, _RATE_MAX = 10**9, 10**8
_SCALE, _VARIABLE_ALL = 10_000, 10**11
_BY_SLOT = 0
_FEE_ON_Y = 1
_LIMIT_ORDERS, _UNDETERMINED = 2, 0
_NO_MINT = "11111111111111111111111111111111"
_INDEX = Layout("<q")
# Amounts and price of a bin; its orders, open and in process, and whether they sell X.
_BIN = Layout("<2Q16s80xQ8xQ4x?")
_ARRAY = ARRAY_BYTES, ARRAY_KIND, _BINS_AT, _BIN_BYTES, BINS_IN_ARRAY
# What the fee is made of, from 8 on; then which bin is active, mints and vaults.
_PAIR = Layout("<4H2I2iH3B3x2Ii4xq11xBiHB3xBx32s32s32s32s")
_PAIR_AT = 8
_ACTIVE_AT = 76
PLACE = slice(_ACTIVE_AT, _ACTIVE_AT + 4)  # of the bin that the price is in
# But for volatility, the active bin, the protocol's fees, and what comes of rewards.
KEPT = KeptBytes(
    *((0, 40), (75, _ACTIVE_AT), (80, 216), (264, 296), (408, 440), (584, 712), (816, 824)),
    (882, 883),
)


# Y per X in smallest units, Q64.64, of a bin at a step.
price_at = lru_cache(maxsize=PRICES_MAX)(_bins.price_at)


class LbPair(Struct, frozen=True):
    """The pair's account: which bin is active, and what the fee is made of. Decimals are in the
    mints.
    """

    base_factor: int
    filter_s: int
    decay_s: int
    reduction: int
    variable_fee_control: int
    accumulator_max: int
    bin_id_min: int
    bin_id_max: int
    protocol_share: int
    base_fee_power: int
    function_type: int
    collect_fee_mode: int
    accumulator: int
    volatility_reference: int
    index_reference: int
    last_update_ts: int
    pair_type: int
    active_id: int
    bin_step: int
    status: int
    activation_type: int
    mints: tuple[str, str]
    reserves: tuple[str, str]
    reward_mints: tuple[str, str]
    bitmap: int
    activation_point: int
    version: int

    @property
    def base_rate(self) -> int:
        """The fee without what volatility adds, in parts of a thousand million."""
        rate: int = self.base_factor * self.bin_step * 10 * 10**self.base_fee_power
        return rate

    @property
    def has_orders(self) -> bool:
        """Whether the bins' counters are limit orders; in older pairs they are something else."""
        return self.function_type == _LIMIT_ORDERS or (
            self.function_type == _UNDETERMINED and self.reward_mints == (_NO_MINT, _NO_MINT)
        )


class DlmmBin(NamedTuple):
    """What one bin holds of X and Y, its price if it is stored, and its orders, of Y or (asks) of
    X.
    """

    amount_x: int
    amount_y: int
    price: int
    open_orders: int
    processed_orders: int
    asks: bool


class DlmmBins(Struct, frozen=True):
    """An array of bins, of which those that hold anything are told, by their number in it."""

    number: int
    pair: str
    bins: dict[int, DlmmBin]


class DlmmBitmap(Struct, frozen=True):
    """Which arrays beyond the pair's own bitmap have liquidity; words of 512 bits, outwards."""

    pair: str
    above: tuple[int, ...]
    below: tuple[int, ...]


def decode(data: bytes) -> LbPair | DlmmBins | DlmmBitmap:
    if data.startswith(ARRAY_KIND):
        return _array(data)
    if data.startswith(EXTENSION_KIND):
        return _extension(data)
    checked(data, "LbPair", length=PAIR_BYTES, kind=PAIR_KIND)
    *numbers, x, y, held_x, held_y = _PAIR.unpack_from(data, _PAIR_AT)
    text = keys.text
    fields: tuple[Any, ...] = (
        *numbers,  # up to activation_type, in the account's order
        (text(x), text(y)),
        (text(held_x), text(held_y)),
        (text(data[264:296]), text(data[408:440])),
        int.from_bytes(data[584:712], "little"),
        u64(data, 816),
        data[882],
    )
    found = LbPair(*fields)
    if not found.bin_step or found.collect_fee_mode > _FEE_ON_Y or found.base_fee_power > 9:
        raise PoolRefusal(
            PoolReason.BAD_VALUE,
            wanted="LbPair",
            bin_step=found.bin_step,
            collect_fee_mode=found.collect_fee_mode,
            base_fee_power=found.base_fee_power,
        )
    return found


KEYS_MAX = 4_096  # of arrays, which are asked for with each swap
_EMPTY = bytes(16)


def _bin(data: bytes, at: int) -> DlmmBin | None:
    """One bin of an array; None where it holds nothing."""
    if data[at : at + 16] == _EMPTY and data[at + 112 : at + 136] == _EMPTY + _EMPTY[:8]:
        return None
    x, y, price, unfilled, processed, asks = _BIN.unpack_from(data, at)
    return DlmmBin(x, y, int.from_bytes(price, "little"), unfilled, processed, asks)


_BINS = LastSeen[tuple[DlmmBin | None, ...]]()


def _bins_of(data: bytes) -> tuple[DlmmBin | None, ...]:
    """Of an array, whose account is told by its number and its pair."""
    return _BINS.of(data[8:_BINS_AT], data, _read_bins)


def _read_bins(data: bytes) -> tuple[DlmmBin | None, ...]:
    ends = _BINS_AT + BINS_IN_ARRAY * _BIN_BYTES
    return tuple(_bin(data, at) for at in range(_BINS_AT, ends, _BIN_BYTES))


def _array(data: bytes) -> DlmmBins:
    checked(data, "BinArray", length=ARRAY_BYTES, kind=ARRAY_KIND)
    bins = {place: found for place, found in enumerate(_bins_of(data)) if found is not None}
    return DlmmBins(*_array_head(data), bins)


def _array_head(data: bytes) -> tuple[int, str]:
    """Its number, and whose it is."""
    return _INDEX.unpack_from(data, 8)[0], keys.text(data[24:56])


def _extension(data: bytes) -> DlmmBitmap:
    checked(data, "BinArrayBitmapExtension", length=EXTENSION_BYTES, kind=EXTENSION_KIND)
    words = [
        int.from_bytes(data[at : at + _WORD_BYTES], "little")
        for at in range(40, EXTENSION_BYTES, _WORD_BYTES)
    ]
    above, below = words[:_EXTENSION_WORDS], words[_EXTENSION_WORDS:]
    return DlmmBitmap(keys.text(data[8:40]), tuple(above), tuple(below))


class _Layers(NamedTuple):
    """What one bin gives of the token that is wanted, in the order in which it goes."""

    bin_id: int
    price: int
    amounts: tuple[int, ...]


class _BinFees:
    """The fee at each bin: it grows with the distance from where trading was before."""

    def __init__(self, pair: LbPair, unix_ts: int) -> None:
        self._pair = pair
        self._base = pair.base_rate
        self._flat = None if pair.variable_fee_control else min(self._base, _RATE_MAX)
        self._reference, self._index = pair.volatility_reference, pair.index_reference
        elapsed_s = unix_ts - pair.last_update_ts
        if elapsed_s >= pair.filter_s:
            self._index = pair.active_id
            kept = pair.accumulator * pair.reduction // _SCALE
            self._reference = kept if elapsed_s < pair.decay_s else 0

    @property
    def before(self) -> tuple[int, int]:
        """What of it changes with time."""
        return self._reference, self._index

    @property
    def parts(self) -> tuple[int, ...]:
        """What it is made of, as BinWay has it."""
        pair = self._pair
        made = min(self._base, _RATE_MAX), _RATE_MAX, pair.variable_fee_control
        return *made, pair.accumulator_max, pair.bin_step, self._reference, self._index

    def at(self, bin_id: int) -> int:
        """Parts of a thousand million."""
        if self._flat is not None:
            return self._flat
        pair = self._pair
        volatility = self._reference + abs(self._index - bin_id) * _SCALE
        crossed = min(volatility, pair.accumulator_max) * pair.bin_step
        variable = -(-pair.variable_fee_control * crossed * crossed // _VARIABLE_ALL)
        return min(self._base + variable, _RATE_MAX)


def _in_for(out: int, price: int, down: bool) -> int:
    """What an amount out of a bin costs, rounded up."""
    cost: int = -(-(out << Q64_BITS) // price) if down else -(-out * price >> Q64_BITS)
    return cost


def _out_for(amount: int, price: int, down: bool) -> int:
    """What an amount into a bin gives, rounded down."""
    out: int = amount * price >> Q64_BITS if down else (amount << Q64_BITS) // price
    return out


class _Taken(NamedTuple):
    """Of one bin: what went in with a fee on the input, what came out after one on the output."""

    amount_in: int
    amount_out: int
    fee: int


def _exact_in(layers: _Layers, left: int, rate: int, down: bool, fee_on_input: bool) -> _Taken:
    """As much of an amount as a bin takes."""
    price = layers.price
    fee = -(-left * rate // _RATE_ALL) if fee_on_input else 0
    out = _out_for(left - fee, price, down)
    if out < layers.amounts[0]:  # as most are filled: nothing else can be come to
        return _less_fee(left, out, fee, rate, fee_on_input)
    costs = [_in_for(amount, price, down) for amount in layers.amounts]
    most = sum(costs)
    most_fee = -(-most * rate // (_RATE_ALL - rate)) if fee_on_input else 0
    if left > most + most_fee:
        used, out, fee = most + most_fee, sum(layers.amounts), most_fee
    else:
        used, out, rest = left, 0, left - fee
        for amount, cost in zip(layers.amounts, costs, strict=True):
            if rest < cost:
                out += min(_out_for(rest, price, down), amount)
                break
            out, rest = out + amount, rest - cost
    return _less_fee(used, out, fee, rate, fee_on_input)


def _less_fee(used: int, out: int, fee: int, rate: int, fee_on_input: bool) -> _Taken:
    """With the fee taken of what comes out, where it is not of what goes in."""
    if fee_on_input:
        return _Taken(used, out, fee)
    fee = -(-out * rate // _RATE_ALL)
    return _Taken(used, out - fee, fee)


def _exact_out(layers: _Layers, left: int, rate: int, down: bool, fee_on_input: bool) -> _Taken:
    """As much of what is wanted as a bin gives."""
    held = sum(layers.amounts)
    wanted = left if fee_on_input else -(-left * _RATE_ALL // (_RATE_ALL - rate))
    out = rest = min(wanted, held)
    paid = 0
    for amount in layers.amounts:
        taken = min(amount, rest)
        paid, rest = paid + _in_for(taken, layers.price, down), rest - taken
    if fee_on_input:
        fee = -(-paid * rate // (_RATE_ALL - rate))
        return _Taken(paid + fee, out, fee)
    net = min(out - -(-out * rate // _RATE_ALL), left)
    return _Taken(paid, net, out - net)


def _held_in(found: DlmmBin | None) -> tuple[int, int]:
    return (found.amount_x, found.amount_y) if found else (0, 0)


class DlmmPool(Pool):
    """The pair, its bins as far as they are known, and what its mints keep. Token 0 is X."""

    def __init__(
        self,
        pair: LbPair,
        active: DlmmBin | None,
        known: Callable[[], "KnownArrays"],
        mints: tuple[TokenMint, TokenMint],
        held: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """`known` finds the bins when a swap is asked for: a price needs none."""
        super().__init__(pair.mints, mints)
        self.pair, self._active, self._known = pair, active, known
        self._held = held  # by the vaults, where they are given
        self._ways: dict[tuple[bool, bool, tuple[int, int]], BinWay] = {}

    @cached_property
    def bins(self) -> dict[int, DlmmBin]:
        """As far as they are known. Raises PoolRefusal where an array is not what it should be."""
        return self._known_bins.all()

    @property
    def ends(self) -> tuple["BinsEnd", "BinsEnd"]:
        return self._known_bins.known.ends

    @cached_property
    def _known_bins(self) -> "_KnownBins":
        return _KnownBins(self.pair, self._known())

    def reserves(self) -> tuple[int, int]:
        """Of the active bin alone: what there is at this very price."""
        return _held_in(self._active)

    def depth(self) -> tuple[int, int]:
        """Of all bins that are known."""
        bins = self.bins.values()
        return sum(one.amount_x for one in bins), sum(one.amount_y for one in bins)

    def price_ratio(self, unix_ts: int = 0, slot: int = 0) -> tuple[int, int]:
        return price_at(self.pair.active_id, self.pair.bin_step), 1 << Q64_BITS

    def fee_rate(self) -> float:
        return min(self.pair.base_rate, _RATE_MAX) / _RATE_ALL

    def sight(self, key: str) -> PoolSight:
        """The active bin's array is read as `assemble` does."""
        kept = {key: KEPT} | dict.fromkeys(self.pair.reserves, BALANCE_KEPT)
        step = self.pair.bin_step
        told = SwappedBin(
            *(key, _ACTIVE_AT, keys.METEORA_DLMM, _ARRAY),
            lambda bin_id: (price_at(bin_id, step), 1 << Q64_BITS),
            partial(array_key, key),
        )
        return PoolSight(self.mints, kept, told)

    def check_open(self, unix_ts: int, slot: int) -> None:
        pair = self.pair
        if pair.status:
            raise PoolRefusal(PoolReason.CLOSED, status=pair.status)
        now = self._now(unix_ts, slot)
        if now < pair.activation_point:
            raise PoolRefusal(PoolReason.CLOSED, activation_point=pair.activation_point, now=now)

    def _now(self, unix_ts: int, slot: int) -> int:
        return slot if self.pair.activation_type == _BY_SLOT else unix_ts

    def moment(self, unix_ts: int, slot: int) -> tuple[tuple[int, int], bool]:
        return _BinFees(self.pair, unix_ts).before, self._now(unix_ts, slot) < (
            self.pair.activation_point
        )

    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        fees = _BinFees(self.pair, unix_ts)
        fee_on_input = not (down and self.pair.collect_fee_mode == _FEE_ON_Y)
        way = self._way(down, by_input, fees, fee_on_input)
        filled = way.swap(amount)
        if way.all_used is not None and amount > way.all_used:
            raise self._beyond(down, amount - way.all_used)
        if filled is not None and self._holds(filled.amount_out, down):
            return filled
        return self._through(down, amount, by_input, fees, fee_on_input)

    def _way(self, down: bool, by_input: bool, fees: _BinFees, fee_on_input: bool) -> BinWay:
        at = down, by_input, fees.before
        way = self._ways.get(at)
        if way is None:
            way = self._ways[at] = self._known_bins.way(fees, down, by_input, fee_on_input)
        return way

    def _beyond(self, down: bool, left: int) -> PoolRefusal:
        end = self.ends[not down]
        reason = PoolReason.MISSING if end.missing else PoolReason.TOO_MUCH
        where = {"key": end.missing} if end.missing else {}
        return PoolRefusal(reason, **where, unfilled_units=left)

    def _holds(self, amount_out: int, down: bool) -> bool:
        """Whether the vault does, as far as it is given."""
        held = self._held[down]
        return held is None or amount_out <= held

    def _through(
        self, down: bool, amount: int, by_input: bool, fees: _BinFees, fee_on_input: bool
    ) -> Filled:
        """From bin to bin, with what orders fill."""
        take = _exact_in if by_input else _exact_out
        left, amount_in, amount_out, fee, crossed = amount, 0, 0, 0, -1
        for layers in self._known_bins.onward(down):
            taken = take(layers, left, fees.at(layers.bin_id), down, fee_on_input)
            if taken.amount_out > layers.amounts[0]:
                self._check_orders(layers, down, by_input)
            amount_in += taken.amount_in
            amount_out += taken.amount_out
            fee += taken.fee
            left -= taken.amount_in if by_input else taken.amount_out
            crossed += 1
            if not left:
                break
        else:
            raise self._beyond(down, left)
        if not amount_out:
            raise PoolRefusal(PoolReason.TOO_SMALL, amount_in=amount_in)
        if not self._holds(amount_out, down):
            raise PoolRefusal(PoolReason.TOO_MUCH, amount_out=amount_out, vault=self._held[down])
        return Filled(amount_in, amount_out, fee, fee_on_input, crossed)

    def _check_orders(self, layers: _Layers, down: bool, by_input: bool) -> None:
        """What orders fill is in the vault; and exact-out fails where a bin says more than that."""
        held = self._held[down]
        if held is None:
            key = self.pair.reserves[down]
            raise PoolRefusal(PoolReason.MISSING, wanted="vault, as orders are filled", key=key)
        if not by_input and sum(layers.amounts) > held:
            raise PoolRefusal(PoolReason.TOO_MUCH, bin_id=layers.bin_id, vault=held)


class KnownArrays(NamedTuple):
    """The arrays of bins that are given around the price, by their numbers, and what is at either
    end of them."""

    arrays: dict[int, bytes]
    ends: tuple["BinsEnd", "BinsEnd"]


class BinsEnd(NamedTuple):
    """Why no further bins are known in one direction: an account that is not given, or no
    liquidity.
    """

    missing: str | None


class _KnownBins:
    """A pair's bins as far as they are known. What goes through them holds these and not the pool,
    so that a pool that was swapped in is gone at once, and not when the collector comes by."""

    def __init__(self, pair: LbPair, known: KnownArrays) -> None:
        self.known = known
        self._active_id, self._bin_step = pair.active_id, pair.bin_step
        self._has_orders = pair.has_orders
        self._own = pair.active_id // BINS_IN_ARRAY
        self._read: dict[int, DlmmBin | None] = {}  # of that one

    def all(self) -> dict[int, DlmmBin]:
        return {
            number * BINS_IN_ARRAY + place: found
            for number in self.known.arrays
            for place in range(BINS_IN_ARRAY)
            if (found := self._at(number, place)) is not None
        }

    def way(self, fees: _BinFees, down: bool, by_input: bool, fee_on_input: bool) -> BinWay:
        """The same as `onward`, gone through once for all amounts."""
        return BinWay(
            *(self.known.arrays, self._active_id, (_BINS_AT, BINS_IN_ARRAY), self._bin_step),
            has_orders=self._has_orders,
            down=down,
            by_input=by_input,
            fee_on_input=fee_on_input,
            fees=fees.parts,
        )

    def onward(self, down: bool) -> Iterator[_Layers]:
        """Those that have what is wanted, from the active one on."""
        has_orders = self._has_orders
        for bin_id, found in self._that_hold(down):
            made = found.amount_y if down else found.amount_x
            amounts: tuple[int, ...] = (made,)
            if has_orders and found.asks is not down:
                amounts = (made, found.processed_orders, found.open_orders)
            if any(amounts):
                price = price_at(bin_id, self._bin_step)
                if found.price not in (0, price):
                    raise PoolRefusal(PoolReason.BAD_VALUE, bin_id=bin_id, price=found.price)
                yield _Layers(bin_id, price, amounts)

    def _that_hold(self, down: bool) -> Iterator[tuple[int, DlmmBin]]:
        """Those that hold anything; each is read when it is come to, as few are."""
        arrays = self.known.arrays
        own, at = divmod(self._active_id, BINS_IN_ARRAY)
        for number in sorted(arrays, reverse=down):
            if number > own if down else number < own:
                continue
            first = at if number == own else BINS_IN_ARRAY - 1 if down else 0
            for place in range(first, -1, -1) if down else range(first, BINS_IN_ARRAY):
                if (found := self._at(number, place)) is not None:
                    yield number * BINS_IN_ARRAY + place, found

    def _at(self, number: int, place: int) -> DlmmBin | None:
        """One bin of an array that is known; of the price's own, which each swap writes, one by
        one, as few are come to."""
        data = self.known.arrays[number]
        if number != self._own:
            return _bins_of(data)[place]
        if place not in self._read:
            self._read[place] = _bin(data, _BINS_AT + place * _BIN_BYTES)
        return self._read[place]


decoded = remembered(decode)


def place_of(data: bytes) -> int:
    """The number of the array that a pair's price is in, by its account."""
    return i32(data, _ACTIVE_AT) // BINS_IN_ARRAY


@lru_cache(maxsize=KEYS_MAX)
def array_key(pair: str, number: int) -> str:
    return keys.pda([b"bin_array", keys.raw(pair), _INDEX.pack(number)], keys.METEORA_DLMM)


def extension_key(pair: str) -> str:
    return keys.pda([b"bitmap", keys.raw(pair)], keys.METEORA_DLMM)


def filled_arrays(pair: LbPair, extension: DlmmBitmap | None) -> list[int]:
    """The arrays that have liquidity, ascending, as far as the bitmaps are given."""
    found = [bit - BITMAP_HALF for bit in bits_of(pair.bitmap)]
    if extension is not None:
        size = _WORD_BYTES * 8
        for place, (above, below) in enumerate(zip(extension.above, extension.below, strict=True)):
            found += [BITMAP_HALF + place * size + bit for bit in bits_of(above)]
            found += [-BITMAP_HALF - 1 - place * size - bit for bit in bits_of(below)]
    return sorted(found)


def _known(key: str, pair: LbPair, accounts: Accounts) -> KnownArrays:
    extension_at = extension_key(key)
    extension = None
    if accounts.get(extension_at, (keys.SYSTEM, b"")) != (keys.SYSTEM, b""):
        data = bytes_of(accounts, extension_at, keys.METEORA_DLMM, "bitmap extension")
        found = decoded(data)
        if not isinstance(found, DlmmBitmap) or found.pair != key:
            raise PoolRefusal(PoolReason.WRONG_KIND, wanted="bitmap extension", key=extension_at)
        extension = found
    numbers = filled_arrays(pair, extension)
    own = pair.active_id // BINS_IN_ARRAY
    arrays: dict[int, bytes] = {}
    below = _reach(key, accounts, [number for number in numbers[::-1] if number <= own], arrays)
    above = _reach(key, accounts, [number for number in numbers if number >= own], arrays)
    beyond = BinsEnd(None if extension_at in accounts else extension_at)
    return KnownArrays(arrays, (below or beyond, above or beyond))


def _reach(
    key: str, accounts: Accounts, numbers: list[int], arrays: dict[int, bytes]
) -> BinsEnd | None:
    """Array after array until one is not given; None if all are."""
    for number in numbers:
        array_at = array_key(key, number)
        if array_at not in accounts:
            return BinsEnd(array_at)
        data = bytes_of(accounts, array_at, keys.METEORA_DLMM, "BinArray")
        checked(data, "BinArray", length=ARRAY_BYTES, kind=ARRAY_KIND)
        told, pair = _array_head(data)
        if told != number or pair != key:
            raise PoolRefusal(PoolReason.BAD_VALUE, number=told, wanted=number, pair=pair)
        arrays[number] = data
    return None


def _active(key: str, active_id: int, accounts: Accounts) -> DlmmBin | None:
    """The bin at the price, of an array that is read no further for it."""
    number, place = divmod(active_id, BINS_IN_ARRAY)
    at = array_key(key, number)
    if at not in accounts:
        return None
    data = bytes_of(accounts, at, keys.METEORA_DLMM, "BinArray")
    checked(data, "BinArray", length=ARRAY_BYTES, kind=ARRAY_KIND)
    return _bin(data, _BINS_AT + place * _BIN_BYTES)


def assemble(key: str, accounts: Accounts) -> DlmmPool:
    pair = account_of(accounts, key, keys.METEORA_DLMM, decoded, LbPair, "LbPair")
    mints = (mint_of(accounts, pair.mints[0]), mint_of(accounts, pair.mints[1]))
    active = _active(key, pair.active_id, accounts)
    held_x, held_y = (
        vault_of(accounts, vault, mint).amount if vault in accounts else None
        for vault, mint in zip(pair.reserves, pair.mints, strict=True)
    )
    return DlmmPool(pair, active, partial(_known, key, pair, accounts), mints, (held_x, held_y))
