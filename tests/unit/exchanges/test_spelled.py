"""Levels as they are spelled: both tiers read the same, and the checksum is that of a plain second
opinion, whatever comes and goes.
"""

import zlib
from itertools import zip_longest
from random import Random

import msgspec
import numpy as np
import pytest

from spread_scanner.errors import BadMessage
from spread_scanner.exchanges._spelled import CHECKED_LEVELS, SpelledLevels, read_spelled
from spread_scanner.exchanges.adapter import TEXT_BYTES, TEXT_DTYPE, BookChange, Spelled
from spread_scanner.exchanges.depth import change, side_of, spelled_by_types, spelled_side_of
from spread_scanner.schema.records import TS_ABSENT

SEED = 20261128
Side = list[tuple[str, str]]


class Plain:
    """The same in dicts."""

    def __init__(self) -> None:
        self._sides: tuple[dict[float, str], dict[float, str]] = ({}, {})

    def take(self, bids: Side, asks: Side, *, snapshot: bool) -> None:
        for known, said in zip(self._sides, (bids, asks), strict=True):
            if snapshot:
                known.clear()
            for px, sz in said:
                known[float(px)] = f"{px}:{sz}"
                if float(sz) == 0.0:
                    del known[float(px)]

    def checksum(self) -> int:
        bids = [self._sides[0][px] for px in sorted(self._sides[0], reverse=True)]
        asks = [self._sides[1][px] for px in sorted(self._sides[1])]
        both = zip_longest(bids[:CHECKED_LEVELS], asks[:CHECKED_LEVELS])
        text = ":".join(one for pair in both for one in pair if one is not None)
        return int(np.uint32(zlib.crc32(text.encode())).astype(np.int32))


def said(bids: Side, asks: Side, *, snapshot: bool) -> BookChange:
    found = [spelled_side_of(raw(side), "X") for side in (bids, asks)]
    (bid_levels, bid_texts), (ask_levels, ask_texts) = found
    made = change("X", bid_levels, ask_levels, (1, 2), (TS_ABSENT, TS_ABSENT), 400 * snapshot)
    return made._replace(texts=Spelled(bid_texts, ask_texts))


def raw(side: Side) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode([(px, sz, "0", "4") for px, sz in side]))


def levels(chance: Random, count: int, cents: range) -> Side:
    """Prices in two spellings, sizes of which some are none."""
    made = []
    for cent in chance.sample(cents, count):
        px = f"{cent / 100:.2f}" if chance.random() < 0.7 else f"{cent / 100:.3f}"
        made.append((px, chance.choice(["0", "0.0", "1", "2.50", "317.0004"])))
    return made


@pytest.mark.parametrize("number", range(6))
def test_the_checksum_is_that_of_a_plain_book(number: int) -> None:
    chance, ours, plain = Random(SEED + number), SpelledLevels(), Plain()
    below, above = range(1, 10_000), range(10_000, 20_000)
    for step in range(60):
        snapshot = step % 20 == 0
        count = 400 if snapshot else chance.randrange(40)
        bids, asks = levels(chance, count, below), levels(chance, count, above)
        if number % 2 and snapshot:  # as they are sent: the best first
            bids.sort(key=lambda one: -float(one[0]))
            asks.sort(key=lambda one: float(one[0]))
        ours.take(said(bids, asks, snapshot=snapshot))
        plain.take(bids, asks, snapshot=snapshot)
        assert ours.checksum() == plain.checksum(), (SEED + number, step)


def test_one_side_alone_and_none() -> None:
    ours = SpelledLevels()
    assert ours.checksum() == 0
    ours.take(said([], [("101", "3")], snapshot=True))
    assert ours.checksum() == int(np.uint32(zlib.crc32(b"101:3")).astype(np.int32))
    ours.take(said([("100.0", "1"), ("99", "2")], [("101", "0")], snapshot=False))
    assert ours.checksum() == int(np.uint32(zlib.crc32(b"100.0:1:99:2")).astype(np.int32))


def test_a_full_side_gives_its_worst_up() -> None:
    ours, plain = SpelledLevels(), Plain()
    many = [(f"{1_000 - n}", "1") for n in range(700)]
    for start in range(0, 700, 100):
        ours.take(said(many[start : start + 100][::-1], [], snapshot=start == 0))
    gone = [(px, "0") for px, _ in many[:480]]
    ours.take(said(gone, [], snapshot=False))
    plain.take(many[480:], [], snapshot=True)
    assert ours.checksum() == plain.checksum()


USUAL = [
    b"[]",
    b'[["8476.98","415","0","13"]]',
    b'[["8476.98","0","0","13"],["0.00000001","10000000000.5"]]',
    b'[[0.080550,48,1],["1",2]]',
    b'[["%s","1"]]' % (b"9" * 40),
]
ODD = [
    (b"null", []),
    (b'[null,["1","2"]]', [b"1:2"]),
    (b'[["1","2"],["0","0"]]', [b"1:2"]),
    (b'[ ["1e2","2"] ]', [b"1e2:2"]),
    (b'[["1", 0.50 ]]', [b"1:0.50"]),
]


@pytest.mark.parametrize("text", USUAL)
def test_both_tiers_read_the_same(text: bytes) -> None:
    found = read_spelled(text)
    assert found is not None
    typed = spelled_by_types(msgspec.Raw(text), "X")
    assert found[0].tobytes() == typed[0].tobytes() == side_of(msgspec.Raw(text), "X").tobytes()
    assert found[1].tolist() == typed[1].tolist()
    assert found[1].dtype == typed[1].dtype == TEXT_DTYPE


@pytest.mark.parametrize(("text", "texts"), ODD)
def test_what_is_spelled_oddly_is_for_the_typed_tier(text: bytes, texts: list[bytes]) -> None:
    assert read_spelled(text) is None
    numbers, found = spelled_side_of(msgspec.Raw(text), "X")
    assert found.tolist() == texts
    assert len(numbers) == len(texts)


REFUSED = [
    b"{}",
    b'[["1"]]',
    b'[["x","1"]]',
    b'[["-1","1"]]',
    b'[["1","2"],["0","3"]]',
    b'[["1.%s","1"]]' % (b"0" * TEXT_BYTES),
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_side_is_refused(text: bytes) -> None:
    with pytest.raises(BadMessage) as refused:
        spelled_side_of(msgspec.Raw(text), "BTC-USDT")
    assert refused.value.evidence["symbol"] == "BTC-USDT"


def test_as_many_texts_as_levels_are_needed() -> None:
    ours = SpelledLevels()
    one = said([("1", "2")], [], snapshot=True)
    for texts in (np.zeros(2, TEXT_DTYPE), np.zeros(1, "S4")):
        with pytest.raises(ValueError, match="texts of"):
            ours.take(one._replace(texts=Spelled(texts, texts[:0])))
