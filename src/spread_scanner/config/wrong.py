"""Which setting is wrong: the first one whose value its type does not take, named from the file in.

msgspec says what is wrong with a whole file, but not in which of several sections of one kind, and
stops at the type where a table is none; so the files are walked by their types here. Used by
config.reading.
"""

import math
import re
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from spread_scanner.config.gone import GONE

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
KINDS = {dict: "a table", list: "a list", str: "text", bool: "true or false", int: "a number"}


class Wrong(NamedTuple):
    """A setting by its keys from the top of its file, and what is said of it."""

    keys: tuple[str, ...]
    message: str
    allowed: str = ""


def first_wrong(raw: Any, kind: Any, keys: tuple[str, ...] = ()) -> Wrong | None:
    """The first value in the order of the file that cannot be what `kind` wants, if any."""
    bare = _bare(kind)
    if isinstance(bare, type) and issubclass(bare, Struct):
        return _in_table(raw, bare, keys)
    if get_origin(bare) is dict:
        if not isinstance(raw, dict):
            return Wrong(keys, f"a table is wanted, not {_said(raw)}")
        within = get_args(bare)[1]
        found = (first_wrong(value, within, (*keys, name)) for name, value in raw.items())
        return next(filter(None, found), None)
    if isinstance(raw, float) and not math.isfinite(raw):  # TOML has nan and inf; no setting has
        return Wrong(keys, f"a finite number is wanted, not {raw}", description(kind))
    try:
        msgspec.convert(raw, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        message = str(error)
        if "Expected `str`, got" in message and isinstance(raw, int | float):
            message += ": text stands in quotes"
        elif "matching regex" in message and raw == "":
            message = "it is empty"
        elif "matching regex" in message and "\0" in raw:
            message = "it holds a zero byte"
        return Wrong(keys, message, description(kind))
    return None


def _in_table(raw: Any, struct: type[Struct], keys: tuple[str, ...]) -> Wrong | None:
    if not isinstance(raw, dict):
        return Wrong(keys, f"a section is wanted, not {_said(raw)}")
    hints = get_type_hints(struct, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, value in raw.items():
        if name not in fields and (struct, name) in GONE:
            return Wrong((*keys, name), f"gone; there is now {GONE[struct, name]}")
        if name not in fields:
            what = "section" if isinstance(value, dict) else "key"
            return Wrong((*keys, name), f"unknown {what}", ", ".join(fields))
        wrong = first_wrong(value, hints[fields[name].name], (*keys, name))
        if wrong is not None:
            return wrong
    missing = [name for name, field in fields.items() if field.required and name not in raw]
    if missing:
        hint = hints[fields[missing[0]].name]
        return Wrong((*keys, missing[0]), "missing", description(hint))
    return None


def dotted(keys: tuple[str, ...]) -> str:
    """The keys as TOML writes them: pair."binance-bybit:BTC-USDT".enter_bps."""
    return ".".join(key if BARE_KEY.fullmatch(key) else f'"{key}"' for key in keys)


def description(hint: Any) -> str:
    """The sentence that a setting's annotation holds, the outermost first."""
    if get_origin(hint) is not Annotated:
        return ""
    metas = [meta for meta in get_args(hint)[1:] if isinstance(meta, Meta) and meta.description]
    return str(metas[-1].description) if metas else ""


def _bare(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def _said(raw: Any) -> str:
    for kind, words in KINDS.items():
        if isinstance(raw, kind):
            return words
    return type(raw).__name__
