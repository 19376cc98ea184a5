"""What the gateway's process holds of memory, seen from outside: a process of its own."""

import subprocess
import sys

SEEN = """
import ctypes
from pathlib import Path
from spread_scanner.gateway import allocation

def resident_kb():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0])

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
allocation.settle_allocation(by_tls=True)
for _ in range(20):  # answers, one after the other and many at once, each written once
    bytes(1 << 20)
between, answers = [], []
for _ in range(40):
    answers.append(b"x" * (1 << 20))
    between.append(library.malloc(4_096))
answers.clear()
before_kb = resident_kb()
ready = [library.malloc(256 << 10) for _ in range(100)]  # as TLS takes it for a connection
print(before_kb, resident_kb() - before_kb)
"""


def test_what_large_answers_took_is_given_back_and_is_no_connection_s_room() -> None:
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True)
    freed_kb, taken_kb = map(int, done.stdout.split())
    assert freed_kb < 20 << 10, "of 40 MB of answers"
    assert taken_kb < 4 << 10, "of 25 MB that nobody touched"
