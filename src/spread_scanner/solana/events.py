"""What programs say of swaps: Anchor events, Raydium's ray_log, Phoenix's log. Pure.

An event is said as data in the log, or by an instruction of the program to itself, whose data begin
with a mark. Which program said it decides what it is: several share a discriminator. Layouts have
grown: what is longer than is known is read as far as that, and what stands in the older, shorter
form lacks the later fields.
"""

import base64
import binascii
import struct
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana.layout import i32, u16, u64, u128

JUPITER_V6 = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
SELF_CALL = bytes.fromhex("e445a52e51cb9a1d")
_DISCRIMINATOR = 8

EventValue = int | bool | str
_READ: dict[str, tuple[int, Callable[[bytes, int], EventValue]]] = {
    "key": (32, lambda data, at: keys.text(data[at : at + 32])),
    "u128": (16, u128),
    "u64": (8, u64),
    "i32": (4, i32),
    "u16": (2, u16),
    "flag": (1, lambda data, at: bool(data[at])),
}


class EventLayout(NamedTuple):
    """Fields as "name kind", in order; from `since` on they are of later versions."""

    name: str
    fields: tuple[str, ...]
    since: int = 1_000

    def values(self, data: bytes) -> dict[str, EventValue] | None:
        """None where the bytes end before the oldest version's last field."""
        found: dict[str, EventValue] = {}
        at = _DISCRIMINATOR
        for number, field in enumerate(self.fields):
            name, kind = field.split()
            size, read = _READ[kind]
            if at + size > len(data):
                return found if number >= self.since else None
            found[name] = read(data, at)
            at += size
        return found


_CLMM_SWAP = EventLayout(
    "SwapEvent",
    (
        *("pool key", "sender key", "token_account_0 key", "token_account_1 key", "amount_0 u64"),
        *("transfer_fee_0 u64", "amount_1 u64", "transfer_fee_1 u64", "zero_for_one flag"),
        *("sqrt_price_x64 u128", "liquidity u128", "tick i32", "trade_fee_0 u64"),
        "trade_fee_1 u64",
    ),
    12,
)
_CPMM_SWAP = EventLayout(
    "SwapEvent",
    (
        *("pool key", "input_vault_before u64", "output_vault_before u64", "input_amount u64"),
        *("output_amount u64", "input_transfer_fee u64", "output_transfer_fee u64"),
        *("base_input flag", "input_mint key", "output_mint key", "trade_fee u64"),
        *("creator_fee u64", "creator_fee_on_input flag"),
    ),
    8,
)
_WHIRLPOOL_TRADED = EventLayout(
    "Traded",
    (
        *("whirlpool key", "a_to_b flag", "pre_sqrt_price u128", "post_sqrt_price u128"),
        *("input_amount u64", "output_amount u64", "input_transfer_fee u64"),
        *("output_transfer_fee u64", "lp_fee u64", "protocol_fee u64"),
    ),
)
_DLMM_SWAP = EventLayout(
    "Swap",
    (
        *("lb_pair key", "user key", "start_bin_id i32", "end_bin_id i32", "amount_in u64"),
        *("amount_out u64", "swap_for_y flag", "fee u64", "protocol_fee u64", "fee_bps u128"),
        "host_fee u64",
    ),
)
_DLMM_SWAP2 = EventLayout(
    "Swap2Evt",
    (
        *("lb_pair key", "user key", "start_bin_id i32", "end_bin_id i32", "swap_for_y flag"),
        *("fee_bps u128", "amount_in u64", "amount_left u64", "amount_out u64", "mm_fee u64"),
        *("protocol_fee u64", "limit_order_fee u64", "host_fee u64", "fees_on_input flag"),
        "fees_on_token_x flag",
    ),
)
_JUPITER_SWAP = EventLayout(
    "SwapEvent",
    ("amm key", "input_mint key", "input_amount u64", "output_mint key", "output_amount u64"),
)
_JUPITER_FEE = EventLayout("FeeEvent", ("account key", "mint key", "amount u64"))
_LAYOUTS = {
    (keys.RAYDIUM_CLMM, "40c6cde8260871e2"): _CLMM_SWAP,
    (keys.RAYDIUM_CPMM, "40c6cde8260871e2"): _CPMM_SWAP,
    (keys.ORCA_WHIRLPOOL, "e1ca49af932ba096"): _WHIRLPOOL_TRADED,
    (keys.METEORA_DLMM, "516ce3becdd00ac4"): _DLMM_SWAP,
    (keys.METEORA_DLMM, "2e7452d7941b544d"): _DLMM_SWAP2,
    (JUPITER_V6, "40c6cde8260871e2"): _JUPITER_SWAP,
    (JUPITER_V6, "494f4e7fb8d50ddc"): _JUPITER_FEE,
}


class ProgramEvent(Struct, frozen=True):
    """What a program said. One that is not known has no name, and its first bytes for values."""

    at: str  # the instruction that it was said in: "5" of the message, "5.3" called by that
    program: str
    name: str
    values: dict[str, EventValue]


def event_of(at: str, program: str, data: bytes) -> ProgramEvent:
    """An event's bytes, without the mark of a call to itself."""
    kind = data[:_DISCRIMINATOR].hex()
    layout = _LAYOUTS.get((program, kind))
    values = layout.values(data) if layout else None
    if layout is None or values is None:
        return ProgramEvent(at, program, "", {"disc": kind, "bytes": len(data)})
    return ProgramEvent(at, program, layout.name, values)


_RAY_SWAP = struct.Struct("<B7Q")
_RAY_IN, _RAY_OUT = 3, 4
_PC_TO_COIN = 1
RAY_LOG = "ray_log: "
# What all of V4's pools ask that the reference knows of. A log does not tell its pool's own rate:
# one that does not explain the amounts is not told.
_RAY_FEE, _RAY_FEE_OF = 25, 10_000


class RayLog(Struct, frozen=True):
    """What AMM V4 says of a swap, in smallest units: reserves are those before it, and
    `user_source` what the user held."""

    exact_in: bool
    amount_in: int
    amount_out: int
    limit: int  # the least out, or the most in, that was asked for
    coin_in: bool
    user_source: int
    pool_coin: int
    pool_pc: int

    def fee(self) -> int | None:
        """In the token that goes in; None where the usual rate does not explain the amounts."""
        reserve_in, reserve_out = self.pool_pc, self.pool_coin
        if self.coin_in:
            reserve_in, reserve_out = reserve_out, reserve_in
        if self.exact_in:
            fee = -(-self.amount_in * _RAY_FEE // _RAY_FEE_OF)
            net = self.amount_in - fee
            explained = reserve_in + net and reserve_out * net // (reserve_in + net)
            return fee if explained == self.amount_out else None
        if self.amount_out >= reserve_out:
            return None
        net = -(-reserve_in * self.amount_out // (reserve_out - self.amount_out))
        paid = -(-net * _RAY_FEE_OF // (_RAY_FEE_OF - _RAY_FEE))
        return paid - net if paid == self.amount_in else None


def ray_log_of(lines: list[str]) -> RayLog | None:
    """The swap among the lines that an instruction of AMM V4 said."""
    for line in lines:
        if not line.startswith(RAY_LOG):
            continue
        try:
            data = base64.b64decode(line.removeprefix(RAY_LOG), validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(data) != _RAY_SWAP.size or data[0] not in (_RAY_IN, _RAY_OUT):
            continue
        kind, first, second, direction, source, coin, pc, last = _RAY_SWAP.unpack(data)
        exact_in = kind == _RAY_IN
        amount_in, amount_out, limit = (first, last, second) if exact_in else (last, second, first)
        coin_in = direction != _PC_TO_COIN
        return RayLog(exact_in, amount_in, amount_out, limit, coin_in, source, coin, pc)
    return None


class PhoenixFill(Struct, frozen=True):
    """An order that was taken from, in ticks and lots."""

    maker: str
    price_ticks: int
    base_lots: int
    left_lots: int


class PhoenixLog(Struct, frozen=True):
    """What Phoenix says of a swap. Quote lots are without the fee where the taker sells, with it
    where he buys."""

    sequence: int
    slot: int
    market: str
    signer: str
    fills: tuple[PhoenixFill, ...]
    base_lots: int
    quote_lots: int
    fee_lots: int


_PHOENIX_LOG_TAG = 15
_HEADER, _FILL, _SUMMARY = 1, 2, 6
# Bytes of each event, its kind included; those not named here end what can be read.
_PHOENIX_BYTES = {_HEADER: 92, _FILL: 67, _SUMMARY: 43}


def phoenix_log_of(data: bytes) -> PhoenixLog | None:
    """The data of Phoenix's instruction to itself; None for another one, or one without a swap."""
    if data[:1] != bytes([_PHOENIX_LOG_TAG]) or data[1:2] != bytes([_HEADER]):
        return None
    at, fills, header, summary = 1, list[PhoenixFill](), None, None
    while at < len(data) and at + _PHOENIX_BYTES.get(data[at], len(data)) <= len(data):
        kind = data[at]
        if kind == _HEADER:
            header = u64(data, at + 2), u64(data, at + 18), data[at + 26 : at + 90]
        elif kind == _FILL:
            maker, lots = keys.text(data[at + 3 : at + 35]), at + 43
            fills.append(PhoenixFill(maker, *(u64(data, lots + by) for by in (0, 8, 16))))
        else:
            summary = u64(data, at + 19), u64(data, at + 27), u64(data, at + 35)
        at += _PHOENIX_BYTES[kind]
    if header is None or summary is None:
        return None
    sequence, slot, market_and_signer = header
    market, signer = keys.text(market_and_signer[:32]), keys.text(market_and_signer[32:])
    return PhoenixLog(sequence, slot, market, signer, tuple(fills), *summary)
