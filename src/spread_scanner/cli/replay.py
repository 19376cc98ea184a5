"""`replay`: what would have been signalled, beside what was, by the log of the market alone."""

import contextlib
import math
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from spread_scanner import clock, config
from spread_scanner.cli import answers
from spread_scanner.cli.console import EXIT_CODES, Json, grid, people, print_json
from spread_scanner.cli.log import LogFailed, LogFolder, utc
from spread_scanner.errors import Unusable
from spread_scanner.replay.changing import changing
from spread_scanner.replay.comparing import compared
from spread_scanner.replay.pacing import MAX, ReplayPace, speed_of
from spread_scanner.replay.playing import Replayed
from spread_scanner.replay.playing import replay as play
from spread_scanner.replay.recomputing import SignalVerdict
from spread_scanner.replay.showing import LiveCopy, Stage
from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.names import WAL_FOLDER

PAIRS_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("replay", epilog=EXIT_CODES)(replay)


def replay(
    begin: Annotated[
        str,
        typer.Argument(
            metavar="[FROM]", help="90s, 30m, 24h ago, an ISO date or time (UTC), or all."
        ),
    ] = "all",
    until: Annotated[str, typer.Argument(metavar="[TO]", help="The same, or now.")] = "now",
    said: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting in place of what was in force, as "
            "directions.defaults.enter_bps=5; may be said more than once.",
        ),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            metavar="N|max", help="How many times as fast as it was lived, from FROM on; or max."
        ),
    ] = MAX,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="Show it in shared memory of this name while it goes on: spread-ctl --namespace "
            "NAME watch."
        ),
    ] = None,
    folder: LogFolder = None,
    as_json: Json = False,
) -> None:
    """Play the log to the engine again: what it would have signalled, beside what it did."""
    settings = config.load()
    since_ns, until_ns = _period(begin, until)
    pace = ReplayPace(speed_of(speed), since_ns)
    changed = changing(said or [])
    changed(settings)  # what is wrong by itself is found before hours are read
    place = folder or settings.data_dir / WAL_FOLDER
    with contextlib.ExitStack() as stack:
        audience = None
        if namespace is not None:
            own = settings.config.system.namespace
            copy = stack.enter_context(LiveCopy(namespace, settings.data_dir, own))
            audience = Stage(pace, copy)
        elif pace.speed != math.inf:
            audience = Stage(pace, None)
        try:
            found = play(place, until_ns=until_ns, changed=changed, audience=audience)
        except OSError as error:
            raise LogFailed(f"the log cannot be read: {error}", folder=str(place)) from None
    shown = _shown(found, since_ns, until_ns, said or [], place)
    if as_json:
        print_json(shown)
    else:
        _print(shown)


def _period(begin: str, until: str) -> tuple[int, int]:
    """On the session clock, which is the wall clock as it was when the store was made."""
    from spread_scanner.tracker.report_cli import parse_moment

    now_ns = clock.wall_ns()
    since_ns = 0 if begin == "all" else parse_moment(begin, now_ns, "from", "or all")
    until_ns = now_ns if until == "now" else parse_moment(until, now_ns, "to", "or now")
    if since_ns >= until_ns:
        raise Unusable("the period is empty", begin=begin, until=until)
    return since_ns, until_ns


def _shown(
    found: Replayed, since_ns: int, until_ns: int, said: list[str], place: Path
) -> answers.ReplayShown:
    same = compared(found, since_ns, until_ns)
    within = _within(found.live["ts_engine"], since_ns, until_ns)
    live = found.live[within]
    verdicts = Counter(
        SignalVerdict(one).name.lower() for one in found.verdicts.of_signal[within].tolist()
    )
    replayed = found.signals[_within(found.signals["ts_engine"], since_ns, until_ns)]
    return answers.ReplayShown(
        folder=str(place),
        since_ns=since_ns,
        until_ns=until_ns,
        settings=said,
        played_since_ns=found.begun_ns,
        played_until_ns=max(found.ends, default=None),
        played=found.counts._asdict(),
        signalled=len(live),
        replayed=len(replayed),
        same=same.same,
        only_signalled={str(why): count for why, count in same.live.items() if count},
        only_replayed={str(why): count for why, count in same.replayed.items() if count},
        recomputed=dict(verdicts),
        pairs=_pairs(found, live, replayed),
        digest=found.digest,
    )


def _within(ts: np.ndarray, since_ns: int, until_ns: int) -> np.ndarray:
    return (ts >= since_ns) & (ts < until_ns)


def _pairs(found: Replayed, live: np.ndarray, replayed: np.ndarray) -> list[answers.ReplayPair]:
    """Of each pair that was entered on either side; what differs most comes first."""
    sides = [_enters(found, signals) for signals in (live, replayed)]
    pairs = [
        answers.ReplayPair(
            *pair,
            *(len(side.get(pair, ())) for side in sides),
            *(max(side[pair]) if pair in side else None for side in sides),
        )
        for pair in sides[0].keys() | sides[1].keys()
    ]
    return sorted(
        pairs,
        key=lambda one: (
            -abs(one.signalled - one.replayed),
            -one.replayed,
            one.direction,
            one.symbol,
        ),
    )


def _enters(found: Replayed, signals: np.ndarray) -> dict[tuple[str, str], list[float]]:
    """The net of each, by direction and symbol."""
    nets: dict[tuple[str, str], list[float]] = {}
    for one in signals[signals["kind"] == SignalKind.ENTER]:
        symbol_id = int(one["symbol_id"])
        names = found.names.get(int(one["generation"]), {})
        pair = DIRECTIONS[int(one["direction_id"])].label, names.get(symbol_id, f"id {symbol_id}")
        nets.setdefault(pair, []).append(float(one["net_bps"]))
    return nets


def _print(shown: answers.ReplayShown) -> None:
    out = people()
    played = shown.played
    what = [_many(played[name], name) for name in ("ticks", "starts", "reloads", "switches")]
    out.print(f"Played {what[0]}, {what[1]} and {what[2]} of the engine, {what[3]}.")
    out.print(_period_played(shown))
    if shown.settings:
        out.print(f"With {', '.join(shown.settings)}.")
    rows = [
        ["signals", shown.signalled, shown.replayed],
        ["the same on both sides", shown.same, shown.same],
    ]
    for why in sorted(shown.only_signalled.keys() | shown.only_replayed.keys()):
        sides = shown.only_signalled.get(why, 0), shown.only_replayed.get(why, 0)
        rows.append([f"only here: {why}", *sides])
    out.print(grid("", ["", "signalled>", "replayed>"], rows))
    if shown.recomputed:
        told = ", ".join(f"{count:,} {_word(name)}" for name, count in shown.recomputed.items())
        out.print(f"Signals worked out again: {told}.")
    columns = ["direction", "symbol", "entered>", "replayed>", "best net>", "replayed>"]
    pairs = shown.pairs[:PAIRS_SHOWN]
    if pairs:
        out.print(grid("", columns, [_row(one) for one in pairs]))
    if len(shown.pairs) > len(pairs):
        out.print(f"{len(shown.pairs):,} pairs; --json has all.")


def _period_played(shown: answers.ReplayShown) -> str:
    """What the log holds, and that it is not of the time that was asked about."""
    since_ns, until_ns = shown.played_since_ns, shown.played_until_ns
    if since_ns is None or until_ns is None:
        return "Nobody wrote down that a feed lived: nothing can be signalled."
    told = f"That was from {utc(since_ns)} to {utc(until_ns)}"
    outside = until_ns < shown.since_ns or since_ns >= shown.until_ns
    return f"{told}, and nothing of it of the time that is asked about." if outside else f"{told}."


def _row(one: answers.ReplayPair) -> list[str | int | float | None]:
    return [
        one.direction,
        one.symbol,
        one.signalled,
        one.replayed,
        one.signalled_net_bps_max,
        one.replayed_net_bps_max,
    ]


def _many(count: int, what: str) -> str:
    singular = {"switches": "switch"}.get(what, what.removesuffix("s"))
    return f"{count:,} {singular if count == 1 else what}"


def _word(verdict: str) -> str:
    return {"same": "the same to the last bit", "other": "another"}.get(
        verdict, verdict.replace("_", " ")
    )
