"""What was raised and what each target has been told: data_dir/alerts.NAMESPACE.

Writer and reader: spread-alerts, so that a restart of it tells nothing twice and forgets no end.

Replaced in one rename after each change. One that is damaged is as none: what stands is told again.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from spread_scanner.alerts.desk import Story
from spread_scanner.alerts.ledger import Entry
from spread_scanner.config import Settings
from spread_scanner.symbology.replacing import replace


class ToldSoFar(msgspec.Struct):
    """The file."""

    raised: list[Story] = []
    told: dict[str, list[Entry]] = {}  # by the target's name
    who: dict[str, str] = {}  # what made each target what it was, but for secrets
    damaged: str = ""

    def of_target(self, name: str, who: str) -> list[Entry]:
        """What a target knows: nothing, if it is another one by now."""
        return self.told.get(name, []) if self.who.get(name) == _shown(who) else []


def path_of(settings: Settings) -> Path:
    return settings.data_dir / f"alerts.{settings.config.system.namespace}"


def read(settings: Settings) -> ToldSoFar:
    try:
        return msgspec.json.decode(path_of(settings).read_bytes(), type=ToldSoFar)
    except FileNotFoundError:
        return ToldSoFar()
    except (OSError, ValueError, RecursionError) as error:
        return ToldSoFar(damaged=f"{path_of(settings)}: {error}")


def write(
    settings: Settings,
    raised: Iterable[Story],
    told: Mapping[str, list[Entry]],
    who: Mapping[str, str],
) -> None:
    """Replace the file; `who` each target is. Raises OSError."""
    shown = {name: _shown(one) for name, one in who.items()}
    body = msgspec.json.encode(ToldSoFar(list(raised), dict(told), shown))
    replace(path_of(settings), body)


def _shown(who: str) -> str:
    """A webhook's address may be a secret: its digest will do."""
    return hashlib.sha256(who.encode()).hexdigest()[:16]
