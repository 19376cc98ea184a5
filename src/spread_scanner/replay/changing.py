"""What a replay may be asked to have otherwise: settings that a spread is judged by."""

from functools import partial

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.errors import ConfigError
from spread_scanner.replay.playing import Changed

# What is in no log cannot be reckoned anew. The analyst's own section is refused as well.
NOT_PLAYED = {
    "spread-engine.enter_z_min": "the analyst's means are not in the log",
    "spread-engine.hold_h": "the log has what funding was charged, not its rates",
    "spread-engine.funding_credit": "the log has what funding was charged, not its rates",
    "spread-analyst.": "the analyst's means are not in the log",
}


def changing(said: list[str]) -> Changed:
    """Each as KEY=VALUE on top of whatever was in force. Raises ConfigError, also later."""
    for one in said:
        for key, why in NOT_PLAYED.items():
            if one.strip().startswith(key):
                raise ConfigError(f"a replay cannot set this: {why}", said=one)
    return partial(_changed, said)


def _changed(said: list[str], settings: Settings) -> Settings:
    return config.with_settings(settings, said)
