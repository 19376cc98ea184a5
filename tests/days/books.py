"""(8), (10): what a feed counts and shows is the exchange's own record. Asked each minute."""

from collections.abc import Callable

from exchange import Exchange

from spread_scanner.clock import NS_PER_MS, NS_PER_S

Broken = Callable[[int, str, str], None]
OVER = ("completed", "canceled")  # what OKX and Bybit say of a maintenance that is over
TOLD_NS = NS_PER_S  # from hearing of something to the row that shows it
PAST_NS = 300 * NS_PER_S  # a maintenance whose end was not heard of is over so long after it


def agree(exchange: Exchange, counters: dict[str, int], broken: Broken) -> None:
    """What came, what was opened, and that nobody asked too fast."""
    taken = (
        counters["quotes"] + counters["repeats"]
        + counters["skip_duplicate"] + counters["skip_out_of_order"]
        + counters["skip_bad_quote"] + counters["skip_unknown_symbol"]
        + counters["skip_bad_message"]
    )  # fmt: skip
    said = exchange.counted.get
    for what, ours, theirs in (
        ("messages", counters["messages"], exchange.frames),
        ("connects", counters["connects"], said("connects", 0)),
        ("quotes", taken, said("quotes", 0)),
        ("times that cannot be", counters["bad_times"], said("bad_times", 0)),
        ("requests over the rate", 0, said("too_fast", 0)),
    ):
        if ours != theirs:
            broken(8, exchange.label, f"{what}: {ours} counted, the exchange: {theirs}")
            exchange.frames, exchange.counted["connects"] = (
                counters["messages"], counters["connects"],
            )  # fmt: skip
            exchange.counted["quotes"] = taken
            exchange.counted["bad_times"] = counters["bad_times"]
            exchange.counted["too_fast"] = 0


def announced(exchange: Exchange, counters: dict[str, int], broken: Broken) -> None:
    """A maintenance that was heard of stands in the row until its end is heard of, or long past."""
    now_ns, wall_ns = exchange.clock.mono_ns(), exchange.clock.wall_ns()
    works = exchange.works.values()
    if any(now_ns - one.at_ns < TOLD_NS for one in works):
        return
    open_ends = [one.end_ms * NS_PER_MS for one in works if one.state not in OVER]
    if not counters["maintenance"] and any(end_ns > wall_ns for end_ns in open_ends):
        broken(10, exchange.label, "a maintenance was announced, and the row shows none")
    if counters["maintenance"] and all(end_ns + PAST_NS < wall_ns for end_ns in open_ends):
        broken(10, exchange.label, "the row shows a maintenance that is over")
