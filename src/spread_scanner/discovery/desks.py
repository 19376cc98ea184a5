"""Where REST answers come from: the exchange itself, or files that were saved earlier.

Saved answers lie in one folder as `<source>.<kind>.json`, for example "binance-spot.tickers.json";
further pages of instruments as `<source>.instruments.2.json` and so on. Kinds: instruments,
tickers, funding, funding-intervals. Recordings with a folder per market are understood as well:
`<exchange>_<market>/*_rest_<endpoint>*<yyyymmdd>*.json`, of which the newest counts.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from spread_scanner.discovery.answers import FUNDING, INSTRUMENTS, INTERVALS, TICKERS
from spread_scanner.errors import ExchangeError
from spread_scanner.exchanges.adapter import RestRequest
from spread_scanner.runtime.rest import RestClient
from spread_scanner.schema.enums import Market, Source

T = TypeVar("T")

OPTIONAL = (FUNDING, INTERVALS)
ATTEMPTS_OPTIONAL = 2

# What recordings call a market and an endpoint.
MARKET_WORDS = {Market.SPOT: ("spot",), Market.FUTURES: ("usdm", "linear", "futures", "swap")}
ENDPOINT_WORDS = {
    INSTRUMENTS: ("exchangeinfo", "instruments", "contract_detail"),
    TICKERS: ("bookticker", "tickers", "contract_ticker"),
    FUNDING: ("premiumindex", "funding_rate"),
    INTERVALS: ("fundinginfo",),
}
DATE = re.compile(r"20\d{6}")


class LiveDesk:
    """The exchange's own REST interface; `keep` is a folder that answers are saved to."""

    def __init__(self, client: RestClient, source: Source, keep: Path | None = None) -> None:
        self._client = client
        self._source = source
        self._keep = keep

    async def get(
        self, kind: str, page: int, request: RestRequest, parse: Callable[[bytes], T]
    ) -> T:
        attempts = ATTEMPTS_OPTIONAL if kind in OPTIONAL else None
        keep = self._keep
        if keep is None:
            return await self._client.get(request, parse, attempts)

        def parse_and_keep(body: bytes) -> T:
            answer = parse(body)
            _saved(keep, self._source, kind, page).write_bytes(body)
            return answer

        return await self._client.get(request, parse_and_keep, attempts)


class SavedDesk:
    """Files of one source in a folder."""

    def __init__(self, folder: Path, source: Source) -> None:
        self._folder = folder
        self._source = source

    async def get(
        self, kind: str, page: int, request: RestRequest, parse: Callable[[bytes], T]
    ) -> T:
        path = self._path(kind, page)
        if path is None:
            raise ExchangeError("no saved answer", folder=self._folder, kind=kind, page=page)
        try:
            return parse(path.read_bytes())
        except OSError as error:
            raise ExchangeError(f"cannot be read: {error.strerror}", file=path) from None

    def _path(self, kind: str, page: int) -> Path | None:
        plain = _saved(self._folder, self._source, kind, page)
        if plain.exists():
            return plain
        return self._recorded(kind) if page == 1 else None

    def _recorded(self, kind: str) -> Path | None:
        exchange, words = self._source.exchange.label, MARKET_WORDS[self._source.market]
        found: list[Path] = []
        for word in words:
            found += (self._folder / f"{exchange}_{word}").glob("*_rest_*.json")
            found += (self._folder / exchange).glob(f"*_rest_*_{word}_*.json")
        dated = [
            (date[0], path)
            for path in found
            if (date := DATE.search(path.name)) and _is_of(path.name, kind)
        ]
        return max(dated)[1] if dated else None


def _saved(folder: Path, source: Source, kind: str, page: int) -> Path:
    number = "" if page == 1 else f".{page}"
    return folder / f"{source.label}.{kind}{number}.json"


def _is_of(name: str, kind: str) -> bool:
    endpoint = name.lower().partition("_rest_")[2]
    return any(endpoint.startswith(word) for word in ENDPOINT_WORDS[kind])
