"""What the recorder has written down, as a table of an answer."""

from typing import Any

from spread_scanner.view.reading import Reading


class PastShown(Reading, frozen=True):
    """Rows of the past; times are text in UTC."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool  # there are more rows than were asked for
