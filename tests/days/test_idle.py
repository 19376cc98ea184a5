"""A day is the same, event by event, whether the looks that would find nothing are made or not."""

import os

import pytest
from day import run
from faults import schedule

pytestmark = pytest.mark.timeout(1_800)  # all of it is CPU: a busy machine takes its time
SEED = os.environ["SPREAD_DAYS_SEED"]


@pytest.mark.parametrize("source", ["binance-spot", "bybit-futures", "okx-futures"])
def test_what_is_left_out_would_have_found_nothing(source: str) -> None:
    """With faults as close as in a whole day, and without any for a while."""
    faults = {source: [one for one in schedule(f"{SEED} {source}", 0.4) if one.at_s < 900]}

    fast = run(SEED, source, hours=0.4, faults=faults, go_on=True)
    every = run(SEED, source, hours=0.4, faults=faults, go_on=True, leave_out=False)

    assert every.counts["left_out"] == 0
    assert fast.counts["left_out"] > 4_000  # of 14,400
    apart = [pair for pair in zip(fast.events, every.events, strict=False) if pair[0] != pair[1]]
    assert not apart, f"seed {SEED}: {apart[:3]}"
    assert fast.digest == every.digest, f"seed {SEED}"
    assert [*map(str, fast.violations)] == [*map(str, every.violations)]
