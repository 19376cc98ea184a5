"""spread-ctl as a real process, on streams that are closed, full, narrow or not UTF-8."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CTL = Path(sys.executable).parent / "spread-ctl"
# Chinese, as an exchange lists it.
DATA = '{"u":1,"s":"币安人生USDT","b":"1.5","B":"2","a":"1.6","A":"3"}'
FRAME = f'{{"stream":"x@bookTicker","data":{DATA}}}'
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

ROWS = [
    ("settings --json >&-", {}, 0, ""),
    ("settings 2>&- >/dev/full", {}, 1, ""),
    ("settings >/dev/full", {}, 1, "spread-ctl: the output cannot be written"),
    ("nonsense <&- 2>/dev/full", {}, 2, ""),
    ("decode FRAME --source binance-spot", PLAIN, 0, "币安人生USDT"),
    ("decode FRAME --source binance-spot", {"PYTHONIOENCODING": "latin-1"}, 0, "币安人生USDT"),
    ("settings", {"COLUMNS": "0", "LINES": "0"}, 0, "[system]"),
    ("--help", {"COLUMNS": "00"}, 0, "--namespace"),
    ("decode FRAME --source okx-spot", {**PLAIN, "TERM": "dumb"}, 1, "no recording"),
]


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("SPREAD_")}
    return {**own, "SPREAD_CONFIG_DIR": str(ROOT / "config"), "NO_COLOR": "1"}


def test_a_reader_that_has_gone_ends_a_command_as_it_does_any_other() -> None:
    """As `spread-ctl settings | head -1`, where head is always faster."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [CTL, "settings"],
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(("line", "environ", "expected", "said"), ROWS, ids=[r[0] for r in ROWS])
def test_a_command_on_odd_streams(
    tmp_path: Path, line: str, environ: dict[str, str], expected: int, said: str
) -> None:
    frame = tmp_path / "名.jsonl"
    frame.write_text(FRAME, encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", f"{CTL} {line.replace('FRAME', str(frame))}"],
        env={**environment(), **environ},
        capture_output=True,
        timeout=60,
        check=False,
    )
    told = (done.stdout + done.stderr).decode()
    assert done.returncode == expected, told
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    assert said in told
    assert "\x1b" not in told
