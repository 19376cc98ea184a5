"""What a reload does with each setting there is: one row for each, held against what refuses it.

That a running process goes by the others from then on is tested with the process: of a feed, one
setting after the other, in feed/test_reloading.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from spread_scanner import config
from spread_scanner.cli.reference import CONFIGURATION
from spread_scanner.config import Settings, restart
from spread_scanner.config.pools import (
    FeeSettings,
    MintSettings,
    PoolEntry,
    PoolSettings,
    ProviderSettings,
    StableRate,
)
from spread_scanner.config.settings import (
    Alerts,
    Analyst,
    Books,
    Discovery,
    Engine,
    Feed,
    Gateway,
    Paths,
    Recorder,
    SourceSettings,
    Symbols,
    System,
    ThresholdOverride,
    Thresholds,
    Tracker,
)
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.names import FEED_SOLANA, PROCESSES

SHIPPED = Path(__file__).parents[3] / "config"


class Row(NamedTuple):
    """What a reload does with the keys of a section."""

    everybody: str = ""  # refused by name: a restart of everything
    own: str = ""  # refused by name: a restart of the process whose section it is
    taken: str = ""  # in force when the reload is acknowledged
    next_run: str = ""  # read by the next discovery, whether or not anything is reloaded


THRESHOLDS = "enter_bps exit_bps resignal_step_bps cooldown_ms size_quote_min close_at enabled"
ROWS: dict[type[msgspec.Struct], Row] = {
    System: Row(
        everybody="namespace num_sources max_symbols ring_slots tape_slots generated_dir data_dir "
        "log_level log_format",
        taken="heartbeat_ms heartbeat_ms_max ready_s_max",
    ),
    Discovery: Row(
        taken="discover_every_s look_every_s funding_every_s",  # by `up`
        next_run="quotes validate_s identity_band_pct keep_quiet keep_refused keep_api_closed "
        "lost_pct_max lost_again_s_min rest_timeout_s rest_attempts_max rest_backoff_s_max",
    ),
    Feed: Row(
        own="cpus",
        taken="backoff_s_min backoff_s_max stood_s bad_messages_in_row_max swap_before_s redundant "
        "idle_ms_max pong_ms_max busy_per_s_min unanswered_ms_max silent_ms_min "
        "silent_intervals_max frozen_ms_min lag_ms_max lag_drift_ppm clock_off_ms_max "
        "connect_timeout_s first_quote_s_max first_quote_quiet_s_max answer_s_max ask_again_s_min "
        "ask_again_s_max",
    ),
    Engine: Row(
        everybody="evaluations_kept",
        own="cpus",
        taken="idle spin_us park_ms_max dirty_per_cycle_max stale_ms_max skew_ms_max "
        "implausible_bps implausible_hold_s hold_h funding_credit basis_half_life_s basis_trust_s "
        "credit_usual_basis signal_basis_unknown enter_z_min slice_us",
    ),
    Tracker: Row(
        own="cpus",
        taken="sample_ms late_ms_max sample_exited_ms life_s_max take_share converge_ms "
        "stale_hold_ms resume_gap_s_max open_max commit_ms samples_commit_s pending_max "
        "samples_keep_days keep_days database_mb_max reports_mb_max park_ms_max warm_us "
        "report_every_s size_cap_quote slice_us",
    ),
    Alerts: Row(
        taken="webhook_url telegram_api telegram_token_file telegram_chat_id repeat_s_min "
        "repeat_patient_s_min per_minute_max opportunity_net_bps disk_free_mb_min disk_full_h_min "
        "wal_mb_max clock_step_s_max tables_age_h_max switched_h_max heartbeat_url "
        "heartbeat_method heartbeat_s heartbeat_when"
    ),
    Analyst: Row(
        own="cpus",
        taken="enabled half_lives_s rsi_bars ema_bars bollinger_bars bollinger_deviations",
    ),
    Paths: Row(
        own="cpus",
        taken="enabled hops_max cycles_kept routes_max confirmed_max scan_every_s start_mints "
        "depth_min_sol one_slot net_min_sol landing_half_micro_lamports age_half_ms keep_days "
        "database_mb_max",
    ),
    Recorder: Row(
        own="cpus",
        taken="enabled raw_h history pack ticks_days candles_1s_days candles_1m_days budget_gb "
        "free_gb_min",
    ),
    Gateway: Row(
        own="host port tls_certificate cpus",  # of the certificate: whether there is one
        taken="enabled token_file control_token_file tls_key hosts origins connections_max "
        "rate_per_s rate_burst",
    ),
    Books: Row(everybody="books_max", taken="books_linger_s books_margin_bps sizes_quote watch"),
    SourceSettings: Row(
        taken="rest_url ws_url enabled proxy ca_file channel depth_channel "
        "topics_per_connection_max notices funding_bulk taker_fee_bps fee_tier fee_tiers_bps "
        "symbol_fees_bps"
    ),
    Thresholds: Row(taken=THRESHOLDS),
    ThresholdOverride: Row(taken=THRESHOLDS),
    Symbols: Row(next_run="allow deny alias multiplier identity_band_pct"),
    PoolSettings: Row(own="cpus", taken="enabled commitment reference_quote ladder_quote arrays"),
    ProviderSettings: Row(
        taken="http_url ws_url enabled key_file requests_per_s fee_call subscriptions_max proxies"
    ),
    MintSettings: Row(taken="coin multiplier"),
    PoolEntry: Row(taken="program mints enabled"),
    StableRate: Row(taken="source symbol"),
    FeeSettings: Row(
        taken="percentile half_life_slots congestion_gain micro_lamports_min micro_lamports_max "
        "tip_lamports ask_every_s heard_s_max"
    ),
}


def sections_in(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """A section of settings and all those within it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from sections_in(field.type)
    for inner in getattr(kind, "__args__", ()):
        yield from sections_in(inner)


def test_every_setting_has_one_row() -> None:
    sections = [*sections_in(Settings)]
    of_others = {Settings, config.Config, config.Directions}
    assert {*sections} - of_others == ROWS.keys()
    for section, row in ROWS.items():
        keys = [
            field.name
            for field in msgspec.structs.fields(section)
            if not [*sections_in(field.type)]
        ]
        assert sorted(" ".join(row).split()) == sorted(keys), section.__name__


def another(value: Any) -> Any:
    """One that differs, whatever is allowed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else [value]


def with_another(part: Any, section: type[msgspec.Struct]) -> Any:
    """Settings, or a part of them, with other values of everything in a section."""
    if isinstance(part, dict):
        return {name: with_another(value, section) for name, value in part.items()}
    if not isinstance(part, msgspec.Struct):
        return part
    of_it = " ".join(ROWS[section]).split() if type(part) is section else ()
    values = {
        name: another(getattr(part, name))
        if name in of_it
        else with_another(getattr(part, name), section)
        for name in part.__struct_fields__
    }
    return type(part)(**values)


@pytest.fixture(scope="module")
def shipped() -> Settings:
    return config.load(SHIPPED, environ={})


OWNERS = {
    Feed: [source.process for source in EXCHANGE_SOURCES],
    PoolSettings: [FEED_SOLANA],
}


@pytest.mark.parametrize("section", ROWS, ids=lambda section: section.__name__)
def test_what_a_reload_refuses_is_what_the_row_says(
    shipped: Settings, section: type[msgspec.Struct]
) -> None:
    row, wanted = ROWS[section], with_another(shipped, section)
    owners = OWNERS.get(section, [f"spread-{section.__name__.lower()}"])
    for process in PROCESSES:
        refused = restart.changed(wanted, process, restart.checksums(shipped, process))
        own = row.own.split() if process in owners else []
        keys = [key.rpartition(".")[2] for key in refused]
        assert sorted(keys) == sorted(row.everybody.split() + own), process


def test_what_a_reload_does_not_take_is_what_the_documentation_names() -> None:
    (said,) = (one for one in CONFIGURATION.split("\n\n") if one.startswith("What takes effect"))
    restarts, _, runs = said.partition("Discovery")
    for row in ROWS.values():
        for key in (row.everybody + " " + row.own).split():
            assert re.search(rf"`([a-z-]+\.)?{key}`", restarts), key
    assert "[pair-discovery]" in runs
    assert "[symbols]" in runs
    assert re.findall("`([a-z_]+)`", runs) == ROWS[Discovery].taken.split()
