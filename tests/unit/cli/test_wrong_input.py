"""Whatever is wrong with a command line or the world around it: an exit code, one line, one JSON
document under --json, and never a traceback.

A row is (where, command line, exit code). `down` is a system that is configured and not up, `up`
one with tables and segments and nobody running. Every command of spread-ctl has rows; a new one
fails until it has.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from spread_scanner.cli.main import app
from spread_scanner.schema.names import (
    CYCLES_FILE,
    DATABASE_FILE,
    EXIT_FAILED,
    EXIT_NOT_UP,
    EXIT_SETTINGS,
    SUPERVISOR,
    WAL_FOLDER,
)

Run = Callable[..., tuple[int, str, str]]
Row = tuple[str, str, int]

# What each command needs to be understood at all.
COMMANDS = {
    "up": "up",
    "demo": "demo",
    "down": "down",
    "pause": "pause all",
    "resume": "resume all",
    "halt": "halt",
    "allow": "allow",
    "kill": "kill",
    "shutdown": "shutdown",
    "reload": "reload",
    "discover": "discover",
    "clean": "clean",
    "status": "status",
    "sources": "sources",
    "connections": "connections",
    "watch": "watch",
    "signals": "signals",
    "why": "why AAA-USDT",
    "book": "book AAA-USDT --wait 0",
    "analysis": "analysis AAA-USDT",
    "pools": "pools",
    "cycles": "cycles",
    "opportunities": "opportunities",
    "costs": "costs",
    "tables": "tables",
    "settings": "settings",
    "report": "report",
    "decode": "decode FOLDER/frames --source okx-spot --tables",
    "tx": "tx FOLDER/missing",
    "wallet": "wallet So11111111111111111111111111111111111111112",
    "doctor": "doctor --offline",
    "backup": "backup FOLDER/copy.db",
    "vacuum": "vacuum",
    "wal": "wal verify",
    "replay": "replay",
    "history": "history 'SELECT 1'",
    "export": "export FOLDER/copy.parquet 'SELECT 1'",
}
# `doctor` tells of bad settings as of one check among others, and `demo` has settings of its own.
BAD_SETTINGS = {"doctor": EXIT_FAILED}
OWN_SETTINGS = {"demo"}
NOT_UP = {
    **dict.fromkeys(
        ["status", "sources", "connections", "signals", "shutdown", "reload", "down"], EXIT_NOT_UP
    ),
    **dict.fromkeys(["report", "backup", "vacuum", "tables", "watch", "costs"], EXIT_FAILED),
    "why": EXIT_FAILED,
    "book": EXIT_FAILED,
    "analysis": EXIT_FAILED,
}

GENERAL: list[Row] = [
    *(("down", f"{line} --frobnicate", EXIT_SETTINGS) for line in COMMANDS.values()),
    *(("down", f"{line} more things", EXIT_SETTINGS) for line in COMMANDS.values()),
    *(
        ("bad settings", line, BAD_SETTINGS.get(name, EXIT_SETTINGS))
        for name, line in COMMANDS.items()
        if name not in OWN_SETTINGS
    ),
    *(("down", COMMANDS[name], code) for name, code in NOT_UP.items()),
]
SPECIAL: list[Row] = [
    ("down", "nonsense", EXIT_SETTINGS),
    ("down", "statu", EXIT_SETTINGS),
    ("down", "'[red]'", EXIT_SETTINGS),
    ("down", "--config", EXIT_SETTINGS),
    ("down", "--config /nowhere status", EXIT_SETTINGS),
    ("down", "--config /etc/passwd status", EXIT_SETTINGS),
    ("down", "--config FOLDER/loop status", EXIT_SETTINGS),
    ("down", "--namespace 'a b' status", EXIT_SETTINGS),
    ("down", "--namespace ../x status", EXIT_SETTINGS),
    ("down", "--namespace '' status", EXIT_SETTINGS),
    ("down", "--namespace 2024 status", EXIT_NOT_UP),
    ("down", "--namespace true status", EXIT_NOT_UP),
    ("down", "--namespace 1e5 status", EXIT_NOT_UP),
    ("down", "--namespace nan status", EXIT_NOT_UP),
    ("up", "status --interval 0", EXIT_SETTINGS),
    ("up", "status --interval -1", EXIT_SETTINGS),
    ("up", "status --interval nan", EXIT_SETTINGS),
    ("up", "status --interval inf", EXIT_SETTINGS),
    ("up", "status --interval soon", EXIT_SETTINGS),
    ("up", "connections --interval 61", EXIT_SETTINGS),
    ("up", "connections --interval nan", EXIT_SETTINGS),
    ("up", "connections --source nope", EXIT_SETTINGS),
    ("up", "connections --source '[/red]'", EXIT_SETTINGS),
    ("up", "signals -n -1", EXIT_SETTINGS),
    ("up", "signals -n many", EXIT_SETTINGS),
    ("up", "signals -n 99999999999999999999", EXIT_SETTINGS),
    ("up", "opportunities -n 0", EXIT_SETTINGS),
    ("up", "opportunities --symbol NOPE", EXIT_FAILED),
    ("up", "watch --symbol NOPE", EXIT_FAILED),
    ("up", "cycles -n 0", EXIT_SETTINGS),
    ("up", "cycles -n many", EXIT_SETTINGS),
    ("up", "opportunities -n 99999999999999999999", EXIT_SETTINGS),
    ("up", "why", EXIT_SETTINGS),
    ("up", "why ''", EXIT_SETTINGS),
    ("up", "why AAAUSDT", EXIT_FAILED),
    ("up", "why LONG", EXIT_FAILED),
    ("up", "book AAA-USDT --source=", EXIT_SETTINGS),
    ("up", "connections --source ''", EXIT_SETTINGS),
    ("up", "costs --symbol NOPE", EXIT_FAILED),
    ("up", "costs --symbol '[/red]'", EXIT_FAILED),
    ("up", "costs AAA", EXIT_SETTINGS),
    ("up", "why NOPE-USDT", EXIT_FAILED),
    ("up", "why '[/red]'", EXIT_FAILED),
    ("up", "why AAA-USDT --direction nope", EXIT_SETTINGS),
    ("up", "analysis NOPE-USDT", EXIT_FAILED),
    ("up", "why AAA-USDT --last 0", EXIT_SETTINGS),
    ("up", "pause", EXIT_SETTINGS),
    ("up", "pause nonsense", EXIT_FAILED),
    ("up", "pause '[/red]'", EXIT_FAILED),
    ("up", "pause okx", EXIT_FAILED),
    ("up", "pause ''", EXIT_SETTINGS),
    ("up", "pause AAA-USDT,BBB-USDT", EXIT_FAILED),
    ("up", "halt --off", EXIT_SETTINGS),
    ("up", "resume NOPE-USDT", EXIT_FAILED),
    ("up", "kill --off=yes", EXIT_SETTINGS),
    ("up", "down --no-wait=1", EXIT_SETTINGS),
    ("down", "discover --due", EXIT_SETTINGS),
    ("down", "up --symbols 3", EXIT_SETTINGS),
    ("down", "up --rate 0", EXIT_SETTINGS),
    ("down", "up --rate nan --sim", EXIT_SETTINGS),
    ("down", "up --rate inf --sim", EXIT_SETTINGS),
    ("down", "up --seconds -1", EXIT_SETTINGS),
    ("down", "up --sim --seed -1", EXIT_SETTINGS),
    ("down", "up --sim --keep ''", EXIT_SETTINGS),
    ("down", "up --sim --pools -1", EXIT_SETTINGS),
    ("down", "up --sim --pools 257", EXIT_SETTINGS),
    ("down", "up --pools 5", EXIT_SETTINGS),
    ("down", "up --sim --pool-faults-s -1", EXIT_SETTINGS),
    ("down", "demo --seed -1", EXIT_SETTINGS),
    ("down", "up --seconds nan", EXIT_SETTINGS),
    ("down", "up --plant-every-s nan --sim", EXIT_SETTINGS),
    ("down", "up --tolerance-ms nan --sim", EXIT_SETTINGS),
    ("down", "up --sim --keep FOLDER", EXIT_FAILED),
    ("down", "up --sim --keep FOLDER/frames", EXIT_FAILED),
    ("down", "up --sim --keep /proc/x", EXIT_FAILED),
    ("down", "up --seed 7", EXIT_SETTINGS),
    ("down", "up --gateway", EXIT_SETTINGS),
    ("down", "up --keep FOLDER/new --symbols 12", EXIT_SETTINGS),
    ("down", "report --database FOLDER/empty", EXIT_FAILED),
    ("down", "report --database FOLDER/pipe", EXIT_FAILED),
    ("down", "decode FOLDER/empty --source okx-spot", EXIT_FAILED),
    ("down", "decode /dev/null --source okx-spot", EXIT_FAILED),
    ("no data folder", "halt", EXIT_FAILED),
    ("no data folder", "pause all", EXIT_FAILED),
    ("no data folder", "vacuum", EXIT_FAILED),
    ("settings in a pipe", "status", EXIT_SETTINGS),
    ("settings in a pipe", "doctor", EXIT_FAILED),
    ("down", "demo --seed one", EXIT_SETTINGS),
    ("down", "demo --seconds -0.1", EXIT_SETTINGS),
    ("down", "report --since yesterday", EXIT_SETTINGS),
    ("down", "report --since -5h", EXIT_SETTINGS),
    ("down", "report --since ٣h", EXIT_SETTINGS),
    ("stored", "report --since ''", EXIT_SETTINGS),
    ("stored", "report --html /proc/x/report.html", EXIT_FAILED),
    ("stored", "report --html FOLDER", EXIT_FAILED),
    ("stored", "report --folder /proc/x", EXIT_FAILED),
    ("stored", "report --database /etc/passwd", EXIT_FAILED),
    ("stored", "report --database FOLDER", EXIT_FAILED),
    ("stored", "backup /proc/copy.db", EXIT_FAILED),
    ("stored", "backup FOLDER/frames", EXIT_FAILED),
    ("stored", "backup ''", EXIT_SETTINGS),
    ("stored", "report --folder ''", EXIT_SETTINGS),
    ("stored", "report --html=", EXIT_SETTINGS),
    ("stored", "backup /nowhere/copy.db", EXIT_FAILED),
    ("stored", "backup LONG", EXIT_FAILED),
    ("stored", "backup FOLDER/LONG", EXIT_FAILED),
    ("stored", "report --database LONG", EXIT_FAILED),
    ("stored", "report --html LONG", EXIT_FAILED),
    ("damaged", "opportunities", EXIT_FAILED),
    ("damaged", "report", EXIT_FAILED),
    ("damaged", "backup FOLDER/copy.db", EXIT_FAILED),
    ("damaged", "vacuum", EXIT_FAILED),
    ("no files", "opportunities", EXIT_FAILED),
    ("no files", "cycles", EXIT_FAILED),
    ("no files", "report", EXIT_FAILED),
    ("no files", "backup FOLDER/copy.db", EXIT_FAILED),
    ("no files", "backup FOLDER/copy.db --cycles", EXIT_FAILED),
    ("no files", "vacuum", EXIT_FAILED),
    ("no files", "vacuum --cycles", EXIT_FAILED),
    ("no files", "history 'SELECT * FROM opportunities'", EXIT_FAILED),
    ("no files", "export FOLDER/copy.parquet 'SELECT * FROM opportunities'", EXIT_FAILED),
    ("down", "replay yesterday", EXIT_SETTINGS),
    ("down", "replay 1h 2h", EXIT_SETTINGS),
    ("down", "replay all later", EXIT_SETTINGS),
    ("down", "replay --folder /nowhere", EXIT_FAILED),
    ("down", "replay --speed fast", EXIT_SETTINGS),
    ("down", "replay --speed 0", EXIT_SETTINGS),
    ("down", "replay --speed nan", EXIT_SETTINGS),
    ("down", "replay --speed inf", EXIT_SETTINGS),
    ("down", "replay --namespace 'a b'", EXIT_FAILED),
    ("down", "replay --set x", EXIT_SETTINGS),
    ("down", "replay --set spread-engine.nothing=1", EXIT_SETTINGS),
    ("down", "replay --set spread-engine.skew_ms_max=soon", EXIT_SETTINGS),
    ("down", "replay --set spread-engine.enter_z_min=2", EXIT_SETTINGS),
    ("down", "replay --set spread-engine.hold_h=8", EXIT_SETTINGS),
    ("down", "replay --set spread-analyst.sample_ms=1", EXIT_SETTINGS),
    ("down", "replay --set exchanges.kraken.taker_fee_bps=1", EXIT_SETTINGS),
    ("down", "replay --set exchanges.okx-spot=1", EXIT_SETTINGS),
    ("down", "replay --set directions.defaults.enter_bps=nan", EXIT_SETTINGS),
    ("down", "replay --set directions.defaults.enter_bps.x=1", EXIT_SETTINGS),
    ("down", "replay --set directions.defaults.exit_bps=1000", EXIT_SETTINGS),
    ("down", "history", EXIT_SETTINGS),
    ("down", "history SELEC", EXIT_SETTINGS),
    ("down", "history 'SELECT * FROM nothing'", EXIT_SETTINGS),
    ("down", "history 'DROP VIEW ticks'", EXIT_SETTINGS),
    ("down", "history 'SELECT 1' -n 0", EXIT_SETTINGS),
    ("down", "history 'SELECT 1' --source okx", EXIT_SETTINGS),
    ("down", "history 'SELECT 1' --last 0 --symbol BTC-USDT", EXIT_SETTINGS),
    ("down", "history 'SELECT 1' --last 5", EXIT_SETTINGS),
    ("down", "history 'SELECT 1' --until 2026-01-01", EXIT_SETTINGS),
    ("down", "history 'SELECT 1' --last 5 --symbol BTC-USDT --until soon", EXIT_SETTINGS),
    ("down", """history "SELECT * FROM read_csv('/etc/passwd')\"""", EXIT_FAILED),
    ("down", "export FOLDER/frames 'SELECT 1'", EXIT_FAILED),
    ("down", "export /nowhere/copy 'SELECT 1'", EXIT_FAILED),
    ("down", "export FOLDER/copy 'SELECT 1' --format xls", EXIT_SETTINGS),
    ("down", "wal", EXIT_SETTINGS),
    ("down", "wal mend", EXIT_SETTINGS),
    ("down", "wal verify --folder ''", EXIT_SETTINGS),
    ("down", "--config '' status", EXIT_SETTINGS),
    ("down", "export '' 'SELECT 1'", EXIT_SETTINGS),
    ("down", "wal info", EXIT_FAILED),
    ("down", "wal verify --folder LONG", EXIT_FAILED),
    ("down", "wal verify --folder FOLDER/frames", EXIT_FAILED),
    ("down", "wal verify --to FOLDER", EXIT_SETTINGS),
    ("down", "wal salvage", EXIT_SETTINGS),
    ("down", "wal salvage --to FOLDER", EXIT_FAILED),
    ("log", "wal salvage --to FOLDER", EXIT_SETTINGS),
    ("log", "wal salvage --to /proc/x", EXIT_FAILED),
    ("damaged log", "wal verify", EXIT_FAILED),
    ("down", "wal import", EXIT_SETTINGS),
    ("down", "wal import --to FOLDER/copy", EXIT_SETTINGS),
    ("down", "wal import nowhere --to FOLDER/copy", EXIT_SETTINGS),
    ("down", "wal import FOLDER", EXIT_SETTINGS),
    ("down", "wal import FOLDER --to FOLDER/copy", EXIT_FAILED),
    ("down", "wal import FOLDER/frames --to FOLDER/copy", EXIT_SETTINGS),
    ("down", "wal import kraken=FOLDER/frames --to FOLDER/copy", EXIT_SETTINGS),
    ("down", "wal import okx-spot=FOLDER/frames --to FOLDER", EXIT_SETTINGS),
    ("down", "wal import okx-spot=FOLDER/frames --to FOLDER/copy", EXIT_FAILED),
    ("down", "wal import okx-spot=FOLDER/missing --to FOLDER/copy", EXIT_FAILED),
    ("down", "wal import okx-spot=FOLDER/gz --to FOLDER/copy", EXIT_FAILED),
    ("down", "wal info FOLDER", EXIT_SETTINGS),
    ("down", "pools quote", EXIT_SETTINGS),
    ("down", "pools quote POOL SOL 1", EXIT_SETTINGS),
    ("down", "pools --exact out", EXIT_SETTINGS),
    ("pools", "pools SOL POOL 1", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL 1 2", EXIT_SETTINGS),
    ("pools", "pools quote 9 SOL 1", EXIT_SETTINGS),
    ("pools", "pools quote '[/red]' SOL 1", EXIT_SETTINGS),
    ("pools", "pools quote LONG SOL 1", EXIT_SETTINGS),
    ("pools", "pools quote POOL BTC 1", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL 0", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL 0.000", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL -1", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL 1e5", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL nan", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL 1_000", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL ٣", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL .5", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL 1 --exact both", EXIT_SETTINGS),
    ("pools", "pools quote POOL SOL 1", EXIT_FAILED),
    ("pools without a provider", "pools quote POOL SOL 1", EXIT_SETTINGS),
    ("down", "backup", EXIT_SETTINGS),
    ("down", "decode", EXIT_SETTINGS),
    ("down", "decode FOLDER/frames", EXIT_SETTINGS),
    ("down", "decode FOLDER/frames --source nowhere", EXIT_SETTINGS),
    ("down", "decode FOLDER/missing --source okx-spot", EXIT_FAILED),
    ("down", "decode FOLDER --source okx-spot", EXIT_FAILED),
    ("down", "decode FOLDER/frames --source okx-spot", EXIT_FAILED),
    ("down", "decode FOLDER/zst --source okx-spot", EXIT_FAILED),
    ("down", "decode FOLDER/tar --source okx-spot", EXIT_FAILED),
    ("down", "decode FOLDER/gz --source okx-spot", EXIT_FAILED),
    ("down", "tx", EXIT_SETTINGS),
    ("down", "tx FOLDER/missing", EXIT_FAILED),
    ("down", "tx FOLDER", EXIT_FAILED),
    ("down", "tx FOLDER/frames", EXIT_FAILED),
    ("down", "tx FOLDER/gz", EXIT_FAILED),
    ("down", "wallet", EXIT_SETTINGS),
    ("down", "wallet ''", EXIT_SETTINGS),
    ("down", "wallet mine", EXIT_SETTINGS),
    ("down", "wallet SIGNATURE", EXIT_SETTINGS),
    ("down", "wallet So11111111111111111111111111111111111111112 --dust -1", EXIT_SETTINGS),
    ("down", "wallet So11111111111111111111111111111111111111112 --dust nan", EXIT_SETTINGS),
    ("down", "wallet So11111111111111111111111111111111111111112", EXIT_FAILED),  # no provider
    ("down", "tx SIGNATURE", EXIT_FAILED),  # no provider is set there
    ("down", "decode FOLDER/varint --source mexc-spot", EXIT_FAILED),
]
ROWS = [*GENERAL, *SPECIAL]


@pytest.fixture
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Builds what a row stands in, and gives its command line."""

    def made(where: str, line: str) -> list[str]:
        bed = request.getfixturevalue("up_bed" if where == "up" else "bed")
        folder = tmp_path / "folder [red]"
        folder.mkdir()
        (folder / "frames").write_bytes(b"no frame\n")
        (folder / "zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
        (folder / "tar").write_bytes(b"frames".ljust(257, b"\0") + b"ustar\0" + bytes(300))
        (folder / "gz").write_bytes(b"\x1f\x8b\x08 cut off")
        (folder / "varint").write_bytes(b"\xff" * 20)
        (folder / "loop").symlink_to("loop")
        (folder / "empty").touch()
        os.mkfifo(folder / "pipe")
        if where == "damaged":
            bed.settings.data_dir.mkdir(exist_ok=True)
            (bed.settings.data_dir / DATABASE_FILE).write_bytes(b"no database " * 1_000)
        if where == "no files":  # of which a read is an input/output error
            for name in (DATABASE_FILE, CYCLES_FILE):
                (bed.settings.data_dir / name).mkdir(parents=True)
        if where == "bad settings":
            (bed.settings.folder / "config.toml").write_text("[system]\n'[/red]' = 1\n")
        if where == "no data folder":
            path = bed.settings.folder / "config.toml"
            path.write_text(f'[system]\ndata_dir = "/proc/x"\nnamespace = "{bed.namespace}"\n')
        if where == "settings in a pipe":
            (bed.settings.folder / "directions.toml").unlink(missing_ok=True)
            os.mkfifo(bed.settings.folder / "directions.toml")
        if "pools" in where:
            from pool_rows import POOL, POOLS_TOML

            off = "[providers.a]\nenabled = false"
            toml = POOLS_TOML.replace(
                "[providers.a]", off if "without" in where else "[providers.a]"
            )
            (bed.settings.folder / "pools.toml").write_text(toml)
            line = line.replace("POOL", POOL)
        if "log" in where:
            from log_bed import write_log

            write_log(bed.settings.data_dir / WAL_FOLDER, damaged="damaged" in where)
        if where == "stored":
            from database_bed import store

            bed.settings.data_dir.mkdir(exist_ok=True)
            store(bed.settings.data_dir, id=1, symbol="AAA-USDT", direction="okx-mexc")
        words = {"FOLDER": str(folder), "LONG": "x" * 300, "SIGNATURE": "1" * 64}
        for word, meant in words.items():
            line = line.replace(word, shlex.quote(meant))
        return shlex.split(line)

    return made


def test_every_command_has_its_rows() -> None:
    known = {command.name for command in app.registered_commands}
    assert known == set(COMMANDS)
    assert len(ROWS) >= 80


@pytest.mark.parametrize(("where", "line", "expected"), ROWS, ids=[f"{a}: {b}" for a, b, _ in ROWS])
def test_wrong_input(
    at: Callable[[str, str], list[str]],
    spread_ctl: Run,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    line: str,
    expected: int,
) -> None:
    monkeypatch.setenv("SPREAD_SYSTEM__NAMESPACE", "")  # so that what a row sets is taken back
    monkeypatch.delenv("SPREAD_SYSTEM__NAMESPACE")
    arguments = at(where, line)
    code, out, err = spread_ctl(*arguments)
    assert code == expected, (out, err)
    assert "Traceback" not in out + err
    if "doctor" not in arguments or code == EXIT_SETTINGS:
        assert err.startswith(f"{SUPERVISOR}: ")
        assert err.count("\n") == 1
        assert out == ""
    code, out, _ = spread_ctl(*arguments, "--json")
    assert code == expected
    assert out.count("\n") == 1
    said = orjson.loads(out)
    if "doctor" not in arguments or code == EXIT_SETTINGS:
        assert said["exit_code"] == code
        assert said["error"]


def test_a_full_screen_wants_a_terminal(up_bed: Any, spread_ctl: Run) -> None:
    code, out, err = spread_ctl("watch")
    assert (code, out) == (EXIT_FAILED, "")
    assert "--json" in err
