"""What the recorder has written down, as a table of an answer."""

from typing import Any

from spread_scanner.config import Settings
from spread_scanner.schema.names import HISTORY_FOLDER, RECORDER, WAL_FOLDER
from spread_scanner.view.reading import Reading


class PastShown(Reading, frozen=True):
    """Rows of the past; times are text in UTC."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool  # there are more rows than were asked for


def why_none(settings: Settings) -> str:
    """Why there is no past to ask about, in a sentence; empty: there is, or will be."""
    kept = (settings.data_dir / folder for folder in (WAL_FOLDER, HISTORY_FOLDER))
    if settings.config.spread_recorder.wanted or any(folder.is_dir() for folder in kept):
        return ""
    return f"Nothing was ever recorded: [{RECORDER}] in config.toml says `enabled = false`."
