"""The files of a simulated run: taken away after one that was well, there for whoever looks why one
was not."""

import os
import socket
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from spread_scanner.cli import run
from spread_scanner.supervise import children, simulation, up
from spread_scanner.supervise.log_files import CannotLog
from spread_scanner.supervise.simulation import SimulatedMarket, environment
from spread_scanner.supervise.supervisor import CannotStart

SHIPPED = Path(__file__).parents[3] / "config"
MARKET = SimulatedMarket(seed=1, symbols=4, rate=100.0, plant_every_s=1.0)


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def left(folder: Path) -> list[Path]:
    return list(folder.glob("spread-sim-*"))


def test_a_log_that_an_error_names_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator itself, which does not come so far as to say that it is ready."""
    monkeypatch.setattr(simulation, "READY_TIMEOUT_S", 0.0)
    options = up.UpOptions(True, 1.0, True, MARKET, 250.0, keep=None)
    with pytest.raises(CannotStart) as failed:
        up.up(options)
    log: Any = failed.value.evidence["log"]
    assert Path(log).is_file()
    assert left(tmp_path)[0] in Path(log).parents


@pytest.mark.parametrize(("ok", "named"), [(True, False), (False, True)])
def test_what_a_run_that_was_not_well_has_left_is_named_and_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ok: bool, named: bool
) -> None:
    monkeypatch.setattr(simulation.Simulation, "start", lambda *_: None)
    environ = {"SPREAD_CONFIG_DIR": str(SHIPPED)}
    monkeypatch.setattr(simulation.Simulation, "environ", lambda _: environ)
    monkeypatch.setattr(up.Run, "live", lambda _: {"ok": ok})
    summary = up.up(up.UpOptions(True, 1.0, True, MARKET, 250.0, keep=None))
    folders = [str(folder) for folder in left(tmp_path)]
    assert folders == ([summary["files"]] if named else [])
    assert ("files" in summary) == named


def test_where_no_log_can_be_written_nothing_is_begun(bed: Any, spread_ctl: Any) -> None:
    path = bed.settings.folder / "config.toml"
    path.write_text(f'[system]\ndata_dir = "/proc/x"\nnamespace = "{bed.namespace}"\n')
    code, out, err = spread_ctl("up", "--json")
    assert (code, "Traceback" in err) == (1, False), err
    assert "no log can be written: No such file or directory (file=/proc/x/logs/" in out


def test_what_runs_is_begun_again_without_a_log(tmp_path: Path) -> None:
    """Its folder is gone, or the disk is full."""
    folder = tmp_path / "logs"
    child = children.Child("shm-init", {}, folder / "x.log")
    child.starts = 1
    folder.write_text("no folder any more")
    with child._opened_log() as log:
        assert log.name == os.devnull
    child.starts = 0
    with pytest.raises(CannotLog):
        child._opened_log()


def test_a_demo_takes_the_next_port_that_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port < simulation.free_port("127.0.0.1", port) < port + simulation.PORTS_TRIED
        monkeypatch.setattr(simulation, "PORTS_TRIED", 1)
        with pytest.raises(CannotStart, match=f"no port from {port} to {port} is free"):
            simulation.free_port("127.0.0.1", port)
    monkeypatch.setattr(children.Child, "start", lambda *_, **__: None)
    monkeypatch.setattr(children.Child, "read_line", lambda *_: b'{"control": "http://x"}')
    monkeypatch.setattr(simulation, "PORTS_TRIED", 100)
    for shown in (False, True):
        one = simulation.Simulation(tmp_path, "name", MARKET, gateway=shown)
        one.config_dir.mkdir(exist_ok=True)
        (one.config_dir / "config.toml").write_text("")
        one.start(lambda: False)
        made = tomllib.loads((one.config_dir / "config.toml").read_text())
        assert made.get("spread-gateway", {}).get("enabled", False) is shown


@pytest.mark.parametrize(
    ("command", "said", "shown"),
    [
        (run.up, {"sim": True}, True),
        (run.up, {"sim": True, "as_json": True}, False),
        (run.up, {"sim": True, "as_json": True, "gateway": True}, True),
        (run.up, {"sim": True, "gateway": False}, False),
        (run.demo, {}, True),
        (run.demo, {"as_json": True}, True),
        (run.demo, {"gateway": False}, False),
    ],
)
def test_a_simulated_run_shows_itself_to_browsers(
    monkeypatch: pytest.MonkeyPatch, command: Any, said: dict[str, Any], shown: bool
) -> None:
    asked: list[up.UpOptions] = []

    def live(options: up.UpOptions, *_: object) -> dict[str, bool]:
        asked.append(options)
        return {"ok": True}

    monkeypatch.setattr(up, "up", live)
    for tells in ("_tell", "print_json"):
        monkeypatch.setattr(run, tells, lambda *_: None)
    given = {"context": None, **said} if command is run.up else said
    with pytest.raises(typer.Exit):
        command(**given)
    assert [options.gateway for options in asked] == [shown]


def test_where_the_gateway_answers_is_said(tmp_path: Path) -> None:
    assert up._note(3.0, "http://127.0.0.1:3001").startswith("http://127.0.0.1:3001  ends in 3 s")
    assert up._note(None, "") == "Ctrl-C ends it"


def test_what_leads_to_another_system_is_left_out_of_a_simulated_ones_environment() -> None:
    """Its tables and opportunities would replace, or stand among, those of real exchanges."""
    others = {
        "SPREAD_SYSTEM__NAMESPACE": "live",
        "SPREAD_SYSTEM__DATA_DIR": "/var/lib/spread-scanner",
        "SPREAD_SYSTEM__GENERATED_DIR": "/var/lib/spread-scanner/generated",
        "SPREAD_EXCHANGES__OKX_SPOT__ENABLED": "false",
        "SPREAD_DIRECTIONS__DIRECTION__OKX_BYBIT__ENABLED": "false",
    }
    kept = {"PATH": "/bin", "SPREAD_SPREAD_ENGINE__BASIS_HALF_LIFE_S": "20"}
    assert environment(kept | others) == kept
