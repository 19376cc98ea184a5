"""Health rows: percentiles, counters over restarts, life by lock."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable

import numpy as np
import pytest

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.counters import (
    COUNTERS_MAX,
    FEED_COUNTERS,
    FEED_HISTOGRAMS,
    HISTOGRAMS_MAX,
)
from spread_scanner.schema.enums import SOURCES, ProcessState
from spread_scanner.shm import Health, _rows
from spread_scanner.shm.faults import AlreadyClaimed
from spread_scanner.shm.health import BUCKETS, PERCENTILES, bucket_middle_ns, latency
from spread_scanner.shm.layout import PROCESSES_MAX

FEED = SOURCES[0].process
LATENCY = FEED_HISTOGRAMS[0].label


def test_buckets_follow_each_other_and_their_middles_are_near_every_value() -> None:
    assert [_rows.histogram_index(value) for value in (-5, 0, 1, 15, 16, 17, 31)] == [
        *(0, 0, 1, 15, 16, 17, 31)
    ]
    assert _rows.histogram_index(2**63 - 1) == BUCKETS - 1
    last = 15
    for power in range(4, 44):
        for part in range(64):
            value = 2**power + part * 2**power // 64
            index = _rows.histogram_index(value)
            assert last <= index <= last + 1
            assert abs(bucket_middle_ns(index) - value) <= max(0.5, 0.05 * value)
            last = index


@pytest.mark.parametrize("shape", ["lognormal", "uniform", "constant", "two_humps"])
def test_percentiles_are_within_five_per_cent(namespace: str, shape: str) -> None:
    seed = 20_251
    random = np.random.default_rng(seed)
    values = {
        "lognormal": random.lognormal(10, 2, 20_000),
        "uniform": random.uniform(1_000, 1_000_000, 20_000),
        "constant": np.full(20_000, 123_456.0),
        "two_humps": np.concatenate([random.normal(5e3, 100, 19_000), np.full(1_000, 3e6)]),
    }[shape].astype(np.int64)
    with Health.create(namespace) as health:
        with health.claim(FEED) as row:
            for value in values.tolist():
                row.observe(0, value)
        found = health.read(FEED).latencies[LATENCY]
    assert found.total == len(values)
    exact = np.percentile(values, PERCENTILES, method="inverted_cdf")
    assert np.allclose(found.percentiles_ns, exact, rtol=0.05), (seed, found, exact)
    assert found.max_ns == pytest.approx(values.max(), rel=0.05)


def test_an_empty_histogram_has_no_percentiles() -> None:
    empty = latency(np.zeros(BUCKETS, np.uint64))
    assert empty.total == 0
    assert np.isnan(empty.percentiles_ns).all()
    assert np.isnan(empty.max_ns)


def test_percentiles_of_one_value_and_of_the_largest() -> None:
    counts = np.zeros(BUCKETS, np.uint64)
    counts[7] = 1
    assert latency(counts).percentiles_ns == (7.0,) * len(PERCENTILES)
    counts[BUCKETS - 1] = 10**9
    assert latency(counts).percentiles_ns[0] == bucket_middle_ns(BUCKETS - 1)


def test_counters_keep_counting_over_restarts(namespace: str) -> None:
    with Health.create(namespace) as health:
        for life in range(1, 4):
            with health.claim(FEED) as row:
                row.add(0)
                row.add(1, 10)
                row.set(2, life)
                row.observe(1, 1000)
                assert health.read(FEED).starts == life
        found = health.read(FEED)
        labels = [counter.label for counter in FEED_COUNTERS]
        assert [found.counters[label] for label in labels[:4]] == [3, 30, 3, 0]
        assert found.latencies[FEED_HISTOGRAMS[1].label].total == 3
        assert list(found.counters) == labels


def test_a_row_says_what_its_process_does(namespace: str) -> None:
    with Health.create(namespace) as health, health.claim(FEED) as row:
        assert row.state is ProcessState.STARTING
        row.beat(ProcessState.DEGRADED, "disk full " + "x" * 200)
        row.cycle(500)
        row.cycle(400)
        row.generation(17)
        found = health.read(FEED)
        assert (found.process, found.alive, found.state) == (FEED, True, ProcessState.DEGRADED)
        assert found.message.startswith("disk full x")
        assert len(found.message) == 128
        assert (found.longest_cycle_ns, found.generation) == (500, 17)
        row.beat()
        again = health.read(FEED)
        assert again.state is ProcessState.DEGRADED
        assert again.message == found.message
        assert again.heartbeat_age_ns >= 0


HOLD = """
import sys
from spread_scanner.shm import Health
row = Health.attach(sys.argv[1]).claim(sys.argv[2])
row.add(0, 5)
print("claimed", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_process_is_alive_while_it_holds_its_lock_however_it_ends(
    namespace: str,
    start_python: Callable[..., "subprocess.Popen[str]"],
    until: Callable[[Callable[[], object]], None],
    end: signal.Signals | None,
) -> None:
    with Health.create(namespace) as health:
        assert not health.alive(FEED)
        child = start_python(HOLD, namespace, FEED)
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        assert health.alive(FEED)
        assert health.read(FEED).pid == child.pid
        with pytest.raises(AlreadyClaimed, match=FEED):
            health.claim(FEED)
        if end is None:
            assert child.stdin is not None
            child.stdin.close()
            child.stdin = None
        else:
            child.send_signal(end)
        until(lambda: not health.alive(FEED))
        assert health.read(FEED).alive is False
        with health.claim(FEED):
            assert health.read(FEED).counters[FEED_COUNTERS[0].label] == 5


def test_who_takes_a_row_has_beaten_before_it_is_found_there(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look in the midst of it, which takes its time on a busy machine, found no beat, or that of
    the life before: whoever looks after processes killed it as one that hangs."""
    with Health.create(namespace) as health, Health.attach(namespace) as looks:
        found = []

        def look() -> str:
            beat = looks.beat(FEED)
            assert beat is not None
            found.append((beat.pid, beat.heartbeat_age_ns < 60 * clock.NS_PER_S))
            return "0.1"

        monkeypatch.setattr("spread_scanner.shm.health.version", look)
        health.claim(FEED).close()
        assert found == [(os.getpid(), True)]


def test_rows_are_found_by_name_and_run_out(namespace: str) -> None:
    with Health.create(namespace) as health:
        for number in range(PROCESSES_MAX):
            health.claim(f"process-{number}").close()
        assert health.names() == [f"process-{number}" for number in range(PROCESSES_MAX)]
        health.claim("process-63").close()
        assert health.read("process-63").starts == 2
        assert health.read("process-0").counters == {}
        assert len(health.read_all()) == PROCESSES_MAX
        with pytest.raises(SegmentError, match="no row is left"):
            health.claim("one-more")
        with pytest.raises(SegmentError, match="no such process"):
            health.read("one-more")


@pytest.mark.parametrize("bad", ["", "x" * 32, "a\0b"])
def test_a_bad_process_name_is_refused(namespace: str, bad: str) -> None:
    with Health.create(namespace) as health, pytest.raises(SegmentError, match="bad process name"):
        health.claim(bad)


def test_ids_out_of_range_are_refused(namespace: str) -> None:
    with Health.create(namespace) as health, health.claim(FEED) as row:
        for number in (-1, COUNTERS_MAX):
            with pytest.raises(IndexError):
                row.add(number)
            with pytest.raises(IndexError):
                row.set(number, 1)
        for number in (-1, HISTOGRAMS_MAX):
            with pytest.raises(IndexError):
                row.observe(number, 1)


def test_new_rows_retire_the_old(namespace: str) -> None:
    with Health.create(namespace) as old, Health.create(namespace) as new:
        assert (old.retired, new.retired) == (True, False)
        assert new.names() == []


def test_a_histogram_is_read_while_its_owner_counts(namespace: str) -> None:
    """A reader of a row that is being written must see numbers, never an error of numpy's."""
    with Health.create(namespace) as health, health.claim("spread-engine") as row:
        done = threading.Event()

        def count() -> None:
            value = 1
            while not done.is_set():
                value = value * 3 % 1_000_003
                row.observe(0, value)

        counter = threading.Thread(target=count)
        counter.start()
        try:
            for _ in range(3_000):
                health.read("spread-engine")
        finally:
            done.set()
            counter.join()


def test_a_heartbeat_that_comes_while_it_is_read_is_not_of_the_future(namespace: str) -> None:
    class BeatsMeanwhile(clock.VirtualClock):
        reads = False

        def mono_ns(self) -> int:
            now_ns = super().mono_ns()
            if self.reads:
                self.reads = False
                self.advance_ms(30)
                row.beat(ProcessState.RUNNING)
            return now_ns

    with (
        clock.use(BeatsMeanwhile(mono_ns=10**9)) as moved,
        Health.create(namespace) as health,
        health.claim(FEED) as row,
    ):
        assert isinstance(moved, BeatsMeanwhile)
        row.beat(ProcessState.RUNNING)
        for look in (health.read, health.beat):
            moved.reads = True
            found = look(FEED)
            assert found is not None
            assert found.heartbeat_age_ns >= 0
            assert not moved.reads
