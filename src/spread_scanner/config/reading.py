"""How the settings are read: three files of one folder, then the environment on top.

Called by every process at start and at reload. Whatever is wrong is a ConfigError that names the
file, the key and what is allowed.
"""

import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from spread_scanner.config.agreement import check_agreement
from spread_scanner.config.settings import Config, Directions, Settings, SourceSettings
from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SOURCES

# Tables whose keys are symbols.
BY_SYMBOL = {"symbol", "symbol_fees_bps", "identity_band_pct"}


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
    check_agreement(settings)
    return settings


def _finite(node: Any, path: Path, key: str = "") -> None:
    """TOML has nan and inf; no setting has, and a range lets nan pass."""
    if isinstance(node, float) and not math.isfinite(node):
        raise ConfigError("bad setting", file=path, key=key, allowed="a finite number")
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    for name, child in children:
        _finite(child, path, f"{key}.{name}" if key else str(name))


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}", file=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from None


def _with_feeds(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Turn [feed-binance-spot] sections into feeds, each on top of [feed]."""
    general = raw.get("feed", {})
    feeds = {}
    rest = {}
    for name, section in raw.items():
        label = name.removeprefix("feed-")
        if name.startswith("feed-") and any(source.label == label for source in SOURCES):
            both = isinstance(general, dict) and isinstance(section, dict)
            feeds[label] = (
                {**general, **section} if both else section
            )  # what is no table is refused
        elif name == "feeds":
            raise ConfigError("unknown section", file=path, key=name, allowed="feed-<source>")
        else:
            rest[name] = section
    return {**rest, "feeds": feeds} if feeds else rest


T = TypeVar("T")


def _convert(raw: dict[str, Any], kind: type[T], path: Path) -> T:
    _finite(raw, path)
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
    """Put one environment variable into the raw tables."""
    node = raw
    kind = root
    above = ""
    for position, key in enumerate(keys):
        name = _spelled(node, key, above, top=position == 0)
        above = name
        general = "feed" if kind is Config and name.startswith("feed-") else name
        kind, _ = _step(kind, general)
        if position == len(keys) - 1:
            node[name] = _value(text, kind)
            return
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise ConfigError(
                "environment variable names no section", variable=variable, of=root.__name__
            )


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
    known = {"pair-discovery", "spread-engine", "spread-tracker"}
    known |= {source.label for source in SOURCES} | {source.process for source in SOURCES}
    known |= set(DIRECTION_BY_LABEL)
    return dashed if (top or above == "direction") and dashed in known else lower


def _value(text: str, kind: Any) -> Any:
    """As in TOML. Where text is wanted quotes are optional: -100123 is then a name, no number."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if kind is str and not isinstance(value, str) else value
