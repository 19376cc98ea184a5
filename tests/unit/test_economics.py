"""docs/economics.md: its worked example, recomputed from its own quotes; its words; and which tests
hold what it says of each number.
"""

import itertools
import re
from pathlib import Path

import pytest
from promised import all_held

from spread_scanner import config
from spread_scanner.cli import legends
from spread_scanner.config.pools import PoolSettings
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
    return costs.size_quote(float(costs.size_base(one, other, said("common lot"))), px)


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
        PoolSettings,
        Analyst,
    )
    known = {name for struct in structs for name in struct.__struct_fields__}
    known |= {counter.label for counter in ENGINE_COUNTERS}
    assert named - known <= {"period_ms"}


TWINS = "unit/schema/test_costs_twins.py"
ENGINE = "unit/engine/test_engine_signals.py"
USUAL = "unit/engine/test_engine_usual.py"
CREDIT = "unit/engine/test_engine_credit.py"
CARRY = "unit/engine/test_engine_carry.py"
FOLLOW = "unit/engine/test_engine_follow.py"
Z = "unit/engine/test_engine_z.py"
ALONE = "unit/engine/test_engine_alone.py"
BLOCKS = "unit/engine/test_engine_blocks.py"
BOOK = "unit/cli/test_book.py"
SHOW = "unit/cli/test_show.py"
TRACKED = "unit/tracker/test_tracker_book.py"
SETTLING = "unit/tracker/test_tracker_settling.py"
DEPTHS = "unit/tracker/test_tracker_depths.py"
REPORT = "unit/tracker/test_tracker_report.py"
HEARING = "unit/tracker/test_tracker_hearing.py"
HERE = "unit/test_economics.py"
HEADING = re.compile(r"^## (.+)$|\n\n\*\*([^*]+?)\.?\*\*", re.MULTILINE)

HELD: dict[str, tuple[tuple[str, str], ...]] = {
    "The example": (
        (HERE, "test_what_the_screens_show_follows_from_the_quotes"),
        (HERE, "test_what_was_realised_is_the_sum_of_its_parts"),
    ),
    "What the screens show now": (
        (HERE, "test_every_figure_on_a_screen_or_in_the_report_is_on_the_page"),
        ("unit/gateway/test_gateway_one_net.py", "test_whatever_shows_a_pair_has_one_net"),
    ),
    "gross": ((TWINS, "test_prices_give_the_same_spreads"),),
    "close": (
        (TWINS, "test_what_leaving_earns_is_never_more_than_the_usual_widths"),
        (USUAL, "test_before_it_is_learned_there_is_no_signal_and_it_is_said"),
        (USUAL, "test_whoever_wants_signals_before_has_them_marked"),
        (USUAL, "test_a_standing_premium_is_no_signal_and_what_stands_above_it_is"),
        (USUAL, "test_those_who_wait_for_parity_count_on_it"),
        (USUAL, "test_looks_lose_half_their_weight_in_a_half_life"),
        (CREDIT, "test_the_median_counts_in_place_of_parity"),
        (CREDIT, "test_what_is_not_known_is_not_credited"),
        (CREDIT, "test_what_was_credited_stays_over_a_reload_and_what_is_new_waits"),
    ),
    "carries": (
        (BOOK, "test_why_and_watch_say_how_much_a_spread_carries"),
        (BOOK, "test_what_is_less_than_a_least_order_is_not_carried"),
        (BOOK, "test_without_books_it_is_said_that_size_is_of_the_tops"),
    ),
    "What follows on a signal": (
        (FOLLOW, "test_both_books_follow_once_by_the_one_definition"),
        (FOLLOW, "test_a_book_counts_that_can_be_stood_behind_and_is_of_the_signals_time"),
        (FOLLOW, "test_time_an_exit_a_halt_and_new_tables_are_missed_and_counted"),
        (DEPTHS, "test_the_depth_is_what_was_told_first_of_an_opportunity"),
        (DEPTHS, "test_each_look_has_what_both_books_carry_then"),
        (SHOW, "test_what_followed_on_a_signal_is_a_line_of_its_own"),
    ),
    "size": (
        (ENGINE, "test_sizes_are_whole_lots_and_no_less_than_either_leg_takes"),
        (ENGINE, "test_a_top_of_exactly_the_least_gives_its_signal"),
        (ENGINE, "test_a_signal_says_when_a_listing_tells_no_minimum"),
    ),
    "carry": (
        (TWINS, "test_funding_is_charged_and_credited_only_when_asked_for"),
        (ENGINE, "test_funding_of_the_crossed_settlements_counts_if_it_is_paid_or_wanted"),
        (CARRY, "test_a_rate_that_may_not_be_used_costs_the_most_it_can"),
        (CARRY, "test_what_was_told_comes_before_what_the_tables_noted"),
        ("unit/view/test_costs.py", "test_a_board_looks_funding_up_each_minute"),
    ),
    "notes": (
        (SHOW, "test_signals_prints_the_last_ones_by_name"),
        (SHOW, "test_why_says_what_a_signal_would_have_said_besides"),
    ),
    "net": ((TWINS, "test_a_trade_left_as_assumed_at_an_unmoved_price_realises_its_net"),),
    "z": (
        (Z, "test_only_what_stands_far_enough_above_its_mean_is_a_signal"),
        (Z, "test_a_new_signal_of_what_is_in_is_asked_too_and_an_exit_is_not"),
        (Z, "test_what_is_not_known_is_no_signal"),
    ),
    "enter": ((ENGINE, "test_a_spread_enters_signals_again_a_step_higher_and_exits"),),
    "learn": (
        ("unit/view/test_spreads.py", "test_what_the_engine_has_learned_is_on_the_board_at_once"),
        ("unit/view/test_costs.py", "test_costs_are_what_the_board_takes_off"),
    ),
    "age": (
        (ALONE, "test_a_leg_that_is_alone_makes_no_signal_and_says_so"),
        (ALONE, "test_nothing_is_learned_of_a_leg_that_is_alone"),
        (BLOCKS, "test_what_stands_absurd_for_ten_seconds_is_blocked_and_says_so"),
        (BLOCKS, "test_one_absurd_sample_blocks_nobody_however_long_it_stands"),
        (BLOCKS, "test_a_level_that_is_back_in_time_blocks_nobody"),
        (ENGINE, "test_a_leg_that_is_only_quiet_or_only_a_little_behind_gives_its_signal"),
        (USUAL, "test_a_book_that_is_only_wide_and_a_leg_that_is_merely_behind_are_learned"),
        ("unit/analyst/test_analyst.py", "test_what_cannot_be_stood_behind_is_no_sample"),
        (TRACKED, "test_a_look_without_spreads_interrupts_the_hold_whatever_was_seen_before"),
    ),
    "What EXIT means for a bot": (
        (TRACKED, "test_an_exit_signal_is_noted_and_closes_nothing"),
        (TRACKED, "test_after_an_exit_it_is_seen_sparsely_unless_it_comes_back"),
    ),
    "What was realised": (
        (TRACKED, "test_convergence_must_hold_and_its_hold_is_not_part_of_the_life"),
        (TRACKED, "test_of_what_promised_nothing_something_is_to_be_left"),
        (TRACKED, "test_a_wide_book_expires_and_is_marked_at_a_loss"),
        (SETTLING, "test_the_rate_that_counts_is_the_one_seen_last_before_the_settlement"),
        (SETTLING, "test_it_is_charged_on_the_bid_that_was_sold_at"),
        (SETTLING, "test_beyond_an_unknown_rate_nothing_is_realised"),
        ("unit/week/test_week_of_trades.py", "test_hours_of_trades_realise_what_was_promised"),
    ),
    "entry": (
        (TRACKED, "test_a_later_signal_is_a_peak_by_the_close_and_the_carry_of_the_first_one"),
        (REPORT, "test_every_number_agrees_with_a_plain_recomputation"),
    ),
    "half-life": ((REPORT, "test_the_half_life_is_kaplan_and_meiers"),),
    "What it would have been worth": (
        (REPORT, "test_only_of_the_period_it_is_said_how_long_was_tracked"),
    ),
    "size at exit": (
        (
            "unit/tracker/test_tracker_sampler.py",
            "test_a_look_sees_whole_lots_of_its_pair_to_enter_and_to_leave_with",
        ),
    ),
    "Events": (
        (REPORT, "test_one_dislocation_is_one_event_however_many_directions_see_it"),
        (REPORT, "test_what_shares_no_leg_is_one_event_only_by_one_that_shares_with_both"),
        (REPORT, "test_an_event_lasts_to_the_end_of_its_last_opportunity_and_no_longer"),
    ),
    "By size": (
        (DEPTHS, "test_what_a_size_earns_is_the_result_less_what_it_takes_off_the_tops"),
        (BOOK, "test_who_charges_less_comes_first_with_fees"),
    ),
    "Still standing after": (
        (REPORT, "test_what_stands_at_the_threshold_stands"),
        (HEARING, "test_a_probe_says_which_legs_were_renewed"),
        (HEARING, "test_only_channels_that_tell_every_change_are_believed_in_their_silence"),
        (SETTLING, "test_what_was_crossed_after_the_mark_is_not_in_what_later_entries_had_left"),
    ),
    "How far from usual it is": (
        ("unit/stats/test_basis.py", "test_statistics_are_what_their_definitions_say"),
        ("unit/stats/test_bars.py", "test_live_bars_are_talibs_of_the_bars_that_are_left"),
        ("unit/view/test_analysis.py", "test_findings_are_told_by_names_and_the_unknown_is_none"),
    ),
}
NO_PROMISE = {"What the scanner cannot know"}


def test_whatever_the_page_says_of_a_number_has_its_test() -> None:
    found = {heading or bold for heading, bold in HEADING.findall(PAGE)}
    assert found > NO_PROMISE
    all_held(found - NO_PROMISE, HELD)
