"""Recorded files to normalised quotes: line formats, length prefixes, tables, counted skips."""

import json
from collections import Counter
from collections.abc import Callable

import pytest

from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.decode import decode_lines, frames_in, length_prefixed, line_frames
from spread_scanner.schema.enums import SOURCE_BY_LABEL

Payloads = Callable[[str], bytes]
BINANCE = SOURCE_BY_LABEL["binance-spot"]
BYBIT = SOURCE_BY_LABEL["bybit-spot"]
MEXC = SOURCE_BY_LABEL["mexc-spot"]


@pytest.mark.parametrize("head", ["", "1723161254087891268 ", "1617647603.4249449: ", "\ufeff"])
def test_a_line_is_a_frame_with_or_without_its_receive_time(head: str) -> None:
    frame = b'{"u":1}'

    assert list(line_frames([head.encode() + frame, b"", b"  \r"])) == [frame]


def test_jsonl_with_raw_text_or_hex() -> None:
    lines = [
        json.dumps({"raw": '{"u":1}', "where": "x"}).encode(),
        json.dumps({"hex": "0a01", "channel": "x"}).encode(),
        b'{"message":{"u": 1},"nominal_local":"x"}',
        json.dumps({"hex": "zz"}).encode(),
        b'{"success":false,"message":"no object, so no wrapping"}',
    ]

    assert list(line_frames(lines)) == [b'{"u":1}', b"\x0a\x01", b'{"u": 1}', *lines[3:]]


def test_length_prefixed_files_are_told_from_lines(payload: Payloads) -> None:
    frame = payload("mexc/book_ticker.hex")
    assert len(frame) < 0x4000
    data = bytes([len(frame) & 0x7F | 0x80, len(frame) >> 7]) + frame

    assert list(frames_in(MEXC, data * 3)) == [frame] * 3
    assert list(frames_in(MEXC, b'{"hex":"' + frame.hex().encode() + b'"}\n')) == [frame]


@pytest.mark.parametrize("data", [b"\x05ab", b"\xff" * 11, b"\x80"])
def test_a_cut_off_binary_file_is_a_bad_message(data: bytes) -> None:
    with pytest.raises(BadMessage):
        list(length_prefixed(data))


def test_without_tables_quotes_are_as_the_exchange_gave_them(payload: Payloads) -> None:
    rows = list(decode_lines(BINANCE, [payload("binance/spot_book_ticker.json")]))

    assert rows == [
        {
            "source": "binance-spot",
            "exchange_symbol": "BTCUSDT",
            "kind": "quote",
            "bid_px": 61837.63,
            "bid_sz": 3.78826,
            "ask_px": 61837.64,
            "ask_sz": 1.54698,
            "ts_event": None,
            "update_id": 50093239212,
            "tier": "typed",
        }
    ]


@pytest.mark.parametrize("spaced", [False, True])
def test_with_tables_both_tiers_give_base_units(payload: Payloads, spaced: bool) -> None:
    frame = payload("binance/spot_book_ticker.json") + (b" " if spaced else b"")

    (row,) = decode_lines(BINANCE, [frame], {"BTCUSDT": (4, 1000.0, 0.5)})

    assert row["tier"] == ("typed" if spaced else "native")
    assert row["symbol_id"] == 4
    assert (row["bid_px"], row["bid_sz"]) == (61837.63 / 1000.0, 3.78826 * 0.5)


def test_what_is_no_quote_is_counted_by_reason(payload: Payloads) -> None:
    frames = [
        payload("binance/ack.json"),
        payload("binance/error.json"),
        payload("binance/trade.json"),
        payload("binance/server_shutdown.json"),
        b"garbage",
        b'{"u":1,"s":"X","b":"-1","B":"1","a":"2","A":"1"}',
        payload("binance/spot_book_ticker.json"),
    ]
    skipped: Counter[str] = Counter()

    rows = list(decode_lines(BINANCE, frames, {"ETHUSDT": (0, 1.0, 1.0)}, skipped))

    assert rows == []
    assert skipped == {
        "acknowledgement": 1,
        "refusal": 1,
        "notice: other": 1,
        "notice: shutdown": 1,
        "bad message": 1,
        "bad quote: a price or size that cannot be": 1,
        "unknown symbol": 1,
    }


def test_deltas_and_empty_sides(payload: Payloads) -> None:
    frames = [
        payload("bybit/order_book_delta.json"),
        payload("bybit/order_book_delta_emptied.json"),
        payload("bybit/order_book_no_bid.json"),
    ]

    moved, emptied, one_sided = decode_lines(BYBIT, frames, {"BTCUSDT": (0, 10.0, 2.0)})

    assert (moved["kind"], moved["bid_px"], moved["bid_sz"]) == ("delta", 2799.17, 1.554)
    assert "ask_px" not in moved
    assert (emptied["ask_px"], "bid_px" in emptied) == (None, False)
    assert (one_sided["kind"], one_sided["bid_px"]) == ("quote", None)
    assert json.dumps(one_sided)
