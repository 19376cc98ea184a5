"""Stretches of a day in which books are followed, among faults of books and of everything else."""

import os

import pytest
from depth_day import run_books
from depth_faults import KINDS
from events import Result
from fault import Fault
from of_orders import USUAL

from spread_scanner.schema.channels import DEPTH_CHANNELS
from spread_scanner.schema.enums import SOURCES

pytestmark = pytest.mark.timeout(1_800)  # all of it is CPU: a busy machine takes its time
SEED = os.environ["SPREAD_DAYS_SEED"]
SYMBOLS = 6
LINES = SYMBOLS // USUAL[0]
CHANNELS = [(source.label, name) for source in SOURCES for name in DEPTH_CHANNELS[source.label]]


def well(result: Result) -> None:
    print(f"seed {result.seed} of {' '.join(result.sources)}: {result.counts}")
    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])
    assert result.counts["compared"] > 100


@pytest.mark.parametrize(("label", "channel"), CHANNELS)
def test_books_hold_what_was_said_whatever_goes_wrong(label: str, channel: str) -> None:
    well(run_books(SEED, label, hours=0.1, channel=channel))


@pytest.mark.parametrize(
    ("label", "channel"),
    [
        ("binance-spot", "depth20@100ms"),
        ("bybit-futures", "orderbook.50"),
        ("okx-spot", "books"),
        ("mexc-spot", "aggre.depth@100ms"),
    ],
)
def test_quotes_do_not_notice_what_goes_wrong_with_books(label: str, channel: str) -> None:
    result = run_books(SEED, label, hours=0.1, channel=channel, kinds=tuple(KINDS))

    well(result)
    assert result.counts["dials"] - result.counts["book_dials"] == LINES
    assert result.counts["marks"] == SYMBOLS  # as the day ends


FOUND: dict[str, tuple[str, str, Fault]] = {
    "a gateway that is behind: the book was good, and older than any quote may be": (
        "bybit-spot", "orderbook.50", Fault(60, "behind", 60, 0.0, 0.7),
    ),
    "a symbol that is acknowledged and not served: its book was a snapshot that stood for ever": (
        "binance-futures", "depth@100ms", Fault(60, "book refused", 120, 0.3, 0.8),
    ),
    "a stream that stands still: snapshots by REST were asked for again and again": (
        "binance-futures", "depth@100ms", Fault(60, "book mute", 0, 0.3, 0.8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_a_stretch_has_found_is_well(name: str) -> None:
    label, channel, fault = FOUND[name]
    well(run_books("found", label, hours=0.06, channel=channel, faults={label: [fault]}))
