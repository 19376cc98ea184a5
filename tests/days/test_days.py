"""Days in seconds: seeded exchanges on an in-memory wire, the real feed, engine, tracker, alerts.

`make days N=1000` lives so many, `make days SEED=... SOURCE=...` lives one again. Without either
a dozen by the commit's own seed are lived, and an hour of all. A day that fails is shrunk to the
faults that it needs and told with its events.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from day import DENSE, HOURS, run
from events import Result
from fault import Fault
from faults import schedule
from shrink import shrink, story

from spread_scanner.schema.enums import EXCHANGE_SOURCES

pytestmark = pytest.mark.timeout(1_800)  # all of it is CPU: a busy machine takes its time
LABELS = [source.label for source in EXCHANGE_SOURCES]
HERE = Path(__file__).parent
SEED = os.environ["SPREAD_DAYS_SEED"]
SOURCE = os.environ.get("SPREAD_DAYS_SOURCE", "")
COUNT = int(os.environ.get("SPREAD_DAYS") or 12)
LINES = 3
DAYS_PER_HOUR = 12  # so many days of a source, then an hour of all

AGAIN = """
import sys
sys.path.insert(0, sys.argv[1])
from day import DENSE, run
from fault import Fault
from faults import schedule
seed, source, hours = sys.argv[2], sys.argv[3], float(sys.argv[4])
faults = {}
for label in [source] if source else sys.argv[5:]:
    known = schedule(f"{seed} {label}", hours, dense=DENSE[bool(source)])
    faults[label] = [*known, Fault(120, "reshape", 60, 0.9, 0.0)]
print(run(seed, source, hours=hours, faults=faults, go_on=True).digest)
"""


def days() -> list[tuple[int, str]]:
    """Numbers and sources; "all" is an hour of all. No seed: workers have to collect alike, and
    tests to be called alike from run to run."""
    if SOURCE:
        return [(0, SOURCE)]
    hours = [(number, "all") for number in range(-(-COUNT // DAYS_PER_HOUR))]
    return hours + [(number, LABELS[number % len(LABELS)]) for number in range(COUNT)]


def well(result: Result) -> None:
    """Fails with the story of a day that did, shrunk."""
    print(f"seed {result.seed} of {' '.join(result.sources)}: {result.counts}")
    if result.violations:
        kind = len(result.sources) == 1
        faults = {
            label: schedule(f"{result.seed} {label}", HOURS[kind], dense=DENSE[kind])
            for label in result.sources
        }
        pytest.fail(story(*shrink(result, faults)), pytrace=False)


@pytest.mark.parametrize(("number", "source"), days())
def test_what_has_to_hold_holds_all_day(number: int, source: str) -> None:
    of = "" if source == "all" else source
    well(run(SEED if SOURCE else f"{SEED}-{number}", of, hours=HOURS[bool(of)]))


ORDERED = ("bad reload", "closed", "killed", "new units", "pause", "proxy", "region", "reshape")


@pytest.mark.parametrize("source", ["okx-spot", "mexc-spot"])
def test_what_an_operator_orders_is_obeyed_and_harms_nobody(source: str) -> None:
    result = run("n2", source, hours=2.0, kinds=ORDERED)

    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])


AWAY = Fault(100, "maintenance", 60, 0, 0)
# What whole days have found, as short as it can be had: one source's, or an hour's of all.
FOUND: dict[str, tuple[str, float, dict[str, list[Fault]]]] = {
    "a clock goes ahead for a while and comes back, with six symbols to tell of it": (
        "binance-futures", 0.25, {"binance-futures": [Fault(200, "skew", 60, 0.915, 0.64)]},
    ),
    "the same where no update ids are given": (
        "mexc-futures", 0.25, {"mexc-futures": [Fault(200, "skew", 60, 0.915, 0.64)]},
    ),
    "a symbol that is asked for again where no snapshot is sent": (
        "mexc-spot", 0.6, {"mexc-spot": [Fault(300, "silent", 0, 0.82, 0)]},
    ),
    "a symbol that falls silent before it has quoted often enough to have a rate": (
        "binance-spot", 0.31, {"binance-spot": [Fault(61, "silent", 0, 0.963, 0)]},
    ),
    "a slow symbol's news are still held back when a gateway has caught up": (
        "bybit-spot", 0.15, {"bybit-spot": [Fault(200, "behind", 50, 0.157, 0.9)]},
    ),
    "a snapshot of before the update ids began anew": (
        "okx-futures", 0.1,
        {"okx-futures": [Fault(150, "new ids", 0, 0, 0), Fault(150.1, "reset", 0, 0, 0.9)]},
    ),
    "a ban that is over when a machine wakes that slept through its end": (
        "okx-spot", 0.12,
        {
            "okx-spot": [
                Fault(100, "ban", 54.2, 0.374, 0.944), Fault(176.035, "suspend", 0, 0.77, 0.495),
            ],
        },
    ),
    "lines that are new while their exchange is away": (
        "mexc-futures", 0.1,
        {"mexc-futures": [Fault(60, "maintenance", 200, 0, 0), Fault(230, "reshape", 60, 0.6, 0)]},
    ),
    "an exchange that acknowledges everything and gives nothing": (
        "binance-spot", 0.2, {"binance-spot": [Fault(100, "closed", 500, 0, 0)]},
    ),
    "an exchange that refuses all that is asked for, and a line that cannot be dialled meanwhile": (
        "bybit-futures", 0.051,
        {
            "bybit-futures": [
                Fault(40, "closed", 200, 0.1, 0.1), Fault(60, "refuse", 130, 0.1, 0.1),
            ],
        },
    ),
    "an error that names nobody while lines wait that were refused all they asked for": (
        "mexc-spot", 0.22,
        {"mexc-spot": [Fault(60, "closed", 420, 0.1, 0.1), Fault(500, "nameless", 0, 0.1, 0.1)]},
    ),
    "an engine's time that cannot be, told again by the next connection": (
        "bybit-futures", 0.05,
        {
            "bybit-futures": [
                Fault(152.59, "bad time", 0, 0.368, 0.834), Fault(152.8, "reset", 0, 0.1, 0.9),
            ],
        },
    ),
    "the same told first while connections are half open": (
        "bybit-futures", 0.05,
        {
            "bybit-futures": [
                Fault(100, "half open", 0, 0.1, 0.9),
                *(Fault(109.5 + n * 0.05, "bad time", 0, n / 7, 0.9) for n in range(7)),
            ],
        },
    ),
    "a maintenance whose refusals say until when, as a ban's did": (
        "mexc-futures", 0.05,
        {
            "mexc-futures": [
                Fault(100, "ban", 43.5, 0.793, 0.263), Fault(120, "maintenance", 40, 0.942, 0.249),
            ],
        },
    ),
    "a ban until a date, which is up to a second later than so many from now": (
        "mexc-futures", 0.06,
        {
            "mexc-futures": [
                Fault(99.76, "region", 13.4, 0.616, 0.457), Fault(156.5, "refuse", 60, 0.704, 0.85),
            ],
        },
    ),
    "a source that cannot be dialled beside one of the same address that can, after a suspend": (
        "", 0.06,
        {
            "okx-spot": [Fault(40, "refuse", 60, 0.27, 0.9), Fault(70, "suspend", 0, 0.5, 0.017)],
        },
    ),
    "a backlog of most of what a life has heard that began while its exchange was away": (
        "bybit-spot", 0.065,
        {
            "bybit-spot": [
                Fault(60, "maintenance", 100, 0, 0), Fault(130, "killed", 5, 0.1, 0.1),
                Fault(188, "behind", 60, 0.9, 0.2),
            ],
        },
    ),
    "the same with no update ids": (
        "mexc-futures", 0.065,
        {
            "mexc-futures": [
                Fault(60, "maintenance", 100, 0, 0), Fault(130, "killed", 5, 0.1, 0.1),
                Fault(196, "behind", 60, 0.9, 0.2),
            ],
        },
    ),
    "times that cannot be, of several symbols in a backlog": (
        "bybit-futures", 0.05,
        {
            "bybit-futures": [
                Fault(100, "behind", 60, 0.1, 0.2), Fault(115, "bad time", 0, 0.154, 0.798),
            ],
        },
    ),
    "a path that is well again while something is on its way": (
        "bybit-spot", 0.04, {"bybit-spot": [Fault(101.9, "slow", 10, 0.5, 0.45)]},
    ),
    "a clock that is ahead for two windows and a half, and comes back where two symbols show it": (
        "bybit-spot", 0.065, {"bybit-spot": [Fault(100.4, "skew", 33.1, 0.957, 0.999)]},
    ),
    "the same by less than is late, and a path that is slow then": (
        "bybit-spot", 0.075,
        {"bybit-spot": [Fault(90, "skew", 43.4, 0.601, 0.498), Fault(220, "slow", 15, 0.5, 0.05)]},
    ),
    "a clock that had been set back comes back, and a backlog before that is learned": (
        "okx-futures", 0.08,
        {
            "okx-futures": [
                Fault(81, "skew", 102, 0.118, 0.333), Fault(191, "behind", 79, 0.9, 0.93),
            ],
        },
    ),
    "a price that comes back behind a backlog": (
        "binance-spot", 0.22,
        {
            "binance-spot": [
                Fault(60, "creep", 487, 0.381, 0.986), Fault(372, "jump", 118.4, 0.616, 0.501),
            ],
        },
    ),
    "a ban that a dial gives up waiting for": (
        "bybit-futures", 0.1,
        {
            "bybit-futures": [
                Fault(101.5, "slow", 25.7, 0.393, 0.89), Fault(117.7, "ban", 29.3, 0.318, 0.059),
            ],
        },
    ),
    "a listing whose units are others when the dial that waits for a ban's end is made": (
        "okx-spot", 0.09,
        {
            "okx-spot": [
                Fault(100, "ban", 40, 0.374, 0.944), Fault(130, "redenominated", 0, 0.1, 0.1),
            ],
        },
    ),
    "a proxy that an exchange bans, and none": (
        "mexc-spot", 0.09, {"mexc-spot": [Fault(120, "proxy", 40, 0.65, 0.9)]},
    ),
    "a proxy that is dead for a while": (
        "okx-futures", 0.09, {"okx-futures": [Fault(120, "proxy", 40, 0.05, 0.9)]},
    ),
    "a SOCKS proxy that an exchange bans, and none": (
        "binance-futures", 0.09, {"binance-futures": [Fault(120, "proxy", 40, 0.75, 0.9)]},
    ),
    "a SOCKS proxy that says nothing for a while": (
        "bybit-futures", 0.09, {"bybit-futures": [Fault(120, "proxy", 40, 0.55, 0.9)]},
    ),
    "a ban that is heard of while dials are on their way to a proxy": (
        "bybit-spot", 0.06, {"bybit-spot": [Fault(120.108, "proxy", 40, 0.701, 0.045)]},
    ),
    "a ban that a dial was told of that was given up, as all go through a proxy by then": (
        "bybit-spot", 0.05,
        {
            "bybit-spot": [
                Fault(100, "maintenance", 60, 0, 0), Fault(101.35, "proxy", 40, 0.773, 0.33),
            ],
        },
    ),
    "a ban of a proxy that its tunnel was laid by": (
        "mexc-spot", 0.06, {"mexc-spot": [Fault(120, "proxy", 40.6, 0.609, 0.231)]},
    ),
    "a reset that comes behind all that a slow path has taken": (
        "bybit-spot", 0.06,
        {"bybit-spot": [Fault(100, "slow", 60, 0.149, 0.154), Fault(150, "reset", 0, 0.735, 0.9)]},
    ),
    "a price that is repeated while tables judge it, and comes back from another level": (
        "bybit-spot", 0.065,
        {"bybit-spot": [Fault(100, "jump", 60, 0, 0.075), Fault(158, "halt", 30, 0, 0.1)]},
    ),
    "an error that names nobody, of a symbol on its way to another line": (
        "mexc-spot", 0.05,
        {
            "mexc-spot": [
                Fault(100, "nameless", 0, 0.367, 0.7), Fault(126.4, "reshape", 100, 0.01, 0.35),
            ],
        },
    ),
    "a snapshot of what was dated ahead of its time": (
        "bybit-futures", 0.05,
        {
            "bybit-futures": [
                Fault(100, "outlier", 0, 0.1, 0.02), Fault(100.5, "goodbye", 0, 0.1, 0.443),
            ],
        },
    ),
    "lines are cut otherwise and back while a symbol that moves is refused": (
        "okx-spot", 0.355,
        {
            "okx-spot": [
                Fault(20, "unwelcome", 50, 0.286, 0.65), Fault(40, "reshape", 15, 0.823, 0.7),
            ],
        },
    ),
    "a clock that comes back while connections that were late by their paths are replaced": (
        "okx-spot", 0.062,
        {
            "okx-spot": [
                Fault(100, "skew", 59.2, 0.871, 0.75), Fault(142.2, "slow", 15.8, 0.7, 0.72),
            ],
        },
    ),
    "a quote that is dated in time in the midst of a backlog": (
        "bybit-futures", 0.045,
        {
            "bybit-futures": [
                Fault(60, "engine late", 60, 0.5, 0.4), Fault(85, "outlier", 0, 0.05, 0.3),
            ],
        },
    ),
    "news in fresh envelopes of what an engine did long ago, by two connections": (
        "bybit-spot", 0.032,
        {
            "bybit-spot": [
                Fault(60, "engine late", 60, 0.5, 0.5), Fault(70, "reshape", 100, 0.739, 0.795),
            ],
        },
    ),
    "a time that cannot be, among news in fresh envelopes": (
        "binance-futures", 0.07,
        {
            "binance-futures": [
                Fault(100, "engine late", 60, 0.328, 0.37), Fault(130, "bad time", 0, 0.291, 0.9),
            ],
        },
    ),
    "of two connections one that is half open, and later the end of the other one": (
        "binance-spot", 0.08,
        {
            "binance-spot": [
                Fault(100, "reshape", 100, 0.908, 0.511), Fault(140, "half open", 0, 0.601, 0.105),
                Fault(150, "reset", 0, 0.358, 0.9),
            ],
        },
    ),
    "a path that is slow for longer by a suspend in between": (
        "binance-spot", 0.07,
        {
            "binance-spot": [
                Fault(100, "slow", 58, 0.752, 0.232), Fault(106, "suspend", 0, 0.244, 0.301),
                Fault(150, "busy", 14, 0.9, 0.1),
            ],
        },
    ),
    "a clock that comes back from ahead while its exchange is away": (
        "bybit-spot", 0.5,
        {"bybit-spot": [Fault(100, "skew", 118, 0.79, 0.6), Fault(199, "maintenance", 132, 0, 0)]},
    ),
    "a clock that is set back while its exchange is away": (
        "bybit-spot", 0.5, {"bybit-spot": [Fault(100, "set unheard", 60, 0.1, 0.1)]},
    ),
    "a clock that is set back unseen while connected, until its feed is started again": (
        "bybit-spot", 0.55,
        {"bybit-spot": [Fault(100, "set unseen", 0, 0.1, 0.1), Fault(200, "killed", 5, 0.1, 0.1)]},
    ),
    "a symbol that is listed again while it has no news, so that none knows how often it has": (
        "bybit-spot", 0.3,
        {
            "bybit-spot": [
                Fault(100, "quiet", 800, 0.466, 0.304), Fault(380, "relist", 54, 0.047, 0.45),
            ],
        },
    ),
    "a symbol that is welcome again while its exchange gives nothing at all": (
        "okx-spot", 0.25,
        {"okx-spot": [Fault(60, "unwelcome", 170, 0.7, 0), Fault(100, "closed", 900, 0, 0)]},
    ),
    "a life that ends before it has heard the price that came back before it was judged": (
        "binance-spot", 0.06,
        {
            "binance-spot": [
                Fault(60, "jump", 60, 0.87, 0.009), Fault(131, "killed", 11, 0.672, 0.535),
            ],
        },
    ),
    "a request that is acknowledged and not served, long after that was ordered": (
        "mexc-futures", 0.5,
        {
            "mexc-futures": [
                Fault(100, "hollow", 0, 0.959, 0.147), Fault(1_500, "reshape", 168, 0.23, 0.426),
            ],
        },
    ),
    "a backlog in fresh envelopes that two connections bring": (
        "bybit-spot", 0.065,
        {
            "bybit-spot": [
                Fault(100, "engine late", 116, 0.3, 0.52), Fault(202.8, "reshape", 100, 0.739, 0.8),
            ],
        },
    ),
    "a connection that is given nothing of what it asks for, after a long silence": (
        "mexc-spot", 0.32,
        {"mexc-spot": [Fault(100, "quiet", 500, 0.1, 0.6), Fault(620, "hollow", 0, 0.1, 0.1)]},
    ),
    "an engine's time of what was made while nobody was there, told again in a backlog": (
        "bybit-futures", 0.035,
        {
            "bybit-futures": [
                Fault(100, "maintenance", 5, 0, 0), Fault(107.5, "behind", 20, 0.1, 0.5),
                Fault(107.55, "reset", 0, 0, 0.9),
            ],
        },
    ),
    "an exchange that acknowledges everything and gives nothing, after nobody could dial": (
        "binance-futures", 0.125,
        {
            "binance-futures": [
                Fault(60, "maintenance", 250, 0, 0), Fault(61, "closed", 383, 0, 0),
            ],
        },
    ),
    "the same, and the machine sleeps meanwhile, which is all of them's": (
        "", 0.09,
        {
            "binance-futures": [Fault(60, "closed", 280, 0.4, 0.8)],
            "okx-futures": [Fault(140, "suspend", 0, 0.8, 0.62)],
        },
    ),
    "a silent connection that leaves its symbols to those that have not quoted them": (
        "mexc-spot", 0.035,
        {
            "mexc-spot": [
                Fault(100, "busy", 18.5, 0.02, 0.47), Fault(119.6, "reshape", 40, 0.77, 0.2),
            ],
        },
    ),
    "a clock that comes back soon after many messages": (
        "mexc-futures", 0.065,
        {
            "mexc-futures": [
                Fault(100, "skew", 61.2, 0.658, 0.5), Fault(145, "busy", 11.1, 0.738, 0.433),
            ],
        },
    ),
    "a server that announces its end before hands are shaken": (
        "okx-futures", 0.052,
        {
            "okx-futures": [
                Fault(100, "slow", 60, 0, 0.4), Fault(110, "reset", 0, 0, 0.9),
                Fault(117, "draining", 40, 0, 0),
            ],
        },
    ),
    "a backlog of all that such a life has heard, of which it cannot know": (
        "okx-spot", 0.075,
        {
            "okx-spot": [
                Fault(60, "maintenance", 100, 0, 0), Fault(130, "killed", 5, 0.1, 0.1),
                Fault(150, "behind", 60, 0.9, 0.2),
            ],
        },
    ),
    "ids that begin anew where a symbol has moved to, as its old line goes on": (
        "okx-spot", 0.085,
        {"okx-spot": [Fault(100, "reshape", 60, 0.797, 0.3), Fault(165, "new ids", 0, 0.1, 0.1)]},
    ),
    "ids that begin anew as one of two connections is half open": (
        "okx-spot", 0.06,
        {
            "okx-spot": [
                Fault(60, "reshape", 200, 0.95, 0.1), Fault(120, "half open", 0, 0.1, 0.1),
                Fault(120.8, "new ids", 0, 0.1, 0.1),
            ],
        },
    ),
    "a price that leaves its level after the tables' run had asked, before a quote by them": (
        "okx-spot", 0.05,
        {
            "okx-spot": [
                Fault(50.005, "reshape", 60, 0.1, 0.1), Fault(110.105, "jump", 30, 0.1, 0.1),
            ],
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", ["bybit-futures", "okx-spot"])
def test_a_time_that_cannot_be_is_said_once_and_not_with_the_snapshot_again(source: str) -> None:
    faults = [Fault(150.0 + 2 * number, "bad time", 0, number / 7 % 1, 0.9) for number in range(25)]
    result = run("found", source, hours=0.1, faults={source: [AWAY, *faults]})

    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])


@pytest.mark.parametrize("source", ["binance-futures", "bybit-futures", "mexc-futures"])
def test_either_of_two_times_that_cannot_be_is_said_with_each_quote_that_bears_it(
    source: str,
) -> None:
    """Bybit's repeats bear the old one of their engine, whoever hears them."""
    sizes = (0.2, 0.37, 0.61, 0.99)  # both times, and the engine's alone
    faults = [
        Fault(100.0 + 4 * number, "bad time", 0, number * 0.37 % 1, sizes[number % 4])
        for number in range(60)
    ]
    others = [
        Fault(200, "behind", 20, 0.4, 0.3), Fault(251, "reset", 0, 0.3, 0.9),
        Fault(281, "killed", 5, 0.1, 0.1), Fault(301, "skew", 30, 0.7, 0.6),
    ]  # fmt: skip
    result = run("found", source, hours=0.12, faults={source: sorted([*faults, *others])})

    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])


@pytest.mark.parametrize("source", ["binance-spot", "okx-futures"])
def test_ids_that_begin_anew_again_and_again_may_be_the_same_as_before(source: str) -> None:
    faults = [Fault(60.0 + 10 * number, "new ids", 0, 0.1, 0.1) for number in range(18)]
    result = run("found", source, hours=0.08, faults={source: faults})

    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])


def test_what_a_clock_came_back_to_in_a_backlog_is_usual_until_that_is_over() -> None:
    """By these prices' seed."""
    faults = [Fault(100, "skew", 91, 0.354, 0.529), Fault(156, "creep", 835, 0.939, 0.603)]
    result = run("a3fdcf", "mexc-futures", hours=0.13, faults={"mexc-futures": faults})

    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])


@pytest.mark.parametrize("name", FOUND)
def test_what_a_day_has_found_is_well(name: str) -> None:
    source, hours, faults = FOUND[name]
    none: dict[str, list[Fault]] = {label: [] for label in LABELS}
    result = run("found", source, hours=hours, faults=none | faults)

    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])


@pytest.mark.parametrize("label", LABELS)
def test_nothing_is_marked_and_nothing_is_missing_in_a_calm_half_hour(label: str) -> None:
    result = run(SEED, label, hours=0.5, faults={label: []})

    assert not result.violations, "\n".join([*result.events[-40:], *map(str, result.violations)])
    assert result.counts["frames"] > 1_000
    assert result.counts["dials"] == LINES
    assert result.counts["checks"] >= 29


@pytest.mark.parametrize("source", ["okx-futures", ""])
def test_the_same_seed_is_the_same_day_to_the_byte(source: str) -> None:
    """Faults and all, in processes that hash their strings differently; all symbols come to one
    line and leave it together."""
    hours = 0.5 if source else 0.1
    digests = {
        subprocess.run(
            [sys.executable, "-c", AGAIN, HERE, SEED, source, str(hours), *LABELS],
            env={**os.environ, "PYTHONHASHSEED": hashed},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for hashed in ("1", "2")
    }

    assert len(digests) == 1, f"seed {SEED}"
    other = run(SEED + "x", source, hours=hours, go_on=True)
    assert other.digest not in digests.pop()
