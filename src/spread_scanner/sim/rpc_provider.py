"""A pretend RPC provider: what it answers over HTTP and tells over websockets, in Solana's own
message shapes, and its faults.

Each provider sees the chain from its own slot: one that lags is behind in everything. Written from
the documentation of JSON-RPC; errors are those of the real nodes.
"""

import base64
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from spread_scanner.sim.chain import CLOCK, MISSING, Chain

KEYS_MAX, FEE_KEYS_MAX = 100, 128
FEE_SLOTS = 150  # of which a node remembers them
CLOCK_AT = 32  # where the second stands in the account of the chain's clock
API_VERSION = "3.1.8"
RENT_EPOCH = 18_446_744_073_709_551_615
LIMITED, BEHIND, NOT_THERE_YET, NO_VERSION = 429, -32005, -32016, -32015
NO_METHOD, BAD_PARAMS, NOT_JSON = -32601, -32602, -32700


class RpcFailure(Exception):
    """An error in place of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Listening:
    """A websocket of a client: what it has subscribed to."""

    def __init__(self, say: Callable[[bytes], None], cut: Callable[[], None]) -> None:
        self.say, self.cut = say, cut
        self.accounts: dict[int, str] = {}
        self.slots: set[int] = set()
        self.since_ns = 0  # monotonic


class RpcProvider:
    """One provider of a chain."""

    def __init__(self, name: str, chain: Chain, *, lag_slots: int = 0, early: bool = False) -> None:
        """`early`: what is written now is told before the subscription is acknowledged."""
        self.name, self.chain, self.early = name, chain, early
        self.lag_slots = self.usual_lag_slots = lag_slots
        self.listeners: set[Listening] = set()
        self.slot = chain.slot  # as far as it has told
        self.limits = 0  # so many requests are answered "too many"
        self.limited = False  # all are
        self.lost = 0  # so many requests of websockets are never answered
        self.silent = False  # nothing is told; connections live
        self.clock_off_s = 0  # what it adds to the chain's clock
        self.away = False  # connections are refused, and those that stand are cut
        self.counts = {"requests": 0, "notifications": 0, "limited": 0}
        self._numbers = 0

    @property
    def is_limiting(self) -> bool:
        """Whether the next request is answered "too many"."""
        return self.limited or self.limits > 0

    @property
    def hears(self) -> int | None:
        """Since when somebody has been told all that there is; None: nobody is."""
        if self.silent or self.away:
            return None
        return min((one.since_ns for one in self.listeners if one.slots), default=None)

    @property
    def tells(self) -> bool:
        """Whether somebody is told anything, be it accounts without slots."""
        subscribed = any(one.slots or one.accounts for one in self.listeners)
        return subscribed and not (self.silent or self.away)

    # --- the turn of a slot

    def advance(self) -> None:
        """Tell what was written in the slots that it has come to."""
        to = self.chain.slot - self.lag_slots
        for slot in range(self.slot + 1, to + 1):
            self.slot = slot
            if not self.silent:
                self._tell(slot, self.chain.named(slot))
                self._tell_slot(slot)

    def forked(self, changed: Iterable[str]) -> None:
        """The chain went back: whatever was told of the slots that never were is told as it is."""
        if self.slot > self.chain.slot:
            self.slot = self.chain.slot
            if not self.silent:
                self._tell(self.slot, changed)
                self._tell_slot(self.slot)

    def cut_all(self) -> None:
        for one in list(self.listeners):
            one.cut()

    def _tell(self, slot: int, names: Iterable[str]) -> None:
        named = set(names)
        for one in list(self.listeners):
            for number, key in list(one.accounts.items()):
                if key in named:
                    self._tell_account(one, number, key, slot)

    def _tell_account(self, one: Listening, number: int, key: str, slot: int) -> None:
        self.counts["notifications"] += 1
        value = self._value(key, slot) or self._shape(MISSING, 0)
        result = {"context": {"slot": slot}, "value": value}
        params = {"result": result, "subscription": number}
        one.say(_said({"method": "accountNotification", "params": params}))

    def _tell_slot(self, slot: int) -> None:
        result = {"parent": slot - 1, "root": slot - 32, "slot": slot}
        for one in list(self.listeners):
            for number in one.slots:
                params = {"result": result, "subscription": number}
                one.say(_said({"method": "slotNotification", "params": params}))

    def _value(self, key: str, slot: int) -> dict[str, Any] | None:
        account = self.chain.account(key, slot)
        if key == CLOCK and self.clock_off_s:
            owner, data = account
            unix_s = int.from_bytes(data[CLOCK_AT:], "little") + self.clock_off_s
            account = owner, data[:CLOCK_AT] + unix_s.to_bytes(8, "little")
        return None if account == MISSING else self._shape(account, 2_039_280)

    def _shape(self, account: tuple[str, bytes], lamports: int) -> dict[str, Any]:
        owner, data = account
        return {
            "lamports": lamports,
            "data": [base64.b64encode(data).decode(), "base64"],
            "owner": owner,
            "executable": False,
            "rentEpoch": RENT_EPOCH,
            "space": len(data),
        }

    # --- requests

    def answer(self, body: bytes, listening: Listening | None = None) -> bytes:
        """One request, over HTTP or (with `listening`) a websocket."""
        number: object = None
        try:
            try:
                asked = orjson.loads(body)
                number, method, params = asked["id"], asked["method"], asked.get("params", [])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise RpcFailure(NOT_JSON, "Parse error") from None
            self.counts["requests"] += 1
            if self.is_limiting:
                self.limits = max(self.limits - 1, 0)
                self.counts["limited"] += 1
                raise RpcFailure(LIMITED, "Too many requests for a specific RPC call")
            result = self._result(method, params, listening)
        except RpcFailure as failure:
            error = {"code": failure.code, "message": str(failure)}
            return _said({"error": error, "id": number})
        return _said({"result": result, "id": number})

    def _result(self, method: str, params: list[Any], listening: Listening | None) -> object:
        handler = (_SOCKET if listening is not None else _HTTP).get(method)
        if handler is None:
            raise RpcFailure(NO_METHOD, "Method not found")
        try:
            return handler(self, params, listening)
        except (IndexError, TypeError, AttributeError):
            raise RpcFailure(BAD_PARAMS, "Invalid params: wrong arguments") from None

    def _context(self, settings: dict[str, Any]) -> dict[str, Any]:
        """As of which slot it is answered, which must be as far as was asked for."""
        if settings.get("encoding", "base58") != "base64":
            raise RpcFailure(BAD_PARAMS, "Invalid params: base64 is wanted here")
        if (settings.get("minContextSlot") or 0) > self.slot:  # null is none, as nodes have it
            raise RpcFailure(NOT_THERE_YET, "Minimum context slot has not been reached")
        return {"apiVersion": API_VERSION, "slot": self.slot}

    def _many(self, params: list[Any], _: Listening | None) -> object:
        if len(params[0]) > KEYS_MAX:
            raise RpcFailure(BAD_PARAMS, f"Too many inputs provided; max {KEYS_MAX}")
        context = self._context(params[1])
        value = [self._value(key, self.slot) for key in params[0]]
        return {"context": context, "value": value}

    def _one(self, params: list[Any], _: Listening | None) -> object:
        context = self._context(params[1])
        return {"context": context, "value": self._value(params[0], self.slot)}

    def _get_slot(self, params: list[Any], _: Listening | None) -> object:
        return self.slot

    def _balance(self, params: list[Any], _: Listening | None) -> object:
        value = self.chain.wallets.lamports.get(params[0], 0)
        return {"context": {"apiVersion": API_VERSION, "slot": self.slot}, "value": value}

    def _owned(self, params: list[Any], _: Listening | None) -> object:
        """Of one program; a node refuses to answer for both."""
        owner, program = params[0], params[1]["programId"]
        held = self.chain.wallets
        value = [
            {"pubkey": key, "account": self._shape(held.accounts[key], held.lamports[key])}
            for key in held.of(owner, program)
        ]
        return {"context": self._context(params[2]), "value": value}

    def _transaction(self, params: list[Any], _: Listening | None) -> object:
        if params[1].get("maxSupportedTransactionVersion") != 0:
            raise RpcFailure(NO_VERSION, "Transaction version (0) is not supported")
        return self.chain.transactions.get(params[0])

    def _recent_fees(self, params: list[Any], _: Listening | None) -> object:
        """What the least was that got in and wrote these accounts, by slot: by the seed alone."""
        if len(params[0]) > FEE_KEYS_MAX:
            raise RpcFailure(BAD_PARAMS, f"Too many inputs provided; max {FEE_KEYS_MAX}")
        return [
            {"slot": slot, "prioritizationFee": self.chain.fee_of(params[0], slot)}
            for slot in range(max(self.slot - FEE_SLOTS + 1, 0), self.slot + 1)
        ]

    def _health(self, params: list[Any], _: Listening | None) -> object:
        if self.lag_slots > 100:
            raise RpcFailure(BEHIND, f"Node is behind by {self.lag_slots} slots")
        return "ok"

    def _next(self) -> int:
        self._numbers += 1
        return 23_000 + self._numbers

    def _subscribe(self, params: list[Any], one: Listening | None) -> object:
        if one is None or params[1].get("encoding") != "base64":
            raise RpcFailure(BAD_PARAMS, "Invalid params: base64 is wanted here")
        number, key = self._next(), str(params[0])
        one.accounts[number] = key
        if self.early and self.chain.account(key, self.slot) != MISSING:
            self._tell_account(one, number, key, self.slot)
        return number

    def _unsubscribe(self, params: list[Any], one: Listening | None) -> object:
        return one is not None and one.accounts.pop(params[0], None) is not None

    def _slots(self, params: list[Any], one: Listening | None) -> object:
        number = self._next()
        if one is not None:
            one.slots.add(number)
        return number


_Handler = Callable[[RpcProvider, list[Any], Listening | None], object]
_HTTP: dict[str, _Handler] = {
    "getMultipleAccounts": RpcProvider._many,
    "getAccountInfo": RpcProvider._one,
    "getSlot": RpcProvider._get_slot,
    "getHealth": RpcProvider._health,
    "getBalance": RpcProvider._balance,
    "getTokenAccountsByOwner": RpcProvider._owned,
    "getTransaction": RpcProvider._transaction,
    "getRecentPrioritizationFees": RpcProvider._recent_fees,
}
_SOCKET: dict[str, _Handler] = {
    "accountSubscribe": RpcProvider._subscribe,
    "accountUnsubscribe": RpcProvider._unsubscribe,
    "slotSubscribe": RpcProvider._slots,
}


def _said(said: dict[str, Any]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", **said})
