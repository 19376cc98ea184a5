"""Recorded books, rebuilt by our adapters, rules and model, are those of an independent reading:
one in plain dicts of decimals, from the raw JSON, by the exchanges' own words.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from spread_scanner.books._order_book import FollowedBook
from spread_scanner.config import SourceSettings
from spread_scanner.exchanges._spelled import SpelledLevels
from spread_scanner.exchanges.adapter import BookChange
from spread_scanner.exchanges.depth import DepthAdapter, Fit, fits
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.schema.books import LEVELS_LEAST
from spread_scanner.schema.enums import SOURCE_BY_LABEL

Recordings = Callable[[str], bytes]
LEVELS = 20


class Plain:
    """A book as its exchange says that one is kept."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def put(self, bids: list[list[str]], asks: list[list[str]], *, anew: bool = False) -> None:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            if anew:
                side.clear()
            for px, sz, *_ in levels:
                side[Decimal(px)] = Decimal(sz)
                if Decimal(sz) == 0:
                    del side[Decimal(px)]

    def first(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        bids = [(float(px), float(self.bids[px])) for px in sorted(self.bids, reverse=True)]
        asks = [(float(px), float(self.asks[px])) for px in sorted(self.asks)]
        return bids[:LEVELS], asks[:LEVELS]


class Followed:
    """The same by ours."""

    def __init__(self) -> None:
        self.book, self.known_id = FollowedBook(), 0

    def take(self, said: BookChange, *, keeps_window: bool) -> Fit:
        if said.snapshot:
            levels = 0 if keeps_window else said.window
            self.book.snapshot(said.bids, said.asks, levels=levels)
        elif (fit := fits(self.known_id, said)) is not Fit.NEXT:
            return fit
        else:
            self.book.delta(said.bids, said.asks)
        self.known_id = said.last_id
        return Fit.NEXT

    def same_as(self, plain: Plain) -> None:
        """All levels that are known, so far as they reach."""
        for ours, theirs in zip((self.book.bids, self.book.asks), plain.first(), strict=True):
            count = min(len(ours), LEVELS)
            assert count >= min(LEVELS_LEAST, len(theirs))
            np.testing.assert_array_equal(ours[:count], np.array(theirs[:count]).reshape(-1, 2))


def adapter_of_all(label: str) -> DepthAdapter:
    """The channel of what changes."""
    last = {"binance-spot": "depth@100ms", "binance-futures": "depth@100ms"}.get(label, "")
    settings = SourceSettings(rest_url="http://a.test", ws_url="ws://a.test", depth_channel=last)
    return depth_adapter_of(SOURCE_BY_LABEL[label], settings)


def lines_of(data: bytes) -> Iterator[tuple[float, str]]:
    for line in data.decode().splitlines():
        head, _, text = line.partition(": ")
        if text.startswith("{"):
            yield float(head.rpartition(" ")[2]), text


def rebuilt(recording: Recordings, label: str, day: str) -> int:
    """Updates over a snapshot by REST, as they arrived; how many were taken."""
    adapter, taken = adapter_of_all(label), 0
    folder = {"binance-spot": "binance_spot", "binance-futures": "binance_usdm"}[label]
    pages = recording(f"{folder}/cryptofeed_rest_depth_{day}.txt.gz").decode().splitlines()
    frames = [text for _, text in lines_of(recording(f"{folder}/cryptofeed_ws_{day}.txt.gz"))]
    for page in pages:
        symbol = page.partition("symbol=")[2].partition("&")[0]
        if "lastUpdateId" not in page:
            continue
        raw = json.loads(page.partition(": ")[2])
        ours, plain = Followed(), Plain()
        body = json.dumps({key: levels[:100] if isinstance(levels, list) else levels
                           for key, levels in raw.items()})  # fmt: skip
        ours.take(adapter.parse_seed(symbol, body.encode()), keeps_window=False)
        plain.put(raw["bids"], raw["asks"], anew=True)
        known_id, begun = raw["lastUpdateId"], False
        for frame in frames:
            data: dict[str, Any] = json.loads(frame).get("data", {})
            if data.get("e") != "depthUpdate" or data["s"] != symbol or data["u"] < known_id:
                continue
            # The rules as Binance words them: the first one straddles the snapshot.
            if not begun and label == "binance-spot" and data["u"] == known_id:
                continue
            assert begun or data["U"] <= known_id + 1
            assert not begun or data.get("pu", data["U"] - 1) == known_id
            begun, known_id = True, data["u"]
            (said,) = adapter.parse(frame.encode())
            assert isinstance(said, BookChange)
            if ours.take(said, keeps_window=False) is Fit.NEXT:
                taken += 1
            plain.put(data["b"], data["a"])
            ours.same_as(plain)
            assert ours.known_id == known_id
    return taken


def test_binance_spot(recording: Recordings) -> None:
    assert rebuilt(recording, "binance-spot", "20211012") > 50


def test_binance_futures(recording: Recordings) -> None:
    assert rebuilt(recording, "binance-futures", "20210722") > 50


def test_a_missing_update_is_a_gap(recording: Recordings) -> None:
    """Each that could be lost, of a minute of one symbol: what comes after it tells."""
    adapter, updates = adapter_of_all("binance-spot"), []
    for line in recording("binance_spot/hftbacktest_spot_btcusdt_20240808.txt.gz").splitlines():
        if b'"e":"depthUpdate"' in line:
            updates += adapter.parse(line.partition(b" ")[2])
    assert len(updates) > 3_000
    for before, lost, after in zip(updates, updates[1:], updates[2:], strict=False):
        assert isinstance(before, BookChange)
        assert isinstance(lost, BookChange)
        assert isinstance(after, BookChange)
        assert fits(before.last_id, lost) is Fit.NEXT
        assert fits(before.last_id, after) is Fit.GAP
        assert fits(after.last_id, lost) is Fit.OLD


def test_bybit(recording: Recordings) -> None:
    adapter, ours, plain = adapter_of_all("bybit-futures"), Followed(), Plain()
    frames = recording("bybit_linear/nautilus_xrpusdt_ob500.jsonl.gz").splitlines()
    for number, frame in enumerate(frames):
        (said,) = adapter.parse(frame.replace(b"orderbook.500.", b"orderbook.50."))
        assert isinstance(said, BookChange)
        assert said.snapshot == (number == 0)
        assert ours.take(said, keeps_window=True) is Fit.NEXT
        data = json.loads(frame)["data"]
        plain.put(data["b"], data["a"], anew=number == 0)
        ours.same_as(plain)
    assert len(frames) == 50


def test_okx_with_its_checksums(recording: Recordings) -> None:
    adapter, checked = adapter_of_all("okx-spot"), 0
    books: dict[str, tuple[Followed, Plain, SpelledLevels]] = {}
    for _, text in lines_of(recording("okx/cryptofeed_ws_public_20220513.txt.gz")):
        if '"channel":"books"' not in text or '"action"' not in text:
            continue
        (said,) = adapter.parse(text.encode())
        assert isinstance(said, BookChange)
        assert said.texts is not None
        if said.snapshot:
            books[said.exchange_symbol] = Followed(), Plain(), SpelledLevels()
        ours, plain, spelled = books[said.exchange_symbol]
        spelled.take(said)
        assert spelled.checksum() == said.checksum
        (data,) = json.loads(text)["data"]
        plain.put(data["bids"], data["asks"], anew=said.snapshot)
        ours.take(said, keeps_window=True)
        ours.same_as(plain)
        checked += 1
    assert checked == 290


def test_a_level_that_went_astray_shows_in_the_checksum(recording: Recordings) -> None:
    adapter, spelled, wrong = adapter_of_all("okx-spot"), SpelledLevels(), 0
    for number, (_, text) in enumerate(
        line for line in lines_of(recording("okx/cryptofeed_ws_public_20220513.txt.gz"))
        if "UNI-USD-SWAP" in line[1] and '"action"' in line[1]
    ):  # fmt: skip
        (said,) = adapter.parse(text.encode())
        assert isinstance(said, BookChange)
        assert said.texts is not None
        if number != 3:
            spelled.take(said)
            wrong += spelled.checksum() != said.checksum
    assert wrong > 0
