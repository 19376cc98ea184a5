"""clients/typescript in Node, against a gateway that really runs; `make typescript` builds it."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from gateway_bed import Quoting, Started

from bed import until
from spread_scanner.cli.typescript import type_of
from spread_scanner.schema.enums import SOURCES

CLIENT = Path(__file__).parents[3] / "clients" / "typescript"
BUILT = CLIENT / "dist" / ".built"


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("node") and BUILT.exists()), reason="needs node, npm and `make typescript`"
)
def test_node_asks_and_is_told(life: Started, quoting: Quoting) -> None:
    quoting.quote(SOURCES[0].source_id, 0, 99.0)
    quoting.quote(SOURCES[4].source_id, 0, 104.0)
    address = life.address()
    until(lambda: httpx.get(f"{address}/health").status_code == 200)
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", "test/client.test.mjs"],
        cwd=CLIENT,
        env={**os.environ, "RUST_CACHE_URL": address},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "integer"}, "number"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Price"}}, "Price[]"),
        ({"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
         "(number | null)[]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "Record<string, number>"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"enum": ["open", "closed"]}, '"open" | "closed"'),
        ({}, "unknown"),
    ],
)  # fmt: skip
def test_a_schema_is_a_type(schema: dict[str, object], written: str) -> None:
    assert type_of(schema) == written
