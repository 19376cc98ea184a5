"""Which adapter speaks for which source. Read by discovery, the feeds and spread-ctl decode."""

from collections.abc import Callable

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges import mexc
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.binance import Binance
from spread_scanner.exchanges.binance_depth import BinanceDepth
from spread_scanner.exchanges.bybit import Bybit
from spread_scanner.exchanges.bybit_depth import BybitDepth
from spread_scanner.exchanges.depth import DepthAdapter
from spread_scanner.exchanges.mexc_depth import depth_adapter
from spread_scanner.exchanges.okx import Okx
from spread_scanner.exchanges.okx_depth import OkxDepth
from spread_scanner.schema.enums import Exchange, Source

_MAKERS: dict[Exchange, Callable[[Source, SourceSettings], Adapter]] = {
    Exchange.BINANCE: Binance,
    Exchange.BYBIT: Bybit,
    Exchange.OKX: Okx,
    Exchange.MEXC: mexc.adapter,
}
_DEPTH_MAKERS: dict[Exchange, Callable[[Source, SourceSettings], DepthAdapter]] = {
    Exchange.BINANCE: BinanceDepth,
    Exchange.BYBIT: BybitDepth,
    Exchange.OKX: OkxDepth,
    Exchange.MEXC: depth_adapter,
}


def adapter_of(source: Source, settings: SourceSettings) -> Adapter:
    """The adapter of one source. Raises ConfigError on a channel that the exchange has not."""
    return _MAKERS[source.exchange](source, settings)


def depth_adapter_of(source: Source, settings: SourceSettings) -> DepthAdapter:
    """The adapter of one source's books. Raises ConfigError on a channel that it has not."""
    return _DEPTH_MAKERS[source.exchange](source, settings)
