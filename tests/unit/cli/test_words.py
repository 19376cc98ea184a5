"""The words of spread-ctl: halt and allow, down, --version, and a system by its namespace alone."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from database_bed import store

from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import EXIT_NOT_UP, EXIT_SETTINGS, SHM_INIT
from spread_scanner.schema.version import version
from spread_scanner.shm import Control, Health

ROOT = Path(__file__).parents[3]
Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("halt", "allow"), [(["halt"], ["allow"]), (["kill"], ["kill", "--off"])], ids=["now", "former"]
)
def test_signals_are_halted_and_allowed(
    up_bed: Any, spread_ctl: Run, halt: list[str], allow: list[str]
) -> None:
    with Control.attach(up_bed.namespace) as control:
        code, out, _ = spread_ctl(*halt)
        assert (code, control.killed) == (0, True)
        assert "Halted" in out
        code, out, _ = spread_ctl(*allow)
        assert (code, control.killed) == (0, False)
        assert "Allowed" in out


def test_nobody_is_told_of_a_switch_by_another_word() -> None:
    texts = ((path, path.read_text()) for path in (ROOT / "src").rglob("*.py"))
    assert [str(path) for path, text in texts if "kill switch" in text.lower()] == []


def test_on_a_terminal_a_report_says_where_its_page_is(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_bed.settings.data_dir.mkdir(exist_ok=True)
    store(up_bed.settings.data_dir, id=1, symbol="AAA-USDT", direction="okx-mexc")
    page = up_bed.folder / "page.html"
    assert spread_ctl("report", "--html", str(page)) == (0, "", "")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert spread_ctl("report", "--html", str(page)) == (0, f"Wrote {page}.\n", "")


@pytest.mark.parametrize("command", [["down", "--no-wait"], ["shutdown"]])
def test_asking_all_to_end_without_waiting_keeps_the_segments(
    up_bed: Any, spread_ctl: Run, command: list[str]
) -> None:
    with Control.attach(up_bed.namespace) as control, control.claim("spread-engine") as slot:
        slot.ack(slot.generation())
        said = orjson.loads(spread_ctl(*command, "--json")[1])
        assert slot.orders().stop
        assert said["silent"] == ["spread-engine"]
    Control.attach(up_bed.namespace, timeout_s=0).close()


def test_other_words_work_and_are_not_offered(spread_ctl: Run) -> None:
    offered = spread_ctl("--help")[1]
    assert "halt" in offered
    assert "shutdown" not in offered


def test_the_version_is_said_and_shown(up_bed: Any, spread_ctl: Run) -> None:
    assert spread_ctl("--version") == (0, f"spread-scanner {version()}\n", "")
    with up_bed.health() as health, health.claim("spread-engine") as row:
        row.beat(ProcessState.RUNNING)
        document = orjson.loads(spread_ctl("status", "--interval", "0.05", "--json")[1])
        assert document["version"] == version()
        rows = {view["process"]: view for view in document["processes"]}
        assert rows["spread-engine"]["version"] == version()
        assert rows["spread-tracker"]["version"] == ""
        assert "restart to take it" not in spread_ctl("status", "--interval", "0.05")[1]
        row._head["version"] = b"0.0.9+0123456789ab"
        out = spread_ctl("status", "--interval", "0.05")[1]
        assert "0.0.9+0123456789ab runs in spread-engine: restart to take it (version)" in out
        assert "0.0.9+0123456789ab runs in" in spread_ctl("doctor", "--offline")[1]
        checks = orjson.loads(spread_ctl("doctor", "--offline", "--json")[1])["checks"]
        assert version() in [one["found"] for one in checks if one["name"] == "version"]


@pytest.mark.parametrize("command", ["status", "sources", "tables", "settings", "why AAA-USDT"])
def test_the_namespace_alone_leads_to_the_settings(
    up_bed: Any,
    spread_ctl: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in ("SPREAD_CONFIG_DIR", "SPREAD_SYSTEM__NAMESPACE"):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back
        monkeypatch.delenv(name)
    arguments = ["--namespace", up_bed.namespace, *command.split(), "--json"]
    code, out, err = spread_ctl(*arguments)
    assert code in (0, 1)
    assert err == ""
    if command == "settings":
        assert orjson.loads(out)["folder"] == str(up_bed.settings.folder)


def test_the_namespace_comes_before_the_folder_that_the_environment_names(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the spread-ctl of a checkout and of a server name theirs, and the demo has its own."""
    checkout = Path(__file__).parents[3] / "config"
    monkeypatch.setenv("SPREAD_CONFIG_DIR", str(checkout))
    monkeypatch.setenv("SPREAD_SYSTEM__NAMESPACE", "")
    _, out, _ = spread_ctl("--namespace", up_bed.namespace, "settings", "--json")
    assert orjson.loads(out)["folder"] == str(up_bed.settings.folder)
    monkeypatch.setenv("SPREAD_CONFIG_DIR", str(checkout))
    nobody = f"{up_bed.namespace}-nobody"
    _, out, _ = spread_ctl("--namespace", nobody, "settings", "--json")
    assert orjson.loads(out)["folder"] == str(checkout)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        *(
            (["--namespace", "nobody-here", *line.split()], EXIT_NOT_UP)
            for line in (
                "status",
                "sources",
                "connections",
                "watch",
                "signals",
                "why AAA-USDT",
                "book AAA-USDT",
                "analysis AAA-USDT",
                "pools",
                "cycles",
                "opportunities",
                "costs",
                "tables",
                "settings",
                "reload",
                "down",
            )
        ),
        (["status"], EXIT_SETTINGS),  # of which system is not said
        (["--namespace", "no body", "status"], EXIT_SETTINGS),
        (["--namespace", "nobody-here", "--config", "nowhere", "status"], EXIT_SETTINGS),
        (["--namespace", "nobody-here", "halt"], EXIT_SETTINGS),  # nowhere to remember it
        (["--namespace", "nobody-here", "up"], EXIT_SETTINGS),
    ],
    ids=str,
)
def test_nobody_is_up_in_a_namespace_and_there_are_no_settings(
    spread_ctl: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    expected: int,
) -> None:
    (tmp_path / "config").mkdir()  # an empty one; else /etc/spread-scanner may be this machine's
    monkeypatch.chdir(tmp_path)
    for name in ("SPREAD_CONFIG_DIR", "SPREAD_SYSTEM__NAMESPACE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    code, out, err = spread_ctl(*arguments, "--json")
    assert code == expected, err
    assert err.count("\n") == 1
    assert orjson.loads(out)["exit_code"] == expected


def test_a_folder_that_is_gone_is_not_gone_to(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a demo that was killed leaves it: `clean` is then to remove its segments."""
    with Health.attach(up_bed.namespace) as health, health.claim(SHM_INIT) as row:
        row.folder(tmp_path / "gone")
    monkeypatch.setenv("SPREAD_CONFIG_DIR", str(up_bed.settings.folder))
    monkeypatch.setenv("SPREAD_SYSTEM__NAMESPACE", "")
    code, _, err = spread_ctl("--namespace", up_bed.namespace, "clean")
    assert code == 0, err


def test_a_folder_that_is_named_comes_first(
    up_bed: Any, bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPREAD_SYSTEM__NAMESPACE", up_bed.namespace)
    code, _, err = spread_ctl("--namespace", up_bed.namespace, "--config", "/nowhere", "status")
    assert code == 2
    assert "/nowhere" in err


def test_numbers_for_people_have_no_exponents() -> None:
    """`:g` writes 1e+06; figures.plain does not. Names of percentiles and keys of files may."""
    source = Path(__file__).parents[3] / "src" / "spread_scanner"
    keys = {"tracker/pairs.py", "symbology/usual.py", "view/processes.py"}
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r":\.?[0-9]*[ge]}", path.read_text())
    }
    assert {name for name in found if not name.startswith("sim/")} == keys


def test_numbers_for_people_have_no_minus_zero() -> None:
    """Of what is rounded in what people are told, `z` takes the sign where nothing is left."""
    rounded = re.compile(r":[<>^]?[+]?[0-9]*,?\.[0-9{][^}:]*[f%]}")
    rooms = [ROOT / "src" / "spread_scanner" / room for room in ("cli", "alerts", "orders", "view")]
    lines = [
        line.strip()
        for room in rooms
        for path in room.rglob("*.py")
        for line in path.read_text().splitlines()
        if rounded.search(line)
    ]
    assert lines == []
