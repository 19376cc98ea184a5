"""`spread-ctl cycles`: what spread-paths has found, what became of it, and which pools stay out."""

import contextlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from cycles_bed import FOUND_NS, cycle_row, store_cycles

from spread_scanner.paths.keeping import KeptCycles
from spread_scanner.schema.names import CYCLES_FILE

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stored(up_bed: Any) -> Any:
    """Two cycles, of which the first has ended when the second was found."""
    folder = up_bed.settings.data_dir
    folder.mkdir(exist_ok=True)
    store_cycles(folder, cycle_row(1, route=("D" * 44, "B" * 44), net_sol=0.25))
    with contextlib.closing(KeptCycles(folder / CYCLES_FILE, FOUND_NS)) as kept:
        kept.ended(1, 350_000_007, FOUND_NS, "it pays no more")
        assert kept.flush()
    store_cycles(folder, cycle_row(2, priority_heard=True))
    return folder


def test_people_see_what_it_would_have_paid_and_who_stays_out(
    stored: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    code, out, _ = spread_ctl("cycles")
    assert code == 0
    second, first = (
        line.split() for line in out.splitlines() if line.split()[:1] in (["2"], ["1"])
    )
    assert second[:5] == ["2", "So11", "EPjF", "So11", "0.75"], "coins without a name by their keys"
    assert first[4:7] == ["0.25", "0.5", "refused"], "of the slot after it, and of the next"
    assert f"left out: {'C' * 44} (raydium-v4): it holds 0.001 SOL's worth on one side" in (
        out.replace("\n", " ")
    )


ASKED: list[tuple[list[str], list[int]]] = [
    ([], [2, 1]),
    (["-n", "1"], [2]),
    (["--standing"], [2]),
    (["DDD"], [1]),
    (["BBB"], [2, 1]),
    (["DDD", "--standing"], []),
    (["nowhere"], []),
]


def test_whoever_asks_gets_the_newest_first(stored: Any, spread_ctl: Run) -> None:
    for asked, found in ASKED:
        code, out, _ = spread_ctl("cycles", *asked, "--json")
        assert code == 0
        told = orjson.loads(out)
        assert [one["id"] for one in told] == found, asked
        heard = {one["id"]: one["priority_heard"] for one in told}
        assert heard.items() <= {2: True, 1: False}.items()
