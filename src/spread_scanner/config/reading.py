"""How the settings are read: four files of one folder, then the environment on top.

Called by every process at start and at reload. Whatever is wrong is a ConfigError that names the
file, the key and what is allowed.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from spread_scanner.config.agreement import check_agreement, check_sources
from spread_scanner.config.files import check_plain
from spread_scanner.config.pools import PoolSettings
from spread_scanner.config.pools_agreement import check_pools
from spread_scanner.config.settings import (
    Alerts,
    Config,
    Directions,
    Engine,
    Feed,
    Settings,
    SourceSettings,
)
from spread_scanner.config.wrong import dotted, first_wrong
from spread_scanner.errors import MASK, ConfigError, NoSettings
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, EXCHANGE_SOURCES, SOURCES
from spread_scanner.schema.names import PROCESSES, SHM_INIT

VARIABLE_PREFIX = "SPREAD_"  # of all variables that settings are read from
FEEDS = "feed-<source>"  # what the sections of single feeds are called in lists
RENAMED = {"alerts": "spread-alerts"}  # sections of config.toml
# Tables whose keys are symbols.
BY_SYMBOL = {"symbol", "symbol_fees_bps", "identity_band_pct"}


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """SPREAD_CONFIG_DIR, else ./config, else /etc/spread-scanner."""
    if named := environ.get("SPREAD_CONFIG_DIR"):
        return _resolved(Path(named))
    here = _resolved(Path("config"))  # in a folder that is closed to us there is none
    return here if os.path.isdir(here) else Path("/etc/spread-scanner")


def _resolved(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; the folder we are in
        raise ConfigError(f"no such folder: {error}", file=folder) from None  # is gone; a NUL


# What `with_settings` may change: all that a spread is judged by.
PARTS: dict[str, Any] = {
    "spread-engine": Engine,
    "directions": Directions,
    "exchanges": dict[str, SourceSettings],
}


def load(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """All settings, or a ConfigError that names the file, the key and what is allowed."""
    folder = _resolved(folder) if folder is not None else config_folder(environ)
    config_raw = _read(folder / "config.toml", required=False)
    exchanges_raw = _read(folder / "exchanges.toml", required=True)
    directions_raw = _read(folder / "directions.toml", required=False)
    _renamed(config_raw, folder / "config.toml")
    variables: dict[tuple[str, str], str] = {}  # (file, key) to the variable that set it
    for name, value in environ.items():
        if not name.startswith(VARIABLE_PREFIX):
            continue
        if "__" not in name:
            _check_underscores(name)
            continue
        keys = name.removeprefix(VARIABLE_PREFIX).split("__")
        if keys[0] == "EXCHANGES":
            key = _override(exchanges_raw, keys[1:], value, SourceSettings, name)
            variables["exchanges.toml", key] = name
        elif keys[0] == "DIRECTIONS":
            key = _override(directions_raw, keys[1:], value, Directions, name)
            variables["directions.toml", key] = name
        else:
            keys[0] = RENAMED.get(keys[0].lower(), keys[0]).replace("-", "_")
            key = _override(config_raw, keys, value, Config, name)
            variables["config.toml", key] = name
    try:
        config = _config(config_raw, folder / "config.toml")
        check_sources(exchanges_raw, folder / "exchanges.toml")
        exchanges = _convert(exchanges_raw, dict[str, SourceSettings], folder / "exchanges.toml")
        directions = _convert(directions_raw, Directions, folder / "directions.toml")
        pools = load_pools(folder)
        settings = Settings(folder, config, exchanges, directions, pools)
        check_agreement(settings)
    except ConfigError as error:
        if (variable := _variable_of(error, variables)) is not None:  # the file does not hold it
            error.evidence = {"variable": variable, **error.evidence}
        raise
    return settings


def _check_underscores(variable: str) -> None:
    """Refuse one that would name a key, had it two underscores behind the section: ignored in
    silence, the setting would not be what was typed. Others of SPREAD_ are not ours to judge."""
    said = variable.removeprefix(VARIABLE_PREFIX).lower()
    for section, kind in get_type_hints(Config).items():
        key = said.removeprefix(f"{section}_")
        if key != said and key in getattr(kind, "__struct_fields__", ()):
            meant = f"{VARIABLE_PREFIX}{section}__{key}".upper()
            raise ConfigError(
                "environment variable names no key: two underscores stand behind the section",
                variable=variable,
                meant=meant,
            )


def _variable_of(error: ConfigError, variables: Mapping[tuple[str, str], str]) -> str | None:
    """Which variable set what is wrong, if one did: the key itself, or one in a section that is
    none."""
    file, key = Path(str(error.evidence.get("file"))).name, str(error.evidence.get("key"))
    within = f"{key}." if error.message.endswith("unknown section") else key
    found = (
        variable
        for (of, name), variable in variables.items()
        if of == file and (name == key or (within != key and name.startswith(within)))
    )
    return next(found, None)


def with_settings(settings: Settings, said: Sequence[str]) -> Settings:
    """Others in place of what stood: `spread-engine.skew_ms_max=500`, for example,
    `directions.defaults.enter_bps=5` or `exchanges.okx-spot.taker_fee_bps=8`.

    Raises ConfigError with what was said.
    """
    for one in said:
        settings = _with_setting(settings, one)
    if said:
        try:
            check_agreement(settings)
        except ConfigError as error:
            raise _as_said(error, " ".join(map(_told, said))) from None
    return settings


def _told(said: str) -> str:
    """What was said, but for a URL, and what was meant for one: where it cannot be dialled it may
    hold a password anywhere."""
    name, _, value = said.partition("=")
    return f"{name}={MASK}" if "://" in value or "@" in value else said


def _as_said(error: ConfigError, said: str) -> ConfigError:
    """No file holds it."""
    rest = {key: value for key, value in error.evidence.items() if key != "file"}
    return ConfigError(error.message, said=said, **rest)


def _with_setting(settings: Settings, said: str) -> Settings:
    name, equals, text = said.partition("=")
    said = _told(said)
    file, *keys = name.strip().split(".")
    kind: Any = PARTS.get(file)
    if not equals or not all(keys) or not keys or kind is None:
        allowed = "KEY=VALUE, where KEY begins with " + ", ".join(f"{part}." for part in PARTS)
        raise ConfigError("cannot set this", said=said, allowed=allowed)
    if file == "exchanges" and keys[0] not in settings.exchanges:
        known = ", ".join(settings.exchanges)
        raise ConfigError("there is no such source", said=said, allowed=known)
    config = settings.config
    now = {"spread-engine": config.spread_engine, "directions": settings.directions}
    raw = msgspec.to_builtins(now.get(file, settings.exchanges))
    _put(raw, kind, keys, text.strip(), said)
    try:
        made = _convert(raw, kind, Path(said))
    except ConfigError as error:
        raise _as_said(error, said) from None
    if file == "spread-engine":
        config = msgspec.structs.replace(config, spread_engine=made)
        return msgspec.structs.replace(settings, config=config)
    return msgspec.structs.replace(settings, **{file: made})


def _put(node: dict[str, Any], kind: Any, keys: list[str], text: str, said: str) -> None:
    for key in keys[:-1]:
        kind, _ = _step(kind, key)
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ConfigError("there is no such section", said=said)
    kind, _ = _step(kind, keys[-1])
    node[keys[-1]] = _value(text, kind, said)


def load_alerts(folder: Path | None = None) -> Alerts:
    """[spread-alerts] as the file has it, for whoever has to tell people that the rest cannot be
    read. Raises ConfigError where this section itself cannot be."""
    path = (_resolved(folder) if folder is not None else config_folder()) / "config.toml"
    raw = _read(path, required=False)
    _renamed(raw, path)
    section = raw.get(RENAMED["alerts"], {})
    _check(section, Alerts, path, (RENAMED["alerts"],))
    return msgspec.convert(section, Alerts)


def load_pools(folder: Path | None = None) -> PoolSettings:
    """pools.toml; where there is none, no pool is wanted. Raises ConfigError."""
    path = (_resolved(folder) if folder is not None else config_folder()) / "pools.toml"
    settings = _convert(_read(path, required=False), PoolSettings, path)
    check_pools(settings, path)
    return settings


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        check_plain(path)
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a BOM
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError("cannot be read: a link to nothing", file=path) from None
        if required:
            raise NoSettings(
                "there is no such config file; set SPREAD_CONFIG_DIR to the folder that holds it",
                file=path,
            ) from None
        return {}
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not TOML, which is UTF-8 text: {error}", file=path) from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, or a number of 5,000 digits
        raise ConfigError(f"not TOML: {error}", file=path) from None


def _renamed(raw: dict[str, Any], path: Path) -> None:
    """A section that had another name once is still read under it."""
    for before, now in RENAMED.items():
        if before not in raw:
            continue
        if now in raw:
            raise ConfigError(f"[{before}] is [{now}]: keep one", file=path, key=before)
        raw[now] = raw.pop(before)


def _config(raw: dict[str, Any], path: Path) -> Config:
    """config.toml, with [feed-binance-spot] sections as feeds, each on top of [feed]."""
    rest: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    for name, section in raw.items():
        if name in ("feeds", FEEDS):
            raise ConfigError("unknown section", file=path, key=name, allowed=FEEDS)
        is_feed = any(source.process == name for source in EXCHANGE_SOURCES)
        (sections if is_feed else rest)[name] = section
    config = _convert(rest, Config, path)
    feeds = {}
    for name, section in sections.items():
        _check(section, Feed, path, (name,))
        feeds[name.removeprefix("feed-")] = msgspec.convert(
            {**rest.get("feed", {}), **section}, Feed
        )
    return msgspec.structs.replace(config, feeds=feeds)


T = TypeVar("T")


def _convert(raw: dict[str, Any], kind: type[T], path: Path) -> T:
    _check(raw, kind, path)
    return msgspec.convert(raw, kind)


def _check(raw: Any, kind: Any, path: Path, above: tuple[str, ...] = ()) -> None:
    wrong = first_wrong(raw, kind, above)
    if wrong is not None:
        word = "allowed" if wrong.message.startswith("unknown") else "about"
        allowed = {word: wrong.allowed} if wrong.allowed else {}
        raise ConfigError(
            f"bad setting: {wrong.message}", file=path, key=dotted(wrong.keys), **allowed
        )


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


def _override(raw: dict[str, Any], keys: list[str], text: str, root: Any, variable: str) -> str:
    """Put one environment variable into the raw tables; the key that it set."""
    node = raw
    kind: Any = GenericAlias(dict, (str, root)) if root is SourceSettings else root
    above = ""
    names: list[str] = []
    for position, key in enumerate(keys):
        name = _spelled(node, key, above, top=position == 0)
        above = name
        names.append(name)
        general = "feed" if kind is Config and name.startswith("feed-") else name
        kind, _ = _step(kind, general)
        if position == len(keys) - 1:
            node[name] = _value(text, kind, variable)
            break
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise ConfigError(
                "environment variable names no section", variable=variable, of=root.__name__
            )
    return dotted(tuple(names))


def _spelled(node: dict[str, Any], key: str, above: str, *, top: bool) -> str:
    """The key as the file spells it: SPREAD_ENGINE may stand for spread-engine, BTC_USDT below
    `symbol` for BTC-USDT.
    """
    lower = key.lower()
    for name in node:
        if name.lower().replace("-", "_") == lower:
            return name
    if above in BY_SYMBOL:
        base, _, quote = key.upper().rpartition("_")
        return f"{base}-{quote}" if base else key
    dashed = lower.replace("_", "-")
    known = {*PROCESSES, *(source.label for source in SOURCES)} - {SHM_INIT}  # it has no section
    known |= set(DIRECTION_BY_LABEL)
    return dashed if (top or above == "direction") and dashed in known else lower


def _value(text: str, kind: Any, variable: str) -> Any:
    """As in TOML. Where text is wanted quotes are optional: -100123 is then a name, no number."""
    try:
        text.encode()
        table = tomllib.loads(f"value = {text}")
    except UnicodeEncodeError:
        raise ConfigError("environment variable is not UTF-8", variable=variable) from None
    except (ValueError, RecursionError):
        return text
    value = table["value"]
    is_more = len(table) > 1  # a line break and another key
    return text if is_more or (kind is str and not isinstance(value, str)) else value
