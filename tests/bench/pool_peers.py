"""Peers of the pools' figures: what a user would write instead, on the same frames.

solana_construct: a frame as solana-py reads it, by solders, and layouts by construct. asyncio: a
plain client's, json, base64 and struct, unpacked where it is looked at. Both keep the bytes
of the accounts and one price a pool in a dict: they know of no slots, forks, seeds or ages, of one
provider, and nobody else may read what they have.
"""

import base64
import importlib.util
import json
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spread_scanner.solana import keys, tokens

sys.path.append(str(Path(__file__).parents[1] / "clients"))  # whose layouts by construct these are

Held = dict[str, bytes]
Reader = Callable[[bytes], float]
_U64, _TWO, _BYTES = struct.Struct("<Q"), struct.Struct("<2Q"), struct.Struct("<2B")
_BIN = struct.Struct("<iH")


def peers_us(
    program: str,
    pool: str,
    accounts: Mapping[str, tuple[str, bytes]],
    numbers: Mapping[int, str],
    frames: list[bytes],
) -> dict[str, float]:
    """The least CPU of a frame, by peer; each has the price in the end."""
    found = {}
    makers = {"asyncio": _plain}
    if importlib.util.find_spec("construct") is not None:
        makers["solana_construct"] = _construct
    for name, make in makers.items():
        held = {key: data for key, (_, data) in accounts.items()}
        read = make(program, pool, held, numbers)
        spent = []
        for frame in frames:
            began_ns = time.process_time_ns()
            price = read(frame)
            spent.append(time.process_time_ns() - began_ns)
            if not price > 0:
                raise RuntimeError(f"{name} has no price of {program}")
        found[name] = sorted(spent)[len(spent) // 2] / 1e3
    return found


def _construct(program: str, pool: str, held: Held, numbers: Mapping[int, str]) -> Reader:
    from pool_layouts import price_of
    from solders.rpc.responses import parse_websocket_message  # by which solana-py reads

    def read(frame: bytes) -> float:
        told: Any = parse_websocket_message(frame.decode())[0]
        held[numbers[told.subscription]] = bytes(told.result.value.data)
        return price_of(program, held[pool], held, tokens.KNOWN_DECIMALS)

    return read


def _plain(program: str, pool: str, held: Held, numbers: Mapping[int, str]) -> Reader:
    price_of = _PRICES[program]

    def read(frame: bytes) -> float:
        told = json.loads(frame)["params"]
        data, _ = told["result"]["value"]["data"]
        held[numbers[told["subscription"]]] = base64.b64decode(data)
        return price_of(held[pool], held)

    return read


def _vault(held: Held, key: bytes) -> int:
    found: int = _U64.unpack_from(held[keys.text(key)], 64)[0]
    return found


def _v4(data: bytes, held: Held) -> float:
    base, quote = _TWO.unpack_from(data, 32)
    owed = _TWO.unpack_from(data, 192)
    amounts = _vault(held, data[336:368]) - owed[0], _vault(held, data[368:400]) - owed[1]
    return float(amounts[1] / amounts[0] * 10.0 ** (base - quote))


def _cpmm(data: bytes, held: Held) -> float:
    base, quote = _BYTES.unpack_from(data, 331)
    protocol, fund = _TWO.unpack_from(data, 341), _TWO.unpack_from(data, 357)
    amounts = [
        _vault(held, data[at : at + 32]) - protocol[side] - fund[side]
        for side, at in enumerate((72, 104))
    ]
    return float(amounts[1] / amounts[0] * 10.0 ** (base - quote))


def _clmm(data: bytes, held: Held) -> float:
    base, quote = _BYTES.unpack_from(data, 233)
    root = int.from_bytes(data[253:269], "little") / 2**64
    return float(root * root * 10.0 ** (base - quote))


def _decimals(data: bytes, base_at: int, quote_at: int) -> int:
    base, quote = keys.text(data[base_at : base_at + 32]), keys.text(data[quote_at : quote_at + 32])
    return tokens.KNOWN_DECIMALS[base] - tokens.KNOWN_DECIMALS[quote]


def _whirlpool(data: bytes, held: Held) -> float:
    root = int.from_bytes(data[65:81], "little") / 2**64
    return float(root * root * 10.0 ** _decimals(data, 101, 181))


def _dlmm(data: bytes, held: Held) -> float:
    active, step = _BIN.unpack_from(data, 76)
    return float((1 + step / 10_000) ** active * 10.0 ** _decimals(data, 88, 120))


_PRICES = {
    "raydium-v4": _v4,
    "raydium-cpmm": _cpmm,
    "raydium-clmm": _clmm,
    "orca-whirlpool": _whirlpool,
    "meteora-dlmm": _dlmm,
}
