"""Group tracker: what reaches the disk for each byte that is measured.

A hundred opportunities stay open for ten minutes of virtual time; they are sampled on the grid,
some re-signal, and the tracker's own rules say when what is committed. Written bytes are what the
process hands to the kernel (wchar of /proc/self/io): the write-ahead log, its checkpoints and all
the rest. The floor appends the samples as they are to a plain file.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import Figure, figure

from spread_scanner import config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.tracker.book import Book, Rules
from spread_scanner.tracker.database import Database
from spread_scanner.tracker.journal import SAMPLE_BYTES, Journal
from spread_scanner.tracker.opportunity import SampleRow, Signal
from spread_scanner.tracker.pairs import Pair
from spread_scanner.tracker.sampler import Look, Quotes

OPEN = 100
START_NS = 1_700_000_000_000_000_000
SEEN = Quotes(np.empty(0), np.empty(0))  # nothing closes: nobody takes the legs apart


def figures(small: bool) -> Iterator[Figure]:
    minutes = 0.2 if small else 10.0
    with tempfile.TemporaryDirectory() as folder:
        ratios, samples = [], 0
        for number in range(1 if small else 3):
            written, samples = _follow(Path(folder) / f"{number}.db", minutes)
            ratios.append(written / (samples * SAMPLE_BYTES))
        floor = _append(Path(folder) / "plain", samples) / (samples * SAMPLE_BYTES)
    yield figure(
        "tracker.write_amplification",
        "ratio",
        ratios,
        floor=floor,
        open=OPEN,
        minutes=minutes,
        taken=samples,
        sample_bytes=SAMPLE_BYTES,
    )


class _Tally:
    def add(self, label: str, count: int = 1) -> None: ...


def _wchar() -> int:
    text = Path("/proc/self/io").read_text()
    return int(dict(line.split(": ") for line in text.splitlines())["wchar"])


def _follow(path: Path, minutes: float) -> tuple[int, int]:
    """Bytes written and samples taken."""
    settings = config.Tracker()
    direction = DIRECTIONS[0]
    pairs = {
        (0, n): Pair(0, direction.label, n, f"C{n}-USDT", 0, 3, f"C{n}USDT/1 C{n}USDT/1")
        for n in range(OPEN)
    }
    journal = Journal()
    book = Book(Rules.of(settings), pairs, journal, _Tally(), lambda *_: 10.0)
    database = Database(path, "bench", START_NS)
    chance = np.random.default_rng(7)
    before, now_ns, seq, full_ns = _wchar(), START_NS, 0, START_NS
    book.apply(_signal(n, n, SignalKind.ENTER, now_ns) for n in range(OPEN))
    seq = OPEN
    while now_ns < START_NS + minutes * 60 * NS_PER_S:
        now_ns += settings.sample_ms * NS_PER_MS
        if chance.random() < 0.1:  # a re-signal every two seconds
            book.apply([_signal(seq, seq % OPEN, SignalKind.RESIGNAL, now_ns)])
            seq += 1
        watched = book.due(book.watched(), now_ns)
        prices = chance.normal(40.0, 3.0, (len(watched), 2))
        looks = [
            Look(a, -b, 1234.5, 987.6, 5_000_000, 7_000_000, 0, 0, SEEN, (1.0, 1.0, 1.0, 1.1))
            for a, b in prices.tolist()
        ]
        book.sample(watched, looks, now_ns, now_ns)
        due = book.due_probes(now_ns)
        book.probe(due, looks[: len(due)], now_ns)
        everything = journal.full or now_ns >= full_ns
        if everything or journal.urgent:  # as Tracker._commit does
            if everything:
                full_ns = now_ns + int(settings.samples_commit_s * NS_PER_S)
            database.write(journal.drain({"signals": seq}, everything=everything), now_ns)
    database.write(journal.drain({"signals": seq}), now_ns)
    stored = database.load()
    taken = sum(row.samples for row in stored.open_rows)
    database.close()  # the last checkpoint
    if len(stored.open_rows) != OPEN or taken < OPEN * minutes * 60:
        raise RuntimeError(f"{len(stored.open_rows)} open with {taken} samples")
    return _wchar() - before, taken


def _signal(seq: int, symbol_id: int, kind: SignalKind, now_ns: int) -> Signal:
    record = np.zeros(1, SIGNAL_DTYPE)
    record["seq"], record["symbol_id"], record["kind"] = seq, symbol_id, int(kind)
    record["ts_engine"], record["net_bps"] = now_ns, 12.0
    record["spot_ask_px"] = record["fut_bid_px"] = 1.0
    return Signal._make(record.tolist()[0])


def _append(path: Path, samples: int) -> int:
    row = bytes(8 * len(SampleRow._fields))
    before = _wchar()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for start in range(0, samples, 745):  # as many as the tracker commits at once
        os.write(file, row * min(745, samples - start))
    os.close(file)
    return _wchar() - before
