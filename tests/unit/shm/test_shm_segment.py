"""Segments: made whole or refused, never trusted blindly, never removed by the wrong hand."""

import errno
import gc
import os
import signal
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import posix_ipc
import pytest

from spread_scanner.errors import SegmentError, SpreadError
from spread_scanner.schema.enums import DIRTY_READERS
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.faults import (
    AlreadyClaimed,
    BadNamespace,
    NoSegment,
    NoSharedMemory,
    NoSpace,
    NotReady,
    Retired,
    WrongSegment,
)
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.layout import ABI_VERSION, CHECKED_BYTES, HEADER_BYTES, Kind, State
from spread_scanner.shm.tapes import Tapes

RunPython = Callable[..., tuple[int, str]]
StartPython = Callable[..., "subprocess.Popen[str]"]


def file_of(namespace: str, part: str) -> Path:
    return Path("/dev/shm") / f"{namespace}.{part}"


def create_all(namespace: str) -> None:
    PriceStore.create(namespace, num_sources=1, max_symbols=1).close()
    SignalRing.create(namespace, "r", slots=1).close()
    Health.create(namespace).close()
    Control.create(namespace).close()
    Connections.create(namespace).close()
    FundingTable.create(namespace, num_sources=1, max_symbols=1).close()


SEGMENTS = 8  # that create_all makes: the store has three

ATTACH: dict[str, Callable[[str], object]] = {
    "store": lambda namespace: PriceStore.attach(namespace, timeout_s=0),
    "ring.r": lambda namespace: SignalRing.attach(namespace, "r", timeout_s=0),
    "health": lambda namespace: Health.attach(namespace, timeout_s=0),
    "control": lambda namespace: Control.attach(namespace, timeout_s=0),
    "connections": lambda namespace: Connections.attach(namespace, timeout_s=0),
    "funding": lambda namespace: FundingTable.attach(namespace, timeout_s=0),
    "tapes": lambda namespace: Tapes.attach(namespace, timeout_s=0),
}


def attach_dirty(namespace: str) -> segment.Segment:
    name = segment.segment_name(namespace, "dirty")
    return segment.attach(name, Kind.DIRTY, timeout_s=0)


@pytest.mark.parametrize("part", [*ATTACH, "dirty"])
@pytest.mark.parametrize("flip", [0xFF, 0x01, 0x80])
def test_l1_any_changed_header_byte_is_a_clean_refusal(
    namespace: str, part: str, flip: int
) -> None:
    create_all(namespace)
    attach = ATTACH.get(part, attach_dirty)
    path = file_of(namespace, part)
    before = path.read_bytes()[:HEADER_BYTES]
    with path.open("r+b", buffering=0) as file:
        for at in range(HEADER_BYTES):
            os.pwrite(file.fileno(), bytes([before[at] ^ flip]), at)
            with pytest.raises(NotReady if at < 8 else WrongSegment):
                attach(namespace)
            os.pwrite(file.fileno(), before[at : at + 1], at)
    assert path.read_bytes()[:HEADER_BYTES] == before
    attach(namespace)


def rewrite(path: Path, at: int, data: bytes) -> None:
    """Change header bytes and make the checksum right again."""
    with path.open("r+b", buffering=0) as file:
        header = bytearray(os.pread(file.fileno(), HEADER_BYTES, 0))
        header[at : at + len(data)] = data
        header[248:] = struct.pack("<Q", zlib.crc32(header[CHECKED_BYTES]))
        os.pwrite(file.fileno(), header, 0)


@pytest.mark.parametrize(
    ("at", "data", "says"),
    [
        (8, b"NOTSHM01", "magic"),
        (16, struct.pack("<I", ABI_VERSION + 1), "ABI version"),
        (20, struct.pack("<I", 3), "kind"),
        (24, struct.pack("<Q", 1), "layout hash"),
        (32, struct.pack("<Q", 1), "length"),
        (64, struct.pack("<I", 16_384), "page size"),
        (68, struct.pack(">I", 0x01020304), "byte order"),
        (104, struct.pack("<Q", 2), "sizes contradict"),
        (104, struct.pack("<Q", 2**63), "sizes are out of range"),
        (120, struct.pack("<Q", 1), "sizes are out of range"),
    ],
)
def test_l1_each_kind_of_mismatch_has_its_own_message(
    namespace: str, at: int, data: bytes, says: str
) -> None:
    create_all(namespace)
    rewrite(file_of(namespace, "store"), at, data)
    with pytest.raises(WrongSegment, match=says) as refused:
        PriceStore.attach(namespace, timeout_s=0)
    assert refused.value.evidence


def test_l1_a_failed_attach_holds_nothing_even_while_its_error_lives(namespace: str) -> None:
    create_all(namespace)
    rewrite(file_of(namespace, "store"), 8, b"NOTSHM01")
    with pytest.raises(WrongSegment) as refused:
        PriceStore.attach(namespace)
    removed, kept = segment.clean(namespace)
    assert (len(removed), kept) == (SEGMENTS, [])
    assert refused.value.__traceback__ is not None


@pytest.mark.parametrize("length", [0, 1, 255])
def test_l2_a_segment_cut_short_is_refused_without_sigbus(namespace: str, length: int) -> None:
    create_all(namespace)
    os.truncate(file_of(namespace, "store"), length)
    with pytest.raises(NotReady, match="creator died"):
        PriceStore.attach(namespace, timeout_s=0)
    os.truncate(file_of(namespace, "ring.r"), HEADER_BYTES)
    with pytest.raises(WrongSegment, match="length"):
        SignalRing.attach(namespace, "r", timeout_s=0)
    create_all(namespace)  # and can be made anew


SLOW_CREATOR = """
import sys
from spread_scanner.shm import segment
from spread_scanner.shm.layout import Kind

def fill(made):
    print("filling", flush=True)
    sys.stdin.readline()

segment.create(sys.argv[1], Kind.HEALTH, 4096, [], fill=fill)
print("done", flush=True)
"""


def test_l2_attach_during_creation_waits_then_errors_and_harms_nothing(
    namespace: str, start_python: StartPython
) -> None:
    name = segment.segment_name(namespace, "slow")
    creator = start_python(SLOW_CREATOR, name)
    assert creator.stdout is not None
    assert creator.stdin is not None
    assert creator.stdout.readline() == "filling\n"
    with pytest.raises(NotReady, match="still being made"):
        segment.attach(name, Kind.HEALTH, timeout_s=0.02)
    with pytest.raises(NotReady, match="does not finish"):
        segment.create(name, Kind.HEALTH, 4096, [], timeout_s=0.02)
    assert segment.names(namespace) == [name]
    creator.stdin.write("go\n")
    creator.stdin.flush()
    held = segment.attach(name, Kind.HEALTH, timeout_s=10)  # waits for it to finish
    assert not held.retired
    held.close()
    assert creator.stdout.readline() == "done\n"


def test_l2_attach_says_when_the_creator_died(namespace: str, start_python: StartPython) -> None:
    name = segment.segment_name(namespace, "slow")
    creator = start_python(SLOW_CREATOR, name)
    assert creator.stdout is not None
    assert creator.stdout.readline() == "filling\n"
    creator.kill()
    creator.wait()
    with pytest.raises(NotReady, match="creator died"):
        segment.attach(name, Kind.HEALTH, timeout_s=0)
    assert segment.names(namespace) == [name]
    segment.create(name, Kind.HEALTH, 4096, []).close()
    segment.attach(name, Kind.HEALTH, timeout_s=0).close()


def test_attaching_before_creation_says_what_to_do(namespace: str) -> None:
    for attach in [*ATTACH.values(), attach_dirty]:
        with pytest.raises(NoSegment, match="spread-ctl up"):
            attach(namespace)


BAD_NAMES = ["a/b", "/a", "..", ".a", "a.b", "-a", "", "a" * 65, "a b", "ä", "a\n", "a*"]


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_a_bad_namespace_is_refused_before_anything_is_made(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object, **__: object) -> None:
        pytest.fail("the kernel was asked for a segment")

    monkeypatch.setattr("posix_ipc.SharedMemory", made)
    for make in (PriceStore.create, PriceStore.attach, Health.create, Control.attach):
        with pytest.raises(BadNamespace, match="bad namespace"):
            make(bad)
    with pytest.raises(BadNamespace):
        SignalRing.create(bad, "r", slots=1)


def test_a_bad_ring_name_is_refused(namespace: str) -> None:
    with pytest.raises(BadNamespace, match="bad segment"):
        SignalRing.create(namespace, "a/b", slots=1)


ATTACH_AND_EXIT = """
import sys
from spread_scanner.shm import PriceStore
store = PriceStore.attach(sys.argv[1])
assert store.read(0, 0) is not None
writer = store.writer(0) if sys.argv[2] == "writes" else None
"""


@pytest.mark.parametrize("does", ["reads", "writes"])
def test_l3_an_unrelated_process_that_attaches_and_exits_leaves_the_segment(
    namespace: str, run_python: RunPython, does: str
) -> None:
    with PriceStore.create(namespace, num_sources=1, max_symbols=1) as store:
        with store.writer(0) as writer:
            writer.write(0, 1.0, 1.0, 2.0, 1.0, 1, 1, 1)
        assert run_python(ATTACH_AND_EXIT, namespace, does) == (0, "")
        assert len(segment.names(namespace)) == 3
        assert not store.retired
        PriceStore.attach(namespace).close()


@pytest.mark.parametrize("fails", ["mmap.mmap", "fcntl.fcntl", "os.fstat", "os.pread"])
def test_l3_an_attach_that_fails_leaves_the_segment(
    namespace: str, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    create_all(namespace)
    before = file_of(namespace, "store").read_bytes()
    gc.collect()  # what earlier tests left must not be closed in between
    fds = len(os.listdir("/proc/self/fd"))

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "injected")

    with monkeypatch.context() as patched:
        module, name = fails.split(".")
        patched.setattr(getattr(segment, module), name, fail)
        with pytest.raises(OSError, match="injected"):
            PriceStore.attach(namespace)
    assert file_of(namespace, "store").read_bytes() == before
    assert len(os.listdir("/proc/self/fd")) == fds
    PriceStore.attach(namespace).close()


@pytest.mark.parametrize("umask", ["0", "0o777"])
def test_l4_segments_are_private_under_any_umask(
    namespace: str, run_python: RunPython, umask: str
) -> None:
    code = (
        "import os, sys\n"
        "from spread_scanner.shm import Control, Health, PriceStore, SignalRing\n"
        "os.umask(int(sys.argv[2], 0))\n"
        "PriceStore.create(sys.argv[1], num_sources=1, max_symbols=1)\n"
        "SignalRing.create(sys.argv[1], 'r', slots=1)\n"
        "from spread_scanner.shm.connections import Connections\n"
        "from spread_scanner.shm.funding import FundingTable\n"
        "Health.create(sys.argv[1]), Control.create(sys.argv[1]), Connections.create(sys.argv[1])\n"
        "FundingTable.create(sys.argv[1])\n"
    )
    assert run_python(code, namespace, umask) == (0, "")
    parts = [*ATTACH, "dirty"]
    modes = [stat.S_IMODE(file_of(namespace, part).stat().st_mode) for part in parts]
    assert modes == [0o600] * SEGMENTS


@pytest.mark.parametrize("view", ["attached", "created"])
def test_l4_a_reader_cannot_write_not_even_by_accident(
    namespace: str, run_python: RunPython, view: str
) -> None:
    PriceStore.create(namespace, num_sources=1, max_symbols=1).close()
    code = (
        "import ctypes, sys\n"
        "from spread_scanner.shm import PriceStore\n"
        "store = PriceStore.attach(sys.argv[1])\n"
        "held = store if sys.argv[2] == 'attached' else store.writer(0).view\n"
        "ctypes.memset(held.memory.address + 4096, 1, 1)\n"
        "print('written')\n"
    )
    PriceStore.create(namespace, num_sources=1, max_symbols=100).close()
    expected = (-signal.SIGSEGV, "") if view == "attached" else (0, "written\n")
    assert run_python(code, namespace, view) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_l4_another_users_segment_is_refused_with_a_reason(
    namespace: str, run_python: RunPython
) -> None:
    create_all(namespace)
    code = (
        "import os, sys\n"
        "from spread_scanner.errors import SegmentError\n"
        "from spread_scanner.shm import PriceStore\n"
        "os.setuid(65534)\n"
        "for act in (PriceStore.attach, PriceStore.create):\n"
        "    try:\n"
        "        act(sys.argv[1])\n"
        "    except SegmentError as error:\n"
        "        print(error.message)\n"
    )
    said = "the segment belongs to another user\n"
    assert run_python(code, namespace) == (0, said * 2)


HOLD = """
import sys
from spread_scanner.shm import PriceStore
store = PriceStore.attach(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


def fake_creator(namespace: str, pid: int) -> None:
    """Write another creator's PID into every header, as PID reuse or another namespace would."""
    for name in segment.names(namespace):
        rewrite(Path("/dev/shm") / name[1:], 72, struct.pack("<I", pid))


def test_l5_clean_asks_locks_and_never_pids(namespace: str, start_python: StartPython) -> None:
    create_all(namespace)
    holder = start_python(HOLD, namespace)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    fake_creator(namespace, 2**22 + 1)  # no such process, yet it is held
    removed, kept = segment.clean(namespace)
    assert removed == []
    assert len(kept) == SEGMENTS
    holder.kill()
    holder.wait()
    fake_creator(namespace, os.getpid())  # a live process's PID, yet nobody holds it
    removed, kept = segment.clean(namespace)
    assert (len(removed), kept) == (SEGMENTS, [])
    assert segment.names(namespace) == []


def test_l5_clean_leaves_another_namespace_that_begins_alike(namespace: str) -> None:
    create_all(namespace)
    create_all(f"{namespace}-b")
    try:
        assert len(segment.clean(namespace)[0]) == SEGMENTS
        assert len(segment.names(f"{namespace}-b")) == SEGMENTS
    finally:
        segment.clean(f"{namespace}-b")


def test_l5_clean_keeps_what_a_process_of_another_pid_namespace_holds(
    namespace: str, start_python: StartPython
) -> None:
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("unshare --pid is not allowed here")
    create_all(namespace)
    with subprocess.Popen(
        [*unshare, sys.executable, "-c", HOLD, namespace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        removed, kept = segment.clean(namespace)
        assert (removed, len(kept)) == ([], SEGMENTS)
        # And from in there, what this process holds.
        with PriceStore.attach(namespace):
            code = (
                "import sys\nfrom spread_scanner.shm import segment\n"
                "print(segment.clean(sys.argv[1])[0])"
            )
            inside = [*unshare, sys.executable, "-c", code, namespace]
            assert subprocess.check_output(inside, text=True) == "[]\n"
        holder.communicate("go\n", timeout=20)
    assert len(segment.clean(namespace)[0]) == SEGMENTS


def test_a_full_shm_is_an_error_at_creation_and_leaves_nothing(
    namespace: str, run_python: RunPython
) -> None:
    unshare = ["unshare", "--mount", "sh", "-c"]
    mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    try:
        subprocess.run([*unshare, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("unshare --mount is not allowed here")
    code = (
        "import os, sys\n"
        "from spread_scanner.shm import PriceStore\n"
        "from spread_scanner.shm.faults import NoSpace\n"
        "old = PriceStore.create(sys.argv[1], num_sources=1, max_symbols=64)\n"
        "try:\n"
        "    PriceStore.create(sys.argv[1], num_sources=8, max_symbols=1024)\n"
        "except NoSpace as error:\n"
        "    print(error.message, error.evidence['free_bytes'] < error.evidence['needed_bytes'])\n"
        "print(os.listdir('/dev/shm'))\n"
        "print(os.statvfs('/dev/shm').f_bavail > 0, old.retired)\n"
    )
    script = f'{mount} && exec "$0" -c "$1" "$2"'
    found = subprocess.check_output([*unshare, script, sys.executable, code, namespace], text=True)
    assert found == "/dev/shm is too full for the segment True\n[]\nTrue True\n"


@pytest.mark.parametrize("which", [1, 2])
def test_no_space_for_either_part_of_the_store_leaves_neither(
    namespace: str, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    calls = 0
    real = os.posix_fallocate

    def fail(fd: int, offset: int, length: int) -> None:
        nonlocal calls
        calls += 1
        if calls == which:
            raise OSError(errno.ENOSPC, "injected")
        real(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", fail)
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NoSpace, match="too full"):
        PriceStore.create(namespace, num_sources=1, max_symbols=1)
    assert segment.names(namespace) == []
    assert len(os.listdir("/proc/self/fd")) == fds
    PriceStore.create(namespace, num_sources=1, max_symbols=1).close()


def test_creating_retires_and_removing_marks(namespace: str) -> None:
    name = segment.segment_name(namespace, "s")
    first = segment.create(name, Kind.HEALTH, 4096, [7], creator="a test")
    assert (first.params[0], first.header["creator"]) == (7, b"a test")
    second = segment.create(name, Kind.HEALTH, 4096, [])
    assert (first.retired, second.retired) == (True, False)
    segment.remove(name)
    segment.remove(name)
    assert second.retired
    assert second.words.load(0) == State.RETIRED
    second.close()
    first.close()
    first.close()


def test_attaching_to_a_retired_segment_says_so(namespace: str) -> None:
    create_all(namespace)
    with file_of(namespace, "store").open("r+b") as file:
        file.write(struct.pack("<Q", State.RETIRED))
    with pytest.raises(Retired, match="replaced"):
        PriceStore.attach(namespace, timeout_s=0)


def test_claims_of_one_process_exclude_each_other_too(namespace: str) -> None:
    name = segment.segment_name(namespace, "s")
    with_first = segment.create(name, Kind.HEALTH, 4096, [])
    with_second = segment.attach(name, Kind.HEALTH, writable=True)
    with_first.claim(3, "place 3")
    assert with_second.claimed(3)
    assert not with_second.claimed(2)
    with pytest.raises(AlreadyClaimed, match="place 3"):
        with_second.claim(3, "place 3")
    with_first.unclaim(3)
    with_second.claim(3, "place 3")
    with_second.close()
    with_first.claim(3, "place 3")
    with_first.close()


def test_a_store_whose_bitmaps_are_anothers_gives_no_writer(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=1, max_symbols=1) as store:
        rewrite(file_of(namespace, "dirty"), 128, struct.pack("<Q", 1))
        with pytest.raises(Retired, match="another store"):
            store.writer(0)
        with pytest.raises(Retired, match="another store"):
            store.dirty(DIRTY_READERS[0])
        assert not store._held.claimed(0)


def test_every_fault_of_the_room_is_a_typed_one() -> None:
    for fault in (AlreadyClaimed, BadNamespace, NoSegment, NoSpace, NotReady, Retired):
        assert issubclass(fault, SegmentError)
        assert issubclass(fault, SpreadError)
        assert fault.__doc__


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (posix_ipc.ExistentialError("No such file"), "there is no /dev/shm"),
        (posix_ipc.PermissionsError("not permitted"), "/dev/shm cannot be written"),
        (OSError(errno.EROFS, "Read-only file system"), "/dev/shm cannot be written"),
    ],
)
def test_no_dev_shm_or_one_that_may_not_be_written_is_one_line(
    namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raised: Exception, said: str
) -> None:
    """What shm_open says there; it was taken for another creator, and tried again for ever."""

    def shm_open(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(posix_ipc, "SharedMemory", shm_open)
    monkeypatch.setattr(segment, "SHM_FOLDER", tmp_path / "missing")
    with pytest.raises(NoSharedMemory, match=said):
        segment.create(f"/spread-{namespace}-x", Kind.HEALTH, 8_192, [])
