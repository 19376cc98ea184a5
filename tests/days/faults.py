"""What goes wrong in a day: kinds of faults, when they come, what they turn.

A schedule is drawn from the seed alone, so that a shorter one is a prefix of it. Each kind says how
long after its end everything has to be well again (`within_s`): the times stand in
docs/developing.md. Kinds that a well-behaved feed does not notice have a time of 0.
"""

from collections.abc import Callable, Collection, Iterator
from random import Random
from typing import NamedTuple, Protocol

from exchange import Exchange, Session
from market import Row

from spread_scanner.clock import NS_PER_S

CUT_S = 60.0  # back-off, turn, dial, subscription and a first quote
ASK_S = 240.0  # the deadline of a request, its repetition, another connection
REFUSED_S = 960.0  # refused symbols are asked for again after 1, 5 and 15 minutes
PATH_NS = 6 * NS_PER_S  # a path is known to be well by the next ping that is answered in time
TELLING = 15.0  # times the usual rate: some twenty messages a second


class Fault(NamedTuple):
    """`pick` chooses among what there is when it begins; `size` scales what a kind scales."""

    at_s: float
    kind: str
    for_s: float
    pick: float
    size: float

    def __str__(self) -> str:
        return (
            f"{self.at_s:10.3f} s  {self.kind:14} for {self.for_s:7.1f} s  "
            f"pick {self.pick:.3f}  size {self.size:.3f}"
        )


class Stage(Protocol):
    """What a fault may turn besides the exchange: the operator's and the machine's part."""

    def reload(self, exchange: Exchange) -> None: ...

    def suspend(self, seconds: float) -> None: ...

    def tempt(self, exchange: Exchange, after_s: float) -> None: ...

    def listed(self, exchange: Exchange) -> list[Row]: ...

    def dial_beside(self, exchange: Exchange, for_s: float) -> None: ...


class Kind(NamedTuple):
    """`begin` may return how to end it, which is called after `for_s`."""

    begin: Callable[[Stage, Exchange, Fault], "Callable[[], None] | None"]
    for_s: tuple[float, float]
    within_s: float
    weight: float = 1.0


def _one(exchange: Exchange, pick: float) -> Session | None:
    live = [one for one in exchange.sessions if one.opened_ns and not one.wire.dead]
    live.sort(key=lambda one: one.notices)  # what is announced comes last
    return live[int(pick * len(live))] if live else None


def _row(exchange: Exchange, pick: float) -> Row | None:
    rows = [row for row in exchange.rows.values() if row.wanted and not row.halted]
    return rows[int(pick * len(rows))] if rows else None


def _cut_some(exchange: Exchange, fault: Fault) -> None:
    """One connection, or now and then all."""
    if fault.size > 0.8:
        for session in list(exchange.sessions):
            session.reset()
    elif (one := _one(exchange, fault.pick)) is not None:
        one.reset()


def reset(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _cut_some(exchange, fault)


def goodbye(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    if (session := _one(exchange, fault.pick)) is not None:
        session.goodbye(1001, "going away")


def half_open(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    chosen: list[Session | None] = [_one(exchange, fault.pick)]
    if fault.size > 0.8:
        chosen = list(exchange.sessions)
    for session in chosen:
        if session is not None:
            session.wire.dead = True
            exchange.graves.append(session)
    stage.tempt(exchange, 2.6 + 4 * fault.pick)


def busy(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Many messages; now and then a connection dies in the midst of it."""
    total = sum(row.rate_per_s for row in exchange.rows.values() if row.wanted) or 1.0
    exchange.faster = (100 + 300 * fault.size) / total
    if fault.pick < 0.7:
        exchange.loop.call_ns(
            int(fault.for_s * 0.6 * NS_PER_S),
            half_open, stage, exchange, fault._replace(pick=fault.pick / 0.7),
        )  # fmt: skip

    def over() -> None:
        exchange.faster = 1.0

    return over


def slow(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    exchange.switch.slower_ns = int((0.3 + 8 * fault.size) * NS_PER_S)
    _slow_all(exchange)
    believed_ns = int(fault.for_s * NS_PER_S) + exchange.switch.slower_ns + PATH_NS
    exchange.slow_until_ns = exchange.clock.mono_ns() + believed_ns

    def over() -> None:
        exchange.switch.slower_ns = 0
        _slow_all(exchange)

    return over


def _slow_all(exchange: Exchange) -> None:
    for session in exchange.sessions:
        session.wire.slower_ns = exchange.switch.slower_ns


def announced(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    if (session := _one(exchange, fault.pick)) is not None:
        session.announce(fault.for_s)


def draining(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The server announces its end and cuts every successor at once."""
    exchange.switch.cut_successors = True
    for session in list(exchange.sessions):
        session.announce(fault.for_s)

    def over() -> None:
        exchange.switch.cut_successors = False

    return over


def refuse(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    kinds = ("refused", "dns", "hole", "503", "redirect")
    exchange.switch.refuse = kinds[int(fault.pick * len(kinds))]
    _cut_some(exchange, fault)
    return _welcoming(exchange)


def ban(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    exchange.switch.refuse = ("418", "429", "403")[int(fault.pick * 3)]
    exchange.switch.retry_after_s = 30 + int(90 * fault.size)
    _cut_some(exchange, fault)
    return _welcoming(exchange)


def maintenance(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    exchange.switch.refuse = "503"
    for session in list(exchange.sessions):
        session.goodbye(1012, "service restart")
    return _welcoming(exchange)


def _welcoming(exchange: Exchange) -> Callable[[], None]:
    def over() -> None:
        exchange.switch.refuse = ""
        exchange.switch.retry_after_s = 0

    return over


def flaky(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Most dials fail, while connections that stood well are cut one by one."""
    exchange.switch.flaky = 0.75
    _cut_some(exchange, fault)
    for number in range(1, 4):
        again = fault._replace(pick=(fault.pick + number * 0.37) % 1, size=0.0)
        exchange.loop.call_ns(int(fault.for_s * number / 4 * NS_PER_S), _cut_some, exchange, again)

    def over() -> None:
        exchange.switch.flaky = 0.0

    return over


def cut_early(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    exchange.switch.cut_after_quote = True
    _cut_some(exchange, fault)

    def over() -> None:
        exchange.switch.cut_after_quote = False

    return over


def unwelcome(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    row = _row(exchange, fault.pick)
    if row is None:
        return None
    exchange.switch.unwelcome.add(row.name)
    _cut_carriers(exchange, row)

    def over() -> None:
        exchange.switch.unwelcome.discard(row.name)

    return over


def _cut_carriers(exchange: Exchange, row: Row) -> None:
    for session in list(exchange.sessions):
        if session.subscribed(row.name):
            session.reset()


def nameless(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.nameless = 1 + int(3 * fault.size)
    _cut_some(exchange, fault)


def lost_request(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.swallow = 1 + int(2 * fault.size)
    _cut_some(exchange, fault)


def hollow(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.hollow = 1
    _cut_some(exchange, fault)


def silent(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    row = _row(exchange, fault.pick)
    if row is not None and any(one.carries(row) for one in exchange.sessions):
        exchange.switch.mute.add(row.name)
        exchange.log("mute", exchange.label, row.name)


def outlier(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """One message dated ahead of its time."""
    row = _row(exchange, fault.pick)
    if row is not None and row.listing.status == "trading":
        exchange.switch.clock_ns += int(3 * NS_PER_S * (1 + 100 * fault.size))
        exchange.say(row, odd=True)
        exchange.switch.clock_ns -= int(3 * NS_PER_S * (1 + 100 * fault.size))


def skew(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange's clock steps, and back again, and there is some traffic then.

    One that comes back differs from a backlog only by symbols that quote more often than it steps.
    """
    telling_s = max(0.0, fault.for_s - 10)
    exchange.loop.call_ns(int(telling_s * NS_PER_S), _hurry, exchange, TELLING)
    exchange.loop.call_ns(int((fault.for_s + 20) * NS_PER_S), _hurry, exchange, 1.0)
    step_ns = int((fault.pick - 0.5) * 16 * NS_PER_S)
    exchange.switch.clock_ns += step_ns

    def over() -> None:
        exchange.switch.clock_ns -= step_ns

    return over


def _hurry(exchange: Exchange, times: float) -> None:
    exchange.faster = times


def behind(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange's gateway falls behind its engine; a new connection gets old news too."""
    exchange.fall_behind(int((3 + 20 * fault.size) * NS_PER_S))
    exchange.loop.call_ns(
        int(fault.for_s / 2 * NS_PER_S), _cut_some, exchange, fault._replace(size=0.0)
    )
    return exchange.catch_up


def restart_ids(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    for row in exchange.rows.values():
        row.restart_ids()


def halt(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """A symbol stands still; where the exchange repeats itself, it does."""
    row = _row(exchange, fault.pick)
    if row is None:
        return None
    row.halted = True
    heard = exchange.announce(row.listing, halted=True)
    exchange.log("halted", exchange.label, row.name, heard)
    every_s = {"bybit": 3.0, "okx": 60.0}.get(exchange.host.name)

    def again() -> None:
        if row.halted and every_s is not None:
            if row.last is not None and row.listing.status == "trading":
                exchange.say(row, repeat=True)
            exchange.loop.call_ns(int(every_s * NS_PER_S), again)

    again()

    def over() -> None:
        row.halted = False
        if not exchange.announce(row.listing, halted=False) and heard:
            # Who heard of the halt and not of its end goes by the next tables.
            exchange.loop.call_ns(20 * NS_PER_S, stage.reload, exchange)

    return over


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
        stage.reload(exchange)

    return over


def suspend(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    stage.suspend(2.0 + 600 * fault.size**3)


def sibling(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """Another process behind the same address dials there too, while lines are cut."""
    stage.dial_beside(exchange, fault.for_s)
    _cut_some(exchange, fault)


def unreadable(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    row = _row(exchange, fault.pick)
    if row is not None and row.listing.status == "trading":
        exchange.say(row, bad=True)


NOW = (0.0, 0.0)
KINDS: dict[str, Kind] = {
    "reset": Kind(reset, NOW, CUT_S, 2.0),
    "goodbye": Kind(goodbye, NOW, CUT_S),
    "half open": Kind(half_open, NOW, CUT_S, 3.0),
    "busy": Kind(busy, (10.0, 40.0), CUT_S, 2.0),
    "slow": Kind(slow, (10.0, 60.0), CUT_S),
    "announced": Kind(announced, (10.0, 60.0), CUT_S),
    "draining": Kind(draining, (40.0, 90.0), CUT_S),
    "refuse": Kind(refuse, (5.0, 180.0), CUT_S),
    "ban": Kind(ban, (5.0, 60.0), 150.0 + CUT_S),
    "maintenance": Kind(maintenance, (60.0, 600.0), CUT_S),
    "flaky": Kind(flaky, (60.0, 180.0), CUT_S, 1.5),
    "cut early": Kind(cut_early, (40.0, 120.0), CUT_S),
    "unwelcome": Kind(unwelcome, (30.0, 400.0), REFUSED_S),
    "nameless": Kind(nameless, NOW, ASK_S),
    "lost request": Kind(lost_request, NOW, ASK_S),
    "hollow": Kind(hollow, NOW, ASK_S + 120.0),
    "silent": Kind(silent, NOW, 900.0),
    "outlier": Kind(outlier, NOW, 0.0),
    "skew": Kind(skew, (5.0, 120.0), CUT_S, 0.5),
    "behind": Kind(behind, (20.0, 120.0), CUT_S),
    "new ids": Kind(restart_ids, NOW, 10.0),
    "halt": Kind(halt, (60.0, 600.0), CUT_S),
    "relist": Kind(relist, (20.0, 200.0), CUT_S, 2.0),
    "suspend": Kind(suspend, NOW, 120.0),
    "sibling": Kind(sibling, (5.0, 30.0), CUT_S),
    "unreadable": Kind(unreadable, NOW, 30.0),
}


def schedule(
    seed: str, hours: float, *, dense: float = 1.0, kinds: Collection[str] = tuple(KINDS)
) -> list[Fault]:
    """The faults of a day, in order; `dense` shortens the pauses between them."""
    return list(_drawn(Random(f"faults {seed}"), hours, dense, sorted(kinds)))


def _drawn(rand: Random, hours: float, dense: float, names: list[str]) -> Iterator[Fault]:
    weights = [KINDS[name].weight for name in names]
    at_s = 60.0 + 120 * rand.random()
    while True:
        name = rand.choices(names, weights)[0]
        kind = KINDS[name]
        for_s = rand.uniform(*kind.for_s)
        fault = Fault(at_s, name, for_s, rand.random(), rand.random())
        calm = rand.random() < 0.4
        pause_s = kind.within_s + rand.uniform(65, 300) if calm else rand.uniform(1, 240)
        if at_s + for_s + kind.within_s + 130 > hours * 3_600:
            return
        yield fault
        at_s += for_s * (1.0 if calm else rand.random()) + pause_s / dense
