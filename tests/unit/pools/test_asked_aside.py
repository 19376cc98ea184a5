"""What providers answer to the questions beside the pools, the chain's clock and what others paid:
whatever it is, it is taken, or counted and left; and whose turn it is to be asked.
"""

import asyncio
import base64
import itertools
import json
import ssl
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from pool_rows import SOL, USDC
from web_answers import streamed

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.config.pools import FeeSettings, PoolSettings, ProviderSettings
from spread_scanner.pools.asking import ASIDE_BYTES_MAX, AskedProvider
from spread_scanner.pools.endpoints import ProviderEndpoint
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.fees import FeeHearing, FeeQuestion
from spread_scanner.pools.line import CLOCK_OLD_SLOTS_MAX, LineShare, ProviderLine
from spread_scanner.pools.pace import AHEAD_SLOTS_MAX, SLOT_NS
from spread_scanner.pools.turns import AWAY_NS, Turns
from spread_scanner.runtime import logs
from spread_scanner.runtime.gate import Gates
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.schema.pools import HeardPrice, heard_price
from spread_scanner.shm.pools import PoolTable
from spread_scanner.solana import keys

SLOT, UNIX_TS = 350_000_000, 1_800_000_000
POOL = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"
FEES = FeeSettings(congestion_gain=0.0, micro_lamports_min=10, micro_lamports_max=9_000)
OLD_SLOTS = int(FEES.heard_s_max * NS_PER_S) // SLOT_NS  # that what was heard counts for
NOTHING: dict[str, int] = {}
FAILED = {"fees_failed": 1}
LIMITED = {"fees_failed": 1, "limited": 1}
BAD = {"skip_bad_message": 1}


class Asked:
    """A line whose provider answers everything by one answer."""

    def __init__(self, table: PoolTable, writer: Any, gates: Gates, fee_call: str) -> None:
        provider: Any = {"http_url": "http://p", "ws_url": "ws://p", "fee_call": fee_call}
        one = ProviderSettings(**provider)
        pools: Any = {POOL: {"program": "raydium-v4", "mints": [SOL, USDC]}}
        coins = {SOL: {"coin": "SOL"}, USDC: {"coin": "USDC"}}
        settings = msgspec.convert({"pools": pools, "mints": coins}, PoolSettings)
        settings = msgspec.structs.replace(settings, fees=FEES, providers={"p": one})
        self.counted: Counter[str] = Counter()

        def add(label: str, count: int = 1) -> None:
            self.counted[label] += count

        count: Any = SimpleNamespace(add=add, beside=lambda row: count)
        self._table = table
        self.feed = PoolFeed(settings, writer, count, lambda pool, why: None)
        self.feed.connected("p")
        self.feed.slot("p", SLOT, NS_PER_S)
        hearing = self.hearing = FeeHearing(FEES, self.feed.pools)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of which nothing is asked
        self._endpoint = ProviderEndpoint("p", one, "")
        rows: Any = SimpleNamespace(take=lambda *_: None)
        share = LineShare(Feed(), self.feed, hearing, count, gates, rows, tls)
        self.line, self._gates = ProviderLine(self._endpoint, settings, share), gates

    def fees(self, answer: httpx.Response) -> None:
        asyncio.run(self._ask(answer, clock=False))

    def clock(self, answer: httpx.Response) -> None:
        asyncio.run(self._ask(answer, clock=True))

    async def _ask(self, answer: httpx.Response, *, clock: bool) -> None:
        self.line._numbers = itertools.count(1)
        transport = httpx.MockTransport(lambda request: streamed(answer))
        async with httpx.AsyncClient(transport=transport) as client:
            self._asked = AskedProvider(self._endpoint, 1_000.0, self._gates, client, "")
            if clock:
                await self.line._read_clock(self._asked)
            else:
                await self.line._ask_fees(self._asked, FeeQuestion(POOL, [POOL]))

    @property
    def heard(self) -> HeardPrice | None:
        return heard_price(self._table.rows()[0])

    @property
    def rests(self) -> tuple[bool, bool]:
        """Whether it is asked nothing for a while, and no question beside the pools."""
        rests = self.line._rest_until_ns > 0 or self._asked.gate.ban() is not None
        return rests, self.line._aside_until_ns > 0


@pytest.fixture
def asked(namespace: str, request: pytest.FixtureRequest) -> Iterator[Asked]:
    with (
        PoolTable.create(namespace) as table,
        table.writer() as writer,
        Gates(namespace) as gates,
    ):
        yield Asked(table, writer, gates, getattr(request, "param", "recent"))


def said(result: str, number: int = 1) -> httpx.Response:
    """A result as JSON, of the request of this number."""
    return httpx.Response(200, content=f'{{"jsonrpc":"2.0","id":{number},"result":{result}}}')


def error(code: object, message: object = "no") -> httpx.Response:
    refusal = {"code": code, "message": message}
    return httpx.Response(200, content=json.dumps({"jsonrpc": "2.0", "id": 1, "error": refusal}))


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, headers={key.replace("_", "-"): of for key, of in headers.items()})


def fee(slot: object, price: object) -> str:
    return f'[{{"slot": {slot}, "prioritizationFee": {price}}}]'


# What is answered -> the price that stands in the cell, what is counted, whether it rests, aside.
HEARD = {"fees_heard": 1}
REFUSED: list[tuple[httpx.Response, int | None, dict[str, int], tuple[bool, bool]]] = [
    (said(fee(SLOT, 700)), 700, HEARD, (False, False)),
    (said(fee(SLOT, 0)), 10, HEARD, (False, False)),
    (said(fee(SLOT, 2**63 - 1)), 9_000, HEARD, (False, False)),
    (said("[]"), None, HEARD, (False, False)),
    (said(fee(SLOT, 700).replace("[", "[" + " " * 60_000)), 700, HEARD, (False, False)),
    (said(fee(SLOT, 700) + " " * ASIDE_BYTES_MAX), None, FAILED, (False, False)),
    (said("null"), None, FAILED, (False, False)),
    (said("{}"), None, FAILED, (False, False)),
    (said('"700"'), None, FAILED, (False, False)),
    (said("[null]"), None, FAILED, (False, False)),
    (said(fee(SLOT, -1)), None, FAILED, (False, False)),
    (said(fee(SLOT, '"700"')), None, FAILED, (False, False)),
    (said(fee(SLOT, 2**63)), None, FAILED, (False, False)),
    (said(fee(SLOT, "1" + "0" * 400)), None, FAILED, (False, False)),
    (said(fee("1" + "0" * 400, 1)), None, FAILED, (False, False)),
    (said(fee(SLOT + AHEAD_SLOTS_MAX + 1, 0)), None, FAILED | BAD, (False, False)),
    (said(fee(SLOT - OLD_SLOTS, 700)), 700, HEARD, (False, False)),
    (said(fee(SLOT - OLD_SLOTS - 1, 700)), None, FAILED, (False, False)),
    (said(fee(0, 700)), None, FAILED, (False, False)),
    (said(f"[{fee(0, 9)[1:-1]}, {fee(SLOT, 700)[1:-1]}]"), 700, HEARD, (False, False)),
    (said(fee(SLOT, 700), number=2), None, FAILED, (False, False)),
    (httpx.Response(200, content=b""), None, FAILED, (False, False)),
    (httpx.Response(200, content=b"\xff\xfe"), None, FAILED, (False, False)),
    (httpx.Response(200, content=b'{"jsonrpc":"2.0","id":1}'), None, FAILED, (False, False)),
    (error(-32601), None, FAILED, (False, False)),
    (error("none", None), None, FAILED, (False, False)),
    (error(429), None, LIMITED, (True, False)),
    (error(-32005), None, FAILED, (True, False)),
    (status(500), None, FAILED, (False, False)),
    (status(429), None, LIMITED, (True, False)),
    (status(503, retry_after="7"), None, LIMITED, (True, False)),
    (status(403), None, FAILED, (False, True)),
    (status(451), None, FAILED, (False, True)),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_answered_of_fees(asked: Asked, number: int) -> None:
    answer, price, counted, rests = REFUSED[number]
    asked.fees(answer)
    assert (None if asked.heard is None else asked.heard.price) == price
    assert (dict(asked.counted), asked.rests) == (counted, rests)


@pytest.mark.parametrize("asked", ["helius"], indirect=True)
@pytest.mark.parametrize(
    ("result", "price"),
    [
        ('{"priorityFeeLevels": {"medium": 800.4}}', 800),
        ('{"priorityFeeEstimate": 1e18}', 9_000),
        ("[]", None),
        ("{}", None),
        ("null", None),
        ('{"priorityFeeEstimate": -1}', None),
        ('{"priorityFeeEstimate": 1e400}', None),
        ('{"priorityFeeLevels": {"medium": "800"}}', None),
    ],
)
def test_what_helius_answers_of_fees(asked: Asked, result: str, price: int | None) -> None:
    asked.fees(said(result))
    assert (None if asked.heard is None else asked.heard.price) == price
    assert dict(asked.counted) == (FAILED if price is None else HEARD)


@pytest.mark.parametrize("answer", [error(-32601), said("[]"), said("null")])
def test_what_is_not_answered_another_provider_is_asked(
    asked: Asked, answer: httpx.Response
) -> None:
    asked.hearing.next("other", clock.mono_ns())
    asked.fees(answer)
    assert asked.hearing._waiting == [POOL]


def clock_at(
    unix_ts: int, slot: int = SLOT, length: int = 40, of: int | None = None
) -> httpx.Response:
    """As of a slot, written in that one or another."""
    data = (
        (slot if of is None else of).to_bytes(8, "little")
        + bytes(24)
        + unix_ts.to_bytes(8, "little", signed=True)
    )
    told = [base64.b64encode(data[:length]).decode(), "base64"]
    account = {"lamports": 1, "data": told, "owner": keys.SYSVAR}
    return said(json.dumps({"context": {"slot": slot}, "value": [account]}))


# What is answered -> the chain's second, what is counted, whether it rests, aside.
CLOCKS: list[tuple[httpx.Response, int | None, dict[str, int], tuple[bool, bool]]] = [
    (clock_at(UNIX_TS), UNIX_TS, NOTHING, (False, False)),
    (clock_at(UNIX_TS, slot=SLOT + AHEAD_SLOTS_MAX + 1), None, BAD, (False, False)),
    (clock_at(UNIX_TS, of=SLOT - 50), UNIX_TS + 20, NOTHING, (False, False)),  # it stood still
    (clock_at(UNIX_TS, of=SLOT - CLOCK_OLD_SLOTS_MAX - 1), None, BAD, (False, False)),
    (clock_at(UNIX_TS, of=SLOT + 1), None, BAD, (False, False)),
    (clock_at(UNIX_TS, of=0), None, BAD, (False, False)),
    (clock_at(0), None, BAD, (False, False)),
    (clock_at(-5), None, BAD, (False, False)),
    (clock_at(UNIX_TS * 1_000), None, BAD, (False, False)),  # ms
    (clock_at(2**63 - 1), None, BAD, (False, False)),
    (clock_at(-(2**63)), None, BAD, (False, False)),
    (clock_at(UNIX_TS, length=39), None, BAD, (False, False)),
    (said('{"context": {"slot": 350000000}, "value": [null]}'), None, BAD, (False, False)),
    (said('{"context": {"slot": 350000000}, "value": []}'), None, BAD, (False, False)),
    (said("null"), None, BAD, (False, False)),
    (httpx.Response(200, content=b"no"), None, BAD, (False, False)),
    (
        httpx.Response(200, content=clock_at(UNIX_TS).content + b" " * ASIDE_BYTES_MAX),
        *(None, BAD, (False, False)),
    ),
    (error(-32601), None, NOTHING, (False, False)),
    (error(429), None, {"limited": 1}, (True, False)),
    (status(429), None, {"limited": 1}, (True, False)),
    (status(403), None, NOTHING, (False, True)),
    (status(500), None, NOTHING, (False, False)),
]


@pytest.mark.parametrize("number", range(len(CLOCKS)))
def test_what_is_answered_of_the_clock(
    asked: Asked, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, second, counted, rests = CLOCKS[number]
    monkeypatch.setattr("spread_scanner.clock.mono_ns", lambda: NS_PER_S)
    asked.clock(answer)
    assert asked.feed.chain_unix_s(NS_PER_S) == second
    assert (dict(asked.counted), asked.rests) == (counted, rests)


def test_what_is_wrong_is_told_of_whom_when_it_begins(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(FEED_SOLANA)
    too_long, well = said(fee(SLOT, 700) + " " * ASIDE_BYTES_MAX), said(fee(SLOT, 700))
    for answer in (too_long, too_long, well, error(-32601)):
        asked.fees(answer)
    asked.clock(status(403))
    first, second, third = capsys.readouterr().err.splitlines()
    for what in ("p", "priority fees", f"too long (bytes_max={ASIDE_BYTES_MAX})"):
        assert what in first
    assert "-32601" in second
    assert "the chain's clock" in third
    assert "HTTP 403" in third


def test_a_provider_whose_clock_is_not_what_is_believed_says_so_in_its_word(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = itertools.count(NS_PER_S, NS_PER_MS)  # on which the second question waits for its turn
    monkeypatch.setattr("spread_scanner.clock.mono_ns", lambda: next(times))
    asked.line.trouble = ""
    asked.clock(clock_at(UNIX_TS))
    assert "clock" not in asked.line.amiss(NS_PER_S)
    asked.clock(clock_at(UNIX_TS + 90_001))
    assert asked.line.amiss(NS_PER_S) == "p: its clock of the chain is +90,000 s off"
    assert asked.counted == {"clock_doubted": 1}


def test_who_answers_at_once_takes_no_turns_of_others() -> None:
    turns, taken = Turns(2 * NS_PER_S), Counter[str]()
    coming = {"refuses": 0, "one": 500 * NS_PER_MS, "other": 300 * NS_PER_MS}
    for _ in range(3_000):
        name = min(coming, key=lambda one: coming[one])
        now_ns, lasts_ns = coming[name], 0
        if turns.come(name, now_ns):
            turns.take(name, now_ns)
            taken[name] += 1
            lasts_ns = 0 if name == "refuses" else 50 * NS_PER_MS
        coming[name] = now_ns + lasts_ns + NS_PER_S
    assert max(taken.values()) - min(taken.values()) <= 1, taken
    assert taken.total() > 3_000 / 3 / 3, "a question each three seconds at the least"


def test_who_is_away_keeps_nobody_waiting() -> None:
    turns = Turns(10 * NS_PER_S)
    assert turns.come("away", 0)
    assert turns.come("here", 0)
    turns.take("here", 0)
    assert not turns.come("here", AWAY_NS), "not due"
    assert turns.come("here", 10 * NS_PER_S), "whoever else came has gone"
