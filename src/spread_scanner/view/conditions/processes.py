"""What is wrong with processes, with what they have in force, and with what people switched.

Reads records of the view, as `spread-ctl status` prints them.
"""

from collections.abc import Iterator, Mapping, Sequence

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.figures import few
from spread_scanner.schema.names import DISCOVERY, ONE_SHOT, TRACKER
from spread_scanner.schema.version import installed
from spread_scanner.shm.switched import Switched
from spread_scanner.view import in_force
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.in_force import InForce
from spread_scanner.view.processes import ProcessView, other_versions

FEEDS = {source.process for source in EXCHANGE_SOURCES}
NAMED_MAX = 3  # of those that run in another version, which are all of them after an update
RELOAD_S = 10.0  # so long all may take to have the same
REFUSED_S = 10.0  # an array of a pool that comes late is none's business
RESTART_S = 30.0  # so long the processes may take to be of one version
MS_PER_S = NS_PER_S / NS_PER_MS


def hangs(view: ProcessView, heartbeat_ms_max: int) -> bool:
    """It lives and has not beaten for so long that it is no hiccup."""
    beats_no_more = (view.heartbeat_age_ms or 0.0) > 3 * heartbeat_ms_max
    return view.alive and not view.starting and beats_no_more


def of_processes(
    views: Sequence[ProcessView],
    counters: Mapping[str, Mapping[str, int]],
    heartbeat_ms_max: int,
) -> Iterator[Condition]:
    """Processes that ended without being asked to, hang, or say themselves that they are unwell."""
    for view in views:
        name = view.process
        if name in ONE_SHOT or view.starting:
            continue
        if view.state == "absent":
            yield Condition(f"down:{name}", f"{name} is down: it has never come up")
        elif not view.alive:
            if view.state != "stopped":
                yield Condition(f"down:{name}", f"{name} is down: {view.message or 'no word left'}")
        elif hangs(view, heartbeat_ms_max):
            seconds = (view.heartbeat_age_ms or 0.0) / MS_PER_S
            yield Condition(f"hung:{name}", f"{name} has not beaten for {seconds:z.1f} s")
        elif view.degraded:
            yield Condition(f"degraded:{name}", f"{name}: {view.message}")
        elif view.state == "running" and _lacks(view, counters[name]):
            yield Condition(f"limited:{name}", f"{name}: {view.message}")


def _lacks(view: ProcessView, counted: Mapping[str, int]) -> bool:
    """Whether something is missing that its message names. A feed of an exchange has nothing to say
    else; feed-solana's always says how all fare."""
    if view.process in FEEDS:
        return bool(view.message)
    return counted.get("providers_amiss", 0) > 0


class Endings:
    """How the last run of each process that does its work and ends has ended. While one goes on
    nobody knows better, so what was said of the last one stands.
    """

    def __init__(self) -> None:
        self._failed: dict[str, str] = {}

    def now(self, views: Sequence[ProcessView]) -> Iterator[Condition]:
        for view in views:
            if view.process not in ONE_SHOT:
                continue
            if view.state == "failed":
                self._failed[view.process] = view.message or "no word left"
            elif view.state == "dead":
                self._failed[view.process] = "killed in the middle of its work"
            elif view.state == "done":
                self._failed.pop(view.process, None)
        for name, why in self._failed.items():
            stays = "; the old tables stay in force" if name == DISCOVERY else ""
            yield Condition(f"failed:{name}", f"{name} failed: {why}{stays}")


def of_notices(
    views: Sequence[ProcessView], counters: Mapping[str, Mapping[str, int]]
) -> Iterator[Condition]:
    """What the exchanges have announced, by the feeds that heard it."""
    for view in views:
        if not view.alive:
            continue
        counted = counters[view.process]
        if counted.get("maintenance"):
            text = f"{view.process}: the exchange has announced maintenance; its log says when"
            yield Condition(f"maintenance:{view.process}", text)
        if count := counted.get("halted"):
            text = f"{view.process}: {count} listings are halted there; its log names them"
            yield Condition(f"halted:{view.process}", text)


def of_refused_pools(
    views: Sequence[ProcessView], counters: Mapping[str, Mapping[str, int]]
) -> Iterator[Condition]:
    """Pools that are not what the settings say, or do not trade: nothing of them is used."""
    for view in views:
        counted = counters[view.process]
        if view.alive and (count := counted.get("pools_refused")):
            text = f"{count} of {counted['pools']} pools are refused; spread-ctl pools says why"
            yield Condition("refused:pools", text, stands_s=REFUSED_S)


def of_reports(
    views: Sequence[ProcessView], counters: Mapping[str, Mapping[str, int]]
) -> Iterator[Condition]:
    """The report that the tracker starts where no timer does."""
    for view in views:
        if view.process == TRACKER and view.alive and counters[TRACKER].get("report_failing"):
            text = "the last hourly report failed; the log of spread-tracker says why"
            yield Condition("failed:spread-report", text, patient=True)


def of_in_force(having: Sequence[InForce], views: Sequence[ProcessView]) -> Iterator[Condition]:
    """A reload that some refused, and everything else that makes processes differ."""
    mixed = in_force.differences(having)
    refused = [f"{one.process} refused: {one.refused}" for one in having if one.refused]
    if mixed or refused:
        text = "; ".join(mixed or ["a reload was refused", *refused])
        yield Condition("mixed", f"mixed: {text}", stands_s=RELOAD_S)
    now = installed()
    others = [
        f"{version or 'an older one'} runs in {few(names, NAMED_MAX)}"
        for version, names in other_versions(views, now).items()
    ]
    if others:
        text = f"{now} is installed, {'; '.join(others)}: restart to take it"
        yield Condition("version", text, stands_s=RESTART_S, patient=True)


def of_clock(stepped_s: float, step_s_max: float) -> Iterator[Condition]:
    """A wall clock that was set: what is stored from then on has times that are off by as much."""
    if abs(stepped_s) > step_s_max:
        text = (
            f"the wall clock was set by {stepped_s:+z.1f} s since the start; times are "
            "stored as if it had not been: restart the target when convenient"
        )
        yield Condition("clock", text, patient=True)


class SwitchWatch:
    """What somebody switched off long ago, and may have forgotten. One that nobody noted, as the
    operator ended in the midst of it, counts from when it was seen first."""

    def __init__(self) -> None:
        self._seen_ns: dict[tuple[str, str], int] = {}  # on the session clock; of unknown age

    def now(
        self, standing: Sequence[Switched], hours_max: float, session_ns: int
    ) -> Iterator[Condition]:
        unknown = {(one.kind, one.name) for one in standing if one.age_s is None}
        self._seen_ns = {key: self._seen_ns.get(key, session_ns) for key in unknown}
        for one in standing:
            age_s, least = one.age_s, ""
            if age_s is None:
                age_s = (session_ns - self._seen_ns[one.kind, one.name]) / NS_PER_S
                least = " at least"
            if age_s > hours_max * 3_600:
                what = "halted" if one.kind == "halt" else f"{one.kind} {one.name} is paused"
                text = f"{what} for {age_s / 86_400:z.1f} days{least}, by {one.user or 'somebody'}"
                which = f"{one.kind}:{one.name}"
                yield Condition(f"switched:{which}", text, patient=True, deliberate=True)
