"""The gate: who waits for whom, who hears of a ban, and what a refusal means for all."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.runtime import refusals
from spread_scanner.runtime.gate import Ban, Gate, Gates, Pace, gate_name
from spread_scanner.runtime.refusals import pause_of, retry_after_s
from spread_scanner.shm import segment
from spread_scanner.shm.dials import Dials

DEADLINE_S = 60.0  # a busy machine may need it, a good run does not
WALL_NS = 1_790_000_000 * NS_PER_S  # Mon, 21 Sep 2026 14:13:20 GMT

# What an exchange answers, and for how long nobody dials: (status, Retry-After, seconds).
ANSWERS: list[tuple[int, str, float]] = [
    (403, "", 15.0),
    (418, "", 120.0),
    (429, "", 10.0),
    (451, "", 300.0),
    (418, "180", 180.0),
    (429, "2.5", 2.5),
    (429, "Mon, 21 Sep 2026 14:14:20 GMT", 60.0),
    (429, "Mon, 21 Sep 2026 14:12:20 GMT", 10.0),  # over already: said for how long it was not
    (418, "Mon, 21 Sep 2026 14:13:20 GMT", 120.0),
    (403, "Thu, 01 Jan 1970 00:00:00 GMT", 15.0),
    (451, "Mon, 21 Sep 2026 14:13:19 GMT", 300.0),
    (429, "Mon Sep 21 14:14:20 2026", 60.0),  # asctime's form is in GMT, too
    (429, "1_000", 10.0),
    (429, "0", 10.0),
    (418, "0", 120.0),
    (403, "0.0", 15.0),
    (451, "-0", 300.0),
    (429, "soon", 10.0),  # garbage is no order, the status is
    (429, "-5", 10.0),
    (429, "nan", 10.0),
    (429, "inf", 10.0),
    (429, "Mon, 99 Sep 2026", 10.0),
    (418, "1e12", 259_200.0),  # three days and no more
    (503, "", 0.0),
    (503, "0", 0.0),
    (503, "Mon, 21 Sep 2026 14:12:20 GMT", 0.0),
    (503, "30", 30.0),
    (503, "86400", 300.0),  # a maintenance page's word is not taken for a day
    (500, "", 0.0),
    (404, "", 0.0),
    (302, "", 0.0),
]


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize(("status", "text", "seconds"), ANSWERS)
def test_what_is_answered_is_what_everybody_waits(status: int, text: str, seconds: float) -> None:
    with clock.use(VirtualClock(wall_ns=WALL_NS)):
        gate = Gate(Dials.private(), "x", Pace(1.0))
        gate.refused(status, retry_after_s(text, clock.wall_ns()))

        ban = gate.ban()
        assert (ban.left_s if ban is not None else 0.0) == pytest.approx(seconds)
        assert ban is None or ban.status == status


def test_a_cut_retry_after_is_said() -> None:
    pause = pause_of(418, 1e9)

    assert pause is not None
    assert pause.note == "Retry-After of 1,000,000,000 s cut to 259,200 s"


@pytest.mark.parametrize("text", ["", "0"])
def test_a_ban_that_is_repeated_doubles_up_to_ten_minutes_and_begins_anew_after_a_rest(
    text: str,
) -> None:
    with clock.use(VirtualClock()) as time:
        gate = Gate(Dials.private(), "x", Pace(1.0))
        lasted = []
        for _ in range(9):
            gate.refused(429, retry_after_s(text, clock.wall_ns()))
            ban = gate.ban()
            assert ban is not None
            lasted.append(ban.left_s)
            time.advance_ms(ban.left_s * 1_000 + 100)
        assert lasted == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0, 600.0]

        time.advance_ms(600_000)
        gate.refused(429, None)
        ban = gate.ban()
        assert ban is not None
        assert ban.left_s == 10.0


def test_the_answers_to_one_burst_are_one_refusal() -> None:
    with clock.use(VirtualClock()) as time:
        time.advance_ms(3_600_000)
        gate = Gate(Dials.private(), "x", Pace(0.8, 20))
        burst_ns = clock.mono_ns()
        for _ in range(20):
            time.advance_ms(5)
            gate.refused(429, None, burst_ns)
        ban = gate.ban()
        assert ban is not None
        assert ban.left_s == 10.0

        time.advance_ms(10_500)  # the slowest answer comes when the ban is over
        gate.refused(429, None, burst_ns)
        ban = gate.ban()
        assert ban is not None
        assert ban.left_s == 10.0

        time.advance_ms(10_500)
        gate.refused(429, None, clock.mono_ns())
        ban = gate.ban()
        assert ban is not None
        assert ban.left_s == 20.0


def test_a_longer_word_of_the_same_burst_holds() -> None:
    with clock.use(VirtualClock()) as time:
        gate = Gate(Dials.private(), "x", Pace(1.0))
        begun_ns = clock.mono_ns()
        gate.refused(429, None, begun_ns)
        time.advance_ms(5)
        gate.refused(418, None, begun_ns)
        ban = gate.ban()
        assert ban is not None
        assert (ban.status, ban.left_s) == (418, 120.0)


def test_a_ban_reads_as_a_sentence() -> None:
    assert str(Ban(418, 119.6)) == "418 banned, nobody dials for 120 s more"
    assert refusals.in_words(599) == "599 server error"


def test_who_waits_long_holds_up_nobody() -> None:
    """One line in a pause of 30 s and one that dials now: it has its turn at once."""

    async def went_before() -> bool:
        gate = Gate(Dials.private(), "x", Pace(5.0))
        sick = asyncio.create_task(_after(30.0, gate))
        await asyncio.sleep(0)
        await gate.turn()
        pauses_still = not sick.done()
        sick.cancel()
        return pauses_still

    assert asyncio.run(went_before())


async def _after(pause_s: float, gate: Gate) -> None:
    await asyncio.sleep(pause_s)
    await gate.turn()


def test_one_who_gives_up_waiting_takes_no_turn_with_it() -> None:
    async def went() -> list[int]:
        gate = Gate(Dials.private(), "x", Pace(20.0))
        order: list[int] = []

        async def go(number: int) -> None:
            await gate.turn()
            order.append(number)

        await gate.turn()
        tasks = [asyncio.create_task(go(number)) for number in range(4)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), DEADLINE_S)
        return order

    assert asyncio.run(went()) == [1, 3]


def test_a_ban_told_to_one_process_keeps_another_from_dialling(
    namespace: str, run_python: Callable[..., tuple[int, str]]
) -> None:
    code = """
import asyncio, sys
from spread_scanner.runtime.gate import Gates
with Gates(sys.argv[1]) as gates:
    gates.gate("okx", "wss://ws.test/", "").refused(418, 600.0)
"""
    with Gates(namespace) as gates:
        mine = gates.gate("okx", "wss://ws.test/", "")
        others = gates.gate("okx", "wss://ws.test/", "http://proxy:8080")
        assert run_python(code, namespace) == (0, "")

        ban = mine.ban()
        assert ban is not None
        assert ban.status == 418
        assert 500 < ban.left_s <= 600
        assert others.ban() is None

        async def turn() -> None:
            await asyncio.wait_for(mine.turn(), 0.05)

        with pytest.raises(TimeoutError):
            asyncio.run(turn())
        asyncio.run(others.turn())


def test_after_a_ban_they_go_one_by_one() -> None:
    """A burst would be banned anew all together; the first one finds out for the others."""

    async def went() -> int:
        gate = Gate(Dials.private(), "x", Pace(2.0, burst=20))
        gate.refused(429, 0.05)
        tasks = [asyncio.create_task(gate.turn()) for _ in range(5)]
        await asyncio.wait(tasks, timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        gate.refused(429, 600.0)
        await asyncio.sleep(0.1)
        done = sum(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        return done

    assert asyncio.run(went()) == 1


def test_new_slots_are_followed(namespace: str) -> None:
    async def turns() -> None:
        with Gates(namespace) as gates:
            gate = gates.gate("okx", "wss://ws.test/", "", Pace(0.001))
            await gate.turn()
            segment.remove(segment.segment_name(namespace, "dials"))
            await asyncio.wait_for(gate.turn(), DEADLINE_S)

    asyncio.run(turns())


def test_without_shared_memory_it_paces_for_itself(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_: str) -> Dials:
        raise FileNotFoundError("/dev/shm")

    monkeypatch.setattr(Dials, "open", nowhere)
    with Gates(namespace) as gates:
        assert "/dev/shm" in gates.fault
        asyncio.run(gates.gate("okx", "wss://ws.test/", "").turn())


@pytest.mark.parametrize(
    ("url", "proxy", "name"),
    [
        ("wss://ws.okx.com:8443/ws/v5/public", "", "okx ws.okx.com direct"),
        ("wss://ws.okx.com/x?y", "", "okx ws.okx.com direct"),
        ("wss://ws.okx.com/", "socks5://me:secret@p:1080", "okx ws.okx.com me@p:1080"),
        ("wss://[::1]:9/", "http://p:3128", "okx ::1 p:3128"),
    ],
)
def test_an_address_is_named_by_host_and_way_out(url: str, proxy: str, name: str) -> None:
    assert gate_name("okx", url, proxy) == name


def test_one_killed_between_turn_and_dial_costs_one_turn(
    namespace: str, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    code = """
import asyncio, os, signal, sys
from spread_scanner.runtime.gate import Gates, Pace
async def main():
    gate = Gates(sys.argv[1]).gate("okx", "wss://ws.test/", "", Pace(2.0))
    for _ in range(20): asyncio.create_task(gate.turn())
    await gate.turn() if False else await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    start_python(code, namespace).wait()

    async def wait_s() -> float:
        loop = asyncio.get_running_loop()
        with Gates(namespace) as gates:
            began_s = loop.time()
            await asyncio.wait_for(
                gates.gate("okx", "wss://ws.test/", "", Pace(2.0)).turn(), DEADLINE_S
            )
            return loop.time() - began_s

    assert asyncio.run(wait_s()) <= 0.6  # one turn of 2 a second, though twenty were wanted
