"""clients/typescript in Node, against a gateway that really runs; `make typescript` builds it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import httpx
import msgspec
import pytest
from gateway_bed import Quoting, Started
from solana_bed import solana

from bed import until
from spread_scanner.cli.reference import STREAMED
from spread_scanner.cli.typescript import type_of
from spread_scanner.gateway.api import openapi
from spread_scanner.gateway.wishes import (
    EventsBegan,
    Misheard,
    MissedEvents,
    PushKind,
    PushWish,
    StreamBeat,
    StreamHello,
)
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


FRAME = re.compile(r"""\| \{ type: "(\w+)"; (.*) \}""")
OF_THE_CLIENT = "away"  # it is lost: no gateway says so


def test_every_frame_has_the_type_that_it_is_written_with() -> None:
    source = (CLIENT / "src" / "stream.ts").read_text()
    declared = {
        kind: dict(field.split(": ") for field in fields.split("; "))
        for kind, fields in FRAME.findall(source)
    }
    assert declared.pop(OF_THE_CLIENT)
    for struct in (StreamHello, StreamBeat, Misheard, MissedEvents, EventsBegan):
        kind = str(struct.__struct_config__.tag)
        may_lack = "?" if struct.__struct_config__.omit_defaults else ""
        fields = {
            one.name + (may_lack if one.default is None else "")
            for one in msgspec.structs.fields(struct)
        }
        assert set(declared.pop(kind)) == fields, kind
    signals = " | ".join(one.__name__ for one in STREAMED)
    told = {"signal": signals, "opportunities": "OpportunityRow[]", "status": "Served"}
    states = {"prices": "Price[]", "spreads": "Spread[]", "books": "SymbolBooks[]"}
    for kind, records in (told | states).items():
        assert declared[kind].pop(kind) == records
        about = {"snapshot", "version", "gone"} if kind in states else set()
        assert set(declared.pop(kind)) == about
    assert declared == {}


def test_a_wish_has_what_a_client_may_say() -> None:
    """Kinds are said apart."""
    source = (CLIENT / "src" / "stream.ts").read_text()
    (wish,) = re.findall(r"interface Wish \{(.*?)\n\}", source, re.DOTALL)
    said = set(re.findall(r"^  (\w+)\?:", wish, re.MULTILINE))
    assert said == {one.name for one in msgspec.structs.fields(PushWish)} - {"kinds"}
    (kinds,) = re.findall(r"export type Kind = (.*);", source)
    assert set(re.findall(r'"(\w+)"', kinds)) == set(get_args(PushKind))


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
