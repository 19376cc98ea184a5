"""What `spread-ctl doctor` says of Solana's pools: whether those that pools.toml names are sources,
beside the exchanges', and what to set where they are not. Nothing where the file is not enabled.
"""

from collections.abc import Iterator

from spread_scanner.cli.answers import Check
from spread_scanner.config import Settings
from spread_scanner.errors import TableError
from spread_scanner.schema.enums import POOL_DIRECTIONS, POOL_SOURCES
from spread_scanner.symbology import tables

NAME = "pools"


def of_pools(settings: Settings) -> Iterator[Check]:
    """One check at the most: what is to be mended first."""
    pools = settings.pools
    if not pools.enabled:
        return
    if not pools.runs:
        found = "pools.toml is enabled, and names no pool or no provider that is"
        yield Check(NAME, "warn", found, "name both there, or enabled = false: nobody reads pools")
        return
    count = len([*pools.wanted()])
    sources = [source for source in POOL_SOURCES if any(pools.of_source(source))]
    labels = ", ".join(source.label for source in sources)
    rows = settings.config.system.num_sources
    if any(source.source_id >= rows for source in sources):
        needed = POOL_SOURCES[-1].source_id + 1
        without = ", ".join(source.label for source in sources if source.source_id >= rows)
        found = f"{count} are read, and are no sources: the tables have {rows} rows, {without} none"
        advice = (
            f"num_sources = {needed} in [system] of config.toml, spread-ctl discover, a restart"
        )
        yield Check(NAME, "warn", found, f"{advice}; or leave it, and they are read alone")
        return
    try:
        listed = {row.source_id for row in tables.load(settings.generated_dir).instruments}
    except TableError:
        return  # said of the pairs
    absent = ", ".join(source.label for source in sources if source.source_id not in listed)
    if absent:
        found = f"{count} are read; the tables have nothing of {absent}"
        yield Check(NAME, "warn", found, "spread-ctl discover; its report says what it left out")
        return
    ways = [way.label for way in POOL_DIRECTIONS if way.spot in sources]
    on = sum(settings.directions.thresholds(way, "").enabled for way in ways)
    found = f"{count} are read, as {labels}; {on} of {len(ways)} directions are switched on"
    advice = "" if on else "enabled = true in [direction.NAME] of directions.toml signals them"
    yield Check(NAME, "ok", found, advice)
