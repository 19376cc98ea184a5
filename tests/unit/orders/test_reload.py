"""spread-ctl reload: what shows is refused before anyone is told, a process's word is passed on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from living import living

from bed import until
from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.errors import TableError
from spread_scanner.orders import read_by
from spread_scanner.schema.enums import EXCHANGE_SOURCES, ReloadOutcome
from spread_scanner.shm import Control
from spread_scanner.symbology.known import Known, KnownListing, KnownSource, encoded

Run = Callable[..., tuple[int, str, str]]
ENGINE, TRACKER = "spread-engine", "spread-tracker"


def refuses(_settings: Settings) -> Callable[[], None]:
    raise TableError("no room for [this] table")


def file_of(bed: Any, name: str) -> Path:
    path: Path = bed.folder / "config" / name
    return path


def replace(bed: Any, name: str, old: str, new: str) -> None:
    path = file_of(bed, name)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


DAMAGE = {
    "no TOML": ("config.toml", "[system]", "[system", "not TOML", 2),
    "a channel": ("exchanges.toml", "[okx-spot]", '[okx-spot]\nchannel = "bbo"', "channel", 2),
    "a URL": ("exchanges.toml", "ws://127.0.0.1:1", "ws://[x", "ws_url", 2),
    "an authority": (
        "exchanges.toml",
        "[okx-spot]",
        '[okx-spot]\nca_file = "/nowhere.pem"',
        "okx-spot.ca_file",
        2,
    ),
    "a token": (
        "config.toml",
        "[system]",
        '[spread-alerts]\ntelegram_token_file = "/nowhere"\ntelegram_chat_id = "1"\n[system]',
        "spread-alerts.telegram_token_file",
        2,
    ),
    "a size": ("config.toml", "max_symbols = 64", "max_symbols = 128", "system.max_symbols", 2),
    "a ring": ("config.toml", "ring_slots = 64", "ring_slots = 128", "system.ring_slots", 2),
    "a folder": ("config.toml", "[system]", '[system]\ndata_dir = "other"', "system.data_dir", 2),
    "a CPU": ("config.toml", "[spread-engine]", "[spread-engine]\ncpus = [0]", "engine.cpus", 2),
    "a log": ("config.toml", "[system]", '[system]\nlog_level = "error"', "system.log_level", 2),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_the_settings_show_is_refused_by_name_before_anyone_is_told(
    up_bed: Any, spread_ctl: Run, kind: str
) -> None:
    name, old, new, word, wanted = DAMAGE[kind]
    with living(up_bed, ENGINE), Control.attach(up_bed.namespace) as control:
        with control.operator() as operator:
            before = operator.generation()
        replace(up_bed, name, old, new)
        code, _, err = spread_ctl("reload")
        with control.operator() as operator:
            assert operator.generation() == before
    assert code == wanted
    assert word in err


def test_a_namespace_that_only_the_command_says_is_refused_by_name_before_anyone_is_told(
    up_bed: Any,
) -> None:
    """The file has another one since; those who run would read that, having no such variable."""
    with living(up_bed, ENGINE), Control.attach(up_bed.namespace) as control:
        with control.operator() as operator:
            before = operator.generation()
        replace(up_bed, "config.toml", up_bed.namespace, f"{up_bed.namespace}-2")
        command = [Path(sys.executable).with_name("spread-ctl"), "--namespace", up_bed.namespace]
        ended = subprocess.run(
            [*command, "reload"], capture_output=True, text=True, timeout=60, check=False
        )
        with control.operator() as operator:
            assert operator.generation() == before, ended
    assert ended.returncode == 2
    assert "system.namespace (a restart of everything)" in ended.stderr


def test_what_is_judged_are_the_files_that_the_system_reads_whatever_folder_the_command_has(
    up_bed: Any, tmp_path: Path
) -> None:
    """A checkout's ./config, say, of the same namespace as the services'."""
    shutil.copytree(up_bed.folder / "config", tmp_path / "other")
    with living(up_bed, ENGINE), Control.attach(up_bed.namespace) as control:
        with control.operator() as operator:
            before = operator.generation()
        replace(up_bed, "config.toml", "max_symbols = 64", "max_symbols = 128")
        spread_ctl = Path(sys.executable).with_name("spread-ctl")
        ended = subprocess.run(
            [spread_ctl, "--config", tmp_path / "other", "reload"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        with control.operator() as operator:
            assert operator.generation() == before, ended
    assert ended.returncode == 2
    assert "system.max_symbols (a restart of everything)" in ended.stderr


def test_each_process_is_judged_by_the_variables_that_it_runs_with(
    up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"SPREAD_SYSTEM__NAMESPACE": "theirs", "SPREAD_SPREAD_ENGINE__HOLD_H": "7.5"}
    child = subprocess.Popen(["sleep", "600"], env={**os.environ, **own})
    try:
        until(lambda: b"theirs" in Path(f"/proc/{child.pid}/environ").read_bytes())
        pids = {ENGINE: child.pid, TRACKER: os.getpid(), "spread-gateway": 2**22 + 1}
        monkeypatch.setattr(read_by, "_running", lambda _namespace, _names: (None, pids))
        settings = config.load()
        read = read_by.settings_by(settings, pids)
    finally:
        child.kill()
        child.wait()
    assert read[ENGINE].config.system.namespace == "theirs"
    assert read[ENGINE].config.spread_engine.hold_h == 7.5
    assert read[TRACKER] is settings
    assert read["spread-gateway"] is settings, "who has ended is taken for one of ours"


def test_tables_that_cannot_be_taken_are_refused_before_anyone_is_told(
    up_bed: Any, spread_ctl: Run
) -> None:
    with living(up_bed, ENGINE), Control.attach(up_bed.namespace) as control:
        (up_bed.folder / "generated" / "current").unlink()
        code, _, err = spread_ctl("reload")
        answer = control.answer(ENGINE)
    assert code == 1
    assert "run spread-ctl discover" in err
    assert answer is not None
    assert answer.outcome is ReloadOutcome.STARTED


def test_a_refusal_of_a_process_is_printed_and_the_mixed_state_shown_until_resolved(
    up_bed: Any, spread_ctl: Run
) -> None:
    with living(up_bed, ENGINE), living(up_bed, TRACKER, refuses) as tracker:
        replace(
            up_bed, "config.toml", "evaluations_kept = 64", "evaluations_kept = 64\nhold_h = 1.0"
        )
        code, out, _ = spread_ctl("reload")
        assert code == 1
        assert "spread-tracker refused: no room for [this] table" in out
        assert tracker.settings.config.spread_engine.hold_h == 0.0
        said = orjson.loads(spread_ctl("reload", "--json")[1])
        assert said["ok"] is False
        assert list(said["refused"]) == [TRACKER]

        code, out, _ = spread_ctl("status", "--interval", "0.05")
        assert code == 1
        assert "Amiss: mixed: different settings" in out
        assert "spread-tracker refused: no room" in out

        replace(up_bed, "config.toml", "\nhold_h = 1.0", "")
        spread_ctl("reload")
        out = spread_ctl("status", "--interval", "0.05")[1]
        assert "different settings" not in out
        assert "Amiss: mixed: a reload was refused; spread-tracker refused" in out, "as alerts say"


@pytest.mark.parametrize("error", [OSError("gone"), UnicodeDecodeError("utf-8", b"", 0, 1, "x")])
def test_whatever_a_file_makes_of_the_preparation_the_process_goes_on(
    up_bed: Any, spread_ctl: Run, error: Exception
) -> None:
    def fails(_settings: Settings) -> Callable[[], None]:
        raise error

    with living(up_bed, ENGINE, fails):
        assert spread_ctl("reload")[0] == 1
        code, out, _ = spread_ctl("pause", "all")
        assert code == 0
        assert "answered" in out


def test_a_source_that_is_disabled_now_is_told_too(up_bed: Any, spread_ctl: Run) -> None:
    with living(up_bed, "feed-okx-spot"), Control.attach(up_bed.namespace) as control:
        replace(up_bed, "exchanges.toml", "[okx-spot]", "[okx-spot]\nenabled = false")
        assert spread_ctl("reload")[0] == 0
        answer = control.answer("feed-okx-spot")
        assert answer is not None
        assert answer.outcome is ReloadOutcome.APPLIED


def test_settings_that_were_taken_and_name_nothing_are_told(up_bed: Any, spread_ctl: Run) -> None:
    current = up_bed.folder / "generated" / "current"
    row = KnownListing("BTC", "BTC-USDT", True)
    sources = {source.label: KnownSource({"X": row}) for source in EXCHANGE_SOURCES}
    (current / "known.json").write_text(encoded(Known(sources)))
    text = '[symbol."BTCC-USDT"]\nenabled = false\n[symbol."BTC-USDT"]\nenabled = false\n'
    file_of(up_bed, "directions.toml").write_text(text)
    with living(up_bed, ENGINE):
        code, out, _ = spread_ctl("reload")
        said = orjson.loads(spread_ctl("reload", "--json")[1])
    assert code == 0
    assert 'warning: directions.toml [symbol] "BTCC-USDT" meets no listing' in out
    assert said["warnings"] == ['directions.toml [symbol] "BTCC-USDT" meets no listing']
    checks = orjson.loads(spread_ctl("doctor", "--offline", "--json")[1])["checks"]
    warned = [row for row in checks if row["name"] == "settings" and row["result"] == "warn"]
    assert any("BTCC-USDT" in str(row) for row in warned)


def test_doctor_repeats_what_discovery_warned_about(up_bed: Any, spread_ctl: Run) -> None:
    path = up_bed.folder / "generated" / "current" / "metadata.json"
    metadata = orjson.loads(path.read_bytes())
    room = "no room for 3 symbols (the first: X-USDT): set [system] max_symbols = 256"
    metadata["warnings"] = [room, 'directions.toml [symbol] "GONE-USDT" meets no listing']
    path.write_bytes(orjson.dumps(metadata))
    code, out, _ = spread_ctl("doctor", "--offline", "--json")
    checks = orjson.loads(out)["checks"]
    warned = [row for row in checks if row["name"] == "room"]
    assert code == 0
    assert [row["result"] for row in warned] == ["warn"]
    assert room in str(warned[0])
    assert "GONE-USDT" not in out, "what has been mended since is not repeated"
