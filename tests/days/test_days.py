"""Days in seconds: seeded exchanges on an in-memory wire, the real feed, engine, tracker, alerts.

Seeds are fresh and printed; `make days SEED=... SOURCE=...` lives a day again.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from day import Result, run

from spread_scanner.schema.enums import SOURCES

LABELS = [source.label for source in SOURCES]
HERE = Path(__file__).parent
SEED = os.environ.get("SPREAD_DAYS_SEED") or secrets.token_hex(3)

AGAIN = """
import sys
sys.path.insert(0, sys.argv[1])
from day import run
print(run(sys.argv[2], sys.argv[3], hours=float(sys.argv[4]), go_on=True).digest)
"""


def well(result: Result) -> None:
    print(f"seed {result.seed} of {' '.join(result.sources)}: {result.counts}")
    assert not result.violations, "\n".join(
        [*result.events[-40:], *map(str, result.faults), *map(str, result.violations)]
    )


@pytest.mark.parametrize("label", LABELS)
def test_nothing_is_marked_and_nothing_is_missing_in_a_calm_half_hour(label: str) -> None:
    result = run(SEED, label, hours=0.5, faults={label: []})

    well(result)
    assert result.counts["frames"] > 1_000
    assert result.counts["dials"] == 3
    assert result.counts["checks"] >= 29


@pytest.mark.parametrize("source", ["okx-futures", ""])
def test_the_same_seed_is_the_same_day_to_the_byte(source: str) -> None:
    """Faults and all, in processes that hash their strings differently."""
    hours = 0.5 if source else 0.1
    digests = {
        subprocess.run(
            [sys.executable, "-c", AGAIN, HERE, SEED, source, str(hours)],
            env={**os.environ, "PYTHONHASHSEED": hashed},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for hashed in ("1", "2")
    }

    assert len(digests) == 1, f"seed {SEED}"
    other = run(SEED + "x", source, hours=hours, go_on=True)
    assert other.digest not in digests.pop()
