"""A reload does what it acknowledges: a feed as a process against the simulator. No quote becomes
stale by a reload that only moves it, and nothing that a file says ends the feed.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_feed_sim import Rig, all_quoted, stale

import bed
from bed import until
from spread_scanner.schema.enums import SOURCE_BY_LABEL, ProcessState, ReloadOutcome


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        yield Rig(tmp_path, stack, seed=2, symbols=6, rate=300)


class Feeding:
    """One feed that quotes everything."""

    def __init__(self, rig: Rig, label: str) -> None:
        self.rig, self.label, self.process = rig, label, SOURCE_BY_LABEL[label].process
        rig.discover()
        self.child = rig.feed(label)
        until(lambda: self.process in rig.health.names(), "the feed's row")
        until(all_quoted(rig, label), "quotes")

    def reload(self) -> ReloadOutcome:
        with self.rig.control.operator() as operator:
            generation = operator.reload(self.process)
        self.rig.control.await_acks([self.process], generation, timeout_s=20)
        answer = self.rig.control.answer(self.process)
        assert answer is not None
        assert answer.generation == generation
        return answer.outcome

    @property
    def connections(self) -> list[int]:
        """Symbols by connection that carries any."""
        rows = self.rig.connections.read(SOURCE_BY_LABEL[self.label].source_id)
        return sorted(row.symbols for row in rows if row.symbols)

    def counted(self, counter: str) -> int:
        return self.rig.counters(self.label)[counter]

    def moved(self) -> bool:
        return self.counted("moving") == 0


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("label", ["okx-spot", "binance-futures"])
def test_copies_and_shares_of_symbols_change_without_a_stale_quote(rig: Rig, label: str) -> None:
    feeding = Feeding(rig, label)
    count = len(rig.listings(label))
    until(lambda: feeding.connections == [count], "one connection")
    config, exchanges = rig.config / "config.toml", rig.config / "exchanges.toml"

    edit(config, "[feed]", "[feed]\nredundant = 2")
    assert feeding.reload() is ReloadOutcome.APPLIED
    until(lambda: feeding.connections == [count, count], "two copies")

    edit(exchanges, f"[{label}]", f"[{label}]\ntopics_per_connection_max = 2")
    assert feeding.reload() is ReloadOutcome.APPLIED
    pairs = [2] * (count // 2) + [1] * (count % 2)
    until(lambda: feeding.moved() and feeding.connections == sorted(2 * pairs), "two symbols each")

    edit(config, "redundant = 2", "redundant = 1")
    assert feeding.reload() is ReloadOutcome.APPLIED
    until(lambda: feeding.moved() and feeding.connections == sorted(pairs), "one copy")

    edit(exchanges, "topics_per_connection_max = 2", "topics_per_connection_max = 0")
    assert feeding.reload() is ReloadOutcome.APPLIED
    until(lambda: feeding.moved() and feeding.connections == [count], "one connection")

    assert feeding.counted("stale_marks") == 0
    assert not stale(rig, label)
    assert feeding.child.poll() is None


@pytest.mark.timeout(180)
def test_another_address_is_taken_by_a_successor(rig: Rig) -> None:
    label = "bybit-spot"
    feeding = Feeding(rig, label)
    connects = feeding.counted("connects")
    exchanges = rig.config / "exchanges.toml"
    section = exchanges.read_text().partition(f"[{label}]")[2].partition("[")[0]
    url = section.partition('ws_url = "')[2].partition('"')[0]

    edit(exchanges, url, url.replace("127.0.0.1", "localhost"))
    assert feeding.reload() is ReloadOutcome.APPLIED
    until(lambda: feeding.moved() and feeding.counted("swaps") == 1, "the successor")

    assert feeding.counted("connects") == connects + 1
    assert feeding.counted("stale_marks") == 0

    # Where nobody answers the old connection goes on, and the move is seen to be under way.
    edit(exchanges, url.replace("127.0.0.1", "localhost"), "ws://127.0.0.1:9/")
    assert feeding.reload() is ReloadOutcome.APPLIED
    until(lambda: feeding.counted("connect_failures") > 0, "a refused dial")
    assert feeding.counted("moving") == 1
    assert feeding.counted("stale_marks") == 0
    assert not stale(rig, label)


DAMAGES: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "truncated": lambda rng, text: text[: rng.randrange(len(text))],
    "bytes": lambda rng, text: rng.randbytes(200),
    "within": lambda rng, text: text[:50] + rng.randbytes(8) + text[50:],
    "not a number": lambda rng, text: text.replace(b"1000", b"nan"),
    "infinite": lambda rng, text: text.replace(b"0.1", b"inf"),
    "negative": lambda rng, text: text.replace(b"10", b"-10"),
    "of another type": lambda rng, text: text.replace(b"[", b"x = [", 1),
    "a channel": lambda rng, text: text.replace(b"[okx-spot]", b'[okx-spot]\nchannel = "bbo"'),
    "empty": lambda rng, text: b"",
}


@pytest.mark.timeout(180)
def test_whatever_a_file_says_the_feed_goes_on(rig: Rig) -> None:
    seed = bed.seed()
    rng = random.Random(seed)
    feeding = Feeding(rig, "okx-spot")
    files = [rig.config / name for name in ("config.toml", "exchanges.toml", "directions.toml")]
    current = rig.folder / "generated" / "current"
    files += [current / name for name in ("metadata.json", "symbols.bin", "directions.bin")]
    for path in files:
        whole = path.read_bytes() if path.exists() else b""
        for kind, damage in DAMAGES.items():
            path.write_bytes(damage(rng, whole) if whole or kind in ("bytes", "empty") else b"[")
            outcome = feeding.reload()
            assert feeding.child.poll() is None, (path.name, kind, rig.log("okx-spot"))
            if path.suffix == ".bin":
                assert outcome is ReloadOutcome.REFUSED or path.read_bytes() == whole
        path.write_bytes(whole)
        assert feeding.reload() is ReloadOutcome.APPLIED
    assert rig.health.read(feeding.process).state is ProcessState.RUNNING
    until(all_quoted(rig, "okx-spot"), "quotes")
