"""Builders for discovery's unit tests: answers, settings, legs and tables with few words."""

import math
from pathlib import Path
from typing import Any

import pytest

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.discovery.answers import Listed
from spread_scanner.discovery.legs import Candidate, Leg
from spread_scanner.exchanges.adapter import RawInstrument, RestQuote
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.symbology.tables import (
    DirectionRow,
    InstrumentRow,
    SymbolRow,
    Tables,
)


class Build:
    """What the tests are made of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def settings(self, general: str = "", directions: str = "", **sources: str) -> Settings:
        """Settings from defaults plus TOML text of the three files."""
        folder = self._folder / "config"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(general, encoding="utf-8")
        (folder / "directions.toml").write_text(directions, encoding="utf-8")
        sections = [
            f'[{source.label}]\nrest_url = "http://127.0.0.1:1"\nws_url = "ws://127.0.0.1:1"\n'
            + sources.get(source.label.replace("-", "_"), "")
            for source in EXCHANGE_SOURCES
        ]
        (folder / "exchanges.toml").write_text("\n".join(sections), encoding="utf-8")
        return config.load(folder, {})

    def raw(self, source: str, base: str, **changes: Any) -> RawInstrument:
        """A listing that is taken, unless `changes` say otherwise."""
        plain = RawInstrument(
            exchange_symbol=f"{base}USDT",
            base=base,
            quote="USDT",
            status="trading",
            trading=True,
            min_qty=1.0,
            tick_size=0.01,
            lot_step=0.1,
            min_notional=5.0,
            contract_size=1.0,
            settle="USDT",
            contract_type="linear-perpetual" if source.endswith("futures") else "spot",
        )
        return plain._replace(**changes)

    def listed(self, source: str, mids: dict[str, float], *more: RawInstrument) -> Listed:
        """A source's answers: coins with their mids (NaN: no quote), and further listings."""
        answers = Listed(SOURCE_BY_LABEL[source])
        answers.instruments = [*(self.raw(source, base) for base in mids), *more]
        for base, mid in mids.items():
            if not math.isnan(mid):
                self.quote(answers, f"{base}USDT", mid)
        return answers

    def quote(self, answers: Listed, exchange_symbol: str, mid: float) -> None:
        answers.quotes[exchange_symbol] = RestQuote(exchange_symbol, mid, 1.0, mid, 1.0)

    def leg(self, source: str, base: str, mid: float = 1.0, **changes: Any) -> Leg:
        plain = Leg(
            source=SOURCE_BY_LABEL[source],
            exchange_symbol=f"{base}USDT",
            symbol=f"{base}-USDT",
            base=base,
            quote="USDT",
            px_div=1.0,
            sz_mul=1.0,
            tick_size=None,
            lot_step=None,
            min_qty=None,
            min_notional=None,
            mid=mid,
            quoted=not math.isnan(mid),
            why="",
        )
        return plain._replace(**changes)

    def pair(self, direction: str, base: str, spot: float = 1.0, futures: float = 1.0) -> Candidate:
        way = DIRECTION_BY_LABEL[direction]
        return Candidate(
            way, self.leg(way.spot.label, base, spot), self.leg(way.futures.label, base, futures)
        )

    def tables(self, symbols: dict[str, int], **changes: Any) -> Tables:
        """Tables of coins that stand on the first spot and the second futures source."""
        rows = [SymbolRow(id_, f"{base}-USDT", base, "USDT") for base, id_ in symbols.items()]
        instruments = [
            InstrumentRow(
                source_id, id_, f"{base}USDT", 1.0, 1.0, None, None, None, None, False, False
            )
            for base, id_ in symbols.items()
            for source_id in (0, 3)
        ]
        parts: dict[str, Any] = {
            "generation": 1,
            "created_wall_ns": 1,
            "symbols": tuple(rows),
            "instruments": tuple(instruments),
            "directions": (DirectionRow(0, tuple(symbols.values())),),
            "funding": (),
            "quarantine": (),
        }
        return Tables(**{**parts, **changes})


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)
