"""The tracker's database as others may know it: its tables by version, and how to open it to read.

Written by the tracker alone; the report, the screens, the alerts and whoever else reads it speak
these columns, never the tracker's code. What a column means stands at tracker.opportunity.
"""

from pathlib import Path

# One script per version: what stands here is never changed, only followed by the next.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE opportunities (
        id INTEGER PRIMARY KEY, symbol TEXT NOT NULL, direction TEXT NOT NULL, legs TEXT NOT NULL,
        symbol_id INTEGER NOT NULL, direction_id INTEGER NOT NULL, generation INTEGER NOT NULL,
        instance INTEGER NOT NULL, entry_seq INTEGER NOT NULL, opened_ns INTEGER NOT NULL,
        enter_bps REAL NOT NULL, fees_bps REAL NOT NULL, funding_bps REAL,
        entry_gross_bps REAL NOT NULL, entry_net_bps REAL NOT NULL, entry_exit_bps REAL,
        entry_size_quote REAL NOT NULL,
        entry_spot_bid_px REAL, entry_spot_bid_sz REAL, entry_spot_ask_px REAL,
        entry_spot_ask_sz REAL, entry_fut_bid_px REAL, entry_fut_bid_sz REAL,
        entry_fut_ask_px REAL, entry_fut_ask_sz REAL,
        entry_spot_age_ns INTEGER NOT NULL, entry_fut_age_ns INTEGER NOT NULL,
        last_signal_ns INTEGER NOT NULL, last_seen_ns INTEGER NOT NULL,
        peak_net_bps REAL NOT NULL, peak_ns INTEGER NOT NULL, signals INTEGER NOT NULL,
        exits INTEGER NOT NULL, first_exit_ns INTEGER, flags INTEGER NOT NULL,
        samples INTEGER NOT NULL, late INTEGER NOT NULL, missed INTEGER NOT NULL,
        lost INTEGER NOT NULL, gaps INTEGER NOT NULL, gap_ms REAL NOT NULL,
        closed_ns INTEGER, ended_ns INTEGER, reason TEXT,
        exit_gross_bps REAL, exit_net_bps REAL, exit_bps REAL, exit_size_quote REAL,
        exit_spot_bid_px REAL, exit_spot_bid_sz REAL, exit_spot_ask_px REAL,
        exit_spot_ask_sz REAL, exit_fut_bid_px REAL, exit_fut_bid_sz REAL,
        exit_fut_ask_px REAL, exit_fut_ask_sz REAL,
        exit_spot_age_ns INTEGER, exit_fut_age_ns INTEGER, exit_flags INTEGER
    );
    CREATE INDEX opportunities_opened ON opportunities (opened_ns);
    CREATE INDEX opportunities_open ON opportunities (id) WHERE closed_ns IS NULL;
    CREATE TABLE samples (
        opportunity_id INTEGER NOT NULL, ts_ns INTEGER NOT NULL, late_ns INTEGER NOT NULL,
        gross_bps REAL, net_bps REAL, exit_bps REAL, size_quote REAL, exit_size_quote REAL,
        spot_age_ns INTEGER, fut_age_ns INTEGER, flags INTEGER NOT NULL,
        PRIMARY KEY (opportunity_id, ts_ns)
    ) WITHOUT ROWID;
    CREATE TABLE positions (stream TEXT PRIMARY KEY, last_seq INTEGER NOT NULL);
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL, stream TEXT NOT NULL,
        written_ns INTEGER NOT NULL, totals TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE probes (
        opportunity_id INTEGER NOT NULL, after_ms INTEGER NOT NULL, late_ns INTEGER,
        gross_bps REAL, net_bps REAL, exit_bps REAL, size_quote REAL, flags INTEGER,
        PRIMARY KEY (opportunity_id, after_ms)
    ) WITHOUT ROWID;
    """,
    # The samples of before stay where they are until they are old: to move them would take hours.
    """
    ALTER TABLE samples RENAME TO samples_before;
    CREATE TABLE samples (
        opportunity_id INTEGER NOT NULL, ts_ns INTEGER PRIMARY KEY, late_ns INTEGER NOT NULL,
        gross_bps REAL, net_bps REAL, exit_bps REAL, size_quote REAL, exit_size_quote REAL,
        spot_age_ns INTEGER, fut_age_ns INTEGER, flags INTEGER NOT NULL
    );
    CREATE INDEX opportunities_closed ON opportunities (closed_ns) WHERE closed_ns IS NOT NULL;
    """,
    # What a trade would have earned. Rows of before have none of it: NULL, never a guess.
    """
    ALTER TABLE opportunities RENAME COLUMN funding_bps TO carry_bps;
    ALTER TABLE opportunities RENAME COLUMN exit_net_bps TO reentry_net_bps;
    ALTER TABLE opportunities ADD COLUMN close_bps REAL;
    ALTER TABLE opportunities ADD COLUMN usual_bps REAL;
    ALTER TABLE opportunities ADD COLUMN parity_bps REAL;
    ALTER TABLE opportunities ADD COLUMN size_base REAL;
    ALTER TABLE opportunities ADD COLUMN spot_fee_bps REAL;
    ALTER TABLE opportunities ADD COLUMN fut_fee_bps REAL;
    ALTER TABLE opportunities ADD COLUMN settled_ns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE opportunities ADD COLUMN settlements INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE opportunities ADD COLUMN funding_paid REAL;
    ALTER TABLE opportunities ADD COLUMN mark_ns INTEGER;
    ALTER TABLE opportunities ADD COLUMN mark_bps REAL;
    ALTER TABLE opportunities ADD COLUMN mark_size_quote REAL;
    ALTER TABLE opportunities ADD COLUMN mark_spot_bid_px REAL;
    ALTER TABLE opportunities ADD COLUMN mark_fut_ask_px REAL;
    ALTER TABLE opportunities ADD COLUMN realised_bps REAL;
    ALTER TABLE probes ADD COLUMN spot_ask_px REAL;
    ALTER TABLE probes ADD COLUMN fut_bid_px REAL;
    ALTER TABLE probes ADD COLUMN renewed INTEGER;
    CREATE TABLE settlements (
        opportunity_id INTEGER NOT NULL, settled_ns INTEGER NOT NULL, rate REAL,
        fut_px REAL NOT NULL, PRIMARY KEY (opportunity_id, settled_ns)
    ) WITHOUT ROWID;
    """,
    # Of an open row that was left more than once nobody noted whether it had been entered since.
    """
    ALTER TABLE opportunities ADD COLUMN left_ns INTEGER;
    UPDATE opportunities SET left_ns = first_exit_ns
        WHERE closed_ns IS NULL AND exits = 1 AND last_signal_ns <= first_exit_ns;
    """,
    # What both order books carried soon after the signal. Rows of before have none of it.
    """
    ALTER TABLE opportunities ADD COLUMN depth_ns INTEGER;
    ALTER TABLE opportunities ADD COLUMN depth_size_quote REAL;
    ALTER TABLE opportunities ADD COLUMN depth_bounded INTEGER;
    ALTER TABLE opportunities ADD COLUMN depth_nets TEXT;
    """,
    # What both order books carried at each look.
    """
    ALTER TABLE samples ADD COLUMN depth_size_quote REAL;
    """,
)
VERSION = len(MIGRATIONS)
# In a run's totals: 1, its exchanges were on this machine.
SIMULATED = "simulated"
APPLICATION_ID = 0x53_50_52_44  # "SPRD": tells our file from any other SQLite database


def read_only_uri(path: Path) -> str:
    """What sqlite3.connect(..., uri=True) wants, whatever characters the path has.

    Such a connection cannot write, and does not make the file.
    """
    return f"{path.resolve().as_uri()}?mode=ro"
