"""The settings as they are read now, defaults included, without what is secret in them."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from spread_scanner.config import Settings
from spread_scanner.errors import MASK
from spread_scanner.view.reading import Reading


class SettingsView(Reading, frozen=True):
    """All three files and the environment on top, as one."""

    folder: str
    digest: str  # the same in every process that has these
    config: dict[str, Any]
    exchanges: dict[str, Any]
    directions: dict[str, Any]


def read(settings: Settings) -> SettingsView:
    """What a process that reads them now would have."""
    return SettingsView(
        folder=str(settings.folder),
        digest=f"{settings.digest:016x}",
        config=_shown(msgspec.to_builtins(settings.config)),
        exchanges=_shown(msgspec.to_builtins(settings.exchanges)),
        directions=_shown(msgspec.to_builtins(settings.directions)),
    )


def _shown(node: Any, key: str = "") -> Any:
    if isinstance(node, dict):
        return {name: _shown(child, name) for name, child in node.items()}
    if not isinstance(node, str) or "://" not in node:
        return node
    return _without_secrets(node, whole=key in ("webhook_url", "heartbeat_url"))


def _without_secrets(url: str, *, whole: bool) -> str:
    """Neither user nor password nor query, which is where tokens stand; of a webhook the host
    alone: who has the rest can use it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    _, at, host = parts.netloc.rpartition("@")
    netloc = f"{MASK}@{host}" if at else host
    if whole:
        return f"{parts.scheme}://{netloc}/{MASK}"
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query and MASK, ""))
