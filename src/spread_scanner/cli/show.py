"""The commands that only look. Under --json each prints one record of the view, nothing else."""

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from spread_scanner import clock
from spread_scanner.cli import as_toml, legends
from spread_scanner.cli.console import (
    EXIT_CODES,
    Json,
    NoScreen,
    grid,
    legend,
    on_screen,
    people,
    print_json,
    say,
    size_text,
    switched_lines,
)
from spread_scanner.cli.known import load_settings
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings, files
from spread_scanner.errors import Unusable
from spread_scanner.schema.books import LEVELS_SHOWN
from spread_scanner.schema.figures import ago, few
from spread_scanner.schema.names import EXIT_DELIBERATE, EXIT_DONE, EXIT_FAILED
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.tracker import report_options as options
from spread_scanner.view.conditions.condition import kind_of
from spread_scanner.view.disk import Disk
from spread_scanner.view.signals import FollowUpView, SignalView
from spread_scanner.view.sources import source_of
from spread_scanner.view.status import NAMED_MAX, Status, brief
from spread_scanner.view.status import read as read_status

# Of status alone, where 3 is no half success.
STATUS_CODES = (
    "Exit codes: 0 well, 1 a process is unwell or starting, or a condition stands, 2 bad settings "
    "or usage, 3 well, and halted or paused by somebody, 4 the system is not up."
)
FOLLOW_EVERY_S = 0.1
LEARNING = "Learning: what leaving usually earns is known of no pair yet; no signal until then."
COUNT_MAX = 1_000_000


class ExactSide(StrEnum):
    """Which amount of a swap is told; the other one follows."""

    IN = "in"
    OUT = "out"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (
        ("status", status),
        ("sources", sources),
        ("connections", connections),
        ("watch", watch),
        ("signals", signals),
        ("why", why),
        ("book", book),
        ("analysis", analysis),
        ("pools", pools),
        ("cycles", cycles),
        ("opportunities", opportunities),
        ("costs", costs),
        ("tables", tables_in_force),
        ("settings", settings_now),
        ("report", report),
    ):
        app.command(name, epilog=STATUS_CODES if name == "status" else EXIT_CODES)(command)


def status(
    interval: Annotated[
        float, typer.Option(help="Seconds over which rates are measured.", min=0.05, max=60)
    ] = 0.5,
    counters: Annotated[
        bool, typer.Option("--counters", help="Also every counter that is not zero.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Every process: state, heartbeat, rates, drops, latency, tables. Exit 1 if any is unwell, a
    degraded one included, or still starting, or if a condition stands that alerts tell of (disk,
    tables, quotes, reload, version); 3 if all is well but something is halted or paused; 4 if the
    system is not up.

    With --json all counters are there too, by process.
    """
    now = read_status(load_settings(), interval)
    if as_json:
        print_json(now)
    else:
        _tell_status(now, counters)
    if not now.ok:
        raise typer.Exit(EXIT_FAILED)
    raise typer.Exit(EXIT_DELIBERATE if now.switches.any else EXIT_DONE)


def _tell_status(now: Status, counters: bool) -> None:
    from spread_scanner.cli.screen import processes_table

    console = people()
    table = processes_table(now.processes, console.width)
    console.print(table)
    legend(console, legends.PROCESSES, table)
    if counters:
        rows = [
            (process, label, count)
            for process, counts in now.counters.items()
            for label, count in counts.items()
            if count
        ]
        console.print(grid("", ["process", "counter", "count>"], rows))
    for line in _disk_lines(now.disk):
        console.print(line, markup=False)
    for line in switched_lines(now.switches.standing):
        console.print(line, style="bold yellow", markup=False)
    amiss = [one for one in now.beside if not one.deliberate]
    for line in brief([one for one in amiss if not one.can_wait]):
        console.print(f"Amiss: {line}", style="bold yellow", markup=False)
    for line in brief([one for one in amiss if one.can_wait]):
        console.print(f"Amiss, can wait: {line}", style="yellow", markup=False)
    out = [one.key.partition(":")[2] for one in now.beside if kind_of(one.key) == "quarantine"]
    if out:
        said = f"In quarantine: {few(out, NAMED_MAX)}; spread-ctl tables says why."
        console.print(said, style="yellow", markup=False)
    if now.learning and all(one.key != "learning" for one in now.conditions):
        console.print(LEARNING, style="cyan")
    if now.starting:
        console.print(f"Starting: {', '.join(now.starting)}", style="cyan")
    if now.unwell:
        console.print(f"Unwell: {', '.join(now.unwell)}", style="bold red")
    for line in _reasons(now):
        console.print(line, style="red", markup=False)


def _reasons(now: Status) -> Iterator[str]:
    """Why somebody is unwell, where his state alone does not say it."""
    for view in now.processes:
        if view.process in now.unwell:
            hangs = view.alive and view.state in ("running", "paused") and not view.degraded
            silent_s = (view.heartbeat_age_ms or 0.0) / 1e3
            said = [f"has not beaten for {silent_s:z.1f} s"] if hangs else []
            said += [view.message] if view.message else []
            if said:
                yield f"{view.process}: {', '.join(said)}"


def _disk_lines(disk: Disk) -> Iterator[str]:
    """What the system takes of the disk, and who keeps it from giving back."""
    parts = (
        ("database", disk.database_bytes),
        ("its log", disk.wal_bytes),
        *((("cycles", disk.cycles_bytes),) if disk.cycles_bytes != 0 else ()),
        ("reports", disk.reports_bytes),
        ("logs", disk.logs_bytes),
        ("free", disk.free_bytes),
    )
    yield "Disk: " + ", ".join(f"{name} {size_text(size)}" for name, size in parts) + "."
    if disk.vacuuming:
        yield "A vacuum runs: its log may become as large as the database."
    for reader in disk.readers:
        who = f"pid {reader.pid}{f' ({reader.command})' if reader.command else ''}"
        yield f"{who} reads the database in one transaction: its log grows until that ends."


def sources(as_json: Json = False) -> None:
    """Every source: its feed, its quotes, and how many of them can be stood behind now. Where a
    recorder runs: how far the log is with each, and how far the disk."""
    from spread_scanner.view.sources import read

    views = read(load_settings())
    if as_json:
        print_json(views)
        return
    columns = ["source", "feed", "wanted>", "quoted>", "usable>", "heartbeat ms>", "message"]
    rows = [
        (
            view.source,
            "disabled" if not view.enabled else "paused" if view.paused else view.state,
            view.wanted,
            view.quoted,
            view.usable,
            view.heartbeat_age_ms,
            view.message,
        )
        for view in views
    ]
    console = people()
    console.print(grid("", columns, rows))
    legend(console, legends.SOURCES)
    logged = [
        (view.source, view.log.appended_seq, view.log.durable_seq, view.log.durable_age_ms)
        for view in views
        if view.log is not None
    ]
    if logged:
        columns = ["source", "appended>", "durable>", "age ms>"]
        console.print(grid("In the log", columns, logged))
        legend(console, legends.SOURCES_LOGGED)


def pools(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="[WANTED|quote]",
            help="Only those whose key, program or symbol contains this. quote: what a swap would "
            "do now, asked of the providers themselves.",
        ),
    ] = "",
    swap: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[POOL MINT_IN AMOUNT]",
            help="For quote: a pool's key or how that begins, the coin or mint that is swapped in, "
            "an amount in whole tokens.",
        ),
    ] = None,
    exact: Annotated[
        ExactSide | None,
        typer.Option(help="For quote: which amount is told; in, where nothing is said."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Solana's pools as feed-solana has them: price, fee, slot, and whether they can be stood
    behind. Or what a swap would do, to the last unit: pools quote POOL MINT_IN AMOUNT."""
    settings = load_settings()
    if wanted == "quote":
        _quote(settings, swap or [], exact or ExactSide.IN, as_json)
    elif swap or exact is not None:
        said = "more words and --exact go with quote"
        raise Unusable(said, wanted="pools quote POOL MINT_IN AMOUNT")
    else:
        _pools(settings, wanted, as_json)


def _quote(settings: Settings, words: list[str], exact: ExactSide, as_json: bool) -> None:
    files.check_extra(settings)
    from spread_scanner.cli import pool_quote  # which needs the extra

    found = pool_quote.quoted(settings, words, by_input=exact is ExactSide.IN)
    if as_json:
        print_json(found)
        return
    for line in pool_quote.lines(found):
        people().print(line)


def _pools(settings: Settings, wanted: str, as_json: bool) -> None:
    from spread_scanner.cli.pools import columns_and_rows, refusals
    from spread_scanner.view import pools as of_pools

    found = of_pools.of_all(settings, wanted)
    if as_json:
        print_json(found)
        return
    console = people()
    if not found:
        console.print(of_pools.why_none(settings, wanted), markup=False)
        return
    table = grid("", *columns_and_rows(found, console.width))
    console.print(table)
    for line in refusals(found):
        console.print(line, markup=False)
    legend(console, legends.POOLS, table)


def cycles(
    pool: Annotated[
        str, typer.Argument(help="Only those through a pool whose key contains this.")
    ] = "",
    count: Annotated[
        int, typer.Option("--last", "-n", help="How many.", min=1, max=COUNT_MAX)
    ] = 20,
    standing: Annotated[bool, typer.Option(help="Only those that still pay.")] = False,
    as_json: Json = False,
) -> None:
    """Cycles over Solana's pools as spread-paths found them, newest first, and what the same amount
    would have paid 1, 2 and 5 slots later."""
    from spread_scanner.cli.cycles import columns_and_rows
    from spread_scanner.view.cycles import StoredCycles, why_none

    settings = load_settings()
    stored = StoredCycles(settings.data_dir)
    with contextlib.closing(stored):
        found = stored.last(count, pool=pool, standing=standing)
        stored.check()
        out = stored.left_out()
        stored.check()
    if as_json:
        print_json(found)
        return
    console = people()
    if found:
        table = grid("", *columns_and_rows(found, settings.pools.mints, console.width))
        console.print(table)
        legend(console, legends.CYCLES, table)
    else:
        console.print(why_none(settings), markup=False)
    for one in out:
        console.print(f"left out: {one.pool} ({one.program}): {one.why}", markup=False)


def opportunities(
    count: Annotated[
        int, typer.Option("--last", "-n", help="How many.", min=1, max=COUNT_MAX)
    ] = 20,
    symbol: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    as_json: Json = False,
) -> None:
    """The newest opportunities as the tracker stored them, newest first."""
    from spread_scanner.view.evaluations import symbol_id_of
    from spread_scanner.view.opportunities import Opportunities

    settings, wanted = load_settings(), symbol_as(symbol) if symbol else None
    stored = Opportunities(settings.data_dir)
    found = stored.last(count, symbol=wanted)
    stored.close()
    stored.check()
    if wanted and not found:  # of a coin that has left the tables there may be some
        symbol_id_of(tables.load(settings.generated_dir), wanted)
    if as_json:
        print_json(found)
        return
    columns = ["id>", "symbol", "direction", "entry>", "peak>", "result>", "lived s>", "closed"]
    rows = [
        (
            row.id,
            row.symbol,
            row.direction,
            row.entry_net_bps,
            row.peak_net_bps,
            row.mark_bps,
            None if row.closed_ns is None else (row.closed_ns - row.opened_ns) / NS_PER_S,
            row.reason or "open",
        )
        for row in found
    ]
    console = people()
    console.print(grid("", columns, rows))
    legend(console, legends.OPPORTUNITIES)


def costs(
    symbol: Annotated[str, typer.Option(help="Only symbols that contain this.")] = "",
    as_json: Json = False,
) -> None:
    """What each pair costs: fees, funding, and the thresholds that its net spread is held to."""
    from spread_scanner.view.costs import read

    found = read(load_settings(), symbol)
    if as_json:
        print_json(found)
        return
    columns = ["symbol", "direction", "fees>", "carry>", "costs>", "enter>", "exit below>"]
    rows = [
        (
            one.symbol,
            one.direction,
            one.fees_bps,
            one.carry_at_ask_bps,
            one.costs_bps,
            one.enter_bps,
            one.exit_below_bps,
        )
        for one in found
    ]
    console = people()
    console.print(grid("", columns, rows))
    legend(console, legends.COSTS)


def tables_in_force(as_json: Json = False) -> None:
    """The tables that discovery published last: age, symbols, pairs by direction, quarantine."""
    from spread_scanner.view.tables import read

    now = read(load_settings().generated_dir)
    if as_json:
        print_json(now)
        return
    console = people()
    console.print(
        f"Generation {now.generation}, made {ago(now.age_s)}: {now.symbols:,} symbols, "
        f"{now.pairs:,} pairs, {len(now.quarantined):,} quarantined."
    )
    console.print(grid("", ["direction", "pairs>"], now.directions.items()))
    for one in now.quarantined:
        line = f"Quarantined: {one.symbol} {one.direction}: {one.reason}"
        console.print(line, markup=False)


def settings_now(as_json: Json = False) -> None:
    """All settings as they are read now, defaults included, as TOML, without secrets."""
    from spread_scanner.view.settings import read

    now = read(load_settings())
    if as_json:
        print_json(now)
        return
    console = people()
    console.print(f"# {now.folder}, digest {now.digest[:8]}", soft_wrap=True)
    for file in ("config", "exchanges", "directions"):
        console.print(f"\n# --- {file}.toml")
        for section, values in getattr(now, file).items():
            if values:
                lines = "\n".join(as_toml.section(section, values))
                console.print(f"\n{lines}", soft_wrap=True)


def connections(
    source: Annotated[str, typer.Option(help="Only this source's.")] = "",
    interval: Annotated[
        float, typer.Option(help="Seconds over which rates are measured.", min=0.05, max=60)
    ] = 0.5,
    as_json: Json = False,
) -> None:
    """Every connection of the feeds: messages, quotes, skips, reconnects, latencies.

    With --json all counters are there too, by connection.
    """
    from spread_scanner.cli.connections import columns_and_rows
    from spread_scanner.view.connections import look

    only = source_of(source) if source else None
    views = look(load_settings().config.system.namespace, interval, only)
    if as_json:
        print_json(views)
    else:
        console = people()
        table = grid("", *columns_and_rows(views, console.width))
        console.print(table)
        legend(console, legends.CONNECTIONS, table)


def watch(
    symbol: Annotated[str, typer.Option(help="Show only symbols that contain this.")] = "",
    as_json: Json = False,
) -> None:
    """All spreads, live and full-screen: sort, filter, pause, a sparkline of the selected pair.

    With --json as they stand now, the highest net spread first, and the end.
    """
    from spread_scanner.cli.watch import WatchScreen
    from spread_scanner.view.spreads import SpreadBoard, spreads_of
    from spread_scanner.view.symbols import part_of_symbol

    settings = load_settings()
    if not as_json and not on_screen():
        raise NoScreen("there is no terminal to draw on: --json shows the spreads as they stand")
    loaded = tables.load(settings.generated_dir)
    with PriceStore.attach(settings.config.system.namespace) as store:
        if as_json:
            part = part_of_symbol(symbol, loaded.symbol_names().values())
            print_json(spreads_of(SpreadBoard(settings, loaded, store), part))
        else:
            WatchScreen(settings, loaded, store, symbol).run()


def signals(
    count: Annotated[
        int, typer.Option("--last", "-n", help="How many past ones.", min=0, max=COUNT_MAX)
    ] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C or the system ends.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The engine's last signals, as they stand in the ring. With --json --follow one a line."""
    from spread_scanner.view.signals import SignalTail, views_of
    from spread_scanner.view.symbols import NamesThen

    settings = load_settings()
    names = NamesThen(settings.generated_dir)
    with SignalTail.attach(settings.config.system.namespace, last=count) as tail:
        rows = views_of(tail.take(), names) if count else []
        if as_json and not follow:
            print_json(rows)
            return
        if not as_json:
            people().print(_SIGNAL_HEADING, style="bold")
            if follow:
                legend(people(), legends.SIGNALS)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end of --follow
            while True:
                for row in rows:
                    if as_json:
                        print_json(row)
                    else:
                        people().print(_signal_line(row))
                if not follow or tail.retired:
                    break
                clock.sleep(FOLLOW_EVERY_S)
                rows = views_of(tail.take(), names)
    if not as_json and not follow:
        legend(people(), legends.SIGNALS)


_SIGNAL_HEADING = (
    f"{'seq':>5} {'kind':8} {'symbol':12} {'direction':15} {'net':>6} {'gross':>6} {'size':>7} "
    f"{'ages ms':>8} notes"
)


def _signal_line(signal: SignalView | FollowUpView) -> str:
    ages = f"{signal.spot_age_ms:z,.0f}/{signal.fut_age_ms:z,.0f}"
    notes = "".join(legends.NOTES[note][0] for note in signal.notes)
    net = "-" if signal.net_bps is None else f"{signal.net_bps:z.1f}"
    gross = f"{signal.gross_bps:z.1f}" if isinstance(signal, SignalView) else ""
    size = "-" if signal.size_quote is None else f"{signal.size_quote:z,.0f}"
    return (
        f"{signal.seq:>5} {signal.kind:8} {f'{signal.symbol:12} {signal.direction}':28} "
        f"{net:>6} {gross:>6} {size:>7} {ages:>8} {notes}"
    ).rstrip()


def why(
    symbol: Annotated[str, typer.Argument(help="For example BTC-USDT.")],
    direction: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    last: Annotated[int, typer.Option(help="How many decisions.", min=1, max=COUNT_MAX)] = 5,
    as_json: Json = False,
) -> None:
    """Why a spread gave a signal, or gave none: gross, fees, funding, size, ages, verdict."""
    from spread_scanner.cli.why import lines
    from spread_scanner.view.evaluations import ask

    answer = ask(load_settings(), symbol, direction, last)
    if as_json:
        print_json(answer)
        return
    console = people()
    for line in lines(answer):
        say(console, line)


def book(
    symbol: Annotated[str, typer.Argument(help="For example BTC-USDT.")],
    source: Annotated[str, typer.Option(help="Only this source's.")] = "",
    consolidated: Annotated[
        bool, typer.Option("--consolidated", help="All sources' levels as one book.")
    ] = False,
    fees: Annotated[
        bool, typer.Option("--fees", help="The consolidated book by prices with the taker fee.")
    ] = False,
    levels: Annotated[int, typer.Option(help="Of a side, at most.", min=1, max=LEVELS_SHOWN)] = 10,
    wait: Annotated[
        float, typer.Option(help="Seconds that books may take to come.", min=0, max=60)
    ] = 3.0,
    as_json: Json = False,
) -> None:
    """The order books of a symbol as they stand, live on a terminal; the feeds are asked to follow
    them meanwhile. Exit 1 if none has come."""
    from spread_scanner.cli.book import draw, tables_of
    from spread_scanner.view.books import BooksInForce, BooksView, Wish

    only = source_of(source) if source else None
    wish = Wish(symbol, only, levels, consolidated or fees, fees)
    settings = load_settings()
    if not as_json and on_screen():
        with contextlib.closing(BooksInForce(settings, wish)) as live:
            draw(live)
        return
    with contextlib.closing(BooksView(settings, wish)) as view:
        now = view.awaited(wait)
    if as_json:
        print_json(now)
    else:
        console = people()
        for shown in tables_of(now, console.width):
            console.print(shown)
    if all(one.age_ms is None for one in now.books):
        raise typer.Exit(EXIT_FAILED)


def analysis(
    symbol: Annotated[str, typer.Argument(help="For example BTC-USDT.")],
    as_json: Json = False,
) -> None:
    """How a symbol's spreads and prices usually stand: means, deviations, quantiles, reversion,
    RSI, EMA, Bollinger bands. Found out by spread-analyst, where it is enabled.

    With --json all half-lives, and the bars that closed last.
    """
    from spread_scanner.cli.analysis import basis, indicators, standing
    from spread_scanner.view.analysis import read

    now = read(load_settings(), symbol)
    if as_json:
        print_json(now)
        return
    console = people()
    console.print(standing(now))
    for table, meanings in (
        (grid("", *basis(now, console.width)), legends.BASIS),
        (grid("", *indicators(now)), legends.INDICATORS),
    ):
        if table.row_count:
            console.print(table)
            legend(console, meanings)


def report(
    since: options.Since = "all",
    html: options.Html = None,
    database_file: options.DatabaseFile = None,
    folder: options.Folder = None,
    hourly: options.Hourly = False,
    pairs: options.Pairs = False,
    as_json: Json = False,
) -> None:
    """What became of the opportunities, and what trades would have earned."""
    from spread_scanner.tracker.report_cli import tell

    tell(since, html, database_file, folder, as_json=as_json, hourly=hourly, pairs=pairs)
