"""spread-ctl: one command for the operator. Each subcommand's work is in a module of its own.

Those modules are imported where they are used: `spread-ctl kill` must not wait for a screen library
or a plotting one to load. Errors of the world end as one clear line and an exit code; a fault of
ours keeps its traceback.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner.cli import chain, check, data, log, past, replay, run, show, steer, streams
from spread_scanner.cli.answers import Failure
from spread_scanner.cli.console import (
    EXIT_CODES,
    print_json,
)
from spread_scanner.config import config_folder
from spread_scanner.errors import ConfigError, SegmentError, SpreadError, Unusable
from spread_scanner.schema.names import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_NOT_UP,
    EXIT_SETTINGS,
    SUPERVISOR,
)
from spread_scanner.schema.version import version
from spread_scanner.shm import Health
from spread_scanner.shm.faults import NoSegment, NotReady, Retired

app = typer.Typer(
    help="Watches spot-to-perpetual spreads across exchanges. Starts, shows and steers the system.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"spread-scanner {version()}\n")
        raise typer.Exit


@app.callback()
def _for_all(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Folder of the settings; default: that of the system that --namespace names, "
            "SPREAD_CONFIG_DIR, ./config or /etc/spread-scanner.",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="Of the shared memory, instead of the settings'. What runs there says where its "
            "settings are."
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="The version, and the end."
        ),
    ] = False,
) -> None:
    # In the environment, so that the processes that a command starts see the same.
    if folder is not None:
        os.environ["SPREAD_CONFIG_DIR"] = str(config_folder({"SPREAD_CONFIG_DIR": str(folder)}))
    if namespace is not None:
        os.environ["SPREAD_SYSTEM__NAMESPACE"] = namespace
        # Before the variable, which the spread-ctl of a checkout and of a server set for everybody.
        if folder is None and (known := _folder_of(namespace)):
            os.environ["SPREAD_CONFIG_DIR"] = str(known)


def _folder_of(namespace: str) -> Path | None:
    """Where the settings of the system are that runs in a namespace; None where none does."""
    try:
        with Health.attach(namespace, timeout_s=0) as health:
            folder = health.folder
    except (SegmentError, OSError):
        return None
    # One that was killed has left its segments, and its folder may be gone.
    return folder if folder is not None and os.path.isdir(folder) else None


run.add_to(app)
steer.add_to(app)
show.add_to(app)
check.add_to(app)
data.add_to(app)
log.add_to(app)
past.add_to(app)
replay.add_to(app)
chain.add_to(app)


for _command_info in app.registered_commands:
    # The list of commands is read at a glance: a sentence of each, whatever the width.
    _said = " ".join((getattr(_command_info.callback, "__doc__", None) or "").split())
    _command_info.short_help = _said.partition(". ")[0].removesuffix(".") + "."


def main() -> None:
    """The entry point."""
    streams.prepare()
    raise SystemExit(obey(sys.argv[1:]))


def obey(arguments: list[str]) -> int:
    """One command line; returns the exit code. Errors of the world become one line."""
    as_json = "--json" in arguments
    try:
        try:
            code = _done(arguments, as_json)
        except (streams.ReaderGone, streams.CannotPrint):
            raise
        except SpreadError as error:
            code = _failed(str(error), exit_code_of(error), as_json)
        streams.flush()
    except streams.ReaderGone:
        return streams.EXIT_READER_GONE
    except streams.CannotPrint as error:
        return _failed(str(error), EXIT_FAILED, as_json=False)
    return code


@functools.cache
def _command() -> Callable[..., object]:
    """Made of the annotations, which takes longer than most commands."""
    return typer.main.get_command(app)


def _done(arguments: list[str], as_json: bool) -> int:
    if any(not word or (word.startswith("--") and word.endswith("=")) for word in arguments):
        raise Unusable("an empty word names nothing: is a variable of the shell not set?")
    try:
        code = _command()(arguments, prog_name=SUPERVISOR, standalone_mode=False)
    except typer.TyperException as error:
        return _misused(error, as_json)
    except typer.Abort:
        return EXIT_FAILED
    return code if isinstance(code, int) else EXIT_DONE


def _misused(error: typer.TyperException, as_json: bool) -> int:
    """A command line that means nothing: what is wrong with it, and where help is."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{error.message}\n")
        return EXIT_SETTINGS
    command = context.command_path if context is not None else SUPERVISOR
    said = " ".join(error.format_message().split())
    return _failed(f"{said} (see {command} --help)", EXIT_SETTINGS, as_json)


def _failed(said: str, code: int, as_json: bool) -> int:
    if as_json:
        print_json(Failure(said, code))
    sys.stderr.write(f"spread-ctl: {said}\n")
    return code


def exit_code_of(error: SpreadError) -> int:
    """What an error of the world means to the caller."""
    if isinstance(error, ConfigError | Unusable):
        return EXIT_SETTINGS
    if isinstance(error, NoSegment | NotReady | Retired):
        return EXIT_NOT_UP
    return EXIT_FAILED
