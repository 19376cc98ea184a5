"""The registry of counters: every failure path of every process has one, with label and sentence.

A process writes its counters into its health row by id; spread-ctl, metrics and the documentation
read them by label. Ids are stored in shared memory: append, never renumber. A kind of process has
at most COUNTERS_MAX counters and HISTOGRAMS_MAX latency histograms.
"""

from typing import NamedTuple

from spread_scanner.schema.names import (
    ALERTS,
    ANALYST,
    DISCOVERY,
    ENGINE,
    FEED_SOLANA,
    GATEWAY,
    PATHS,
    RECORDER,
    TRACKER,
)

COUNTERS_MAX = 64
HISTOGRAMS_MAX = 4


class Counter(NamedTuple):
    """`label` is what programs say, `sentence` what a person reads."""

    counter_id: int
    label: str
    sentence: str

    @property
    def is_level(self) -> bool:
        """How much there is now; else how often something happened."""
        return "(a level" in self.sentence


class Histogram(NamedTuple):
    """A latency in nanoseconds."""

    histogram_id: int
    label: str
    sentence: str


def _numbered(rows: list[tuple[str, str]]) -> tuple[Counter, ...]:
    return tuple(Counter(number, label, text) for number, (label, text) in enumerate(rows))


FEED_COUNTERS = _numbered(
    [
        ("messages", "Frames of data that arrived."),
        ("quotes", "Quotes written to the price store."),
        ("native", "Quotes decoded by the native tier."),
        ("slow", "Messages that the native tier passed on to the typed decoder."),
        ("control", "Acknowledgements, pongs and notices that arrived."),
        ("skip_unknown_symbol", "Quotes of a symbol that the tables do not hold."),
        ("skip_bad_message", "Messages that could not be decoded."),
        (
            "skip_bad_quote",
            "Quotes with a price or size that cannot be (zero, negative, not finite).",
        ),
        ("skip_duplicate", "Quotes whose update id had been seen already."),
        ("skip_out_of_order", "Quotes whose update id is older than the stored one."),
        ("skip_other", "Messages of a channel or kind that the feed does not use."),
        ("one_sided", "Quotes stored with one side of the book empty."),
        ("crossed", "Quotes stored with bid above ask."),
        ("resets", "Update-id sequences that the exchange restarted."),
        (
            "stale_marks",
            "Cells marked stale: their connection went away, or they were refused or halted.",
        ),
        (
            "silent_marks",
            "Cells marked silent: quiet, or without news, out of line with their own rate and "
            "siblings; or of a connection that is not heard.",
        ),
        ("lagging_marks", "Quotes stored as lagging: exchange time too far behind arrival."),
        ("connects", "Connections that reached an open websocket."),
        ("connect_failures", "Attempts to connect that failed."),
        ("disconnects", "Connections lost without our asking, or refused all of it."),
        ("swaps", "Planned replacements of a connection before the exchange's cut."),
        ("frozen", "Connections dropped because they fell silent, or never brought a quote."),
        ("bad_streaks", "Connections dropped after too many bad messages in a row."),
        ("refused_symbols", "Symbols that the exchange refuses now (a level, not a count)."),
        ("subscribes", "Symbols subscribed."),
        ("unsubscribes", "Symbols unsubscribed."),
        ("reloads", "New tables or settings taken."),
        ("connections", "Connections open now (a level, not a count)."),
        ("symbols", "Symbols of the tables that are not halted (a level, not a count)."),
        ("repeats", "Quotes that came again unchanged: heard of, and as old as they were."),
        ("no_first_quote", "Symbols that did not quote in time after they were subscribed."),
        ("resubscribes", "Symbols asked for again, here or elsewhere, because no quote came."),
        ("refusals", "Refusals heard, whatever they were about."),
        ("handed_over", "Symbols that a connection had no room for and another one took."),
        (
            "halted",
            "Listings that the exchange has halted or delisted since the last tables (a level).",
        ),
        ("halts", "Listings that were halted, one after the other."),
        (
            "maintenance",
            "1 while the exchange has announced maintenance that is not over (a level).",
        ),
        ("notice_failures", "Dials that failed for the connection on which notices come."),
        (
            "moving",
            "Symbols and connections that a reload moves and that are not there yet (a level).",
        ),
        (
            "suspends",
            "Times the machine was found to have slept: all cells stale, all connections new.",
        ),
        ("clock_ahead", "Quotes whose exchange time lies ahead of our clock."),
        (
            "bad_times",
            "Quotes of which an exchange time cannot be; taken, with another or without one.",
        ),
        (
            "jumped",
            "Quotes stored as jumped: a mid beyond five times the one before, or under a fifth.",
        ),
        ("unread_marks", "Cells marked stale because a message about them could not be read."),
        (
            "good_symbols",
            "Symbols quoted, wanted and heard now, whose quote can be used (a level, not a count).",
        ),
        ("notice_faults", "Announcements that met a fault of ours; the log says where."),
        ("books", "Order books that are followed and can be stood behind now (a level)."),
        ("books_wanted", "Order books that are wanted of this source now (a level)."),
        ("book_changes", "Snapshots and updates that a book took."),
        ("book_old", "Updates that said nothing new of their book."),
        ("book_gaps", "Updates before which something is missing; the book was asked for anew."),
        (
            "book_checksums",
            "Books that were not what the exchange's checksum says; asked for anew.",
        ),
        ("book_crossed", "Books that came to stand with a bid at or over the ask."),
        ("book_depleted", "Books of which too few levels were known; asked for anew."),
        ("book_top_disagrees", "Books whose top was another than the quotes' for seconds."),
        ("book_resyncs", "Books that were asked for anew: by REST, or by subscribing again."),
        ("book_seeds_failed", "Snapshots by REST that could not be had, or came too old."),
        (
            "book_bad_times",
            "Messages of books of which an exchange time cannot be; taken as quotes are.",
        ),
    ]
)
FEED_HISTOGRAMS = (
    Histogram(0, "exchange_to_recv", "From the exchange's time stamp to our reading the frame."),
    Histogram(1, "recv_to_cell", "From our reading the frame to the quote in the price store."),
)

ENGINE_COUNTERS = _numbered(
    [
        ("cycles", "Turns of the loop."),
        ("dirty", "Dirty cells read."),
        ("evaluations", "Directions evaluated."),
        ("signals", "Signals pushed to the tracker's ring."),
        ("signals_enter", "Signals of kind enter."),
        ("signals_resignal", "Signals of kind re-signal."),
        ("signals_exit", "Signals of kind exit."),
        (
            "over_threshold",
            "Evaluations at or over the enter threshold before anything else was asked.",
        ),
        ("no_stale_leg", "Over the threshold, no signal: a leg could not be stood behind."),
        ("no_skew", "Over the threshold, no signal: the legs' times lie too far apart."),
        (
            "no_size",
            "Over the threshold, no signal: the tops hold less than size_quote_min, than a lot of "
            "both legs, or than a listing takes.",
        ),
        ("no_cooldown", "Over the threshold, no signal: cooling down after the last exit."),
        ("no_paused", "Over the threshold, no signal: paused by the operator."),
        ("no_quarantined", "Over the threshold, no signal: the pair is quarantined."),
        ("no_fee", "Gross stood over the threshold, net did not."),
        ("no_killed", "Over the threshold, no signal: signals are halted."),
        ("held", "Over the threshold, no signal: already signalled, not yet a step higher."),
        ("ring_full", "Signals dropped because the ring was full."),
        ("contended", "Reads that gave up after too many tries and kept the last good quote."),
        ("wakes", "Times the loop was woken from a park."),
        ("parks", "Times the loop parked."),
        ("bounded", "Cycles that left dirty cells for the next because the bound was reached."),
        ("reloads", "New tables or settings taken."),
        ("stale_exits", "Exits because the spread could not be stood behind any more."),
        ("suspends", "Times the machine was found to have slept."),
        (
            "no_implausible",
            "Over the threshold, no signal: not one coin at one time: beyond implausible_bps, "
            "a leg alone by as much, or a leg that has jumped.",
        ),
        ("no_basis", "Over the threshold, no signal: what leaving usually earns is not known."),
        (
            "no_blocked",
            "Over the threshold, no signal: blocked, as implausible for implausible_hold_s.",
        ),
        ("blocks", "Pairs blocked until discovery judges them anew."),
        (
            "no_z",
            "Over the threshold, no signal: gross is not enter_z_min deviations above its mean, or "
            "that is not known.",
        ),
        ("signals_book", "Signals of kind book: what both order books carry, told after a signal."),
        (
            "books_missed",
            "Enters and re-signals that nothing followed: within 10 s no two books were there, the "
            "pair left before, or new tables came.",
        ),
    ]
)
ENGINE_HISTOGRAMS = (
    Histogram(
        0,
        "recv_to_signal",
        "From reading the frame to the signal in the ring; of signals that a quote just read made.",
    ),
    Histogram(1, "cycle", "One turn of the loop that found work."),
)

TRACKER_COUNTERS = _numbered(
    [
        ("signals", "Signals popped from the ring."),
        ("opened", "Opportunities opened."),
        ("extended", "Re-signals that extended an open opportunity."),
        ("closed_converged", "Opportunities closed because the spread converged."),
        ("closed_expired", "Opportunities closed at their maximum life."),
        ("closed_stale", "Opportunities closed because a leg went stale."),
        (
            "closed_gap",
            "Opportunities closed because nobody looked for too long, or their listings changed.",
        ),
        ("closed_retired", "Opportunities closed because their pair left the tables."),
        ("refused_full", "Signals not followed because too many opportunities were open."),
        ("samples", "Samples taken."),
        (
            "samples_late",
            "Samples taken late: the grid point had passed by more than its tolerance.",
        ),
        ("samples_missed", "Grid points that passed without a sample; never filled in afterwards."),
        ("commits", "Transactions committed."),
        ("commit_failures", "Transactions that failed (disk full, database locked) and were kept."),
        ("pending", "Rows waiting for a transaction (a level, not a count)."),
        ("rows_dropped", "Rows lost because too many were waiting."),
        ("open", "Opportunities open now (a level, not a count)."),
        ("duplicates", "Signals seen again after a restart and not counted twice."),
        (
            "signal_gaps",
            "Sequence numbers that never arrived. What a full ring drops has none: see ring_full.",
        ),
        ("exits", "Signals of kind exit."),
        (
            "refused_unknown",
            "Signals not followed: their pair is not in the tables, or they make no sense.",
        ),
        ("resumed", "Opportunities gone on with after a restart."),
        ("probes", "Looks taken a fixed time after an opening signal."),
        ("probes_missed", "Such looks that came too late to answer, and were not taken."),
        (
            "released_unwritten",
            "Signals released from the ring before they were durable, as half of it was held.",
        ),
        ("reports", "Reports written."),
        ("report_failures", "Reports that failed."),
        ("reloads", "New tables or settings taken."),
        ("suspends", "Times the machine was found to have slept."),
        ("follow_ups", "Signals of kind book: what both order books carried."),
        (
            "made_up_for",
            "Signals of a ring that was gone before they were written, taken from the log.",
        ),
        (
            "disk_eaten_b_h",
            "Bytes an hour by which the disk of the data fills, as it has for the last hour; 0: it "
            "does not, or too little is known (a level).",
        ),
        (
            "report_failing",
            "1: the report that it started last failed; 0 where a timer starts them (a level).",
        ),
    ]
)
TRACKER_HISTOGRAMS = (
    Histogram(
        0,
        "recv_to_pop",
        "From reading the frame to the tracker holding the signal; of the same signals, but for "
        "those that waited while the tracker was away or paused.",
    ),
    Histogram(1, "sample_lateness", "From the grid point to the sample."),
    Histogram(2, "commit", "One transaction."),
)

DISCOVERY_COUNTERS = _numbered(
    [
        ("instruments", "Instruments listed by the exchanges."),
        ("symbols", "Symbols in the tables (a level)."),
        ("quarantined", "Pairs kept out because their prices disagree."),
        ("rest_failures", "REST requests that failed after all retries."),
    ]
)


ALERTS_COUNTERS = _numbered(
    [
        ("conditions", "Conditions that hold now (a level, not a count)."),
        ("sent", "Messages that a target took."),
        ("failures", "Tries to send that failed; the message is tried again."),
        (
            "dropped",
            "Messages lost: too many waited, or a target refused them for good (4xx).",
        ),
        ("waiting", "Messages waiting for their targets (a level, not a count)."),
        ("held_back", "Messages beyond per_minute_max, summed up in the next one."),
        ("reloads", "New settings taken."),
        ("suspends", "Times the machine was found to have slept."),
        ("heartbeats", "Heartbeats that heartbeat_url took."),
        ("heartbeat_failures", "Heartbeats that it did not take; tried again."),
    ]
)


ANALYST_COUNTERS = _numbered(
    [
        ("samples", "Whole seconds at which all pairs and cells were looked at."),
        ("samples_missed", "Seconds that passed without a look; never filled in afterwards."),
        ("pairs", "Pairs that are followed (a level, not a count)."),
        ("pairs_usable", "Of them with a spread to be read off at the last look (a level)."),
        ("cells", "Cells that are followed (a level, not a count)."),
        ("cells_usable", "Of them with a quote that could be stood behind then (a level)."),
        ("begun_anew", "Pairs and cells that began without a past: new ones, and other coins."),
        ("contended", "Reads that gave up after too many tries and kept the last good quote."),
        ("reloads", "New tables or settings taken."),
        ("suspends", "Times the machine was found to have slept."),
    ]
)
ANALYST_HISTOGRAMS = (
    Histogram(0, "second_to_record", "From the whole second to all records published."),
)

RECORDER_COUNTERS = _numbered(
    [
        ("ticks", "Quotes and marks written into the log."),
        ("ticks_missed", "Those that a tape had no room for; a Gap in the log says which."),
        ("signals", "Signals written into the log."),
        ("signals_missed", "Signals that the ring did not hold any more; a Gap says which."),
        ("gaps", "Gaps written: after a hole, a pause, or a time without a recorder."),
        ("documents", "Settings, tables, generations of what is usual, switches written."),
        ("appended_seq", "Records handed to the log (a level, not a count)."),
        ("durable_seq", "Of them on the disk (a level, not a count)."),
        ("durable_age_ms", "Age of the oldest that is not on the disk (a level)."),
        ("log_bytes", "Size of the log's segments (a level, not a count)."),
        ("segments_failed", "Segments left because a write or a sync failed; nothing is lost."),
        ("segments_late", "Segments that were not ready when they were needed."),
        ("segments_dropped", "Segments given up by age, budget or the disk's room."),
        ("reloads", "New tables or settings taken."),
        ("suspends", "Times the machine was found to have slept."),
        ("compactions", "Times that hours of the log became Parquet."),
        ("compactions_failed", "Times that they did not; it is tried again."),
        ("segments_lost", "Segments given up that were to become Parquet and had not."),
        ("history_bytes", "Size of the history (a level, not a count)."),
        ("books", "Order books written: of each that is held one a second, more when it moves."),
        ("levels", "Levels of order books that changed, written into the log."),
        ("levels_missed", "Those that a tape had no room for; a Gap in the log says which."),
        ("segments", "Segments of the log (a level, not a count)."),
        ("segments_packed", "Of them those that are packed (a level, not a count)."),
        ("packings_failed", "Times that segments could not be packed; it is tried again."),
    ]
)

GATEWAY_HISTOGRAMS = (
    Histogram(0, "request_to_answer", "From a request whole to its answer ready, of ours alone."),
    Histogram(
        1,
        "wait_to_answer",
        "Of what waits for others: books, connections, candles, history, report, control.",
    ),
)
GATEWAY_COUNTERS = _numbered(
    [
        ("requests", "Requests answered, refused ones included."),
        ("refused", "Requests refused: no token, a host or page that may not ask, a wrong path."),
        ("limited", "Requests refused as their address asked too often."),
        ("failed", "Requests and streams that met a fault of ours: a 500 or an end, and logged."),
        ("prices_encoded", "Quotes written out anew, as they had changed since they were asked."),
        ("reloads", "New tables or settings taken."),
        ("suspends", "Times the machine was found to have slept."),
    ]
)

POOL_COUNTERS = _numbered(
    [
        ("messages", "Frames of data that arrived."),
        ("accounts", "Accounts that were told as written."),
        ("published", "Pools written to their cells with a price."),
        ("stale_marks", "Cells marked stale: no provider that is in time covers the pool."),
        ("skip_old", "Accounts told that said nothing new, or of an earlier slot."),
        ("skip_unknown", "Accounts told of no subscription that is known."),
        ("skip_bad_message", "Messages and answers that are not what a provider says."),
        ("rolled_back", "Accounts that a provider told of an earlier slot than its last word."),
        ("conflicts", "Accounts that two told differently for one slot; asked for again."),
        ("fees_heard", "Answers of what others paid for priority that were taken."),
        ("fees_failed", "Those that were not to be had: refused, or not readable."),
        ("seeds", "Answers to getMultipleAccounts that were taken."),
        ("seeds_failed", "Those that were not to be had: refused, too late, or not readable."),
        ("limited", "Times that a provider said it was asked too much."),
        ("refusals", "Subscriptions and requests that a provider refused."),
        ("connects", "Connections that reached an open websocket."),
        ("connect_failures", "Attempts to connect that failed."),
        ("disconnects", "Connections lost without our asking."),
        ("silent", "Connections ended as no slot was told, or no ping answered, for too long."),
        ("providers", "Providers that are in time (a level, not a count)."),
        ("subscriptions", "Accounts whose subscriptions stand, of all providers (a level)."),
        ("pools", "Pools that are wanted (a level, not a count)."),
        ("pools_fresh", "Of them those that can be stood behind now (a level)."),
        ("pools_refused", "Of them those that are not what the settings say (a level)."),
        ("reloads", "New settings taken."),
        ("suspends", "Times the machine was found to have slept."),
        ("clock_doubted", "Words on the chain's clock that were not what most providers say."),
        (
            "providers_amiss",
            "Providers that are banned, or away, resting or behind for ten seconds (a level).",
        ),
    ]
)
POOL_HISTOGRAMS = (
    Histogram(0, "told_to_cell", "From reading an account's frame to its pool in its cell."),
)

PATH_COUNTERS = _numbered(
    [
        ("pools", "Pools that feed-solana watches (a level, not a count)."),
        ("traded", "Of them those that cycles may go through (a level)."),
        ("out_stale", "Left out: nobody stands behind what is known of them (a level)."),
        ("out_paused", "Left out: paused by the operator (a level)."),
        ("out_mislabelled", "Left out: not what the settings say, or not readable (a level)."),
        ("out_closed", "Left out: they do not trade now, by their own word (a level)."),
        ("out_no_room", "Left out: their accounts are more than shared memory holds (a level)."),
        ("out_dead", "Left out: they hold nothing on one side (a level)."),
        ("out_dust", "Left out: they hold too little, or of a token of unknown worth (a level)."),
        (
            "fees_known",
            "Of those traded, where priority fees were heard not too long ago (a level).",
        ),
        ("standing", "Cycles that were found and still pay (a level)."),
        ("scans", "Searches of everything."),
        ("screened", "Cycles that gain at size nothing, by their tokens, in all searches."),
        ("longer_cycles", "Scans that found none, where longer cycles than hops_max gain."),
        ("no_start", "Cycles without a token of start_mints whose worth is known."),
        ("not_one_slot", "Cycles that waited: their pools were of no one slot that was over yet."),
        ("confirmed", "Cycles that paid more than their costs: found, and kept."),
        ("not_worth", "Cycles that integers or costs took away."),
        ("refused", "Cycles that a pool could not quote at any size."),
        ("looks", "Looks at what became of a cycle that was found."),
        ("forgotten", "Cycles that went from the database by age or size."),
        ("write_errors", "Times that the database could not be written; it is tried again."),
        ("rows_lost", "Rows given up as too many waited for a database that takes none."),
        ("reloads", "New settings taken."),
        ("suspends", "Times the machine was found to have slept."),
    ]
)
PATH_HISTOGRAMS = (
    Histogram(0, "screen", "A search through the pools that changed."),
    Histogram(1, "scan", "A search of everything."),
    Histogram(2, "confirm", "Quoting what a search found, and what stands, with integers."),
)


_Told = tuple[tuple[Counter, ...], tuple[Histogram, ...]]
_BY_PROCESS: dict[str, _Told] = {
    ENGINE: (ENGINE_COUNTERS, ENGINE_HISTOGRAMS),
    TRACKER: (TRACKER_COUNTERS, TRACKER_HISTOGRAMS),
    DISCOVERY: (DISCOVERY_COUNTERS, ()),
    ALERTS: (ALERTS_COUNTERS, ()),
    ANALYST: (ANALYST_COUNTERS, ANALYST_HISTOGRAMS),
    RECORDER: (RECORDER_COUNTERS, ()),
    GATEWAY: (GATEWAY_COUNTERS, GATEWAY_HISTOGRAMS),
    FEED_SOLANA: (POOL_COUNTERS, POOL_HISTOGRAMS),
    PATHS: (PATH_COUNTERS, PATH_HISTOGRAMS),
}


def _told_by(process: str) -> _Told:
    of_exchanges = (FEED_COUNTERS, FEED_HISTOGRAMS) if process.startswith("feed-") else ((), ())
    return _BY_PROCESS.get(process, of_exchanges)


def counters_of(process: str) -> tuple[Counter, ...]:
    """The counters of a process by its name, for example "feed-okx-spot"."""
    return _told_by(process)[0]


def histograms_of(process: str) -> tuple[Histogram, ...]:
    """The latency histograms of a process by its name."""
    return _told_by(process)[1]
