"""spread-ctl: one command for the operator. Each subcommand's work is in a module of its own.

Those modules are imported where they are used: `spread-ctl kill` must not wait for a screen library
or a plotting one to load. Errors of the world end as one clear line and an exit code; a fault of
ours keeps its traceback.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner.cli import check, data, run, show, steer
from spread_scanner.cli.answers import Failure
from spread_scanner.cli.console import (
    EXIT_CODES,
    print_json,
)
from spread_scanner.errors import ConfigError, SegmentError, SpreadError
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
            help="Folder of the settings; default: SPREAD_CONFIG_DIR, ./config or "
            "/etc/spread-scanner.",
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
        os.environ["SPREAD_CONFIG_DIR"] = str(folder.resolve())
    if namespace is not None:
        os.environ["SPREAD_SYSTEM__NAMESPACE"] = namespace
        if not os.environ.get("SPREAD_CONFIG_DIR") and (known := _folder_of(namespace)):
            os.environ["SPREAD_CONFIG_DIR"] = str(known)


def _folder_of(namespace: str) -> Path | None:
    """Where the settings of the system are that runs in a namespace; None where none does."""
    try:
        with Health.attach(namespace, timeout_s=0) as health:
            return health.folder
    except (SegmentError, OSError):
        return None


run.add_to(app)
steer.add_to(app)
show.add_to(app)
check.add_to(app)
data.add_to(app)


def main() -> None:
    """The entry point."""
    raise SystemExit(obey(sys.argv[1:]))


def obey(arguments: list[str]) -> int:
    """One command line; returns the exit code. Errors of the world become one line."""
    try:
        app(arguments, prog_name=SUPERVISOR)
    except SpreadError as error:
        return _failed(error, "--json" in arguments)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else EXIT_FAILED
    return EXIT_DONE


def _failed(error: SpreadError, as_json: bool) -> int:
    code = exit_code_of(error)
    if as_json:
        print_json(Failure(str(error), code))
    sys.stderr.write(f"spread-ctl: {error}\n")
    return code


def exit_code_of(error: SpreadError) -> int:
    """What an error of the world means to the caller."""
    if isinstance(error, ConfigError):
        return EXIT_SETTINGS
    if isinstance(error, NoSegment | NotReady | Retired):
        return EXIT_NOT_UP
    return EXIT_FAILED
