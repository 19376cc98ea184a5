"""What commands that do something answer under --json; those that look print records of the
view."""

from msgspec import Struct

from spread_scanner.orders.orders import Outcome


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """One JSON document."""


class Failure(Document, frozen=True):
    """Any command that ended with an error of the world."""

    error: str
    exit_code: int


class Ended(Document, frozen=True):
    """`down`."""

    did: str
    ended: bool
    still_running: list[str]
    segments_kept: list[str]  # somebody looks at them
    hindrances: dict[str, str] = {}  # what those who still run do instead, as far as it is seen


class Discovered(Document, frozen=True):
    """`discover`; without a reload the system was not up."""

    ok: bool
    exit_code: int  # pair-discovery's: 3, some source was away
    seconds: float
    reload: Outcome | None = None
    published: bool = False  # a set of tables; a quick look may have found nothing new
    error: str = ""  # what pair-discovery said last, where it failed


class Cleaned(Document, frozen=True):
    """`clean`."""

    removed: list[str]
    kept: list[str]  # a live process holds them


class Copied(Document, frozen=True):
    """`backup`."""

    file: str
    bytes: int


class PoolSwap(Document, frozen=True):
    """`pools quote`; amounts in the smallest units of each token, with transfer fees in them."""

    pool: str
    program: str
    provider: str  # who told how the pool stands
    slot: int  # at whose end it stood so
    unix_ts: int  # of the chain's clock then, by which fees change
    exact: str  # "in" or "out": which amount was asked for
    coin_in: str
    coin_out: str
    mint_in: str
    mint_out: str
    decimals_in: int
    decimals_out: int
    amount_in: int
    amount_out: int
    price: float  # whole tokens out per whole token in, fees and impact in it
    fee: int  # the pool's
    fee_coin: str
    transfer_fee_in: int
    transfer_fee_out: int
    crossed: int  # ticks or bins that the price goes through


class LogSegment(Document, frozen=True):
    """A segment of the log."""

    file: str
    first_seq: int
    begun_wall_ns: int
    namespace: str
    bytes: int  # of its file; of one that is packed fewer than it holds
    packed: bool
    unreadable: str  # why, where another version wrote it


class LogHole(Document, frozen=True):
    """Where the log stops making sense: `damage`, or else the torn tail of a crash."""

    file: str
    offset: int
    seq: int  # of the first record that is not there
    good_after: int  # records behind it in that segment
    damage: bool


class LogSalvaged(Document, frozen=True):
    """What was copied of a damaged log."""

    folder: str
    records: int
    missing: int


class LogImported(Document, frozen=True):
    """What was made a log of its own, and what recordings held besides quotes, by reason."""

    folder: str
    records: int
    skipped: dict[str, int]


class LogShown(Document, frozen=True):
    """`wal`. `info` reads the heads of the segments alone: what needs the rest is null then."""

    folder: str
    segments: list[LogSegment]
    cut_off: list[LogSegment]  # older ones that nothing leads to, as the one behind is gone
    records: dict[str, int] | None  # by kind
    bytes: int | None
    next_seq: int | None
    closed: bool | None  # its writer ended by itself
    holes: list[LogHole] | None
    salvaged: LogSalvaged | None
    imported: LogImported | None


class Exported(Document, frozen=True):
    """`export`."""

    file: str
    rows: int
    bytes: int


class ReplayPair(Document, frozen=True):
    """Enters of a pair; null: none."""

    direction: str
    symbol: str
    signalled: int
    replayed: int
    signalled_net_bps_max: float | None
    replayed_net_bps_max: float | None


class ReplayShown(Document, frozen=True):
    """`replay`. Times are of the session clock; why a signal is on one side alone: docs/log.md."""

    folder: str
    since_ns: int
    until_ns: int
    settings: list[str]  # what was set otherwise
    played_since_ns: int | None  # what of the log was played; null: nothing that can be signalled
    played_until_ns: int | None
    played: dict[str, int]  # from where the log begins
    signalled: int
    replayed: int
    same: int
    only_signalled: dict[str, int]
    only_replayed: dict[str, int]
    recomputed: dict[str, int]  # what was signalled worked out again, by what became of it
    pairs: list[ReplayPair]
    digest: str  # of all that was replayed


class Vacuumed(Document, frozen=True):
    """`vacuum`: the size of the database's file."""

    bytes_before: int
    bytes_after: int


class Check(Document, frozen=True):
    """One finding of `doctor`. `advice` is empty where all is well."""

    name: str
    result: str  # ok, warn or fail
    found: str
    advice: str = ""


class Examined(Document, frozen=True):
    """`doctor`."""

    version: str
    ok: bool  # nothing failed
    failed: list[str]
    checks: list[Check]
