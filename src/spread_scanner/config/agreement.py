"""What must agree: rules that span sections or files; a range stands with its own setting.

Called by config.reading when all three files are typed. A rule that is broken is a ConfigError that
names the file, the key and what is allowed.
"""

from pathlib import Path

import msgspec

from spread_scanner.config.settings import Settings, Thresholds
from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SOURCES


def check_agreement(settings: Settings) -> None:
    """Rules that cross sections; ranges stand with the settings themselves."""
    folder = settings.folder
    known = {source.label for source in SOURCES}
    for label, source in settings.exchanges.items():
        if label not in known:
            _fail(folder / "exchanges.toml", label, f"a source: {', '.join(sorted(known))}")
        if source.fee_tier and source.fee_tier not in source.fee_tiers_bps:
            _fail(
                folder / "exchanges.toml",
                f"{label}.fee_tier",
                f"one of {', '.join(source.fee_tiers_bps) or 'fee_tiers_bps, which is empty'}",
            )
    if missing := known - set(settings.exchanges):
        _fail(
            folder / "exchanges.toml",
            sorted(missing)[0],
            "every source has a section; enabled = false leaves it out",
        )
    system = settings.config.system
    if system.ring_slots & (system.ring_slots - 1):
        _fail(folder / "config.toml", "system.ring_slots", "a power of two")
    engine = settings.config.spread_engine
    if engine.evaluations_kept & (engine.evaluations_kept - 1):
        _fail(folder / "config.toml", "spread-engine.evaluations_kept", "a power of two")
    if system.heartbeat_ms_max < 2 * system.heartbeat_ms:
        _fail(folder / "config.toml", "system.heartbeat_ms_max", "at least twice heartbeat_ms")
    _check_directions(settings)


def _check_directions(settings: Settings) -> None:
    path = settings.folder / "directions.toml"
    directions = settings.directions
    for label in directions.direction:
        if label not in DIRECTION_BY_LABEL:
            _fail(path, f"direction.{label}", f"one of {', '.join(DIRECTION_BY_LABEL)}")
    pairs = [(label, "") for label in directions.direction]
    pairs += [("", symbol) for symbol in directions.symbol]
    for name in directions.pair:
        label, colon, symbol = name.partition(":")
        if not colon or label not in DIRECTION_BY_LABEL:
            _fail(
                path, f"pair.{name}", "'<direction>:<SYMBOL>', for example 'binance-bybit:BTC-USDT'"
            )
        pairs.append((label, symbol))
    for label, symbol in [("", ""), *pairs]:
        merged = directions.thresholds(label, symbol)
        try:  # the overrides are checked for type only when read, for range when merged
            msgspec.convert(msgspec.structs.asdict(merged), Thresholds)
        except msgspec.ValidationError as error:
            _fail(path, f"thresholds of {label or 'all'} {symbol or 'symbols'}", str(error))
        if merged.exit_bps > merged.enter_bps:
            _fail(
                path,
                f"exit_bps of {label or 'all'} {symbol or 'symbols'}",
                f"at most enter_bps = {merged.enter_bps}",
            )


def _fail(path: Path, key: str, allowed: str) -> None:
    raise ConfigError("bad setting", file=path, key=key, allowed=allowed)
