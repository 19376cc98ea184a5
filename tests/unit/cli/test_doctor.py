"""What doctor says of an exchange that answers, but not with what is needed; and no secret."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson
import pytest
from pool_rows import POOLS_TOML
from web_answers import OneAnswer, one_answer

from spread_scanner.config.processes import staying
from spread_scanner.schema.enums import ProcessState
from spread_scanner.symbology import publish, tables

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server() -> Iterator[OneAnswer]:
    with one_answer() as made:
        yield made


@pytest.mark.parametrize(
    ("status", "location", "said"),
    [
        (451, "", "451 not served in this region"),
        (403, "", "403 forbidden"),
        (404, "", "404 refused"),
        (302, "https://blocked.example/why", "leads on to https://blocked.example/why"),
        (302, "https://xn--a/", "not allowed"),  # a name that cannot be read
    ],
)
def test_an_answer_that_is_none_fails_and_says_what_helps(
    bed: Any,
    server: OneAnswer,
    spread_ctl: Run,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    location: str,
    said: str,
) -> None:
    server.status, server.location = status, location
    path = bed.settings.folder / "exchanges.toml"
    path.write_text(path.read_text().replace("127.0.0.1:1", f"127.0.0.1:{server.port}"))
    for label in ("BINANCE_FUTURES", "BYBIT_SPOT", "BYBIT_FUTURES", "OKX_SPOT", "OKX_FUTURES"):
        monkeypatch.setenv(f"SPREAD_EXCHANGES__{label}__ENABLED", "false")
    for label in ("MEXC_SPOT", "MEXC_FUTURES"):
        monkeypatch.setenv(f"SPREAD_EXCHANGES__{label}__ENABLED", "false")
    code, out, _ = spread_ctl("doctor", "--json")
    found = {check["name"]: check for check in orjson.loads(out)["checks"]}
    assert code == 1
    rest, websocket = found["binance-spot REST"], found["binance-spot websocket"]
    assert (rest["result"], websocket["result"]) == ("fail", "fail")
    assert said in rest["found"]
    assert str(status) in websocket["found"]
    assert "set the source's proxy, or run elsewhere" in rest["advice"]
    assert "set the source's proxy, or run elsewhere" in websocket["advice"]


@pytest.mark.usefixtures("virtual_clock")  # all have just beaten, however long it takes
def test_who_is_unwell_in_a_system_that_is_up_is_named(up_bed: Any, spread_ctl: Run) -> None:
    def said() -> list[str]:
        checks = orjson.loads(spread_ctl("doctor", "--json", "--offline")[1])["checks"]
        return [one["found"] for one in checks if one["name"] == "processes"]

    with contextlib.ExitStack() as stack:
        health = stack.enter_context(up_bed.health())
        rows = {name: stack.enter_context(health.claim(name)) for name in staying(up_bed.settings)}
        for row in rows.values():
            row.beat(ProcessState.RUNNING)
        assert said() == []
        rows["spread-tracker"].beat(ProcessState.DEGRADED, "its disk is full")
        assert said() == ["unwell: spread-tracker"]


def test_what_discovery_said_of_a_source_is_said_once_and_not_once_it_is_switched_off(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, away = up_bed.settings.generated_dir, "away: HTTP 451"
    made = msgspec.structs.replace(tables.load(folder), generation=2)
    warnings = [f"okx-spot is {away}", "okx-spot: 3 rows are odd", "mexc-spot: 4 rows are odd"]
    publish.publish(folder, made, {}, {"okx-spot": away}, warnings)

    def said() -> list[str]:
        checks = orjson.loads(spread_ctl("doctor", "--json", "--offline")[1])["checks"]
        concerned = [one["found"] for one in checks if "okx-spot" in one["found"]]
        return concerned + [one["found"] for one in checks if "mexc-spot" in one["found"]]

    odd, others = warnings[1:]
    kept_out = f"discovery: okx-spot is {away}; enabled = false leaves it out for good"
    assert sorted(said()) == sorted([odd, others, kept_out])
    monkeypatch.setenv("SPREAD_EXCHANGES__OKX_SPOT__ENABLED", "false")
    assert said() == [others]


def test_a_proxys_password_is_told_to_nobody(bed: Any, spread_ctl: Run) -> None:
    path = bed.settings.folder / "exchanges.toml"
    text = path.read_text()
    path.write_text(
        text.replace("taker_fee_bps", 'proxy = "http://user:s3cret@127.0.0.1:1"\ntaker_fee_bps')
    )
    code, out, err = spread_ctl("doctor")
    assert code == 1
    assert "s3cret" not in out + err
    assert "s3cret" not in spread_ctl("settings", "--json")[1]


def test_each_file_that_settings_name_and_is_none_is_said(
    bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source whose file it is, is not asked: it would be missed without a word."""
    monkeypatch.setenv("SPREAD_EXCHANGES__OKX_SPOT__CA_FILE", "/nowhere/okx.pem")
    monkeypatch.setenv("SPREAD_EXCHANGES__MEXC_SPOT__CA_FILE", "/nowhere/mexc.pem")
    monkeypatch.setenv("SPREAD_ALERTS__TELEGRAM_TOKEN_FILE", "/nowhere/token")
    monkeypatch.setenv("SPREAD_ALERTS__TELEGRAM_CHAT_ID", "1")
    code, out, _ = spread_ctl("doctor", "--json", "--offline")
    said = [one["found"] for one in orjson.loads(out)["checks"] if one["name"] == "settings"]
    assert code == 1
    assert len(said) == 3
    for key in ("okx-spot.ca_file", "mexc-spot.ca_file", "spread-alerts.telegram_token_file"):
        assert any(key in one for one in said)


@pytest.mark.parametrize(
    ("toml", "rows", "said", "advice"),
    [
        ("", 8, None, ""),
        (POOLS_TOML.replace("true", "false"), 8, None, ""),
        ("enabled = true", 8, "no pool or no provider", "enabled = false"),
        (POOLS_TOML, 8, "the tables have 8 rows, raydium none", "num_sources = 12 in [system]"),
        (POOLS_TOML, 12, "the tables have nothing of raydium", "spread-ctl discover"),
    ],
)
def test_pools_that_are_no_sources_are_told_with_what_to_set(
    up_bed: Any, spread_ctl: Run, toml: str, rows: int, said: str | None, advice: str
) -> None:
    (up_bed.settings.folder / "pools.toml").write_text(toml)
    path = up_bed.settings.folder / "config.toml"
    path.write_text(re.sub(r"num_sources = .*\n", "", path.read_text()))
    path.write_text(path.read_text().replace("[system]\n", f"[system]\nnum_sources = {rows}\n"))
    checks = orjson.loads(spread_ctl("doctor", "--json", "--offline")[1])["checks"]
    found = [one for one in checks if one["name"] == "pools"]
    if said is None:
        assert found == []
        return
    [one] = found
    assert said in one["found"]
    assert advice in one["advice"]
    assert one["result"] == "warn"
