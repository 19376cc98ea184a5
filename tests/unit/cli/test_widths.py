"""Every command on a terminal of 80 columns and on a wide one: heads and keys are whole, what
others have named is no markup, and each figure has its meaning below.
"""

import re
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import msgspec
import numpy as np
import pytest
from cycles_bed import cycle_row, store_cycles
from database_bed import store
from pool_rows import pool_row
from rich.cells import cell_len
from rich.console import Console

from spread_scanner.cli import legends
from spread_scanner.cli.analysis import in_two
from spread_scanner.cli.connections import columns_and_rows
from spread_scanner.cli.console import grid
from spread_scanner.cli.watch import NARROW_COLUMNS, NARROWEST_DEPTH, WIDE_COLUMNS
from spread_scanner.clock import mono_ns
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS, ProcessState, Verdict
from spread_scanner.schema.names import RECORDER
from spread_scanner.schema.records import EVALUATION_DTYPE, SIGNAL_DTYPE
from spread_scanner.shm import SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.pools import PoolTable
from spread_scanner.shm.tapes import Recorded, Tapes
from spread_scanner.symbology import publish, tables
from spread_scanner.view.connections import ConnectionView

Run = Callable[..., tuple[int, str, str]]
MARKUP = "[RED]-USDT"
LONGEST = "meteora-binance"  # no direction has a longer name
CLOSING = "[/red] it's over"
LONG = "of one word after the other, so that no terminal has room for all of them in one line"
STYLES = re.compile(r"\x1b\[[0-9;]*m")
COLOURS = re.compile(r"\x1b\[(?:[0-9]*;)*(?:[34]|9|10)[0-7]")

# The heads of a narrow terminal, and those that a wide one has besides.
HEADS = {
    "status": (
        "process state heartbeat good drops p50 us p99 us",
        "rates skips starts tables note",
    ),
    "sources": ("source feed wanted quoted usable heartbeat ms message", ""),
    "connections": (
        "source # state symbols msg/s quotes skips reconnects p99 us",
        "carries open s heard ms exchange p50 p99 ms cell p50 last end",
    ),
    "pools": ("pool program symbol price fee % told s note", "slot"),
    "cycles": ("id cycle net SOL after 1 2 5 stood slots", "profit score depth % pools"),
    "signals": ("seq kind symbol direction net gross size ages ms notes", ""),
    "opportunities": ("id symbol direction entry peak result lived s closed", ""),
    "costs": ("symbol direction fees carry costs enter exit below", ""),
}
LEGENDS = {
    "status": legends.PROCESSES,
    "sources": legends.SOURCES,
    "connections": legends.CONNECTIONS,
    "pools": legends.POOLS,
    "cycles": legends.CYCLES,
    "signals": legends.SIGNALS,
    "opportunities": legends.OPPORTUNITIES,
    "costs": legends.COSTS,
}
OTHERS = [
    "tables",
    "settings",
    "why [RED]-USDT",
    "doctor --offline",
    "clean",
    "pause [RED]-USDT",
    "halt",
    "reload",
    "status --counters",
    "decode --source okx-spot [red]",
]
# Sentences and paths fold where they end; a table must not.
FIGURES_ARE_NAMED = {"process", "state", "note", "source", "feed", "message", "#", "symbol", "kind"}
FIGURES_ARE_NAMED |= {"program", "direction", "carries", "last end", "id", "seq"}


@pytest.fixture
def shown(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs a command on a terminal of a width, in a system whose names are markup."""
    loaded = tables.load(up_bed.settings.generated_dir)
    first = msgspec.structs.replace(loaded.symbols[0], symbol=MARKUP, base="[RED]")
    odd = msgspec.structs.replace(
        loaded,
        generation=2,
        symbols=(first, *loaded.symbols[1:]),
        quarantine=tuple(
            msgspec.structs.replace(row, reason=f"{CLOSING}, {LONG}") for row in loaded.quarantine
        ),
    )
    publish.publish(up_bed.settings.generated_dir, odd, {})
    up_bed.quote(0, 0, 99.0, 100.0)
    up_bed.quote(3, 0, 101.0, 102.0)
    up_bed.settings.data_dir.mkdir(exist_ok=True)
    store(up_bed.settings.data_dir, id=1, symbol=MARKUP, direction=LONGEST, reason=CLOSING)
    store_cycles(up_bed.settings.data_dir, cycle_row(1))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(line: str, width: int, terminal: str = "xterm", *, tty: bool = True) -> tuple[int, str]:
        monkeypatch.setenv("TERM", terminal)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: tty)
        with (
            up_bed.health() as health,
            health.claim("spread-engine") as row,
            Connections.attach(up_bed.namespace) as connections,
            connections.claim(0) as rows,
            SignalRing.attach(up_bed.namespace, "signals") as ring,
            ring.producer() as producer,
            Evaluations.attach(up_bed.namespace) as kept,
            kept.writer() as writer,
            PoolTable.attach(up_bed.namespace) as pools,
            pools.writer() as of_pools,
        ):
            of_pools.write(0, pool_row("A" * 44, program=b"orca-whirlpool"))
            row.beat(ProcessState.RUNNING, f"{CLOSING}, of more than eighty letters" * 3)
            opened = rows.take()
            assert opened is not None
            opened.opened(2, mono_ns())
            opened.ended(CLOSING)
            signals = np.zeros(1, SIGNAL_DTYPE)
            signals["kind"], signals["flags"] = 2, 31  # the longest words
            signals["generation"] = 2
            signals["direction_id"] = DIRECTION_BY_LABEL[LONGEST].direction_id
            producer.push_many(signals)
            one = np.zeros(1, EVALUATION_DTYPE)
            one["verdict"], one["spot_px"], one["fees_bps"] = Verdict.SIZE, 1.25e-9, 0.0
            one["generation"] = 2
            writer.append(one)
            code, out, err = spread_ctl(*line.split(" "))
        return code, out + err

    return run


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("command", HEADS)
def test_a_table_fits(shown: Callable[..., tuple[int, str]], command: str, width: int) -> None:
    code, out = shown(command, width)
    assert not COLOURS.search(out), "NO_COLOR is set"
    out = STYLES.sub("", out)
    narrow, wide = HEADS[command]
    assert code in (0, 1), out
    first = out.splitlines()[0]
    missing = [word for word in narrow.split() if word not in first.split()]
    assert not missing, first
    if width > 80:
        assert not [word for word in wide.split() if word not in first.split()], first
    assert max(cell_len(line) for line in out.splitlines()) <= width, out
    assert "…" not in first
    if command in ("signals", "opportunities", "costs"):
        assert MARKUP in out
    if command in ("signals", "opportunities"):
        assert LONGEST in out
    if command == "opportunities":
        assert CLOSING[:12] in out, "longer than any reason that there is"
    said = legends.lines(legends.of_heads(LEGENDS[command], first))
    unseen = [name for name in LEGENDS[command] if f"{name}: " not in said]
    assert all(width == 80 and not {*name.split()} & {*first.split()} for name in unseen), unseen
    for word in [*narrow.split(), *(wide.split() if width > 80 else [])]:
        assert word in said or word in " ".join(FIGURES_ARE_NAMED) or word in UNITS, word
    assert said in " ".join(out.split()), "the legend stands below"


@pytest.mark.parametrize("width", [80, 200])
def test_how_far_the_log_is_stands_below_the_sources(
    shown: Callable[..., tuple[int, str]], up_bed: Any, width: int
) -> None:
    with (
        up_bed.health() as health,
        health.claim(RECORDER),
        Tapes.attach(up_bed.namespace) as tapes,
        tapes.reader(0) as tape,
    ):
        tape.tell(Recorded(12_345_678_901, 12_345_678_000, 0))
        tape.record()
        code, out = shown("sources", width)
    assert code == 0, out
    out = STYLES.sub("", out)
    assert max(cell_len(line) for line in out.splitlines()) <= width, out
    below = out[out.index("In the log") :]
    (row,) = [line.split() for line in below.splitlines() if "12,345,678,901" in line]
    assert row == ["binance-spot", "12,345,678,901", "12,345,678,000", "0.00"]
    assert legends.lines(legends.SOURCES_LOGGED) in " ".join(below.split())


@pytest.mark.parametrize("command", [*HEADS, "tables", "why [RED]-USDT", "halt"])
def test_no_line_in_a_pipe_ends_in_blanks(
    shown: Callable[..., tuple[int, str]], command: str
) -> None:
    code, out = shown(command, 200, tty=False)
    assert code in (0, 1), out
    assert len(out.splitlines()) > 1
    assert [line for line in out.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize(("width", "symbols"), [(80, "notices"), (200, "0")])
def test_a_connection_for_notices_is_told_from_an_empty_one(width: int, symbols: str) -> None:
    values: dict[str, Any] = dict.fromkeys(ConnectionView.__struct_fields__, 0)
    view = ConnectionView(**values | {"carries": "notices"})
    titles, [row] = columns_and_rows([view], width)
    assert str(row[titles.index("symbols>")]) == symbols
    assert ("notices" in row[: titles.index("symbols>")]) == (width == 200)


def test_no_direction_is_longer_than_a_narrow_screen_has_room_for() -> None:
    longest = max(len(way.label) for way in DIRECTIONS)
    assert longest == len(LONGEST)
    for columns in (NARROW_COLUMNS, NARROWEST_DEPTH, WIDE_COLUMNS):
        assert columns["direction"] >= longest


def test_a_reason_gives_way_before_any_name_does() -> None:
    console = Console(file=StringIO(), width=80)
    columns = ["id>", "symbol", "direction", "entry>", "peak>", "result>", "lived s>", "closed"]
    row = (123, "BABYDOGE-USDT", LONGEST, 123.45, 123.45, -23.45, 345.67, LONG)
    with console.capture() as capture:
        console.print(grid("", columns, [row]))
    head, told = capture.get().splitlines()
    assert "…" not in head
    assert [word for word in told.split() if "…" in word] == told.split()[-1:]
    assert LONGEST in told


UNITS = {"ms", "us", "s", "p50", "p99", "symbols", "open", "reconnects"}


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("line", OTHERS)
def test_whatever_else_is_said_is_said_as_it_is(
    shown: Callable[..., tuple[int, str]], line: str, width: int
) -> None:
    code, out = shown(line, width, "dumb")
    assert code in (0, 1), out
    assert "\x1b" not in out, "a dumb terminal knows no styles"
    assert "e-0" not in out
    assert "-0.00" not in out
    if MARKUP in line:
        assert MARKUP in out
    if line == "tables":
        assert f"{CLOSING}, {LONG}" in " ".join(out.split()), "no word is broken"
        assert max(cell_len(line) for line in out.splitlines()) <= width


@pytest.mark.parametrize(
    ("direction", "wide", "lines"),
    [
        (LONGEST, False, ("meteora-", "binance")),
        (LONGEST, True, (LONGEST, "")),
        ("binance-bybit", False, ("binance-bybit", "")),
    ],
)
def test_a_long_direction_has_both_lines_of_its_pair(
    direction: str, wide: bool, lines: tuple[str, str]
) -> None:
    assert in_two(direction, wide=wide) == lines
