"""What is remembered of arrays: the last of each, while it is asked for."""

import pool_accounts as made
import pytest

from spread_scanner.solana import PoolReason, PoolRefusal, packed
from spread_scanner.solana.pool import ASKED_IN_TURN, REMEMBERED_MAX, LastSeen


def test_the_same_bytes_are_read_once_and_others_anew() -> None:
    read: list[bytes] = []

    def size(data: bytes) -> int:
        read.append(data)
        return len(data)

    seen = LastSeen[int]()
    for data in (b"one", b"one", bytes(bytearray(b"one")), b"three", b"one"):
        assert seen.of("a", data, size) == len(data)
    assert seen.of("b", b"one", size) == 3, "another account's"
    assert read == [b"one", b"three", b"one", b"one"]
    assert len(seen) == 2


def test_what_an_account_was_before_is_not_kept() -> None:
    seen = LastSeen[bytearray]()
    for number in range(1_000):
        assert seen.of("a", number.to_bytes(2, "little"), bytearray) == number.to_bytes(2, "little")
    assert len(seen) == 1


def test_accounts_that_nobody_asks_for_are_forgotten_and_others_stay() -> None:
    seen, read = LastSeen[int](), list[str]()

    def ask(account: str) -> None:
        def of(data: bytes) -> int:
            read.append(account)
            return len(data)

        assert seen.of(account, b"same", of) == 4

    stay = [f"stays {number}" for number in range(400)]
    for number in range(3 * ASKED_IN_TURN // len(stay)):
        for account in (f"left {number}", *stay):
            ask(account)
    per_turn = ASKED_IN_TURN // len(stay)
    assert len(seen) <= len(stay) + 2 * per_turn + 2
    assert [one for one in read if one in set(stay)] == stay, "read once"


def test_of_however_many_accounts_no_more_than_so_many_are_kept() -> None:
    seen = LastSeen[int]()
    for number in range(5 * REMEMBERED_MAX):
        seen.of(number, b"same", len)
    assert REMEMBERED_MAX <= len(seen) <= 2 * (REMEMBERED_MAX + 1)


def test_a_refusal_is_raised_each_time_and_nothing_else_is_said_meanwhile() -> None:
    def refuse(data: bytes) -> int:
        raise PoolRefusal(PoolReason.BAD_VALUE, said=data)

    seen = LastSeen[int]()
    assert seen.of("a", b"good", len) == 4
    for _ in range(2):
        with pytest.raises(PoolRefusal):
            seen.of("a", b"odd", refuse)
    assert seen.of("a", b"good", len) == 4
    assert len(seen) == 1


def test_arrays_that_are_written_again_and_again_take_no_more_room() -> None:
    """Each is 10 KB: of hundreds of their states one is kept."""
    pair, other = made.key("pair"), made.key("array")
    before = len(packed._DEFLATED)
    for amount in range(1, 300):
        accounts = {other: made.dlmm_bins(pair, 1, {70: (amount, 0)})}
        assert packed.unpack(packed.pack(accounts, (), 65_536)) == accounts
    assert len(packed._DEFLATED) <= before + 1
