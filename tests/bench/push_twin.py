"""The push as its user would write it: websockets, whose `broadcast` sends a text to all there are.

Exactly: it parks on the store's dirty bits in the loop's executor, writes out what changed, hands
it to `websockets.asyncio.server.broadcast` as one str (which frames it anew for each client, as the
protocol's state is a client's), and waits a millisecond, as we do between two frames. Its loop is
asyncio's own, as in websockets' documentation; compression is agreed where a client asks for it,
which the benchmark's do not. It keeps nobody's wishes, knows no slow client and no version.

What a price is and how it is written out is our code for both: each changed quote is read once by
the public reader and encoded once by msgspec, which is no dearer than what a user would write. So
what is compared is the waking and the sending. It prints its port.
"""

import asyncio
import contextlib

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from spread_scanner import config
from spread_scanner.gateway.channels import Dirty
from spread_scanner.gateway.prices import PricesAsText
from spread_scanner.schema.enums import SOURCES
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import tables
from spread_scanner.view.prices import SPOT_LIKE, PriceBoard

PARK_MS = 200.0
FRAME_S = 0.001  # between two frames, as ours
SNAPSHOT = '{"type":"prices","snapshot":true,"prices":[]}'


def changed(prices: PricesAsText, written: Dirty) -> str:
    """What was written, as one text."""
    board, texts = prices.board, list[bytes]()
    for source in SPOT_LIKE:
        for source_id, ids in written:
            if SOURCES[source_id] is source:
                texts += prices.some(source, board.places(source, ids)).values()
    return (b'{"type":"prices","snapshot":false,"prices":[%b]}' % b",".join(texts)).decode()


async def main() -> None:
    settings = config.load()
    store = PriceStore.attach(settings.config.system.namespace)
    loaded = tables.load(settings.generated_dir)
    prices = PricesAsText(PriceBoard(settings, loaded, store))
    told: set[ServerConnection] = set()

    async def tell(client: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await client.recv()  # its wish
            await client.send(SNAPSHOT)
            told.add(client)
            await client.wait_closed()
        told.discard(client)

    async with serve(tell, "127.0.0.1", 0) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        with contextlib.closing(store.dirty("engine")) as bits:
            while True:
                if await loop.run_in_executor(None, bits.wait, PARK_MS):
                    broadcast(told, changed(prices, bits.take_all()))
                await asyncio.sleep(FRAME_S)


asyncio.run(main())
