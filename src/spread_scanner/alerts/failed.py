"""spread-failed: one message that a unit has failed, where spread-alerts is not there to tell it.

Called by deploy/tell-failed with the name of the unit: as the OnFailure of each unit of the target
(spread-failed@.service), and at each end of spread-alerts, which systemd starts again. Reads the
targets of [spread-alerts]; where the settings as a whole are what is wrong, that section alone.
Writes the time into data_dir/failed.UNIT: a unit that fails over and over is told once in AGAIN_S.
The report, which is no process that spread-alerts watches, has it told whether that runs or not.

It ends within a minute, whatever a target does, and within 10 s as the end of another unit. Exit
codes: 0 told, or there is nothing to tell; 1 no target has taken it; 2 bad settings.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from functools import partial
from pathlib import Path

from msgspec import structs

from spread_scanner import clock, config
from spread_scanner.alerts.targets import (
    CONFIG,
    TIMEOUT_S,
    Message,
    NeverTaken,
    Sender,
    Unreached,
    senders,
)
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Alerts, Settings
from spread_scanner.config.files import CREDENTIALS
from spread_scanner.errors import ConfigError, SegmentError
from spread_scanner.runtime import background, logs
from spread_scanner.schema.figures import plain
from spread_scanner.schema.names import ALERTS, EXIT_DONE, EXIT_FAILED, EXIT_SETTINGS, PROCESSES
from spread_scanner.shm import Health

NAME = "spread-failed"
AGAIN_S = 300.0
AGAIN_BY_TIMER_S = 86_400.0  # what a timer starts fails with each turn of it
PAUSE_S = 2.0
BOUND_S = 45.0  # of tries: of a unit of its own, which holds up nobody
STOP_BOUND_S = 8.0  # as part of the stop of spread-alerts, which a restart of the target waits for
FRESH_NS = 15 * NS_PER_S  # as the watchdogs have it: who has beaten since then lives


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Tell that the unit of that name has failed, by what systemd says in the environment."""
    (unit,) = sys.argv[1:] if arguments is None else arguments
    unit = unit.removesuffix(".service")
    log = logs.set_up(NAME)
    result = environ.get("MONITOR_SERVICE_RESULT") or environ.get("SERVICE_RESULT", "")
    if result == "success":
        return EXIT_DONE
    try:
        settings, alerts = _settings()
        targets, unusable = _targets(_with_credentials(alerts, environ))
    except ConfigError as error:
        log.error("a failed unit cannot be told", unit=unit, error=str(error))
        return EXIT_SETTINGS
    for wrong in unusable:
        log.error("a failed unit cannot be told to a target", unit=unit, error=str(wrong))
    if unusable and not targets:
        return EXIT_SETTINGS
    if not targets:
        log.info("a unit has failed, and nobody is to be told", unit=unit, result=result)
        return EXIT_DONE
    if settings is not None and (why := _others_tell(settings, unit)):
        log.info("a failed unit is not told", unit=unit, reason=why)
        return EXIT_DONE
    bound_s = BOUND_S if "MONITOR_UNIT" in environ else STOP_BOUND_S
    untold = _tell(targets, _message(unit, environ), bound_s)
    for name, reason in untold.items():
        log.warning("a failed unit was not told", unit=unit, target=name, error=reason)
    if len(untold) == len(targets):
        return EXIT_FAILED
    if settings is not None:
        _remember(settings, unit)
    return EXIT_DONE


def _settings() -> tuple[Settings | None, Alerts]:
    """All of them, else the section that says whom to tell."""
    try:
        settings = config.load()
        return settings, settings.config.spread_alerts
    except ConfigError:
        return None, config.load_alerts()


def _targets(alerts: Alerts) -> tuple[list[Sender], list[ConfigError]]:
    """Those that can be made, and what is wrong with others: it may be what ended spread-alerts."""
    path = config.config_folder() / CONFIG
    found = senders(structs.replace(alerts, telegram_token_file=""), path=path)
    try:
        found += senders(structs.replace(alerts, webhook_url=""), path=path)
    except ConfigError as error:
        return found, [error]
    return found, []


def _with_credentials(alerts: Alerts, environ: Mapping[str, str]) -> Alerts:
    """The token lies in a folder of the unit that was given it, and this may be another unit."""
    folder, file = environ.get("CREDENTIALS_DIRECTORY"), alerts.telegram_token_file
    if not folder or not file.startswith(CREDENTIALS):
        return alerts
    return structs.replace(alerts, telegram_token_file=str(Path(folder) / Path(file).name))


def _others_tell(settings: Settings, unit: str) -> str:
    """Why it need not be told here; empty: it must."""
    watched = unit in PROCESSES
    if watched and unit != ALERTS and _alerts_watch(settings.config.system.namespace):
        return f"{ALERTS} runs and tells it"
    with contextlib.suppress(OSError):
        age_ns = clock.wall_ns() - _mark(settings, unit).stat().st_mtime_ns
        again_s = AGAIN_S if watched else AGAIN_BY_TIMER_S
        if 0 <= age_ns < again_s * NS_PER_S:
            return f"told {age_ns // NS_PER_S} s ago"
    return ""


def _alerts_watch(namespace: str) -> bool:
    try:
        with Health.attach(namespace, timeout_s=0) as health:
            if ALERTS not in health.names():
                return False
            row = health.read(ALERTS)
            return row.alive and row.heartbeat_age_ns < FRESH_NS
    except SegmentError:
        return False


def _message(unit: str, environ: Mapping[str, str]) -> Message:
    """In systemd's words: "exit-code" with "exited" and "2", "signal" with "killed" and "KILL"."""
    said = [environ.get(f"MONITOR_{name}") or environ.get(name, "") for name in _SAID]
    how = ", ".join(word for word in said if word) or "no word of systemd"
    advice = f"journalctl -u {unit}; operating.md, exit codes"
    text = f"unit {unit} has failed ({how}); spread-alerts does not watch. {advice}"
    return Message("raised", f"unit:{unit}", text, clock.wall_ns())


_SAID = ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")


def _tell(targets: Sequence[Sender], message: Message, bound_s: float) -> dict[str, str]:
    """Ask all targets side by side; the errors of those that have not taken it."""
    last_s = clock.awake_s() + bound_s - PAUSE_S - TIMEOUT_S  # to begin a try that may hang
    asked = {
        background.begin(partial(_tried, target, message, last_s), "target"): target
        for target in targets
    }
    done = wait(asked, timeout=bound_s).done
    said = {
        target.name: future.result() if future in done else f"no answer within {plain(bound_s)} s"
        for future, target in asked.items()
    }
    return {name: error for name, error in said.items() if error}


def _tried(target: Sender, message: Message, last_s: float) -> str:
    """The last error of some tries; empty: it was taken."""
    while True:
        try:
            target.send(message)
            return ""
        except NeverTaken as refused:
            return str(refused)
        except Unreached as failure:
            if clock.awake_s() > last_s:
                return str(failure)
        clock.sleep(PAUSE_S)


def _mark(settings: Settings, unit: str) -> Path:
    return settings.data_dir / f"failed.{unit}"


def _remember(settings: Settings, unit: str) -> None:
    with contextlib.suppress(OSError):  # then it is told again, which is better than not at all
        _mark(settings, unit).touch(mode=0o600)


if __name__ == "__main__":
    sys.exit(main())
