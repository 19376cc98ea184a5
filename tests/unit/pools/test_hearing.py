"""feed-solana's whole state without its lines: what a pause, a reload and a sleep make of it; and
what a line makes of a refusal. Nothing is dialled.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.pools import MintSettings, PoolEntry, PoolSettings, ProviderSettings
from spread_scanner.pools.hearing import PoolHearing
from spread_scanner.pools.line import PAUSE_S_MIN
from spread_scanner.pools.rpc import RpcRefusal
from spread_scanner.runtime import logs, ws
from spread_scanner.runtime.refusals import ASKED_S_MAX_PASSING
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.shm import Health
from spread_scanner.shm.pools import PoolTable
from spread_scanner.sim.chain_kinds import made

KEY, NEXT = "hunter2-key", "hunter3-key"
SHIPPED = Path(__file__).parents[3] / "config"
(POOL,) = made(1, 1)
Hear = Callable[[bool], PoolHearing]


def read(folder: Path) -> Settings:
    """The settings as they lie there, with one keyed provider and one pool."""
    url = "127.0.0.1:1/{key}"
    provider = ProviderSettings(f"http://{url}", f"ws://{url}", key_file="key")
    pools = PoolSettings(
        enabled=True,
        providers={"mine": provider},
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
    ):

        def begun(paused: bool) -> PoolHearing:
            orders, log = SimpleNamespace(paused=paused), logs.get_logger()
            process: Any = SimpleNamespace(
                row=row, settings=read(folder), orders=orders, log=log, on_wake=None
            )
            return PoolHearing(process, writer)

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


@pytest.mark.parametrize(("code", "again"), [(429, True), (-32005, True), (-32602, False)])
def test_a_subscription_that_is_refused_for_now_is_asked_for_again(
    hear: Hear, capsys: pytest.CaptureFixture[str], code: int, again: bool
) -> None:
    """And whatever a provider says of it, the key that it repeats is in no log."""
    logs.set_up(FEED_SOLANA)
    (line,) = hear(False)._lines
    line.subscriptions.ask(7, POOL.key)
    line._refusal(RpcRefusal(7, code, f"no more for key {KEY}"))
    assert (POOL.key not in line._refused) is again
    said = capsys.readouterr().err
    assert "no more for key ***" in said
    assert KEY not in said


def test_a_provider_that_asks_for_ages_is_dialled_again(
    hear: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def refused(*_: object, **__: object) -> None:
        raise ws.DialFailed("503", url="", status=503, wait_s=1e300)

    async def slept(seconds: float) -> None:
        waited.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr(ws, "dial", refused)
    monkeypatch.setattr(asyncio, "sleep", slept)
    (line,) = hear(False)._lines
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(line.run())
    assert waited == [ASKED_S_MAX_PASSING]


def test_requests_that_were_refused_together_are_one_rest(hear: Hear) -> None:
    (line,) = hear(False)._lines
    for number in range(20):
        line._refusal(RpcRefusal(number, 429, "too many"))
    assert line._rest_until_ns - clock.mono_ns() <= PAUSE_S_MIN * NS_PER_S
