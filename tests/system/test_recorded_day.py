"""A recorded day goes through sockets, feeds, engine and tracker; the signals are the oracle's.

Best bid and ask of BTC-USDT on 2024-08-08, spot and perpetual of one exchange, are played by the
simulator as two spot and two futures sources of four exchanges, each in its own wire format, faster
than they happened. That makes four directions. Of ETH-USDT on 2024-08-09 there is the spot market
alone: it plays both legs, as perpetual of a slow exchange that says everything LATE_S later.

Four sockets and four feeds run freely, so which quotes of them meet in the engine is chance, and
the engine, which looks at the latest, need not see all. What is held to the oracle is therefore:

1. What the simulator says stood over the threshold, interval by interval and update id by update
   id, is what numpy finds in the recordings. This part is exact: the simulator plays in order.
2. Every signal, on the very quotes that it names: the oracle, shown a pair's legs as each of its
   signals names them, one after the other, says the same signal, field for field. (Between two
   signals of a pair nothing changes the state of either.) Those quotes were recorded, are used in
   the order in which they were recorded, and both of a signal stood at the same time, give or take
   TOLERANCE_MS of playing time.
3. Every interval of 1. that stood for LASTING_MS of playing time is found. Excused are gaps in a
   process's heartbeat (a busy machine).
4. Every quote that was sent is counted by its feed, the last ones stand in the store, and the
   tracker's database tells of exactly these signals.

A slice of the day by default, SPREAD_CHAOS=long plays the whole.
"""

import bisect
import gzip
import itertools
import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import orjson
import pytest
from engine_oracle import Oracle, Switches, assert_same, sorted_without_seq
from whole_system import (
    FEEDS,
    MS,
    Fact,
    Pulse,
    WholeSystem,
    check_database,
    check_signals,
    clear_parts,
    whole_system,
)

from bed import until
from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema import costs
from spread_scanner.schema.enums import (
    DIRECTION_BY_LABEL,
    DIRECTIONS,
    EXCHANGE_DIRECTIONS,
    EXCHANGE_SOURCES,
    SOURCE_BY_LABEL,
    QuoteFlag,
    SignalKind,
)
from spread_scanner.schema.records import QUOTE_DTYPE, SIGNAL_LEG_LOST
from spread_scanner.sim.truth import MARGIN_BPS
from spread_scanner.supervise import score
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.seen import seen_of
from spread_scanner.supervise.truth import read_truth
from spread_scanner.symbology.tables import DirectionRow

BANDS = (("owed", MARGIN_BPS), ("near", -MARGIN_BPS))
LONG = os.environ.get("SPREAD_CHAOS") == "long"
DATA = Path(os.environ.get("SPREAD_DATA", Path(__file__).parents[3] / "shared" / "data"))


class Day(NamedTuple):
    """What is played: a symbol, the recording of each leg, and on which sources."""

    symbol: str
    spot: str
    futures: str
    late_s: float  # by which the perpetual's recording is moved
    spot_sources: tuple[str, str]
    futures_sources: tuple[str, str]
    threshold_bps: float

    @property
    def labels(self) -> list[str]:
        """The directions that it makes."""
        return [
            direction.label
            for direction in EXCHANGE_DIRECTIONS
            if direction.spot.label in self.spot_sources
            and direction.futures.label in self.futures_sources
        ]


LATE_S = 3.0
DAYS = {
    "BTC": Day(
        "BTC-USDT",
        "exchanges/binance_spot/hftbacktest_spot_btcusdt_20240808.txt.gz",
        "exchanges/binance_usdm/hftbacktest_usdm_btcusdt_20240808.txt.gz",
        0.0,
        ("binance-spot", "okx-spot"),
        ("bybit-futures", "mexc-futures"),
        -3.5,
    ),
    "ETH": Day(
        "ETH-USDT",
        "exchanges/binance_spot/hftbacktest_spot_ethusdt_20240809.txt.gz",
        "exchanges/binance_spot/hftbacktest_spot_ethusdt_20240809.txt.gz",
        LATE_S,
        ("bybit-spot", "mexc-spot"),
        ("binance-futures", "okx-futures"),
        0.5,
    ),
}
SLICE_S = None if LONG else 60
SPEED = 6.0
LASTING_MS = 300.0
TOLERANCE_MS = 250.0


class Line(NamedTuple):
    """One recorded quote."""

    recv_ns: int
    update_id: int
    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float

    @property
    def key(self) -> tuple[float, ...]:
        """How a quote is recognised; sizes have been counted in contracts and back."""
        return (self.bid_px, round(self.bid_sz, 6), self.ask_px, round(self.ask_sz, 6))


def recorded(day: Day, folder: Path) -> dict[str, tuple[Path, list[Line]]]:
    """The part of the recordings to be played, as files and as numbers."""
    texts = {}
    for leg, path, late_s in (("spot", day.spot, 0.0), ("futures", day.futures, day.late_s)):
        if not (DATA / path).exists():
            pytest.skip(f"no recording {path}")
        with gzip.open(DATA / path) as file:
            quotes = [line.split(b" ", 1) for line in file if b"@bookTicker" in line[:80]]
        texts[leg] = [(int(ns) + int(late_s * NS_PER_S), payload) for ns, payload in quotes]
    began_ns = min(lines[0][0] for lines in texts.values())
    until_ns = began_ns + SLICE_S * NS_PER_S if SLICE_S is not None else 2**63
    found = {}
    for leg, lines in texts.items():
        part = [b"%d %b" % line for line in lines if line[0] < until_ns]
        (folder / f"{leg}.txt").write_bytes(b"".join(part))
        found[leg] = (folder / f"{leg}.txt", [_line(line) for line in part])
    return found


def _line(text: bytes) -> Line:
    recv_ns, _, payload = text.partition(b" ")
    data = orjson.loads(payload)["data"]
    return Line(int(recv_ns), int(data["u"]), *(float(data[key]) for key in "bBaA"))


# --- 1. the simulator's truth


def intervals(
    spot: list[Line], futures: list[Line], threshold_bps: float, least: Fact | None
) -> list[tuple[int, ...]]:
    """Where the gross spread stood over the threshold, by tops of which what `least` says can be
    ordered: the ids of both legs at the first quote that was over, and at the first that was not;
    at the recording's last quotes if it ends over it, for then the feeds leave.
    """
    merged = sorted(
        [(line.recv_ns, 0, line) for line in spot] + [(line.recv_ns, 1, line) for line in futures],
        key=lambda row: row[:2],
    )
    is_futures = np.array([leg for _, leg, _ in merged], bool)
    numbers = np.arange(len(merged))
    last_spot = np.maximum.accumulate(np.where(is_futures, -1, numbers))
    last_futures = np.maximum.accumulate(np.where(is_futures, numbers, -1))
    known = (last_spot >= 0) & (last_futures >= 0)

    def told(last: np.ndarray, field: str) -> np.ndarray:
        found: np.ndarray = np.array([getattr(line, field) for _, _, line in merged])[last]
        return found

    ids = told(numbers, "update_id")
    gross_bps = costs.entry_bps(told(last_spot, "ask_px"), told(last_futures, "bid_px"))
    over = known & (gross_bps >= threshold_bps)
    if least is not None:
        top = np.minimum(told(last_spot, "ask_sz"), told(last_futures, "bid_sz"))
        size = np.floor(top / least["lot"] + 1e-9) * least["lot"]
        for last, leg in ((last_spot, "spot"), (last_futures, "futures")):
            worth = size * np.minimum(told(last, "bid_px"), told(last, "ask_px"))
            over &= (size > 0) & (worth * (1 + 1e-9) >= least[f"{leg}_notional_least"])
    change = np.diff(over.astype(int), prepend=0)
    begins = np.flatnonzero(change == 1)
    ends = np.append(np.flatnonzero(change == -1), len(merged) - 1)[: len(begins)]
    return [
        tuple(int(ids[last[at]]) for at in (begin, end) for last in (last_spot, last_futures))
        for begin, end in zip(begins, ends, strict=True)
    ]


def check_truth_is_recorded(
    day: Day, rows: list[Fact], lines: dict[str, list[Line]], closes: dict[str, float]
) -> None:
    for label, (band, margin) in itertools.product(day.labels, BANDS):
        gross_bps = day.threshold_bps - closes[label]
        pair = (label, day.symbol)
        stood = [row for row in rows if row.get("band") == band]
        mine = [row for row in stood if (row.get("direction"), row.get("symbol")) == pair]
        least = mine[0] if band == "owed" else None  # too little excuses a signal, and owes none
        expected = intervals(lines["spot"], lines["futures"], gross_bps + margin, least)
        assert len(expected) > 1  # few stand well above the threshold
        mine.sort(key=lambda row: (row["spot_update_id_first"], row["futures_update_id_first"]))
        assert [
            (
                row["spot_update_id_first"],
                row["futures_update_id_first"],
                row.get("spot_update_id_last", 0),
                row.get("futures_update_id_last", 0),
            )
            for row in mine
        ] == sorted(expected), label


# --- 2. each signal


def check_signals_are_the_oracles(system: WholeSystem, signals: np.ndarray) -> None:
    settings = config.load(system.config)
    for pair in np.unique(signals[["direction_id", "symbol_id"]]):
        direction_id, symbol_id = int(pair["direction_id"]), int(pair["symbol_id"])
        oracle = Oracle(
            settings,
            msgspec.structs.replace(
                system.tables,
                directions=(DirectionRow(direction_id, (symbol_id,)),),
                quarantine=(),
            ),
            anchor_ns=system.store.clock.anchor_ns,
            instance=system.store.instance_id & 0xFFFFFFFF,
        )
        oracle.generation = system.tables.generation
        for signal in signals[signals[["direction_id", "symbol_id"]] == pair]:
            now_ns = int(signal["mono_ns"])
            # What is usual is learned from all quotes, and tested where all are known.
            oracle.usual[:], oracle.close[:] = signal["usual_bps"], signal["close_bps"]
            oracle.generation_usual = int(signal["usual_generation"])
            expected = oracle.step(
                now_ns,
                quotes_of(signal),
                np.zeros(len(FEEDS), np.uint32),
                np.full(len(FEEDS), now_ns),
                Switches(),
            )
            assert_same(sorted_without_seq(signal.reshape(1)), expected)


def quotes_of(signal: np.void) -> np.ndarray:
    """A store that holds what a signal names, and nothing else."""
    direction, symbol_id = DIRECTIONS[int(signal["direction_id"])], int(signal["symbol_id"])
    quotes = np.zeros((len(FEEDS), symbol_id + 1), QUOTE_DTYPE)
    quotes["flags"] = int(QuoteFlag.STALE)
    lost = int(signal["flags"]) & SIGNAL_LEG_LOST
    for leg, source in (("spot", direction.spot), ("fut", direction.futures)):
        quote = quotes[source.source_id, symbol_id : symbol_id + 1]
        for name in ("bid_px", "bid_sz", "ask_px", "ask_sz", "ts_event", "ts_recv", "update_id"):
            quote[name] = signal[f"{leg}_{name}"]
        quote["flags"] = int(QuoteFlag.STALE) if lost else 0
    return quotes


class Places:
    """Where in a recording a quote stands; some stand there several times."""

    def __init__(self, lines: list[Line]) -> None:
        self.sent_ns = [line.recv_ns for line in lines]
        self._numbers: defaultdict[tuple[float, ...], list[int]] = defaultdict(list)
        for number, line in enumerate(lines):
            self._numbers[line.key].append(number)

    def after(self, signal: np.void, leg: str, number: int) -> list[int]:
        """The lines of a signal's quote, from a line on."""
        names = ("bid_px", "bid_sz", "ask_px", "ask_sz")
        found = self._numbers[Line(0, 0, *(float(signal[f"{leg}_{name}"]) for name in names)).key]
        return found[bisect.bisect_left(found, number) :]

    def replaced_ns(self, number: int) -> int:
        return self.sent_ns[number + 1] if number + 1 < len(self.sent_ns) else 2**63


def check_quotes_are_recorded(day: Day, signals: np.ndarray, lines: dict[str, list[Line]]) -> None:
    """The quotes that a pair's signals name stand in the recordings, in this order, and both of a
    signal stood at the same time, give or take what four sockets and a busy machine add.
    """
    spot, futures = Places(lines["spot"]), Places(lines["futures"])
    apart_ns = TOLERANCE_MS * MS * SPEED
    at = dict.fromkeys(day.labels, (0, 0))
    for signal in signals:
        label = DIRECTIONS[int(signal["direction_id"])].label
        found = (
            (one, other)
            for one in spot.after(signal, "spot", at[label][0])
            for other in futures.after(signal, "fut", at[label][1])
            if max(spot.sent_ns[one], futures.sent_ns[other])
            <= min(spot.replaced_ns(one), futures.replaced_ns(other)) + apart_ns
        )
        place = next(found, None)
        assert place is not None, (at, signal)
        at[label] = place


# --- 3. all intervals


def check_found(
    day: Day, system: WholeSystem, signals: np.ndarray, pulse: Pulse, window: tuple[int, int]
) -> None:
    truth = read_truth(system.truth_path).intervals
    seen = seen_of(signals, system.tables.symbol_names())
    owed = [
        part for interval in truth for part in clear_parts(interval, pulse.gaps, window, LASTING_MS)
    ]
    result = score.score(owed, seen, window, lasting_ms=LASTING_MS, lateness=Lateness(TOLERANCE_MS))
    recorded_symbol = sum(interval.symbol == day.symbol for interval in owed)
    print(
        f"{len(truth)} intervals stood, {result.found} found, {recorded_symbol} of them recorded "
        f"ones; {len(seen)} signals; {len(pulse.gaps)} gaps of heartbeats"
    )
    assert not result.missed, (result.missed, pulse.gaps)
    assert result.found > 0


# --- 4. the counts


def check_all_counted(system: WholeSystem) -> None:
    """Everything that was sent arrived: stored, or skipped by its id."""
    sent: defaultdict[str, int] = defaultdict(int)
    for (label, _), row in system.sent().items():
        sent[label] += row["messages"]

    def miscounted() -> dict[str, object]:
        """A feed may lose the processor between a cell and its count: this is waited for."""
        rows = {
            label: system.health.read(SOURCE_BY_LABEL[label].process).counters for label in sent
        }
        took = ("quotes", "skip_duplicate", "skip_out_of_order")
        return {
            label: (sent[label], row)
            for label, row in rows.items()
            if sum(row[name] for name in took) != sent[label]
        }

    until(lambda: not miscounted(), miscounted)
    for label in sent:
        assert system.health.read(SOURCE_BY_LABEL[label].process).counters["disconnects"] == 0


def subscribed(system: WholeSystem) -> bool:
    """Whether every feed has asked for all of its symbols: what is played before is not heard."""
    return all(
        system.health.read(source.process).counters["subscribes"]
        >= len(system.tables.of_source(source.source_id))
        for source in EXCHANGE_SOURCES
    )


def sharpen(folder: Path) -> None:
    """A narrow hysteresis and small steps: more signals of all kinds. What is played back has no
    books."""
    with (folder / "config.toml").open("a", encoding="utf-8") as file:
        file.write("\n[books]\nbooks_max = 0\n")
    path = folder / "directions.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    enter = 0.0
    for number, line in enumerate(lines):
        key, _, value = line.partition(" = ")
        if key == "enter_bps":
            enter = float(value)
        elif key == "exit_bps" and number > 5:
            lines[number] = f"exit_bps = {enter - 0.5!r}\nresignal_step_bps = 0.25"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900 if LONG else 400)
@pytest.mark.parametrize("coin", DAYS)
def test_a_recorded_day_gives_the_oracles_signals_through_the_whole_system(
    coin: str, tmp_path: Path, namespace: str
) -> None:
    day = DAYS[coin]
    played_on = {"spot": day.spot_sources, "futures": day.futures_sources}
    files = recorded(day, tmp_path)
    given = [
        f"--recording={label}={path}:{day.symbol}"
        for leg, (path, _) in files.items()
        for label in played_on[leg]
    ]
    lines = {leg: found for leg, (_, found) in files.items()}
    market = (f"--threshold-bps={day.threshold_bps}", "--symbols=5", "--rate=80", "--seed=5")
    playing = ("--play=request", f"--speed={SPEED}")
    with whole_system(tmp_path, namespace, *market, *playing, *given) as system:
        sharpen(system.config)
        system.start()
        closes = system.closes(day.symbol)
        until(lambda: subscribed(system), system.states)
        pulse = Pulse(system)
        begin_ns = clock.mono_ns()
        system.do(do="play")

        def played() -> bool:
            pulse.look()
            return int(system.sim_state()["playback_left"]) == 0

        until(played, system.sim_state, timeout_s=600.0)
        system.do(do="rate", rate=0)
        until(lambda: not system.differences(), system.differences)
        check_all_counted(system)
        window_ns = (begin_ns, clock.mono_ns())
        system.end_all()
        signals = system.tail.take()
        rows = system.end_sim()

        assert system.tail.missed == 0
        check_signals(signals, (), system.store.clock.anchor_ns)
        check_truth_is_recorded(day, rows, lines, closes)
        check_signals_are_the_oracles(system, signals)
        symbols = {name: number for number, name in system.tables.symbol_names().items()}
        directions = [DIRECTION_BY_LABEL[label].direction_id for label in day.labels]
        mine = signals[signals["symbol_id"] == symbols[day.symbol]]
        mine = mine[np.isin(mine["direction_id"], directions)]
        assert {int(kind) for kind in mine["kind"]} == set(SignalKind) - {SignalKind.BOOK}
        assert set(mine["direction_id"].tolist()) == set(directions)
        check_quotes_are_recorded(day, mine, lines)
        check_found(day, system, signals, pulse, window_ns)
        check_database(system, signals)
