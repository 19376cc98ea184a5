"""Publishing a set of tables: all of it or nothing, whatever interrupts it.

Writer:  pair-discovery (tests and demonstrations may publish sets of their own).
Readers: `tables.load`, and people: the text files lie beside the tables.

A set is written to a temporary folder, every file and the folder synced, then renamed to
sets/<generation>; the link `current` is swung in one rename. Whatever fails or is killed before
that rename leaves the old set in force, and the next publisher sweeps up what it left. The last
few sets stay, so that a reader that has just resolved the link finds its files.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import TableError
from spread_scanner.symbology.replacing import sync_folder
from spread_scanner.symbology.tables import (
    CURRENT,
    DIRECTIONS_BIN,
    FORMAT,
    METADATA_JSON,
    SYMBOLS_BIN,
    DirectionsFile,
    Metadata,
    SymbolsFile,
    Tables,
    load,
    load_set,
)

SETS = "sets"
SETS_KEPT = 5
TEMPORARY = ".tmp-"


def publish(
    folder: Path,
    tables: Tables,
    texts: Mapping[str, str],
    sources: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    added: Sequence[str] = (),
) -> None:
    """Put a set in force. `texts` are more files by name; for the record the state of each source,
    what a person should look at, and the pairs that are new.

    Raises TableError when it cannot be written or a set at least as new is in force already; the
    old set stays in force then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        newest = generation_in_force(folder)
        if tables.generation <= newest:
            raise TableError(
                "a newer set has been published meanwhile",
                file=folder / CURRENT,
                in_force=newest,
                ours=tables.generation,
            )
        _sweep(folder)
        chosen = _write_set(
            folder, _files(tables, texts, sources or {}, warnings, added), tables.generation
        )
        _swing(folder / CURRENT, Path(SETS) / chosen.name)
    except OSError as error:
        raise TableError(
            f"cannot publish the tables: {error.strerror}", file=error.filename or folder
        ) from error
    # The set is in force; what follows may fail. Without the sync a loss of power may bring back
    # the old set, which is whole as well; the rest is convenience and tidiness.
    with contextlib.suppress(OSError):
        sync_folder(folder)
        for name in [*texts, SYMBOLS_BIN, DIRECTIONS_BIN, METADATA_JSON]:
            _swing(folder / name, Path(CURRENT) / name)
        _prune(folder, tables.generation)


def generation_in_force(folder: Path) -> int:
    """The generation that `current` names; 0 when there is none."""
    try:
        return int((folder / CURRENT).readlink().name)
    except (OSError, ValueError):
        return 0


def newest_intact(folder: Path) -> Tables | None:
    """The set in force or, where it is damaged, the newest older one that is whole."""
    with contextlib.suppress(TableError):
        return load(folder)
    for generation in sorted(_generations(folder), reverse=True):
        with contextlib.suppress(TableError):
            return load_set(folder / SETS / str(generation))
    return None


def next_generation(folder: Path) -> int:
    """One more than every set that was ever finished here and still lies about."""
    return max([generation_in_force(folder), *_generations(folder)]) + 1


class Publishing(TableError):
    """Somebody else is at it: nothing is wrong."""


@contextlib.contextmanager
def exclusive(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Keep other publishers out; raises Publishing when one is at it for longer than may be waited,
    TableError when the folder cannot be used. The kernel frees it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TableError(f"not usable: {error.strerror}", file=folder) from None
    try:
        deadline_s = clock.awake_s() + wait_s
        while not _locked(lock):
            if clock.awake_s() >= deadline_s:
                raise Publishing("another discovery is writing here", file=folder)
            clock.sleep(0.05)
        yield
    finally:
        os.close(lock)


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _files(
    tables: Tables,
    texts: Mapping[str, str],
    sources: Mapping[str, str],
    warnings: Sequence[str],
    added: Sequence[str],
) -> dict[str, bytes]:
    """Every file of the set; metadata last, since it holds the others' checksums."""
    symbols = SymbolsFile(
        FORMAT, tables.generation, tables.symbols, tables.instruments, tables.funding, tables.freed
    )
    directions = DirectionsFile(
        FORMAT, tables.generation, tables.directions, tables.quarantine, tables.lots
    )
    files = {
        SYMBOLS_BIN: msgspec.msgpack.encode(symbols),
        DIRECTIONS_BIN: msgspec.msgpack.encode(directions),
        **{name: text.encode() for name, text in texts.items()},
    }
    created = datetime.fromtimestamp(tables.created_wall_ns // NS_PER_S, UTC)
    metadata = Metadata(
        format=FORMAT,
        generation=tables.generation,
        created_wall_ns=tables.created_wall_ns,
        created=created.isoformat(),
        counts={
            "symbols": len(tables.symbols),
            "instruments": len(tables.instruments),
            "pairs": sum(len(row.symbol_ids) for row in tables.directions),
            "quarantined": len(tables.quarantine),
            "funding": len(tables.funding),
            "lots": len(tables.lots),
        },
        sources=dict(sources),
        warnings=tuple(warnings),
        added=tuple(added),
        judged_in=tables.judged_in,
        judged_wall_ns=tables.judged_wall_ns,
        asked_wall_ns=tables.asked_wall_ns,
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )
    files[METADATA_JSON] = msgspec.json.format(msgspec.json.encode(metadata), indent=2) + b"\n"
    return files


def _write_set(folder: Path, files: Mapping[str, bytes], generation: int) -> Path:
    sets = folder / SETS
    sets.mkdir(exist_ok=True)
    temporary = sets / f"{TEMPORARY}{generation}"
    try:
        temporary.mkdir()
        for name, data in files.items():
            with (temporary / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(temporary)
        chosen = sets / str(generation)
        if chosen.exists():  # finished by a publisher that was killed before it swung the link
            shutil.rmtree(chosen)
        temporary.rename(chosen)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(sets)
    return chosen


def _swing(link: Path, target: Path) -> None:
    """Make or replace a symlink in one rename."""
    if link.is_symlink() and link.readlink() == target:
        return
    temporary = link.with_name(f"{TEMPORARY}{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _generations(folder: Path) -> list[int]:
    try:
        names = [path.name for path in (folder / SETS).iterdir()]
    except FileNotFoundError:
        return []
    return [int(name) for name in names if re.fullmatch(r"\d+", name)]


def _sweep(folder: Path) -> None:
    """Remove what a publisher that was killed has left half done."""
    for left in [*folder.glob(f"{TEMPORARY}*"), *(folder / SETS).glob(f"{TEMPORARY}*")]:
        if left.is_symlink() or left.is_file():
            left.unlink(missing_ok=True)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _prune(folder: Path, generation: int) -> None:
    keep = sorted(_generations(folder))[-SETS_KEPT:]
    for old in _generations(folder):
        if old not in keep and old != generation:
            shutil.rmtree(folder / SETS / str(old), ignore_errors=True)
