"""Books of the pretend exchanges: a snapshot by REST, and the stream's next message after it."""

from types import SimpleNamespace
from typing import cast

import orjson
import pytest

from spread_scanner.sim.depth import OF_UPDATES, PREFIX, now_of
from spread_scanner.sim.dialects import Subscription
from spread_scanner.sim.exchange import Exchange8
from spread_scanner.sim.options import Options
from spread_scanner.sim.server import Connection

AWAY_TICKS = 3


@pytest.mark.parametrize("back_ticks", [0, 1, -1])
def test_who_begins_by_rest_between_two_messages_has_the_book_after_the_next(
    back_ticks: int,
) -> None:
    """Though levels that the snapshot had otherwise are again what the message before made them."""
    exchange = Exchange8(Options(seed=1, symbols=5))
    listing = exchange.universe.by_name["okx-futures"]["BTC-USDT-SWAP"]
    listener = SimpleNamespace(talk=None, frozen=False, deaf=False, out=[], asides=0)
    subscription = Subscription(listing, PREFIX + "books")
    exchange.depth.subscribed(cast(Connection, listener), subscription)
    began_ticks = listing.ask_ticks

    listing.ask_ticks, listing.update_id = began_ticks + AWAY_TICKS, listing.update_id + 1
    path, query = "/okx-futures/api/v5/market/books", {"instId": "BTC-USDT-SWAP", "sz": "20"}
    answer = exchange.control.answer("GET", path, query, b"", "127.0.0.1")
    assert answer is not None
    seed = orjson.loads(answer.body)["data"][0]["asks"]
    listing.ask_ticks, listing.update_id = began_ticks + back_ticks, listing.update_id + 1
    exchange.depth.advance()

    (frame,) = listener.out
    told = orjson.loads(frame[frame.index(b"{") :])["data"][0]["asks"]
    book = {px: sz for px, sz, *_ in (*seed, *told)}
    as_far_as = float(seed[-1][0])
    stands = {px: sz for px, sz in book.items() if sz != "0" and float(px) <= as_far_as}
    right = now_of(listing, OF_UPDATES).asks
    assert stands == {px: sz for px, sz in right.items() if float(px) <= as_far_as}
