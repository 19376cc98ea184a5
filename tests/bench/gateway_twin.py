"""The gateway as its user would write it: FastAPI on uvicorn, from the same store. It prints its
port.
"""

import importlib
import socket
from typing import Any

import msgspec
import uvicorn

from spread_scanner import config
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import tables
from spread_scanner.view.prices import SPOT_LIKE, PriceBoard

app: Any = importlib.import_module("fastapi").FastAPI()
settings = config.load()
store = PriceStore.attach(settings.config.system.namespace)
board = PriceBoard(settings, tables.load(settings.generated_dir), store)


async def health() -> Any:
    return {"status": "ok", "cached_pools": 1, "cached_pairs": ["S0/USDT"]}


async def prices() -> Any:
    return msgspec.to_builtins(board.prices(SPOT_LIKE))


async def prices_of_pair(pair: str) -> Any:
    return msgspec.to_builtins(board.prices(SPOT_LIKE, board.named(pair)))


app.get("/health")(health)
app.get("/prices")(prices)
app.get("/prices/{pair:path}")(prices_of_pair)
door = socket.create_server(("127.0.0.1", 0))
print(door.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[door])
