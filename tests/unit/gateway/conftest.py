"""A gateway without a socket: the whole application over the segments of a small system."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from gateway_bed import Quoting, Started

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.config.files import Tokens
from spread_scanner.config.settings import Gateway
from spread_scanner.gateway.access import Access
from spread_scanner.gateway.api import api_of
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.counting import Counting
from spread_scanner.gateway.front import Front
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.names import GATEWAY
from spread_scanner.shm import Health
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import InstrumentRow

NO_TOKENS = Tokens(b"", b"")


class Asking:
    """Asks one gateway; `front` is what it asks."""

    def __init__(self, front: Front, system: LiveSystem, row: Any) -> None:
        self.front, self.system, self.row = front, system, row

    async def ask(
        self, method: str, path: str, *, address: str = "127.0.0.1", **more: Any
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.front, client=(address, 5_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3001") as web:
            return await web.request(method, path, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.ask("GET", path, **more)


@pytest.fixture
def listed_bed(up_bed: Any) -> Any:
    """Every symbol is listed on every source."""
    made = tables.load(up_bed.settings.generated_dir)
    rows = tuple(
        InstrumentRow(
            source.source_id, row.symbol_id, f"{row.symbol[:3]}USDT", 1.0, 1.0, None, None, None,
            None, False, False,
        )
        for row in made.symbols
        for source in EXCHANGE_SOURCES
    )  # fmt: skip
    more = msgspec.structs.replace(made, generation=2, instruments=rows)
    publish.publish(up_bed.settings.generated_dir, more, {})
    with (up_bed.folder / "config" / "config.toml").open("a") as file:
        file.write(f"\n[{GATEWAY}]\nenabled = true\nport = 0\n")
    up_bed.settings = config.load()
    return up_bed


@pytest.fixture
def gateway_of(listed_bed: Any) -> Iterator[Callable[..., Asking]]:
    """Makes a gateway of some settings of its section."""
    health = Health.attach(listed_bed.namespace)
    row = health.claim(GATEWAY)
    markets = []

    def make(tokens: Tokens = NO_TOKENS, **of_gateway: Any) -> Asking:
        settings: Settings = listed_bed.settings
        system = LiveSystem(settings)
        markets.append(system)
        count = Counting(row, structlog.get_logger())
        access = Access(Gateway(**of_gateway), tokens)
        return Asking(Front(system, access, api_of(system, count), count), system, row)

    yield make
    for system in markets:
        system.close()
    row.close()
    health.close()


@pytest.fixture
def quoting(listed_bed: Any) -> Iterator[Quoting]:
    # Quotes are good for a while without a beat: the test has nobody who beats.
    file = listed_bed.folder / "config" / "config.toml"
    file.write_text(file.read_text().replace("[system]", "[system]\nheartbeat_ms_max = 60000", 1))
    made = Quoting(listed_bed)
    yield made
    made.close()


@pytest.fixture
def life(listed_bed: Any, quoting: Quoting) -> Iterator[Started]:
    """A gateway that really runs."""
    made = Started(listed_bed)
    yield made
    made.child.kill()
    made.child.wait()


@pytest.fixture
def stream(asking: Any) -> Iterator[Broadcast]:
    """The push of a gateway, without a loop."""
    made = Broadcast(asking.system)
    yield made
    made.close()
