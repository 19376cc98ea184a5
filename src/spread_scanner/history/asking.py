"""Questions about the past, as SQL: by names, over what is kept and what is newest.

A connection sees the history as it was when it was made. It reads the history's files and nothing
else, no network either. Needs the extra [history].
"""

import contextlib
import importlib.util
import sqlite3
from collections.abc import Sequence
from datetime import date
from typing import Any

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError, Unusable
from spread_scanner.history import kept
from spread_scanner.history.gathered import AskedFor, source_called
from spread_scanner.history.kept import HistoryKind
from spread_scanner.schema.enums import DIRECTION_BY_LABEL
from spread_scanner.schema.moments import moment_ns
from spread_scanner.schema.names import HISTORY_FOLDER, WAL_FOLDER
from spread_scanner.symbology.written import symbol_as

MISSING = "questions about the past need spread-scanner[history]: pip install duckdb pyarrow"
AS = {"arrow": "to_arrow_table", "polars": "pl", "pandas": "df"}
QUESTIONS = ("SELECT", "EXPLAIN")


class NoAnswer(SpreadError):
    """A question that cannot be answered here; the reason is the world's."""


class WrongQuestion(Unusable):
    """SQL that means nothing, or does more than ask."""


def connect(
    settings: Settings | None = None,
    *,
    symbol: str | None = None,
    sources: Sequence[str] = (),
    last: int | None = None,
    until: date | str | None = None,
) -> Any:
    """A duckdb connection with the views ticks, books, book_changes, candles, spreads, signals,
    follow_ups, opportunities and gaps. With rows of one symbol alone, and of these sources what
    sources say, where that is said: of an hour that is no Parquet yet that takes seconds instead of
    minutes. Of a symbol's ticks the `last` so many of each source before `until`, and what spreads
    these make, which takes no longer the more is kept. Raises Unusable, ConfigError, NoAnswer."""
    for source in sources:
        source_called(source)
    if last is not None and (symbol is None or last < 1):
        raise Unusable("the last ticks of what", last=last, allowed="1 or more, of a symbol")
    if until is not None and last is None:
        raise Unusable("until when is for the last ticks alone", until=until)
    until_ns = None if until is None else _moment_ns(until)
    named = None if symbol is None else symbol_as(symbol)
    return _connected(settings, AskedFor(named, tuple(sources), last=last, until_ns=until_ns))


def _connected(settings: Settings | None, wanted: AskedFor) -> Any:
    try:
        import duckdb
        import pyarrow as pa

        from spread_scanner.history import newest, reaching, views
    except ImportError:
        raise NoAnswer(MISSING) from None
    settings = settings or config.load()
    folder = settings.data_dir / HISTORY_FOLDER
    try:
        standing = kept.read(folder)
        connection = duckdb.connect(":memory:")
        log = newest.Newest(settings.data_dir / WAL_FOLDER, standing, wanted)
        for kind in HistoryKind:
            connection.register(f"newest_{kind}", log.stream(kind))
            files = standing.of(kind)
            if kind is HistoryKind.TICKS:
                files = reaching.reached(folder, files, wanted)
            paths = [str(folder / file.path) for file in files]
            connection.execute(views.kept_rows(kind, paths, wanted))
        views.add_functions(connection, settings)
        connection.register("direction_legs", views.direction_legs())
        connection.register("every_opportunity", views.opportunities(settings.data_dir))
        connection.execute(views.all_opportunities(wanted))
        for view in views.VIEWS:
            connection.execute(view)
        _shut_in(connection, str(folder))
    except (duckdb.Error, pa.ArrowException, OSError, sqlite3.Error) as error:
        raise NoAnswer(f"the history cannot be read: {_line(error)}", folder=folder) from None
    return connection


def ask(connection: Any, question: str) -> Any:
    """The answer to one question, as a relation; it is worked out when it is read. Raises
    WrongQuestion, NoAnswer."""
    import duckdb

    try:
        statements = connection.extract_statements(question)
        kinds = [statement.type.name for statement in statements]
        if len(kinds) != 1 or kinds[0] not in QUESTIONS:
            raise WrongQuestion(
                "one question at a time, which changes nothing",
                given=", ".join(kinds) or "nothing",
                allowed="SELECT",
            )
        return connection.sql(question)
    except duckdb.Error as error:
        raise refused(error) from None


def refused(error: Exception) -> SpreadError:
    """What duckdb says of a question, as one line."""
    import duckdb

    if isinstance(error, duckdb.ProgrammingError | duckdb.DataError | duckdb.NotSupportedError):
        return WrongQuestion(_line(error))
    return NoAnswer(_line(error))


def spread(
    symbol: str,
    direction: str,
    since: date | str | None = None,
    *,
    form: str = "arrow",
    settings: Settings | None = None,
) -> Any:
    """One pair's spread at each change of either leg, by time: an arrow table, or a polars or
    pandas frame. `since`: a date, or a time, which is UTC where it has no zone. Raises Unusable,
    NoAnswer, ConfigError."""
    if (way := DIRECTION_BY_LABEL.get(direction)) is None:
        allowed = ", ".join(DIRECTION_BY_LABEL)
        raise Unusable("no such direction", direction=direction, allowed=allowed)
    if form not in AS:
        raise Unusable("no such form", form=form, allowed=", ".join(AS))
    if form != "arrow" and importlib.util.find_spec(form) is None:  # duckdb has an error for each
        raise NoAnswer(f"{form} is not installed: pip install {form}")
    symbol = symbol_as(symbol)
    since_ns = None if since is None else _moment_ns(since)
    wanted = AskedFor(symbol, (way.spot.label, way.futures.label), since_ns=since_ns)
    with contextlib.closing(_connected(settings, wanted)) as connection:
        import duckdb

        try:
            relation = connection.sql(
                "SELECT * EXCLUDE (arrival) FROM spreads WHERE symbol = $symbol AND "
                "direction = $direction AND ts >= make_timestamp_ns($since_ns) "
                "ORDER BY ts, arrival",
                params={"symbol": symbol, "direction": direction, "since_ns": since_ns or 0},
            )
            return getattr(relation, AS[form])()
        except duckdb.Error as error:
            raise refused(error) from None


def _moment_ns(said: date | str) -> int:
    try:
        return moment_ns(str(said))
    except ValueError:
        allowed = "an ISO date or time"
        raise Unusable("cannot read the time", said=said, allowed=allowed) from None


def _shut_in(connection: Any, folder: str) -> None:
    """No file but the history's, nothing loaded, nothing fetched; and no zone but that of `ts`,
    whatever the machine's is."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET allowed_directories = [" + "'" + folder.replace("'", "''") + "']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _line(error: Exception) -> str:
    """The first sentence of what was said: the rest points into the text."""
    first = str(error).strip().split("\n\n")[0]
    return " ".join(first.split())
