"""Those options of a run that a person gives, said once: for `pair-discovery` and for `spread-ctl
discover`, which runs it."""

from typing import Annotated

import typer

Quick = Annotated[bool, typer.Option("--quick", help="Only look for new listings, and add them.")]
Due = Annotated[
    bool, typer.Option("--due", help="Only if look_every_s (funding_every_s) have passed.")
]
Accept = Annotated[
    bool, typer.Option("--accept", help="Believe lists that have lost much at once.")
]
NoValidate = Annotated[bool, typer.Option("--no-validate", help="Do not listen to the websockets.")]
FundingOnly = Annotated[
    bool, typer.Option("--funding", help="Only ask for funding, into shared memory.")
]
DUE_ALONE = "--due goes with --quick or --funding"
FUNDING_ALONE = "--funding goes with --due, --offline, --save and --json alone"
