"""Both tiers under atheris for a fixed number of runs, from the payload files as a corpus."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spread_scanner.schema.enums import EXCHANGE_SOURCES, Source

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("fuzz_tiers.py")
PAYLOADS = ROOT / "tests" / "payloads"
RUNS = 2_000_000 if os.environ.get("SPREAD_STRESS") == "long" else 20_000
SEED = 20261121


def corpus(folder: Path, source: Source) -> Path:
    """The exchange's payload files, as the bytes that come over the socket."""
    folder.mkdir()
    for path in (PAYLOADS / source.exchange.label).iterdir():
        if path.suffix == ".hex":
            (folder / path.name).write_bytes(bytes.fromhex(path.read_text().strip()))
        elif path.stat().st_size < 600:
            shutil.copy(path, folder / path.name)
            (folder / path.name).write_bytes(path.read_bytes().strip())
    return folder


@pytest.mark.stress
@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
def test_fuzzing_finds_no_difference(tmp_path: Path, source: Source) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("no atheris")
    print(f"seed {SEED}, {RUNS} runs")
    command = [sys.executable, str(SCRIPT), source.label, f"-runs={RUNS}", f"-seed={SEED}"]
    command += ["-max_len=1024", f"-artifact_prefix={tmp_path}/", "-verbosity=1"]

    ran = subprocess.run(
        [*command, str(corpus(tmp_path / "corpus", source))],
        capture_output=True,
        text=True,
        timeout=3_000,
        check=False,
        cwd=tmp_path,
    )

    assert ran.returncode == 0, ran.stdout[-2_000:] + ran.stderr[-4_000:]
    done = re.search(r"Done (\d+) runs", ran.stderr)
    assert done is not None, ran.stderr[-4_000:]
    assert int(done[1]) >= RUNS  # a few more where it tries what it has found to be worth it
