"""Jupiter's client against a pretend Jupiter, and the mixed strategy of a gateway and it."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from solana_bed import SolanaThread, solana
from solana_data import needs_data, read
from web_answers import streamed

from spread_scanner import clock
from spread_scanner.client import JupiterClient, JupiterCycle, mixed
from spread_scanner.client.awaited import AsyncSpreadClient
from spread_scanner.client.jupiter import ANSWER_BYTES_MAX, read_quote
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import ConfigError
from spread_scanner.sim.chain_pools import BASES, USDC

SOL = BASES[0].mint
PATIENT_S = 30.0  # the machine may be busy
KEY = "a key"


@pytest.fixture
def thread() -> Iterator[SolanaThread]:
    with solana(11, 12, swaps_per_slot=0.0) as found:
        yield found


def asked(
    thread: SolanaThread,
    what: Callable[[JupiterClient], Coroutine[Any, Any, Any]],
    **named: Any,
) -> Any:
    """What a client of its own makes of it."""

    async def ask() -> Any:
        settings = {"requests_per_s": 50, "timeout_s": PATIENT_S, **named}
        async with JupiterClient(f"http://127.0.0.1:{thread.side.port}", **settings) as client:
            return await what(client)

    return asyncio.run(ask())


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_quote_is_the_best_way(thread: SolanaThread, version: str) -> None:
    async def ask(client: JupiterClient) -> Any:
        return await client.quote(SOL, USDC.mint, 10**9, slippage_bps=100)

    found = asked(thread, ask, version=version)
    assert (found.mint_in, found.mint_out, found.amount_in) == (SOL, USDC.mint, 10**9)
    assert found.least_out == found.amount_out * 99 // 100
    assert [hop.share_bps for hop in found.hops] == [10_000] * len(found.hops)
    assert found.route == tuple(hop.pool for hop in found.hops)
    assert found.hops[-1].amount_out == found.amount_out
    single = [
        pool.quote(side, 10**9)
        for pool in thread.side.chain.pools.values()
        for side in (0, 1)
        if (pool.coins[side].mint, pool.coins[1 - side].mint) == (SOL, USDC.mint)
    ]
    assert found.amount_out >= max(single)


@needs_data
def test_a_recorded_answer() -> None:
    found = read_quote(orjson.dumps(read("jupiter/quote_v1_slot325226372.json")))
    assert (found.amount_in, found.amount_out, found.slot) == (10_000_000, 1_447_598, 325_226_372)
    assert found.least_out == 1_440_361
    assert [hop.label for hop in found.hops] == ["Stabble Weighted Swap", "Stabble Stable Swap"]
    assert found.hops[0].amount_out == found.hops[1].amount_in == 1_447_490


def refusals(thread: SolanaThread, **said: Any) -> str:
    thread.act(do="jupiter", **said)

    async def ask(client: JupiterClient) -> Any:
        assert await client.quote(SOL, USDC.mint, 10**9) is None
        return client.reason

    reason: str = asked(thread, ask)
    return reason


def test_none_and_a_reason(thread: SolanaThread) -> None:
    async def no_route(client: JupiterClient) -> Any:
        assert await client.quote(SOL, "nowhere", 5) is None
        return client.reason

    assert asked(thread, no_route) == "no_route: COULD_NOT_FIND_ANY_ROUTE"
    assert refusals(thread, key=KEY).startswith("key: it is refused (HTTP 401)")
    assert refusals(thread, key="", away=True) == "refused: HTTP 503"
    assert refusals(thread, away=False, limited=1).startswith("limited: too many requests")

    async def ask(client: JupiterClient) -> Any:
        return await client.quote(SOL, USDC.mint, 10**9)

    thread.act(do="jupiter", key=KEY)
    assert asked(thread, ask, key=KEY).amount_out > 0

    async def nobody() -> str:
        async with JupiterClient("http://127.0.0.1:1", timeout_s=PATIENT_S) as client:
            assert await client.quote(SOL, USDC.mint, 1) is None
            return client.reason

    assert "ConnectError" in asyncio.run(nobody())


def test_who_is_limited_is_not_asked_meanwhile(thread: SolanaThread) -> None:
    thread.act(do="jupiter", limited=1)

    async def twice(client: JupiterClient) -> list[str]:
        reasons = []
        for _ in range(3):
            assert await client.quote(SOL, USDC.mint, 10**9) is None
            reasons.append(client.reason)
        return reasons

    first, *others = asked(thread, twice)
    assert "too many requests" in first
    assert all(one.startswith("limited: it is asked again in") for one in others)
    assert thread.truth()["jupiter"]["requests"] == 1


def test_it_is_never_asked_faster_than_was_said(thread: SolanaThread) -> None:
    """All at once, and all of them answered: by a Jupiter that counts what comes too soon."""
    thread.act(do="jupiter", requests_per_s=20)

    async def many(client: JupiterClient) -> Any:
        return await asyncio.gather(*(client.quote(SOL, USDC.mint, 10**6) for _ in range(45)))

    found = asked(thread, many, requests_per_s=20)
    assert all(one is not None for one in found)
    assert thread.truth()["jupiter"] == {"requests": 45, "over": 0}

    async def impatient(client: JupiterClient) -> Any:
        await client.quote(SOL, USDC.mint, 10**6)
        assert await client.quote(SOL, USDC.mint, 10**6) is None
        return client.reason

    reason = asked(thread, impatient, requests_per_s=0.001, timeout_s=10.0)
    assert reason == "limited: its turn comes after the time-out"


ANSWER = (
    b'{"inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"%s","otherAmountThreshold":"1",'
    b'"routePlan":[%s]}'
)
STEP = (
    b'{"swapInfo":{"ammKey":"p","inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"2"}}'
)
WRONG = [
    (b"", "Input data was truncated"),
    (b"[]", "Expected `object`"),
    (ANSWER % (b"2", b""), "a quote without a route"),
    (ANSWER % (b"-2", STEP), "no amount"),
    (ANSWER % (b"2.5", STEP), "no amount"),
    (ANSWER % (b"9" * 30, STEP), "no amount"),
    (ANSWER % (b"2", b'{"percent": 100}'), "swapInfo"),
    (ANSWER % (b"2", STEP[:-1] + b',"percent":1e307}'), "no share: 1e"),
    (ANSWER % (b"2", STEP[:-1] + b',"percent":-5}'), "no share: -5"),
    (ANSWER % (b"2", STEP[:-1] + b',"bps":10001}'), "no share: 10001"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_answers(number: int) -> None:
    said, why = WRONG[number]
    with pytest.raises(ValueError, match=why):
        read_quote(said)
    assert read_quote(ANSWER % (b"2", STEP)).hops[0].share_bps == 10_000


def answering(
    answer: httpx.Response, many: int = 1, together: int = 1, **named: Any
) -> tuple[list[Any], str, int]:
    """What so many calls at once made of an answer, which comes when so many have asked for it; the
    last reason, and how often it was asked for."""
    asked_for: list[httpx.Request] = []

    async def ask() -> tuple[list[Any], str, int]:
        all_there = asyncio.Event()

        async def handled(request: httpx.Request) -> httpx.Response:
            asked_for.append(request)
            if len(asked_for) == together:
                all_there.set()
            await all_there.wait()
            await asyncio.sleep(0.01)  # others begin to wait meanwhile
            return streamed(answer)

        async with JupiterClient("http://a", timeout_s=PATIENT_S, **named) as client:
            client._web = httpx.AsyncClient(
                transport=httpx.MockTransport(handled), base_url=client.url
            )
            found = await asyncio.gather(*(client.quote("a", "b", 1) for _ in range(many)))
            return [*found], client.reason, len(asked_for)

    return asyncio.run(ask())


GOOD = ANSWER % (b"2", STEP)
# What is answered -> the reason of a None; empty: it is a quote.
ANSWERED: list[tuple[httpx.Response, str]] = [
    (httpx.Response(200, content=GOOD), ""),
    (httpx.Response(200, content=GOOD + b" " * ANSWER_BYTES_MAX), "an answer of more than 1,048"),
    (
        httpx.Response(200, content=GOOD.replace(b'"inputMint":"a"', b'"inputMint":"c"', 1)),
        "another",
    ),
    (
        httpx.Response(200, content=GOOD.replace(b'"inAmount":"1"', b'"inAmount":"9"', 1)),
        "another q",
    ),
    (httpx.Response(200, content=b"[" * 100_000), "another shape"),
    (httpx.Response(400, content=b"[" * 100_000), "refused: HTTP 400"),
    (httpx.Response(400, content=b'{"errorCode": "' + b"A" * 999 + b'"}'), "refused: " + "A" * 100),
    (httpx.Response(302, headers={"location": "http://b"}), "refused: HTTP 302"),
    (httpx.Response(429, content=b" " * (ANSWER_BYTES_MAX + 1)), "in 1.0 s"),
    *(
        (httpx.Response(429, headers=[(b"retry-after", said)]), f"in {rest_s} s")
        for said, rest_s in (
            *((b"", "1.0"), (b"7", "7.0"), (b"9" * 400, "60.0"), (b"-5", "1.0"), (b"soon", "1.0")),
            *((b"\xb2", "1.0"), (b"1e400", "1.0"), (b"nan", "1.0")),
        )
    ),
]


@pytest.mark.parametrize("number", range(len(ANSWERED)))
def test_whatever_is_answered_is_a_quote_or_a_reason(number: int) -> None:
    answer, why = ANSWERED[number]
    (found,), reason, _ = answering(answer)
    assert (found is None) is bool(why)
    assert why in reason
    assert len(reason) < 300


@pytest.mark.parametrize(
    "amount", [0, -1, 0.5, 1e9, math.nan, "5", None, Decimal("1E+9"), "\ud800"]
)
def test_an_amount_that_is_none_is_not_asked_for(amount: Any) -> None:
    async def ask() -> str:
        async with JupiterClient("http://127.0.0.1:1") as client:
            assert await client.quote("a", "b", amount) is None
            return client.reason

    assert asyncio.run(ask()).startswith(f"refused: an amount of {amount!r}, ")


def test_a_mint_that_no_url_holds_is_no_error() -> None:
    amount: Any = np.int64(5)

    async def ask() -> str:
        async with JupiterClient("http://127.0.0.1:1") as client:
            assert await client.quote("\ud800", "b", amount) is None
            return client.reason

    assert asyncio.run(ask()).startswith("UnicodeEncodeError: ")


def test_who_waits_for_a_turn_does_not_ask_when_others_were_refused_meanwhile() -> None:
    refusal = httpx.Response(429, headers={"retry-after": "30"})
    found, reason, asked_for = answering(refusal, many=3, requests_per_s=1.9)  # one at a time
    assert found == [None] * 3
    assert asked_for == 1
    assert "asked again in" in reason


def test_a_slow_way_there_brings_no_more_at_once_than_are_allowed() -> None:
    """As the first connections are, which have to be made."""
    came_ns: list[int] = []
    good = ANSWER % (b"2", STEP)

    async def handled(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.0 if len(came_ns) >= 4 else 0.3)
        came_ns.append(clock.mono_ns())
        return streamed(httpx.Response(200, content=good))

    async def ask() -> list[Any]:
        async with JupiterClient("http://a", requests_per_s=4, timeout_s=PATIENT_S) as client:
            transport = httpx.MockTransport(handled)
            client._web = httpx.AsyncClient(transport=transport, base_url=client.url)
            return await asyncio.gather(*(client.quote("a", "b", 1) for _ in range(8)))

    assert None not in asyncio.run(ask())
    assert all(later - one >= NS_PER_S for one, later in zip(came_ns, came_ns[4:], strict=False))


def test_requests_that_are_refused_together_are_one_rest() -> None:
    _, reason, asked_for = answering(httpx.Response(429), many=6, together=6, requests_per_s=6)
    assert asked_for == 6
    assert "in 1.0 s" in reason


@pytest.mark.parametrize(
    "named",
    [
        *({"url": url} for url in ("ftp://x", "http://", "http://[", "http://a:b", "http://a:0")),
        {"version": "v3"},
        *({"requests_per_s": pace} for pace in (0, -1, float("nan"), 10_001)),
        *({"timeout_s": seconds} for seconds in (0, -1, float("nan"), float("inf"))),
        *({"key": key} for key in ("hunter2\n", "hunter2é")),
    ],
)
def test_what_cannot_be_asked(named: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        JupiterClient(**named)
    assert "hunter2" not in str(caught.value)


# --- mixed


class Cache(AsyncSpreadClient):
    """A gateway of which only one answer matters."""

    def __init__(self, found: list[dict[str, Any]] | None) -> None:
        super().__init__("http://127.0.0.1:1")
        self.found = found

    async def scan_arbitrage(self, threshold_pct: float = 0.3) -> list[dict[str, Any]] | None:
        return self.found


def record(one: str, other: str, profit_pct: float = 1.0) -> dict[str, Any]:
    return {"pool_a_id": one, "pool_b_id": other, "estimated_profit_pct": profit_pct}


CYCLE = JupiterCycle(USDC.mint, SOL, 10_000_000)


def found_by(
    thread: SolanaThread, cached: list[dict[str, Any]] | None, cycles: list[JupiterCycle]
) -> list[Any]:
    async def ask(client: JupiterClient) -> Any:
        async with Cache(cached) as gateway:
            return [one async for one in mixed(gateway, client, cycles, threshold_pct=-100.0)]

    found: list[Any] = asked(thread, ask)
    return found


def test_the_cache_comes_first_and_jupiter_is_appended(thread: SolanaThread) -> None:
    found = found_by(thread, [record("a", "b", 2.0), record("a", "b", 1.0)], [CYCLE, CYCLE])
    assert [one.told_by for one in found] == ["cache", "jupiter"]  # each route once
    cached, cycle = found
    assert (cached.route, cached.profit_pct) == (("a", "b"), 2.0)
    there, back = cycle.quotes
    assert cycle.route == there.route + back.route
    assert there.amount_out == back.amount_in
    assert cycle.profit_pct == pytest.approx(100 * (back.amount_out / CYCLE.amount - 1))


@pytest.mark.parametrize(
    "odd", [{}, {"pool_a_id": "a"}, {**record("a", "b"), "estimated_profit_pct": None}, 7, None]
)
def test_a_row_of_the_caches_of_another_shape_is_left_out(odd: Any) -> None:
    async def ask() -> tuple[list[Any], str]:
        async with Cache([odd, record("a", "b")]) as gateway, JupiterClient() as client:
            return [one.route async for one in mixed(gateway, client, [])], gateway.reason

    routes, reason = asyncio.run(ask())
    assert routes == [("a", "b")]
    assert "another shape" in reason


def test_what_the_cache_has_told_jupiter_does_not_tell_again(thread: SolanaThread) -> None:
    (cycle,) = found_by(thread, [], [CYCLE])
    one, other = cycle.route
    again = found_by(thread, [record(one, other)], [CYCLE])
    assert [find.told_by for find in again] == ["cache"]
    elsewhere = found_by(thread, [record(one, "another pool")], [CYCLE])
    assert [find.told_by for find in elsewhere] == ["cache", "jupiter"]


def test_one_that_is_away_costs_the_other_nothing(thread: SolanaThread) -> None:
    assert [one.told_by for one in found_by(thread, None, [CYCLE])] == ["jupiter"]
    thread.act(do="jupiter", away=True)
    assert [one.told_by for one in found_by(thread, [record("a", "b")], [CYCLE])] == ["cache"]
    assert found_by(thread, None, [CYCLE]) == []


def test_a_cycle_under_the_threshold_is_not_told(thread: SolanaThread) -> None:
    async def ask(client: JupiterClient) -> Any:
        async with Cache([]) as gateway:
            return [one async for one in mixed(gateway, client, [CYCLE], threshold_pct=99.0)]

    assert asked(thread, ask) == []
