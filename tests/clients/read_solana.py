"""solana-py and construct as a reader of pools, in a process of its own.

Told the provider's URLs, the pools' keys with their programs and the decimals of mints. Subscribes
to every account that a price needs, asks for all of them, and answers each line of its input with
the prices: of what its subscriptions told, and of what it asks for then.
"""

import asyncio
import json
import sys
from typing import Any

from client_talk import say
from pool_layouts import Held, price_of, vaults_of
from solana.rpc.async_api import AsyncClient
from solana.rpc.websocket_api import SolanaWsClient
from solders.pubkey import Pubkey


class Reader:
    """One provider, all pools."""

    def __init__(self, pools: dict[str, str], decimals: dict[str, int]) -> None:
        self._pools, self._decimals = pools, decimals
        self._keys: list[str] = []
        self.told: Held = {}
        self.notified = 0

    async def ask(self, client: AsyncClient, keys: list[str]) -> Held:
        answer: Any = await client.get_multiple_accounts([Pubkey.from_string(key) for key in keys])
        found = zip(keys, answer.value, strict=True)
        return {key: bytes(account.data) for key, account in found if account is not None}

    async def begin(self, client: AsyncClient, socket: SolanaWsClient) -> dict[int, str]:
        """Subscribe to what the pools' own accounts name, then ask for all."""
        heads = await self.ask(client, [*self._pools])
        vaults = [
            vault for key, data in heads.items() for vault in vaults_of(self._pools[key], data)
        ]
        self._keys = [*self._pools, *vaults]
        by_number = {}
        for key in self._keys:
            made: Any = await socket.account_subscribe(
                pubkey=Pubkey.from_string(key), encoding="base64"
            )
            by_number[made.subscription_id] = key
        self.told = await self.ask(client, self._keys)
        return by_number

    async def hear(self, socket: SolanaWsClient, by_number: dict[int, str]) -> None:
        told: Any
        async for told in socket:
            self.notified += 1
            self.told[by_number[told.subscription]] = bytes(told.result.value.data)

    async def prices(self, client: AsyncClient) -> dict[str, Any]:
        asked = await self.ask(client, self._keys)
        return {"told": self._priced(self.told), "asked": self._priced(asked)}

    def _priced(self, held: Held) -> dict[str, float]:
        return {
            key: price_of(program, held[key], held, self._decimals)
            for key, program in self._pools.items()
        }


async def main() -> None:
    urls, pools, decimals = (json.loads(word) for word in sys.argv[1:4])
    reader = Reader(pools, decimals)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    async with AsyncClient(urls["http_url"]) as client, SolanaWsClient(urls["ws_url"]) as socket:
        by_number = await reader.begin(client, socket)
        hearing = asyncio.create_task(reader.hear(socket, by_number))
        say(subscribed=len(by_number))
        while await lines.readline():
            if hearing.done():
                hearing.result()
            say(notified=reader.notified, **await reader.prices(client))
        hearing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
