"""The log's records and frames, byte by byte: who changes one raises frames.VERSION."""

import google_crc32c
import numpy as np
import pytest

from spread_scanner.schema.log import (
    ARRAYS,
    BOOK_DELTA_DTYPE,
    BOOK_SNAPSHOT_DTYPE,
    DOCUMENT_DTYPE,
    DOCUMENTS,
    GAP_DTYPE,
    SOURCE_STATE_DTYPE,
    TICK_DTYPE,
    RecordKind,
)
from spread_scanner.schema.records import QUOTE_DTYPE, SIGNAL_DTYPE
from spread_scanner.wal import frames


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (TICK_DTYPE, 80),
        (SIGNAL_DTYPE, 256),
        (SOURCE_STATE_DTYPE, 32),
        (GAP_DTYPE, 48),
        (BOOK_SNAPSHOT_DTYPE, 720),
        (BOOK_DELTA_DTYPE, 48),
        (DOCUMENT_DTYPE, 32),
        (frames.HEAD_DTYPE, 512),
    ],
)
def test_sizes(dtype: np.dtype[np.void], size: int) -> None:
    assert dtype.itemsize == size
    end = 0
    assert dtype.fields is not None
    for field, at, *_ in dtype.fields.values():
        assert at == end, "no hidden padding"
        end = at + field.itemsize
    assert end == size
    assert size % frames.ALIGN == 0


def test_a_tick_is_its_origin_and_the_quote() -> None:
    assert TICK_DTYPE.fields is not None
    assert TICK_DTYPE.fields["quote"] == (QUOTE_DTYPE, 16)
    assert [TICK_DTYPE.fields[name][1] for name in ("number", "symbol_id", "source_id")] == [
        0,
        8,
        10,
    ]


def test_every_kind_is_an_array_or_a_document() -> None:
    assert {*ARRAYS, *DOCUMENTS, RecordKind.CLOSE} == set(RecordKind)
    assert not DOCUMENTS & set(ARRAYS)
    assert [int(kind) for kind in RecordKind] == list(range(12))


def test_a_block_lies_as_it_was_drawn() -> None:
    """Rule D1: length, kind, sequence, times, how far it was safe, the CRC of the one before."""
    data = np.zeros(frames.BLOCK_HEAD_BYTES + 160, np.uint8)
    given = {"salt": 7, "previous": 5, "first": 9, "durable": 4, "at_ms": 3}
    crc = frames.seal_block(data, RecordKind.TICK, 2, **given)
    head = data[: frames.BLOCK_HEAD_BYTES]
    assert len(head) == 32
    assert head.view("<u4")[[0, 1, 2, 4, 5, 6]].tolist() == [crc, 5, 7, 9, 4, 3]
    assert head.view("<u2")[[6, 7]].tolist() == [160, 2]
    block = frames.block_at(data, 0, 7)
    assert block == (0, RecordKind.TICK, 9, 2, 160, 4, 3, 5, crc)
    assert frames.block_at(data, 0, 8) is None
    assert frames.block_at(data[:-1], 0, 7) is None


@pytest.mark.parametrize("length", [frames.PAYLOAD_BYTES_MAX + frames.ALIGN, 161, 176])
def test_nothing_is_read_by_a_length_that_no_block_has(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Rule D1: more than a block may have, no whole number of places, more than there is: it is
    looked at before anything is taken by it."""
    room = 160 if length == 176 else 70_000
    data = np.zeros(frames.BLOCK_HEAD_BYTES + room, np.uint8)
    given = {"salt": 7, "previous": 5, "first": 9, "durable": 4, "at_ms": 3}
    frames.seal_block(data[: frames.BLOCK_HEAD_BYTES + 160], RecordKind.TICK, 2, **given)
    assert frames.block_at(data, 0, 7) is not None
    data[12:14].view("<u2")[:] = length

    def asked(*_: object) -> int:
        raise AssertionError("its CRC was asked for")

    monkeypatch.setattr(google_crc32c, "value", asked)
    monkeypatch.setattr(google_crc32c, "extend", asked)
    assert frames.block_at(data, 0, 7) is None


def test_crc32c_is_the_one_of_the_documents() -> None:
    """RFC 3720, B.4: 32 bytes of zeros, and of ones."""
    assert google_crc32c.value(bytes(32)) == 0x8A9136AA
    assert google_crc32c.value(b"\xff" * 32) == 0x62A8AB43
    assert google_crc32c.implementation == "c"
