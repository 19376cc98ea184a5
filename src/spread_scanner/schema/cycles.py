"""The database of cycles as others may know it: its tables by version, and what its columns mean.

Written by spread-paths alone, data/cycles.db; whoever reads it speaks these columns. Amounts are
integers of a token's smallest unit, as text: they may be beyond what SQLite counts to.
"""

# One script per version: what stands here is never changed, only followed by the next.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE cycles (
        id INTEGER PRIMARY KEY, found_ns INTEGER NOT NULL, slot INTEGER NOT NULL,
        oldest_slot INTEGER NOT NULL, route TEXT NOT NULL, programs TEXT NOT NULL,
        mints TEXT NOT NULL, amounts TEXT NOT NULL, cost TEXT NOT NULL,
        profit_sol REAL NOT NULL, net_sol REAL NOT NULL, cost_lamports INTEGER NOT NULL,
        oldest_leg_ms REAL NOT NULL, depth_used REAL NOT NULL, score REAL NOT NULL,
        landing_model REAL NOT NULL, best_net_sol REAL NOT NULL, last_slot INTEGER NOT NULL,
        last_ns INTEGER NOT NULL, ended_slot INTEGER, ended_ns INTEGER, why_ended TEXT
    );
    CREATE INDEX cycles_open ON cycles (id) WHERE ended_ns IS NULL;
    CREATE TABLE looks (
        cycle_id INTEGER NOT NULL, after_slots INTEGER NOT NULL, slot INTEGER NOT NULL,
        paid_net_sol REAL, best_net_sol REAL, stands INTEGER NOT NULL, why TEXT NOT NULL,
        PRIMARY KEY (cycle_id, after_slots)
    ) WITHOUT ROWID;
    CREATE TABLE left_out (
        pool TEXT PRIMARY KEY, program TEXT NOT NULL, reason TEXT NOT NULL, why TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    # Null: of before, when settings named the price.
    """
    ALTER TABLE cycles ADD COLUMN priority_micro_lamports INTEGER;
    ALTER TABLE cycles ADD COLUMN priority_heard INTEGER
    """,
    # Null: of before, when nobody asked.
    "ALTER TABLE cycles ADD COLUMN one_slot INTEGER",
)
VERSION = len(MIGRATIONS)
APPLICATION_ID = 0x53_50_43_59  # "SPCY": tells our file from any other SQLite database
