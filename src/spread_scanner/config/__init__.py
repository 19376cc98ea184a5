"""Every setting of the system, defined once: name, unit, default, range and one sentence.

Four files in one folder, read by every process at start and at reload:

    config.toml      how the processes run: one section per process, named as the process is
    exchanges.toml   how to reach each source, its limits and its fees
    directions.toml  when a spread pays, per direction and symbol; allow, deny and alias lists
    pools.toml       which of Solana's pools are read, and by whom; it has no variables

An environment variable overrides a key: SPREAD_<SECTION>__<KEY> for config.toml, for example
SPREAD_SYSTEM__NAMESPACE=test; SPREAD_EXCHANGES__BINANCE_SPOT__WS_URL=... and
SPREAD_DIRECTIONS__DEFAULTS__ENTER_BPS=5 for the next two files. Dashes become underscores.

An unknown or bad key is a ConfigError that names the file, the key and what is allowed. The folder
is SPREAD_CONFIG_DIR, else ./config, else /etc/spread-scanner.

settings and pools say what can be set, reading how it is read, agreement and pools_agreement what
must agree, files what the files that they name must be, restart what a running process keeps.
"""

from spread_scanner.config.pools import PoolSettings
from spread_scanner.config.reading import (
    config_folder,
    load,
    load_alerts,
    load_pools,
    with_settings,
)
from spread_scanner.config.settings import (
    Alerts,
    Books,
    Config,
    Directions,
    Discovery,
    Engine,
    Feed,
    Settings,
    SourceSettings,
    Symbols,
    System,
    ThresholdOverride,
    Thresholds,
    Tracker,
)

__all__ = [
    "Alerts",
    "Books",
    "Config",
    "Directions",
    "Discovery",
    "Engine",
    "Feed",
    "PoolSettings",
    "Settings",
    "SourceSettings",
    "Symbols",
    "System",
    "ThresholdOverride",
    "Thresholds",
    "Tracker",
    "config_folder",
    "load",
    "load_alerts",
    "load_pools",
    "with_settings",
]
