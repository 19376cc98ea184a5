"""Accounts as bytes for shared memory: what goes in comes out; what has no room is left out."""

import struct

import pytest

from spread_scanner.solana import PoolReason, PoolRefusal, keys
from spread_scanner.solana.packed import pack, unpack

NAMES = (
    keys.RAYDIUM_V4,
    keys.TOKEN,
    keys.TOKEN_2022,
    keys.SERUM_V3,
    keys.OPENBOOK_V1,
    keys.PHOENIX,
)
ROOM = 16_256


def array(number: int) -> tuple[str, bytes]:
    return keys.ORCA_WHIRLPOOL, bytes([number]) * 40 + bytes(9_948)


def noise(number: int) -> tuple[str, bytes]:
    """Bytes that do not deflate."""
    data = b"".join(
        struct.pack("<Q", (at * 6_364_136_223_846_793_005 + number) % 2**64) for at in range(1_200)
    )
    return keys.ORCA_WHIRLPOOL, data


def test_all_comes_back() -> None:
    accounts = {
        NAMES[0]: (keys.RAYDIUM_V4, b"state" * 100),
        NAMES[1]: (keys.TOKEN, b""),
        NAMES[2]: array(1),
        NAMES[3]: (keys.SYSTEM, b""),
    }
    assert unpack(pack(accounts, NAMES[:2], ROOM)) == accounts
    assert unpack(b"") == {}


def test_the_nearest_to_the_middle_stay_and_what_is_needed_always_does() -> None:
    arrays = dict(zip(NAMES[1:], map(noise, range(5)), strict=True))
    accounts = {NAMES[0]: (keys.RAYDIUM_V4, b"state"), **arrays}
    found = unpack(pack(accounts, NAMES[:1], ROOM))
    assert [*found] == [NAMES[0], NAMES[3]]
    assert found[NAMES[3]] == noise(2)


def test_no_room_for_what_is_needed_is_said_so() -> None:
    accounts = dict(zip(NAMES, map(noise, range(6)), strict=True))
    assert pack(accounts, NAMES[:2], ROOM) == b""
    assert len(unpack(pack(accounts, NAMES[:1], ROOM))) == 1


def test_an_account_of_a_program_that_no_pool_has_is_left_out() -> None:
    accounts = {NAMES[0]: (keys.RAYDIUM_V4, b"state"), NAMES[1]: (keys.PHOENIX, b"x")}
    assert [*unpack(pack(accounts, NAMES[:1], ROOM))] == [NAMES[0]]
    assert pack(accounts, NAMES[:2], ROOM) == b""


WHOLE = pack({NAMES[0]: (keys.RAYDIUM_V4, b"state")}, NAMES[:1], ROOM)


@pytest.mark.parametrize(
    "wrong",
    [
        WHOLE[:-1],
        WHOLE[:20],
        WHOLE[:32] + b"\xff" + WHOLE[33:],
        WHOLE[:33] + b"\1" + WHOLE[34:],
    ],
    ids=["cut in an account", "cut in a head", "of no program", "not deflated"],
)
def test_what_is_not_ours_is_refused(wrong: bytes) -> None:
    with pytest.raises(PoolRefusal) as caught:
        unpack(wrong)
    assert caught.value.reason is PoolReason.BAD_VALUE
