"""Faults of what is asked and what is said: requests, quotes, times, ids, listings."""

from collections.abc import Callable

import shapes
from exchange import Exchange
from fault import (
    ASK_S,
    CUT_S,
    NOW,
    REFUSED_S,
    TELLING,
    Fault,
    Kind,
    Stage,
    cut_carriers,
    cut_some,
    row_of,
)
from market import Row, beyond
from of_wires import maintenance

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.sim.notices import Work

TWO_TIMES = ("binance-futures", "bybit-spot", "bybit-futures", "mexc-futures")
TIMES = (1_000.0, 6.0, 1 / 6, 1 / 1_000)  # what a price is of what it was
DRIFT_PPM_MAX = 95.0  # lag_drift_ppm is 100
TOO_CHEAP = 1_000_000  # in ticks: a thousandth of it leaves no walk


def unwelcome(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    row = row_of(exchange, fault.pick)
    if row is None:
        return None
    exchange.switch.unwelcome.add(row.name)
    cut_carriers(exchange, row)

    def over() -> None:
        exchange.switch.unwelcome.discard(row.name)

    return over


def closed(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Nothing of what is asked for is given, as to an address of a country that is not served."""
    switch = exchange.switch
    switch.closed_ns = exchange.clock.mono_ns()
    for session in list(exchange.sessions):
        session.reset()

    def over() -> None:
        switch.closed_ns = 0

    return over


def nameless(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.nameless = 1 + int(3 * fault.size)
    cut_some(exchange, fault)


def lost_request(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.swallow = 1 + int(2 * fault.size)
    cut_some(exchange, fault)


def hollow(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.hollow = 1
    cut_some(exchange, fault)


def silent(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """A symbol's stream stands still until it is asked for again; perhaps soon after that anew."""
    row = row_of(exchange, fault.pick)
    if row is not None and any(one.carries(row) for one in exchange.sessions):
        exchange.switch.mute.add(row.name)
        exchange.log("mute", exchange.label, row.name)


def outlier(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """One message dated ahead of its time."""
    row = row_of(exchange, fault.pick)
    if row is not None and row.listing.status == "trading":
        exchange.switch.clock_ns += int(3 * NS_PER_S * (1 + 100 * fault.size))
        exchange.say(row, odd=True)
        exchange.switch.clock_ns -= int(3 * NS_PER_S * (1 + 100 * fault.size))


def skew(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange's clock steps, and back again, and there is some traffic then.

    One that comes back differs from a backlog only by symbols that quote more often than it steps.
    """
    telling_s = max(0.0, fault.for_s - 10)
    tells_ns = int((fault.for_s + 20 - telling_s) * NS_PER_S)
    exchange.loop.call_ns(int(telling_s * NS_PER_S), _hurry, exchange, tells_ns)
    step_ns = int((fault.pick - 0.5) * 16 * NS_PER_S)
    exchange.switch.clock_ns += step_ns

    def over() -> None:
        exchange.switch.clock_ns -= step_ns
        exchange.clock_came_back(step_ns)
        if step_ns > 0 and not any(one.quoted for one in exchange.live()):
            stage.unheard(exchange)

    return over


def set_unseen(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """The exchange sets its clock back by less than the pause between two quotes of every symbol,
    for good: no time goes back by it, and it looks like a gateway that has fallen behind.
    """
    step_ns = int((3 + 5 * fault.size) * NS_PER_S)
    go_on = exchange.hurry(1e-9)  # nobody says anything after the next time

    def set_back() -> None:
        now_ns = exchange.clock.mono_ns()
        said_ns = max(row.last.said_ns for row in exchange.rows.values() if row.last is not None)
        if now_ns - said_ns <= step_ns + NS_PER_S:
            exchange.loop.call_ns(100 * NS_PER_MS, set_back)
            return
        exchange.switch.clock_ns -= step_ns
        exchange.log("set back unseen", exchange.label, step_ns)
        stage.unheard(exchange)
        go_on()
        exchange.tick_all()

    set_back()


def drift(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """The exchange's clock goes too slow or too fast, by less than is allowed for, for hours."""
    if exchange.switch.drift_ppm:
        return None
    exchange.drift((2 * fault.pick - 1) * DRIFT_PPM_MAX)

    def over() -> None:
        exchange.drift(0.0)

    return over


def _hurry(exchange: Exchange, for_ns: int) -> None:
    exchange.loop.call_ns(for_ns, exchange.hurry(TELLING))


def behind(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange's gateway falls behind its engine; a new connection gets old news too."""
    exchange.fall_behind(int((3 + 20 * fault.size) * NS_PER_S))
    exchange.loop.call_ns(
        int(fault.for_s / 2 * NS_PER_S), cut_some, exchange, fault._replace(size=0.0)
    )
    return exchange.catch_up


def restart_ids(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    for row in exchange.rows.values():
        row.restart_ids()


def halt(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """A symbol stands still; where the exchange repeats itself, it does."""
    row = row_of(exchange, fault.pick)
    if row is None:
        return None
    row.halted = True
    heard = exchange.announce(row.listing, halted=True)
    exchange.log("halted", exchange.label, row.name, heard)
    _repeat(exchange, row)

    def over() -> None:
        row.halted = False
        if not exchange.announce(row.listing, halted=False) and heard:
            # Who heard of the halt and not of its end goes by the next tables.
            exchange.loop.call_ns(20 * NS_PER_S, stage.reload, exchange)

    return over


def _repeat(exchange: Exchange, row: Row) -> None:
    """As long as a symbol stands still."""
    every_s = {"bybit": 3.0, "okx": 60.0}.get(exchange.host.name)
    if row.halted and every_s is not None:
        if row.last is not None and row.listing.status == "trading":
            exchange.say(row, repeat=True)
        exchange.loop.call_ns(int(every_s * NS_PER_S), _repeat, exchange, row)


def relist(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """Some symbols leave the tables and come back later, when others have taken their places."""
    rows = stage.listed(exchange)
    if len(rows) < 3:
        return None
    start = int(fault.pick * len(rows))
    gone = [rows[(start + n) % len(rows)] for n in range(1 + int(fault.size * 2))]
    for row in gone:
        row.wanted = False
        exchange.log("delisted", exchange.label, row.name)
    stage.reload(exchange)

    def over() -> None:
        for row in gone:
            row.wanted = True
            row.taught = 0  # a listing of its own: how often there were news before is forgotten
        stage.reload(exchange)

    return over


def redenominated(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """A listing is quoted in thousands from now on, or in ones again, and tables say so, while
    nobody is connected: what had been sent before would be read by these tables.
    """
    row = row_of(exchange, fault.pick)
    if row is not None and not exchange.live() and not exchange.switch.held_ns:
        row.redenominate(1_000 if row.units == 1 else 1)
        exchange.log("redenominated", exchange.label, row.name, row.units)
        exchange.say(row)  # which is what stands for whoever subscribes
        stage.reload(exchange)


def new_units(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """A listing is redenominated while its exchange is away for it."""
    half_ns = int(fault.for_s / 2 * NS_PER_S)
    exchange.loop.call_ns(half_ns, redenominated, stage, exchange, fault)
    return maintenance(stage, exchange, fault)


def unreadable(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _say_oddly(exchange, fault, shapes.UNREADABLE)


def one_sided(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """A side of a book is empty, and said so by one of the ways of saying it."""
    _say_oddly(exchange, fault, (*shapes.EMPTY_BID, *shapes.EMPTY_ASK))


def _say_oddly(exchange: Exchange, fault: Fault, kinds: tuple[str, ...]) -> None:
    row = row_of(exchange, fault.pick)
    if row is not None and row.listing.status == "trading":
        exchange.say(row, shape=kinds[int(fault.size * len(kinds))])


def bad_time(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """Some quotes bear a time that cannot be: in seconds, of 1970, of the far future.

    Of two times both, or the engine's alone, which cannot be later than the other one, either.
    """
    engines = exchange.label in TWO_TIMES and int(fault.size * 100) % 2 == 1
    for number in range(1 + int(3 * fault.size)):
        row = row_of(exchange, (fault.pick + number * 0.37) % 1)
        if row is not None and row.listing.status == "trading" and exchange.dated:
            exchange.say(row, untimed=not engines, misdated=engines)


def creep(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """A backlog grows slowly, by an amount that nobody sees from one quote to the next."""
    exchange.creep_behind((3 + 60 * fault.size**3) / fault.for_s)
    return exchange.catch_up


def engine_late(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """What the matching engine says is sent late, in fresh envelopes."""
    if exchange.label not in TWO_TIMES:
        return None
    exchange.fall_behind(int((3 + 30 * fault.size) * NS_PER_S))
    exchange.switch.enveloped = True

    def over() -> None:
        exchange.catch_up()
        exchange.switch.enveloped = False

    return over


def jump(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """A price is suddenly of another level: redenominated, or another coin's. It comes back, or
    tables are made that judge it, and it comes back after all.
    """
    row = row_of(exchange, fault.pick)
    if row is None or row.times != 1.0:
        return None
    over_ns = 0
    row.times = TIMES[int(fault.size * len(TIMES))]
    if row.times < 1.0 and row.middle < TOO_CHEAP:
        row.times = 1 / row.times
    exchange.log("jumped", exchange.label, row.name, row.times)
    if fault.size * len(TIMES) % 1 > 0.5:
        exchange.loop.call_ns(int(fault.for_s / 2 * NS_PER_S), stage.reload, exchange)

    def over() -> None:
        nonlocal over_ns
        row.times, over_ns = 1.0, exchange.clock.mono_ns()
        for after_s in (10, 30):
            exchange.loop.call_ns(after_s * NS_PER_S, judge)
        exchange.loop.call_ns(50 * NS_PER_S, judge_at_last)

    def judge_at_last() -> None:
        """Not before it was heard again: it may have been refused, silent, or in a backlog."""
        if row.heard is not None and row.heard.said_ns < over_ns:
            exchange.loop.call_ns(20 * NS_PER_S, judge_at_last)
        judge()

    def judge() -> None:
        """Where any tables have judged the level that it has left again, others have to."""
        if row.heard is not None and row.level and beyond(row.heard.mid, row.level):
            stage.reload(exchange)

    return over


def quiet(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """The busiest symbol has no news; where the exchange repeats itself, it does."""
    rows = [row for row in exchange.rows.values() if row.wanted and not row.halted]
    if not rows:
        return None
    row = max(rows, key=lambda row: row.rate_per_s)
    row.halted = True
    _repeat(exchange, row)

    def over() -> None:
        row.halted = False

    return over


def work(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Announced where the exchange does, with its begin and end; then everything is cut, its status
    too or not."""
    now_ms = exchange.now_ms()
    begins_ms = now_ms + int(fault.for_s / 4 * 1e3)
    told = Work(exchange.label, f"work {now_ms}", begins_ms, now_ms + int(fault.for_s * 1e3))
    exchange.tell_work(told, "scheduled")

    def begin() -> None:
        exchange.tell_work(told, "ongoing")
        exchange.switch.refuse = "503"
        for session in list(exchange.sessions):
            if not session.notices or fault.size > 0.5:
                session.goodbye(1012, "service restart")

    exchange.loop.call_ns(int(fault.for_s / 4 * NS_PER_S), begin)

    def over() -> None:
        exchange.switch.refuse = ""
        exchange.tell_work(told, "completed")

    return over


# Come where they are asked for: of the first only a feed that is started again learns, in a quarter
# of an hour, the second wants an exchange that is away, as in "new units".
GIVEN = {
    "set unseen": Kind(set_unseen, NOW, CUT_S),
    "redenominated": Kind(redenominated, NOW, CUT_S),
}
KINDS: dict[str, Kind] = {
    "unwelcome": Kind(unwelcome, (30.0, 400.0), REFUSED_S),
    "closed": Kind(closed, (60.0, 400.0), REFUSED_S, 0.5),
    "nameless": Kind(nameless, NOW, ASK_S),
    "lost request": Kind(lost_request, NOW, ASK_S),
    "hollow": Kind(hollow, NOW, ASK_S + 120.0),
    "silent": Kind(silent, NOW, 900.0),
    "outlier": Kind(outlier, NOW, 0.0),
    "skew": Kind(skew, (5.0, 120.0), CUT_S, 0.5),
    "drift": Kind(drift, (1_800.0, 30_000.0), 0.0, 0.5, beside=True),
    "behind": Kind(behind, (20.0, 120.0), CUT_S),
    "new ids": Kind(restart_ids, NOW, 10.0),
    "halt": Kind(halt, (60.0, 600.0), CUT_S),
    "relist": Kind(relist, (20.0, 200.0), CUT_S, 2.0),
    "unreadable": Kind(unreadable, NOW, 30.0),
    "one-sided": Kind(one_sided, NOW, 30.0),
    "bad time": Kind(bad_time, NOW, 0.0),
    "creep": Kind(creep, (200.0, 900.0), CUT_S, 0.5),
    "engine late": Kind(engine_late, (20.0, 120.0), CUT_S),
    "jump": Kind(jump, (20.0, 200.0), CUT_S),
    "quiet": Kind(quiet, (400.0, 900.0), 0.0, 0.5),
    "new units": Kind(new_units, (60.0, 300.0), CUT_S, 0.5),
    "work": Kind(work, (60.0, 600.0), CUT_S),
}
