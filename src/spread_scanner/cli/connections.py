"""The table of `spread-ctl connections`, as wide as the terminal."""

from collections.abc import Sequence

from spread_scanner.schema.enums import Carries
from spread_scanner.view.connections import ConnectionView

NOTICES = Carries.NOTICES.name.lower()
WIDE_COLUMNS = 150
URL_COLUMNS = 220  # a URL beside all others, without wrapping them

# Title, field, and whether it is shown on a narrow terminal too.
_COLUMNS = (
    ("source", "source", True),
    ("#>", "number", True),
    ("provider", "provider", False),
    ("carries", "carries", False),
    ("state", "state", True),
    ("symbols>", "symbols", True),
    ("open s>", "open_s", False),
    ("heard ms>", "heard_ms", False),
    ("msg/s>", "messages_per_s", True),
    ("quotes>", "quotes", True),
    ("skips>", "skips", True),
    ("reconnects>", "reconnects", True),
    ("exchange p50>", "exchange_to_recv_p50_ms", False),
    ("p99 ms>", "exchange_to_recv_p99_ms", False),
    ("cell p50>", "recv_to_cell_p50_us", False),
    ("p99 us>", "recv_to_cell_p99_us", True),
    ("last end", "last_end", False),
    ("ban s>", "ban_left_s", False),
    ("url", "url", False),
)
_OF_A_BAN = ("last_end", "ban_left_s")  # shown however narrow it is, while there is one


def columns_and_rows(
    views: list[ConnectionView], width: int
) -> tuple[list[str], list[list[object]]]:
    """For a table that fits a width."""
    banned = any(view.ban_left_s for view in views)
    provided = any(view.provider for view in views)
    kept = [
        (title, field, narrow)
        for title, field, narrow in _COLUMNS
        if (narrow or width >= WIDE_COLUMNS or (banned and field in _OF_A_BAN))
        and (field != "provider" or provided)
        and (field != "url" or (provided and width >= URL_COLUMNS))
    ]
    fields = [field for _, field, _ in kept]
    rows = [[_shown(view, field, fields) for field in fields] for view in views]
    return [title for title, _, _ in kept], rows


def _shown(view: ConnectionView, field: str, fields: Sequence[str]) -> object:
    """What has no column stands in another: a provider beside its source, what a connection without
    symbols carries in their place."""
    if field == "source" and view.provider and "provider" not in fields:
        return f"{view.source} {view.provider}"
    if field == "symbols" and view.carries == NOTICES and "carries" not in fields:
        return NOTICES
    if field == "ban_left_s" and view.ban_left_s:
        return f"{view.ban_left_s:z.0f} by {view.ban_status}"
    value: object = getattr(view, field)
    return None if value == "" else value
