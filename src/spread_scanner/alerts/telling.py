"""Who is told about what, by the settings in force.

What stands, and what a target that stays as it was has been told, survives a reload and a restart
(alerts/state.py). Each target, and the heartbeat, is served by a thread of its own: one that hangs
holds up neither the others nor the looking.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from spread_scanner import clock, config
from spread_scanner.alerts import state
from spread_scanner.alerts.conditions import Conditions
from spread_scanner.alerts.desk import Desk
from spread_scanner.alerts.heartbeat import Heartbeat
from spread_scanner.alerts.outbox import Outbox
from spread_scanner.alerts.targets import CONFIG, Sender, Webhook, senders
from spread_scanner.config import Settings
from spread_scanner.runtime import background
from spread_scanner.runtime.process import Process
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.status import Segments

GOODBYE_S = 1.0  # for what is being sent, at the end
HANGS_S = 120.0  # each wait has a bound, but not all of them of an answer that drips
HANGS = f"has not come to an end of an answer for {HANGS_S:z.0f} s"


class Telling:
    """Call `tell` with what a look found, then `flush`, `beat` and `save`."""

    def __init__(self, process: Process, segments: Segments) -> None:
        alerts = process.settings.config.spread_alerts
        self._process = process
        self._alerts = alerts
        self._known = state.read(process.settings)
        if self._known.damaged:
            process.log.warning("what was told is not known", reason=self._known.damaged)
        self.desk = Desk(self._known.raised)
        self.outboxes = [
            self._outbox(alerts, sender) for sender in senders(alerts, path=_path(process.settings))
        ]
        self.heartbeat = Heartbeat(alerts)
        self.watch = Conditions(process.settings, segments)
        self._busy: dict[Outbox | Heartbeat, Future[None]] = {}
        self._began_s: dict[Outbox | Heartbeat, float] = {}
        self._saved: tuple[object, ...] = ()
        self._unsaved = ""  # why not, as it was said; empty: it is saved

    @property
    def standing(self) -> int:
        """Conditions that are raised."""
        return len(self.desk.raised)

    @property
    def wanted(self) -> bool:
        """Whether there is anybody to tell anything."""
        return self._alerts.wanted

    def _outbox(self, alerts: config.Alerts, sender: Sender) -> Outbox:
        return Outbox(sender, alerts, self._known.of_target(sender.name, _who(alerts, sender)))

    def tell(self, conditions: list[Condition]) -> None:
        """Put what is worth saying of these into every outbox."""
        events = self.desk.update(conditions)
        for outbox in self.outboxes:
            outbox.take(self.desk.raised, events)

    def flush(self) -> None:
        """Have each target served that is not being served."""
        for outbox in self.outboxes:
            self._served(outbox, outbox.flush)

    def beat(self) -> None:
        """Have the heartbeat given if it is due: the system was looked at just now."""
        well = all(story.patient for story in self.desk.raised.values())
        if self.heartbeat.due(well=well):
            self._served(self.heartbeat, self.heartbeat.beat)

    def _served(self, one: Outbox | Heartbeat, serve: Callable[[], None]) -> None:
        busy = self._busy.get(one)
        if busy is not None and busy.done():
            busy.result()  # a fault of ours ends the process
        if busy is None or busy.done():
            self._began_s[one] = clock.mono_s()
            self._busy[one] = background.begin(serve, "target")
        elif clock.mono_s() - self._began_s[one] > HANGS_S:
            one.failing, one.last_error = True, HANGS

    def save(self) -> None:
        """Keep what stands and what was told, if that has changed; where there is no room, when
        there is."""
        raised = self.desk.raised
        now = (
            tuple((key, story.times) for key, story in raised.items()),
            tuple((outbox.name, outbox.changes) for outbox in self.outboxes),
        )
        if now == self._saved:
            return
        told = {outbox.name: outbox.entries() for outbox in self.outboxes}
        try:
            who = {outbox.name: _who(self._alerts, outbox.sender) for outbox in self.outboxes}
            state.write(self._process.settings, raised.values(), told, who)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            if reason != self._unsaved:
                self._process.log.warning("what was told cannot be kept", reason=reason)
            self._unsaved = reason
        else:
            self._saved, self._unsaved = now, ""

    def close(self) -> None:
        """Wait a moment for what is being sent, and keep what came of it: what comes later is told
        once more, as after a kill."""
        wait(self._busy.values(), GOODBYE_S)
        self.save()

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """What a reload puts in force; raises when a target cannot be made."""
        alerts = settings.config.spread_alerts
        made = senders(alerts, path=_path(settings))
        return lambda: self._take(settings, made)

    def _take(self, settings: Settings, made: list[Sender]) -> None:
        alerts = settings.config.spread_alerts
        known = {_who(self._alerts, outbox.sender): outbox for outbox in self.outboxes}
        self.outboxes = []
        for sender in made:
            outbox = known.get(_who(alerts, sender)) or Outbox(sender, alerts)
            outbox.settings(sender, alerts)
            self.outboxes.append(outbox)
        self.heartbeat.settings(alerts)
        self._alerts = alerts
        self.watch.take(settings)


def _path(settings: Settings) -> Path:
    return settings.folder / CONFIG


def _who(alerts: config.Alerts, sender: Sender) -> str:
    """What makes a target what it is: another one has been told nothing."""
    if sender.name == Webhook.name:
        return f"{sender.name} {alerts.webhook_url}"
    api, file = alerts.telegram_api, alerts.telegram_token_file
    return f"{sender.name} {api} {file} {alerts.telegram_chat_id}"
