"""Whose books a source follows: what stands, what was asked for, what is watched, what is near."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from spread_scanner import clock
from spread_scanner.config import Books, Settings
from spread_scanner.feed.wanted import WantedBooks
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.shm.wants import Wants

DIRECTION = DIRECTIONS[0]
SOURCE = DIRECTION.spot
S = 1_000_000_000
SYMBOLS = {"AAA-USDT": 1, "BBB-USDT": 2, "CCC-USDT": 3, "DDD-USDT": 4, "EEE-USDT": 5}


@pytest.fixture
def wants(namespace: str) -> Iterator[Wants]:
    with Wants.create(namespace, num_sources=8, max_symbols=16) as made:
        yield made


def having(settings: Settings, **books: Any) -> Settings:
    config = msgspec.structs.replace(settings.config, books=Books(**books))
    return msgspec.structs.replace(settings, config=config)


def wanted_of(wants: Wants, bed: Any, **books: Any) -> WantedBooks:
    settings = having(bed.settings, **books)
    made = WantedBooks(SOURCE, wants, settings)
    made.reload(settings, SYMBOLS)
    return made


def say(wants: Wants, now_ns: int, **over_bps: float) -> None:
    with wants.near_writer() as near:
        for name, bps in over_bps.items():
            near.say(DIRECTION.direction_id, SYMBOLS[f"{name}-USDT"], bps, now_ns)


def test_as_shipped_what_stands_is_wanted_and_what_is_asked_for(wants: Wants, bed: Any) -> None:
    wanted = wanted_of(wants, bed)
    now_ns = clock.mono_ns()
    say(wants, now_ns, AAA=math.inf, BBB=-0.5)
    assert wanted.look(now_ns) == [1]
    wants.ask(SOURCE.source_id, 3, 10.0)
    assert wanted.look(now_ns) == [1, 3]
    assert wanted_of(wants, bed, books_margin_bps=-1.0).look(now_ns) == [3]


def test_the_most_urgent_come_first_within_books_max(wants: Wants, bed: Any) -> None:
    books = {"watch": ["DDD-USDT", "ZZZ-USDT"], "books_margin_bps": 5.0}
    wanted = wanted_of(wants, bed, **books)
    now_ns = clock.mono_ns()
    say(wants, now_ns, AAA=-4.0, BBB=-2.0, CCC=math.inf, DDD=-90.0)
    wants.ask(SOURCE.source_id, 5, 10.0)
    assert wanted.look(now_ns) == [3, 5, 4, 2, 1]
    assert wanted_of(wants, bed, books_max=2, **books).look(now_ns) == [3, 5]
    assert wanted_of(wants, bed, books_max=0, **books).look(now_ns) == []
    narrow = {**books, "books_margin_bps": 3.0}
    assert wanted_of(wants, bed, **narrow).look(now_ns) == [3, 5, 4, 2]


def test_who_is_not_wanted_any_more_lingers_behind_the_others(wants: Wants, bed: Any) -> None:
    wanted = wanted_of(wants, bed, books_margin_bps=5.0, books_linger_s=60.0)
    start_ns = clock.mono_ns()
    say(wants, start_ns, AAA=-1.0, BBB=-2.0)
    assert wanted.look(start_ns) == [1, 2]
    say(wants, start_ns + S, AAA=-50.0, BBB=-2.0)
    wanted.look(start_ns + S)
    say(wants, start_ns + 8 * S, AAA=-50.0, BBB=-50.0, CCC=-4.9)
    assert wanted.look(start_ns + 8 * S) == [3, 2, 1]
    assert wanted.look(start_ns + 60 * S) == [3, 2]
    assert wanted.look(start_ns + 68 * S) == []


def test_who_is_followed_keeps_his_place_against_the_like_of_him(wants: Wants, bed: Any) -> None:
    """Else whoever is at the edge of the room is subscribed and let go with each quote."""
    wanted = wanted_of(wants, bed, books_margin_bps=5.0, books_linger_s=60.0, books_max=2)
    now_ns = clock.mono_ns()
    say(wants, now_ns, AAA=-4.0, BBB=-3.0)
    assert wanted.look(now_ns) == [2, 1]
    for nearer in (-2.0, -1.0, -4.5, -0.1):
        say(wants, now_ns, AAA=-4.0, BBB=-3.0, CCC=nearer)
        assert wanted.look(now_ns) == [2, 1]
    say(wants, now_ns, CCC=math.inf)
    assert wanted.look(now_ns) == [3, 2]
    say(wants, now_ns, CCC=-4.9)
    assert wanted.look(now_ns) == [2, 3]
    say(wants, now_ns, CCC=-4.9, DDD=math.inf, EEE=math.inf, AAA=math.inf)
    assert wanted.look(now_ns) == [1, 4]
    say(wants, now_ns, BBB=math.inf)
    assert wanted.look(now_ns) == [1, 4]


def test_who_was_put_out_does_not_linger(wants: Wants, bed: Any) -> None:
    wanted = wanted_of(wants, bed, books_margin_bps=5.0, books_linger_s=60.0, books_max=1)
    now_ns = clock.mono_ns()
    say(wants, now_ns, AAA=-4.0)
    assert wanted.look(now_ns) == [1]
    say(wants, now_ns, BBB=math.inf)
    assert wanted.look(now_ns) == [2]
    say(wants, now_ns, AAA=-90.0, BBB=-90.0)
    assert wanted.look(now_ns + S) == [2]  # it lingers; the other would be asked for for nobody


def test_what_the_source_does_not_list_is_not_followed(wants: Wants, bed: Any) -> None:
    wanted = wanted_of(wants, bed)
    now_ns = clock.mono_ns()
    wants.ask(SOURCE.source_id, 9, 10.0)
    assert wanted.look(now_ns) == []
    wants.ask(SOURCE.source_id, 2, 10.0)
    assert wanted.look(now_ns) == [2]
    settings = having(bed.settings)
    wanted.reload(settings, {"AAA-USDT": 1})
    assert wanted.look(now_ns) == []
    wanted.reload(settings, {"NEW-USDT": 2})  # asked for by its id, under whatever name
    assert wanted.look(clock.mono_ns() + 11 * S) == []
