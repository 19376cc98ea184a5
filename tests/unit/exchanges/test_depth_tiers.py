"""The native and the typed tier say the same of a book, bit for bit, or the native one is silent.

On payloads, whole and damaged, and on recordings.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from random import Random

import pytest
from mexc_frames import aggregated_depth

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges._depth import LEVELS_MAX, DepthDecoder
from spread_scanner.exchanges.adapter import TS_IMPOSSIBLE, BookChange
from spread_scanner.exchanges.decode import line_frames
from spread_scanner.exchanges.depth import (
    NO_LEVELS,
    DepthAdapter,
    change,
    dated,
    depth_decoder_of,
)
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.schema.books import BookLevels
from spread_scanner.schema.channels import DEPTH_CHANNELS
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.schema.records import TS_ABSENT

SEED = 20261127
DAMAGES = 400
HFT = "hftbacktest"
SCALES = [(1.0, 1.0), (1000.0, 0.01), (3.0, 0.1)]  # not exact in binary, but for the first
Payloads = Callable[[str], bytes]
Recordings = Callable[[str], bytes]
Tables = dict[str, tuple[int, float, float]]


def depth(label: str, channel: str = "") -> DepthAdapter:
    settings = SourceSettings(rest_url="http://a.test", ws_url="ws://a.test", depth_channel=channel)
    return depth_adapter_of(SOURCE_BY_LABEL[label], settings)


def scaled(levels: BookLevels, px_div: float, sz_mul: float) -> bytes:
    return b"".join(struct.pack("2d", px / px_div, sz * sz_mul) for px, sz in levels.tolist())


class Tiers:
    """Both, with every symbol that a first look at the frames finds."""

    def __init__(self, adapter: DepthAdapter, frames: Iterable[bytes]) -> None:
        self._adapter = adapter
        names = sorted({one.exchange_symbol for frame in frames for one in self.typed(frame)})
        self.tables: Tables = {name: (n, *SCALES[n % 3]) for n, name in enumerate(names)}
        self._native: DepthDecoder = depth_decoder_of(adapter, self.tables)

    def typed(self, frame: bytes) -> list[BookChange]:
        """What it reads, if nothing in the frame is bad, or something else."""
        try:
            events = self._adapter.parse(frame)
        except BadMessage:
            return []
        changes = [one for one in events if isinstance(one, BookChange)]
        return changes if len(changes) == len(events) else []

    def check(self, frame: bytes) -> bool:
        """Fails where they differ; whether the native one took it."""
        found = self._native.match(frame)
        if found is None:
            return False
        (said,) = self.typed(frame)
        symbol_id, px_div, sz_mul = self.tables[said.exchange_symbol]
        assert said.checksum is None
        assert said.snapshot == self._adapter.snapshots_only
        after_id = found[1] if said.snapshot else said.after_id  # a snapshot follows on nothing
        assert found[:4] == (symbol_id, after_id, said.last_id, said.ts_event), frame
        for ours, theirs in zip(found[4:], (said.bids, said.asks), strict=True):
            assert ours.tobytes() == scaled(theirs, px_div, sz_mul), frame
        longest = max(len(said.bids), len(said.asks))
        window = self._native.window
        assert said.beyond == (window > 0 and longest >= window)
        return True


USUAL = [
    ("binance-spot", "depth@100ms", "binance/spot_depth.json"),
    ("binance-futures", "depth@100ms", "binance/futures_depth.json"),
    ("binance-spot", "depth20@100ms", "binance/spot_depth20.json"),
    ("binance-futures", "depth20@100ms", "binance/futures_depth20.json"),
    ("bybit-spot", "", "bybit/depth_delta.json"),
    ("bybit-futures", "", "bybit/depth_delta.json"),
    ("okx-spot", "", "okx/books_update.json"),
    ("okx-futures", "", "okx/books_update.json"),
    ("mexc-futures", "depth", "mexc/depth.json"),
    ("mexc-futures", "", "mexc/depth_full.json"),
    ("mexc-futures", "", "mexc/depth_full_cts_last.json"),
    ("mexc-spot", "", "mexc/limit_depth.hex"),
]


@pytest.mark.parametrize(("label", "channel", "name"), USUAL)
def test_usual_messages_are_read_natively(
    payload: Payloads, label: str, channel: str, name: str
) -> None:
    frame = payload(name)
    assert Tiers(depth(label, channel), [frame]).check(frame)


@pytest.mark.parametrize(("label", "channel", "name"), USUAL)
def test_damaged_messages(payload: Payloads, label: str, channel: str, name: str) -> None:
    frame, chance = payload(name), Random(f"{SEED} {name}")
    tiers = Tiers(depth(label, channel), [frame])
    print(f"seed {SEED}")
    for damaged in damages(frame, chance):
        tiers.check(damaged)
    for cut in range(len(frame)):
        assert not tiers.check(frame[:cut])


def damages(frame: bytes, chance: Random) -> Iterator[bytes]:
    """Bytes that are others, missing, twice, or a part of the frame again elsewhere."""
    odd = b'"\\{}[],:0123456789.eE+- \n\x00\x7f\xff'
    for _ in range(DAMAGES):
        at, other = chance.randrange(len(frame)), chance.randrange(len(frame))
        size, byte = chance.randrange(1, 12), bytes([chance.choice(odd)])
        yield frame[:at] + byte + frame[at + 1 :]
        yield frame[:at] + frame[at + size :]
        yield frame[:at] + byte + frame[at:]
        yield frame[:at] + frame[other : other + size] + frame[at:]


def test_aggregated_messages_of_mexc_spot() -> None:
    """Made by the exchange's definition, as none was recorded: all are read natively, whole; what
    is left of them when they are damaged is read alike or not at all."""
    chance = Random(SEED)
    print(f"seed {SEED}")
    frames = [aggregated_depth(chance) for _ in range(300)]
    tiers = Tiers(depth("mexc-spot", "aggre.depth@100ms"), frames)
    assert all(map(tiers.check, frames))
    assert not tiers.typed(frames[0])[0].snapshot
    for frame in [frame for frame in frames if len(frame) < 600][:3]:
        for damaged in damages(frame, chance):
            tiers.check(damaged)
        for cut in range(len(frame)):
            assert not tiers.check(frame[:cut])


@pytest.mark.parametrize(
    "label", ["binance-spot", "binance-futures", "bybit-spot", "okx-spot", "mexc-futures"]
)
@pytest.mark.parametrize(
    "number",
    ["0", "-1", "1e5", "9.75E+4", "01", "1.", ".5", "null", "nan", "1" * 41, "0." + "0" * 30 + "1"],
)
def test_odd_numbers(payload: Payloads, label: str, number: str) -> None:
    """In the place of each number of a message."""
    names = [(channel, name) for one, channel, name in USUAL if one == label]
    for channel, name in names:
        frame = payload(name)
        tiers, parts = Tiers(depth(label, channel), [frame]), []
        for at, byte in enumerate(frame):
            if chr(byte).isdigit() and not chr(frame[at - 1]).isdigit():
                end = next(n for n in range(at, len(frame)) if frame[n] not in b"0123456789.")
                parts.append((at, end))
        for at, end in parts:
            tiers.check(frame[:at] + number.encode() + frame[end:])


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda one: one.label)
def test_garbage(source: object) -> None:
    chance = Random(SEED)
    label = source.label  # type: ignore[attr-defined]
    for channel in DEPTH_CHANNELS[label]:
        native = depth_decoder_of(depth(label, channel), {"BTCUSDT": (0, 1.0, 1.0)})
        assert not any(native.match(chance.randbytes(n)) for n in range(200))


def test_more_levels_than_have_room_are_left_to_the_typed_tier(payload: Payloads) -> None:
    frame = payload("okx/books_update.json")
    tiers = Tiers(depth("okx-futures"), [frame])
    head, tail = frame.split(b'"asks":[', 1)
    row = b'["7.0","1","0","1"],'
    known = tail.partition(b'],"bids"')[0].count(b"[")
    assert tiers.check(head + b'"asks":[' + row * (LEVELS_MAX - known) + tail)
    assert not tiers.check(head + b'"asks":[' + row * (LEVELS_MAX - known + 1) + tail)


def test_a_checksum_is_the_typed_tiers(payload: Payloads) -> None:
    frame = payload("okx/books_update.json")
    tiers = Tiers(depth("okx-futures"), [frame])
    assert tiers.check(frame.replace(b'"checksum":0,', b""))
    assert not tiers.check(frame.replace(b'"checksum":0', b'"checksum":-855196043'))


def test_names_that_have_no_place_in_a_stream_are_left_to_the_typed_tier() -> None:
    """Spot's first levels name their symbol in lower case."""
    frame = (
        '{{"stream":"{}@depth20@100ms","data":{{"lastUpdateId":5,"bids":[],"asks":[["1","2"]]}}}}'
    )
    adapter = depth("binance-spot", "depth20@100ms")
    for name, natively in (
        ("BTCUSDT", True),
        ("币安人生USDT", True),
        ("\N{KELVIN SIGN}USDT", False),
    ):
        tables = {name: (3, 1.0, 1.0)}
        found = depth_decoder_of(adapter, tables).match(frame.format(name.lower()).encode())
        assert (found is not None) == natively


@pytest.mark.parametrize(
    ("label", "channel", "name", "count"),
    [
        ("binance-spot", "depth@100ms", f"binance_spot/{HFT}_spot_btcusdt_20240808.txt.gz", 3_000),
        ("binance-futures", "depth@100ms", f"binance_usdm/{HFT}_usdm_btcusdt_20240808.txt.gz", 900),
        ("binance-spot", "depth@100ms", "binance_spot/cryptofeed_ws_20211012.txt.gz", 50),
        ("binance-futures", "depth@100ms", "binance_usdm/cryptofeed_ws_20210722.txt.gz", 50),
        ("bybit-futures", "", "bybit_linear/nautilus_xrpusdt_ob500.jsonl.gz", 49),
        ("mexc-futures", "", "mexc_futures/captured_frames_2026.jsonl", 1),
        ("mexc-spot", "", "mexc_spot/captured_protobuf_frames_202609.jsonl", 1),
    ],
)  # fmt: skip
def test_recorded_messages(
    recording: Recordings, label: str, channel: str, name: str, count: int
) -> None:
    frames = [
        frame.replace(b"orderbook.500.", b"orderbook.50.")
        for frame in line_frames(recording(name).splitlines())
    ]
    tiers = Tiers(depth(label, channel), frames[:5_000])
    books = [frame for frame in frames if tiers.typed(frame)]
    natively = sum(tiers.check(frame) for frame in books)
    assert natively >= count
    assert natively > 0.97 * len(books)


def test_recorded_checksums_are_left_alone(recording: Recordings) -> None:
    frames = list(line_frames(recording("okx/cryptofeed_ws_public_20220513.txt.gz").splitlines()))
    tiers = Tiers(depth("okx-spot"), frames)
    assert tiers.tables
    assert not any(tiers.check(frame) for frame in frames)


FAR_NS = 2**63 - 1
OF_TWO_TIMES = {
    "binance-futures": (
        '{"e":"depthUpdate","E":SENT,"T":MADE,"s":"X","U":4,"u":5,"pu":3,'
        '"b":[["100","1"]],"a":[["101","1"]]}'
    ),
    "bybit-futures": (
        '{"topic":"orderbook.50.X","ts":SENT,"type":"delta","data":{"s":"X","b":[["100","1"]],'
        '"a":[["101","1"]],"u":5,"seq":9},"cts":MADE}'
    ),
    "mexc-futures": (
        '{"symbol":"X","data":{"cts":MADE,"asks":[[101,1,1]],"bids":[[100,1,1]],"version":5},'
        '"channel":"push.depth.full","ts":SENT}'
    ),
}


@pytest.mark.parametrize("label", OF_TWO_TIMES)
@pytest.mark.parametrize(
    ("made", "sent", "time_ms", "natively"),
    [
        ("1790000000000", "1790000000005", 1_790_000_000_000, True),
        ("1790000000500", "1790000000000", 1_790_000_000_500, True),
        ("1790000000501", "1790000000000", 1_790_000_000_000, False),
        ("1790000010000", "1790000000000", 1_790_000_000_000, False),
        ("1790000000", "1790000000000", 1_790_000_000_000, False),
        ("0", "1790000000000", 1_790_000_000_000, False),
        ("null", "1790000000000", 1_790_000_000_000, False),
        ('"soon"', "1790000000000", 1_790_000_000_000, False),
        ("1790000000000", "1790000000", 1_790_000_000_000, False),
        ("1790000000000", "null", 1_790_000_000_000, False),
    ],
)
def test_of_two_times_of_a_book_the_one_that_can_be_is_taken(
    label: str, made: str, sent: str, time_ms: int, natively: bool
) -> None:
    channel = "depth@100ms" if label == "binance-futures" else ""
    adapter = depth(label, channel)
    frame = OF_TWO_TIMES[label].replace("MADE", made).replace("SENT", sent).encode()
    tiers = Tiers(adapter, [frame])
    (said,) = tiers.typed(frame)

    found, bad = dated(said, FAR_NS)
    assert found.ts_event == time_ms * 1_000_000
    assert bad == (not natively and "null" not in (made, sent) and made != "0")
    assert tiers.check(frame) == natively


@pytest.mark.parametrize(
    ("made", "sent", "ts_event"),
    [
        ("0", "0", TS_ABSENT),
        ("0", "7", TS_IMPOSSIBLE),
        ("7", "7", TS_IMPOSSIBLE),
        ("7", "0", TS_IMPOSSIBLE),
    ],
)
def test_a_book_of_which_no_time_can_be_has_none(made: str, sent: str, ts_event: int) -> None:
    frame = OF_TWO_TIMES["bybit-futures"].replace("MADE", made).replace("SENT", sent)
    (said,) = Tiers(depth("bybit-futures"), []).typed(frame.encode())

    found, bad = dated(said, FAR_NS)
    assert (said.ts_event, found.ts_event) == (ts_event, TS_ABSENT)
    assert bad == (ts_event == TS_IMPOSSIBLE)


HOUR_NS = 3_600 * 10**9
NOW_NS = 1_790_000_000 * 10**9


@pytest.mark.parametrize(
    ("made", "sent", "ts_event", "bad"),
    [
        (NOW_NS - 5, NOW_NS, NOW_NS - 5, False),
        (NOW_NS, TS_ABSENT, NOW_NS, False),
        (TS_ABSENT, TS_ABSENT, TS_ABSENT, False),
        (NOW_NS, NOW_NS + HOUR_NS, NOW_NS, True),
        (NOW_NS + HOUR_NS, NOW_NS, NOW_NS, True),
        (NOW_NS + HOUR_NS, TS_ABSENT, TS_ABSENT, True),
        (NOW_NS + HOUR_NS, NOW_NS + HOUR_NS, TS_ABSENT, True),
        (TS_IMPOSSIBLE, NOW_NS + HOUR_NS, TS_ABSENT, True),
        (NOW_NS, TS_IMPOSSIBLE, NOW_NS, True),
    ],
)
def test_of_a_books_times_the_first_that_can_be_is_believed(
    made: int, sent: int, ts_event: int, bad: bool
) -> None:
    said = change("X", NO_LEVELS, NO_LEVELS, (1, 2), (made, sent))
    found, told = dated(said, NOW_NS + 60 * 10**9)
    assert (found.ts_event, told) == (ts_event, bad)


# The one time of a message of who tells one, as it is spelled; spot's book of Binance as well.
OF_ONE_TIME = {
    "binance-spot": '{"e":"depthUpdate","E":MS,"s":"X","U":4,"u":5,"b":[["1","1"]],"a":[]}',
    "okx-spot": (
        '{"arg":{"channel":"books","instId":"X"},"action":"update","data":[{"asks":[],"bids":[],'
        '"ts":"MS","prevSeqId":4,"seqId":5}]}'
    ),
}


@pytest.mark.parametrize("label", OF_ONE_TIME)
@pytest.mark.parametrize(("ms", "bad"), [("1790000000000", False), ("1790000000", True)])
def test_a_books_only_time_is_said_where_it_cannot_be(label: str, ms: str, bad: bool) -> None:
    adapter = depth(label, "depth@100ms" if label == "binance-spot" else "")
    (said,) = Tiers(adapter, []).typed(OF_ONE_TIME[label].replace("MS", ms).encode())
    assert dated(said, FAR_NS)[1] == bad
