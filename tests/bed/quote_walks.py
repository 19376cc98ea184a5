"""Ticks as markets make them, from a seed: decimal prices and sizes, many symbols of unequal
activity, exchange times in whole ms. For codecs.
"""

import numpy as np

from spread_scanner.schema.log import TICK_DTYPE

NS_PER_MS = 1_000_000


def walk(seed: int, count: int, *, sources: int = 8, symbols: int = 250) -> np.ndarray:
    """So many ticks in the order in which they were received, some 20,000 a second: 55 % change
    sizes only, one side's size is carried over in 45 %, as recorded markets do."""
    rng = np.random.default_rng(seed)
    ticks = np.zeros(count, TICK_DTYPE)
    weights = 1 / np.arange(1, symbols + 1)
    source = rng.integers(0, sources, count)
    symbol = rng.choice(symbols, count, p=weights / weights.sum())
    ticks["source_id"], ticks["symbol_id"] = source, symbol
    quote = ticks["quote"]
    quote["ts_recv"] = 1_790_000_000 * 10**9 + np.cumsum(rng.exponential(50_000, count)).astype(
        "i8"
    )
    delay_ms = rng.lognormal(2.5, 0.5, count).astype("i8")
    quote["ts_event"] = quote["ts_recv"] // NS_PER_MS * NS_PER_MS - delay_ms * NS_PER_MS
    decimals = rng.integers(1, 7, (sources, symbols))
    size_decimals = rng.integers(0, 4, (sources, symbols))
    ids = rng.integers(1, 10**11, (sources, symbols))
    bids = rng.integers(10_000, 1_000_000, (sources, symbols))
    last: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    draws = rng.random((count, 3)), rng.lognormal(7, 1, (count, 2)).astype("i8") + 1
    steps, jumps = rng.integers(-3, 4, count), rng.integers(1, 40, count)
    numbers = np.zeros(sources, "i8")
    for at in range(count):
        key = int(source[at]), int(symbol[at])
        bid, spread, bid_size, ask_size = last.get(key, (int(bids[key]), 1, 1, 1))
        moved, carried, side = draws[0][at]
        if moved > 0.55:
            bid, spread = max(1, bid + int(steps[at])), 1 + int(steps[at]) % 2
        if carried > 0.45 or side < 0.5:
            bid_size = int(draws[1][at][0])
        if carried > 0.45 or side >= 0.5:
            ask_size = int(draws[1][at][1])
        last[key] = bid, spread, bid_size, ask_size
        ids[key] += int(jumps[at])
        px, sz = 10.0 ** decimals[key], 10.0 ** size_decimals[key]
        row = quote[at]
        row["bid_px"], row["ask_px"] = bid / px, (bid + spread) / px
        row["bid_sz"], row["ask_sz"] = bid_size / sz, ask_size / sz
        row["update_id"], row["epoch"] = ids[key], 3
        ticks["number"][at] = numbers[key[0]]
        numbers[key[0]] += 1
    return ticks
