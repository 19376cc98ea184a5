"""What is wrong now, or worth a word: read from memory and from the tracker's database.

Reads health rows, the price store and the database, each for what it is the truth about: a process
is down when the kernel says that nobody holds its row, a source is stale when its quotes cannot be
stood behind, a disk is full when the folder says so or the tracker cannot commit.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spread_scanner.alerts.desk import Condition
from spread_scanner.alerts.found import Found
from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.schema.enums import SOURCES, UNUSABLE, ProcessState
from spread_scanner.schema.names import ONE_SHOT
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.health import ProcessHealth
from spread_scanner.shm.switched import standing_now
from spread_scanner.view import opportunities

FREE_BYTES_MIN = 200 * 1024 * 1024
STALE_SHARE_MAX = 0.5
FORGOTTEN_S = 86_400.0  # a halt or a pause that stands longer
FEEDS = {source.process for source in SOURCES}


def of_processes(rows: list[ProcessHealth], heartbeat_ms_max: int) -> Iterator[Condition]:
    """Processes that ended without being asked to, hang, or say themselves that they are unwell."""
    for row in rows:
        name = row.process
        if name in ONE_SHOT:
            continue
        if not row.alive:
            if row.state is not ProcessState.STOPPED:
                yield Condition(f"down:{name}", f"{name} is down: {row.message or 'no word left'}")
        elif row.heartbeat_age_ns > 3 * heartbeat_ms_max * NS_PER_MS:
            seconds = row.heartbeat_age_ns / 1e9
            yield Condition(f"hung:{name}", f"{name} has not beaten for {seconds:.1f} s")
        elif row.state is ProcessState.DEGRADED:
            yield Condition(f"degraded:{name}", f"{name}: {row.message}")
        elif row.state is ProcessState.RUNNING and row.message and name in FEEDS:
            yield Condition(f"limited:{name}", f"{name}: {row.message}")


def of_notices(rows: list[ProcessHealth]) -> Iterator[Condition]:
    """What the exchanges have announced, by the feeds that heard it."""
    for row in rows:
        if row.alive and row.counters.get("maintenance"):
            text = f"{row.process}: the exchange has announced maintenance; its log says when"
            yield Condition(f"maintenance:{row.process}", text)
        if row.alive and (count := row.counters.get("halted")):
            text = f"{row.process}: {count} listings are halted by the exchange; its log names them"
            yield Condition(f"halted:{row.process}", text)


def of_sources(store: PriceStore, settings: Settings, alive: set[str]) -> Iterator[Condition]:
    """Sources more than half of whose quotes cannot be stood behind, though their feed lives."""
    snapshot = store.snapshot()
    for source in SOURCES:
        if not settings.exchanges[source.label].enabled or source.process not in alive:
            continue
        rows = snapshot[source.source_id]
        written = rows[rows["epoch"] > 0]
        if len(written) == 0:
            yield Condition(f"stale:{source.label}", f"{source.label} has no quotes")
            continue
        share = float(np.mean((written["flags"] & int(UNUSABLE)) != 0))
        if share > STALE_SHARE_MAX:
            text = f"{source.label}: {share:.0%} of {len(written)} quotes cannot be stood behind"
            yield Condition(f"stale:{source.label}", text)


def of_disk(folder: Path) -> Iterator[Condition]:
    """A data folder that is about to be full."""
    try:
        space = os.statvfs(folder)
    except FileNotFoundError:
        return
    free = space.f_bavail * space.f_frsize
    if free < FREE_BYTES_MIN:
        yield Condition("disk", f"{folder}: {free / 2**20:.0f} MB are left")


def of_switches(control: Control) -> Iterator[Condition]:
    """What somebody switched off long ago, and may have forgotten."""
    for one in standing_now(control.standing):
        if one.age_s is not None and one.age_s > FORGOTTEN_S:
            what = "halted" if one.kind == "halt" else f"{one.kind} {one.name} is paused"
            text = f"{what} for {one.age_s / 86_400:.0f} days, by {one.user or 'somebody'}"
            yield Condition(f"switched:{one.kind}:{one.name}", text)


class OpportunityNews:
    """New opportunities at or over a net spread, in the order in which they opened."""

    def __init__(self, data_dir: Path, net_bps_min: float) -> None:
        self._stored = opportunities.Opportunities(data_dir)
        self.net_bps_min = net_bps_min
        self._last_id: int | None = None  # until the database was read once
        self._stored_all()

    def _stored_all(self) -> None:
        """What is stored when the database is first read did not open while anybody looked."""
        newest = self._stored.newest_id()
        if newest is not None:
            self._last_id = newest

    def since(self) -> Iterator[Condition]:
        """Those that opened since the last call."""
        if self._last_id is None:
            self._stored_all()
            return
        for row in self._stored.since(self._last_id):
            self._last_id = row.id
            if row.entry_net_bps >= self.net_bps_min:
                text = (
                    f"{row.symbol} {row.direction}: {row.entry_net_bps:.1f} bps net, "
                    f"{row.entry_size_quote:,.0f} at the top"
                )
                yield Condition(f"opportunity:{row.id}", text, passing=True)


class Conditions:
    """All conditions of one system, read afresh by each call of `now`."""

    def __init__(
        self, settings: Settings, health: Health, store: PriceStore, control: Control
    ) -> None:
        self._control = control
        self._settings = settings
        self._health = health
        self._store = store
        self._found = Found(settings.generated_dir)
        self._opportunities = OpportunityNews(
            settings.data_dir, settings.config.alerts.opportunity_net_bps
        )

    def take(self, settings: Settings) -> None:
        """Go on with other settings; what was reported is not reported again."""
        self._settings = settings
        self._opportunities.net_bps_min = settings.config.alerts.opportunity_net_bps

    def now(self) -> list[Condition]:
        rows = self._health.read_all()
        alive = {row.process for row in rows if row.alive}
        return [
            *of_processes(rows, self._settings.config.system.heartbeat_ms_max),
            *of_notices(rows),
            *of_sources(self._store, self._settings, alive),
            *of_disk(self._settings.data_dir),
            *of_switches(self._control),
            *self._found.now(),
            *self._opportunities.since(),
        ]
