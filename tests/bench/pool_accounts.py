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
