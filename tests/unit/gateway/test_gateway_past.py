"""The past over HTTP: a child of its own answers, within bounds, or says why it does not."""

import asyncio
import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from database_bed import store

from bed import until
from spread_scanner.gateway import past
from spread_scanner.schema.moments import moment_ns
from spread_scanner.schema.names import DATABASE_FILE, WAL_FOLDER
from spread_scanner.view.past import PastShown

CANDLES = "/v1/candles/AAA-USDT?source=okx-spot"


@pytest.fixture
def recorded(listed_bed: Any) -> None:
    """A recorder and a tracker have been here."""
    data = listed_bed.settings.data_dir
    (data / WAL_FOLDER).mkdir(parents=True)
    store(data, id=1)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorded: None) -> Callable[[str], None]:
    """Has another program answer."""

    def stands(text: str) -> None:
        file = tmp_path / "stand_in.py"
        file.write_text(f"import os, sys, time\n{text}\n")
        monkeypatch.setattr(past, "_command", lambda: [sys.executable, "-S", str(file)])

    return stands


def test_a_question_is_made_of_names_and_times_and_nothing_else() -> None:
    moment = "2026-01-31T12:00:00Z"
    assert past.rows_of("candles", (moment, None), "A'B", ["okx-spot"], period="1'm") == (
        "history",
        "SELECT * FROM candles WHERE period = '1''m' "
        "AND ts >= make_timestamp_ns(1769860800000000000) ORDER BY ts DESC",
        "--symbol=A'B",
        "--source=okx-spot",
    )


def test_times_that_no_calendar_of_utc_has_are_the_nearest_that_it_has(
    gateway_of: Callable[..., Any], child: Callable[[str], None]
) -> None:
    child('print(\'{"columns": ["%s"], "rows": [], "more": false}\' % sys.argv[2])')
    path = f"{CANDLES}&since=0001-01-01T00:00:00%2B14:00&until=9999-12-31T23:59:59-14:00"
    answer = asyncio.run(gateway_of().get(path))
    assert answer.status_code == 200, answer.text
    (asked,) = answer.json()["columns"]
    assert "ts >= make_timestamp_ns(0) AND ts < make_timestamp_ns(8589934592000000000)" in asked


@pytest.mark.parametrize(
    ("said", "ns"),
    [
        ("2026-01-31T12:00:00.123456789", 123_456_789),  # as rows have it
        ("2026-01-31 12:00:00.1234567Z", 123_456_700),
        ("2026-01-31t12:00:00.000000001z", 1),
        ("2026-01-31T21:00:00.9999999999%2B09:00", 999_999_999),
        ("2026-01-31T12:00:00.5-00:00", 500_000_000),
    ],
)
def test_times_count_to_the_ns(
    gateway_of: Callable[..., Any], child: Callable[[str], None], said: str, ns: int
) -> None:
    """Who asks for what was before a row is not given it again."""
    child("import json; print(json.dumps({'columns': sys.argv[2:], 'rows': [], 'more': False}))")
    path = f"/v1/history/AAA-USDT?direction=okx-bybit&until={said}"
    asked = asyncio.run(gateway_of().get(path)).json()["columns"]
    assert f"ts < make_timestamp_ns({1_769_860_800_000_000_000 + ns})" in asked[0]
    (bound,) = (one.removeprefix("--until=") for one in asked if one.startswith("--until="))
    assert moment_ns(bound) == 1_769_860_800_000_000_000 + ns


def test_a_spread_s_past_looks_at_no_more_ticks_than_its_rows_need(
    gateway_of: Callable[..., Any], child: Callable[[str], None]
) -> None:
    """And at one that tells whether there are more."""
    child("import json; print(json.dumps({'columns': sys.argv[3:], 'rows': [], 'more': False}))")
    path = "/v1/history/AAA-USDT?direction=okx-bybit&count=7"
    of = ["--symbol=AAA-USDT", "--source=okx-spot", "--source=bybit-futures", "--last=8"]
    for until_when in ([], ["2026-01-31T12:00:00Z"]):
        answer = asyncio.run(gateway_of().get("&until=".join([path, *until_when])))
        asked = [*of, *(f"--until={one}" for one in until_when), "--count", "7", "--json"]
        assert answer.json()["columns"] == asked


def test_the_child_gives_way_and_its_answer_is_passed_on(
    gateway_of: Callable[..., Any], child: Callable[[str], None]
) -> None:
    gives_way = f"while os.nice(0) < {past.NICENESS}: time.sleep(0.01)"
    child(f'{gives_way}\nprint(\'{{"asked": "%s"}}\' % sys.argv[1:])')
    answer = asyncio.run(gateway_of().get("/v1/report?since=7d"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert said["asked"] == "['report', '--since', '7d', '--json']"
    child('print(\'{"columns": ["ts"], "rows": [["x"]], "more": false}\')')
    answer = asyncio.run(gateway_of().get(CANDLES))
    assert msgspec.json.decode(answer.content, type=PastShown).rows == [["x"]]


@pytest.mark.parametrize(
    ("text", "status", "code", "says"),
    [
        ('print(\'{"error": "no"}\'); sys.exit(1)', 409, "no_answer", "no"),
        ('print(\'{"error": "what"}\'); sys.exit(2)', 400, "bad_request", "what"),
        ("sys.exit(9)", 409, "no_answer", "history ended with 9"),
        ("time.sleep(600)", 504, "too_slow", "ask for less"),
        ("bytearray(1 << 31)", 409, "no_answer", "ended with 1"),
    ],
)
def test_a_child_that_does_not_answer_is_a_problem(
    gateway_of: Callable[..., Any],
    child: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    status: int,
    code: str,
    says: str,
) -> None:
    monkeypatch.setattr(past, "ANSWER_S", 0.3 if status == 504 else 60.0)
    monkeypatch.setattr(past, "MEMORY_BYTES_MAX", 1 << 30)
    child(text if status == 504 else f"sys.stdin.read(); {text}")
    answer = asyncio.run(gateway_of().get(CANDLES))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert says in answer.json()["detail"]
    with pytest.raises(ChildProcessError):  # none is left
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    "path", ["/v1/candles/{}?source=okx-spot", "/v1/history/{}?direction=okx-bybit"]
)
def test_a_coin_that_has_left_the_tables_has_its_past(
    gateway_of: Callable[..., Any], child: Callable[[str], None], path: str
) -> None:
    asking = gateway_of()
    child('print(\'{"columns": ["ts"], "rows": [["%s"]], "more": false}\' % sys.argv[3])')
    answer = asyncio.run(asking.get(path.format("gone/usdt")))
    assert (answer.status_code, answer.json()["rows"]) == (200, [["--symbol=GONE-USDT"]])
    answer = asyncio.run(asking.get(path.format("GONE-USDT%00")))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_symbol")
    child('print(\'{"columns": ["ts"], "rows": [], "more": false}\')')
    answer = asyncio.run(asking.get(path.format("GONE-USDT")))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_symbol")


def test_what_waits_for_others_keeps_no_reader(
    gateway_of: Callable[..., Any], child: Callable[[str], None]
) -> None:
    """All that read for whoever asks are busy meanwhile."""
    asking = gateway_of()
    child('print(\'{"columns": [], "rows": [], "more": false}\')')
    free = threading.Event()

    async def ask_all() -> list[int]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        busy = asyncio.create_task(asyncio.to_thread(free.wait, 60))
        paths = (CANDLES, "/v1/report", "/v1/connections")
        try:
            async with asyncio.timeout(30):
                return [(await asking.get(path)).status_code for path in paths]
        finally:
            free.set()
            await busy

    assert asyncio.run(ask_all()) == [200] * 3


def test_few_run_at_once(gateway_of: Callable[..., Any], child: Callable[[str], None]) -> None:
    asking = gateway_of()
    child("print('{}')")
    for _ in range(past.CHILDREN_MAX):
        assert past._turns.acquire(blocking=False)
    answer = asyncio.run(asking.get("/v1/report"))
    assert (answer.status_code, answer.json()["code"]) == (429, "busy")
    assert answer.headers["retry-after"]
    for _ in range(past.CHILDREN_MAX):
        past._turns.release()
    for _ in range(past.CHILDREN_MAX + 1):  # each gives its turn back
        assert asyncio.run(asking.get("/v1/report")).json() == {}


def test_the_end_waits_for_no_child(
    gateway_of: Callable[..., Any],
    child: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "_ending", threading.Event())
    asking = gateway_of()
    child("time.sleep(600)")

    async def ask_and_end() -> Any:
        asked = asyncio.create_task(asking.get(CANDLES))
        await asyncio.to_thread(until, lambda: bool(past._running))
        past.end()
        return await asked

    for answer in (asyncio.run(ask_and_end()), asyncio.run(asking.get(CANDLES))):
        assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
    assert not past._running
    with pytest.raises(ChildProcessError):  # none is left
        os.waitpid(-1, os.WNOHANG)


def test_what_is_cut_off_by_the_end_is_told_so(gateway_of: Callable[..., Any]) -> None:
    """By the server, which cancels what it has waited for long enough."""
    asking = gateway_of()

    async def ask_and_cut_off() -> Any:
        begun = asyncio.Event()

        async def waits(*_: Any) -> None:
            begun.set()
            await asyncio.sleep(600)

        asking.front._api = waits
        asked = asyncio.create_task(asking.get(CANDLES))
        await begun.wait()
        asked.cancel()
        return await asked

    answer = asyncio.run(ask_and_cut_off())
    assert (answer.status_code, answer.json()["code"]) == (503, "stopping")


@pytest.mark.slow  # spread-ctl itself, with what it loads
@pytest.mark.timeout(360)
def test_spread_ctl_itself_answers(
    gateway_of: Callable[..., Any],
    recorded: None,
    listed_bed: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with contextlib.closing(sqlite3.connect(listed_bed.settings.data_dir / DATABASE_FILE)) as made:
        made.execute("DELETE FROM opportunities")
        made.commit()
    monkeypatch.setattr(past, "ANSWER_S", 110.0)  # it gives way to whatever else runs here
    asking = gateway_of()
    history = "/v1/history/AAA-USDT?direction=okx-bybit"
    for path in (
        CANDLES,
        f"{history}&since=2026-01-01T00:00:00Z",
        f"{history}&since=0001-01-01T00:00:00Z",
    ):
        answer = asyncio.run(asking.get(path))
        assert answer.status_code == 200, answer.text
        shown = msgspec.json.decode(answer.content, type=PastShown)
        assert (shown.rows, "ts" in shown.columns) == ([], True)
    answer = asyncio.run(asking.get("/v1/report?since=all"))
    assert (answer.status_code, answer.json()["pairs"]) == (200, []), answer.text
