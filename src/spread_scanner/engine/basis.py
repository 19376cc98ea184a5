"""What leaving usually earns, and what the engine makes of it: adopted once a minute, and kept.

Writer:  this module, between two runs of the loop, which looks at every pair once a second and
keeps the sums (native/usual.h).     Reader: the loop; keeping.py, into the file of usual.py.

A generation holds until the next: nothing is evaluated anew for it, so that every signal can be
recomputed from the quotes and the table of its generation. At a start what the file has is taken
up, aged by the time that has passed; what is damaged, or older than a half-life, is not.
"""

from typing import NamedTuple

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Engine as EngineSettings
from spread_scanner.engine.plan import Plan, bound_costs
from spread_scanner.schema import costs
from spread_scanner.symbology.usual import Usual

EVERY_S = 60.0
PER_HALF_LIFE = 20  # adopted at least so often within a half-life
EVERY_S_MIN = 1.0


def every_ns(settings: EngineSettings) -> int:
    """How long a generation holds."""
    wanted = min(EVERY_S, settings.basis_half_life_s / PER_HALF_LIFE)
    return int(max(EVERY_S_MIN, wanted) * NS_PER_S)


class Means(NamedTuple):
    """Of all pairs in the plan's order."""

    weight: np.ndarray
    exit_bps: np.ndarray
    parity_bps: np.ndarray


def means(pairs: np.ndarray) -> Means:
    """What the looks so far amount to; NaN for a pair that was never seen."""
    weight = pairs["weight"].copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        exits = np.where(weight > 0, pairs["exit_sum"] / weight, np.nan)
        parities = np.where(weight > 0, pairs["parity_sum"] / weight, np.nan)
    return Means(weight, exits, parities)


def take_up(plan: Plan, history: Usual, now_wall_ns: int) -> bool:
    """Give the pairs what is known of them from before; False: it is too old to say anything."""
    weights = history.aged(now_wall_ns)
    if weights is None:
        return False
    known = {key: place for place, key in enumerate(history.keys)}
    for number, key in enumerate(plan.keys):
        place = known.get(key)
        if place is None or not weights[place] > 0:
            continue
        pair, weight = plan.pairs[number], weights[place]
        if pair["quarantined"]:
            continue
        pair["weight"] = weight
        pair["exit_sum"] = weight * history.exit_bps[place]
        pair["parity_sum"] = weight * history.parity_bps[place]
    return True


def assume(pairs: np.ndarray, settings: EngineSettings, found: Means, *, anew: bool) -> None:
    """Put the means in force, and what leaving is assumed to earn by them; `anew`: with new pairs,
    all of which are evaluated once more in any case."""
    before = np.where(pairs["trusted"], pairs["close_bps"], np.nan)
    free = pairs["free_close"] != 0
    trusted = (found.weight >= settings.basis_trust_s) | free
    close = costs.close_bps(
        found.exit_bps,
        found.parity_bps,
        0.0,
        trusted=True,
        at_parity=pairs["at_parity"] != 0,
        free=free,
    )
    pairs["usual_bps"] = found.exit_bps
    pairs["parity_usual_bps"] = found.parity_bps
    pairs["learned"] = np.where(free, 1.0, found.weight / settings.basis_trust_s)
    pairs["trusted"] = trusted
    pairs["close_bps"] = np.where(trusted, close, np.nan)
    pairs["close_before_bps"] = pairs["close_bps"] if anew else before
    bound_costs(pairs, settings.implausible_bps)


def generation_of(number: int, plan: Plan, found: Means, half_life_s: float) -> Usual:
    """What is kept of what was adopted now."""
    return Usual(number, clock.wall_ns(), half_life_s, plan.keys, *found)
