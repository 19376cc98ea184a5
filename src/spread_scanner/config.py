"""Every setting of the system, defined once: name, unit, default, range and one sentence.

Three files in one folder, read by every process at start and at reload:

    config.toml      how the processes run: one section per process, named as the process is
    exchanges.toml   how to reach each source, its limits and its fees
    directions.toml  when a spread pays, per direction and symbol; allow, deny and alias lists

An environment variable overrides a key: SPREAD_<SECTION>__<KEY> for config.toml, for example
SPREAD_SYSTEM__NAMESPACE=test; SPREAD_EXCHANGES__BINANCE_SPOT__WS_URL=... and
SPREAD_DIRECTIONS__DEFAULTS__ENTER_BPS=5 for the other two files. Dashes become underscores.

An unknown or bad key is a ConfigError that names the file, the key and what is allowed. The folder
is SPREAD_CONFIG_DIR, else ./config, else /etc/spread-scanner.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SOURCES

Namespace = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="letters, digits, _ -"),
]
CpuList = Annotated[list[Annotated[int, Meta(ge=0, le=4095)]], Meta(max_length=4096)]


class System(Struct, forbid_unknown_fields=True, frozen=True):
    """What all processes must agree on; sizes go into the segment headers."""

    namespace: Annotated[
        Namespace,
        Meta(description="Prefix of every shared-memory segment; one system per namespace."),
    ] = "spread"
    num_sources: Annotated[int, Meta(ge=8, le=64, description="Rows of the price store.")] = 8
    max_symbols: Annotated[
        int, Meta(ge=64, le=16_384, description="Symbols the price store holds.")
    ] = 1_024
    ring_slots: Annotated[
        int, Meta(ge=2, le=1_048_576, description="Slots of the signal ring; a power of two.")
    ] = 65_536
    generated_dir: Annotated[
        str,
        Meta(
            description="Folder that pair-discovery writes, relative to the config folder's parent."
        ),
    ] = "generated"
    data_dir: Annotated[str, Meta(description="Folder of the tracker's database and reports.")] = (
        "data"
    )
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


class Discovery(Struct, forbid_unknown_fields=True, frozen=True):
    """pair-discovery: one shot, writes the generated tables."""

    quotes: Annotated[list[str], Meta(description="Quote assets whose pairs are taken.")] = field(
        default_factory=lambda: ["USDT"]
    )
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
    rest_timeout_s: Annotated[
        float, Meta(gt=0, le=300, description="Longest wait for one REST answer.")
    ] = 10.0
    rest_attempts_max: Annotated[int, Meta(ge=1, le=20, description="Tries per REST request.")] = 5
    rest_backoff_s_max: Annotated[
        float, Meta(gt=0, le=600, description="Longest pause between two tries.")
    ] = 20.0


class Feed(Struct, forbid_unknown_fields=True, frozen=True):
    """Every feed; a section named after one feed overrides these for it."""

    backoff_s_min: Annotated[
        float, Meta(gt=0, le=60, description="First pause before a reconnect.")
    ] = 0.25
    backoff_s_max: Annotated[
        float, Meta(gt=0, le=3_600, description="Longest pause before a reconnect.")
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
    silent_ms_min: Annotated[
        int, Meta(ge=100, le=86_400_000, description="No quote is called silent before this age.")
    ] = 30_000
    silent_intervals_max: Annotated[
        float,
        Meta(
            ge=2,
            le=100_000,
            description="Silence beyond this many of its own mean intervals is out of line.",
        ),
    ] = 50.0
    frozen_ms_min: Annotated[
        int,
        Meta(
            ge=100,
            le=3_600_000,
            description="A connection is never called frozen before this silence.",
        ),
    ] = 10_000
    lag_ms_max: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600_000,
            description="Exchange time further behind its own best makes a quote lagging.",
        ),
    ] = 2_000
    connect_timeout_s: Annotated[
        float, Meta(gt=0, le=120, description="Longest wait for an open websocket.")
    ] = 10.0
    first_quote_s_max: Annotated[
        float,
        Meta(gt=0, le=3_600, description="A symbol without a first quote after this is reported."),
    ] = 60.0
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
        int, Meta(ge=1, le=86_400_000, description="A quote older than this makes no signal.")
    ] = 120_000
    skew_ms_max: Annotated[
        int,
        Meta(
            ge=1, le=86_400_000, description="Legs whose quotes lie further apart make no signal."
        ),
    ] = 120_000
    evaluations_kept: Annotated[
        int,
        Meta(
            ge=64, le=1_048_576, description="Evaluations kept for spread-ctl why; a power of two."
        ),
    ] = 8_192
    funding_hours: Annotated[
        float, Meta(ge=0, le=720, description="Holding time for which expected funding is charged.")
    ] = 8.0
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
    life_s_max: Annotated[
        float, Meta(gt=0, le=604_800, description="It expires this long after its last signal.")
    ] = 3_600.0
    converge_bps: Annotated[
        float,
        Meta(ge=-1_000, le=1_000, description="Converged when closing costs no more than this."),
    ] = 10.0
    converge_hold_ms: Annotated[
        int, Meta(ge=0, le=3_600_000, description="How long the convergence must hold.")
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
            description="After a longer gap an open opportunity is closed at start.",
        ),
    ] = 60.0
    open_max: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Opportunities open at once; more are counted, not followed.",
        ),
    ] = 1_000
    commit_ms: Annotated[
        int, Meta(ge=1, le=60_000, description="Longest time between two transactions.")
    ] = 200
    pending_max: Annotated[
        int,
        Meta(ge=100, le=10_000_000, description="Rows kept while the database cannot be written."),
    ] = 200_000
    samples_keep_days: Annotated[
        float,
        Meta(
            ge=0,
            le=36_500,
            description="Samples of opportunities closed longer ago are deleted; 0: never.",
        ),
    ] = 30.0
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
        str, Meta(description="File that holds the bot token (a systemd credential); empty: off.")
    ] = ""
    telegram_chat_id: Annotated[str, Meta(description="Chat the bot writes to.")] = ""
    repeat_s_min: Annotated[
        float, Meta(ge=0, le=86_400, description="The same alert is not repeated sooner.")
    ] = 300.0
    per_minute_max: Annotated[
        int,
        Meta(ge=1, le=600, description="Alerts sent per minute; the rest are summed up in one."),
    ] = 10
    opportunity_net_bps: Annotated[
        float, Meta(ge=0, le=100_000, description="Opportunities below this are not announced.")
    ] = 50.0


class Config(
    Struct,
    forbid_unknown_fields=True,
    frozen=True,
    rename={
        "pair_discovery": "pair-discovery",
        "spread_engine": "spread-engine",
        "spread_tracker": "spread-tracker",
    },
):
    """config.toml."""

    system: System = System()
    pair_discovery: Discovery = field(default_factory=Discovery)
    feed: Feed = field(default_factory=Feed)
    feeds: dict[str, Feed] = field(default_factory=dict)  # by source label; made from [feed-*]
    spread_engine: Engine = field(default_factory=Engine)
    spread_tracker: Tracker = field(default_factory=Tracker)
    alerts: Alerts = field(default_factory=Alerts)


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
    channel: Annotated[
        str,
        Meta(
            description="Best-bid/ask channel, where the exchange has several; empty: the fastest."
        ),
    ] = ""
    topics_per_connection_max: Annotated[
        int, Meta(ge=0, le=10_000, description="Symbols per connection; 0: the exchange's limit.")
    ] = 0
    funding_bulk: Annotated[
        bool,
        Meta(description="False: do not ask for everything's funding in one call."),
    ] = True
    taker_fee_bps: Annotated[
        float, Meta(ge=-100, le=1_000, description="Taker fee of one fill.")
    ] = 10.0
    fee_tier: Annotated[
        str, Meta(description="Name of a row of fee_tiers_bps; empty: taker_fee_bps.")
    ] = ""
    fee_tiers_bps: Annotated[dict[str, float], Meta(description="Taker fee by tier.")] = field(
        default_factory=dict
    )
    symbol_fees_bps: Annotated[
        dict[str, float], Meta(description="Taker fee by symbol, before any tier.")
    ] = field(default_factory=dict)

    def fee_bps(self, symbol: str) -> float:
        """Taker fee of one fill of a symbol ("BTC-USDT")."""
        if symbol in self.symbol_fees_bps:
            return self.symbol_fees_bps[symbol]
        return self.fee_tiers_bps[self.fee_tier] if self.fee_tier else self.taker_fee_bps


class Thresholds(Struct, forbid_unknown_fields=True, frozen=True):
    """When a spread pays. All in basis points of the spot ask, net of fees."""

    enter_bps: Annotated[
        float, Meta(ge=-10_000, le=100_000, description="Net spread that makes a signal.")
    ] = 10.0
    exit_bps: Annotated[
        float,
        Meta(
            ge=-10_000,
            le=100_000,
            description="Net spread below which the signal is over; at most enter_bps.",
        ),
    ] = 5.0
    resignal_step_bps: Annotated[
        float,
        Meta(gt=0, le=100_000, description="Rise since the last signal that makes a re-signal."),
    ] = 5.0
    cooldown_ms: Annotated[
        int, Meta(ge=0, le=86_400_000, description="Pause after an exit before the next signal.")
    ] = 0
    size_quote_min: Annotated[
        float, Meta(ge=0, le=1e12, description="Least size of both tops, in quote currency.")
    ] = 0.0
    enabled: Annotated[bool, Meta(description="False: evaluated, never signalled.")] = True


class ThresholdOverride(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The same keys as Thresholds, each optional."""

    enter_bps: float | None = None
    exit_bps: float | None = None
    resignal_step_bps: float | None = None
    cooldown_ms: int | None = None
    size_quote_min: float | None = None
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
        dict[str, float],
        Meta(description="'source:EXCHANGE_SYMBOL' to the coins in one unit of its base."),
    ] = field(default_factory=dict)
    identity_band_pct: Annotated[
        dict[str, float], Meta(description="Band of one symbol instead of the general one.")
    ] = field(default_factory=dict)


class Directions(Struct, forbid_unknown_fields=True, frozen=True):
    """directions.toml."""

    defaults: Thresholds = Thresholds()
    direction: dict[str, ThresholdOverride] = field(default_factory=dict)
    symbol: dict[str, ThresholdOverride] = field(default_factory=dict)
    pair: dict[str, ThresholdOverride] = field(default_factory=dict)  # "binance-bybit:BTC-USDT"
    symbols: Symbols = field(default_factory=Symbols)

    def thresholds(self, direction: str, symbol: str) -> Thresholds:
        """Of one pair: the defaults, then its direction's, its symbol's, its own overrides."""
        merged = msgspec.structs.asdict(self.defaults)
        overrides = (
            self.direction.get(direction),
            self.symbol.get(symbol),
            self.pair.get(f"{direction}:{symbol}"),
        )
        for override in filter(None, overrides):
            values = msgspec.structs.asdict(override)
            merged.update({key: value for key, value in values.items() if value is not None})
        return Thresholds(**merged)


class Settings(Struct, frozen=True):
    """All three files, checked."""

    folder: Path
    config: Config
    exchanges: dict[str, SourceSettings]
    directions: Directions

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


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """SPREAD_CONFIG_DIR, else ./config, else /etc/spread-scanner."""
    if named := environ.get("SPREAD_CONFIG_DIR"):
        return Path(named).resolve()
    here = Path("config").resolve()
    return here if here.is_dir() else Path("/etc/spread-scanner")


def load(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """All settings, or a ConfigError that names the file, the key and what is allowed."""
    folder = folder.resolve() if folder is not None else config_folder(environ)
    config_raw = _read(folder / "config.toml", required=False)
    exchanges_raw = _read(folder / "exchanges.toml", required=True)
    directions_raw = _read(folder / "directions.toml", required=False)
    for name, value in environ.items():
        if not name.startswith("SPREAD_") or "__" not in name:
            continue
        keys = name.removeprefix("SPREAD_").split("__")
        if keys[0] == "EXCHANGES":
            _override(exchanges_raw, keys[1:], value, SourceSettings, name)
        elif keys[0] == "DIRECTIONS":
            _override(directions_raw, keys[1:], value, Directions, name)
        else:
            _override(config_raw, keys, value, Config, name)
    config = _convert(
        _with_feeds(config_raw, folder / "config.toml"), Config, folder / "config.toml"
    )
    exchanges = _convert(exchanges_raw, dict[str, SourceSettings], folder / "exchanges.toml")
    directions = _convert(directions_raw, Directions, folder / "directions.toml")
    settings = Settings(folder, config, exchanges, directions)
    _conclude(settings)
    return settings


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigError(
                "there is no such config file; set SPREAD_CONFIG_DIR to the folder that holds it",
                file=path,
            ) from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not TOML: {error}", file=path) from None


def _with_feeds(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Turn [feed-binance-spot] sections into feeds, each on top of [feed]."""
    general = raw.get("feed", {})
    feeds = {}
    rest = {}
    for name, section in raw.items():
        label = name.removeprefix("feed-")
        if name.startswith("feed-") and any(source.label == label for source in SOURCES):
            feeds[label] = {**general, **section}
        elif name == "feeds":
            raise ConfigError("unknown section", file=path, key=name, allowed="feed-<source>")
        else:
            rest[name] = section
    return {**rest, "feeds": feeds} if feeds else rest


T = TypeVar("T")


def _convert(raw: dict[str, Any], kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        allowed = _allowed(kind, message)
        raise ConfigError(f"bad setting: {message}", file=path, **allowed) from None


def _allowed(kind: Any, message: str) -> dict[str, object]:
    """What would have been right: the known keys of the section, or the setting's own sentence."""
    path = message.rpartition(" - at `$")[2].rstrip("`") if " - at `$" in message else ""
    keys = [key for key in path.replace("[...]", ".*").split(".") if key]
    struct: Any = kind
    hint: Any = None
    for key in keys:
        struct, hint = _step(struct, key)
        if struct is None:
            break
    if "unknown field" in message and isinstance(struct, type) and issubclass(struct, Struct):
        return {"allowed": ", ".join(struct.__struct_encode_fields__)}
    if hint is not None and get_origin(hint) is Annotated:
        return {"about": get_args(hint)[1].description}
    return {}


def _step(struct: Any, key: str) -> tuple[Any, Any]:
    """The type behind one key of a struct or dict, and its full annotation."""
    if get_origin(struct) is dict:
        return get_args(struct)[1], None
    if not (isinstance(struct, type) and issubclass(struct, Struct)):
        return None, None
    names = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
    hint = get_type_hints(struct, include_extras=True).get(names.get(key, key))
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return bare, hint


def _override(raw: dict[str, Any], keys: list[str], text: str, root: Any, variable: str) -> None:
    """Put one environment variable into the raw tables; TOML syntax, else taken as a string."""
    node = raw
    for position, key in enumerate(keys):
        name = _spelled(node, key, top=position == 0)
        if position == len(keys) - 1:
            node[name] = _value(text)
            return
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise ConfigError(
                "environment variable names no section", variable=variable, of=root.__name__
            )


def _spelled(node: dict[str, Any], key: str, *, top: bool) -> str:
    """The key as the file spells it: SPREAD_ENGINE may stand for spread-engine."""
    lower = key.lower()
    for name in node:
        if name.lower().replace("-", "_") == lower:
            return name
    dashed = lower.replace("_", "-")
    known = {"pair-discovery", "spread-engine", "spread-tracker"}
    known |= {source.label for source in SOURCES} | {source.process for source in SOURCES}
    known |= set(DIRECTION_BY_LABEL)
    return dashed if top and dashed in known else lower


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _conclude(settings: Settings) -> None:
    """Rules that cross sections; ranges stand with the settings themselves."""
    folder = settings.folder
    known = {source.label for source in SOURCES}
    for label, source in settings.exchanges.items():
        if label not in known:
            _fail(folder / "exchanges.toml", label, f"a source: {', '.join(sorted(known))}")
        if source.fee_tier and source.fee_tier not in source.fee_tiers_bps:
            _fail(
                folder / "exchanges.toml",
                f"{label}.fee_tier",
                f"one of {', '.join(source.fee_tiers_bps) or 'fee_tiers_bps, which is empty'}",
            )
    if missing := known - set(settings.exchanges):
        _fail(
            folder / "exchanges.toml",
            sorted(missing)[0],
            "every source has a section; enabled = false leaves it out",
        )
    system = settings.config.system
    if system.ring_slots & (system.ring_slots - 1):
        _fail(folder / "config.toml", "system.ring_slots", "a power of two")
    engine = settings.config.spread_engine
    if engine.evaluations_kept & (engine.evaluations_kept - 1):
        _fail(folder / "config.toml", "spread-engine.evaluations_kept", "a power of two")
    if system.heartbeat_ms_max < 2 * system.heartbeat_ms:
        _fail(folder / "config.toml", "system.heartbeat_ms_max", "at least twice heartbeat_ms")
    _conclude_directions(settings)


def _conclude_directions(settings: Settings) -> None:
    path = settings.folder / "directions.toml"
    directions = settings.directions
    for label in directions.direction:
        if label not in DIRECTION_BY_LABEL:
            _fail(path, f"direction.{label}", f"one of {', '.join(DIRECTION_BY_LABEL)}")
    pairs = [(label, "") for label in directions.direction]
    pairs += [("", symbol) for symbol in directions.symbol]
    for name in directions.pair:
        label, colon, symbol = name.partition(":")
        if not colon or label not in DIRECTION_BY_LABEL:
            _fail(
                path, f"pair.{name}", "'<direction>:<SYMBOL>', for example 'binance-bybit:BTC-USDT'"
            )
        pairs.append((label, symbol))
    for label, symbol in [("", ""), *pairs]:
        merged = directions.thresholds(label, symbol)
        try:  # the overrides are checked for type only when read, for range when merged
            msgspec.convert(msgspec.structs.asdict(merged), Thresholds)
        except msgspec.ValidationError as error:
            _fail(path, f"thresholds of {label or 'all'} {symbol or 'symbols'}", str(error))
        if merged.exit_bps > merged.enter_bps:
            _fail(
                path,
                f"exit_bps of {label or 'all'} {symbol or 'symbols'}",
                f"at most enter_bps = {merged.enter_bps}",
            )


def _fail(path: Path, key: str, allowed: str) -> None:
    raise ConfigError("bad setting", file=path, key=key, allowed=allowed)
