"""Two processes on one store and one ring, with payloads that show tearing, loss and invention."""

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from shm_traffic import MIX, RECORD, WAIT_MS, quotes_of

from spread_scanner.schema.enums import DIRTY_READERS, QuoteFlag
from spread_scanner.shm import PriceStore, SignalRing

HERE = Path(__file__).parent
Scale = Callable[[int, int], int]
pytestmark = [pytest.mark.stress, pytest.mark.timeout(3600)]


@contextlib.contextmanager
def other_process(role: str, *args: object) -> Iterator["subprocess.Popen[str]"]:
    """A process of shm_traffic.py that ends with the block, well or not at all."""
    child = subprocess.Popen(
        [sys.executable, str(HERE / "shm_traffic.py"), role, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.communicate()


def torn(found: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """Which of the quotes are not whole, or not of their symbol."""
    expected = quotes_of(symbols, found["update_id"])
    expected["epoch"], expected["flags"] = found["epoch"], found["flags"]
    return np.asarray(found != expected)


def test_c1_c2_reads_are_whole_and_versions_never_go_back(
    namespace: str, scale: Scale, seed: int
) -> None:
    reads = scale(1_500_000, 100_000_000)
    symbols = np.repeat(np.arange(4, dtype=np.uint16), 500)
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=4) as store,
        other_process("hammer", namespace, 0, seed),
    ):
        deadline = time.monotonic() + 60
        while not (store.sequences > 0).all():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        last = np.zeros(4, np.uint64)
        changes = done = 0
        while done < reads or changes < 100:  # or nothing was tested
            found = store.read_many(0, symbols)
            assert not torn(found, symbols).any()
            assert not (found["flags"] & ~np.uint32(QuoteFlag.CONTENDED)).any()
            versions = found["update_id"].reshape(4, 500)
            assert (versions[:, 0] >= last).all()
            assert (versions[:, 1:] >= versions[:, :-1]).all()
            changes += int(np.count_nonzero(versions[:, 1:] != versions[:, :-1]))
            last = versions[:, -1]
            done += len(symbols)


def test_b1_after_quiesce_every_last_version_was_seen(
    namespace: str, scale: Scale, seed: int
) -> None:
    """The reader parks in between: W1 in passing, as a lost wake-up would end a wait."""
    count = scale(20_000, 1_000_000)
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=300) as store,
        store.dirty(DIRTY_READERS[0]) as dirty,
    ):
        dirty.take_all()
        seen = np.zeros(300, np.uint64)
        with other_process("scatter", namespace, count, seed) as child:
            while True:
                ended = child.poll() is not None  # before the scan: what follows it is complete
                symbols = dirty.take(0)
                if len(symbols):
                    found = store.read_many(0, symbols)
                    assert not torn(found, symbols).any()
                    assert (found["update_id"] >= seen[symbols]).all()
                    seen[symbols] = found["update_id"]
                elif ended:
                    break
                else:
                    dirty.wait(50.0)
        final = store.read_many(0, np.arange(300, dtype=np.uint16))
        assert (final["update_id"] == seen).all()
        assert seen.max() == count


def test_r1_the_ring_loses_and_invents_nothing_between_processes(
    namespace: str, scale: Scale, seed: int
) -> None:
    count = scale(400_000, 20_000_000)
    random_ = random.Random(seed)
    with (
        SignalRing.create(
            namespace, "r", slots=256, record_dtype=RECORD, start=2**64 - 999
        ) as ring,
        ring.consumer() as consumer,
    ):
        with other_process("push", namespace, count, seed):
            expected = 0
            while expected < count:
                found = consumer.pop_many(random_.randrange(1, 300))
                if len(found) == 0:
                    assert consumer.wait(WAIT_MS), "a wait ended by its time-out"
                    continue
                numbers = np.arange(expected, expected + len(found), dtype=np.uint64)
                assert (found["number"] == numbers).all()
                assert (found["check"] == numbers * MIX).all()
                expected += len(found)
        counters = ring.counters()
        assert (counters.popped, counters.in_ring) == (count, 0)
        assert counters.pushed == counters.popped + counters.dropped


def test_w1_no_handshake_ends_by_its_time_out(namespace: str, scale: Scale, seed: int) -> None:
    """Ping-pong through two bitmaps, both sides parked in between, with random delays."""
    count = scale(10_000, 1_000_000)
    random_ = random.Random(seed)
    one = np.zeros(1, np.uint16)
    with (
        PriceStore.create(namespace, num_sources=2, max_symbols=1) as store,
        store.writer(0) as writer,
        store.dirty(DIRTY_READERS[0]) as dirty,
        other_process("ping", namespace, count, seed) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for version in range(1, count + 1):
            writer.write_many(one, quotes_of(one, np.array([version])))
            for _ in range(random_.randrange(200)):
                pass
            while True:
                dirty.take_all()  # its own marks too, or it would never park
                answer = store.read(1, 0)
                if answer is not None and answer.update_id == version:
                    break
                assert dirty.wait(WAIT_MS), f"a wait ended by its time-out at {version}"
        parked = dirty.notifications
        assert parked > count // 10  # or nothing was tested


def test_w3_no_system_call_while_the_reader_is_awake(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=8) as store,
        store.writer(0) as writer,
        store.dirty(DIRTY_READERS[0]) as dirty,
        SignalRing.create(namespace, "r", slots=64, record_dtype=RECORD) as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
    ):
        for number in range(20_000):
            writer.write(number % 8, 1.0, 1.0, 2.0, 1.0, 1, 1, number)
            assert len(dirty.take(0)) in (1, 8)
            producer.push_many(np.zeros(2, RECORD))
            assert len(consumer.pop_many(9)) == 2
        assert dirty.notifications == 0
        assert ring.counters().notifications == 0


COUNTED = """
import sys
from spread_scanner.schema.enums import DIRTY_READERS
from spread_scanner.shm import PriceStore
store = PriceStore.create(sys.argv[1], num_sources=1, max_symbols=8)
writer, dirty = store.writer(0), store.dirty(DIRTY_READERS[0])
dirty.take(0)
if sys.argv[3] == "parks":
    dirty.wait(1.0)
for number in range(int(sys.argv[2])):
    writer.write(number % 8, 1.0, 1.0, 2.0, 1.0, 1, 1, number)
    dirty.take(0)
"""


def traced_calls(log: Path, *args: object) -> list[str]:
    """The system calls of COUNTED, one a line."""
    command = ["strace", "-f", "-o", str(log), sys.executable, "-c", COUNTED, *map(str, args)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    except subprocess.CalledProcessError as error:
        if b"ptrace" in error.stderr:
            pytest.skip("strace may not trace here")
        raise
    return log.read_text().splitlines()


def test_w3_strace_sees_no_futex_call_while_the_reader_is_awake(
    namespace: str, tmp_path: Path
) -> None:
    """Counted from outside. Futexes that are private to a process are not ours."""
    few = traced_calls(tmp_path / "few", namespace, 1, "spins")
    many = traced_calls(tmp_path / "many", namespace, 100_000, "spins")
    ours = ("FUTEX_WAIT,", "FUTEX_WAKE,")
    assert not [line for line in few + many if any(call in line for call in ours)]
    assert abs(len(many) - len(few)) < 1000
    parked = traced_calls(tmp_path / "parked", namespace, 1, "parks")
    assert [line for line in parked if ours[0] in line]  # the counting does count


KILLS = 200


def killed(form: str, namespace: str, seed: int) -> int:
    """How many of 200 kills left a reader with something bad."""
    command = [
        sys.executable,
        str(HERE / "shm_kill_writers.py"),
        form,
        namespace,
        str(KILLS),
        str(seed),
    ]
    return int(subprocess.check_output(command, text=True, timeout=100))


def test_c3_c5_a_writer_killed_at_random_leaves_no_bad_read_and_no_claim(
    namespace: str, seed: int
) -> None:
    assert killed("latch", namespace, seed) == 0


def test_c3_mutant_the_odd_even_seqlock_in_plain_python_fails_the_same_test(
    namespace: str, seed: int
) -> None:
    bad = killed("oddeven", namespace, seed)
    print(f"{bad} of {KILLS} kills left it odd or torn")
    assert bad > KILLS // 20
