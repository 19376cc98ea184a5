"""shm-init: one run from the settings to segments that are READY.

Exit codes: 0 the segments stand, 1 they could not be made (the reason is logged), 2 bad settings.
"""

import argparse
from collections.abc import Sequence

from spread_scanner import config
from spread_scanner.errors import ConfigError, SpreadError
from spread_scanner.runtime import logs
from spread_scanner.schema.names import EXIT_DONE, EXIT_FAILED, EXIT_SETTINGS, SHM_INIT
from spread_scanner.schema.version import version
from spread_scanner.shminit.making import (
    ensure,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The bin's entry."""
    parser = argparse.ArgumentParser(prog=SHM_INIT, description="Make the shared-memory segments.")
    parser.add_argument("--force", action="store_true", help="make new ones even if these fit")
    options = parser.parse_args(arguments)
    log = logs.set_up(SHM_INIT)
    try:
        settings = config.load()
        system = settings.config.system
        log = logs.set_up(SHM_INIT, system.log_level, system.log_format)
        made = ensure(settings, force=options.force)
    except ConfigError as error:
        log.error("bad settings", error=str(error))
        return EXIT_SETTINGS
    except SpreadError as error:
        log.error("segments not made", error=str(error))
        return EXIT_FAILED
    for trouble in made.troubles:
        log.error("switches", reason=trouble)
    for trouble in made.restored.troubles:
        log.warning("the log of the market", reason=trouble)
    if (age_s := made.restored.newest_age_s) is not None:
        log.info("quotes restored, stale", quotes=made.restored.total, newest_age_s=round(age_s, 3))
    if made.standing:
        log.warning("switched by the operator", standing=[one.what for one in made.standing])
    if made.kept:
        log.info("segments kept", segments=made.segments, version=version())
    else:
        log.info("segments made", reason=made.reason, segments=made.segments, version=version())
    return EXIT_DONE
