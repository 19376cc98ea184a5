"""What is switched in a control segment outlives it, whoever takes it away and whichever version
made it.

Reads:  the control segment that stands, also an older version's (shm/older.py).
Writes: the file of switches (orders/remembered.py), before `clean` removes the segment.

An older version knew no file: what it had halted stands in its segment alone, and an upgrade takes
that away before the new version's shm-init runs. Beside such a segment the file is of before, so
that what either of the two has switched stays so: a word too many is taken back by a person.
"""

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.errors import SegmentError, TableError
from spread_scanner.orders import remembered
from spread_scanner.orders.remembered import Remembered
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm import Control, older
from spread_scanner.shm.switches import Switch
from spread_scanner.symbology import tables

SAID = "under an older version"  # in place of the command that switched it


def carry(settings: Settings) -> None:
    """Bring the file to what the segment that stands has switched. Raises NotRemembered: then the
    segment is the only one who knows."""
    with remembered.alone(settings):
        found = remembered.read(settings)
        try:
            with Control.attach(settings.config.system.namespace, timeout_s=0) as control:
                wanted = control.standing
        except SegmentError:
            wanted = with_older(settings, found).standing
            if found.damaged and wanted == found.standing:
                return  # stays damaged: the next start is halted for it
        if wanted != found.standing:
            remembered.write(settings, wanted)


def with_older(settings: Settings, found: Remembered) -> Remembered:
    """What the file says, and what an older version's segment has switched beside it."""
    standing = {(one.kind, one.name): one for one in found.standing}
    for key in _switched_in_older(settings):
        standing.setdefault(key, Switch(*key, clock.wall_ns(), command=SAID))
    return found._replace(standing=sorted(standing.values()))


def _switched_in_older(settings: Settings) -> list[tuple[SwitchKind, str]]:
    levels = older.levels(settings.config.system.namespace)
    if levels is None:
        return []
    return levels.named + [
        (SwitchKind.SYMBOL, name) for name in _symbols(settings, levels.symbol_ids)
    ]


def _symbols(settings: Settings, ids: list[int]) -> list[str]:
    """The coins behind ids, by the tables that stand. One that is in none cannot be named, and
    signals nothing either."""
    if not ids:
        return []
    try:
        rows = tables.load(settings.generated_dir).symbols
    except TableError:
        return []
    return [row.symbol for row in rows if row.symbol_id in ids]
