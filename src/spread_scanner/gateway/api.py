"""The api: every record of the view under /v1, control, and what all of it looks like (OpenAPI).

What reads tables, spreads or the database runs in one of a few threads, so that the loop beats on;
what waits for others in none of them. A fault of the world becomes a problem with its code, one of
ours a 500 without a word of it, and a line in the log.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, NotFoundException
from litestar.openapi import ResponseSpec
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.typing import FieldDefinition

from spread_scanner.errors import SpreadError
from spread_scanner.gateway import description, past, problems
from spread_scanner.gateway.counting import Counting
from spread_scanner.gateway.front import CONTROL, SHORT, VERSIONED, App
from spread_scanner.gateway.hearing import understood
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.metrics import CONTENT_TYPE
from spread_scanner.gateway.openapi_page import DOCS
from spread_scanner.gateway.problems import NotAnswered, Problem
from spread_scanner.orders import discovering, orders
from spread_scanner.orders.discovering import DiscoveryWished
from spread_scanner.orders.orders import Outcome
from spread_scanner.runtime import background, databases
from spread_scanner.schema.books import LEVELS_SHOWN
from spread_scanner.schema.enums import SOURCE_BY_LABEL, directions_within
from spread_scanner.schema.names import DATABASE_FILE, TRACKER
from spread_scanner.schema.version import version
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view import costs, evaluations, funding
from spread_scanner.view.analysis import SymbolAnalysis
from spread_scanner.view.arbitrage import DEFAULT_THRESHOLD_PCT, Arbitrages
from spread_scanner.view.books import POLL_S, SymbolBooks, Wish
from spread_scanner.view.columns import SpreadColumns
from spread_scanner.view.connections import ConnectionView
from spread_scanner.view.costs import Cost
from spread_scanner.view.cycles import CycleView, StoredCycles
from spread_scanner.view.evaluations import Explanation
from spread_scanner.view.funding import FundingView
from spread_scanner.view.opportunities import Opportunities, OpportunityRow
from spread_scanner.view.past import PastShown, why_none
from spread_scanner.view.pools import PoolPrice, PoolView
from spread_scanner.view.prices import SPOT_LIKE, Price, Served
from spread_scanner.view.sources import SourceView, source_of
from spread_scanner.view.spreads import Spread
from spread_scanner.view.status import Status
from spread_scanner.view.symbols import UnknownSymbol, part_of_symbol
from spread_scanner.view.tables import TablesView

_T = TypeVar("_T")

ROWS_MAX = 10_000
BODY_BYTES_MAX = 64 << 10
BOOKS_WAIT_S = 1.5
INTERVAL_S = 0.5
OPENAPI = OpenAPIConfig(
    title="spread-scanner",
    version=version(),
    path=f"{VERSIONED}/openapi",  # below it litestar answers with pages of its own
    render_plugins=[JsonRenderPlugin()],
    use_handler_docstrings=True,
)
_UNAVAILABLE = ResponseSpec(Served, description="There are no prices.", generate_examples=False)
Living = NamedDependency[LiveSystem]
Count = Annotated[int, QueryParameter(ge=1, le=ROWS_MAX, description="How many at most.")]
TIME_FORMAT = "date-time"  # of OpenAPI: RFC 3339
TimeWanted = Annotated[  # as it is written: a datetime has no ns, which rows have
    str | None,
    QueryParameter(
        format=TIME_FORMAT, description="2026-01-31T12:00:00Z; without a zone it is UTC."
    ),
]
SourceName = Annotated[str, QueryParameter(description=f"One of {', '.join(SOURCE_BY_LABEL)}.")]
PartOfSymbol = Annotated[str, QueryParameter(description="BTC-USDT, BTC/USDT, or a part: BTC.")]


class ArbitrageWanted(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What an arbitrage is to bring at the least."""

    threshold_pct: Annotated[float, msgspec.Meta(ge=0, le=1_000)] = DEFAULT_THRESHOLD_PCT


_NOTHING = (b"", b"{}", b"[]", b"null")  # what programs send that have nothing to say
BODY_WANTED = f'{{"threshold_pct": {DEFAULT_THRESHOLD_PCT}}}'


@get(["/health", f"{VERSIONED}/health"], responses={503: _UNAVAILABLE}, sync_to_thread=False)
def health(system: Living) -> Response[Served]:
    """Whether there are prices, of what, and what else is amiss; 503 where there are none."""
    served = system.served()
    return Response(served, status_code=200 if served.status == "ok" else 503)


@get(["/prices", f"{VERSIONED}/prices"], media_type=MediaType.JSON, sync_to_thread=False)
def prices(system: Living, source: SourceName = "") -> list[Price | PoolPrice]:
    """Every price that can be stood behind, of all spot sources and pools, or of one source."""
    return _prices(system, source, "")


@get(["/prices/{pair:path}", f"{VERSIONED}/prices/{{pair:path}}"], sync_to_thread=False)
def prices_of_pair(
    system: Living, pair: FromPath[str], source: SourceName = ""
) -> list[Price | PoolPrice]:
    """The same of one pair: BTC/USDT, encoded or not, or BTC-USDT."""
    return _prices(system, source, system.named(pair.lstrip("/")))


def _prices(system: Living, source: str, pair: str) -> list[Price | PoolPrice]:
    board = system.shown.prices.board
    if source:
        return [*board.prices((board.source_of(source),), pair)]
    return [*board.prices(SPOT_LIKE, pair), *system.pool_prices(pair)]


@post(["/scan-arbitrage", f"{VERSIONED}/scan-arbitrage"], sync_to_thread=True, status_code=200)
def scan_arbitrage(system: Living, data: JSONBody[ArbitrageWanted]) -> Arbitrages:
    """Buy spot in one place, sell it in another, of exchanges and pools: what differs by the
    threshold and more."""
    return system.arbitrages(data.threshold_pct)


@get(f"{VERSIONED}/status", sync_to_thread=False)
def status(system: Living) -> Status:
    """Every process, what it has in force, what is switched; as of the last second."""
    return system.status


@get(f"{VERSIONED}/sources", sync_to_thread=True)
def every_source(system: Living) -> list[SourceView]:
    """Every source: its feed, its quotes, how many of them can be stood behind."""
    return system.sources()


@get(f"{VERSIONED}/connections")
async def every_connection(system: Living, source: SourceName = "") -> list[ConnectionView]:
    """Every connection of the feeds; rates over half a second."""
    only = source_of(source) if source else None

    async def looked_at() -> list[ConnectionView]:
        rates = system.rates(only)
        await asyncio.sleep(INTERVAL_S)
        return rates.look()

    return await system.waits.of(("connections", only), looked_at)


@get(f"{VERSIONED}/pools", sync_to_thread=True)
def every_pool(system: Living, pool: FromQuery[str] = "") -> list[PoolView]:
    """Solana's pools as feed-solana has them, whether they can be stood behind or not; those whose
    key, program or symbol contains `pool`."""
    return system.pools(pool)


@get(f"{VERSIONED}/directions", sync_to_thread=False)
def directions(system: Living) -> list[str]:
    """Those that the store has sources for: spot exchange, then futures exchange."""
    num_sources = system.shown.settings.config.system.num_sources
    return [way.label for way in directions_within(num_sources)]


@get(f"{VERSIONED}/spreads", sync_to_thread=True)
def spreads(
    system: Living,
    symbol: PartOfSymbol = "",
    direction: FromQuery[str] = "",
    usable: FromQuery[bool] = False,
    count: Count = 100,
) -> list[Spread]:
    """Spreads as they stand now, the highest net first; of symbols that contain `symbol`, of one
    direction, only what can be stood behind."""
    only = evaluations.direction_of(direction) if direction else None
    return system.spreads(_part(system, symbol), only, count, usable=usable)


@get(f"{VERSIONED}/spreads/columns", sync_to_thread=True)
def spread_columns(system: Living) -> SpreadColumns:
    """All of them at once, column by column, in no order: for tables of thousands."""
    return system.columns()


@get(f"{VERSIONED}/funding", sync_to_thread=True)
def every_funding(system: Living, symbol: PartOfSymbol = "") -> list[FundingView]:
    """What each futures source told last of funding: rate, interval, next settlement; of symbols
    that contain `symbol`."""
    shown = system.shown
    rates = costs.rates_now(shown.settings, shown.tables)
    return funding.of_all(shown.tables, rates, _part(system, symbol))


@get(f"{VERSIONED}/why/{{symbol:path}}", sync_to_thread=True)
def why(
    system: Living,
    symbol: FromPath[str],
    direction: FromQuery[str] = "",
    count: Count = 3,
) -> Explanation:
    """Everything known about a symbol: what the engine decided last, and why."""
    return system.explained(symbol, direction or None, count)


@get(f"{VERSIONED}/books/{{symbol:path}}")
async def books(
    system: Living,
    symbol: FromPath[str],
    source: SourceName = "",
    levels: Annotated[
        int,
        QueryParameter(ge=1, le=100, description=f"Of a side; {LEVELS_SHOWN} are shown at most."),
    ] = 10,
    consolidated: FromQuery[bool] = False,
    fees: FromQuery[bool] = False,
) -> SymbolBooks:
    """Order books of a symbol; they are asked for, and waited for a while."""
    only = source_of(source) if source else None
    wish = Wish(symbol, only, levels, consolidated, fees)
    view = await asyncio.to_thread(system.books, wish)

    async def come() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BOOKS_WAIT_S):
                while not view.complete:  # noqa: ASYNC110 - nobody tells that one has come
                    await asyncio.sleep(POLL_S)

    view.ask()
    if not view.complete:
        await system.waits.of(("books", view.symbol, only), come)
    return view.look()


@get(f"{VERSIONED}/analysis/{{symbol:path}}", sync_to_thread=True)
def analysis_of(system: Living, symbol: FromPath[str]) -> SymbolAnalysis:
    """How spreads and prices of a symbol usually stand, where spread-analyst runs."""
    return system.analysis(symbol)


@get(f"{VERSIONED}/opportunities", sync_to_thread=True)
def opportunities(
    system: Living,
    symbol: FromQuery[str | None] = None,
    before_id: Annotated[
        int | None, QueryParameter(ge=1, le=2**63 - 1, description="Only older ones.")
    ] = None,
    open: Annotated[bool, QueryParameter(description="Only those that still stand.")] = False,
    count: Count = 100,
) -> list[OpportunityRow]:
    """Opportunities as the tracker stored them, newest first; the next page begins before the
    last one's id."""
    wanted = symbol_as(symbol) if symbol else None
    stored = Opportunities(system.shown.settings.data_dir)
    try:
        found = stored.last(count, symbol=wanted, before_id=before_id, standing=open)
        stored.check()
    finally:
        stored.close()
    if wanted and not found:  # of a coin that has left the tables there may be some
        _symbol(system, wanted)
    return found


@get(f"{VERSIONED}/cycles", sync_to_thread=True)
def cycles(
    system: Living,
    pool: FromQuery[str] = "",
    open: Annotated[bool, QueryParameter(description="Only those that still pay.")] = False,
    count: Count = 100,
) -> list[CycleView]:
    """Cycles over Solana's pools as spread-paths stored them, newest first, and what became of
    each; those through a pool whose key contains `pool`."""
    stored = StoredCycles(system.shown.settings.data_dir)
    try:
        found = stored.last(count, pool=pool, standing=open)
        stored.check()
        return found
    finally:
        stored.close()


@get(f"{VERSIONED}/candles/{{symbol:path}}")
async def candles(
    system: Living,
    symbol: FromPath[str],
    source: SourceName,
    period: FromQuery[Literal["1s", "1m"]] = "1m",
    since: TimeWanted = None,
    until: TimeWanted = None,
    count: Count = 100,
) -> PastShown:
    """Candles of a listing, the newest first, where spread-recorder runs."""
    named, sources = symbol_as(symbol), [source_of(source).label]
    wanted = past.rows_of("candles", (since, until), named, sources, period=period)
    return await _past(system, named, wanted, count)


@get(f"{VERSIONED}/history/{{symbol:path}}")
async def spread_history(
    system: Living,
    symbol: FromPath[str],
    direction: FromQuery[str],
    since: TimeWanted = None,
    until: TimeWanted = None,
    count: Count = 100,
) -> PastShown:
    """A pair's spread at each change of either leg, the newest first, where spread-recorder
    runs."""
    way = evaluations.direction_of(direction)
    named, legs = symbol_as(symbol), [way.spot.label, way.futures.label]
    wanted = past.rows_of("spreads", (since, until), named, legs, direction=way.label)
    # A row needs its own tick and the other leg's: as many of each as rows, and one that tells
    # whether there are more.
    bounds = [f"--last={count + 1}", *([f"--until={until}"] if until else [])]
    return await _past(system, named, (*wanted, *bounds), count)


async def _apart(call: Callable[[], _T], name: str) -> _T:
    """In a thread of its own: it waits for others, and keeps no reader waiting, and it not the
    process's end."""
    return await asyncio.wrap_future(background.begin(call, name))


def _symbol(system: LiveSystem, written: str) -> str:
    symbols, symbol = system.shown.tables.symbol_names().values(), symbol_as(written)
    if symbol not in symbols:
        raise UnknownSymbol(symbol, symbols)
    return symbol


def _part(system: LiveSystem, written: str) -> str:
    return part_of_symbol(written, system.shown.tables.symbol_names().values())


async def _past(system: LiveSystem, symbol: str, wanted: tuple[str, ...], count: int) -> PastShown:
    nothing = why_none(system.shown.settings)
    if nothing or not symbol.isprintable():  # no child's argument has a NUL
        _symbol(system, symbol)
    if nothing:
        raise NotAnswered(HTTPStatus.CONFLICT, "no_answer", nothing)
    said = await _apart(lambda: past.ask(*wanted, "--count", str(count)), "past")
    shown = msgspec.json.decode(said, type=PastShown)
    if not shown.rows:  # of a coin that has left the tables there may be some
        _symbol(system, symbol)
    return shown


@get(f"{VERSIONED}/report")
async def report(
    system: Living,
    since: Annotated[
        str, QueryParameter(pattern=r"^(all|[1-9][0-9]{0,5}[smhd])$", description="24h, 7d, all.")
    ] = "24h",
) -> dict[str, Any]:
    """What became of the opportunities, what trades would have earned: as `spread-ctl report`."""
    file = system.shown.settings.data_dir / DATABASE_FILE
    if nothing := databases.why_none(file, TRACKER):
        raise NotAnswered(HTTPStatus.CONFLICT, "no_answer", f"{nothing} (file={file})")
    said = await _apart(lambda: past.ask("report", "--since", since), "past")
    made: dict[str, Any] = msgspec.json.decode(said)
    return made


@get(f"{VERSIONED}/costs", sync_to_thread=True)
def every_cost(system: Living, symbol: PartOfSymbol = "") -> list[Cost]:
    """What each pair costs, and the thresholds that its net spread is held to."""
    return system.costs(symbol)


@get(f"{VERSIONED}/tables", sync_to_thread=True)
def tables_in_force(system: Living) -> TablesView:
    """The tables that discovery published last."""
    return system.published()


@post(f"{CONTROL}halt", status_code=200)
async def halt(system: Living) -> Outcome:
    """No signal leaves the engine until `allow`."""
    return await _apart(lambda: orders.kill(system.shown.settings, killed=True), "orders")


@post(f"{CONTROL}allow", status_code=200)
async def allow(system: Living) -> Outcome:
    """Signals may leave the engine again."""
    return await _apart(lambda: orders.kill(system.shown.settings, killed=False), "orders")


@post(f"{CONTROL}pause/{{target:path}}", status_code=200)
async def pause(system: Living, target: FromPath[str]) -> Outcome:
    """No signals for what is named: all, a process, a source, a direction, a symbol."""
    return await _apart(lambda: _switched(system, target, paused=True), "orders")


@post(f"{CONTROL}resume/{{target:path}}", status_code=200)
async def resume(system: Living, target: FromPath[str]) -> Outcome:
    """Take a pause back."""
    return await _apart(lambda: _switched(system, target, paused=False), "orders")


def _switched(system: LiveSystem, path: str, *, paused: bool) -> Outcome:
    return orders.pause(system.shown.settings, path.lstrip("/"), paused=paused)


@post(f"{CONTROL}reload", status_code=200)
async def reload(system: Living) -> Outcome:
    """Every process takes the settings and tables as they are now."""
    return await _apart(lambda: orders.reload(system.shown.settings), "orders")


@post(f"{CONTROL}discover", status_code=202)
async def discover(system: Living) -> DiscoveryWished:
    """Pairs are to be found anew; who runs discovery, `up` or systemd, begins as soon as it can."""
    return await _apart(lambda: discovering.wish(system.shown.settings), "orders")


@get(["/metrics", f"{VERSIONED}/metrics"], media_type=CONTENT_TYPE, sync_to_thread=False)
def metrics(system: Living) -> bytes:
    """Every counter, as Prometheus scrapes it; as of the last second."""
    return system.metrics()


@get(f"{VERSIONED}/openapi.json", include_in_schema=False, sync_to_thread=False)
def described(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """What can be asked here, as OpenAPI 3.1."""
    return description.document(request.app.openapi_schema)


READING = [
    described,
    health,
    metrics,
    prices,
    prices_of_pair,
    scan_arbitrage,
    status,
    every_source,
    every_connection,
    every_pool,
    directions,
    spreads,
    spread_columns,
    every_funding,
    why,
    books,
    analysis_of,
    opportunities,
    cycles,
    candles,
    spread_history,
    report,
    every_cost,
    tables_in_force,
]
CONTROLLING = [halt, allow, pause, resume, reload, discover]


def openapi() -> dict[str, Any]:
    """What `described` answers, without a gateway."""

    async def nobody() -> None:
        """Nothing is asked."""

    app = Litestar(
        [*READING, *CONTROLLING], dependencies={"system": nobody}, openapi_config=OPENAPI
    )
    return description.document(app.openapi_schema)


def api_of(system: LiveSystem, count: Counting) -> App:
    """The application behind the front."""

    def world(request: Request[Any, Any, Any], error: SpreadError) -> Response[Problem]:
        count.refused(error)
        headers = dict(getattr(error, "headers", ()))
        return _said(problems.of_error(error, request.url.path), headers)

    def asked_wrongly(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
        wrong = [
            f"{one.get('key')}: {one.get('message')}"
            for one in error.extra or ()
            if isinstance(one, dict)
        ]
        count.refused(error)
        detail = "; ".join(wrong) or error.detail
        if error.status_code == HTTPStatus.NOT_FOUND:  # by the routes: what handlers miss is typed
            behind = _BEHIND.get(request.url.path, "")
            detail = f"no such path; {behind}{VERSIONED}{DOCS} has all that there are"
        elif error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            detail = f"a body of more than {BODY_BYTES_MAX} bytes"
        allowed = _allowed(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"no {request.method} of this path; allowed: {allowed.get('allow', 'none')}"
        said = problems.problem(error.status_code, "bad_request", detail, request.url.path)
        return _said(said, allowed)

    def ours(request: Request[Any, Any, Any], fault: Exception) -> Response[Problem]:
        count.failed(request.url.path, fault)
        return _said(problems.fault(request.url.path))

    async def the_system() -> LiveSystem:
        return system

    app: Any = Litestar(  # typed by its own names for what ASGI calls a message
        [*READING, *CONTROLLING],
        dependencies={"system": the_system},
        before_request=_check,
        exception_handlers={SpreadError: world, HTTPException: asked_wrongly, Exception: ours},
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=OPENAPI,
        logging_config=None,
    )
    made: App = app
    return made


_GIVEN = {"system", "request", "data"}  # what a handler has of itself, not of who asks
# Of a path that wants a name behind it, what that is.
_BEHIND = {
    path.partition("/{")[0]: f"one with a {path.partition('/{')[2].partition(':')[0]} behind it is "
    f"({path.replace(':path', '')}); "
    for handler in (*READING, *CONTROLLING)
    for path in handler.paths
    if "/{" in path
}


async def _check(request: Request[Any, Any, Any]) -> None:
    """Raises NotAnswered for a parameter that the path does not have, or that is said twice, as
    the answer would be to another question than was asked, or whose value is "null", which is
    nobody's number and no time; and for a body that is missing, or that nobody would hear. Short
    reads take anything: bots append a parameter so that nothing in between keeps the answer. Raises
    NotFoundException for what litestar has of itself below the description."""
    if f"{request.url.path}/".startswith(f"{OPENAPI.path}/"):
        raise NotFoundException
    known = request.route_handler.parsed_fn_signature.parameters
    allowed = sorted(known.keys() - _GIVEN - request.path_params.keys())
    twice = [one for one in allowed if len(request.query_params.getall(one, [])) > 1]
    if twice:
        said = f"more than once: {', '.join(twice)}"
        raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)
    for one in allowed:
        if (value := request.query_params.get(one)) is not None:
            _check_value(one, value, known[one])
    unknown = sorted(request.query_params.keys() - set(allowed))
    is_short = request.method == "GET" and request.url.path.startswith(SHORT)
    if unknown and not is_short:
        said = f"no such parameter: {', '.join(unknown)}; allowed: {', '.join(allowed) or 'none'}"
        raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)
    if "data" in known:
        _check_body(request.headers, await request.body(), known["data"].annotation)
    elif not is_short and (await request.body()).strip() not in _NOTHING:
        said = f"no body is heard here; parameters: {', '.join(allowed) or 'none'}"
        raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)


def _check_value(name: str, value: str, parameter: FieldDefinition) -> None:
    """Raises NotAnswered for what would be taken for a value that is not said, for a time that is
    none (other ISO forms may be numbers, and a date is no moment), and with all that there are for
    what is none of few."""
    kinds = {parameter.annotation, *(kind.annotation for kind in parameter.inner_types)}
    is_time = getattr(parameter.kwarg_definition, "format", None) == TIME_FORMAT
    if value.lower() == "null" and (is_time or str not in kinds):
        raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", f"{name}: null is no value")
    if is_time:
        try:
            msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            said = f"{name}: {value!r} is no time, as 2026-01-31T12:00:00Z is"
            raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said) from None
    if parameter.is_literal and value not in (choices := get_args(parameter.annotation)):
        said = f"{name}: {value!r} is none of {', '.join(choices)}"
        raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)


def _check_body(headers: Mapping[str, str], body: bytes, kind: Any) -> None:
    """Raises NotAnswered for what is no JSON of that kind, as it lies. Litestar would take "1" for
    a number, as it has to in a query: a bot that sends texts has mistaken something else as well.
    """
    if (coding := headers.get("content-encoding", "identity").lower()) != "identity":
        said = f"a body is taken as it lies, not by content-encoding {coding}"
        allowed = (("accept-encoding", "identity"),)
        raise NotAnswered(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bad_request", said, allowed)
    if not body:
        said = f"a body is wanted, as {BODY_WANTED}"
        raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)
    understood(body, kind)


def _allowed(headers: Mapping[str, str]) -> dict[str, str]:
    """What a 405 says is allowed; where GET is, HEAD is as well (gateway/front.py)."""
    return {
        name.lower(): value.replace("GET", "GET, HEAD") if name.lower() == "allow" else value
        for name, value in headers.items()
    }


def _said(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[Problem]:
    return Response(
        problem, status_code=problem.status, media_type=problems.MEDIA_TYPE, headers=headers
    )
