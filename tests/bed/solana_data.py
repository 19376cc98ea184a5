"""Recorded accounts of Solana and what is known of them; where SPREAD_DATA has none, tests are
skipped by name.
"""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

SOLANA = (
    Path(os.environ.get("SPREAD_DATA") or Path(__file__).parents[3] / "shared" / "data") / "solana"
)
needs_data = pytest.mark.skipif(not SOLANA.exists(), reason=f"no recorded accounts in {SOLANA}")

Account = tuple[str, bytes]


def read(name: str) -> Any:
    return json.loads((SOLANA / name).read_text())


def account(row: dict[str, Any], length: int | None = None) -> dict[str, Account]:
    """One account as an RPC node says it, by its key; a recorded head is filled up with zeros."""
    data = base64.b64decode(row["account"]["data"][0])
    return {row["pubkey"]: (row["account"]["owner"], data.ljust(length or 0, b"\0"))}


def fills(name: str) -> list[Any]:
    """The cases of a run of a program's own binary, as test parameters."""
    if not SOLANA.exists():
        return [pytest.param(None, marks=needs_data, id=f"{name}: no data")]
    cases = read(name)["cases"]
    return [pytest.param(case, id=f"{number}") for number, case in enumerate(cases)]
