"""Which settings and tables each process has: whether all have the same, and why not.

Read by `spread-ctl status`, and by screens that stay (`SettingsInForce`). Processes differ for a
moment during a reload, after a reload that some of them refused, and when one was restarted after
the files had changed; until the next reload.
"""

from collections.abc import Sequence

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import (
    ReloadOutcome,
)
from spread_scanner.schema.names import ENGINE, PROCESSES, SUPERVISOR
from spread_scanner.shm import Control, Health
from spread_scanner.view.attached import Attached
from spread_scanner.view.reading import Reading

DIGITS = 8  # of a digest, for people


class InForce(Reading, frozen=True):
    """What one live process has."""

    process: str
    settings: str  # the first digits of the digest of all settings
    tables: int  # their generation; 0: it uses none
    refused: str  # why it refused the last reload; empty: it did not


class SettingsInForce:
    """Those that the engine has, for who looks on while they may be reloaded. Files that cannot be
    read, or that hold what the engine has not taken, change nothing; `close` lets go."""

    def __init__(self, settings: Settings) -> None:
        self.now = settings
        namespace = settings.config.system.namespace
        self._control = Attached(lambda: Control.attach(namespace, timeout_s=0))

    def look(self) -> bool:
        """Take what the engine has, if that is something else; whether it was."""
        control = self._control.look()
        answer = control.answer(ENGINE) if control is not None else None
        if answer is None or answer.digest == self.now.digest:
            return False
        try:
            read = config.load(self.now.folder)
        except ConfigError:
            return False
        if read.digest != answer.digest:
            return False
        self.now = read
        return True

    def close(self) -> None:
        self._control.close()


def look(control: Control, health: Health) -> list[InForce]:
    """What each live process has; those that have not said so yet are left out."""
    found = []
    for name in (*PROCESSES, SUPERVISOR):
        answer = control.answer(name) if control.alive(name) else None
        row = health.beat(name) if answer is not None else None
        if answer is not None and row is not None:
            refused = answer.text if answer.outcome is ReloadOutcome.REFUSED else ""
            digest = f"{answer.digest:016x}"[:DIGITS]
            found.append(InForce(name, digest, row.generation, refused))
    return found


def differences(found: Sequence[InForce]) -> list[str]:
    """What is mixed, in sentences; empty: everybody has the same."""
    lines = []
    settings: dict[object, list[str]] = {}
    generations: dict[object, list[str]] = {}
    for one in found:
        settings.setdefault(one.settings, []).append(one.process)
        if one.tables:
            generations.setdefault(one.tables, []).append(one.process)
    for what, groups in (("settings", settings), ("tables", generations)):
        if len(groups) > 1:
            shares = [f"{key} in {', '.join(names)}" for key, names in groups.items()]
            lines.append(f"different {what}: {'; '.join(shares)}")
    if lines:
        lines += [f"{one.process} refused: {one.refused}" for one in found if one.refused]
    return lines
