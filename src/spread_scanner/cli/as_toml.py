"""Settings as one would write them into a file: `spread-ctl settings`, and the reference of all."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from spread_scanner.schema.figures import plain

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DIGITS = 17  # as many as tell two floats apart


def section(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A table and its keys; what is not set, which TOML cannot say, as a comment."""
    yield f"[{_key(name)}]"
    for key, value in values.items():
        yield f"# {key} is not set" if value is None else f"{_key(key)} = {written(value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def written(value: Any) -> str:
    """A value, without an exponent."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return plain(value, _DIGITS) if "e" in repr(value) else repr(value)
    if isinstance(value, dict):
        parts = (f"{_key(key)} = {written(one)}" for key, one in value.items() if one is not None)
        inner = ", ".join(parts)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return str(value)
