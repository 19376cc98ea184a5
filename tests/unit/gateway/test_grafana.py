"""The dashboard for Grafana is what its code makes, and asks for what the metrics have.

tests/system/test_grafana_sim.py runs its expressions.
"""

import asyncio
import itertools
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spread_scanner.schema.counters import counters_of, histograms_of
from spread_scanner.schema.names import PROCESSES

FOLDER = Path(__file__).parents[3] / "deploy" / "grafana"
MADE = runpy.run_path(str(FOLDER / "dashboard.py"))
DASHBOARD = MADE["dashboard"]()
PANELS: list[Any] = DASHBOARD["panels"]


def test_the_file_is_current() -> None:
    said = "run python deploy/grafana/dashboard.py"
    assert (FOLDER / "spread-scanner.json").read_text() == MADE["text"](), said


def test_grafana_can_draw_it() -> None:
    """It skips a file that is amiss with a line in its log alone."""
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24, panel["title"]
        assert panel["type"] == "row" or all(one["expr"] for one in panel["targets"])
    for one, other in itertools.combinations([panel["gridPos"] for panel in PANELS], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)\}", json.dumps(DASHBOARD)))
    assert used == variables


def test_it_asks_for_what_is_there(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of()
    asking.system.look()
    told = asyncio.run(asking.get("/metrics")).text
    there = set(re.findall(r"^(spread_\w+)", told, re.MULTILINE))
    for process in PROCESSES:  # those that have not run have no samples yet
        for counter in counters_of(process):
            there.add(f"spread_{counter.label}" + ("" if counter.is_level else "_total"))
        there |= {f"spread_{row.label}_seconds_bucket" for row in histograms_of(process)}
    assert set(re.findall(r"\bspread_\w+", json.dumps(PANELS))) - there == set()
