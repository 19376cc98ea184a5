"""Bytes of an account: whether they are what a layout says, and the integers in them."""

from collections.abc import Iterator
from struct import Struct

from spread_scanner.solana.refusal import PoolReason, PoolRefusal

Q64_BITS = 64  # of a fixed-point number, those of its fraction
DECIMALS_MAX = 255  # a mint keeps them in one byte
U16, U32, I32 = Struct("<H"), Struct("<I"), Struct("<i")
U64, I64 = Struct("<Q"), Struct("<q")


def checked(data: bytes, what: str, *, length: int, kind: bytes = b"") -> None:
    """Refuse what is not of this length, or does not begin as this kind of account does."""
    if not data.startswith(kind):
        seen = bytes(data[: len(kind)])
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted=what, begins=seen.hex(), with_=kind.hex())
    if len(data) != length:
        raise PoolRefusal(
            PoolReason.WRONG_LENGTH, wanted=what, length=len(data), wanted_length=length
        )


def checked_decimals(what: str, found: tuple[int, int]) -> tuple[int, int]:
    """Refuse what no mint can have; programs keep them in more bytes than mints do."""
    if max(found) > DECIMALS_MAX:
        raise PoolRefusal(
            PoolReason.BAD_VALUE, wanted=what, decimals=found, allowed=f"0 to {DECIMALS_MAX}"
        )
    return found


def u16(data: bytes, at: int) -> int:
    found: int = U16.unpack_from(data, at)[0]
    return found


def u32(data: bytes, at: int) -> int:
    found: int = U32.unpack_from(data, at)[0]
    return found


def i32(data: bytes, at: int) -> int:
    found: int = I32.unpack_from(data, at)[0]
    return found


def u64(data: bytes, at: int) -> int:
    found: int = U64.unpack_from(data, at)[0]
    return found


def i64(data: bytes, at: int) -> int:
    found: int = I64.unpack_from(data, at)[0]
    return found


def u128(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 16], "little")


def i128(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 16], "little", signed=True)


def bits_of(word: int) -> Iterator[int]:
    """The places of those that are set, ascending."""
    while word:
        lowest = word & -word
        yield lowest.bit_length() - 1
        word ^= lowest
