"""The best-bid/ask channels that each source offers, the fastest first: one list for all.

Read by config, which refuses any other, and by exchanges, which asks for them.
"""

CHANNELS: dict[str, tuple[str, ...]] = {
    "binance-spot": ("bookTicker",),
    "binance-futures": ("bookTicker",),
    "bybit-spot": ("orderbook.1",),
    "bybit-futures": ("orderbook.1",),
    "okx-spot": ("bbo-tbt",),
    "okx-futures": ("bbo-tbt",),
    "mexc-spot": ("10ms", "100ms"),
    "mexc-futures": ("depth.full",),
}
