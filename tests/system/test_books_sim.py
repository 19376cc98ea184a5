"""Books of all eight sources, by feeds as processes against the simulator: what was told is shown,
whichever channel it came by and whatever goes wrong on it.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from test_feed_sim import LABELS, Fact, Rig

from bed import until
from spread_scanner.schema.books import BOOK_UNUSABLE, LEVELS_SHOWN, BookFlag
from spread_scanner.schema.channels import DEPTH_CHANNELS
from spread_scanner.schema.enums import SOURCE_BY_LABEL

DEADLINE_S = 60.0
WANTED = 4
WANTED_S = 600.0
SYMBOLS = 12


@pytest.fixture
def rig_of(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    with contextlib.ExitStack() as stack:

        def make() -> Rig:
            rig = Rig(tmp_path, stack, seed=5, symbols=SYMBOLS, rate=400)
            rig.discover()
            return rig

        yield make


def by_updates(rig: Rig, labels: list[str]) -> None:
    """Have these sources' books come by the other channel."""
    exchanges = rig.config / "exchanges.toml"
    text = exchanges.read_text()
    for label in labels:
        chosen = f'depth_channel = "{DEPTH_CHANNELS[label][1]}"'
        text = text.replace(f"[{label}]\n", f"[{label}]\n{chosen}\n")
    exchanges.write_text(text)


def told(rig: Rig) -> dict[tuple[str, str], Fact]:
    rows = httpx.get(rig.control_url + "/books").json()
    return {(row["source"], row["exchange_symbol"]): row for row in rows}


def counted(rig: Rig, label: str, counter: str) -> int:
    """A counter of a feed that may not have begun yet."""
    return rig.counters(label)[counter] if f"feed-{label}" in rig.health.names() else 0


def good(rig: Rig, label: str) -> bool:
    return counted(rig, label, "good_symbols") > 0


def wanted(rig: Rig, label: str) -> list[str]:
    """Ask for some books of a source."""
    source_id, rows = SOURCE_BY_LABEL[label].source_id, rig.listings(label)[:WANTED]
    for row in rows:
        rig.wants.ask(source_id, row.symbol_id, WANTED_S)
    return [row.exchange_symbol for row in rows]


def differences(rig: Rig, label: str) -> list[str]:
    """What is shown otherwise than it was told."""
    source_id, found = SOURCE_BY_LABEL[label].source_id, told(rig)
    wrong = []
    for row in rig.listings(label)[:WANTED]:
        said = found.get((label, row.exchange_symbol))
        book = rig.books.read(source_id, row.symbol_id)
        if said is None or book is None:
            wrong.append(f"{label} {row.exchange_symbol}: told {said is not None}, shown {book}")
            continue
        if book.flags & BOOK_UNUSABLE:
            wrong.append(f"{label} {row.exchange_symbol}: {book.flags!r}")
        for ours, side in ((book.bids, said["bids"]), (book.asks, said["asks"])):
            texts = side[:LEVELS_SHOWN]
            theirs = np.array(
                [(float(px) / row.px_div, float(sz) * row.sz_mul) for px, sz in texts]
            ).reshape(-1, 2)
            if ours.shape != theirs.shape or not np.array_equal(ours, theirs):
                wrong.append(f"{label} {row.exchange_symbol}: {ours[:2]} {theirs[:2]}")
    return wrong


def due(rig: Rig, label: str) -> bool:
    """Does a fault of a source's messages still wait for one? A seed's waits for who asks, a
    checksum's for a source that has some."""
    kinds = rig.sim_state()["book_faults_due"].get(label, {})
    return bool(kinds.keys() - {"old-seed", "checksum"})


def same(rig: Rig, labels: list[str]) -> None:
    """With the market at rest all that is shown is what was told. What is missing shows by what
    comes next: it rests when nothing is missing any more, and no fault that is still due may
    take the last message before the rest."""
    rig.do(do="rate", rate=20)
    try:
        until(
            lambda: not any(due(rig, label) or differences(rig, label) for label in labels),
            timeout_s=DEADLINE_S,
        )
        rig.do(do="rate", rate=0)
        until(lambda: not any(differences(rig, label) for label in labels), timeout_s=DEADLINE_S)
    except AssertionError:
        pytest.fail(
            "\n".join(line for label in labels for line in differences(rig, label))
            + "\n".join(str(rig.counters(label)) for label in labels)
            + "\n".join(rig.log(label)[-2000:] for label in labels)
        )
    rig.do(do="rate", rate=400)


@pytest.mark.parametrize(
    "exchange",
    ["binance", *(pytest.param(one, marks=pytest.mark.slow) for one in ("bybit", "okx", "mexc"))],
)
def test_books_are_what_was_told(rig_of: Callable[..., Rig], exchange: str) -> None:
    """Nothing is dialled for books until somebody wants one; then they follow."""
    labels, rig = [label for label in LABELS if label.startswith(exchange)], rig_of()
    for label in labels:
        rig.feed(label)
    until(lambda: all(good(rig, label) for label in labels), timeout_s=DEADLINE_S)
    assert not told(rig)
    for label in labels:
        wanted(rig, label)
    same(rig, labels)
    for label in labels:
        until(lambda label=label: rig.counters(label)["books"] == WANTED, timeout_s=DEADLINE_S)  # type: ignore[misc]
        assert rig.counters(label)["book_gaps"] == 0


@pytest.mark.slow
def test_channels_of_updates(rig_of: Callable[..., Rig]) -> None:
    """Seeded by REST, where a source has both."""
    labels = [label for label in LABELS if label.startswith(("binance", "mexc"))]
    rig = rig_of()
    by_updates(rig, labels)
    for label in labels:
        rig.feed(label)
        wanted(rig, label)
    same(rig, labels)


@pytest.mark.slow
def test_a_seed_that_is_too_old_is_asked_for_again(rig_of: Callable[..., Rig]) -> None:
    label = "binance-futures"
    rig = rig_of()
    by_updates(rig, [label])
    rig.do(do="book", source=label, kind="old-seed", count=WANTED)
    rig.do(do="book", source=label, kind="unknown-zero", count=WANTED)
    rig.feed(label)
    wanted(rig, label)
    until(lambda: counted(rig, label, "book_seeds_failed"), timeout_s=DEADLINE_S)
    same(rig, [label])
    rig.do(do="book", source=label, kind="gap", count=WANTED)
    until(lambda: counted(rig, label, "book_gaps"), timeout_s=DEADLINE_S)
    same(rig, [label])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gap", "duplicate", "checksum", "crossed", "again"])
def test_faults_of_books(rig_of: Callable[..., Rig], kind: str) -> None:
    labels = ["bybit-spot", "okx-futures"]
    rig = rig_of()
    for label in labels:
        rig.feed(label)
        wanted(rig, label)
    same(rig, labels)
    for label in labels:
        rig.do(do="book", source=label, kind=kind, count=WANTED)
    counter = {
        "gap": "book_gaps", "duplicate": "book_old", "checksum": "book_checksums",
        "crossed": "book_crossed",
    }.get(kind)  # fmt: skip
    for label in labels:
        if counter is not None and (kind != "checksum" or label.startswith("okx")):
            until(lambda label=label: counted(rig, label, counter), timeout_s=DEADLINE_S)  # type: ignore[misc]
    same(rig, labels)


@pytest.mark.slow
def test_who_loses_its_connection_shows_stale_books(rig_of: Callable[..., Rig]) -> None:
    rig = rig_of()
    rig.feed("okx-spot")
    wanted(rig, "okx-spot")
    same(rig, ["okx-spot"])
    source_id, row = SOURCE_BY_LABEL["okx-spot"].source_id, rig.listings("okx-spot")[0]
    rig.do(do="refuse", source="okx-spot", for_s=3)
    rig.do(do="close", source="okx-spot", abort=True)
    until(
        lambda: bool(
            (book := rig.books.read(source_id, row.symbol_id)) and book.flags & BookFlag.STALE
        ),
        timeout_s=DEADLINE_S,
    )
    same(rig, ["okx-spot"])
