"""Every path of the gateway: its records, what is wrong to ask, who may."""

import asyncio
import functools
import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from cycles_bed import cycle_row, store_cycles
from database_bed import damage, store

from spread_scanner.config.files import Tokens
from spread_scanner.gateway.api import BODY_BYTES_MAX, CONTROLLING, READING, openapi
from spread_scanner.gateway.front import CONTROL as CONTROL_PATH
from spread_scanner.gateway.problems import MEDIA_TYPE, Problem
from spread_scanner.orders import discovering
from spread_scanner.orders.orders import Outcome, standing
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCES
from spread_scanner.schema.names import CYCLES_FILE, DATABASE_FILE, GATEWAY
from spread_scanner.shm import Health, PriceStore
from spread_scanner.view.columns import SpreadColumns
from spread_scanner.view.connections import ConnectionView
from spread_scanner.view.costs import Cost
from spread_scanner.view.cycles import CycleView
from spread_scanner.view.evaluations import Explanation
from spread_scanner.view.funding import FundingView
from spread_scanner.view.opportunities import OpportunityRow
from spread_scanner.view.pools import PoolView
from spread_scanner.view.prices import Price, Served
from spread_scanner.view.sources import SourceView
from spread_scanner.view.spreads import Spread
from spread_scanner.view.status import Status
from spread_scanner.view.tables import TablesView

ROOT = Path(__file__).parents[3]
HISTORY = "/v1/history/AAA-USDT?direction=okx-bybit"
NOON = "2026-01-01T12:00:00Z"
BY_PATH: dict[str, Any] = {
    "/health": Served,
    "/prices": list[Price],
    "/prices?source=okx-futures": list[Price],
    "/prices/AAA/USDT": list[Price],
    "/prices/AAA%2FUSDT": list[Price],
    "/prices/aaa-usdt": list[Price],
    "/prices/AAA-USDT?source=binance-spot": list[Price],
    "/v1/status": Status,
    "/v1/sources": list[SourceView],
    "/v1/connections": list[ConnectionView],
    "/v1/pools?pool=aaa": list[PoolView],
    "/v1/directions": list[str],
    "/v1/spreads": list[Spread],
    "/v1/spreads?symbol=AAA&direction=binance-bybit&usable=true&count=5": list[Spread],
    "/v1/spreads/columns": SpreadColumns,
    "/v1/funding": list[FundingView],
    "/v1/funding?symbol=AAA": list[FundingView],
    "/v1/why/AAA-USDT": Explanation,
    "/v1/why/AAA-USDT?direction=&count=1": Explanation,
    "/v1/cycles": list[CycleView],
    "/v1/cycles?pool=AAA&open=true&count=2": list[CycleView],
    "/v1/opportunities": list[OpportunityRow],
    "/v1/opportunities?symbol=AAA-USDT&before_id=7&count=2": list[OpportunityRow],
    "/v1/costs": list[Cost],
    "/v1/tables": TablesView,
}
# (method, path, more) -> (status, code, what it says)
WRONG: list[tuple[str, str, dict[str, Any], int, str, str]] = [
    ("GET", "/prices/NOPE-USDT", {}, 404, "unknown_pair", "NOPE-USDT"),
    ("GET", "/v1/opportunities?before_id=9223372036854775808", {}, 400, "bad_request", "before"),
    ("POST", "/scan-arbitrage", {"json": {"threshold_pct": -1}}, 400, "bad_request", "threshold"),
    ("GET", "/prices?source=kraken-spot", {}, 404, "unknown_source", "binance-spot"),
    ("GET", "/v1/prices/AAA-USDT?source=1", {}, 404, "unknown_source", "allowed"),
    ("GET", "/prices?source=raydium", {}, 404, "unknown_source", "mexc-futures'"),  # no row for it
    ("GET", "/v1/why/NOPE-USDT", {}, 404, "unknown_symbol", "NOPE-USDT"),
    ("GET", "/v1/why/AAA-USDT?direction=up", {}, 404, "unknown_direction", "binance-okx"),
    ("GET", "/v1/why/AAA-USDT?count=0", {}, 400, "bad_request", "count"),
    ("GET", "/v1/spreads?direction=okx-okx", {}, 404, "unknown_direction", "okx-okx"),
    ("GET", "/v1/spreads?count=many", {}, 400, "bad_request", "count"),
    ("GET", "/v1/spreads?usable=perhaps", {}, 400, "bad_request", "usable"),
    ("GET", "/v1/cycles?count=0", {}, 400, "bad_request", "count"),
    ("GET", "/v1/cycles?open=perhaps", {}, 400, "bad_request", "open"),
    ("GET", "/v1/opportunities?before_id=-1", {}, 400, "bad_request", "before_id"),
    ("GET", "/v1/opportunities?before_id=null", {}, 400, "bad_request", "before_id: null"),
    ("GET", f"{HISTORY}&since=null", {}, 400, "bad_request", "since: null is no value"),
    ("GET", f"{HISTORY}&until=Null", {}, 400, "bad_request", "until: null is no value"),
    ("GET", "/v1/opportunities?symbol=null", {}, 404, "unknown_symbol", "NULL"),  # it may be a coin
    ("GET", "/v1/connections?source=x", {}, 404, "unknown_source", "x"),
    ("GET", "/v1/books/NOPE-USDT", {}, 404, "unknown_symbol", "NOPE-USDT"),
    ("GET", "/v1/books/AAA-USDT?levels=0", {}, 400, "bad_request", "levels"),
    ("GET", "/v1/books/AAA-USDT?source=orca", {}, 404, "no_books", "orca does not list AAA-USDT"),
    ("GET", "/v1/spreads?symbol=NOPE", {}, 404, "unknown_symbol", "NOPE"),
    ("GET", "/v1/funding?symbol=nope/usdt", {}, 404, "unknown_symbol", "NOPE-USDT"),
    ("GET", "/v1/opportunities?symbol=NOPE", {}, 404, "unknown_symbol", "NOPE"),
    ("GET", "/v1/why/NOPE/USDT", {}, 404, "unknown_symbol", "NOPE-USDT"),
    ("GET", "/v1/history/NOPE%2FUSDT?direction=okx-mexc", {}, 404, "unknown_symbol", "NOPE-USDT"),
    ("GET", "/v1/costs?symbol=NOPE", {}, 404, "unknown_symbol", "NOPE"),
    ("GET", "/v1/analysis/NOPE-USDT", {}, 404, "unknown_symbol", "NOPE-USDT"),
    ("GET", "/page/nothing.js", {}, 404, "bad_request", ""),
    ("GET", "/v1/candles/AAA-USDT", {}, 400, "bad_request", "source"),
    ("GET", "/v1/candles/AAA-USDT?source=x", {}, 404, "unknown_source", "x"),
    ("GET", "/v1/candles/NOPE-USDT?source=okx-spot", {}, 404, "unknown_symbol", "NOPE-USDT"),
    ("GET", "/v1/candles/AAA-USDT?source=okx-spot&period=1h", {}, 400, "bad_request", "of 1s, 1m"),
    ("GET", "/v1/history/AAA-USDT?direction=up", {}, 404, "unknown_direction", "up"),
    ("GET", "/v1/history/AAA-USDT?direction=okx-okx&since=x", {}, 400, "bad_request", "since"),
    ("GET", "/v1/candles/AAA-USDT?source=okx-spot", {}, 409, "no_answer", "ever recorded: [spread"),
    ("GET", HISTORY, {}, 409, "no_answer", "[spread-recorder] in config.toml says"),
    ("GET", f"{HISTORY}&since={NOON}&until={NOON}", {}, 400, "bad_request", "period is empty"),
    ("GET", "/v1/report", {}, 409, "no_answer", "no such database: spread-tracker has not run"),
    ("GET", "/v1/spreads?symbol=AAA&symbol=BBB", {}, 400, "bad_request", "more than once: symbol"),
    ("GET", "/prices?source=okx-spot&source=mexc-spot&_=1", {}, 400, "bad_request", "source"),
    ("GET", "/v1/report?since=yesterday", {}, 400, "bad_request", "since"),
    ("GET", "/v1/nothing", {}, 404, "bad_request", "/v1/docs"),
    ("GET", "/v1/stream", {}, 426, "bad_request", "upgrade"),
    ("DELETE", "/v1/status", {}, 405, "bad_request", "no DELETE of this path; allowed: GET, HEAD"),
    ("POST", "/prices", {}, 405, "bad_request", "no POST of this path; allowed: GET, HEAD"),
    ("GET", "/scan-arbitrage", {}, 405, "bad_request", "no GET of this path; allowed: POST"),
    ("POST", "/scan-arbitrage", {"content": b"{"}, 400, "bad_request", ""),
    ("POST", "/scan-arbitrage", {"content": b""}, 400, "bad_request", '{"threshold_pct": 0.3}'),
    ("POST", "/scan-arbitrage?threshold_pct=1", {"json": {}}, 400, "bad_request", "allowed: none"),
    ("POST", "/scan-arbitrage", {"json": {"threshold_pct": "x"}}, 400, "bad_request", "threshold"),
    ("POST", "/scan-arbitrage", {"json": {"threshold_pct": "1"}}, 400, "bad_request", "got `str`"),
    ("POST", "/scan-arbitrage", {"json": {"threshold_pct": True}}, 400, "bad_request", "`bool`"),
    ("POST", "/scan-arbitrage", {"json": [1]}, 400, "bad_request", "got `array`"),
    ("POST", "/scan-arbitrage", {"json": {"pct": 1}}, 400, "bad_request", "allowed: threshold_pct"),
    ("POST", "/scan-arbitrage", {"content": b'{"\xff": 1}'}, 400, "bad_request", "is UTF-8"),
    ("POST", "/scan-arbitrage", {"content": rb'{"\ud800": 1}'}, 400, "bad_request", "surrogate"),
    ("POST", "/scan-arbitrage", {"json": {"threshold_pct": 1e9}}, 400, "bad_request", "threshold"),
    ("POST", "/scan-arbitrage", {"content": b" " * 70_000}, 413, "bad_request", "than 65536"),
    ("POST", "/v1/control/halt", {}, 403, "control_off", "control_token_file"),
    ("GET", "/health", {"headers": {"host": "evil.example"}}, 421, "unknown_host", "evil.example"),
    ("GET", "/health", {"headers": {"host": ""}}, 421, "unknown_host", ""),
]
READ, CONTROL = b"a-token-to-read-with", b"a-token-to-control"


def bearer(token: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {token.decode()}"}


def quote_all(bed: Any) -> None:
    with PriceStore.attach(bed.namespace) as store:
        for source in EXCHANGE_SOURCES:
            now_ns = store.clock.now_ns()
            with store.writer(source.source_id) as writer:
                for symbol_id in range(3):
                    writer.write(symbol_id, 99.0, 10.0, 100.0, 10.0, now_ns, now_ns, 1)
                writer.heartbeat(now_ns - store.clock.anchor_ns)


def test_each_path_answers_with_its_record(gateway_of: Callable[..., Any], listed_bed: Any) -> None:
    asking = gateway_of()
    for path, kind in BY_PATH.items():
        quote_all(listed_bed)
        answer = asyncio.run(asking.get(path))
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "application/json"
        record = msgspec.json.decode(answer.content, type=kind, strict=True)
        if path.startswith("/prices"):
            assert record, path


def test_the_description_names_every_path_and_its_record(gateway_of: Callable[..., Any]) -> None:
    answer = asyncio.run(gateway_of().get("/v1/openapi.json"))
    paths = orjson.loads(answer.content)["paths"]
    for handler in READING:
        if handler.include_in_schema is not False:
            for path in handler.paths:
                assert any(path.partition("{")[0].rstrip("/") in known for known in paths), path
    for path, described in paths.items():
        for method, operation in described.items():
            assert operation["description"], (method, path)


def test_every_operation_has_its_name_and_says_how_it_refuses(
    gateway_of: Callable[..., Any],
) -> None:
    told = orjson.loads(asyncio.run(gateway_of().get("/v1/openapi.json")).content)
    assert told == openapi()
    names = [one["operationId"] for each in told["paths"].values() for one in each.values()]
    assert len(set(names)) == len(names)
    assert {"get_v1_spreads", "get_prices_pair", "post_scan_arbitrage"} <= set(names)
    for path, operations in told["paths"].items():
        for operation in operations.values():
            assert operation["summary"].endswith(f" {path}")
            assert "400" not in operation["responses"], path
            assert MEDIA_TYPE in operation["responses"]["default"]["content"], path
    assert set(told["components"]["schemas"]["Problem"]["properties"]) == set(
        Problem.__struct_fields__
    )


def test_the_page_of_what_can_be_asked_needs_nobody_else(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of()
    page = asyncio.run(asking.get("/v1/docs"))
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "//" not in page.text  # no address of another server
    assert "<script>" not in page.text
    for path in re.findall(r'(?:src|spec-url)="([^"]*)"', page.text):
        assert asyncio.run(asking.get(path)).status_code == 200, path
    script = asyncio.run(asking.get("/v1/docs/rapidoc-min.js"))
    assert script.headers["content-type"].startswith("text/javascript")
    assert "RapiDoc" in script.text[:100]


def test_the_guide_names_every_call() -> None:
    guide = (ROOT / "docs" / "gateway.md").read_text()
    for handler in [*READING, *CONTROLLING]:
        short = min(handler.paths, key=len).replace(":path", "").replace(":str", "")
        assert short.removeprefix(CONTROL_PATH) in guide, short


def test_the_guide_names_every_code_of_a_refusal() -> None:
    """Where the description sends whoever is refused."""
    guide = (ROOT / "docs" / "gateway.md").read_text()
    _, _, told = guide.partition("## What is refused")
    gateway, world = (
        "\n".join(
            file.read_text()
            for room in rooms
            for file in (ROOT / "src" / "spread_scanner" / room).glob("*.py")
        )
        for rooms in (["gateway"], ["orders", "view"])
    )
    codes = set(re.findall(r'HTTPStatus\.\w+,\s*"(\w+)"', gateway))
    for error in re.findall(r"class (\w+)\((?:Unusable|SpreadError)\)", world):
        codes.add(re.sub(r"(?<!^)([A-Z])", r"_\1", error).lower())
    assert codes > {"unknown_pair", "no_books", "too_many"}
    assert {one for one in codes if f"`{one}`" not in told} == set()


def test_what_is_wrong_to_ask_is_a_problem_that_says_why(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of()
    for method, path, more, status, code, says in WRONG:
        answer = asyncio.run(asking.ask(method, path, **more))
        row = method, path, more, answer.text
        assert answer.headers["content-type"] == "application/problem+json", row
        problem = msgspec.json.decode(answer.content, type=Problem)
        assert (answer.status_code, problem.status, problem.code) == (status, status, code), row
        assert says in problem.detail, row
        assert "Traceback" not in answer.text, row


def test_what_is_no_method_of_a_path_is_refused_with_those_that_are(
    gateway_of: Callable[..., Any],
) -> None:
    asking = gateway_of(Tokens(b"", CONTROL))
    for method, path, allowed in (
        ("DELETE", "/health", {"GET", "HEAD"}),
        ("POST", "/prices/AAA/USDT", {"GET", "HEAD"}),
        ("TRACE", "/v1/spreads", {"GET", "HEAD"}),
        ("PUT", "/page/main.js", {"GET", "HEAD"}),
        ("PUT", "/page/login", {"GET", "HEAD", "POST"}),
        ("GET", "/scan-arbitrage", {"POST"}),
        ("HEAD", "/scan-arbitrage", {"POST"}),
        ("PUT", "/v1/control/halt", {"POST"}),
    ):
        answer = asyncio.run(asking.ask(method, path, headers=bearer(CONTROL)))
        assert answer.status_code == 405, path
        assert set(answer.headers["allow"].split(", ")) - {"OPTIONS"} == allowed, path


@pytest.mark.parametrize(
    ("path", "broken"),
    [("/v1/spreads", "system.spreads"), ("/prices", "system.shown.prices.body")],
    ids=["behind the front", "hot"],
)
def test_a_fault_of_ours_is_one_request_s_counted_and_tells_nobody_what_it_was(
    gateway_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, path: str, broken: str
) -> None:
    asking = gateway_of()

    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    *owners, name = broken.split(".")
    monkeypatch.setattr(functools.reduce(getattr, owners, asking), name, breaks)
    answer = asyncio.run(asking.get(path))
    assert (answer.status_code, answer.json()["code"]) == (500, "fault")
    assert "secret" not in answer.text
    assert counted(asking)["failed"] == 1


def counted(asking: Any) -> dict[str, int]:
    with Health.attach(asking.system.status.namespace) as health:
        return dict(health.read(GATEWAY).counters)


def test_with_a_token_nothing_is_told_without_it(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of(Tokens(READ, CONTROL))
    rows = [
        ("GET", "/v1/status", {}, 401),
        ("GET", "/health", {}, 401),
        ("GET", "/v1/status", bearer(b"another-token-than-it"), 401),
        ("GET", "/v1/status", {"authorization": READ.decode()}, 401),
        ("GET", "/v1/status", {"authorization": f"bearer  {READ.decode()} "}, 200),
        ("GET", "/v1/status?token=" + READ.decode(), {}, 401),
        ("GET", "/v1/status", bearer(READ), 200),
        ("GET", "/v1/status", bearer(CONTROL), 200),
        ("POST", "/v1/control/halt", bearer(READ), 401),
        ("POST", "/v1/control/halt", {**bearer(CONTROL), "origin": "http://evil.example"}, 403),
        ("POST", "/v1/control/halt", {**bearer(CONTROL), "origin": "http://127.0.0.1:3001"}, 200),
        ("GET", "/v1/control/halt", bearer(CONTROL), 405),
    ]
    for method, path, headers, status in rows:
        answer = asyncio.run(asking.ask(method, path, headers=headers))
        assert answer.status_code == status, (method, path, headers, answer.text)
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"


def test_control_says_what_it_did(gateway_of: Callable[..., Any], listed_bed: Any) -> None:
    asking = gateway_of(Tokens(b"", CONTROL))
    with listed_bed.health():
        for path, did in (
            ("halt", "halt"),
            ("pause/AAA-USDT", "symbol AAA-USDT"),
            ("resume/AAA-USDT", "symbol AAA-USDT"),
            ("allow", ""),
        ):
            answer = asyncio.run(asking.ask("POST", f"/v1/control/{path}", headers=bearer(CONTROL)))
            outcome = msgspec.json.decode(answer.content, type=Outcome)
            assert answer.status_code == 200
            standing = [f"{one.kind} {one.name}".strip() for one in outcome.standing]
            assert (did in standing) == (path in ("halt", "pause/AAA-USDT")), (path, standing)
    wrong = asyncio.run(asking.ask("POST", "/v1/control/pause/okxx", headers=bearer(CONTROL)))
    assert (wrong.status_code, wrong.json()["code"]) == (404, "unknown_target")


def test_any_page_may_read_the_short_calls_and_named_ones_the_rest(
    gateway_of: Callable[..., Any],
) -> None:
    asking = gateway_of(origins=["https://Mine.example:443"])  # as no browser spells it
    rows = [
        ("/health", "https://other.example", "*"),
        ("/prices", "https://mine.example", "*"),
        ("/v1/status", "https://mine.example", "https://mine.example"),
        ("/v1/status", "https://other.example", None),
        ("/v1/nothing", "https://mine.example", "https://mine.example"),
    ]
    for path, origin, allowed in rows:
        for method in ("GET", "OPTIONS"):
            answer = asyncio.run(asking.ask(method, path, headers={"origin": origin}))
            assert answer.headers.get("access-control-allow-origin") == allowed, (method, path)
    assert "access-control-allow-credentials" not in answer.headers


def test_who_asks_too_often_waits_and_this_machine_does_not(
    virtual_clock: Any, gateway_of: Callable[..., Any]
) -> None:
    asking = gateway_of(rate_per_s=10.0, rate_burst=3)

    async def many(address: str, count: int) -> list[int]:
        return [
            (await asking.get("/v1/directions", address=address)).status_code for _ in range(count)
        ]

    assert asyncio.run(many("10.0.0.1", 5)) == [200, 200, 200, 429, 429]
    assert asyncio.run(many("10.0.0.2", 1)) == [200]
    assert asyncio.run(many("::1", 9)) == [200] * 9
    virtual_clock.advance_ms(100)
    assert asyncio.run(many("10.0.0.1", 2)) == [200, 429]
    assert counted(asking)["limited"] == 3


def test_paused_it_answers_only_how_it_is(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of(Tokens(b"", CONTROL))
    asking.front.paused = True
    assert asyncio.run(asking.get("/v1/directions")).json()["code"] == "paused"
    assert asyncio.run(asking.get("/health")).json()["status"] == "unavailable"
    resumed = asyncio.run(
        asking.ask("POST", "/v1/control/resume/spread-gateway", headers=bearer(CONTROL))
    )
    assert resumed.status_code == 200


def test_what_has_not_changed_is_told_with_304(
    virtual_clock: Any, gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    virtual_clock.advance_ms(1_000)
    quote_all(listed_bed)
    asking = gateway_of()

    def asked(tag: str = "", path: str = "/prices") -> Any:
        return asyncio.run(asking.get(path, headers={"if-none-match": tag} if tag else {}))

    first = asked()
    tag = first.headers["etag"]
    virtual_clock.advance_ms(7)  # ages are no news
    for sent in (tag, f"W/{tag}", f'"x", {tag}', f'"x",W/{tag}', "*"):
        again = asked(sent)
        assert (again.status_code, again.content) == (304, b""), sent
    assert asked('"x"').status_code == 200
    of_pair = asked("", "/v1/prices/AAA/USDT").headers["etag"]
    assert asked(of_pair, "/prices/AAA-USDT").status_code == 304
    with (
        PriceStore.attach(listed_bed.namespace) as store,
        store.writer(SOURCES[0].source_id) as writer,  # the quotes of the writer before are stale
    ):
        gone = asked(tag)
        assert (gone.status_code, len(gone.json())) == (200, len(first.json()) - 3)
        now_ns = store.clock.now_ns()
        writer.write(0, 98.0, 10.0, 100.0, 10.0, now_ns, now_ns, 2)
        writer.heartbeat(now_ns - store.clock.anchor_ns)
        come = asked(gone.headers["etag"])
        assert (come.status_code, len(come.json())) == (200, len(first.json()) - 2)
        writer.write(0, 97.0, 10.0, 100.0, 10.0, now_ns, now_ns, 3)
        moved = asked(come.headers["etag"])
        assert moved.status_code == 200
        assert asked(moved.headers["etag"]).status_code == 304


@pytest.mark.parametrize(
    ("tokens", "sent", "code", "says"),
    [
        (Tokens(READ, CONTROL), b"", "no_token", "send the control token"),
        (Tokens(READ, CONTROL), b"nobody's", "no_token", "send the control token"),
        (Tokens(READ, CONTROL), READ, "no_token", "send the control token"),
        (Tokens(READ, b""), b"", "no_token", "send the token"),
        (Tokens(READ, b""), READ, "control_off", "control_token_file"),
        (Tokens(b"", CONTROL), b"", "no_token", "send the control token"),
        (Tokens(b"", b""), b"", "control_off", "control_token_file"),
    ],
)
def test_who_may_not_control_is_told_what_is_wanted(
    gateway_of: Callable[..., Any], tokens: Tokens, sent: bytes, code: str, says: str
) -> None:
    headers = {"authorization": f"Bearer {sent.decode()}"} if sent else {}
    asking = gateway_of(tokens)
    told = asyncio.run(asking.ask("POST", "/v1/control/halt", headers=headers)).json()
    assert told["code"] == code
    assert says in told["detail"]


def test_no_spelling_of_a_path_leads_past_what_guards_it(
    gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking, told = gateway_of(), []
    foreign = {"origin": "http://evil.example", "content-type": "text/plain"}
    for path in (path for handler in CONTROLLING for path in handler.paths):
        plain = path.replace("{target:str}", "AAA-USDT")
        doubled = plain.replace("/control", "//control")
        for spelled in (f"/{plain}", doubled, f"{plain}/", f"//{plain}//"):
            for headers in ({}, foreign):
                url = f"http://127.0.0.1:3001{spelled}"
                answer = asyncio.run(asking.ask("POST", url, headers=headers))
                told.append((spelled, answer.status_code, answer.json()["code"]))
    assert {row[1:] for row in told} == {(403, "control_off")}, told
    assert standing(listed_bed.settings) == []
    asking.front.paused = True
    for path in ("//v1//directions", "/v1/directions/"):
        answer = asyncio.run(asking.get(f"http://127.0.0.1:3001{path}"))
        assert answer.json()["code"] == "paused", path


def test_no_prices_is_503_however_it_is_asked(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of()
    for path in ("/health", "/health/", "/health?", "/v1/health"):
        answer = asyncio.run(asking.get(path))
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable"), path


def test_a_browser_may_ask_whether_it_may_ask_without_a_token(
    gateway_of: Callable[..., Any],
) -> None:
    asking = gateway_of(Tokens(READ, CONTROL), origins=["https://mine.example"])
    sent = {"origin": "https://mine.example"}
    answer = asyncio.run(asking.ask("OPTIONS", "/v1/status", headers=sent))
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == sent["origin"]
    assert asyncio.run(asking.get("/v1/status", headers=sent)).status_code == 401


def test_a_quote_beyond_all_bounds_costs_nobody_the_others(
    gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking = gateway_of()
    with (
        PriceStore.attach(listed_bed.namespace) as store,
        store.writer(SOURCES[0].source_id) as writer,
    ):
        now_ns = store.clock.now_ns()
        writer.write(0, 1e10, 1e301, 2e10, 1e301, now_ns, now_ns, 1)
        writer.write(1, 99.0, 10.0, 100.0, 10.0, now_ns, now_ns, 1)
        writer.heartbeat(now_ns - store.clock.anchor_ns)
        answer = asyncio.run(asking.get("/prices"))
    assert answer.status_code == 200
    assert {one["pair"] for one in answer.json()} == {"AAA/USDT", "BBB/USDT"}


def test_discovery_is_asked_for_by_a_file(gateway_of: Callable[..., Any], listed_bed: Any) -> None:
    asking, data = gateway_of(Tokens(b"", CONTROL)), listed_bed.settings.data_dir
    path = "/v1/control/discover"
    data.mkdir(parents=True, exist_ok=True)
    assert asyncio.run(asking.ask("POST", path)).status_code == 401
    assert not discovering.taken(listed_bed.settings)
    for _ in range(2):
        answer = asyncio.run(asking.ask("POST", path, headers=bearer(CONTROL)))
        assert answer.status_code == 202
    assert answer.json()["file"] == str(data / discovering.WISH_FILE)
    assert [discovering.taken(listed_bed.settings) for _ in range(2)] == [True, False]
    shutil.rmtree(data)
    refused = asyncio.run(asking.ask("POST", path, headers=bearer(CONTROL)))
    assert (refused.status_code, refused.json()["code"]) == (409, "cannot_wish")


def test_a_parameter_that_a_path_does_not_have_is_named_with_those_it_has(
    gateway_of: Callable[..., Any],
) -> None:
    asking = gateway_of(Tokens(b"", CONTROL))
    paths = {
        "/v1/spreads": "count, direction, symbol, usable",
        "/v1/cycles": "count, open, pool",
        "/v1/opportunities": "before_id, count, open, symbol",
        "/v1/prices": "source",
        "/v1/prices/AAA/USDT": "source",
        "/v1/why/AAA/USDT": "count, direction",
        "/v1/candles/AAA-USDT": "count, period, since, source, until",
    }
    plain = {path for one in READING for path in one.paths if "{" not in path}
    short = {"/health", "/prices", "/scan-arbitrage"}
    for path in (*paths, *plain - short - {"/v1/scan-arbitrage"}):
        answer = asyncio.run(asking.get(f"{path}?symbl=BTC"))
        problem = msgspec.json.decode(answer.content, type=Problem)
        assert (answer.status_code, problem.code) == (400, "bad_request"), path
        assert "no such parameter: symbl; allowed: " in problem.detail, path
        assert problem.detail.endswith(paths.get(path, "")), path
    for path in ("halt", "pause/AAA-USDT"):
        url = f"/v1/control/{path}?symbl=BTC"
        answer = asyncio.run(asking.ask("POST", url, headers=bearer(CONTROL)))
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), path


def test_what_nobody_would_hear_is_refused(gateway_of: Callable[..., Any], listed_bed: Any) -> None:
    """Who sends a body to `halt` means a part of what would be halted."""
    asking = gateway_of(Tokens(b"", CONTROL))
    for method, path in (
        ("POST", "/v1/control/halt"),
        ("POST", "/v1/control/pause/AAA-USDT"),
        ("GET", "/v1/spreads"),
        ("GET", "/v1/prices"),
        ("GET", "/v1/candles/AAA-USDT?source=okx-spot"),
    ):
        for body in (b'{"target": "okx-spot"}', b"okx-spot", b"x" * 70_000):
            answer = asyncio.run(asking.ask(method, path, headers=bearer(CONTROL), content=body))
            large = len(body) > BODY_BYTES_MAX
            assert answer.status_code == (413 if large else 400), (path, answer.text)
            assert ("a body of more than" if large else "no body") in answer.json()["detail"]
    assert standing(listed_bed.settings) == []
    assert asyncio.run(asking.ask("GET", "/prices", content=b"{...}")).status_code == 200
    for body in (b"", b"{}", b"[]", b"null", b" {}\n"):
        answer = asyncio.run(
            asking.ask("POST", "/v1/control/halt", headers=bearer(CONTROL), content=body)
        )
        assert answer.status_code == 200, answer.text


def test_what_is_packed_is_refused_by_its_name(gateway_of: Callable[..., Any]) -> None:
    body, headers = gzip.compress(b"{}"), {"content-encoding": "gzip"}
    asked = gateway_of().ask("POST", "/scan-arbitrage", headers=headers, content=body)
    answer = asyncio.run(asked)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert "gzip" in answer.json()["detail"]


@pytest.mark.parametrize("said", ["2026", "20261129", "1700000000.5", "-1", "2026-11-29", "", "1h"])
def test_what_is_no_time_is_none(
    gateway_of: Callable[..., Any], listed_bed: Any, said: str
) -> None:
    """A number would be seconds: the year 2026 a moment of 1970."""
    for name in ("since", "until"):
        path = f"/v1/candles/AAA-USDT?source=okx-spot&{name}={said}"
        answer = asyncio.run(gateway_of().get(path))
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), answer.text
        assert f"{name}: {said!r} is no time, as " in answer.json()["detail"]


def test_a_path_that_wants_a_name_says_so(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of(Tokens(b"", CONTROL))
    for method, path, what in (
        ("POST", "/v1/control/pause", "target"),
        ("POST", "/v1/control/resume/", "target"),
        ("GET", "/v1/why", "symbol"),
        ("GET", "/v1/candles/", "symbol"),
    ):
        answer = asyncio.run(asking.ask(method, path, headers=bearer(CONTROL)))
        plain = path.rstrip("/")
        assert answer.status_code == 404
        assert f"a {what} behind it is ({plain}/{{{what}}}); " in answer.json()["detail"]


def test_nothing_of_the_framework_s_own_is_answered(gateway_of: Callable[..., Any]) -> None:
    for path in ("", "/", "/openapi.json", "/swagger", "/swagger/x"):
        answer = asyncio.run(gateway_of().get(f"/v1/openapi{path}"))
        assert answer.headers["content-type"] == "application/problem+json", path
        assert (answer.status_code, answer.json()["code"]) == (404, "bad_request")


@pytest.mark.parametrize(
    "path", ["/prices/", "/v1/prices/", "/prices//", "/prices/?source=okx-spot"]
)
def test_a_pair_that_is_nothing_is_not_every_pair(
    gateway_of: Callable[..., Any], listed_bed: Any, path: str
) -> None:
    asking = gateway_of()
    quote_all(listed_bed)
    answer = asyncio.run(asking.get(path))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_pair"), answer.text
    assert "prices/BTC-USDT" in answer.json()["detail"]
    assert asyncio.run(asking.get(path.replace("/?", "?").rstrip("/"))).status_code == 200


def test_short_reads_take_what_bots_append(gateway_of: Callable[..., Any], listed_bed: Any) -> None:
    asking = gateway_of()
    quote_all(listed_bed)
    for path in ("/health", "/prices", "/prices/AAA/USDT", "/prices?source=okx-spot"):
        busted = f"{path}{'&' if '?' in path else '?'}_=1700000000"
        answers = [asyncio.run(asking.get(one)) for one in (path, busted)]
        assert [one.status_code for one in answers] == [200, 200], path
        counts = [str(one.json()).count("AAA/USDT") for one in answers]
        assert (counts[0], counts[0] > 0) == (counts[1], True), path
    # Nobody keeps the answer to a POST, and a threshold that stands in the query would be ignored.
    answer = asyncio.run(asking.ask("POST", "/scan-arbitrage?threshold_pct=1", json={}))
    assert "allowed: none" in answer.json()["detail"]


def test_a_pair_is_taken_as_bots_write_it_wherever_a_symbol_is(
    gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking = gateway_of()
    store(listed_bed.settings.data_dir, id=1, symbol="AAA-USDT")
    quote_all(listed_bed)  # after what waits for the disk: prices grow old meanwhile
    for path in (
        "/prices/{}",
        "/v1/spreads?symbol={}",
        "/v1/funding?symbol={}",
        "/v1/costs?symbol={}",
        "/v1/opportunities?symbol={}",
        "/v1/why/{}",
        "/v1/books/{}?source=okx-spot",
    ):
        told = set()
        for written in ("AAA-USDT", "AAA/USDT", "aaa/usdt", "AAA%2FUSDT", "aaa-usdt"):
            answer = asyncio.run(asking.get(path.format(written)))
            assert answer.status_code == 200, (path, written, answer.text)
            record = answer.json()
            told.add(record["symbol"] if isinstance(record, dict) else len(record))
        assert len(told) == 1, (path, told)
        assert told != {0}, path


@pytest.mark.parametrize(
    ("path", "tables"),
    [("/v1/opportunities", ["opportunities"]), ("/v1/cycles", ["looks", "cycles"])],
)
def test_a_damaged_database_is_no_empty_one(
    path: str, tables: list[str], gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking, data = gateway_of(), listed_bed.settings.data_dir
    assert asyncio.run(asking.get(path)).json() == []
    for table in tables:
        for file in (data / DATABASE_FILE, data / CYCLES_FILE):
            file.unlink(missing_ok=True)
        store(data, id=1, symbol="AAA-USDT")
        store_cycles(data, cycle_row(1))
        damage(data / (CYCLES_FILE if "cycles" in path else DATABASE_FILE), table)
        answer = asyncio.run(asking.get(path))
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unreadable"), table
        assert "malformed" in answer.json()["detail"]
    for file in (data / DATABASE_FILE, data / CYCLES_FILE):
        file.unlink()
        file.mkdir()
    answer = asyncio.run(asking.get(path))
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unreadable")
    assert "I/O" in answer.json()["detail"]


def test_open_opportunities_are_asked_for_by_themselves(
    gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking, data = gateway_of(), listed_bed.settings.data_dir
    for number in range(1, 6):
        store(data, id=number, symbol="AAA-USDT", closed_ns=None if number % 2 else 9)

    def ids(query: str) -> list[int]:
        return [one["id"] for one in asyncio.run(asking.get(f"/v1/opportunities?{query}")).json()]

    assert ids("count=9") == [5, 4, 3, 2, 1]
    assert ids("open=true") == [5, 3, 1]
    assert ids("open=true&before_id=5&count=1") == [3]
    assert ids("open=false&symbol=aaa/usdt&before_id=3") == [2, 1]
