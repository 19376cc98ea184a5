"""The porch that shared memory stands on: clocks that may step, errors that carry their evidence,
and how light the room is to enter."""

import pytest

from spread_scanner.clock import NS_PER_MS, SessionClock, VirtualClock
from spread_scanner.errors import (
    BadMessage,
    Category,
    ConfigError,
    ExchangeError,
    SegmentError,
    SpreadError,
    TableError,
)
from spread_scanner.shm import PriceStore


@pytest.mark.parametrize("asleep_ms", [0.0, 3_600_000.0])
@pytest.mark.parametrize("step_ms", [-3_600_000.0, -1.0, 0.0, 1.0, 3_600_000.0])
def test_session_time_notices_a_suspend_but_no_step_of_the_wall_clock(
    step_ms: float, asleep_ms: float, virtual_clock: VirtualClock
) -> None:
    session = SessionClock(virtual_clock.wall_ns() - virtual_clock.mono_ns())
    assert session.now_ns() == virtual_clock.wall_ns()
    quote_ns = session.now_ns()
    virtual_clock.advance_ms(20)
    virtual_clock.step_wall_ms(step_ms)
    virtual_clock.suspend_ms(asleep_ms)
    virtual_clock.advance_ms(30)
    assert session.now_ns() - quote_ns == (50 + asleep_ms) * NS_PER_MS
    assert session.step_ns() == step_ms * NS_PER_MS


def test_all_who_attach_share_the_anchor(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=1) as store,
        PriceStore.attach(namespace) as other,
    ):
        assert store.clock.anchor_ns == other.clock.anchor_ns
        first, second = store.clock.now_ns(), other.clock.now_ns()
        assert first <= second


def test_an_error_shows_its_evidence_and_cuts_long_bytes() -> None:
    error = SpreadError("bad thing", key="name", count=3, raw=b"x" * 500)
    assert str(error).startswith("bad thing (key='name', count=3, raw=b'xxx")
    assert len(str(error)) < 260
    assert error.evidence["count"] == 3
    assert str(SpreadError("plain")) == "plain"


def test_errors_say_what_their_receiver_should_do() -> None:
    assert ConfigError.category is SegmentError.category is TableError.category is Category.FATAL
    assert SpreadError.category is ExchangeError.category is Category.ERROR
    assert BadMessage.category is Category.WARN


def test_entering_the_room_brings_no_luggage(run_python: object) -> None:
    """A process that only imports the room stays under 45 MB: it pulls in numpy and little else."""
    assert callable(run_python)
    code = (
        "import spread_scanner.shm, sys\n"
        "heavy = {'msgspec', 'asyncio', 'httpx', 'structlog', 'typer', 'rich', 'socket', 'ssl'}\n"
        "status = open('/proc/self/status').read()\n"
        "peak_kb = int(status.split('VmHWM:')[1].split()[0])\n"
        "print(sorted(heavy & sys.modules.keys()), peak_kb < 45 * 1024)\n"
    )
    assert run_python(code) == (0, "[] True\n")
