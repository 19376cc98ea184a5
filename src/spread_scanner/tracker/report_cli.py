"""`spread-tracker report`: placeholder until next commit."""

import typer

app = typer.Typer()
