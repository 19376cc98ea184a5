"""What the tests of the exchanges share: adapters by label, payload files, recordings."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import SOURCE_BY_LABEL

ROOT = Path(__file__).parents[3]
PAYLOADS = ROOT / "tests" / "payloads"
RECORDINGS = Path(os.environ.get("SPREAD_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def adapter_for() -> Callable[..., Adapter]:
    """The adapter of a label, with settings as keywords."""

    def make(label: str, **settings: object) -> Adapter:
        given: dict[str, object] = {"rest_url": "https://rest.test/", "ws_url": "wss://ws.test/x"}
        return adapter_of(SOURCE_BY_LABEL[label], SourceSettings(**(given | settings)))  # type: ignore[arg-type]

    return make


@pytest.fixture
def payload() -> Callable[[str], bytes]:
    """A payload file; what ends in .hex comes back as the bytes it spells."""

    def read(name: str) -> bytes:
        text = (PAYLOADS / name).read_bytes().strip()
        return bytes.fromhex(text.decode()) if name.endswith(".hex") else text

    return read


@pytest.fixture
def recording() -> Callable[[str], bytes]:
    """A recording, unpacked; the test is skipped by the file's name where it is not there."""

    def read(name: str) -> bytes:
        path = RECORDINGS / "exchanges" / name
        if not path.exists():
            pytest.skip(f"no recording {name}")
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data

    return read
