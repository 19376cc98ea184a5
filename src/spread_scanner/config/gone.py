"""Settings that have gone, and which says it now: an old file is told so, not only refused.

Read where a key is found that no section has (config/wrong.py).
"""

from msgspec import Struct

from spread_scanner.config.pools import PoolSettings
from spread_scanner.config.settings import Engine, Paths, Tracker

_UNITS = "fees of pools.toml; compute units are known by program, and are not set"

GONE: dict[tuple[type[Struct], str], str] = {
    (Engine, "funding_hours"): "hold_h, 0 unless positions are held over a settlement",
    (Paths, "compute_units_base"): _UNITS,
    (Paths, "compute_units_hop"): _UNITS,
    (Paths, "priority_micro_lamports"): "fees of pools.toml, by what others pay; its "
    "micro_lamports_min is the floor",
    (Paths, "tip_lamports"): "fees of pools.toml, which has tip_lamports",
    (PoolSettings, "network_fee_lamports"): "fees, a section; what the network takes of a "
    "signature is known, and is not set",
    (PoolSettings, "priority_fee_lamports"): "fees, a section, by what others pay; its "
    "micro_lamports_min is the floor",
    (Tracker, "converge_bps"): "take_share, the share of the first net that is to be realised",
    (Tracker, "converge_hold_ms"): "converge_ms",
    (Tracker, "exited_s_max"): "life_s_max alone, which counts from the last signal",
}
