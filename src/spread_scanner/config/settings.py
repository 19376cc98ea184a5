"""What can be set: every setting of the system, defined once, with its unit, default and range.

Config is config.toml, SourceSettings one section of exchanges.toml, Directions directions.toml, and
PoolSettings (config.pools) pools.toml, and
Settings all four. Read by config.reading, by the processes, and by cli.reference, which writes
docs/configuration.md from the sentences here. What spans sections is held by config.agreement.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from spread_scanner.config.pools import PoolSettings
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, Source
from spread_scanner.schema.names import FEED_SOLANA

Namespace = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="letters, digits, _ -"),
]
QuoteAsset = Annotated[str, Meta(pattern=r"^[A-Z0-9]+$", description="an asset in capitals: USDT")]
ZScore = Annotated[float, Meta(ge=-100, le=100)]
FeeBps = Annotated[float, Meta(ge=-100, le=1_000)]
PATH = r"^[^\x00]+$"
CpuList = Annotated[list[Annotated[int, Meta(ge=0, le=4095)]], Meta(max_length=4096)]


class System(Struct, forbid_unknown_fields=True, frozen=True):
    """What all processes must agree on; sizes go into the segment headers."""

    namespace: Annotated[
        Namespace,
        Meta(description="Prefix of every shared-memory segment; one system per namespace."),
    ] = "spread"
    num_sources: Annotated[
        int,
        Meta(
            ge=8,
            le=64,
            description="Rows of the price store: 8 for the exchanges, 12 with pools as sources.",
        ),
    ] = 8
    max_symbols: Annotated[
        int, Meta(ge=64, le=16_384, description="Symbols the price store holds.")
    ] = 1_024
    ring_slots: Annotated[
        int, Meta(ge=2, le=1_048_576, description="Slots of the signal ring; a power of two.")
    ] = 65_536
    tape_slots: Annotated[
        int,
        Meta(
            ge=2,
            le=1_048_576,
            description="Quotes of a source that wait for a recorder, 80 bytes each; a power of "
            "two.",
        ),
    ] = 32_768
    generated_dir: Annotated[
        str,
        Meta(
            pattern=PATH,
            description="Folder that pair-discovery writes, relative to the config folder's "
            "parent.",
        ),
    ] = "generated"
    data_dir: Annotated[
        str, Meta(pattern=PATH, description="Folder of the tracker's database and reports.")
    ] = "data"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least level that is logged."),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "human"],
        Meta(description="auto: human on a terminal, JSON otherwise."),
    ] = "auto"
    heartbeat_ms: Annotated[
        int, Meta(ge=10, le=10_000, description="How often a process says that it lives.")
    ] = 100
    heartbeat_ms_max: Annotated[
        int,
        Meta(
            ge=50,
            le=60_000,
            description="A heartbeat older than this means that the process hangs or is gone.",
        ),
    ] = 1_000
    ready_s_max: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600,
            description="A process that still starts after so long is unwell; so is one that still "
            "waits for its turn so long after the segments were made.",
        ),
    ] = 90


class Discovery(Struct, forbid_unknown_fields=True, frozen=True):
    """pair-discovery: one shot, writes the generated tables."""

    quotes: Annotated[
        list[QuoteAsset],
        Meta(min_length=1, description="Quote assets whose pairs are taken, in capitals."),
    ] = field(default_factory=lambda: ["USDT"])
    validate_s: Annotated[
        float, Meta(ge=0, le=3_600, description="How long the websocket validation listens.")
    ] = 30.0
    identity_band_pct: Annotated[
        float,
        Meta(gt=0, le=100, description="Widest accepted distance of two mid prices of one coin."),
    ] = 3.0
    keep_quiet: Annotated[
        bool, Meta(description="Keep symbols that REST quotes but the websocket was silent about.")
    ] = True
    keep_refused: Annotated[bool, Meta(description="Keep symbols that the websocket refused.")] = (
        False
    )
    keep_api_closed: Annotated[
        bool,
        Meta(description="Take spot listings that trade, but take no orders through the API."),
    ] = False
    discover_every_s: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="How often `spread-ctl up` has all pairs found anew, as cron or a timer do "
            "on a server; 0: at its start alone.",
        ),
    ] = 21_600.0
    look_every_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="How often a quick look for new listings is taken; 0: never.",
        ),
    ] = 300.0
    funding_every_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3_600,
            description="How often funding is asked for; 0: by full runs alone.",
        ),
    ] = 300.0
    lost_pct_max: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="A source that loses more of its listings at once is away; 100: off.",
        ),
    ] = 20.0
    lost_again_s_min: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="Two full runs so far apart that see the same loss are believed.",
        ),
    ] = 3_600.0
    rest_timeout_s: Annotated[
        float, Meta(ge=0.001, le=300, description="Longest wait for one REST answer.")
    ] = 10.0
    rest_attempts_max: Annotated[int, Meta(ge=1, le=20, description="Tries per REST request.")] = 5
    rest_backoff_s_max: Annotated[
        float, Meta(ge=0.001, le=600, description="Longest pause between two tries.")
    ] = 20.0


class Feed(Struct, forbid_unknown_fields=True, frozen=True):
    """Every feed; a section named after one feed overrides these for it."""

    backoff_s_min: Annotated[
        float, Meta(ge=0.001, le=60, description="First pause before a reconnect.")
    ] = 0.25
    backoff_s_max: Annotated[
        float, Meta(ge=0.001, le=3_600, description="Longest pause before a reconnect.")
    ] = 30.0
    stood_s: Annotated[
        float,
        Meta(
            ge=0.001,
            le=86_400,
            description="A connection that has quoted for so long halves its line's pauses again.",
        ),
    ] = 30.0
    bad_messages_in_row_max: Annotated[
        int, Meta(ge=1, le=100_000, description="Bad messages in a row that end a connection.")
    ] = 20
    swap_before_s: Annotated[
        float,
        Meta(
            ge=0,
            le=7_200,
            description="How long before the exchange's cut a connection is replaced.",
        ),
    ] = 600.0
    redundant: Annotated[
        int,
        Meta(
            ge=1,
            le=4,
            description="Connections that carry each symbol; the first by update id wins.",
        ),
    ] = 1
    idle_ms_max: Annotated[
        int,
        Meta(
            ge=100,
            le=60_000,
            description="A connection silent for longer is pinged; a busy one's quotes are SILENT.",
        ),
    ] = 1_000
    pong_ms_max: Annotated[
        int,
        Meta(
            ge=100,
            le=60_000,
            description="Neither data nor pong for this long after a ping: its quotes are SILENT.",
        ),
    ] = 1_000
    busy_per_s_min: Annotated[
        float,
        Meta(ge=1, le=1_000_000, description="A connection with more quotes a second is busy."),
    ] = 50.0
    unanswered_ms_max: Annotated[
        int,
        Meta(
            ge=500,
            le=3_600_000,
            description="A ping unanswered for longer ends the connection.",
        ),
    ] = 10_000
    silent_ms_min: Annotated[
        int,
        Meta(
            ge=100,
            le=86_400_000,
            description="No symbol of a connection that is heard is called silent before this.",
        ),
    ] = 30_000
    silent_intervals_max: Annotated[
        float,
        Meta(
            ge=2,
            le=100_000,
            description="Silence beyond this many of its own mean intervals is out of line, and "
            "counts for no more of them in that mean.",
        ),
    ] = 50.0
    frozen_ms_min: Annotated[
        int,
        Meta(
            ge=100,
            le=3_600_000,
            description="A connection without quotes for less than this is not ended for it.",
        ),
    ] = 10_000
    lag_ms_max: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600_000,
            description="Exchange time further behind the source's best makes a quote lagging.",
        ),
    ] = 2_000
    lag_drift_ppm: Annotated[
        float,
        Meta(ge=0, le=10_000, description="How fast the best lag may rise: drift of two clocks."),
    ] = 100.0
    clock_off_ms_max: Annotated[
        int,
        Meta(
            ge=1_000,
            le=86_400_000,
            description="Exchange time further ahead of ours is none; further behind: lagging.",
        ),
    ] = 60_000
    connect_timeout_s: Annotated[
        float, Meta(ge=0.001, le=120, description="Longest wait for an open websocket.")
    ] = 10.0
    first_quote_s_max: Annotated[
        float,
        Meta(
            ge=0.001,
            le=3_600,
            description="A symbol without a first quote after this is asked for again.",
        ),
    ] = 60.0
    first_quote_quiet_s_max: Annotated[
        float,
        Meta(ge=0.001, le=86_400, description="The same of a symbol that discovery found quiet."),
    ] = 1_800.0
    answer_s_max: Annotated[
        float,
        Meta(
            ge=0.001,
            le=120,
            description="A request without an answer after this is sent again, each further time "
            "after twice as long.",
        ),
    ] = 5.0
    ask_again_s_min: Annotated[
        float,
        Meta(
            ge=0.001,
            le=3_600,
            description="First pause before a refused or silent symbol is asked for once more; the "
            "next is five times as long.",
        ),
    ] = 60.0
    ask_again_s_max: Annotated[
        float,
        Meta(
            ge=0.001,
            le=86_400,
            description="Longest such pause. Who quotes too seldom to have a rate waits it.",
        ),
    ] = 900.0
    cpus: Annotated[CpuList, Meta(description="CPUs the process is pinned to; empty: any.")] = (
        field(default_factory=list)
    )


class Engine(Struct, forbid_unknown_fields=True, frozen=True):
    """spread-engine: evaluates what changed and pushes signals."""

    idle: Annotated[
        Literal["spin", "spin-park", "park"],
        Meta(description="What the loop does when nothing is dirty."),
    ] = "spin-park"
    spin_us: Annotated[
        int, Meta(ge=0, le=1_000_000, description="How long spin-park spins before it parks.")
    ] = 50
    park_ms_max: Annotated[
        int, Meta(ge=1, le=1_000, description="Longest park; a lost wake-up costs at most this.")
    ] = 10
    dirty_per_cycle_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Cells evaluated per cycle; the rest stays dirty."),
    ] = 4_096
    stale_ms_max: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400_000,
            description="A quote without news for longer makes no signal, however quiet its coin.",
        ),
    ] = 600_000
    skew_ms_max: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400_000,
            description="A leg further behind the other makes no signal if its silence is overdue.",
        ),
    ] = 2_000
    implausible_bps: Annotated[
        float,
        Meta(
            gt=0,
            le=1_000_000,
            description="Spreads beyond it, or legs so far from three others, make no signal.",
        ),
    ] = 1_000.0
    implausible_hold_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="Stands it for so long, the pair is blocked until discovery judges anew.",
        ),
    ] = 10.0
    evaluations_kept: Annotated[
        int,
        Meta(
            ge=64, le=1_048_576, description="Evaluations kept for spread-ctl why; a power of two."
        ),
    ] = 8_192
    hold_h: Annotated[
        float,
        Meta(
            ge=0,
            le=720,
            description="How long a position is held: what its settlements charge is a cost.",
        ),
    ] = 0.0
    funding_credit: Annotated[
        bool,
        Meta(
            description="True: funding that would be received counts, too; else only what is paid."
        ),
    ] = False
    basis_half_life_s: Annotated[
        float,
        Meta(
            ge=1,
            le=2_592_000,
            description="What leaving usually earns: looks so old weigh half of the present one.",
        ),
    ] = 3_600.0
    basis_trust_s: Annotated[
        float,
        Meta(
            gt=0,
            le=2_592_000,
            description="Weight of looks, one a second, from which on what is usual is trusted: "
            "291 is five minutes of fresh ones. Below half-life x 1.44: nothing weighs more.",
        ),
    ] = 291.0
    credit_usual_basis: Annotated[
        bool,
        Meta(
            description="True: leaving earns the median of its last 4 h, by spread-analyst, better "
            "than parity or not; while that is not known, what it does without this."
        ),
    ] = False
    signal_basis_unknown: Annotated[
        bool,
        Meta(description="True: signals also before it is known what leaving usually earns."),
    ] = False
    enter_z_min: Annotated[
        ZScore | None,
        Meta(
            description="So many deviations must gross stand above its mean of the analyst's "
            "middle half-life; while that is not known there is no signal. Absent: not asked.",
        ),
    ] = None
    slice_us: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Scheduler slice asked for unless idle is spin; short: woken sooner.",
        ),
    ] = 100
    cpus: Annotated[CpuList, Meta(description="CPUs the process is pinned to; empty: any.")] = (
        field(default_factory=list)
    )


class Tracker(Struct, forbid_unknown_fields=True, frozen=True):
    """spread-tracker: follows each opportunity from its signal to its end."""

    sample_ms: Annotated[int, Meta(ge=10, le=60_000, description="Grid of the samples.")] = 200
    late_ms_max: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="A sample later than this after its grid point is marked late.",
        ),
    ] = 20
    sample_exited_ms: Annotated[
        int,
        Meta(
            ge=10,
            le=600_000,
            description="Grid after the engine's exit, in steps of sample_ms, until a signal.",
        ),
    ] = 5_000
    life_s_max: Annotated[
        float, Meta(gt=0, le=604_800, description="It expires this long after its last signal.")
    ] = 3_600.0
    take_share: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="Converged when closing would realise this share of the first net.",
        ),
    ] = 0.8
    converge_ms: Annotated[
        int, Meta(ge=0, le=3_600_000, description="How long that must hold.")
    ] = 1_000
    stale_hold_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=3_600_000,
            description="How long a leg may be stale before its opportunity closes.",
        ),
    ] = 5_000
    resume_gap_s_max: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="After a longer gap an open opportunity is closed at start. A restart "
            "waits for discovery, which systemd allows five minutes.",
        ),
    ] = 330.0
    open_max: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Opportunities open at once; more are counted, not followed.",
        ),
    ] = 1_000
    commit_ms: Annotated[
        int,
        Meta(ge=1, le=60_000, description="Longest until what a signal made is in the database."),
    ] = 200
    samples_commit_s: Annotated[
        float,
        Meta(
            gt=0,
            le=600,
            description="The same of samples, which 64 kB of them shorten; a kill costs as much.",
        ),
    ] = 10.0
    pending_max: Annotated[
        int,
        Meta(ge=100, le=10_000_000, description="Rows kept while the database cannot be written."),
    ] = 200_000
    samples_keep_days: Annotated[
        float,
        Meta(
            ge=0,
            le=36_500,
            description="Older samples are deleted; 0: never.",
        ),
    ] = 30.0
    keep_days: Annotated[
        float,
        Meta(
            ge=0,
            le=36_500,
            description="Opportunities closed longer ago, and their probes, are deleted; 0: never.",
        ),
    ] = 730.0
    database_mb_max: Annotated[
        float,
        Meta(
            ge=0,
            le=1e9,
            description="Beyond it the oldest samples go, then the oldest opportunities; 0: never.",
        ),
    ] = 20_000.0
    reports_mb_max: Annotated[
        float,
        Meta(ge=1, le=1e6, description="Beyond it the oldest reports of the folder go."),
    ] = 200.0
    park_ms_max: Annotated[int, Meta(ge=1, le=1_000, description="Longest park on the ring.")] = 50
    warm_us: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="A parked tracker stirs this often, to be woken sooner; 0: never.",
        ),
    ] = 0
    report_every_s: Annotated[
        float, Meta(ge=0, le=86_400, description="How often the report is written; 0: never.")
    ] = 3_600.0
    size_cap_quote: Annotated[
        float,
        Meta(gt=0, le=1e12, description="The report counts no trade as larger, quote coins."),
    ] = 10_000.0
    slice_us: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Scheduler slice asked for: short ones run sooner when woken; 0: none.",
        ),
    ] = 100
    cpus: Annotated[CpuList, Meta(description="CPUs the process is pinned to; empty: any.")] = (
        field(default_factory=list)
    )


class Alerts(Struct, forbid_unknown_fields=True, frozen=True):
    """Who is told about what. Off while no target is set."""

    webhook_url: Annotated[str, Meta(description="Gets a JSON POST per alert; empty: off.")] = ""
    telegram_api: Annotated[str, Meta(description="Base of the bot API.")] = (
        "https://api.telegram.org"
    )
    telegram_token_file: Annotated[
        str,
        Meta(
            description="File that holds the bot token (a systemd credential), relative to the "
            "config folder's parent; empty: off."
        ),
    ] = ""
    telegram_chat_id: Annotated[str, Meta(description="Chat the bot writes to.")] = ""
    repeat_s_min: Annotated[
        float,
        Meta(ge=0, le=86_400, description="The same alert is not repeated sooner; 0: never."),
    ] = 300.0
    repeat_patient_s_min: Annotated[
        float,
        Meta(
            ge=0,
            le=2_592_000,
            description="The same of what is in no hurry: quarantine, old tables, versions, a "
            "clock that was set, what is switched off; 0: never.",
        ),
    ] = 86_400.0
    per_minute_max: Annotated[
        int,
        Meta(ge=1, le=600, description="Alerts sent per minute; the rest are summed up in one."),
    ] = 10
    opportunity_net_bps: Annotated[
        float, Meta(ge=0, le=100_000, description="Opportunities below this are not announced.")
    ] = 50.0
    disk_free_mb_min: Annotated[
        float, Meta(ge=0, le=1e9, description="Less room than this for data is told.")
    ] = 200.0
    disk_full_h_min: Annotated[
        float,
        Meta(
            ge=0,
            le=87_600,
            description="A disk that will be full sooner, as it has filled for the last hour, is "
            "told; 0: never.",
        ),
    ] = 24.0
    wal_mb_max: Annotated[
        float,
        Meta(
            ge=0.1,
            le=1e6,
            description="More than this beside the database (tracker.db-wal) is told: some reader "
            "does not end.",
        ),
    ] = 256.0
    clock_step_s_max: Annotated[
        float,
        Meta(ge=0.1, le=86_400, description="A wall clock that was set by more is told."),
    ] = 2.0
    tables_age_h_max: Annotated[
        float,
        Meta(
            ge=0.1,
            le=8_760,
            description="Tables that no full discovery has judged for longer are told.",
        ),
    ] = 24.0
    switched_h_max: Annotated[
        float,
        Meta(ge=0, le=8_760, description="A halt or a pause that stands longer is told."),
    ] = 24.0

    heartbeat_url: Annotated[
        str,
        Meta(
            description="Asked at a period, for who tells when that stays away (a dead man's "
            "snitch); empty: off."
        ),
    ] = ""
    heartbeat_method: Annotated[
        Literal["GET", "POST", "HEAD"], Meta(description="How it is asked.")
    ] = "GET"
    heartbeat_s: Annotated[
        float, Meta(ge=1, le=86_400, description="How often; what fails is tried sooner.")
    ] = 60.0
    heartbeat_when: Annotated[
        Literal["alive", "well"],
        Meta(
            description='"alive": while spread-alerts lives and sees the system; "well": not while '
            "anything stands that is in a hurry."
        ),
    ] = "alive"

    @property
    def wanted(self) -> bool:
        """Whether somebody is to be told: else the process has nothing to do."""
        return bool(self.webhook_url or self.telegram_token_file or self.heartbeat_url)


HalfLives = Annotated[
    list[Annotated[float, Meta(ge=10, le=604_800)]], Meta(min_length=3, max_length=3)
]


class Analyst(Struct, forbid_unknown_fields=True, frozen=True):
    """How spreads and prices usually stand. Off until it is enabled."""

    enabled: Annotated[bool, Meta(description="True: it runs; some 1 % of a CPU, 100 MB.")] = False
    half_lives_s: Annotated[
        HalfLives,
        Meta(description="Three, of a pair's weighted means and deviations, the shortest first."),
    ] = field(default_factory=lambda: [300.0, 3_600.0, 14_400.0])
    rsi_bars: Annotated[
        int, Meta(ge=2, le=1_000, description="Period of the RSI (Wilder's smoothing).")
    ] = 14
    ema_bars: Annotated[int, Meta(ge=2, le=1_000, description="Period of the EMA.")] = 20
    bollinger_bars: Annotated[
        int, Meta(ge=2, le=200, description="Bars that the Bollinger bands look at.")
    ] = 20
    bollinger_deviations: Annotated[
        float, Meta(gt=0, le=10, description="Deviations from the middle to a band.")
    ] = 2.0
    cpus: Annotated[CpuList, Meta(description="CPUs the process is pinned to; empty: any.")] = (
        field(default_factory=list)
    )

    @property
    def wanted(self) -> bool:
        """Whether it has anything to do."""
        return self.enabled


_Mint = Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}$")]


class Paths(Struct, forbid_unknown_fields=True, frozen=True):
    """Cycles over the pools of pools.toml. Off until it is enabled."""

    enabled: Annotated[
        bool, Meta(description="True: it runs where pools.toml is enabled; needs [solana].")
    ] = False
    hops_max: Annotated[int, Meta(ge=2, le=5, description="Swaps of the longest cycles.")] = 4
    cycles_kept: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Best cycles, by their tokens, that a search hands on."),
    ] = 100
    routes_max: Annotated[
        int, Meta(ge=1, le=100, description="Choices of pools that are weighed for each of them.")
    ] = 4
    confirmed_max: Annotated[
        int,
        Meta(ge=1, le=1_000, description="Of all these, the most promising: quoted with integers."),
    ] = 8
    scan_every_s: Annotated[
        float, Meta(ge=0.1, le=3_600, description="How often everything is searched anew.")
    ] = 5.0
    start_mints: Annotated[
        list[_Mint],
        Meta(
            min_length=1,
            description="Mints that a cycle may begin and end with, the first that it has first.",
        ),
    ] = field(
        default_factory=lambda: [
            "So11111111111111111111111111111111111111112",
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
        ]
    )
    depth_min_sol: Annotated[
        float,
        Meta(ge=0, le=1e9, description="Pools that hold less on either side are left out."),
    ] = 10.0
    one_slot: Annotated[
        bool,
        Meta(
            description="True: a cycle waits until its pools are known as of the end of one slot; "
            "False: it is kept at once, and marked where they are not."
        ),
    ] = True
    net_min_sol: Annotated[
        float,
        Meta(ge=0, le=1e6, description="Cycles that do not pay more than this are not kept."),
    ] = 0.0
    landing_half_micro_lamports: Annotated[
        float,
        Meta(
            gt=0,
            le=1e12,
            description="Of the model of landing: the fee for a unit at which half of them land.",
        ),
    ] = 50_000.0
    age_half_ms: Annotated[
        float, Meta(gt=0, le=1e9, description="A score halves with so much age of the oldest leg.")
    ] = 400.0
    keep_days: Annotated[
        float,
        Meta(ge=0, le=36_500, description="How long cycles are kept after their end; 0: for ever."),
    ] = 14.0
    database_mb_max: Annotated[
        float, Meta(ge=0, le=1e6, description="The oldest go beyond this; 0: however large.")
    ] = 200.0
    cpus: Annotated[CpuList, Meta(description="CPUs the process is pinned to; empty: any.")] = (
        field(default_factory=list)
    )

    @property
    def wanted(self) -> bool:
        """Whether it is to run, as far as its own section says."""
        return self.enabled


class Recorder(Struct, forbid_unknown_fields=True, frozen=True):
    """The log of the market. Off until it is enabled."""

    enabled: Annotated[
        bool, Meta(description="True: it runs; 1.6 MB of disk a second at 20,000 quotes/s.")
    ] = False
    raw_h: Annotated[
        float, Meta(gt=0, le=8_760, description="Segments older than this are given up.")
    ] = 2.0
    history: Annotated[
        bool,
        Meta(
            description="Hours that are over become Parquet in data_dir/history before their "
            "segments are given up; needs the extra [history]."
        ),
    ] = True
    pack: Annotated[
        bool,
        Meta(
            description="Segments older than the newest GB, and in the history where one is kept, "
            "are packed: some sixth of their size, the same records, slower to read.",
        ),
    ] = True
    ticks_days: Annotated[
        float, Meta(gt=0, le=36_500, description="How long ticks stay in the history.")
    ] = 7.0
    candles_1s_days: Annotated[
        float, Meta(gt=0, le=36_500, description="How long candles of a second stay in it.")
    ] = 14.0
    candles_1m_days: Annotated[
        float,
        Meta(
            gt=0,
            le=36_500,
            description="How long candles of a minute, signals and gaps stay in it.",
        ),
    ] = 365.0
    budget_gb: Annotated[
        float,
        Meta(
            ge=0.2,
            le=1e6,
            description="Log and history together are not larger: segments that are in the history "
            "go first, then the oldest ticks, then candles; the log alone has half of it. What the "
            "last two snapshots do not know stays all the same.",
        ),
    ] = 50.0
    free_gb_min: Annotated[
        float,
        Meta(
            ge=0,
            le=1e6,
            description="With less room on its disk old segments are given up, and it is degraded, "
            "as it is where that is less than half an hour away.",
        ),
    ] = 5.0
    cpus: Annotated[CpuList, Meta(description="CPUs the process is pinned to; empty: any.")] = (
        field(default_factory=list)
    )

    @property
    def wanted(self) -> bool:
        """Whether it has anything to do."""
        return self.enabled


BookSizes = Annotated[list[Annotated[float, Meta(gt=0, le=1e12)]], Meta(min_length=1, max_length=8)]


class Gateway(Struct, forbid_unknown_fields=True, frozen=True):
    """What programs and people read over HTTP. Off until it is enabled."""

    enabled: Annotated[bool, Meta(description="True: it runs, and says its address.")] = False
    host: Annotated[
        str,
        Meta(
            pattern=r"^[^\s/]+$",
            description="Address it listens at; any but one of this machine alone wants a "
            "token_file.",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65_535, description="0: any that is free; the health row says which.")
    ] = 3_001
    token_file: Annotated[
        str,
        Meta(
            description="File with the token that whoever asks has to send as Authorization: "
            "Bearer; empty: nobody has to.",
        ),
    ] = ""
    control_token_file: Annotated[
        str,
        Meta(
            description="File with the token that halt, allow, pause, resume and reload want; "
            "empty: they cannot be asked for.",
        ),
    ] = ""
    tls_certificate: Annotated[
        str, Meta(description="File of PEM certificates; empty: plain HTTP.")
    ] = ""
    tls_key: Annotated[str, Meta(description="File with the certificate's PEM key.")] = ""
    hosts: Annotated[
        list[Annotated[str, Meta(pattern=r"^[^\s/:]+$")]],
        Meta(
            description="Names it may be asked by, without a port; addresses and localhost always "
            "may.",
        ),
    ] = field(default_factory=list)
    origins: Annotated[
        list[Annotated[str, Meta(pattern=r"^https?://[^\s/]+$")]],
        Meta(
            description="Pages that may read /v1 and log in in a browser beside its own: "
            "https://example.org; behind a proxy with the certificate the dashboard's own.",
        ),
    ] = field(default_factory=list)
    connections_max: Annotated[
        int, Meta(ge=1, le=65_536, description="Connections at once; the next is refused.")
    ] = 1_024
    rate_per_s: Annotated[
        float,
        Meta(
            gt=0, le=1e6, description="Requests a second of an address; this machine has no limit."
        ),
    ] = 200.0
    rate_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests of one address that may come at once.")
    ] = 400
    cpus: Annotated[CpuList, Meta(description="CPUs the process is pinned to; empty: any.")] = (
        field(default_factory=list)
    )

    @property
    def wanted(self) -> bool:
        """Whether it has anything to do."""
        return self.enabled


class Books(Struct, forbid_unknown_fields=True, frozen=True):
    """Order books: which are followed, and for what sizes a spread is reckoned from them."""

    books_max: Annotated[
        int,
        Meta(ge=0, le=1_024, description="Books of a source that are followed at once; 0: none."),
    ] = 64
    books_linger_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="So long a book is followed after nobody wants it any more.",
        ),
    ] = 60.0
    books_margin_bps: Annotated[
        float,
        Meta(
            ge=-1,
            le=10_000,
            description="Books of pairs that stand or are within so much of enter_bps are wanted; "
            "0: of those that stand alone; -1: not for that.",
        ),
    ] = 0.0
    sizes_quote: Annotated[
        BookSizes,
        Meta(description="Sizes in the quote coin for which a spread is reckoned, ascending."),
    ] = field(default_factory=lambda: [100.0, 1_000.0, 10_000.0, 100_000.0])
    watch: Annotated[
        list[str],
        Meta(description="Symbols whose books are always wanted, of each source that lists them."),
    ] = field(default_factory=list)

    @property
    def wants_near(self) -> bool:
        """Whether the engine is to say how near pairs are to their thresholds."""
        return self.books_max > 0 and self.books_margin_bps >= 0


class Config(
    Struct,
    forbid_unknown_fields=True,
    frozen=True,
    rename={
        "pair_discovery": "pair-discovery",
        "spread_engine": "spread-engine",
        "spread_tracker": "spread-tracker",
        "feeds": "feed-<source>",
        "spread_alerts": "spread-alerts",
        "spread_analyst": "spread-analyst",
        "spread_recorder": "spread-recorder",
        "spread_gateway": "spread-gateway",
        "spread_paths": "spread-paths",
    },
):
    """config.toml."""

    system: System = System()
    pair_discovery: Discovery = field(default_factory=Discovery)
    feed: Feed = field(default_factory=Feed)
    feeds: dict[str, Feed] = field(default_factory=dict)  # by source label; made from [feed-*]
    spread_engine: Engine = field(default_factory=Engine)
    spread_tracker: Tracker = field(default_factory=Tracker)
    spread_alerts: Alerts = field(default_factory=Alerts)
    spread_analyst: Analyst = field(default_factory=Analyst)
    spread_recorder: Recorder = field(default_factory=Recorder)
    spread_gateway: Gateway = field(default_factory=Gateway)
    spread_paths: Paths = field(default_factory=Paths)
    books: Books = field(default_factory=Books)


class SourceSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """One source; what the exchange's documentation leaves open is set here."""

    rest_url: Annotated[str, Meta(pattern=r"^https?://", description="Base of the REST interface.")]
    ws_url: Annotated[str, Meta(pattern=r"^wss?://", description="Public websocket to dial.")]
    enabled: Annotated[bool, Meta(description="False leaves the source out everywhere.")] = True
    proxy: Annotated[
        str,
        Meta(
            pattern=r"^$|^(http|socks5)://",
            description="Proxy for REST and websocket, http:// or socks5://; empty: none.",
        ),
    ] = ""
    ca_file: Annotated[
        str,
        Meta(
            description="PEM file of authorities that are trusted beside the system's own, "
            "relative to the config folder's parent."
        ),
    ] = ""
    channel: Annotated[
        str,
        Meta(
            description="Best-bid/ask channel, where the exchange has several; empty: the fastest."
        ),
    ] = ""
    depth_channel: Annotated[
        str,
        Meta(
            description="Channel of order books, where the exchange has several; empty: the one "
            "that needs no REST snapshots."
        ),
    ] = ""
    topics_per_connection_max: Annotated[
        int, Meta(ge=0, le=10_000, description="Symbols per connection; 0: the exchange's limit.")
    ] = 0
    notices: Annotated[
        bool,
        Meta(
            description="Hear maintenance and halts on a connection of their own, where there is "
            "such a stream."
        ),
    ] = True
    funding_bulk: Annotated[
        bool,
        Meta(description="False: funding is asked for listing by listing, not in one call."),
    ] = True
    taker_fee_bps: Annotated[FeeBps, Meta(description="Taker fee of one fill.")] = 10.0
    fee_tier: Annotated[
        str, Meta(description="Name of a row of fee_tiers_bps; empty: taker_fee_bps.")
    ] = ""
    fee_tiers_bps: Annotated[dict[str, FeeBps], Meta(description="Taker fee by tier.")] = field(
        default_factory=dict
    )
    symbol_fees_bps: Annotated[
        dict[str, FeeBps], Meta(description="Taker fee by symbol, before any tier.")
    ] = field(default_factory=dict)

    def fee_bps(self, symbol: str) -> float:
        """Taker fee of one fill of a symbol ("BTC-USDT")."""
        if symbol in self.symbol_fees_bps:
            return self.symbol_fees_bps[symbol]
        return self.fee_tiers_bps[self.fee_tier] if self.fee_tier else self.taker_fee_bps


NetBps = Annotated[float, Meta(ge=-10_000, le=100_000)]
StepBps = Annotated[float, Meta(gt=0, le=100_000)]
PauseMs = Annotated[int, Meta(ge=0, le=86_400_000)]
SizeQuote = Annotated[float, Meta(ge=0, le=1e12)]
CloseAt = Literal["usual", "parity"]


class Thresholds(Struct, forbid_unknown_fields=True, frozen=True):
    """When a spread pays. All in basis points of the spot ask, net of all costs."""

    enter_bps: Annotated[NetBps, Meta(description="Net spread that makes a signal.")] = 10.0
    exit_bps: Annotated[
        NetBps,
        Meta(description="Net spread below which the signal is over; at most enter_bps."),
    ] = 5.0
    resignal_step_bps: Annotated[
        StepBps, Meta(description="Rise since the last signal that makes a re-signal.")
    ] = 5.0
    cooldown_ms: Annotated[
        PauseMs, Meta(description="Pause after an exit before the next signal.")
    ] = 0
    size_quote_min: Annotated[
        SizeQuote, Meta(description="Least size of both tops, in quote currency.")
    ] = 0.0
    close_at: Annotated[
        CloseAt,
        Meta(
            description="What leaving is assumed to earn: what it usually does, or, for those who "
            "wait until the mids meet, what the usual widths leave then."
        ),
    ] = "usual"
    enabled: Annotated[bool, Meta(description="False: evaluated, never signalled.")] = True


class ThresholdOverride(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The same keys as Thresholds, each optional."""

    enter_bps: NetBps | None = None
    exit_bps: NetBps | None = None
    resignal_step_bps: StepBps | None = None
    cooldown_ms: PauseMs | None = None
    size_quote_min: SizeQuote | None = None
    close_at: CloseAt | None = None
    enabled: bool | None = None


class Symbols(Struct, forbid_unknown_fields=True, frozen=True):
    """What discovery takes, leaves and renames."""

    allow: Annotated[list[str], Meta(description="Only these symbols; empty: all.")] = field(
        default_factory=list
    )
    deny: Annotated[
        list[str],
        Meta(description="Never these symbols, or 'source:EXCHANGE_SYMBOL' for one listing."),
    ] = field(default_factory=list)
    alias: Annotated[
        dict[str, str],
        Meta(description="'source:EXCHANGE_SYMBOL' or 'source:BASE' to the base it really is."),
    ] = field(default_factory=dict)
    multiplier: Annotated[
        dict[str, Annotated[float, Meta(ge=1e-18, le=1e18)]],
        Meta(description="'source:EXCHANGE_SYMBOL' to the coins in one unit of its base."),
    ] = field(default_factory=dict)
    identity_band_pct: Annotated[
        dict[str, Annotated[float, Meta(gt=0, le=100)]],
        Meta(description="Band of one symbol instead of the general one."),
    ] = field(default_factory=dict)


class Directions(Struct, forbid_unknown_fields=True, frozen=True):
    """directions.toml."""

    defaults: Thresholds = Thresholds()
    direction: dict[str, ThresholdOverride] = field(default_factory=dict)
    symbol: dict[str, ThresholdOverride] = field(default_factory=dict)
    pair: dict[str, ThresholdOverride] = field(default_factory=dict)  # "binance-bybit:BTC-USDT"
    symbols: Symbols = field(default_factory=Symbols)

    def thresholds(self, direction: str, symbol: str) -> Thresholds:
        """Of one pair: the defaults, then its direction's, its symbol's, its own overrides. One
        from pools is disabled by default."""
        merged = msgspec.structs.asdict(self.defaults)
        way = DIRECTION_BY_LABEL.get(direction)
        if way is not None and way.spot.exchange.by_pools:
            merged["enabled"] = False
        overrides = (
            self.direction.get(direction),
            self.symbol.get(symbol),
            self.pair.get(f"{direction}:{symbol}"),
        )
        for override in filter(None, overrides):
            values = msgspec.structs.asdict(override)
            merged.update({key: value for key, value in values.items() if value is not None})
        return Thresholds(**merged)


_HERE = ("127.0.0.1", "::1", "localhost")


class Settings(Struct, frozen=True):
    """All four files, checked."""

    folder: Path
    config: Config
    exchanges: dict[str, SourceSettings]
    directions: Directions
    pools: PoolSettings = field(default_factory=PoolSettings)

    def path(self, setting: str) -> Path:
        """A folder of the settings: relative ones lie beside the config folder."""
        return (self.folder.parent / setting).resolve()

    @property
    def generated_dir(self) -> Path:
        return self.path(self.config.system.generated_dir)

    @property
    def data_dir(self) -> Path:
        return self.path(self.config.system.data_dir)

    def feed(self, source_label: str) -> Feed:
        return self.config.feeds.get(source_label, self.config.feed)

    def cpus(self, process: str) -> list[int]:
        """The CPUs that a process's own section names."""
        if process == FEED_SOLANA:
            return self.pools.cpus
        if process.startswith("feed-"):
            return self.feed(process.removeprefix("feed-")).cpus
        section = getattr(self.config, process.replace("-", "_"), None)
        return list(getattr(section, "cpus", ()))

    def runs(self, source: Source) -> bool:
        """Whether anybody is to write this source: of pools, where the store has a row for it."""
        if source.exchange.by_pools:
            fits = source.source_id < self.config.system.num_sources
            return fits and self.pools.enabled and any(self.pools.of_source(source))
        return self.exchanges[source.label].enabled

    def signals(self, direction: str, symbol: str) -> bool:
        """Whether a pair may be signalled: both its sources run, and it is not switched off in
        directions.toml. No pair of a direction that there is not."""
        way = DIRECTION_BY_LABEL.get(direction)
        if way is None or not (self.runs(way.spot) and self.runs(way.futures)):
            return False
        return self.directions.thresholds(direction, symbol).enabled

    def fee_bps(self, source: Source, symbol: str) -> float:
        """Taker fee of one fill; pools have theirs in their prices. symbology.fees has the rest."""
        if source.exchange.by_pools:
            return 0.0
        return self.exchanges[source.label].fee_bps(symbol)

    @property
    def simulated(self) -> bool:
        """Whether all exchanges are on this machine, as exchange-sim's are."""
        enabled = [source for source in self.exchanges.values() if source.enabled]
        hosts = [urlsplit(source.rest_url).hostname for source in enabled]
        return bool(hosts) and all(host in _HERE for host in hosts)

    @property
    def digest(self) -> int:
        """64 bits that differ with any setting: whether two processes have the same."""
        parts = (self.config, self.exchanges, self.directions, self.pools)
        said = repr([str(self.generated_dir), str(self.data_dir)]).encode()
        said += msgspec.json.encode(parts, order="deterministic")
        return int.from_bytes(hashlib.sha256(said).digest()[:8], "little")
