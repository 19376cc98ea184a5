"""What symbol ids stood for when something was written down; for rows that outlive their tables."""

from pathlib import Path

from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.then import TablesThen


class NamesThen(TablesThen[dict[int, str]]):
    """Names by id: an id that left the tables is given to another coin later."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Tables.symbol_names, dict)
