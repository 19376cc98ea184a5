"""The channels that each source offers: best bid and ask, the fastest first, and books, the usual
one first.

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

# Those that begin with the number of their levels, or end in it, send the first levels whole each
# time: nothing can be missed, and nothing is asked by REST. The others send what changes.
DEPTH_CHANNELS: dict[str, tuple[str, ...]] = {
    "binance-spot": ("depth20@100ms", "depth@100ms"),
    "binance-futures": ("depth20@100ms", "depth@100ms"),
    "bybit-spot": ("orderbook.50", "orderbook.200"),
    "bybit-futures": ("orderbook.50", "orderbook.200"),
    "okx-spot": ("books",),
    "okx-futures": ("books",),
    "mexc-spot": ("limit.depth@20", "aggre.depth@100ms"),
    "mexc-futures": ("depth.full@20", "depth"),
}
