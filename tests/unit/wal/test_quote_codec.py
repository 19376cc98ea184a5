"""The codec of quotes: to the bit, small, and refused where it is not the next batch or damaged."""

import random
import struct
from typing import Any

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quote_walks import walk

from spread_scanner.schema.log import LOGGED_TICK_DTYPE, TICK_DTYPE
from spread_scanner.wal import _quote_codec
from spread_scanner.wal.quote_codec import (
    BATCH,
    BATCH_MAX,
    HEAD_BYTES,
    BadBatch,
    QuoteDecoder,
    QuoteEncoder,
    length_of,
)

BYTES_MAX = 12.0  # a quote, in batches of 256


def batches(ticks: np.ndarray, size: int = BATCH) -> list[np.ndarray]:
    return [ticks[at : at + size] for at in range(0, len(ticks), size)]


def there_and_back(ticks: np.ndarray, size: int = BATCH) -> int:
    """How many bytes they took. What comes back is the same to the bit."""
    encoder, decoder, took = QuoteEncoder(), QuoteDecoder(), 0
    for part in batches(ticks, size):
        packed = encoder.pack(part)
        assert length_of(packed[:HEAD_BYTES]) == len(packed)
        assert decoder.unpack(packed).tobytes() == np.ascontiguousarray(part).tobytes()
        took += len(packed)
    return took


def test_a_market_is_small_and_exact() -> None:
    ticks = walk(5, 40_000, sources=4, symbols=100)
    assert there_and_back(ticks) / len(ticks) <= BYTES_MAX
    assert there_and_back(ticks[:3_000], 1) > 0
    assert there_and_back(ticks, BATCH_MAX) > 0


NUMBERS = [
    *(0.0, -0.0, 1.0, -1.0, 0.1, 1e-8, 123.456, 1e15, 2.0**53, 2.0**53 + 2, 1e300, 5e-324),
    *(float("inf"), float("-inf"), float("nan"), 0.1 + 0.2, 1 / 3, 99_999.99999999999),
]
STAMPS = [0, 1, -1, 10**6, -(10**6), 1_790_000_000 * 10**9, 2**63 - 1, -(2**63), -(2**63) + 1]


def odd_ticks(seed: int, count: int) -> np.ndarray:
    """Whatever the fields can hold, a few cells, so that each follows on something else."""
    rng = random.Random(seed)
    ticks = np.zeros(count, LOGGED_TICK_DTYPE)
    for row in ticks:
        row["source_id"], row["symbol_id"] = rng.choice([0, 63]), rng.choice([0, 7, 65_535])
        row["number"] = rng.choice([0, 1, 2**64 - 1, rng.randrange(2**64)])
        row["back"] = rng.choice([0, 0, 1, 2**32 - 1])
        quote = row["quote"]
        for name in ("bid_px", "ask_px", "bid_sz", "ask_sz"):
            quote[name] = rng.choice([*NUMBERS, rng.randrange(10**9) / 10 ** rng.randrange(9)])
        quote["ts_event"], quote["ts_recv"] = rng.choice(STAMPS), rng.choice(STAMPS)
        quote["update_id"] = rng.choice([0, 1, 2**63, 2**64 - 1, rng.randrange(2**64)])
        quote["flags"], quote["epoch"] = rng.choice([0, 3, 2**32 - 1]), rng.choice([0, 9])
    return ticks


def test_whatever_a_quote_may_hold() -> None:
    ticks = odd_ticks(1, 2_000)
    there_and_back(ticks)
    nan = np.zeros(2, TICK_DTYPE)
    payloads = struct.pack("<QQ", 0x7FF8_0000_DEAD_BEEF, 0xFFF0_0000_0000_0001)
    nan["quote"]["bid_px"] = np.frombuffer(payloads, "<f8")
    there_and_back(nan)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 9))
def test_any_ticks_in_any_batches(seed: int, count: int, size: int) -> None:
    there_and_back(odd_ticks(seed, count), size)


def test_decimals_that_grow() -> None:
    ticks = np.zeros(6, TICK_DTYPE)
    ticks["quote"]["bid_px"] = [100, 100.5, 100.25, 0.1 + 0.2, 100.25, 1e-15]
    ticks["quote"]["ask_px"] = [101, 101, 101.125, 1, 101.125, 2e-15]
    ticks["quote"]["bid_sz"] = [1, 2, 3, 4, 5.5, 6.000001]
    there_and_back(ticks, 2)


def test_slices_that_are_not_contiguous() -> None:
    ticks = walk(6, 500, sources=2, symbols=3)
    assert QuoteDecoder().unpack(QuoteEncoder().pack(ticks[::2])).tobytes() == ticks[::2].tobytes()


def test_a_reader_that_comes_later_waits_for_a_beginning() -> None:
    first, second, third, fourth = batches(walk(7, 400), 100)
    encoder = QuoteEncoder()
    packed = [encoder.pack(first), encoder.pack(second)]
    late = QuoteDecoder()
    with pytest.raises(BadBatch, match="nothing is known before it"):
        late.unpack(packed[1])
    encoder.restart()
    assert late.unpack(encoder.pack(third)).tobytes() == third.tobytes()
    assert late.unpack(encoder.pack(fourth)).tobytes() == fourth.tobytes()


def test_a_gap_is_refused_and_so_is_what_follows() -> None:
    encoder, decoder = QuoteEncoder(), QuoteDecoder()
    packed = [encoder.pack(part) for part in batches(walk(8, 400), 100)]
    decoder.unpack(packed[0])
    with pytest.raises(BadBatch, match="another batch than the next"):
        decoder.unpack(packed[2])
    for one in packed[1:]:
        with pytest.raises(BadBatch, match="nothing is known before it"):
            decoder.unpack(one)
    decoder.unpack(packed[0])  # which begins anew


def test_every_bit_that_is_damaged_is_refused() -> None:
    packed = QuoteEncoder().pack(walk(9, 20, sources=2, symbols=2))
    for at in range(8 * len(packed)):
        damaged = bytearray(packed)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(BadBatch):
            QuoteDecoder().unpack(bytes(damaged))
    for length in range(len(packed)):
        with pytest.raises(BadBatch):
            QuoteDecoder().unpack(packed[:length])


def with_crc(head: bytes, bits: bytes) -> bytes:
    return head + struct.pack("<I", google_crc32c.value(head + bits)) + bits


def test_bits_that_somebody_made_up_are_refused_or_read_but_never_followed_astray() -> None:
    """With a CRC that is right: what keeps memory safe is the reader itself."""
    rng = random.Random(10)
    refused = 0
    for _ in range(3_000):
        bits = rng.randbytes(rng.randrange(1, 120)) * rng.choice([1, 1, 9])
        head = struct.pack("<HHII", 0x5142, rng.choice([1, 3, 200]), 0, len(bits))
        try:
            QuoteDecoder().unpack(with_crc(head, bits))
        except BadBatch:
            refused += 1
    assert refused > 1_000


WRONG: list[tuple[Any, str]] = [
    (np.zeros(0, TICK_DTYPE), "a batch of no such size"),
    (np.zeros(BATCH_MAX + 1, TICK_DTYPE), "a batch of no such size"),
    (np.zeros(3, "<f8"), "other records than ticks"),
    (np.zeros(1, np.dtype([("one", "V80")])), "other records than ticks"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_no_batch_of_ticks(number: int) -> None:
    ticks, why = WRONG[number]
    with pytest.raises(BadBatch, match=why):
        QuoteEncoder().pack(ticks)


def test_a_source_that_there_is_not_changes_nothing() -> None:
    good = walk(11, 100, sources=2, symbols=3)
    bad = good.copy()
    bad["source_id"][50] = _quote_codec.SOURCES
    encoder, decoder = QuoteEncoder(), QuoteDecoder()
    with pytest.raises(BadBatch, match="a source that there is not"):
        encoder.pack(bad)
    assert decoder.unpack(encoder.pack(good)).tobytes() == good.tobytes()


def test_a_tick_is_what_the_header_takes_it_for() -> None:
    assert {"logged_tick": TICK_DTYPE.itemsize} == _quote_codec.SIZES
