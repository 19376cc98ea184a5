"""The heartbeat to somebody outside, against a real server."""

from collections.abc import Iterator

import httpx
import pytest
from alerts_bed import Target

from spread_scanner.alerts.heartbeat import RETRY_S_MAX, Heartbeat
from spread_scanner.clock import VirtualClock
from spread_scanner.config import Alerts


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as made:
        yield made


def beaten(heart: Heartbeat, clock: VirtualClock, seconds: int, *, well: bool = True) -> None:
    """A look each second."""
    for _ in range(seconds):
        if heart.due(well=well):
            heart.beat()
        clock.advance_ms(1_000)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_it_is_given_once_a_period(
    target: Target, client: httpx.Client, virtual_clock: VirtualClock, method: str
) -> None:
    settings = Alerts(
        heartbeat_url=target.url + "/beat",
        heartbeat_s=10,
        heartbeat_method=method,  # type: ignore[arg-type]
    )
    heart = Heartbeat(settings, client)
    beaten(heart, virtual_clock, 30)
    assert target.asked == [(method, "/beat")] * 3
    assert (heart.heartbeats, heart.heartbeat_failures, heart.failing) == (3, 0, False)


def test_what_stands_stops_it_only_if_that_is_wanted(
    target: Target, client: httpx.Client, virtual_clock: VirtualClock
) -> None:
    always = Heartbeat(Alerts(heartbeat_url=target.url), client)
    wary = Heartbeat(Alerts(heartbeat_url=target.url, heartbeat_when="well"), client)
    assert always.due(well=False)
    assert not wary.due(well=False)
    assert wary.due(well=True)
    assert not Heartbeat(Alerts(), client).due(well=True)


@pytest.mark.parametrize(("status", "tries"), [(503, range(6, 10)), (404, range(2, 3))])
def test_what_fails_is_counted_said_and_tried_sooner_but_not_where_it_is_unknown(
    target: Target, client: httpx.Client, virtual_clock: VirtualClock, status: int, tries: range
) -> None:
    heart = Heartbeat(Alerts(heartbeat_url=target.url, heartbeat_s=60), client)
    target.status = status
    beaten(heart, virtual_clock, 120)
    assert len(target.asked) in tries
    assert heart.heartbeat_failures == len(target.asked)
    assert heart.failing
    assert f"HTTP {status}" in heart.last_error
    target.status = 200
    beaten(heart, virtual_clock, 60 + int(RETRY_S_MAX))
    assert not heart.failing
    assert heart.heartbeats >= 1
