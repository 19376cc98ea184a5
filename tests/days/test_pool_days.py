"""Pools on the virtual clock, with all faults of their providers and chain; and that a feed which
forgets to doubt is found out.
"""

import os
from collections.abc import Callable

import pytest
from pool_day import Untrue, run_pools, said

from spread_scanner.clock import NS_PER_S
from spread_scanner.pools import feed
from spread_scanner.pools._units import HeldAccounts, PoolUnits
from spread_scanner.pools.chain_times import ChainTimes
from spread_scanner.pools.pace import ProviderPace

pytestmark = pytest.mark.timeout(1_800)
SEED = os.environ["SPREAD_DAYS_SEED"]
WHOLE = "SPREAD_DAYS" in os.environ
SECONDS = 1_800.0 if WHOLE else 60.0


def test_no_pool_is_wrong_at_the_end_and_nothing_stale_is_fresh(namespace: str) -> None:
    day = run_pools(f"{SEED}-pools", namespace, seconds=SECONDS)
    print(f"seed {day.seed}: {said(day)}")
    assert day.side.faults > SECONDS / 4
    assert day.fresh > day.looks, "most of the time most pools are fresh"


def _always(self: ProviderPace, provider: str, now_ns: int) -> int:
    """A provider that is silent, or far behind, covers what it covered."""
    return now_ns + 60 * NS_PER_S


class _Keeping(HeldAccounts):
    """What a connection that has ended had told is stood behind."""

    def lost(self, provider: str) -> None:
        pass


def _keeping() -> PoolUnits:
    return PoolUnits(_Keeping())


def _believes(self: ChainTimes, provider: str, clock_ms: int, own_ms: int, now_ns: int) -> bool:
    """Whoever has told the chain's clock last."""
    self.clock_ms = clock_ms
    return True


@pytest.mark.parametrize(
    ("where", "name", "mutant", "kind"),
    [
        (ProviderPace, "in_time_until_ns", _always, "silent"),
        (feed, "PoolUnits", _keeping, "away"),
        (ChainTimes, "told", _believes, "lag"),
    ],
)
def test_a_feed_that_forgets_to_doubt_is_found_out(
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    mutant: Callable[..., object],
    kind: str,
) -> None:
    monkeypatch.setattr(where, name, mutant)
    with pytest.raises(Untrue):
        run_pools(
            *("mutant", namespace), seconds=90.0, fault_every_s=0.0, kinds=[kind], of_all=True
        )
