"""`wal`: what the log of the market holds, whether it is whole, a copy of what is good of it, and a
log of what others have recorded.

A log that is damaged is exit code 1 and one line that says where and how much; a torn tail is none,
as a crash leaves one and the next start cuts it.
"""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner import config
from spread_scanner.cli import answers
from spread_scanner.cli.console import EXIT_CODES, Json, grid, people, print_json, size_text
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import SpreadError, Unusable
from spread_scanner.replay.importing import import_logs
from spread_scanner.schema.log import RecordKind
from spread_scanner.schema.names import WAL_FOLDER
from spread_scanner.wal import reader
from spread_scanner.wal.reader import Hole, Link
from spread_scanner.wal.salvage import examine, salvage

LogFolder = Annotated[
    Path | None, typer.Option(help="Where the log lies; default: wal in data_dir.")
]


class LogFailed(SpreadError):
    """The log cannot be read or copied; the reason is the world's."""


class LogAction(StrEnum):
    INFO = "info"
    VERIFY = "verify"
    SALVAGE = "salvage"
    IMPORT = "import"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("wal", epilog=EXIT_CODES)(wal)


def wal(
    action: Annotated[
        LogAction,
        typer.Argument(
            help="info: its segments; verify: read all of it; salvage: copy what is good of a "
            "damaged one; import: make a log of others' logs and of recordings.",
        ),
    ],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FROM]...",
            help="For import: folders of logs, and recordings as SOURCE=FILE, each line of which "
            "is a frame behind the time at which it was received.",
        ),
    ] = None,
    folder: LogFolder = None,
    to: Annotated[
        Path | None, typer.Option(help="For salvage and import: an empty folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The log of the market: what it holds, and whether it is whole."""
    makes = action in (LogAction.SALVAGE, LogAction.IMPORT)
    if (to is None) == makes:
        raise Unusable("--to goes with salvage and import, and they need it", action=str(action))
    if bool(sources) != (action is LogAction.IMPORT):
        raise Unusable("what to import goes with import, and it needs that", action=str(action))
    place = folder or (to if sources and to else config.load().data_dir / WAL_FOLDER)
    try:
        imported = _imported(sources, to) if sources and to else None
        shown = _shown(place, action, to if imported is None else None, imported)
    except OSError as error:
        raise LogFailed(f"the log cannot be read or copied: {error}", folder=str(place)) from None
    if as_json:
        print_json(shown)
    else:
        _print(shown)


def _imported(sources: list[str], to: Path) -> answers.LogImported:
    made = import_logs(sources, to, config.load())
    return answers.LogImported(str(to), made.records, dict(made.skipped))


def _shown(
    place: Path, action: LogAction, to: Path | None, imported: answers.LogImported | None
) -> answers.LogShown:
    segments = [_segment(link) for link in reader.linked(place)]
    cut_off = [_segment(link) for link in reader.cut_off(place)]
    if action is LogAction.INFO:
        return answers.LogShown(str(place), segments, cut_off, *[None] * 7)
    salvaged = None
    if to is not None:
        salvaged = answers.LogSalvaged(str(to), *salvage(place, to))
    found = examine(place)
    damage = [hole for hole in found.holes if hole.durable]
    if damage and action is LogAction.VERIFY:
        raise reader.damaged(place, damage[0])
    return answers.LogShown(
        str(place),
        segments,
        cut_off,
        {kind.name.lower(): found.records[kind] for kind in RecordKind if found.records[kind]},
        found.bytes,
        found.next_seq,
        found.closed,
        [_hole(hole) for hole in found.holes],
        salvaged,
        imported,
    )


def _segment(link: Link) -> answers.LogSegment:
    return answers.LogSegment(
        str(link.path),
        link.first_seq,
        int(link.head["created_wall_ns"]),
        link.namespace,
        link.path.stat().st_size,
        link.is_packed,
        link.strange,
    )


def _hole(hole: Hole) -> answers.LogHole:
    return answers.LogHole(str(hole.path), hole.offset, hole.seq, hole.after, hole.durable)


def utc(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).isoformat(" ")


def name_of(segment: answers.LogSegment) -> str:
    return Path(segment.file).name


def _of_cut_off(cut_off: list[answers.LogSegment]) -> str:
    size = size_text(sum(one.bytes for one in cut_off))
    return (
        f"Damage: {len(cut_off)} older files that nothing leads to any more, {name_of(cut_off[0])} "
        f"to {name_of(cut_off[-1])}, {size}: a segment behind them is gone. spread-ctl wal salvage "
        "copies what is good of them, too; nobody removes them but you."
    )


def _print(shown: answers.LogShown) -> None:
    out = people()
    rows = [
        [name_of(one), one.first_seq, size_text(one.bytes), utc(one.begun_wall_ns), one.namespace]
        for one in shown.segments
    ]
    out.print(grid("", ["segment", "first record>", "size>", "begun", "namespace"], rows))
    packed = [one.bytes for one in shown.segments if one.packed]
    everything = size_text(sum(one.bytes for one in shown.segments))
    out.print(
        f"{len(rows)} segments, {everything}; {len(packed)} of them packed, "
        f"{size_text(sum(packed))}."
    )
    if shown.cut_off:
        out.print(_of_cut_off(shown.cut_off))
    if unreadable := [one for one in shown.segments if one.unreadable]:
        last = unreadable[-1]
        out.print(f"{len(unreadable)} of another version, the last {last.file}: {last.unreadable}.")
    if shown.records is not None:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in shown.records.items())
        out.print(f"{size_text(shown.bytes)} of whole blocks: {kinds or 'no record'}.")
    for hole in shown.holes or ():
        what = "Damage" if hole.damage else "A torn tail, cut"
        out.print(f"{what}: {hole.file} at byte {hole.offset:,}, record {hole.seq:,}.")
    if shown.salvaged is not None:
        out.print(
            f"Copied {shown.salvaged.records:,} records to {shown.salvaged.folder}; "
            f"{shown.salvaged.missing:,} are missing."
        )
    if shown.imported is not None:
        left_out = ", ".join(f"{many:,} {why}" for why, many in shown.imported.skipped.items())
        out.print(
            f"Imported {shown.imported.records:,} records to {shown.imported.folder}; left out of "
            f"recordings: {left_out or 'nothing'}."
        )
