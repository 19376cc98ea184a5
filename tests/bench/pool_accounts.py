"""Accounts of Solana's programs, built from numbers: the layouts written down a second time.

For tests that need bytes where no recordings are, and for the benchmarks. Keys are any 32 bytes.
"""

from collections.abc import Iterable
from hashlib import sha256

from spread_scanner.solana import keys

Account = tuple[str, bytes]


def key(name: str) -> str:
    """A key that stands for a name, always the same."""
    return keys.text(sha256(name.encode()).digest())


def filled(length: int, *parts: tuple[int, bytes]) -> bytes:
    """So many bytes, zero but for these at their places."""
    data = bytearray(length)
    for at, part in parts:
        data[at : at + len(part)] = part
    return bytes(data)


def le(value: int, length: int) -> bytes:
    return value.to_bytes(length, "little", signed=value < 0)


def balance(mint: str, amount: int, *, state: int = 1, program: str = keys.TOKEN) -> Account:
    parts = (0, keys.raw(mint)), (64, le(amount, 8)), (108, le(state, 1))
    return program, filled(165, *parts)


def mint(decimals: int, *, fees: tuple[tuple[int, int, int], ...] = ()) -> Account:
    """A mint; of Token-2022 if it has fees, (epoch, maximum, bps) before and after."""
    plain = filled(82, (44, le(decimals, 1)), (45, b"\1"))
    if not fees:
        return keys.TOKEN, plain
    value = filled(
        108,
        *(
            (at, le(epoch, 8) + le(maximum, 8) + le(bps, 2))
            for at, (epoch, maximum, bps) in zip((72, 90), fees, strict=True)
        ),
    )
    other = le(18, 2) + le(3, 2) + b"abc"
    return keys.TOKEN_2022, plain.ljust(165, b"\0") + b"\1" + other + le(1, 2) + le(108, 2) + value


def amm_v4(
    *,
    vaults: tuple[str, str],
    mints: tuple[str, str],
    decimals: tuple[int, int] = (9, 6),
    status: int = 6,
    pnl: tuple[int, int] = (0, 0),
    fee: tuple[int, int] = (25, 10_000),
    open_time_s: int = 0,
) -> Account:
    numbers = {
        **{0: status, 32: decimals[0], 40: decimals[1], 176: fee[0], 184: fee[1]},
        **{192: pnl[0], 200: pnl[1], 224: open_time_s},
    }
    parts = [(at, le(number, 8)) for at, number in numbers.items()]
    named = zip(range(336, 464, 32), (*vaults, *mints), strict=True)
    return keys.RAYDIUM_V4, filled(752, *parts, *((at, keys.raw(name)) for at, name in named))


def cpmm(
    *,
    config: str,
    vaults: tuple[str, str],
    mints: tuple[str, str],
    programs: tuple[str, str] = (keys.TOKEN, keys.TOKEN),
    status: int = 0,
    decimals: tuple[int, int] = (9, 6),
    protocol: tuple[int, int] = (0, 0),
    fund: tuple[int, int] = (0, 0),
    creator: tuple[int, int] = (0, 0),
    open_time_s: int = 0,
    creator_fee_on: int = 0,
    creator_fee: bool = False,
) -> Account:
    owed = _pairs(341, protocol, fund) + _pairs(397, creator)
    named = (8, config), *zip((72, 104), vaults, strict=True), *zip((168, 200), mints, strict=True)
    parts = [
        (0, bytes.fromhex("f7ede3f5d7c3de46")),
        *((at, keys.raw(name)) for at, name in (*named, (232, programs[0]), (264, programs[1]))),
        (329, bytes((status, 9, *decimals))),
        *owed,
        (373, le(open_time_s, 8)),
        (389, bytes((creator_fee_on, creator_fee))),
    ]
    return keys.RAYDIUM_CPMM, filled(637, *parts)


def _pairs(at: int, *pairs: tuple[int, int]) -> list[tuple[int, bytes]]:
    numbers: Iterable[int] = (number for pair in pairs for number in pair)
    return [(at + 8 * place, le(number, 8)) for place, number in enumerate(numbers)]


def cpmm_config(trade: int, protocol: int = 0, fund: int = 0, creator: int = 0) -> Account:
    rates = zip((12, 20, 28, 108), (trade, protocol, fund, creator), strict=True)
    parts = [(at, le(rate, 8)) for at, rate in rates]
    return keys.RAYDIUM_CPMM, filled(236, (0, bytes.fromhex("daf42168cbcb2b6f")), *parts)


def whirlpool(
    *,
    spacing: int,
    fee_rate: int,
    liquidity: int,
    sqrt_price: int,
    tick: int,
    mints: tuple[str, str],
    tier: int | None = None,
) -> Account:
    parts = [
        (0, bytes.fromhex("3f95d10ce1806309")),
        (41, le(spacing, 2) + le(spacing if tier is None else tier, 2) + le(fee_rate, 2)),
        (49, le(liquidity, 16) + le(sqrt_price, 16) + le(tick, 4)),
        *zip((101, 181), map(keys.raw, mints), strict=True),
    ]
    return keys.ORCA_WHIRLPOOL, filled(653, *parts)


def whirlpool_ticks(pool: str, start: int, spacing: int, nets: dict[int, int]) -> Account:
    """Net liquidity by tick; all 88 have their place."""
    parts = [(0, bytes.fromhex("4561bdbe6e0742bb") + le(start, 4)), (9_956, keys.raw(pool))]
    for tick, net in nets.items():
        place = (tick - start) // spacing
        parts.append((12 + 113 * place, b"\1" + le(net, 16) + le(abs(net), 16)))
    return keys.ORCA_WHIRLPOOL, filled(9_988, *parts)


def whirlpool_dynamic(pool: str, start: int, spacing: int, nets: dict[int, int]) -> Account:
    """The same, growing with each tick."""
    places = {(tick - start) // spacing: net for tick, net in nets.items()}
    head = bytes.fromhex("11d8f68ee1c7da38") + le(start, 4) + keys.raw(pool)
    body = b"".join(
        (b"\1" + le(places[place], 16)).ljust(113, b"\0") if place in places else b"\0"
        for place in range(88)
    )
    bitmap = le(sum(1 << place for place in places), 16)
    return keys.ORCA_WHIRLPOOL, head + bitmap + body


def whirlpool_oracle(
    pool: str,
    *,
    group_size: int,
    control: int,
    accumulator_max: int = 350_000,
    opens_ts: int = 0,
    filter_s: int = 30,
    decay_s: int = 600,
    reduction: int = 500,
    reference_ts: int = 0,
    major_swap_ts: int = 0,
    reference: int = 0,
    group_reference: int = 0,
    accumulator: int = 0,
) -> Account:
    constants = le(filter_s, 2) + le(decay_s, 2) + le(reduction, 2) + le(control, 4)
    constants += le(accumulator_max, 4) + le(group_size, 2)
    variables = le(reference_ts, 8) + le(major_swap_ts, 8) + le(reference, 4)
    variables += le(group_reference, 4) + le(accumulator, 4)
    head = bytes.fromhex("8bc283b38cb3e5f4") + keys.raw(pool) + le(opens_ts, 8)
    return keys.ORCA_WHIRLPOOL, filled(254, (0, head + constants), (82, variables))


def clmm(
    *,
    config: str,
    spacing: int,
    liquidity: int,
    sqrt_price: int,
    tick: int,
    mints: tuple[str, str],
    arrays: Iterable[int] = (),
    decimals: tuple[int, int] = (9, 6),
    status: int = 0,
    fee_on: int = 0,
    open_time_s: int = 0,
    dynamic: bytes = b"",
) -> Account:
    """Arrays with ticks by their number from tick 0, which may be beyond the pool's own bitmap."""
    own = sum(1 << number + 512 for number in arrays if -512 <= number < 512)
    parts = [
        (0, bytes.fromhex("f7ede3f5d7c3de46")),
        (9, keys.raw(config)),
        *zip((73, 105), map(keys.raw, mints), strict=True),
        (233, bytes(decimals) + le(spacing, 2) + le(liquidity, 16) + le(sqrt_price, 16)),
        (269, le(tick, 4)),
        (389, bytes((status, fee_on))),
        (904, le(own, 128)),
        (1_080, le(open_time_s, 8)),
        (1_096, dynamic),
    ]
    return keys.RAYDIUM_CLMM, filled(1_544, *parts)


def clmm_extension(pool: str, arrays: Iterable[int]) -> Account:
    data = bytearray(filled(1_832, (0, bytes.fromhex("3c9624db61808b99") + keys.raw(pool))))
    for number in arrays:
        if -512 <= number < 512:
            continue
        word, bit = divmod(number, 512)
        at = 40 + 64 * (word - 1 if word > 0 else 14 - word - 2)
        found = int.from_bytes(data[at : at + 64], "little") | 1 << bit
        data[at : at + 64] = found.to_bytes(64, "little")
    return keys.RAYDIUM_CLMM, bytes(data)


def clmm_config(trade: int, protocol: int = 120_000, fund: int = 40_000) -> Account:
    parts = [(0, bytes.fromhex("daf42168cbcb2b6f")), (43, le(protocol, 4)), (47, le(trade, 4))]
    return keys.RAYDIUM_CLMM, filled(117, *parts, (53, le(fund, 4)))


def clmm_ticks(
    pool: str,
    start: int,
    spacing: int,
    nets: dict[int, int],
    orders: dict[int, tuple[int, int]] | None = None,
) -> Account:
    """Net liquidity by tick, and orders there: unfilled of those opened since, and before."""
    parts = [(0, bytes.fromhex("c09b55cd31f9812a") + keys.raw(pool) + le(start, 4))]
    for tick, net in nets.items():
        at = 44 + 168 * ((tick - start) // spacing)
        parts.append((at, le(tick, 4) + le(net, 16) + le(abs(net), 16)))
    for tick, (new, part_filled) in (orders or {}).items():
        at = 44 + 168 * ((tick - start) // spacing)
        parts += [(at, le(tick, 4)), (at + 124, le(new, 8) + le(part_filled, 8))]
    return keys.RAYDIUM_CLMM, filled(10_240, *parts)


def clmm_dynamic(
    *,
    control: int,
    accumulator_max: int,
    filter_s: int = 30,
    decay_s: int = 600,
    reduction: int = 5_000,
    index_reference: int = 0,
    reference: int = 0,
    accumulator: int = 0,
    last_update_ts: int = 0,
) -> bytes:
    rates = le(filter_s, 2) + le(decay_s, 2) + le(reduction, 2) + le(control, 4)
    state = le(index_reference, 4) + le(reference, 4) + le(accumulator, 4)
    return rates + le(accumulator_max, 4) + state + le(last_update_ts, 8)


def lb_pair(
    *,
    mints: tuple[str, str],
    vaults: tuple[str, str],
    active_id: int,
    bin_step: int,
    arrays: Iterable[int],
    base_factor: int = 10_000,
    power: int = 0,
    control: int = 0,
    accumulator_max: int = 150_000,
    filter_s: int = 30,
    decay_s: int = 600,
    reduction: int = 5_000,
    accumulator: int = 0,
    reference: int = 0,
    index_reference: int = 0,
    last_update_ts: int = 0,
    function_type: int = 1,
    collect_fee_mode: int = 0,
    status: int = 0,
    activation_type: int = 1,
    activation_point: int = 0,
) -> Account:
    own = sum(1 << number + 512 for number in arrays if -512 <= number < 512)
    rates = le(base_factor, 2) + le(filter_s, 2) + le(decay_s, 2) + le(reduction, 2)
    rates += le(control, 4) + le(accumulator_max, 4)
    parts = [
        (0, bytes.fromhex("210b3162b565b10d") + rates),
        (34, bytes((power, function_type, collect_fee_mode))),
        (40, le(accumulator, 4) + le(reference, 4) + le(index_reference, 4)),
        (56, le(last_update_ts, 8)),
        (76, le(active_id, 4) + le(bin_step, 2) + bytes((status,))),
        (86, bytes((activation_type,))),
        *zip((88, 120, 152, 184), map(keys.raw, (*mints, *vaults)), strict=True),
        (584, le(own, 128)),
        (816, le(activation_point, 8)),
    ]
    return keys.METEORA_DLMM, filled(904, *parts)


def dlmm_bins(
    pair: str,
    number: int,
    bins: dict[int, tuple[int, int]],
    orders: dict[int, tuple[int, int, bool]] | None = None,
) -> Account:
    """X and Y by bin, and orders: open, left of those in process, whether they sell X."""
    parts = [
        (0, bytes.fromhex("5c8e5cdc059446b5") + le(number, 8)),
        (24, keys.raw(pair)),
    ]
    for bin_id, (x, y) in bins.items():
        parts.append((56 + 144 * (bin_id % 70), le(x, 8) + le(y, 8)))
    for bin_id, (unfilled, processed, asks) in (orders or {}).items():
        at = 56 + 144 * (bin_id % 70)
        parts += [(at + 112, le(unfilled, 8)), (at + 128, le(processed, 8))]
        parts.append((at + 140, bytes((asks,))))
    return keys.METEORA_DLMM, filled(10_136, *parts)


def dlmm_extension(pair: str, arrays: Iterable[int]) -> Account:
    data = bytearray(filled(1_576, (0, bytes.fromhex("506f7c7137ed1205") + keys.raw(pair))))
    for number in arrays:
        if not -512 <= number < 512:
            offset = number - 512 if number >= 0 else -number - 513
            at = 40 + 64 * (offset // 512 + (0 if number >= 0 else 12))
            word = int.from_bytes(data[at : at + 64], "little") | 1 << offset % 512
            data[at : at + 64] = word.to_bytes(64, "little")
    return keys.METEORA_DLMM, bytes(data)


def phoenix(
    *,
    mints: tuple[str, str],
    bids: Iterable[tuple[int, ...]] = (),
    asks: Iterable[tuple[int, ...]] = (),
    steps: tuple[int, int] = (1_000_000, 1),
    tick: int = 1_000,
    scale: int = 1_000,
    taker_bps: int = 5,
    status: int = 1,
    decimals: tuple[int, int] = (9, 6),
    capacity: int = 8,
) -> Account:
    """Orders are (ticks, lots, last slot, last second); each tree is a chain to the right."""
    sides = []
    for orders in (bids, asks):
        nodes = b""
        count = 0
        for count, (ticks, lots, *until) in enumerate(orders, 1):
            links = le(0, 4) + le(count + 1, 4) + le(count - 1, 4) + le(0, 4)
            until = [*until, 0, 0][:2]
            numbers = (ticks, count, 7, lots, *until)
            nodes += links + b"".join(le(number, 8) for number in numbers)
        if count:  # the last has nothing to its right
            last = 64 * (count - 1) + 4
            nodes = nodes[:last] + le(0, 4) + nodes[last + 4 :]
        head = le(1 if count else 0, 4).ljust(16, b"\0") + le(capacity, 8) + le(count + 1, 4)
        sides.append(head.ljust(32, b"\0") + nodes.ljust(64 * capacity, b"\0"))
    fields = {
        **{8: status, 16: capacity, 24: capacity, 112: steps[0], 192: steps[1]},
        **{832: scale, 840: tick, 856: taker_bps},
    }
    parts = [
        (0, bytes.fromhex("77df7173b7205871")),
        *((at, le(number, 8)) for at, number in fields.items()),
        *((at, le(number, 4)) for at, number in zip((40, 120), decimals, strict=True)),
        *((at, keys.raw(name)) for at, name in zip((48, 128), mints, strict=True)),
    ]
    return keys.PHOENIX, filled(880, *parts) + sides[0] + sides[1]


def openbook(
    *,
    mints: tuple[str, str],
    bids: str,
    asks: str,
    steps: tuple[int, int] = (1_000_000, 1),
    fee_bps: int = 0,
    flags: int = 3,
) -> Account:
    named = zip((53, 85, 285, 317), (*mints, bids, asks), strict=True)
    numbers = zip((5, 349, 357, 365), (flags, *steps, fee_bps), strict=True)
    parts = [(at, le(number, 8)) for at, number in numbers]
    parts += [(at, keys.raw(name)) for at, name in named]
    return keys.OPENBOOK_V1, filled(388, (0, b"serum"), *parts, (381, b"padding"))


def openbook_side(flag: int, orders: Iterable[tuple[int, int]]) -> Account:
    """Orders are (price in lots, lots), ascending; the tree leans to the right."""
    leaves = [
        le(2, 4) + bytes(4) + le(price << 64 | at, 16) + bytes([at]) * 32 + le(lots, 8) + bytes(8)
        for at, (price, lots) in enumerate(orders, 1)
    ]
    nodes = []
    for at, leaf in enumerate(leaves):
        last = at == len(leaves) - 1
        if not last:  # an inner node, its leaf, and then the next inner node or the last leaf
            children = le(2 * at + 1, 4) + le(2 * at + 2, 4)
            nodes.append((le(1, 4) + bytes(20) + children).ljust(72, b"\0"))
        nodes.append(leaf)
    head = le(len(nodes), 8) + bytes(8) + bytes(4) + le(0, 4) + le(len(leaves), 8)
    return keys.OPENBOOK_V1, b"serum" + le(1 | flag, 8) + head + b"".join(nodes) + b"padding"
