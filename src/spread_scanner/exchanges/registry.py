"""Which adapter speaks for which source. Read by discovery, the feeds and spread-ctl decode."""

from collections.abc import Callable

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges import mexc
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.binance import Binance
from spread_scanner.exchanges.bybit import Bybit
from spread_scanner.exchanges.okx import Okx
from spread_scanner.schema.enums import Exchange, Source

_MAKERS: dict[Exchange, Callable[[Source, SourceSettings], Adapter]] = {
    Exchange.BINANCE: Binance,
    Exchange.BYBIT: Bybit,
    Exchange.OKX: Okx,
    Exchange.MEXC: mexc.adapter,
}


def adapter_of(source: Source, settings: SourceSettings) -> Adapter:
    """The adapter of one source. Raises ConfigError on a channel that the exchange has not."""
    return _MAKERS[source.exchange](source, settings)
