"""Names that processes and people know each other by: said here, used everywhere.

A process has one name in five places: executable, systemd unit, settings section, log, health row.
"""

from spread_scanner.schema.enums import EXCHANGE_SOURCES, POOL_SOURCES

SHM_INIT = "shm-init"
DISCOVERY = "pair-discovery"
ENGINE = "spread-engine"
EXCHANGE_SIM = "exchange-sim"
TRACKER = "spread-tracker"
ALERTS = "spread-alerts"  # optional: only where somebody is to be told
ANALYST = "spread-analyst"  # optional: where somebody asks how spreads usually stand
RECORDER = "spread-recorder"  # optional: where the market is to be written down
GATEWAY = "spread-gateway"  # optional: where programs and people read over HTTP
FEED_SOLANA = POOL_SOURCES[0].process  # optional: where pools of Solana are to be read
PATHS = "spread-paths"  # optional: where cycles over these pools are to be found
SUPERVISOR = "spread-ctl"  # `up` and `demo`, while they run
BENCH = "spread-bench"

PROCESSES: tuple[str, ...] = (
    SHM_INIT,
    DISCOVERY,
    *(source.process for source in EXCHANGE_SOURCES),
    ENGINE,
    TRACKER,
    ALERTS,
    ANALYST,
    RECORDER,
    GATEWAY,
    FEED_SOLANA,
    PATHS,
)
ONE_SHOT = (SHM_INIT, DISCOVERY)  # those that do their work and end

SIGNALS = "signals"  # the ring from the engine to the tracker
DATABASE_FILE = "tracker.db"  # in data_dir
CYCLES_FILE = "cycles.db"  # in data_dir: what spread-paths finds
WAL_FOLDER = "wal"  # in data_dir: the log of the market
HISTORY_FOLDER = "history"  # in data_dir: what the log becomes, as Parquet
VACUUM_FILE = "vacuum"  # locked by who vacuums it
REPORTS_FOLDER = "reports"  # in data_dir: the hourly reports
LOGS_FOLDER = "logs"  # in data_dir: what `up` keeps; under systemd the journal has them

ALSO_DEGRADED = "degraded: "  # how the message of a paused process begins that is unwell as well

# Exit codes, of processes and of commands.
EXIT_DONE = 0
EXIT_FAILED = 1  # the reason is logged or printed
EXIT_SETTINGS = 2  # bad settings, or a command line that means nothing
EXIT_PARTIAL = 3  # discovery: published, but a source was away
EXIT_DELIBERATE = 3  # status: well, but somebody has halted or paused something
EXIT_NOT_UP = 4  # there are no segments, or they were replaced
