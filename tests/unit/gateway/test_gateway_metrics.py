"""The metrics say what the health rows say, in names and units that Prometheus wants."""

import asyncio
import contextlib
import inspect
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spread_scanner.clock import NS_PER_S
from spread_scanner.gateway.api import CONTROLLING, READING
from spread_scanner.gateway.front import WAITING
from spread_scanner.gateway.metrics import BOUNDS_S
from spread_scanner.schema.counters import ENGINE_HISTOGRAMS, counters_of
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ENGINE, GATEWAY, PROCESSES, TRACKER
from spread_scanner.shm import Health
from spread_scanner.shm.health import BUCKETS, HealthRow, bucket_middle_ns, counts_below

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "spread-scanner.rules.yml"
UNITS = re.compile(r"_(ms|us|ns|milliseconds|microseconds|b|kb|mb|h|per_h)(_|$)")


def scraped(asking: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    asking.system.look()
    text = asyncio.run(asking.get("/metrics")).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_and_latencies_are_the_row_s(
    gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking = gateway_of()
    with listed_bed.health() as health, health.claim(ENGINE) as row:
        row.beat(ProcessState.RUNNING)
        row.add(next(one.counter_id for one in counters_of(ENGINE) if one.label == "signals"), 7)
        for took_ns in (900, 40_000, 40_000, 3_000_000_000):
            row.observe(0, took_ns)
        found = scraped(asking)
    engine = ("process", ENGINE)
    assert found["spread_signals_total", (engine,)] == 7
    assert found["spread_process_up", (engine,)] == 1
    label = next(iter(health_label(found)))
    assert found[f"{label}_bucket", tuple(sorted((engine, ("le", "5e-06"))))] == 1
    assert found[f"{label}_bucket", tuple(sorted((engine, ("le", "0.0001"))))] == 3
    assert found[f"{label}_bucket", tuple(sorted((engine, ("le", "1.0"))))] == 3
    assert found[f"{label}_bucket", tuple(sorted((engine, ("le", "+Inf"))))] == 4


def health_label(found: Any) -> set[str]:
    engine = ("process", ENGINE)
    return {
        name.removesuffix("_bucket")
        for (name, labels), value in found.items()
        if name.endswith("_bucket") and engine in labels and value
    }


@contextlib.contextmanager
def every_process(bed: Any) -> Iterator[dict[str, HealthRow]]:
    """Has run: a row of each, but the gateway's own. One that never has tells no counters."""
    with contextlib.ExitStack() as stack:
        health = stack.enter_context(bed.health())
        rows = {
            name: stack.enter_context(health.claim(name)) for name in PROCESSES if name != GATEWAY
        }
        for row in rows.values():
            row.beat(ProcessState.RUNNING)
        yield rows


def test_every_counter_of_the_registry_is_there_in_base_units(
    gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking = gateway_of()
    with every_process(listed_bed) as rows:
        eaten = next(one for one in counters_of(TRACKER) if one.label == "disk_eaten_b_h")
        rows[TRACKER].set(eaten.counter_id, 7_200)
        found = scraped(asking)
    assert found["spread_disk_eaten_bytes_per_second", (("process", TRACKER),)] == 2
    names = {name for name, _ in found}
    assert not [name for name in names if UNITS.search(name)]
    for name, labels in found:
        process = dict(labels).get("process", PROCESSES[0])
        assert process in PROCESSES, (name, labels)
    for process, counter in ((name, one) for name in PROCESSES for one in counters_of(name)):
        label = re.sub(r"_(ms|us|ns|b_h)$", "", counter.label)
        of = [name for name, labels in found if ("process", process) in labels]
        assert [name for name in of if name.startswith(f"spread_{label}")], counter


def test_no_name_is_a_level_and_a_count(gateway_of: Callable[..., Any], listed_bed: Any) -> None:
    asking = gateway_of()
    feed = next(name for name in PROCESSES if name.startswith("feed-"))
    with every_process(listed_bed) as rows:
        halted = next(one.counter_id for one in counters_of(feed) if one.label == "halted")
        rows[feed].set(halted, 1)
        found = scraped(asking)
        text = asyncio.run(asking.get("/metrics")).text
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(set(names)) == len(names)
    assert found["spread_halted", (("process", feed),)] == 1
    assert found["spread_signals_halted", ()] == 0  # a listing's halt is not a halt of all
    assert len({name.removesuffix("_total") for name in names}) == len(names) - 1  # books


@pytest.fixture
def promtool() -> Callable[..., str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: Debian's package prometheus has it")

    def run(*arguments: str | Path, text: bytes = b"") -> str:
        done = subprocess.run(
            ["promtool", *arguments], input=text, capture_output=True, check=False
        )
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 0, said
        return said

    return run


def test_promtool_finds_nothing_amiss(
    promtool: Callable[..., str], gateway_of: Callable[..., Any], listed_bed: Any
) -> None:
    asking = gateway_of()
    with every_process(listed_bed):
        asking.system.look()
        text = asyncio.run(asking.get("/metrics")).content
    assert promtool("check", "metrics", text=text) == ""


def test_each_rule_comes_and_goes(promtool: Callable[..., str]) -> None:
    promtool("test", "rules", Path(__file__).with_name("rules_test.yml"))


def test_rules_ask_for_what_is_there(
    promtool: Callable[..., str], gateway_of: Callable[..., Any]
) -> None:
    promtool("check", "rules", RULES)
    asked = set(re.findall(r"\bspread_\w+", RULES.read_text()))
    there = {name for name, _ in scraped(gateway_of())}
    assert asked - there - {"spread_recv_to_signal_seconds_bucket"} == set()
    assert "recv_to_signal" in {row.label for row in ENGINE_HISTOGRAMS}
    tested = Path(__file__).with_name("rules_test.yml").read_text()
    for alert in re.findall(r"alert: (\w+)", RULES.read_text()):
        assert f"alertname: {alert}" in tested


@pytest.mark.parametrize("index", [0, 15, 16, 100, BUCKETS - 1])
def test_what_is_under_a_bound_is_counted_by_its_bucket(index: int) -> None:
    buckets = np.zeros(BUCKETS, np.uint64)
    buckets[index] = 3
    middle_ns = bucket_middle_ns(index)
    assert counts_below(buckets, [middle_ns, middle_ns * 1.01 + 1e-9]) == [0, 3]


def test_twelve_bounds_rise() -> None:
    assert len(BOUNDS_S) == 12
    assert list(BOUNDS_S) == sorted(BOUNDS_S)


def test_conditions_that_alerts_tell_of_are_told_beside_the_prices(
    gateway_of: Callable[..., Any],
) -> None:
    """The tables of the bed are years old, and have a pair in quarantine, which is meant so."""
    asking = gateway_of()
    degraded = asyncio.run(asking.get("/health")).json()["degraded"]
    assert any(one.startswith("no full discovery for") for one in degraded)
    assert not any("quarantine" in one for one in degraded)
    text = asyncio.run(asking.get("/metrics")).text
    for key, weight in (
        ("old:tables", "can_wait"),
        ("quarantine:CCC-USDT", "meant"),
        ("down:spread-engine", "urgent"),
    ):
        assert f'spread_condition{{key="{key}",weight="{weight}"}} 1.0' in text


def test_what_waits_for_others_is_counted_apart_and_is_what_the_api_awaits(
    gateway_of: Callable[..., Any],
) -> None:
    """Else one report in an hour would be a hundredth of all that is asked, and late."""
    for handler in [*READING, *CONTROLLING]:
        waits = inspect.iscoroutinefunction(handler.fn)
        assert {path.startswith(WAITING) for path in handler.paths} == {waits}, handler.paths

    asking = gateway_of()
    for path in ("/v1/spreads", "/v1/directions", "/nowhere", "/v1/report", "/v1/connections"):
        asyncio.run(asking.get(path))
    found = scraped(asking)
    last = tuple(sorted((("process", GATEWAY), ("le", "+Inf"))))
    assert found["spread_request_to_answer_seconds_bucket", last] == 3
    assert found["spread_wait_to_answer_seconds_bucket", last] == 2


def test_who_says_a_body_slowly_or_reads_slowly_is_not_what_is_late(
    gateway_of: Callable[..., Any], virtual_clock: Any
) -> None:
    asking = gateway_of()
    said = [b'{"threshold_pct"', b": 1}", b""]

    async def receive() -> dict[str, Any]:
        virtual_clock.advance_ms(3_000)
        body = said.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(said)}

    async def send(_: Any) -> None:
        virtual_clock.advance_ms(3_000)

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/scan-arbitrage",
        "raw_path": b"/scan-arbitrage", "query_string": b"", "scheme": "http", "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 3001),
    }  # fmt: skip
    asyncio.run(asking.front(scope, receive, send))
    assert not said
    with Health.attach(asking.system.status.namespace) as health:
        buckets = health.buckets(GATEWAY)["request_to_answer"]
    assert counts_below(buckets, [NS_PER_S]) == [1]
