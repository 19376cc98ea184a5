"""What a client says that means nothing: it is told what is wrong, and what is allowed there."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from gateway_bed import Told

from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.hearing import understood
from spread_scanner.gateway.problems import NotAnswered
from spread_scanner.gateway.wishes import PushKind, PushWish
from spread_scanner.schema.enums import DIRECTION_BY_LABEL

FIELDS = ", ".join(field.encode_name for field in msgspec.structs.fields(PushWish))
HALF = r"\ud83d is half a surrogate pair, and no letter"
# What a client says -> the whole of what it is told.
MISHEARD = {
    b'{"kinds":["prices"],"pairs":["\xff"]}': "JSON is UTF-8, and byte 30 is not",
    b'{"kinds":["prices"],"\xff":1}': "JSON is UTF-8, and byte 21 is not",
    rb'{"kinds":["prices"],"pairs":["\ud83d"]}': HALF,
    rb'{"kinds":["prices"],"pairs":["\ud83d x"]}': HALF,
    rb'{"kinds":["prices"],"pairs":["\\\ud83d"]}': HALF,
    rb'{"kinds":["prices"],"pairs":["\ud83d\ude00': "Input data was truncated",
    rb'{"kinds":["prices"],"pairs":["\\ud83d': "Input data was truncated",
    b"": "Input data was truncated",
    b"[]": "Expected `object`, got `array`",
    b"{}": "Object missing required field `kinds`",
    b'{"kinds":["prices","nothing"]}': "kinds[1]: Invalid enum value 'nothing'; allowed: "
    "books, opportunities, prices, signals, spreads, status",
    b'{"kinds":["prices"],"encoding":"xml"}': "encoding: Invalid enum value 'xml'; allowed: "
    "json, msgpack",
    b'{"kinds":["prices"],"pace":1}': "pace: Expected `str`, got `int`",
    b'{"kinds":["prices"],"levels":0}': "levels: Expected `int` >= 1",
    b'{"op":"wish"}': "op: Invalid value 'wish'; allowed: subscribe",
    b'{"kinds":["prices"],"pair":[]}': f"Object contains unknown field `pair`; allowed: {FIELDS}",
}


@pytest.fixture
def asking(virtual_clock: Any, listed_bed: Any, gateway_of: Callable[..., Any]) -> Any:
    virtual_clock.advance_ms(1_000)
    return gateway_of()


@pytest.mark.parametrize("said", MISHEARD, ids=repr)
def test_what_means_nothing_is_answered_with_what_is_wrong(said: bytes) -> None:
    with pytest.raises(NotAnswered) as refused:
        understood(said, PushWish)
    assert (refused.value.code, refused.value.detail) == ("bad_request", MISHEARD[said])


def test_the_stream_goes_on_whatever_was_said(stream: Broadcast) -> None:
    told = Told(stream)
    told.wish("prices")
    for said in MISHEARD:
        stream.heard(told.client, said)
    assert [one["detail"] for one in told.of("error")] == [*MISHEARD.values()]
    told.wish("prices")
    assert len(told.of("prices")) == 2


def test_whole_surrogate_pairs_are_letters() -> None:
    said = rb'{"kinds":["status"],"pairs":["\ud83d\ude00","\\ud83d","x"]}'
    assert understood(said, PushWish).pairs == ("\U0001f600", r"\ud83d", "x")


def test_what_is_repeated_of_a_client_leaves_room_for_what_is_allowed(stream: Broadcast) -> None:
    told = Told(stream)
    stream.heard(told.client, b'{"kinds":["%b"]}' % (b"x" * 60_000))
    told.wish("spreads", directions=["nowhere"])
    of_kinds, of_directions = (one["detail"] for one in told.of("error"))
    assert all(kind in of_kinds for kind in get_args(PushKind))
    assert all(label in of_directions for label in DIRECTION_BY_LABEL)
