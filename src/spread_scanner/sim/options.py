"""What the command line sets, and where each source is reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL, Exchange, Market
from spread_scanner.sim.planting import Planting


@dataclass(frozen=True)
class Options:
    """Everything that the command line sets."""

    seed: int = 1
    symbols: int = 300
    rate: float = 5_000.0
    tick_ms: float = 2.0
    port: int = 0
    epoch_ns: int | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    threshold_bps: float = 40.0
    life_s: float | None = None
    time_scale: float = 1.0
    characters: float = 0.0  # share of the coins whose pairs are not like the others
    planting: Planting = field(default_factory=Planting)
    script: tuple[dict[str, Any], ...] = ()
    truth_path: Path | None = None
    sent_path: Path | None = None
    recordings: tuple[str, ...] = ()
    speed: float = 1.0
    pools: int = 0  # of Solana
    pool_faults_s: float = 0.0  # a fault of a provider or the chain so often; 0: none
    play: str = "auto"  # "request": begin with the action "play", else when all are subscribed

    def threshold(self, label: str) -> float:
        return self.thresholds.get(label, self.threshold_bps)


def sources_of(port: int) -> dict[str, dict[str, str]]:
    """Where each source is reached, for the ready line and the config."""
    base = f"127.0.0.1:{port}"
    return {
        source.label: {
            "rest_url": f"http://{base}/{source.label}",
            "ws_url": f"ws://{base}/{source.label}{ws_path(source.label)}",
        }
        for source in EXCHANGE_SOURCES
    }


def ws_path(label: str) -> str:
    """The exchange's own websocket path."""
    source = SOURCE_BY_LABEL[label]
    if source.exchange == Exchange.BINANCE:
        return "/stream" if source.market == Market.SPOT else "/public/stream"
    if source.exchange == Exchange.BYBIT:
        return "/v5/public/spot" if source.market == Market.SPOT else "/v5/public/linear"
    if source.exchange == Exchange.OKX:
        return "/ws/v5/public"
    return "/ws" if source.market == Market.SPOT else "/edge"
