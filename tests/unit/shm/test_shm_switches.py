"""What stands switched has a name, an age and an author, whole or not at all."""

import os
import signal
from collections.abc import Callable

import pytest

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm import Control
from spread_scanner.shm.layout import STANDING_AT, STANDING_MAX, SWITCH_DTYPE
from spread_scanner.shm.operator import Operator, Who
from spread_scanner.shm.switches import Switch, symbol_key

ALICE = Who("alice", 4_711, "spread-ctl kill")
BOB = Who("bob", 4_712, "spread-ctl pause x")
ALL = [
    Switch(SwitchKind.HALT, "", 1, *ALICE),
    Switch(SwitchKind.PROCESS, "spread-engine", 2, *ALICE),
    Switch(SwitchKind.SOURCE, "okx-spot", 3, *ALICE),
    Switch(SwitchKind.DIRECTION, "binance-okx", 4, *ALICE),
    Switch(SwitchKind.SYMBOL, "BTC-USDT", 5, *ALICE),
    Switch(SwitchKind.SYMBOL, "\u5e01\u5b89-USDT", 6, *BOB),
]


def test_what_is_given_at_the_making_is_in_force_with_its_author(namespace: str) -> None:
    with Control.create(namespace, ALL) as control:
        assert control.standing == ALL
        assert control.killed
        assert control.paused("spread-engine")
        assert control.paused_sources == [4]
        assert control.paused_directions == [1]


def test_a_switch_knows_who_set_it_first_and_forgets_him_when_it_is_taken_back(
    namespace: str,
) -> None:
    with Control.create(namespace) as control:
        with control.operator(ALICE) as operator:
            operator.kill()
        with control.operator(BOB) as operator:
            operator.kill()
            operator.switch(SwitchKind.SYMBOL, "BTC-USDT")
        halt, symbol = control.standing
        assert (halt.kind, halt.user, halt.pid, halt.command) == (SwitchKind.HALT, *ALICE)
        assert (symbol.name, symbol.user) == ("BTC-USDT", "bob")
        assert 0 < halt.since_wall_ns <= symbol.since_wall_ns
        with control.operator(ALICE) as operator:
            operator.kill(killed=False)
        with control.operator(BOB) as operator:
            operator.kill()
        assert control.standing[0].user == "bob"


def test_one_of_unknown_age_counts_from_the_making_on(namespace: str) -> None:
    """As the file has it of an operator that was killed before the record."""
    before_ns = clock.wall_ns()
    with Control.create(namespace, [Switch(SwitchKind.HALT, "")]) as control:
        (halt,) = control.standing
    assert before_ns <= halt.since_wall_ns <= clock.wall_ns()
    assert (halt.user, halt.command) == ("", "")


def test_what_this_version_does_not_know_is_carried_along(namespace: str) -> None:
    """A source of a newer version: nothing here to switch, but it is not forgotten."""
    odd = Switch(SwitchKind.SOURCE, "kraken-spot", 7, *ALICE)
    with Control.create(namespace, [odd]) as control:
        assert control.paused_sources == []
        assert control.standing == [odd]
        with control.operator() as operator:
            operator.switch(SwitchKind.SOURCE, "kraken-spot", on=False)
        assert control.standing == []


def test_room_for_switches_has_an_end_and_says_so(namespace: str) -> None:
    with Control.create(namespace) as control, control.operator() as operator:
        for number in range(STANDING_MAX):
            operator.switch(SwitchKind.SYMBOL, f"C{number}-USDT")
        with pytest.raises(SegmentError, match="no room"):
            operator.switch(SwitchKind.SYMBOL, "ONE-MORE")
        operator.switch(SwitchKind.SYMBOL, "C0-USDT", on=False)
        operator.switch(SwitchKind.SYMBOL, "ONE-MORE")
        assert "ONE-MORE" in control.paused_symbols
        operator.switch(SwitchKind.SYMBOL, "ONE-MORE", on=False)
        with pytest.raises(SegmentError, match="at most 64"):
            operator.switch(SwitchKind.SYMBOL, "C" * 65)


def test_a_torn_record_is_nobodys(namespace: str) -> None:
    with Control.create(namespace) as control, control.operator(ALICE) as operator:
        operator.switch(SwitchKind.SYMBOL, "BTC-USDT")
        held = operator._held
        held.put_bytes(STANDING_AT + 40, b"???")  # within the name
        assert control.standing == []


def killed_at_store(control: Control, number: int, act: Callable[[Operator], object]) -> bool:
    """Act in a child that is killed before its store of that number; whether it was."""
    pid = os.fork()
    if pid == 0:
        with control.operator(BOB) as operator:
            _count_stores(operator, number)
            act(operator)
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def _count_stores(operator: Operator, number: int) -> None:
    """Every store of an operator goes through its segment's words and bytes, or a record."""
    held, left = operator._held, [number]

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class Words:
        def __init__(self) -> None:
            self.real = held.words

        def store(self, at: int, value: int) -> None:
            step()
            self.real.store(at, value)

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    put = held.put_bytes

    def put_bytes(at: int, data: bytes) -> None:
        step()
        put(at, data)

    held.words, held.put_bytes = Words(), put_bytes  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize("on", [True, False])
def test_an_operator_killed_at_any_store_leaves_a_symbol_paused_or_not(
    namespace: str, on: bool
) -> None:
    stands = [Switch(SwitchKind.SYMBOL, "BTC-USDT", 5, *ALICE)]
    number, died = 0, True
    while died:
        with Control.create(namespace, [] if on else stands) as control:
            died = killed_at_store(
                control,
                number,
                lambda operator: operator.switch(SwitchKind.SYMBOL, "BTC-USDT", on=on),
            )
            assert control.paused_symbols in ([], ["BTC-USDT"])
            if not died:
                assert control.paused_symbols == (["BTC-USDT"] if on else [])
            with control.operator(ALICE) as operator:  # the next one finds everything in order
                operator.switch(SwitchKind.SYMBOL, "BTC-USDT")
                operator.switch(SwitchKind.SYMBOL, "ETH-USDT")
                assert control.paused_symbols == ["BTC-USDT", "ETH-USDT"]
        number += 1
    assert number >= 3


def test_keys_are_never_taken_for_another_mark() -> None:
    keys = {symbol_key(f"C{number}-USDT") for number in range(10_000)}
    assert len(keys) == 10_000
    assert min(keys) >> 63 == 1
    assert SWITCH_DTYPE.itemsize % 128 == 0
