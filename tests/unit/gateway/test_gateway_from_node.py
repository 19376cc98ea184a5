"""clients/typescript in Node, against a gateway that really runs; `make typescript` builds it."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from gateway_bed import Quoting, Started
from solana_bed import solana

from bed import until
from spread_scanner.cli.typescript import type_of
from spread_scanner.gateway.api import openapi
from spread_scanner.schema.enums import SOURCES
from spread_scanner.sim.chain_pools import BASES, USDC

CLIENT = Path(__file__).parents[3] / "clients" / "typescript"
BUILT = CLIENT / "dist" / ".built"


needs_node = pytest.mark.skipif(
    not (shutil.which("node") and BUILT.exists()), reason="needs node, npm and `make typescript`"
)


def in_node(test: str, life: Started, quoting: Quoting, **environ: str) -> None:
    """A file of tests, with a gateway in which AAA/USDT stands on two spot sources."""
    quoting.quote(SOURCES[0].source_id, 0, 99.0)
    quoting.quote(SOURCES[4].source_id, 0, 104.0)
    address = life.address()
    until(lambda: httpx.get(f"{address}/health").status_code == 200)
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", f"test/{test}"],
        cwd=CLIENT,
        env={**os.environ, "RUST_CACHE_URL": address, **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@needs_node
def test_node_asks_and_is_told(life: Started, quoting: Quoting) -> None:
    in_node("client.test.mjs", life, quoting)


@pytest.mark.slow
@needs_node
def test_node_mixes_the_cache_and_jupiter(life: Started, quoting: Quoting) -> None:
    with solana(11, 12, swaps_per_slot=0.0) as thread:
        thread.act(do="jupiter", key="k", requests_per_s=1_000)
        environ = {"JUPITER_URL": f"http://127.0.0.1:{thread.side.port}"}
        environ |= {"SOL": BASES[0].mint, "USDC": USDC.mint}
        in_node("jupiter.test.mjs", life, quoting, **environ)


def test_every_call_has_the_type_that_its_answer_is_described_with() -> None:
    """Of a price as well, which a pool's is another of."""
    source = (CLIENT / "src" / "client.ts").read_text()
    asked_as = {
        "/health": '"/health"',
        "/prices": '"/prices"',
        "/prices/{pair}": "path, { source }",
        "/scan-arbitrage": '"/scan-arbitrage"',
        "/v1/spreads": '"/v1/spreads"',
        "/v1/opportunities": '"/v1/opportunities"',
    }
    described = openapi()["paths"]
    for path, asked in asked_as.items():
        (call,) = described[path].values()
        answer = call["responses"]["200"]["content"]["application/json"]["schema"]
        assert f"<{type_of(answer)}>({asked}" in source, path


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
