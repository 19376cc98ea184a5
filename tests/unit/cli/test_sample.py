"""README's picture of the screen is of a real run (docs/sample.py), and of the screen of now."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spread_scanner.runtime import logs
from spread_scanner.supervise.observer import Observer
from spread_scanner.supervise.supervisor import Supervisor

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample", ROOT / "docs" / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def shown(sample: ModuleType) -> str:
    return str(sample.picture_of((ROOT / "README.md").read_text()))


def test_the_picture_has_the_heads_of_the_screen(sample: ModuleType, up_bed: Any) -> None:
    supervisor = Supervisor(up_bed.settings, {}, logs.set_up("spread-ctl", "error"))
    observer = Observer(up_bed.settings)
    observer.look()
    sample.Picture(supervisor, "simulated exchanges").draw(observer)
    observer.close()
    now = sample.heads(sample.Picture.drawn)
    # Without an opportunity the table of them has no head yet.
    assert len(now) == 6
    assert sample.heads(shown(sample))[:5] == now[:5], "make it anew: docs/sample.py"


def test_the_picture_fits_its_width_and_shows_a_system_that_is_well(sample: ModuleType) -> None:
    lines = shown(sample).splitlines()
    assert max(map(len, lines)) <= sample.WIDTH + 4
    assert len(lines) >= sample.HEIGHT
    rows = [line.split()[1] for line in lines if line.strip().startswith("│")]
    assert {"feed-binance-spot", "feed-mexc-futures", "spread-engine", "spread-tracker"} <= {*rows}
    assert not any(word in shown(sample) for word in ("degraded", "dead", "failed", "absent"))
