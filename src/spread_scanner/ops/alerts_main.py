"""spread-alerts: tells people. Looks once a second and sends through the targets in [alerts].

Reads health, store and the tracker's database; writes nothing but its own health row. Without a
target it ends at once with code 0, so that its unit may always be enabled.
"""

import threading
from collections.abc import Sequence

from spread_scanner import config
from spread_scanner.errors import ConfigError
from spread_scanner.ops.alerts import Desk, Outbox, senders
from spread_scanner.ops.conditions import Watch
from spread_scanner.runtime.process import EXIT_CLEAN, Process, run
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm import Health, PriceStore

NAME = "spread-alerts"
LOOK_EVERY_S = 1.0


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    try:
        settings = config.load()
    except ConfigError:
        return run(NAME, _body)  # reports it as every process does
    if not (settings.config.alerts.webhook_url or settings.config.alerts.telegram_token_file):
        return EXIT_CLEAN
    return run(NAME, _body)


def _body(process: Process) -> None:
    settings = process.settings
    namespace = settings.config.system.namespace
    desk = Desk(settings.config.alerts)
    outboxes = [Outbox(sender) for sender in senders(settings.config.alerts)]
    woken = threading.Event()
    process.watch(woken.set)
    with Health.attach(namespace) as health, PriceStore.attach(namespace) as store:
        watch = Watch(settings, health, store)
        process.state(ProcessState.RUNNING)
        while not process.stopping:
            orders = process.poll()
            if orders is not None:
                process.applied(orders)
            if not process.orders.paused:
                messages = desk.update(watch.now())
                for outbox in outboxes:
                    outbox.put(messages)
                _flush(process, outboxes)
            _rest(process, woken)


def _rest(process: Process, woken: threading.Event) -> None:
    """Wait for the next look without missing a heartbeat."""
    beat_s = process.settings.config.system.heartbeat_ms / 1e3
    for _ in range(max(1, round(LOOK_EVERY_S / beat_s))):
        if woken.wait(beat_s):
            woken.clear()
            return
        process.row.beat()


def _flush(process: Process, outboxes: Sequence[Outbox]) -> None:
    """Send what waits; a target that fails is said once, and once more when it is well again."""
    for outbox in outboxes:
        failed_before = outbox.failing
        outbox.flush()
        if outbox.failing and not failed_before:
            process.log.warning(
                "alerts cannot be sent", target=outbox.name, error=outbox.last_error
            )
        elif failed_before and not outbox.failing:
            process.log.info("alerts are sent again", target=outbox.name)
    failing = [f"{outbox.name}: {outbox.last_error}" for outbox in outboxes if outbox.failing]
    if failing:
        process.state(ProcessState.DEGRADED, "; ".join(failing))
    elif process.row.state is ProcessState.DEGRADED:
        process.state(ProcessState.RUNNING, "")
