"""How long things live, when some were not followed to their end. Pure; used by the report.

A life that was not followed to its end lived at least as long as it was seen; leaving such out
would make lives look shorter. So the half-life is Kaplan and Meier's median: the time by which half
have ended. It is None when fewer than half were seen to end.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CURVE_POINTS_MAX = 300


class Lifetime(NamedTuple):
    """How long something was seen to live, and whether it was seen to end."""

    ms: float
    ended: bool


def survival(lives: Sequence[Lifetime]) -> list[tuple[float, float]]:
    """Kaplan and Meier's estimate: (ms, share alive after it), a point per time of an ending."""
    if not lives:
        return []
    times = np.array([life.ms for life in lives])
    ended = np.array([life.ended for life in lives])
    order = np.argsort(times, kind="stable")
    times, ended = times[order], ended[order]
    moments, first = np.unique(times, return_index=True)
    endings = np.add.reduceat(ended.astype(np.int64), first)
    at_risk = len(times) - first
    alive = np.cumprod(1.0 - endings / at_risk)
    return [
        (moment, share)
        for moment, share, count in zip(
            moments.tolist(), alive.tolist(), endings.tolist(), strict=True
        )
        if count
    ]


def half_life(lives: Sequence[Lifetime]) -> float | None:
    """When half had ended, or None when fewer were seen to."""
    # Products of shares such as 2/3 * 3/4 may come out a hair above the half that they are.
    return next((ms for ms, share in survival(lives) if share <= 0.5 + 1e-12), None)


def thinned(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A curve of no more than CURVE_POINTS_MAX of its points, its ends among them."""
    if len(curve) <= CURVE_POINTS_MAX:
        return list(curve)
    places = np.linspace(0, len(curve) - 1, CURVE_POINTS_MAX).round().astype(int)
    return [curve[place] for place in np.unique(places).tolist()]
