"""What web servers answer, however it is packed: read as it is meant, within the bound, or refused
before it is unpacked.
"""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from functools import partial

import httpx
import pytest

from spread_scanner import clock
from spread_scanner.clock import VirtualClock
from spread_scanner.web.bodies import read_body, read_body_by

MOST = 1_000
TEXT = b'{"asked":"once"}'
# Without the second that it is packed in: each of several testers names its tests by these.
gzipped = partial(gzip.compress, mtime=0)
ZEROS = gzipped(bytes(32 << 20))  # of some 32 KB
CHUNK_BYTES = 64  # of which each answer comes


def read(body: bytes, packed: str) -> bytes | None:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), CHUNK_BYTES):
            yield body[at : at + CHUNK_BYTES]

    headers = {"content-encoding": packed} if packed else {}
    answer = httpx.Response(200, headers=headers, content=chunks())
    found = asyncio.run(read_body(answer, MOST))
    parts = (body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))
    answer = httpx.Response(200, headers=headers, content=parts)
    assert read_body_by(answer, MOST, clock.awake_s() + 60.0) == found, "for who waits for it"
    return found


@pytest.mark.parametrize(
    ("packed", "body", "found"),
    [
        ("", TEXT, TEXT),
        ("", b"", b""),
        ("", b"a" * MOST, b"a" * MOST),
        ("", b"a" * (MOST + 1), None),
        ("identity", TEXT, TEXT),
        ("utf-8", TEXT, TEXT),
        ("gzip", gzipped(TEXT), TEXT),
        (" GZip ", gzipped(TEXT), TEXT),
        ("identity, gzip", gzipped(TEXT), TEXT),
        ("deflate", zlib.compress(TEXT), TEXT),
        ("gzip", gzipped(b"a" * MOST), b"a" * MOST),
        ("gzip", gzipped(b"a" * (MOST + 1)), None),
        ("gzip", gzipped(TEXT)[:-8], TEXT),
        ("gzip", gzipped(TEXT) + b"what follows is nothing", TEXT),
        ("gzip", gzipped(TEXT) + b"a" * MOST, None),
        ("gzip", ZEROS, None),
    ],
)
def test_it_is_read_within_the_bound(packed: str, body: bytes, found: bytes | None) -> None:
    assert read(body, packed) == found


@pytest.mark.parametrize(
    ("packed", "body"),
    [
        ("gzip", TEXT),
        ("gzip, gzip", gzipped(gzipped(TEXT))),
        ("gzip,deflate", zlib.compress(gzipped(TEXT))),
        ("br", TEXT),
        ("zstd", TEXT),
        (", ".join(["gzip"] * 1_000), TEXT),
    ],
)
def test_what_is_packed_in_another_way_is_an_error_of_the_answer(packed: str, body: bytes) -> None:
    with pytest.raises(httpx.DecodingError) as raised:
        read(body, packed)
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize(("parts", "found"), [(3, b"a" * 3), (4, None)])
def test_one_that_drips_is_not_waited_for(
    virtual_clock: VirtualClock, parts: int, found: bytes | None
) -> None:
    def dripping() -> Iterator[bytes]:
        for _ in range(parts):
            virtual_clock.advance_ms(1_000)
            yield b"a"

    answer = httpx.Response(200, content=dripping())
    assert read_body_by(answer, MOST, clock.awake_s() + 3.5) == found


def test_no_more_is_unpacked_than_may_be_kept() -> None:
    tracemalloc.start()
    try:
        assert read(ZEROS[:500], "gzip") is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200_000
