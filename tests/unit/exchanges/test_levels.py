"""The native reader of a book's side gives what the typed tier gives, bit for bit, or nothing."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spread_scanner.errors import BadMessage
from spread_scanner.exchanges._levels import LEVELS_MAX, read_levels
from spread_scanner.exchanges.depth import side_by_types

NUMBERS = st.one_of(
    st.decimals(0, 10**9, places=8).map(str),
    st.integers(0, 10**20).map(str),
    st.sampled_from(["0", "0.0", "1e5", "-1", "", "01", "1.", ".5", "1" * 50, "0.1" + "0" * 30]),
)
SPELLED = st.tuples(NUMBERS, st.booleans()).map(lambda one: f'"{one[0]}"' if one[1] else one[0])
LEVEL = st.lists(SPELLED, min_size=1, max_size=4).map(lambda row: f"[{','.join(row)}]")
SIDE = st.lists(LEVEL, max_size=6).map(lambda rows: f"[{','.join(rows)}]")


def check(text: bytes) -> bool:
    found = read_levels(text)
    if found is None:
        return False
    typed = side_by_types(msgspec.Raw(text), "X")
    assert found.tobytes() == typed.tobytes()
    return True


@settings(max_examples=300)
@given(SIDE, st.integers(0, 400), st.sampled_from(b'[]",0.e'))
def test_both_tiers_agree(text: str, place: int, byte: int) -> None:
    """As it was made, cut off, and with one byte another."""
    whole = text.encode()
    check(whole)
    cut = place % (len(whole) + 1)
    assert not check(whole[:cut]) or cut == len(whole)
    damaged = bytearray(whole)
    damaged[place % len(whole)] = byte
    check(bytes(damaged))


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'[["61737.63000000","0.00000000"]]',
        b'[["5.148","60","0","1"],["5.149","192","0","1"]]',
        b"[[0.080550,48,1],[0.080560,347,1]]",
    ],
)
def test_usual_levels_are_read_natively(text: bytes) -> None:
    assert check(text)


@pytest.mark.parametrize("text", [b"null", b"[null]", b'[["1","2"], ["3","4"]]', b'[["0","0"]]'])
def test_unusual_ones_are_left_to_the_typed_tier(text: bytes) -> None:
    assert read_levels(text) is None
    assert len(side_by_types(msgspec.Raw(text), "X")) in (0, 2)


def test_no_level_is_read_beyond_the_bound() -> None:
    row = b'["1","2"]'
    for count, natively in ((LEVELS_MAX, True), (LEVELS_MAX + 1, False)):
        assert check(b"[" + b",".join([row] * count) + b"]") is natively


def test_recorded_sides(recording: Callable[[str], bytes]) -> None:
    sides = 0
    for line in recording("bybit_linear/nautilus_xrpusdt_ob500.jsonl.gz").splitlines():
        data = msgspec.json.decode(line, type=dict[str, msgspec.Raw])["data"]
        for name in ("b", "a"):
            side = msgspec.json.decode(data, type=dict[str, msgspec.Raw])[name]
            assert check(bytes(side))
            sides += 1
    assert sides == 100


def test_a_side_that_is_none() -> None:
    for text in (b"{}", b"7", b'[["a","1"]]'):
        assert read_levels(text) is None
        with pytest.raises(BadMessage):
            side_by_types(msgspec.Raw(text), "X")
