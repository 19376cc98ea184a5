"""Recordings through other exchanges' formats, and the prebuilt blocks of the flood sender."""

import gzip
import json
import os
import re
from pathlib import Path

import pytest

from spread_scanner.sim.block import Block
from spread_scanner.sim.market import Market
from spread_scanner.sim.recording import Playback
from spread_scanner.sim.universe import Universe

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("SPREAD_DATA", ROOT.parent / "shared" / "data")) / "exchanges"
LABELS = ("binance-spot", "binance-futures", "bybit-spot", "okx-futures", "mexc-spot",
          "mexc-futures")  # fmt: skip


def line(recv_ns: int, update_id: int, bid: str, ask: str) -> str:
    data = {"u": update_id, "s": "BTCUSDT", "b": bid, "B": "1.50000000", "a": ask, "A": "0.02"}
    return f"{recv_ns} " + json.dumps({"stream": "btcusdt@bookTicker", "data": data}) + "\n"


def test_two_recordings_are_merged_by_receive_time_and_sizes_become_contracts(
    tmp_path: Path,
) -> None:
    spot, futures = tmp_path / "spot.txt", tmp_path / "futures.txt.gz"
    spot.write_text(
        line(1_000_000_000, 7, "61837.63000000", "61837.64000000")
        + '1500000000 {"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT"}}\n'
        + line(3_000_000_000, 9, "61830.00000000", "61830.01000000")
    )
    futures.write_bytes(gzip.compress(line(2_000_000_000, 8, "61800.20", "61800.30").encode()))
    universe = Universe(seed=1, symbols=5)
    specs = (f"binance-spot={spot}", f"okx-futures={futures}:BTC-USDT")
    playback = Playback(universe, specs, speed=10.0)
    now_ms = [5] * 8

    assert playback.left == 3
    assert list(playback.due(100.0, now_ms)) == []  # it has not begun
    playback.begin(100.0)
    first = list(playback.due(100.15, now_ms))
    second = list(playback.due(100.25, now_ms))

    assert [(row.label, tick.update_id, tick.bid_px) for row, tick in first] == [
        ("binance-spot", 7, "61837.63000000"),
        ("okx-futures", 8, "61800.20"),
    ]
    assert first[0][1].bid_sz == "1.50000000"
    assert (first[1][1].bid_sz, first[1][1].ask_sz) == ("150", "2")  # of 0.01 BTC each
    assert [tick.update_id for _, tick in second] == [9]
    assert playback.left == 0
    btc = next(coin for coin in universe.coins if coin.name == "BTC")
    usual = [row for row in btc.listings if row.symbol == "BTC-USDT" and row.kind != "dated"]
    quiet = {row.label for row in usual if row.quiet}
    assert not quiet & {"binance-spot", "okx-futures"}
    assert "mexc-spot" in quiet


def test_a_recorded_day_keeps_every_price_and_id() -> None:
    name = "binance_spot/hftbacktest_spot_btcusdt_20240808.txt.gz"
    if not (DATA / name).exists():
        pytest.skip(f"no recording {name}")
    universe = Universe(seed=1, symbols=5)
    playback = Playback(universe, (f"bybit-spot={DATA / name}",), speed=1.0)
    playback.begin(0.0)
    played = list(playback.due(1e9, [0] * 8))
    text = gzip.decompress((DATA / name).read_bytes()).decode()
    pattern = r'@bookTicker","data":\{"u":(\d+),"s":"BTCUSDT","b":"([\d.]+)","B":"([\d.]+)"'

    assert [(str(t.update_id), t.bid_px, t.bid_sz) for _, t in played] == re.findall(pattern, text)
    assert len(played) == 28_040


def test_an_unknown_symbol_or_source_of_a_recording_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "spot.txt"
    path.write_text(line(1, 1, "1", "2"))
    universe = Universe(seed=1, symbols=5)

    with pytest.raises(ValueError, match="does not list NOPE-USDT"):
        Playback(universe, (f"okx-spot={path}:NOPE-USDT",), 1.0)
    with pytest.raises(ValueError, match="kraken"):
        Playback(universe, (f"kraken={path}",), 1.0)


@pytest.mark.parametrize("label", LABELS)
def test_a_flood_block_counts_its_ids_up_for_ever_and_knows_its_last_quotes(label: str) -> None:
    universe = Universe(seed=1, symbols=6)
    Market(universe)
    listings = [row for row in universe.by_source[label] if row.moves]
    block = Block(listings, 64, label == "mexc-spot")
    size = len(block.view)
    seen: list[bytes] = []
    for cycle in range(12):
        if cycle:
            block.next_cycle(1_800_000_000_000 + cycle * 1_000)
        data = bytes(block.view)
        frames = [data[a:b] for a, b in zip(block.offsets, block.offsets[1:], strict=False)]
        numbers = [max(re.findall(rb"10000\d{7}", frame), default=b"") for frame in frames]
        assert len(data) == size
        assert b"" not in numbers
        seen += numbers
    assert seen == sorted(set(seen))
    part = len(listings) // 2 + len(listings)
    last = block.last(part)
    assert set(last) == set(listings)
    for index, listing in enumerate(listings):
        in_this_cycle = index + len(listings) < part
        built, update_id = last[listing]
        assert built.listing is listing
        at = index + len(listings) if in_this_cycle else None
        if at is not None:
            assert update_id == int(f"1000011{at:05d}")
        assert str(update_id // 100_000) == "1000011"
