"""A ready config folder: the product started with SPREAD_CONFIG_DIR on it meets this simulator.

The enter threshold of each direction is the simulator's threshold less the fees of four fills, and
no settlement is crossed. What leaving costs is each pair's own (reckoning.py), and known from the
start by the history that the simulator tells; the truth asks for so much more gross spread.
"""

from collections.abc import Mapping
from pathlib import Path

from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, POOL_DIRECTIONS
from spread_scanner.schema.pools import PROGRAM_SOURCES
from spread_scanner.sim.truth import HYSTERESIS_BPS

# The longest there may be: for the truth, what is usual is what the seed made of each pair, and a
# run with all its planted spreads is not to move that.
BASIS_HALF_LIFE_S = 2_592_000.0

FEES_BPS = {
    "binance-spot": 10.0,
    "binance-futures": 5.0,
    "bybit-spot": 10.0,
    "bybit-futures": 5.5,
    "okx-spot": 10.0,
    "okx-futures": 5.0,
    "mexc-spot": 5.0,
    "mexc-futures": 2.0,
}


def write_config(
    folder: Path,
    sources: Mapping[str, Mapping[str, str]],
    thresholds: Mapping[str, float],
    pools: str = "",
    network_fee_bps: float = 0.0,
) -> None:
    """Three files, as the config package reads them, and pools.toml where there are `pools`, whose
    directions are switched on: that of an earlier run names ports that are gone. `network_fee_bps`
    is charged of a fill in a pool, in place of a taker's fee."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(
        '[pair-discovery]\nquotes = ["USDT"]\nvalidate_s = 5.0\n\n'
        f"[spread-engine]\nbasis_half_life_s = {BASIS_HALF_LIFE_S}\n",
        encoding="utf-8",
    )
    sections = [
        f'[{label}]\nrest_url = "{urls["rest_url"]}"\nws_url = "{urls["ws_url"]}"\n'
        f"taker_fee_bps = {FEES_BPS[label]}\n"
        for label, urls in sources.items()
    ]
    (folder / "exchanges.toml").write_text("\n".join(sections), encoding="utf-8")
    lines = ["[defaults]", "enter_bps = 10.0", "exit_bps = 5.0", "resignal_step_bps = 5.0", ""]
    of_pools = [way for way in POOL_DIRECTIONS if way.spot in PROGRAM_SOURCES.values()]
    for way in (*EXCHANGE_DIRECTIONS, *(of_pools if pools else ())):
        spot_bps = FEES_BPS.get(way.spot.label, network_fee_bps)
        enter = thresholds[way.label] - 2 * (spot_bps + FEES_BPS[way.futures.label])
        lines += [f"[direction.{way.label}]", f"enter_bps = {enter!r}"]
        lines += ["enabled = true"] if way.spot.exchange.by_pools else []
        lines += [f"exit_bps = {enter - HYSTERESIS_BPS!r}", ""]
    lines += [
        "[symbols.alias]",
        '"mexc-futures:TRUMPOFFICIAL_USDT" = "TRUMP"',
        '"mexc-futures:TRUMP_USDT" = "MAGATRUMP"',
        "",
    ]
    (folder / "directions.toml").write_text("\n".join(lines), encoding="utf-8")
    if pools:
        (folder / "pools.toml").write_text(pools, encoding="utf-8")
    else:
        (folder / "pools.toml").unlink(missing_ok=True)
