"""ccxt follows books of the simulator by its own rules, and holds what was told: so do the feeds
(tests/system/test_books_sim.py), by theirs.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_clients import PYTHON, Client

from spread_scanner.schema.enums import EXCHANGE_SOURCES

ROOT = Path(__file__).parents[2]
LEVELS = 20
LABELS = [
    source.label for source in EXCHANGE_SOURCES
]  # MEXC spot's with a protobuf that ccxt only names
DEADLINE_S = 90.0

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def control_url() -> Iterator[str]:
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: make clients-venv")
    command = [
        sys.executable,
        str(ROOT / "bins" / "exchange-sim"),
        "--seed=1",
        "--symbols=8",
        "--rate=200",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sim:
        assert sim.stdout is not None
        yield str(json.loads(sim.stdout.readline())["control"])
        sim.kill()


def told(control_url: str, label: str, symbol: str) -> list[Any]:
    """The first levels that listeners of that book were told last."""
    rows = httpx.get(f"{control_url}/books").json()
    return [
        {
            side: [[float(px), float(sz)] for px, sz in row[side][:LEVELS]]
            for side in ("bids", "asks")
        }
        for row in rows
        if (row["source"], row["exchange_symbol"]) == (label, symbol)
    ]


@pytest.mark.parametrize("label", LABELS)
def test_ccxt_holds_the_books_that_were_told(control_url: str, tmp_path: Path, label: str) -> None:
    base = control_url.removeprefix("http://").removesuffix("/control")
    bases = {source.label: f"{base}/{source.label}" for source in EXCHANGE_SOURCES}
    client = Client("ccxt_books", label, bases, tmp_path / "errors")
    try:
        symbol = client.read()["symbol"]
        end_s = time.monotonic() + DEADLINE_S
        found: dict[str, Any] = {}
        while time.monotonic() < end_s:
            httpx.post(control_url, json={"do": "rate", "rate": 200})
            time.sleep(0.5)
            httpx.post(control_url, json={"do": "rate", "rate": 0})
            time.sleep(0.5)
            book = {side: levels[:LEVELS] for side, levels in client.last().items()}
            found = {"ccxt": book, "told": told(control_url, label, symbol)}
            if book in found["told"]:
                return
        pytest.fail(json.dumps(found)[:3000] + client._errors.read_text()[-1000:])
    finally:
        client.end()
