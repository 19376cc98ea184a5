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
from construct import Array, Bytes, Int8ul, Int16ul, Int32sl, Int64ul, Pointer, Struct
from solana.rpc.async_api import AsyncClient
from solana.rpc.websocket_api import SolanaWsClient
from solders.pubkey import Pubkey

WIDE = Bytes(16)
LAYOUTS = {
    "raydium-v4": Struct(
        "decimals" / Pointer(32, Array(2, Int64ul)),
        "owed" / Pointer(192, Array(2, Int64ul)),
        "vaults" / Pointer(336, Array(2, Bytes(32))),
    ),
    "raydium-cpmm": Struct(
        "vaults" / Pointer(72, Array(2, Bytes(32))),
        "decimals" / Pointer(331, Array(2, Int8ul)),
        "protocol" / Pointer(341, Array(2, Int64ul)),
        "fund" / Pointer(357, Array(2, Int64ul)),
    ),
    "raydium-clmm": Struct(
        "decimals" / Pointer(233, Array(2, Int8ul)), "root" / Pointer(253, WIDE)
    ),
    "orca-whirlpool": Struct(
        "root" / Pointer(65, WIDE),
        "mint0" / Pointer(101, Bytes(32)),
        "mint1" / Pointer(181, Bytes(32)),
    ),
    "meteora-dlmm": Struct(
        "active" / Pointer(76, Int32sl),
        "step" / Pointer(80, Int16ul),
        "mint0" / Pointer(88, Bytes(32)),
        "mint1" / Pointer(120, Bytes(32)),
    ),
}
AMOUNT = Struct("amount" / Pointer(64, Int64ul))
Held = dict[str, bytes]


def vaults_of(program: str, data: bytes) -> list[str]:
    state = LAYOUTS[program].parse(data)
    return [str(Pubkey.from_bytes(vault)) for vault in state.get("vaults", ())]


def price_of(program: str, data: bytes, held: Held, decimals: dict[str, int]) -> float:
    """Token 1 per token 0 in whole tokens."""
    state = LAYOUTS[program].parse(data)
    if "decimals" in state:
        of_base, of_quote = state.decimals
    else:
        mints = (str(Pubkey.from_bytes(mint)) for mint in (state.mint0, state.mint1))
        of_base, of_quote = (decimals[mint] for mint in mints)
    if "vaults" in state:
        kept = [state.owed] if "owed" in state else [state.protocol, state.fund]
        amounts = [
            AMOUNT.parse(held[vault]).amount - sum(one[side] for one in kept)
            for side, vault in enumerate(vaults_of(program, data))
        ]
        ratio = amounts[1] / amounts[0]
    elif "root" in state:
        ratio = (int.from_bytes(state.root, "little") / 2**64) ** 2
    else:
        ratio = (1 + state.step / 10_000) ** state.active
    return float(ratio * 10.0 ** (of_base - of_quote))


class Reader:
    """One provider, all pools."""

    def __init__(self, pools: dict[str, str], decimals: dict[str, int]) -> None:
        self._pools, self._decimals = pools, decimals
        self._keys: list[str] = []
        self.told: Held = {}
        self.notified = 0

    async def ask(self, client: AsyncClient, keys: list[str]) -> Held:
        answer = await client.get_multiple_accounts([Pubkey.from_string(key) for key in keys])
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
            made = await socket.account_subscribe(pubkey=Pubkey.from_string(key), encoding="base64")
            by_number[made.subscription_id] = key
        self.told = await self.ask(client, self._keys)
        return by_number

    async def hear(self, socket: SolanaWsClient, by_number: dict[int, str]) -> None:
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
