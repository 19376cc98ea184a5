"""Stretches of a day in which books are followed, among faults of books and of everything else."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
from depth_day import run_books
from depth_faults import KINDS
from events import Result
from fault import Fault
from mutants import books
from of_orders import USUAL

from spread_scanner.schema.channels import DEPTH_CHANNELS
from spread_scanner.schema.enums import EXCHANGE_SOURCES

pytestmark = pytest.mark.timeout(1_800)  # all of it is CPU: a busy machine takes its time
SEED = os.environ["SPREAD_DAYS_SEED"]
SYMBOLS = 6
LINES = SYMBOLS // USUAL[0]
CHANNELS = [
    (source.label, name) for source in EXCHANGE_SOURCES for name in DEPTH_CHANNELS[source.label]
]


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


class Case(NamedTuple):
    """A short stretch, and perhaps a mutant that makes it break one of these invariants."""

    source: str
    channel: str
    fault: Fault | None
    undo: Callable[[], contextlib.AbstractContextManager[None]] | None = None
    rules: frozenset[int] = frozenset()
    seed: str = "found"
    hours: float = 0.05


FOUND = {
    "a gateway that is behind: the book was good, and older than any quote may be": Case(
        "bybit-spot", "orderbook.50", Fault(60, "behind", 60, 0.0, 0.7),
        books.late_is_usable, frozenset({12}),
    ),
    "a symbol that is acknowledged and not served: its book was a snapshot that stood for ever":
    Case("binance-futures", "depth@100ms", Fault(60, "book refused", 120, 0.3, 0.8)),
    "a stream that stands still: snapshots by REST were asked for again and again": Case(
        "binance-futures", "depth@100ms", Fault(60, "book mute", 0, 0.3, 0.8),
    ),
    "ids that begin anew without a word: until its top differed the book stood as it was": Case(
        "mexc-spot", "aggre.depth@100ms", Fault(60, "book anew", 0, 0.1, 0.5),
        books.older_ids_are_old, frozenset({12}),
    ),
    "a message that is lost": Case(
        "okx-spot", "books", Fault(90, "book lost", 0, 0.3, 0.1),
        books.gaps_are_not_seen, frozenset({12}),
    ),
    "a message that is lost of one of them: the others stand as they did": Case(
        "bybit-spot", "orderbook.50", Fault(165, "book lost", 0, 0.3, 0.1),
        books.a_gap_is_everybodys, frozenset({13}),
    ),
    "a message that has lost a level": Case(
        "okx-spot", "books", Fault(60, "book sum", 40, 0.1, 0.5),
        books.checksums_are_not_compared, frozenset({12}),
    ),
    "one that is wanted again, minutes later: it was silent, and asked for on another line": Case(
        "mexc-futures", "depth", None, books.silence_lasts, frozenset({13}), "1", 0.067,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_a_stretch_has_found_is_well(name: str) -> None:
    """And without the mend it is not."""
    one = FOUND[name]
    faults = {one.source: [] if one.fault is None else [one.fault]}
    run = partial(
        run_books, one.seed, one.source, hours=one.hours, channel=one.channel, faults=faults
    )
    well(run())
    if one.undo is not None:
        with one.undo():
            ill = run()
        assert {found.rule for found in ill.violations} & one.rules, ill.counts
