"""What docs/operating.md promises has a test: a table from its headings to tests by name.

A heading, or a word in bold that begins a paragraph or a sentence, without a row fails, and so does
a row whose heading or whose test is gone. The table says where a promise is held; whether the test
is a good one is for a reader to judge.
"""

import re
from pathlib import Path

from promised import all_held

from spread_scanner.view.conditions.condition import WHAT_TO_DO

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "operating.md"
HEADING = re.compile(r"^#{2,3} (.+)$|(?:^|[.:] )\*\*([^*]+?)\.?\*\*", re.MULTILINE)

RAISED = re.compile(r"Condition\(\s*f?\"([a-z]+)")

# Headings that only hold others together.
NO_PROMISE = {"Every bad state, and what to do"}

LIVE = "system/test_systemd_live.py"
UPGRADE = (
    "system/test_systemd_upgrade.py",
    "test_what_was_halted_and_found_outlives_upgrade_crash_reboot_and_the_way_back",
)
DEPLOY = "system/test_deploy.py"
DOCS = "system/test_docs.py"
CONDITIONS = "unit/alerts/test_conditions.py"

HELD: dict[str, tuple[tuple[str, str], ...]] = {
    "Install": (
        (DEPLOY, "test_a_first_run_lays_out_everything"),
        (DEPLOY, "test_a_dry_run_changes_nothing"),
        (DEPLOY, "test_settings_are_never_overwritten_but_our_files_are_renewed"),
        (DEPLOY, "test_a_python_below_a_home_folder_is_refused"),
        (DEPLOY, "test_a_wheel_that_root_makes_is_the_owners"),
        (DEPLOY, "test_a_wheel_brings_the_versions_of_what_it_needs"),
        (LIVE, "test_installing_again_changes_nothing"),
        (LIVE, "test_the_target_brings_up_all_twelve"),
        (LIVE, "test_stopped_and_removed_it_leaves_nothing"),
    ),
    "At a glance": (
        (DOCS, "test_a_block_runs"),
        ("unit/cli/test_show.py", "test_status_names_the_unwell_and_exits_with_1"),
        (
            "unit/cli/test_show.py",
            "test_status_exits_with_0_when_well_3_when_switched_and_1_whatever_else_is",
        ),
        ("unit/cli/test_show.py", "test_what_stands_is_the_same_to_status_doctor_and_alerts"),
        ("unit/cli/test_show.py", "test_a_system_that_is_not_up_is_one_line_and_exit_code_4"),
        ("unit/cli/test_schema.py", "test_a_command_prints_its_record_and_nothing_else"),
        (LIVE, "test_every_process_logs_one_json_object_a_line"),
    ),
    "Steer": (
        (DOCS, "test_a_block_runs"),
        ("unit/orders/test_orders.py", "test_the_commands_say_what_they_did"),
        (
            "unit/orders/test_reload.py",
            "test_what_the_settings_show_is_refused_by_name_before_anyone_is_told",
        ),
        (
            "unit/orders/test_reload.py",
            "test_a_refusal_of_a_process_is_printed_and_the_mixed_state_shown_until_resolved",
        ),
        (
            "unit/orders/test_switches.py",
            "test_resume_all_says_what_stays_switched_and_by_whom",
        ),
    ),
    "What is switched outlives everything": (
        ("unit/shminit/test_making.py", "test_what_was_switched_outlives_the_segments"),
        ("unit/shminit/test_making.py", "test_a_damaged_file_starts_halted_and_says_so"),
        (
            "unit/shminit/test_making.py",
            "test_a_shm_init_killed_anywhere_lets_nobody_start_what_was_stopped",
        ),
        (
            "unit/shminit/test_older_segments.py",
            "test_an_upgrade_that_cleans_first_stays_halted",
        ),
        (
            "unit/orders/test_switches.py",
            "test_every_switch_is_in_the_file_when_its_command_answers",
        ),
        ("unit/orders/test_switches.py", "test_what_cannot_be_remembered_is_in_force_and_fails"),
        (
            "unit/supervise/test_supervisor_end.py",
            "test_what_a_full_disk_kept_from_being_remembered_is_remembered_at_the_end",
        ),
        (
            "unit/orders/test_switches.py",
            "test_what_runs_by_another_layout_is_not_reached_but_the_next_start_is",
        ),
        UPGRADE,
    ),
    "Tune": ((DOCS, "test_a_generated_page_is_current"),),
    "CPUs": (
        (DEPLOY, "test_pinning_gives_the_engine_a_cpu_of_its_own"),
        (DEPLOY, "test_pinning_that_cannot_be_is_refused_before_anything_is_changed"),
        (DEPLOY, "test_pinning_to_cpus_that_are_not_there_is_refused"),
        (
            "unit/runtime/test_scheduling.py",
            "test_a_thread_kept_off_leaves_the_pinned_one_where_it_is",
        ),
    ),
    "What the engine does when nothing changes": (
        (
            "unit/engine/test_engine_process.py",
            "test_the_process_signals_whichever_way_it_idles_and_ends_on_sigterm",
        ),
    ),
    "Kernel": (
        (DEPLOY, "test_a_first_run_lays_out_everything"),
        (
            "unit/cli/test_show.py",
            "test_doctor_offline_passes_on_this_machine_and_fails_on_bad_settings",
        ),
    ),
    "Room": (
        (
            "unit/shm/test_shm_segment.py",
            "test_no_space_for_either_part_of_the_store_leaves_neither",
        ),
    ),
    "Upgrade, go back, remove": (
        UPGRADE,
        (DEPLOY, "test_units_that_a_version_no_longer_has_are_removed"),
        (DEPLOY, "test_uninstalling_keeps_settings_and_data_unless_told"),
        (
            "unit/tracker/test_tracker_retention.py",
            "test_an_older_version_refuses_a_newer_database",
        ),
        (
            "unit/tracker/test_tracker_retention.py",
            "test_an_old_file_is_copied_migrated_and_gone_on_with",
        ),
    ),
    "Announcements": (
        (
            "system/test_notices_sim.py",
            "test_a_halt_that_is_announced_holds_whatever_is_quoted_until_it_is_lifted",
        ),
        ("system/test_notices_sim.py", "test_maintenance_shows_until_it_is_over"),
        ("unit/discovery/test_quick.py", "test_a_look_never_shrinks_the_tables_and_judges_nobody"),
    ),
    "Discovery": (
        (DEPLOY, "test_the_cron_file_is_one_that_cron_reads"),
        (DEPLOY, "test_cron_does_nothing_while_the_target_is_stopped_as_the_timers_do"),
        (DEPLOY, "test_a_timer_makes_up_for_nothing_that_cron_would_miss"),
        (DEPLOY, "test_a_run_that_reaches_nobody_keeps_the_old_tables"),
        (DEPLOY, "test_a_second_run_is_refused_while_the_first_goes_on"),
        (DEPLOY, "test_a_quick_look_gives_way_to_a_run_and_is_silent"),
        ("system/test_discovery_sim.py", "test_every_instrument_is_in_the_tables_or_explained"),
        ("system/test_discovery_sim.py", "test_bad_settings_and_bad_usage_are_exit_2"),
        (
            "unit/supervise/test_supervisor_reload.py",
            "test_a_quick_look_is_taken_every_so_often_one_at_a_time",
        ),
        (LIVE, "test_a_quick_look_adds_nothing_where_nothing_is_new"),
        (LIVE, "test_the_discovery_service_publishes_and_everyone_takes_the_tables"),
    ),
    "A list that has lost much": (
        ("unit/discovery/test_doubts.py", "test_a_source_that_loses_much_at_once_counts_as_away"),
        ("unit/discovery/test_doubts.py", "test_two_runs_an_hour_apart_that_agree_are_believed"),
        ("unit/discovery/test_doubts.py", "test_a_person_can_accept_what_is_seen_now"),
        ("unit/discovery/test_quick.py", "test_exit_codes_of_a_list_that_is_not_believed"),
    ),
    "No room": (
        ("system/test_discovery_sim.py", "test_more_symbols_than_places"),
        ("unit/alerts/test_found.py", "test_symbols_without_room_are_told_while_there_is_none"),
    ),
    "Settings that name nothing": (
        (
            "unit/orders/test_reload.py",
            "test_settings_that_were_taken_and_name_nothing_are_told",
        ),
        ("unit/orders/test_reload.py", "test_doctor_repeats_what_discovery_warned_about"),
    ),
    "Quarantine": (
        (
            "unit/discovery/test_identity.py",
            "test_prices_outside_the_band_are_quarantined_with_both_prices",
        ),
        (
            "unit/discovery/test_identity.py",
            "test_a_ratio_near_a_power_of_ten_proposes_the_missing_multiplier",
        ),
        ("unit/discovery/test_identity.py", "test_a_symbol_may_have_a_band_of_its_own"),
    ),
    "Alerts": (
        (CONDITIONS, "test_what_never_came_up_is_down_and_what_is_still_coming_is_not"),
        (CONDITIONS, "test_who_has_gone_is_down_unless_it_was_asked_to"),
        (CONDITIONS, "test_who_hangs_or_is_degraded_is_named"),
        (
            CONDITIONS,
            "test_what_an_exchange_has_announced_and_what_a_feed_has_to_say_is_told",
        ),
        (CONDITIONS, "test_a_source_is_told_of_when_more_than_half_of_it_cannot_be_used"),
        (CONDITIONS, "test_a_pair_that_stays_implausible_is_told_and_one_absurd_price_is_not"),
        (CONDITIONS, "test_a_pair_that_the_engine_has_blocked_is_told_until_it_is_judged"),
        (CONDITIONS, "test_a_pair_in_quarantine_is_told_while_it_is"),
        (CONDITIONS, "test_a_discovery_that_failed_is_told_until_one_is_well"),
        (CONDITIONS, "test_tables_that_nobody_has_judged_for_a_day_are_old_whatever_was_added"),
        (
            CONDITIONS,
            "test_an_exchange_that_discovery_did_not_reach_is_told_and_one_that_is_disabled_not",
        ),
        (CONDITIONS, "test_a_reload_that_was_refused_is_told_mixed_or_not"),
        (CONDITIONS, "test_a_process_of_another_version_is_named"),
        (CONDITIONS, "test_a_halt_or_pause_that_stands_longer_than_a_day_is_told"),
        (CONDITIONS, "test_a_wall_clock_that_was_set_is_told"),
        (CONDITIONS, "test_a_disk_with_too_little_room_is_told"),
        (CONDITIONS, "test_a_disk_that_fills_is_told_before_it_is_full"),
        (
            "unit/tracker/test_tracker_filling.py",
            "test_what_grows_for_an_hour_is_a_trend_and_one_large_file_is_none",
        ),
        (CONDITIONS, "test_nothing_learned_when_it_should_be_is_told_as_nothing_is_signalled"),
        (CONDITIONS, "test_a_reader_that_does_not_end_is_told_by_what_it_keeps"),
        ("unit/alerts/test_ledger.py", "test_what_stands_is_told_once_reminded_of_and_ended"),
        ("unit/alerts/test_ledger.py", "test_what_comes_and_goes_is_one_message_with_a_count"),
        ("unit/alerts/test_ledger.py", "test_opportunities_never_hide_that_something_is_down"),
        (
            "unit/alerts/test_ledger.py",
            "test_what_is_refused_for_good_is_dropped_named_and_blocks_nobody",
        ),
        (
            "unit/alerts/test_refusing.py",
            "test_what_is_taken_is_told_within_a_minute_whatever_else_is_refused",
        ),
        ("unit/alerts/test_refusing.py", "test_no_minute_has_more_messages_than_it_may"),
        (
            "unit/alerts/test_alerts.py",
            "test_a_heartbeat_follows_where_it_is_sent_and_a_message_does_not",
        ),
        ("unit/alerts/test_ledger.py", "test_a_restart_tells_nothing_twice_and_forgets_no_end"),
        (LIVE, "test_alerts_get_their_token_as_a_credential"),
    ),
    "Who tells that nobody tells": (
        ("system/test_systemd.py", "test_every_process_that_fails_for_good_is_told_of"),
        ("unit/alerts/test_failed.py", "test_a_failed_unit_is_told_once_in_five_minutes"),
        ("unit/alerts/test_failed.py", "test_what_spread_alerts_tells_is_not_told_twice"),
        ("unit/alerts/test_failed.py", "test_a_target_that_hangs_is_not_waited_for"),
        (LIVE, "test_a_unit_that_fails_for_good_and_the_end_of_alerts_are_told"),
    ),
    "Who tells that the machine is gone": (
        ("unit/alerts/test_heartbeat.py", "test_it_is_given_once_a_period"),
        ("unit/alerts/test_heartbeat.py", "test_what_stands_stops_it_only_if_that_is_wanted"),
        (
            "unit/alerts/test_heartbeat.py",
            "test_what_fails_is_counted_said_and_tried_sooner_but_not_where_it_is_unknown",
        ),
    ),
    "States of a process": (
        (DOCS, "test_every_fault_and_state_has_its_line_in_the_operating_guide"),
        (LIVE, "test_a_killed_feed_is_started_again"),
        (LIVE, "test_a_feed_that_hangs_is_started_again_by_the_watchdog"),
        (LIVE, "test_a_process_that_starts_paused_has_started"),
    ),
    "Exit codes of the processes": (
        (LIVE, "test_processes_without_their_segments_come_back_with_new_ones"),
        (LIVE, "test_a_unit_that_fails_for_good_and_the_end_of_alerts_are_told"),
        ("unit/cli/test_show.py", "test_every_command_has_help_that_names_the_exit_codes"),
    ),
    "Degraded": (
        ("unit/cli/test_show.py", "test_status_exits_with_1_while_a_process_is_degraded"),
        (
            "system/test_tracker_process.py",
            "test_a_full_disk_is_survived_and_caught_up_with_even_when_killed_meanwhile",
        ),
        (
            "system/test_tracker_process.py",
            "test_beyond_pending_max_the_oldest_rows_go_and_are_counted",
        ),
    ),
    "Bans": (
        (
            "unit/runtime/test_gate.py",
            "test_a_ban_told_to_one_process_keeps_another_from_dialling",
        ),
        (
            "unit/runtime/test_gate.py",
            "test_a_ban_that_is_repeated_doubles_up_to_ten_minutes_and_begins_anew_after_a_rest",
        ),
        ("unit/runtime/test_gate.py", "test_after_a_ban_they_go_one_by_one"),
        ("unit/cli/test_show.py", "test_a_ban_outlives_clean_and_down"),
        ("unit/supervise/test_supervisor_end.py", "test_only_a_ban_in_force_outlives_it"),
        ("unit/shminit/test_making.py", "test_the_turns_to_dial_outlive_new_segments"),
    ),
    "Refused subscriptions": (
        ("system/test_feed_sim.py", "test_one_refused_symbol_does_not_cost_the_others"),
    ),
    "A source is stale": (
        (
            "system/test_feed_sim.py",
            "test_a_symbol_that_falls_silent_is_marked_and_the_others_are_not",
        ),
        ("system/test_feed_sim.py", "test_after_all_faults_the_store_holds_what_was_sent_last"),
        (CONDITIONS, "test_a_source_is_told_of_when_more_than_half_of_it_cannot_be_used"),
    ),
    "Shared memory": (
        (DOCS, "test_every_fault_and_state_has_its_line_in_the_operating_guide"),
        ("unit/shm/test_shm_segment.py", "test_attaching_to_a_retired_segment_says_so"),
        ("unit/shm/test_shm_segment.py", "test_a_bad_namespace_is_refused_before_anything_is_made"),
        ("unit/cli/test_show.py", "test_clean_keeps_what_somebody_holds"),
    ),
    "Clocks": (
        ("system/test_suspend.py", "test_no_signal_rests_on_a_quote_from_before_the_sleep"),
        ("unit/view/test_clock_steps.py", "test_a_switch_has_stood_as_long_as_it_has"),
        (
            "unit/alerts/test_quiet.py",
            "test_what_a_suspend_made_is_not_judged_and_what_passes_is_told_afterwards",
        ),
    ),
    "Disk": (
        (
            "unit/tracker/test_tracker_retention.py",
            "test_old_samples_go_whoever_is_open_and_old_rows_when_they_are_closed",
        ),
        (
            "unit/tracker/test_tracker_retention.py",
            "test_a_database_that_is_too_large_loses_samples_first_then_rows",
        ),
        ("unit/cli/test_data.py", "test_a_backup_holds_what_another_connection_has_just_written"),
        ("unit/cli/test_data.py", "test_vacuum_gives_the_room_of_deleted_rows_back"),
        ("unit/cli/test_data.py", "test_while_a_vacuum_runs_its_log_is_nobodys_fault"),
        (
            "system/test_tracker_process.py",
            "test_a_file_that_is_no_database_ends_it_with_the_reason_and_is_not_touched",
        ),
    ),
    "Losses": (
        (
            "system/test_tracker_process.py",
            "test_a_tracker_that_was_stopped_counts_what_it_missed_and_fills_nothing_in",
        ),
        ("unit/tracker/test_tracker_book.py", "test_duplicates_are_dropped_and_gaps_are_counted"),
    ),
    "Nothing is signalled": (
        (DOCS, "test_a_block_runs"),
        ("unit/cli/test_show.py", "test_why_shows_the_waterfall_and_the_verdict"),
        ("unit/cli/test_show.py", "test_why_tells_quarantine_and_silence"),
    ),
    "Start over": (
        (
            "system/test_systemd.py",
            "test_a_restart_that_waits_for_discovery_fits_the_gap_that_is_resumed",
        ),
        ("unit/shminit/test_older_segments.py", "test_clean_brings_the_file_to_what_is_in_force"),
        UPGRADE,
    ),
    "Without systemd": (
        (DOCS, "test_a_block_runs"),
        (
            "unit/supervise/test_supervisor_reload.py",
            "test_all_pairs_are_found_anew_every_so_often",
        ),
        (
            "unit/supervise/test_log_files.py",
            "test_who_writes_goes_on_in_the_new_log_and_the_end_of_the_old_one_is_kept",
        ),
        (
            "unit/supervise/test_log_files.py",
            "test_on_a_full_disk_the_end_is_kept_and_the_room_given_back",
        ),
        (
            "system/test_up_sim.py",
            "test_a_feed_is_restarted_orders_are_answered_a_second_is_refused_and_down_ends_all",
        ),
    ),
}


def promises() -> list[str]:
    """The headings of the guide, and what stands in bold at the beginning of something."""
    text = re.sub(r"^```.*?^```$", "", GUIDE.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = (heading or bold for heading, bold in HEADING.findall(text))
    return [name for name in found if name not in NO_PROMISE]


def test_every_alert_has_its_line_in_the_guide_and_a_test_that_names_it() -> None:
    rooms = (ROOT / "src" / "spread_scanner" / folder for folder in ("alerts", "view/conditions"))
    files = (file for room in rooms for file in room.glob("*.py"))
    told = {key for file in files for key in RAISED.findall(file.read_text())}
    table = GUIDE.read_text().partition("| key | when | do |")[2].partition("\n\n")[0]
    lines = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {key for line in lines for key in re.findall("`([a-z]+)", line)} == told
    assert set(WHAT_TO_DO) == told - {"opportunity", "added"}, "what only passes has nothing to do"
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "unit").glob("[ao]*/test_*.py"))
    assert [key for key in sorted(told) if not re.search(f'"{key}[":]', tests)] == []


def test_every_promise_of_the_operating_guide_has_its_test() -> None:
    found = promises()
    assert len(found) > 25, found
    all_held(found, HELD)
