"""feed-solana's whole state without its lines: what a pause, a reload and a sleep make of it; and
what a line makes of a refusal. Nothing is dialled.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.pools import MintSettings, PoolEntry, PoolSettings, ProviderSettings
from spread_scanner.pools.asking import AskedProvider
from spread_scanner.pools.hearing import PoolHearing
from spread_scanner.pools.line import AGAIN_NS, DIALS, ProviderLine, _Life, _Way
from spread_scanner.pools.rpc import RpcRefusal, Subscribed
from spread_scanner.pools.trusted import ProviderTrust
from spread_scanner.runtime import logs, ws
from spread_scanner.runtime.gate import Gate, Gates
from spread_scanner.runtime.refusals import ASKED_S_MAX_PASSING, BAN_S, in_words
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.shm import Health
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.pools import PoolTable
from spread_scanner.sim.chain_kinds import made

KEY, NEXT = "hunter2-key", "hunter3-key"
SHIPPED = Path(__file__).parents[3] / "config"
(POOL,) = made(1, 1)
Hear = Callable[[bool], PoolHearing]


def read(folder: Path, names: Sequence[str] = ("mine",)) -> Settings:
    """The settings as they lie there, with keyed providers and one pool."""
    url = "127.0.0.1:1/{key}"
    provider = ProviderSettings(f"http://{url}", f"ws://{url}", key_file="key")
    pools = PoolSettings(
        enabled=True,
        providers=dict.fromkeys(names, provider),
        mints={coin.mint: MintSettings(coin.name) for coin in POOL.coins},
        pools={POOL.key: PoolEntry("raydium-v4", [coin.mint for coin in POOL.coins])},
    )
    shipped = config.load(SHIPPED, {})
    return Settings(folder, shipped.config, shipped.exchanges, shipped.directions, pools)


def write_key(folder: Path, key: str) -> None:
    (folder.parent / "key").write_text(key)
    (folder.parent / "key").chmod(0o600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_key(tmp_path / "config", KEY)
    return tmp_path / "config"


@pytest.fixture
def hear(folder: Path, namespace: str) -> Iterator[Hear]:
    with (
        Health.create(namespace) as health,
        health.claim(FEED_SOLANA) as row,
        PoolTable.create(namespace) as table,
        table.writer() as writer,
        Connections.create(namespace) as connections,
        connections.claim_providers() as rows,
        Gates(namespace) as gates,
    ):

        def begun(paused: bool) -> PoolHearing:
            orders, log = SimpleNamespace(paused=paused), logs.get_logger()
            process: Any = SimpleNamespace(
                row=row, settings=read(folder), orders=orders, log=log, on_wake=None
            )
            return PoolHearing(process, writer, rows, gates)

        yield begun


@pytest.mark.parametrize("paused", [False, True])
def test_a_pause_is_obeyed_from_the_start(hear: Hear, paused: bool) -> None:
    assert hear(paused)._feed.paused is paused


def test_another_key_in_the_same_file_is_dialled_with_after_a_reload(
    hear: Hear, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearing = hear(False)
    monkeypatch.setattr(hearing, "_start", lambda: None)
    before = hearing._lines
    hearing._prepared(read(folder))()
    assert hearing._lines is before, "nothing is new"
    write_key(folder, NEXT)
    hearing._prepared(read(folder))()
    assert [line._endpoint.ws_url for line in hearing._lines] == [f"ws://127.0.0.1:1/{NEXT}"]


def test_nothing_is_stood_behind_when_the_machine_has_slept(hear: Hear) -> None:
    hearing = hear(False)
    feed = hearing._feed
    feed.soon = lambda act: act()  # there is no loop
    feed.connected("mine")
    feed.slot("mine", 1, clock.mono_ns())
    for _ in range(2):
        keys = feed.pools[POOL.key].wanted.keys
        feed.seeded("mine", 1, {key: POOL.accounts()[key] for key in keys}, clock.mono_ns())
    assert feed.pools[POOL.key].good
    hearing._process.on_wake()  # before the process says that it lives
    assert not feed.pools[POOL.key].good


def living(line: ProviderLine) -> Any:
    """A connection of the line that says nothing."""
    way, socket = line._way, SimpleNamespace(transport=None, cut=lambda: None, ping=lambda _: None)
    rate = line._requests_per_s
    asked = AskedProvider(line._endpoint, rate, line._share.gates, cast(Any, None), way.proxy)
    trust = ProviderTrust(line._share.policy, clock.mono_ns())
    line._life = life = _Life(cast(Any, socket), trust, asked, way)
    return life


@pytest.mark.parametrize(("code", "again"), [(429, True), (-32005, True), (-32602, False)])
def test_a_subscription_that_is_refused_for_now_is_asked_for_again(
    hear: Hear, capsys: pytest.CaptureFixture[str], code: int, again: bool
) -> None:
    """And whatever a provider says of it, the key that it repeats is in no log."""
    logs.set_up(FEED_SOLANA)
    (line,) = hear(False)._lines
    line.subscriptions.ask(7, POOL.key, clock.mono_ns())
    line._refusal(RpcRefusal(7, code, f"no more for key {KEY}"), living(line))
    assert line.subscriptions.next([POOL.key], clock.mono_ns()) == (POOL.key if again else None)
    said = capsys.readouterr().err
    assert "no more for key ***" in said
    assert KEY not in said


def test_when_pools_were_asked_for_is_forgotten_once_they_may_be_again(
    hear: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays come and go with a price, for as long as a connection stands."""
    (line,) = hear(False)._lines
    life, asked = living(line), list[tuple[str, ...]]()
    wanted: tuple[str, ...] = ()
    line.subscriptions.ask(1, POOL.key, 0)
    line.subscriptions.acknowledged(Subscribed(1, 1), 0)
    now_ns = clock.mono_ns()
    monkeypatch.setattr(clock, "mono_ns", lambda: now_ns)
    monkeypatch.setattr(line, "_next_message", lambda *_: None)
    monkeypatch.setattr(line, "_in_reach", lambda: [wanted])

    async def seed(_: object, keys: Sequence[str]) -> None:
        asked.append(tuple(keys))

    monkeypatch.setattr(line, "_seed", seed)
    for number in range(20):
        wanted = (POOL.key,) * (number + 1)  # stands for other arrays each time
        assert asyncio.run(line._one(life))
        assert not asyncio.run(line._one(life)), "too soon"
        now_ns += AGAIN_NS
    assert len(asked) == 20
    assert len(line._asked_ns) == 1


# Answer to a dial, its Retry-After -> for how long nobody dials there, as with exchanges.
REFUSED_DIALS: list[tuple[int, float | None, float]] = [
    (503, 1e300, ASKED_S_MAX_PASSING),
    (503, None, 0.0),
    (429, None, 10.0),
    (429, 33.0, 33.0),
    (418, None, 120.0),
    (403, None, 15.0),
    (451, None, 300.0),
]


@pytest.mark.parametrize(("status", "wait_s", "banned_s"), REFUSED_DIALS)
def test_who_refuses_a_dial_is_left_alone_by_all_processes_and_says_so(
    hear: Hear,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    wait_s: float | None,
    banned_s: float,
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise ws.DialFailed(in_words(status), url="", status=status, wait_s=wait_s)

    monkeypatch.setattr(ws, "dial", refused)
    (line,) = hear(False)._lines
    monkeypatch.setattr(line._backoff, "next_s", lambda: 1 / 0)  # it would wait
    with pytest.raises(ZeroDivisionError):
        asyncio.run(line.run())
    line.check(clock.mono_ns())
    with Connections.attach(namespace) as read, Gates(namespace) as others:
        (row,) = read.read_providers()
        gate = others.gate("solana-mine", "ws://127.0.0.1:1/{key}", "", DIALS)
        left_s = ban.left_s if (ban := gate.ban()) else 0.0
    assert left_s == pytest.approx(banned_s, abs=5.0)
    assert row.ban_left_ns / NS_PER_S == pytest.approx(banned_s, abs=5.0)
    assert (row.provider, row.url) == ("mine", "ws://127.0.0.1:1/{key}")
    assert row.last_end == in_words(status)
    assert in_words(status) in line.amiss(clock.mono_ns())


def test_who_is_banned_is_counted_and_named_before_all_that_are_well(
    hear: Hear, folder: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row has room for some three providers, whatever their number."""
    hearing = hear(False)
    monkeypatch.setattr(hearing, "_start", lambda: None)
    names = ["first-of-them", "second-of-them", "third-of-them", "fourth-of-them", "banned"]
    hearing._prepared(read(folder, names))()
    process: Any = hearing._process
    process.state = process.row.beat

    def told(in_s: int = 0) -> tuple[int, str]:
        hearing._say(clock.mono_ns() + in_s * NS_PER_S)
        with Health.attach(namespace) as health:
            now = health.read(FEED_SOLANA)
        return now.counters["providers_amiss"], now.message

    assert told()[0] == 0, "none is connected, and nobody is told at once"
    assert told(in_s=11)[0] == 5
    for line in hearing._lines:
        line.trouble = ""
        living(line)
        hearing._feed.pace.told(line.name, 1, clock.mono_ns())
    assert told()[0] == 0
    hearing._lines[-1]._way.gate.refused(429, 40.0)
    count, message = told()
    assert count == 1
    assert message.startswith("0 of 1 pools; banned: 429 too many requests, nobody dials for")


def test_a_proxy_that_is_banned_is_passed_over(hear: Hear) -> None:
    (line,) = hear(False)._lines
    line._ways = [_Way(proxy, line._gate(proxy)) for proxy in ("http://a:1", "http://b:1")]
    assert [line._turn_of_ways().proxy[7] for _ in range(4)] == ["a", "b", "a", "b"]
    line._ways[0].gate.refused(429, 40.0)
    assert [line._turn_of_ways().proxy[7] for _ in range(4)] == ["b", "b", "b", "b"]
    line._ways[1].gate.refused(429, 80.0)
    assert [line._turn_of_ways().proxy[7] for _ in range(2)] == ["a", "a"], "it is free first"


def test_requests_that_were_refused_together_are_one_ban(hear: Hear) -> None:
    (line,) = hear(False)._lines
    life = living(line)
    for number in range(20):
        line._refusal(RpcRefusal(number, 429, "too many"), life)
    ban = line.ban()
    assert ban is not None
    assert ban.left_s <= BAN_S[429]


def test_a_connection_that_is_dialled_meanwhile_goes_by_what_a_reload_brought(
    hear: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, opens = hear(False)._lines[0], asyncio.Event()
    stood: list[_Life] = []

    async def dial(*_: object, **__: object) -> None:
        await opens.wait()

    async def until_ended(life: _Life) -> None:
        stood.append(life)

    async def play() -> None:
        once = asyncio.create_task(line._once(line._way))
        await asyncio.sleep(0)
        policy = line._share.policy
        line._share.policy = msgspec.structs.replace(policy, unanswered_ms_max=7_000)
        line.retune()
        opens.set()
        await once

    monkeypatch.setattr(ws, "dial", dial)
    monkeypatch.setattr(line, "_until_ended", until_ended)
    asyncio.run(play())

    assert [life.trust._life.rules.unanswered_ns_max for life in stood] == [7 * NS_PER_S]
    assert not line._redial.is_set(), "it would leave out the pause after the next end"


def test_a_reload_ends_the_pause_between_dials(hear: Hear, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = hear(False)._lines

    async def play() -> None:
        tried: asyncio.Queue[None] = asyncio.Queue()

        async def away(*_: object, **__: object) -> None:
            tried.put_nowait(None)
            raise ws.DialFailed("away", url="")

        async def turn(_: Gate) -> None:
            """Turns have tests of their own."""

        monkeypatch.setattr(ws, "dial", away)
        monkeypatch.setattr(Gate, "turn", turn)
        monkeypatch.setattr(line._backoff, "next_s", lambda: 3_600.0)
        runs = asyncio.create_task(line.run())
        await tried.get()
        line.retune()
        await asyncio.wait_for(tried.get(), 10)
        runs.cancel()

    asyncio.run(play())


def test_a_reload_ends_what_is_rested_and_leaves_no_pause_out_later(hear: Hear) -> None:
    (line,) = hear(False)._lines
    living(line)
    line._rest_until_ns = line._aside_until_ns = clock.mono_ns() + 3_600 * NS_PER_S
    line.subscriptions.ask(7, POOL.key, clock.mono_ns())
    line.subscriptions.refused(7, clock.mono_ns(), passing=False)
    assert line.subscriptions.next([POOL.key], clock.mono_ns()) is None

    line.retune()

    assert (line._rest_until_ns, line._aside_until_ns) == (0, 0)
    assert line.subscriptions.next([POOL.key], clock.mono_ns()) == POOL.key
    assert not line._redial.is_set(), "it is connected"
