"""The settings that a running process keeps until it is restarted, and how two sets of them differ.

Read by a process at a reload, which refuses what it could not do, and by spread-ctl reload, which
refuses it before anybody is told. All other settings take effect at a reload.
"""

import zlib
from collections.abc import Mapping

from spread_scanner.config.settings import Settings
from spread_scanner.errors import ConfigError
from spread_scanner.schema.names import GATEWAY

# Sizes and places of what all processes share; a restart of one of them would not do.
EVERYBODY = (
    "system.namespace",
    "system.num_sources",
    "system.max_symbols",
    "system.ring_slots",
    "system.generated_dir",
    "system.data_dir",
    "system.log_level",
    "system.log_format",
    "spread-engine.evaluations_kept",
    "books.books_max",
    "system.tape_slots",
)
OWN = "cpus"  # of the process's own section
MORE = {GATEWAY: ("host", "port", "tls_certificate")}  # likewise, of some
WHETHER = ("tls_certificate",)  # of these whether there is one; another one is taken by a reload


def kept(settings: Settings, process: str) -> dict[str, str]:
    """What a process keeps for its life: key to value, always in the same order."""
    system, engine = settings.config.system, settings.config.spread_engine
    values: list[object] = [
        system.namespace,
        system.num_sources,
        system.max_symbols,
        system.ring_slots,
        settings.generated_dir,
        settings.data_dir,
        system.log_level,
        system.log_format,
        engine.evaluations_kept,
        settings.config.books.books_max,
        system.tape_slots,
        settings.cpus(process),
    ]
    more = MORE.get(process, ())
    section = getattr(settings.config, process.replace("-", "_"), None)
    own = ((name, getattr(section, name)) for name in more)
    values += [bool(value) if name in WHETHER else value for name, value in own]
    keys = [*EVERYBODY, *(f"{process}.{name}" for name in (OWN, *more))]
    return {key: str(value) for key, value in zip(keys, values, strict=True)}


def checksums(settings: Settings, process: str) -> list[int]:
    """The same as numbers that are never 0, to be compared by whoever has not the values."""
    return [zlib.crc32(value.encode()) or 1 for value in kept(settings, process).values()]


def changed(settings: Settings, process: str, of_running: list[int]) -> list[str]:
    """The keys whose value differs from what runs; a 0 there is not known, and no difference."""
    keys = kept(settings, process)
    wanted = checksums(settings, process)
    return [
        key
        for key, now, then in zip(keys, wanted, of_running[: len(wanted)], strict=True)
        if then not in (0, now)
    ]


def refuse(differing: Mapping[str, list[str]]) -> None:
    """Raise a ConfigError that names each setting and whom it needs restarted.

    `differing` is by key: the processes that run with another value.
    """
    if differing:
        named = [
            f"{key} (a restart of {'everything' if key in EVERYBODY else ', '.join(processes)})"
            for key, processes in differing.items()
        ]
        raise ConfigError(f"takes effect only with a restart: {'; '.join(named)}")
