"""What many ask for at once: segments are mapped and tables read once, and what is waited for is
waited for once by all who want it, within a bound."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from bed import until
from spread_scanner.errors import TableError
from spread_scanner.gateway import api, waiting
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import SYMBOLS_BIN

OF_TABLES = (
    *("/v1/sources", "/v1/directions", "/v1/costs", "/v1/why/AAA-USDT", "/v1/analysis/AAA-USDT"),
    *("/v1/tables", "/v1/funding", "/v1/spreads", "/v1/books/AAA-USDT", "/v1/opportunities"),
)


def mapped(namespace: str) -> int:
    """How often this process has a segment of it before it."""
    return Path("/proc/self/maps").read_text().count(f"/{namespace}.")


async def asked_at_once(asking: Any, paths: list[str], different: int) -> Any:
    """The answers to come, once so many different things are waited for."""
    asked = asyncio.gather(*(asking.get(path) for path in paths))
    await asyncio.to_thread(until, lambda: len(asking.system.waits._running) == different)
    return asked


def test_no_request_reads_tables(
    gateway_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = gateway_of()
    monkeypatch.setattr(api, "BOOKS_WAIT_S", 0.0)

    def reads(folder: Path) -> tables.Tables:
        raise TableError("read again", file=folder)

    monkeypatch.setattr(tables, "load_set", reads)
    for path in OF_TABLES:
        answer = asyncio.run(asking.get(path))
        assert answer.status_code == 200, (path, answer.text)


def test_tables_that_are_published_and_not_whole_leave_those_before_them(
    gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking, folder = gateway_of(), listed_bed.settings.generated_dir

    def told() -> dict[str, Any]:
        asking.system.look()
        answer = asyncio.run(asking.get("/v1/tables"))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    before = told()
    later = msgspec.structs.replace(tables.load(folder), generation=before["generation"] + 1)
    publish.publish(folder, later, {})
    now = told()
    assert now["generation"] == before["generation"] + 1
    publish.publish(folder, msgspec.structs.replace(later, generation=later.generation + 1), {})
    (tables.set_in_force(folder) / SYMBOLS_BIN).write_bytes(b"no table")
    kept = told()
    assert kept["generation"] == now["generation"]
    assert kept["age_s"] >= now["age_s"]
    assert kept["judged_age_s"] >= now["judged_age_s"]
    assert asyncio.run(asking.get("/v1/costs?symbol=AAA")).status_code == 200


def test_who_waits_has_no_segment_mapped_for_himself(
    gateway_of: Callable[..., Any], listed_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, namespace = gateway_of(), listed_bed.namespace
    monkeypatch.setattr(api, "BOOKS_WAIT_S", 0.2)
    paths = [f"/v1/books/{coin}-USDT?levels={n}" for coin in ("AAA", "BBB") for n in range(1, 11)]
    before = mapped(namespace)

    async def ask() -> int:
        answers = await asked_at_once(asking, paths + ["/v1/connections"] * 10, 3)
        during = mapped(namespace)
        assert {answer.status_code for answer in await answers} == {200}
        return during

    assert asyncio.run(ask()) == before > 0
    assert asking.system.waits._running == {}


def test_few_different_ones_are_waited_for_and_the_rest_is_told_when_to_ask_again(
    gateway_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = gateway_of()
    monkeypatch.setattr(api, "BOOKS_WAIT_S", 0.2)
    monkeypatch.setattr(waiting, "WAITED_MAX", 2)
    books = "/v1/books/{}-USDT?fees={}&consolidated=true"
    waits = [books.format(coin, fees) for coin in ("AAA", "BBB") for fees in ("true", "false")]

    async def ask() -> list[httpx.Response]:
        answers = await asked_at_once(asking, waits, 2)
        refused = [await asking.get(one) for one in ("/v1/books/CCC-USDT", "/v1/connections")]
        assert [answer.status_code for answer in await answers] == [200] * 4
        return refused

    for answer in asyncio.run(ask()):
        assert (answer.status_code, answer.json()["code"]) == (429, "busy"), answer.text
        assert answer.headers["retry-after"] == "1"
    assert asyncio.run(asking.get("/v1/connections")).json() == []  # now it may


def test_one_who_goes_leaves_the_others_waiting() -> None:
    async def ask() -> tuple[Any, Any]:
        waits, free = waiting.Waits(), asyncio.Event()

        async def wait() -> str:
            await free.wait()
            return "told"

        first, second = (asyncio.create_task(waits.of("this", wait)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        free.set()
        return await asyncio.gather(first, second, return_exceptions=True)

    gone, told = asyncio.run(ask())
    assert isinstance(gone, asyncio.CancelledError)
    assert told == "told"
