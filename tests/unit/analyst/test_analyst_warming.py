"""An analyst that starts beside a log knows what one knows that ran on."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from analyst_bed import Lived

import bed as waits
from spread_scanner.analyst.main import Sampling
from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.recorder.recording import Recording
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.names import RECORDER, WAL_FOLDER
from spread_scanner.shm import Control


class Recorded:
    """An analyst, and a recorder beside it. What happens does so between two seconds."""

    def __init__(self, bed: Any, clock: VirtualClock, enter: Any) -> None:
        self.clock, self.chance = clock, random.Random(waits.seed())
        self.lived = Lived(bed, enter, clock)
        self.samplings = [self.lived.sampling]
        to_half_ns = 3 * NS_PER_S // 2 - self.lived.store.clock.now_ns() % NS_PER_S
        clock.advance_ms(to_half_ns / NS_PER_MS)
        row = enter(self.lived.health.claim(RECORDER))
        slot = enter(enter(Control.attach(bed.namespace)).claim(RECORDER))
        log = logs.set_up(RECORDER, "error")
        self.recording = Recording(Process(RECORDER, bed.settings, log, row, slot))
        enter(contextlib.closing(self.recording))
        for writer in self.lived.writers:
            writer.heartbeat(clock.mono_ns())  # which looks whether anybody records
        self.recording.turn()
        self.lived.sampling._last = self.lived.store.clock.now_ns() // NS_PER_S

    def second(self) -> None:
        """From half to half; now and then a quote comes at the very second."""
        for writer in self.lived.writers:
            writer.heartbeat(self.clock.mono_ns())
        self._quote()
        if self.chance.random() < 0.1:
            self.lived.writers[0].mark_stale(np.array([0], np.uint16), int(QuoteFlag.SILENT))
        self.recording.turn()
        self.clock.advance_ms(500)
        if self.chance.random() < 0.2:
            self._quote()
        for sampling in self.samplings:
            sampling.turn()
        self.recording.turn()
        self.clock.advance_ms(500)

    def _quote(self) -> None:
        mid = 100.0 + self.chance.random()
        for symbol_id in (0, 1):
            if self.chance.random() < 0.8:
                self.lived.price({0: mid, 3: mid + self.chance.random()}, symbol_id)

    def again(self, *, reloads: bool = False) -> Sampling:
        """Another life of the analyst, which has gone through the log; with a reload in between it
        begins to do so once more."""
        lived = self.lived
        made = Sampling(lived.process, lived.store, lived.sampling._writer, lived.analysis)
        if reloads:
            made.turn()
            made.prepared(lived.process.settings)()
        assert made.warming
        for _ in range(4):
            self.second()
            self.lived.writers[0].heartbeat(self.clock.mono_ns())
            self.recording.turn()
            made.turn()
        assert not made.warming
        return made


@pytest.fixture
def recorded(up_bed: Any, virtual_clock: VirtualClock) -> Iterator[Recorded]:
    with contextlib.ExitStack() as stack:
        yield Recorded(up_bed, virtual_clock, stack.enter_context)


@pytest.mark.parametrize("reloads", [False, True])
def test_it_knows_what_one_knows_that_ran_on(recorded: Recorded, reloads: bool) -> None:
    for _ in range(60 if reloads else 150):
        recorded.second()
    again = recorded.again(reloads=reloads)
    recorded.samplings.append(again)
    for _ in range(5):
        recorded.second()
    ran_on = recorded.lived.sampling.kept
    assert ran_on.of_pairs["weight"].max() > 50
    assert np.isfinite(ran_on.of_cells["frames"]["closed"]["ema"]).any()
    for ours, theirs in (
        (again.kept.of_pairs, ran_on.of_pairs),
        (again.kept.of_cells, ran_on.of_cells),
    ):
        for name, one, other in zip(
            ours.dtype.names or (), _flat(ours), _flat(theirs), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_second_that_the_log_told_is_not_looked_at_again(recorded: Recorded) -> None:
    """The log is gone through while time goes on, up to the second of now; the living market begins
    with the next, and none is missed."""
    for _ in range(5):
        recorded.second()
    lived = recorded.lived

    def now_s() -> int:
        return int(lived.store.clock.now_ns()) // NS_PER_S

    recorded.samplings.clear()
    began_s = now_s()
    again = Sampling(lived.process, lived.store, lived.sampling._writer, lived.analysis)
    while again.warming:
        assert now_s() < began_s + 5
        recorded.second()
        lived.writers[0].heartbeat(recorded.clock.mono_ns())
        recorded.recording.turn()
        again.turn()
    samples = lived.counter("samples")
    assert again._warmed_s == now_s() > began_s
    again.turn()
    assert lived.counter("samples") == samples
    recorded.samplings.append(again)
    recorded.second()
    assert (lived.counter("samples"), lived.counter("samples_missed")) == (samples + 1, 0)


def test_a_log_that_is_damaged_is_read_as_far_as_it_goes(recorded: Recorded) -> None:
    for _ in range(5):
        recorded.second()
    folder = recorded.lived.bed.settings.data_dir / WAL_FOLDER
    recorded.recording.log.sync()
    path = min(folder.glob("*.wal"))
    with path.open("r+b") as file:
        file.seek(4_096 + 40)
        file.write(b"\xff" * 8)
    lived = recorded.lived
    again = Sampling(lived.process, lived.store, lived.sampling._writer, lived.analysis)
    again.turn()
    assert not again.warming
    recorded.samplings.append(again)
    for _ in range(5):
        recorded.second()
    assert 2 < again.kept.of_pairs["weight"].max() <= 5


def _flat(records: np.ndarray) -> list[np.ndarray]:
    """Each field's numbers, those of fields within it side by side."""
    return [_numbers(records[name]) for name in records.dtype.names or ()]


def _numbers(column: np.ndarray) -> np.ndarray:
    if not column.dtype.names:
        return np.asarray(column, np.float64).reshape(-1)
    return np.concatenate([_numbers(column[name]) for name in column.dtype.names])
