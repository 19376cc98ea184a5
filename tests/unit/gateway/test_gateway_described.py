"""What the OpenAPI says is so, and its page shows it.

schemathesis asks a gateway what is described, rightly and wrongly, as anybody does who may control
it as well.
"""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser_bed import Tab, chromium
from gateway_bed import Quoting, Started, secret

from bed import seed, until
from spread_scanner.schema.enums import EXCHANGE_SOURCES

SCHEMATHESIS = Path(__file__).parents[3] / ".venv-clients" / "bin" / "schemathesis"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,negative_data_rejection"
)


@pytest.fixture
def token(listed_bed: Any) -> str:
    """Of who may control."""
    file = listed_bed.folder / "config" / "config.toml"
    file.write_text(file.read_text() + 'control_token_file = "control"\n')
    return secret(listed_bed, "control", "a-token-to-control-by")


@pytest.fixture
def quoted(token: str, life: Started, quoting: Quoting) -> Iterator[str]:
    """The address of a gateway in which everything is quoted, again and again."""
    ended = threading.Event()

    def quote() -> None:
        while not ended.wait(0.5):
            for source in EXCHANGE_SOURCES:
                for symbol_id in range(3):
                    quoting.quote(source.source_id, symbol_id, 99.0 + source.source_id)

    thread = threading.Thread(target=quote)
    thread.start()
    address = life.address()
    until(lambda: httpx.get(f"{address}/health").status_code == 200)
    yield address
    ended.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="needs `make clients-venv`")
def test_every_answer_is_as_described(quoted: str, token: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{quoted}/v1/openapi.json"),
            *("--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-examples", "15"),
            # The past is a child a question: test_gateway_past.py has it.
            *("--exclude-path-regex", "^/v1/(candles|history|report)"),
            *("--header", f"Authorization: Bearer {token}"),
            # One: two threads that parse Python at a time end CPython 3.11.7 with a SystemError.
            *("--workers", "1", "--request-timeout", "30", "--continue-on-failure"),
            *("--seed", str(seed()), "--generation-database", "none", "--no-color"),
            *("--suppress-health-check", "all", "--warnings", "off"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.mark.slow
def test_the_page_of_what_can_be_asked_shows_it(life: Started) -> None:
    """In a browser that reaches nobody else, under the page's own policy, and tries a call."""
    shown = "document.querySelector('rapi-doc')?.shadowRoot"
    with chromium() as browser:
        tab = Tab(browser, life.address())
        tab.page.goto(f"{tab.address}/v1/docs")
        tab.until(f"{shown}?.textContent.includes('/scan-arbitrage')")
        tab.close()
