"""What was raised and what each target has been told: data_dir/alerts.NAMESPACE.

Writer and reader: spread-alerts, so that a restart of it tells nothing twice and forgets no end.

Replaced in one rename after each change. One that is damaged is as none: what stands is told again.

Times are those of the monotonic clock, so that a wall clock that is set makes nothing older. After
a boot that clock has begun anew, and they are moved by what the wall clock says has gone by.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from spread_scanner import clock
from spread_scanner.alerts.desk import Story
from spread_scanner.alerts.ledger import Entry
from spread_scanner.config import Settings
from spread_scanner.symbology.replacing import replace


class ToldSoFar(msgspec.Struct):
    """The file."""

    raised: list[Story] = []
    told: dict[str, list[Entry]] = {}  # by the target's name
    who: dict[str, str] = {}  # what made each target what it was, but for secrets
    boot: str = ""  # and the two clocks, when it was written
    wall_ns: int = 0
    mono_ns: int = 0
    damaged: str = ""

    def of_target(self, name: str, who: str) -> list[Entry]:
        """What a target knows: nothing, if it is another one by now."""
        return self.told.get(name, []) if self.who.get(name) == _shown(who) else []


def path_of(settings: Settings) -> Path:
    return settings.data_dir / f"alerts.{settings.config.system.namespace}"


def read(settings: Settings) -> ToldSoFar:
    try:
        known = msgspec.json.decode(path_of(settings).read_bytes(), type=ToldSoFar)
    except FileNotFoundError:
        return ToldSoFar()
    except (OSError, ValueError, RecursionError) as error:
        return ToldSoFar(damaged=f"{path_of(settings)}: {error}")
    if known.boot != clock.boot_id():
        # What an older version has written has no times of this kind: they begin now.
        gone_ns = max(0, clock.wall_ns() - known.wall_ns) if known.wall_ns else 0
        _move(known, clock.mono_ns() - gone_ns - known.mono_ns)
    return known


def _move(known: ToldSoFar, by_ns: int) -> None:
    for story in known.raised:
        story.began_mono_ns += by_ns
    for entry in (entry for told in known.told.values() for entry in told):
        entry.began_mono_ns += by_ns
        if entry.ended_mono_ns is not None:
            entry.ended_mono_ns += by_ns


def write(
    settings: Settings,
    raised: Iterable[Story],
    told: Mapping[str, list[Entry]],
    who: Mapping[str, str],
) -> None:
    """Replace the file; `who` each target is. Raises OSError."""
    shown = {name: _shown(one) for name, one in who.items()}
    now = clock.boot_id(), clock.wall_ns(), clock.mono_ns()
    body = msgspec.json.encode(ToldSoFar(list(raised), dict(told), shown, *now))
    replace(path_of(settings), body)


def _shown(who: str) -> str:
    """A webhook's address may be a secret: its digest will do."""
    return hashlib.sha256(who.encode()).hexdigest()[:16]
