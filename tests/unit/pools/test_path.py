"""All pieces together, as a feed will use them: from bytes of a provider to best bid and ask."""

import base64
import json

from pool_accounts import amm_v4, balance, key

from spread_scanner.config.pools import MintSettings, PoolEntry
from spread_scanner.pools import rpc
from spread_scanner.pools._units import PoolUnits
from spread_scanner.pools.effective import best_sides, traded
from spread_scanner.pools.pace import ProviderPace
from spread_scanner.pools.subscriptions import Subscriptions
from spread_scanner.pools.units import WholePool
from spread_scanner.pools.wanted import wanted
from spread_scanner.solana.tokens import USDC, WSOL

POOL, VAULTS = key("pool"), (key("vault 0"), key("vault 1"))
ENTRY = PoolEntry("raydium-v4", [WSOL, USDC])
MINTS = {WSOL: MintSettings("SOL"), USDC: MintSettings("USDC")}
Account = tuple[str, bytes]


class Provider:
    """A chain of one pool, and what a provider says of it."""

    def __init__(self, sol: int, usdc: int) -> None:
        self.slot, self.subscriptions = 100, dict[str, int]()
        self.accounts: dict[str, Account] = {POOL: amm_v4(vaults=VAULTS, mints=(WSOL, USDC))}
        self.swap(sol, usdc)

    def swap(self, sol: int, usdc: int) -> list[bytes]:
        """The vaults hold so much now."""
        self.slot += 1
        self.accounts[VAULTS[0]] = balance(WSOL, sol * 10**9)
        self.accounts[VAULTS[1]] = balance(USDC, usdc * 10**6)
        return [self._told(name) for name in VAULTS if name in self.subscriptions]

    def answer(self, request: bytes) -> bytes:
        asked = json.loads(request)
        if asked["method"] == "accountSubscribe":
            number = self.subscriptions.setdefault(asked["params"][0], 7_000 + asked["id"])
            return self._json({"result": number, "id": asked["id"]})
        assert asked["method"] == "getMultipleAccounts"
        value = [self._said(name) if name in self.accounts else None for name in asked["params"][0]]
        result = {"context": {"slot": self.slot}, "value": value}
        return self._json({"result": result, "id": asked["id"]})

    def _told(self, name: str) -> bytes:
        result = {"context": {"slot": self.slot}, "value": self._said(name)}
        params = {"result": result, "subscription": self.subscriptions[name]}
        return self._json({"method": "accountNotification", "params": params})

    def _said(self, name: str) -> dict[str, object]:
        owner, data = self.accounts[name]
        text = base64.b64encode(data).decode()
        return {"lamports": 1, "owner": owner, "data": [text, "base64"], "space": len(data)}

    def _json(self, said: dict[str, object]) -> bytes:
        return json.dumps({"jsonrpc": "2.0", **said}).encode()


class Reader:
    """Asks until every account of the pool is subscribed and seeded, and takes what is told."""

    def __init__(self, provider: Provider) -> None:
        self.provider, self.units, self.numbers = provider, PoolUnits(), Subscriptions()
        self.request_id = 0
        self.units.held.connected("a")
        self.whole: list[WholePool] = []
        known: dict[str, Account] = {}
        while True:
            now = wanted(POOL, ENTRY, known, arrays=2)
            self.units.watch(POOL, now)
            if set(now.keys) <= set(known):
                break
            for name in set(now.keys) - self.numbers.keys:
                self._subscribe(name)
            for batch in rpc.batches([self.units.held.unseeded("a")]):
                known |= self._seed(batch)

    def _next(self) -> int:
        self.request_id += 1
        return self.request_id

    def _subscribe(self, name: str) -> None:
        number = self._next()
        self.numbers.ask(number, name, 0)
        answer = self.provider.answer(rpc.subscribe_account(number, name, "confirmed"))
        found = rpc.heard(answer)
        assert isinstance(found, rpc.Subscribed)
        assert self.numbers.acknowledged(found, 0) == []

    def _seed(self, names: list[str]) -> dict[str, Account]:
        number = self._next()
        answer = self.provider.answer(rpc.read_accounts(number, names, "confirmed"))
        found = rpc.answered(answer, number, names)
        assert isinstance(found, rpc.AccountsRead)
        self.whole += self.units.seeded("a", found.slot, found.accounts, 0)
        return found.accounts

    def hear(self, data: bytes) -> list[WholePool]:
        found = rpc.heard(data)
        assert isinstance(found, rpc.AccountTold)
        of = self.numbers.told(found, 0)
        assert of is not None
        return self.units.told(of.key, found.slot, found.owner, found.data, "a", 0)


def test_from_bytes_to_best_bid_and_ask() -> None:
    provider = Provider(10_000, 1_500_000)
    reader = Reader(provider)
    [first] = reader.whole
    assert (first.slot, set(first.accounts)) == (101, {POOL, *VAULTS})
    pace = ProviderPace()
    pace.told("a", 101, 0)
    assert reader.units.is_fresh(POOL, pace, 0)

    coin, pc = provider.swap(9_000, 1_666_667)
    assert reader.hear(coin) == []
    [whole] = reader.hear(pc)
    assert whole.slot == 102
    one = traded(whole, MINTS)
    assert one is not None
    assert one.symbol == "SOL-USDC"
    sides = best_sides([one], 1_000, unix_ts=1_790_000_000, slot=102)
    assert sides.bid is not None
    assert sides.ask is not None
    assert 184 < sides.bid.px < 1_666_667 / 9_000 < sides.ask.px < 186
