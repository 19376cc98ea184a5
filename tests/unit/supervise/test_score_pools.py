"""The verdict on pairs with a leg in a pool: what a slot may mean, when providers are shaken."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SignalKind
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.score import BELIEVED_S, score
from spread_scanner.supervise.seen import CpuWait, DownTime, SeenSignal, TrackedLife
from spread_scanner.supervise.truth import (
    SLOTS_APART,
    Interval,
    OrderRule,
    SentQuote,
    TruthFile,
    read_truth,
)

MS = 1_000_000
WINDOW = (1_000 * MS, 20_000 * MS)
WAY, OTHER_WAY = DIRECTION_BY_LABEL["raydium-okx"], DIRECTION_BY_LABEL["binance-okx"]
SYMBOL, SLOT = "SOL-USDT", 350_000_100
ENTER, EXIT = SignalKind.ENTER, SignalKind.EXIT
ONE, OTHER = SentQuote(100.0, 7.0, 100.0, 7.0), SentQuote(99.0, 8.0, 99.0, 8.0)


def interval(start_ms: int, end_ms: int, way: str = WAY.label) -> Interval:
    return Interval(SYMBOL, way, start_ms * MS, end_ms * MS, True, 60.0)


def seen(kind: SignalKind, at_ms: int, **more: Any) -> SeenSignal:
    return SeenSignal(SYMBOL, WAY.label, kind, at_ms * MS, 30.0)._replace(**more)


def truth_file(shaken_ms: tuple[int, int | None] | None = None) -> TruthFile:
    shaken = []
    if shaken_ms is not None:
        start_ms, end_ms = shaken_ms
        end_ns = None if end_ms is None else end_ms * MS
        shaken = [DownTime(WAY.spot.process, start_ms * MS, end_ns)]
    return TruthFile(
        [],
        {(WAY.futures.label, SYMBOL, 8): SentQuote(101.0, 30.0, 102.0, 9.0)},
        {(SYMBOL, WAY.label): OrderRule(0.5)},
        asked={(WAY.spot.label, SYMBOL, SLOT): [ONE, OTHER]},
        shaken=shaken,
    )


@pytest.mark.parametrize(
    ("slot", "base", "quote", "judged", "wrong"),
    [
        (SLOT, 7.0, 700.0, 1, 0),
        (SLOT, 8.0, 792.0, 1, 0),
        (SLOT, 8.0, 800.0, 1, 1),  # the size of one pool at the price of another
        (SLOT + SLOTS_APART, 8.0, 792.0, 1, 0),
        (SLOT + SLOTS_APART + 1, 8.0, 792.0, 0, 0),
    ],
)
def test_a_size_is_that_of_a_pool_about_that_slot(
    slot: int, base: float, quote: float, judged: int, wrong: int
) -> None:
    said = {"spot_update_id": slot, "fut_update_id": 8, "size_base": base, "size_quote": quote}
    signals = [seen(ENTER, 2_001, **said), seen(EXIT, 3_001)]
    result = score([interval(2_000, 3_000)], signals, WINDOW, sent=truth_file())
    assert (result.sizes_judged, len(result.sizes_wrong)) == (judged, wrong)
    assert result.planted_by_pools == result.planted == 1


@pytest.mark.parametrize(
    ("who", "waited_ms", "size_base", "judged", "wrong", "unjudged"),
    [
        ("feed-solana", 401, 9.0, 0, 0, 1),
        ("feed-binance-spot", 401, 9.0, 0, 0, 1),  # which tells the rate
        ("feed-solana", 401, 8.0, 1, 0, 0),  # and is right
        ("feed-solana", 400, 9.0, 1, 1, 0),
        ("spread-tracker", 401, 9.0, 1, 1, 0),
    ],
)
def test_a_size_whose_quote_a_busy_machine_made_late_is_right_or_not_judged(
    who: str, waited_ms: int, size_base: float, judged: int, wrong: int, unjudged: int
) -> None:
    said = {"size_base": size_base, "size_quote": 99.0 * size_base}
    signals = [seen(ENTER, 2_001, spot_update_id=SLOT, fut_update_id=8, **said)]
    late = Lateness(250.0, [CpuWait(who, 1_900 * MS, 1_990 * MS, waited_ms * MS)])
    result = score([interval(2_000, 3_000)], signals, WINDOW, sent=truth_file(), lateness=late)
    found = result.sizes_judged, len(result.sizes_wrong), result.sizes_unjudged
    assert found == (judged, wrong, unjudged)


def test_while_providers_are_shaken_nothing_of_pools_is_owed() -> None:
    truth = [interval(2_000, 3_000), interval(2_000, 3_000, OTHER_WAY.label)]
    result = score(truth, [], WINDOW, sent=truth_file((1_500, 2_500)))
    assert [one.direction for one in result.missed] == [OTHER_WAY.label]
    assert len(score(truth, [], WINDOW, sent=truth_file((1_500, 1_900))).missed) == 2


@pytest.mark.parametrize(
    ("who", "owed"), [("feed-binance-spot", 0), ("feed-solana", 0), ("feed-bybit-spot", 1)]
)
def test_while_nobody_tells_the_rate_of_usdc_nothing_of_pools_is_owed(who: str, owed: int) -> None:
    away = DownTime(who, 1_500 * MS, 2_500 * MS)
    result = score([interval(2_000, 3_000)], [], WINDOW, sent=truth_file(), outages=[away])
    assert len(result.missed) == owed


@pytest.mark.parametrize(
    ("shaken_ms", "late_ms", "invented"),
    [
        (None, 1_000, 1),
        ((3_500, 6_000), 1_000, 0),
        ((3_500, None), 1_000, 0),
        ((3_500, 6_000), int(BELIEVED_S * 1e3) + 300, 1),
    ],
)
def test_what_was_believed_meanwhile_excuses(
    shaken_ms: tuple[int, int | None] | None, late_ms: int, invented: int
) -> None:
    at_ms = 3_000 + late_ms
    life = TrackedLife(SYMBOL, WAY.label, at_ms * MS, (at_ms + 10) * MS)
    signals = [seen(ENTER, 2_001), seen(EXIT, 3_001), seen(ENTER, at_ms), seen(EXIT, at_ms + 10)]
    lives = [TrackedLife(SYMBOL, WAY.label, 2_001 * MS, 3_001 * MS), life]
    sent = truth_file(shaken_ms)
    result = score([interval(2_000, 3_000)], signals, WINDOW, sent=sent, lives=lives)
    assert (len(result.invented), len(result.opportunities_wrong)) == (invented, invented)


def test_what_pools_asked_and_when_they_were_shaken_is_read(tmp_path: Path) -> None:
    asked = {"asked": SLOT, "source": "raydium", "symbol": SYMBOL}
    sides = dict(zip(SentQuote._fields, (1.0, None, 1.0, 2.0), strict=True))
    times = {"start_mono_ns": 5, "end_mono_ns": None}
    rows = [
        {**asked, **sides},
        {**asked, **sides, "ask_px": 3.0},
        {"fault": "cut", "process": "feed-solana", "start_mono_ns": 4},
        {"fault": "shaken", "process": "feed-solana", **times},
    ]
    path = tmp_path / "truth.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    truth = read_truth(path)
    assert [one.ask_px for one in truth.tops("raydium", SYMBOL, SLOT - 1)] == [1.0, 3.0]
    assert truth.tops("orca", SYMBOL, SLOT) == []
    assert truth.shaken == [DownTime("feed-solana", 5, None)]
