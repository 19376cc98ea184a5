"""A thread that has files synced: one at a time, each heard of once, with what the disk said of it,
whether the interpreter is needed for that or not.
"""

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from log_bed import SMALL, numbers, ticks

import bed
from spread_scanner import wal
from spread_scanner.schema.log import RecordKind
from spread_scanner.wal._syncing import SyncThread
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.writer import LogWriter

WAIT_S_MAX = 10.0
SOURCE = """
#include "syncing.h"
static atomic_int made;
static int count(void *of, int file) { (void)of; (void)file; return made++, 0; }
int made_until_now(void) { return made; }
void begin_and_end(int many) {
    while (many--) {
        ss_syncing *one = ss_syncing_new(count);
        ss_syncing_begin(one, 0, one);
        ss_syncing_end(one);
    }
}
"""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        yield file
    finally:
        os.close(file)


def in_python(file: int) -> None:
    os.fdatasync(file)


def held_until(go: threading.Event) -> Callable[[int], None]:
    def held(_: int) -> None:
        assert go.wait(WAIT_S_MAX), "nobody let it go"

    return held


def signal_main(number: int) -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, number)


def threads() -> set[str]:
    """Of this process, other tests' that end meanwhile among them."""
    return set(os.listdir("/proc/self/task"))


def test_the_disks_own_needs_no_interpreter() -> None:
    assert LogDisk().fdatasync is os.fdatasync


@pytest.mark.parametrize("call", [os.fdatasync, in_python])
def test_one_after_the_other_is_heard_of(tmp_path: Path, call: Callable[[int], None]) -> None:
    thread = SyncThread()
    with opened(tmp_path / "file") as file:
        for number in range(50):
            os.pwrite(file, b"x" * 1_000, number * 1_000)
            assert not thread.done, "none was begun"
            thread.begin(call, file)
            if number % 2:
                bed.until(lambda: thread.done)
            thread.result()


@pytest.mark.parametrize("call", [os.fdatasync, in_python])
@pytest.mark.parametrize(("what", "code"), [("pipe", errno.EINVAL), ("closed", errno.EBADF)])
def test_what_the_disk_refuses_is_raised_once(
    tmp_path: Path, call: Callable[[int], None], what: str, code: int
) -> None:
    thread = SyncThread()
    read, write = os.pipe()
    try:
        thread.begin(call, write if what == "pipe" else 1_000_000)
        with pytest.raises(OSError, match=os.strerror(code)) as refused:
            thread.result()
        assert refused.value.errno == code
        with opened(tmp_path / "file") as file:
            thread.begin(call, file)
            thread.result()
    finally:
        os.close(read)
        os.close(write)


def test_any_error_of_a_call_is_raised_as_it_was() -> None:
    error = ZeroDivisionError("mine")

    def broken(_: int) -> None:
        raise error

    thread = SyncThread()
    thread.begin(broken, 0)
    with pytest.raises(ZeroDivisionError) as raised:
        thread.result()
    assert raised.value is error


def test_two_at_a_time_are_refused_and_so_is_hearing_of_none(tmp_path: Path) -> None:
    go = threading.Event()
    thread = SyncThread()
    with pytest.raises(ValueError, match="none was begun"):
        thread.result()
    with pytest.raises(ValueError, match="an open file"):
        thread.begin(os.fdatasync, -1)
    thread.begin(held_until(go), 0)
    with pytest.raises(ValueError, match="one sync at a time"):
        thread.begin(os.fdatasync, 0)
    assert not thread.done
    go.set()
    thread.result()
    with pytest.raises(ValueError, match="none was begun"):
        thread.result()


def test_who_waits_still_takes_signals() -> None:
    go = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: go.set())
    try:
        thread = SyncThread()
        thread.begin(held_until(go), 0)
        signaller = threading.Timer(0.01, signal_main, (signal.SIGUSR1,))
        signaller.start()
        thread.result()
        signaller.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_thread_that_nobody_has_any_more_ends(tmp_path: Path) -> None:
    before = threads()
    with opened(tmp_path / "file") as file:
        for call in (None, os.fdatasync, in_python):
            thread = SyncThread()
            if call is not None:
                thread.begin(call, file)
                assert threads() - before
            del thread
            bed.until(lambda: not threads() - before)


def test_what_was_begun_is_synced_before_its_thread_ends(tmp_path: Path) -> None:
    (tmp_path / "ends.c").write_text(SOURCE)
    native = Path(wal.__file__).parent / "native"
    made, source = str(tmp_path / "ends.so"), str(tmp_path / "ends.c")
    command = ["cc", "-shared", "-fPIC", "-pthread", f"-I{native}", "-o", made, source]
    subprocess.run(command, check=True)
    library, before = ctypes.CDLL(made), threads()
    library.begin_and_end(100)
    bed.until(lambda: not threads() - before)
    assert library.made_until_now() == 100


def test_where_no_thread_is_to_be_had_what_was_written_is_kept_and_not_called_safe(
    tmp_path: Path,
) -> None:
    class Refused(SyncThread):
        left = 3

        def begin(self, call: Callable[[int], None], file: int) -> None:
            if self.left:
                self.left -= 1
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            super().begin(call, file)

    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    writer._sync_thread = Refused()
    writer.append(RecordKind.TICK, ticks(0, 10))
    for _ in range(Refused.left):
        writer.sync()
        assert os.strerror(errno.EAGAIN) in writer.refusal
        assert (writer.appended_seq, writer.durable_seq) == (10, 0)
    writer.close()
    assert (writer.refusal, writer.durable_seq, writer.segments_failed) == ("", 10, 0)
    assert numbers(tmp_path) == list(range(10))


@pytest.fixture
def interrupted_at_once() -> Iterator[None]:
    """Whatever tests of whole processes have left of SIGINT in this one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupted_at_once")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_who_is_interrupted_while_a_sync_is_waited_for_can_still_close(
    tmp_path: Path, elsewhere: bool
) -> None:
    """As `spread-ctl wal salvage` does on Ctrl-C; also where the signal ends no wait, as one that
    comes just before it, or that another thread takes."""
    asked, go = threading.Event(), threading.Event()

    def interrupt() -> None:
        asked.wait(WAIT_S_MAX)
        taker = threading.current_thread() if elsewhere else threading.main_thread()
        assert taker.ident is not None
        signal.pthread_kill(taker.ident, signal.SIGINT)

    class Held(LogDisk):
        def fdatasync(self, file: int) -> None:
            asked.set()
            held_until(go)(file)
            super().fdatasync(file)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    writer.append(RecordKind.TICK, ticks(0, 10))
    writer.sync()
    writer._disk = Held()
    writer.append(RecordKind.TICK, ticks(10, 10))
    with pytest.raises(KeyboardInterrupt):
        writer.sync()
    interrupting.join()
    assert writer.durable_seq == 10
    go.set()
    writer.close()
    assert numbers(tmp_path) == list(range(20))
