"""Which settings and tables each process has: whether all have the same, and why not.

Read by `spread-ctl status`. Processes differ for a moment during a reload, after a reload that some
of them refused, and when one was restarted after the files had changed; until the next reload.
"""

from collections.abc import Sequence

from spread_scanner.schema.enums import (
    ReloadOutcome,
)
from spread_scanner.schema.names import PROCESSES, SUPERVISOR
from spread_scanner.shm import Control, Health
from spread_scanner.view.reading import Reading

DIGITS = 8  # of a digest, for people


class InForce(Reading, frozen=True):
    """What one live process has."""

    process: str
    settings: str  # the first digits of the digest of all settings
    tables: int  # their generation; 0: it uses none
    refused: str  # why it refused the last reload; empty: it did not


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
