"""The options of a report, said once: for `spread-tracker report` and `spread-ctl report`.

Apart from the report itself, so that a command line can be read before that is loaded.
"""

from pathlib import Path
from typing import Annotated

import typer

Since = Annotated[str, typer.Option(help="90s, 30m, 24h, 7d, an ISO date or time (UTC), or 'all'.")]
Html = Annotated[Path | None, typer.Option(help="Write a self-contained page here; - for stdout.")]
DatabaseFile = Annotated[
    Path | None, typer.Option("--database", help="Default: that of the settings.")
]
Folder = Annotated[Path | None, typer.Option(help="Write page and JSON here, named by the time.")]
Hourly = Annotated[
    bool,
    typer.Option("--hourly", help="What the timer runs: the last 24 h into data_dir/reports."),
]
Pairs = Annotated[bool, typer.Option("--pairs", help="The most frequent pairs, too.")]
