"""The worked example of docs/economics.md, recomputed from its own quotes."""

import itertools
import re
from pathlib import Path

import pytest

from spread_scanner import config
from spread_scanner.cli import legends
from spread_scanner.config.settings import Analyst
from spread_scanner.schema import costs
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.tracker import report_text

PAGE = (Path(__file__).parents[2] / "docs" / "economics.md").read_text()
ROW = re.compile(r"^\| ([^|]+?) \|(?: [^|]+ \|)? (-?[0-9.]+) \|$", re.MULTILINE)
SAID = {name: float(value) for name, value in ROW.findall(PAGE)}


def said(name: str) -> float:
    """The number that the page has for a word."""
    return SAID[name]


def shown(name: str, value: float) -> None:
    """The page has this value, to as many places as it writes."""
    places = len(re.findall(rf"^\| {re.escape(name)} \|.*\.([0-9]+) \|$", PAGE, re.MULTILINE)[0])
    assert said(name) == pytest.approx(round(value, places), abs=1e-12), name


ENTRY = said("spot ask"), said("perpetual bid")
EXIT = said("spot bid then"), said("perpetual ask then")
FEES = said("spot fee bps"), said("perpetual fee bps")
TOPS = said("spot ask size"), said("perpetual bid size")


def in_lots(one: float, other: float, px: float) -> float:
    """The smaller of two sizes in whole lots, in the quote coin."""
    return float(costs.size_quote(costs.size_base(one, other, said("common lot")), px))


def test_what_the_screens_show_follows_from_the_quotes() -> None:
    gross = costs.entry_bps(*ENTRY)
    leaving = costs.exit_bps(said("spot bid"), said("spot ask"), said("perpetual ask"))
    parity = costs.parity_bps(gross, leaving)
    fees = costs.fees_bps(*FEES)
    close = float(
        costs.close_bps(said("usual exit bps"), said("usual parity bps"), parity, trusted=True)
    )
    hold_h = config.Engine().hold_h
    assert hold_h == said("carry") == 0
    shown("gross", gross)
    shown("exit", leaving)
    shown("parity", parity)
    shown("fees", fees)
    shown("close", close)
    shown("net", costs.net_bps(gross, close, fees, 0.0))
    assert said("size") == in_lots(*TOPS, ENTRY[0])


def test_what_was_realised_is_the_sum_of_its_parts() -> None:
    parts = ("entered", "left", "spot fees", "perpetual fees", "funding")
    rate = said("funding rate crossed")
    paid = costs.funding_paid(rate, said("perpetual bid"))
    shown("entered", ENTRY[1] - ENTRY[0])
    shown("left", EXIT[0] - EXIT[1])
    shown("spot fees", -FEES[0] * (ENTRY[0] + EXIT[0]) / 1e4)
    shown("perpetual fees", -FEES[1] * (ENTRY[1] + EXIT[1]) / 1e4)
    shown("funding", -paid)
    realised = costs.realised_bps(*ENTRY, *EXIT, *FEES, paid)
    shown("realised", realised)
    assert sum(map(said, parts)) / ENTRY[0] * 1e4 == pytest.approx(realised, abs=0.02)
    assert realised >= config.Tracker().take_share * said("net"), "it has converged"
    assert said("cap") == config.Tracker().size_cap_quote
    leaving = in_lots(said("spot bid size then"), said("perpetual ask size then"), EXIT[0])
    shown("size at exit", leaving)
    size = min(in_lots(*TOPS, ENTRY[0]), leaving, said("cap"))
    shown("size of a trade", size)
    shown("earned", realised / 1e4 * size)


FIGURES = (*(legends.SPREADS, legends.OPPORTUNITIES, legends.COSTS, legends.SIGNALS), legends.BOOKS)
INDICATORS = (legends.SPREADS_ANALYSED, legends.BASIS, legends.INDICATORS)
BESIDE = "below, of the selected pair"  # where, and no figure
HEADINGS = (
    *(report_text.OUTCOME_HEADINGS, report_text.WORTH_HEADINGS, report_text.PAIR_HEADINGS),
    *(report_text.LIFE_HEADINGS, report_text.STANDING_HEADINGS, report_text.SIZE_HEADINGS),
)


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            name
            for key in itertools.chain(*FIGURES, *INDICATORS)
            if key != BESIDE
            for name in key.split(", ")
        }
        | set(itertools.chain(*HEADINGS))
    ),
)
def test_every_figure_on_a_screen_or_in_the_report_is_on_the_page(name: str) -> None:
    """In bold, or first in a row of a table."""
    rows = re.findall(r"^\| ([^|]+?) \|", PAGE, re.MULTILINE)
    told = {part for row in rows for part in row.split(", ")} | set(
        re.findall(r"\*\*(.+?)\*\*", PAGE)
    )
    assert name in told


def test_the_page_speaks_of_settings_and_counters_that_there_are() -> None:
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", PAGE))
    structs = (
        config.Tracker,
        config.Engine,
        config.Directions,
        config.Thresholds,
        config.Discovery,
        config.Books,
        Analyst,
    )
    known = {name for struct in structs for name in struct.__struct_fields__}
    known |= {counter.label for counter in ENGINE_COUNTERS}
    assert named - known <= {"period_ms"}
