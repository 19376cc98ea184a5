"""ccxt follows one order book of a source by stream, and says what it holds when asked."""

import asyncio
import os

from client_talk import answer_looks, say
from read_ccxt import Reader


async def main() -> None:
    reader = Reader()
    await reader.client.load_markets()
    symbol = reader.wanted()[0]
    name = reader.client.market(symbol)["id"]
    say(symbol=name)

    def look() -> dict[str, list[list[float]]]:
        book = reader.client.orderbooks.get(symbol)
        if book is None:
            return {}
        return {side: [level[:2] for level in book[side]] for side in ("bids", "asks")}

    answer_looks(look, lambda: os._exit(0))
    while True:
        await reader.client.watch_order_book(symbol)


asyncio.run(main())
