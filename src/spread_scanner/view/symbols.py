"""What symbol ids stood for when something was written down, for rows that outlive their tables;
and the error of who asks for a symbol that is none."""

from collections.abc import Collection, Iterable
from pathlib import Path

from spread_scanner.errors import SpreadError
from spread_scanner.symbology.nearby import nearby
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.then import TablesThen
from spread_scanner.symbology.written import symbol_as


class UnknownSymbol(SpreadError):
    """A symbol that the tables do not hold; says which of theirs may have been meant."""

    def __init__(self, symbol: str, known: Iterable[str]) -> None:
        near = nearby(symbol, known)
        super().__init__("no such symbol in the tables", symbol=symbol, near=near)


def part_of_symbol(written: str, symbols: Collection[str]) -> str:
    """What some symbol contains; empty: all do. Raises UnknownSymbol."""
    part = symbol_as(written)
    if not any(part in symbol for symbol in symbols):
        raise UnknownSymbol(part, symbols)
    return part


class NamesThen(TablesThen[dict[int, str]]):
    """Names by id: an id that left the tables is given to another coin later."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Tables.symbol_names, dict)
