"""Settings that have gone, and which says it now: an old file is told so, not only refused.

Read where a key is found that no section has (config/wrong.py).
"""

from msgspec import Struct

from spread_scanner.config.settings import Engine, Tracker

GONE: dict[tuple[type[Struct], str], str] = {
    (Engine, "funding_hours"): "hold_h, 0 unless positions are held over a settlement",
    (Tracker, "converge_bps"): "take_share, the share of the first net that is to be realised",
    (Tracker, "converge_hold_ms"): "converge_ms",
    (Tracker, "exited_s_max"): "life_s_max alone, which counts from the last signal",
}
