"""Whether the two legs of a pair are one coin: the same ticker can be another coin elsewhere.

The judge is the ratio of the legs' mid prices per base unit, as median over the validation window
where the websocket quoted both, by REST otherwise. Outside the band the pair is quarantined with
the prices and the reason. A ratio near a power of ten smells of a multiplier that nobody told us;
the verdict proposes it, a person decides.

Each pair is judged under a guard: numbers that no judge can compute with cost their own pair.
"""

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from spread_scanner.config import Settings
from spread_scanner.discovery.legs import Candidate, Leg
from spread_scanner.schema.figures import plain
from spread_scanner.symbology.tables import Tables

NEAR_POWER_PCT = 10.0
UNJUDGED = "its prices cannot be compared"

# Mids per base unit on a grid over the validation window, NaN where nothing was quoted yet.
Samples = Mapping[tuple[int, str], Sequence[float]]


class Identity(NamedTuple):
    """`reason` is empty for a pair that may be traded."""

    pair: Candidate
    spot_mid: float
    futures_mid: float
    ratio: float
    band_pct: float
    basis: str  # what the ratio rests on
    reason: str
    proposal: str = ""


class _Measured(NamedTuple):
    spot_mid: float
    futures_mid: float
    ratio: float
    basis: str


def judge(
    pairs: Sequence[Candidate], samples: Samples, settings: Settings, previous: Tables | None
) -> list[Identity]:
    """One verdict per pair, in the same order."""
    usual = _usual_mids(pairs, samples)
    trusted = _trusted(previous)
    return [_guarded(pair, samples, settings, usual, trusted) for pair in pairs]


def _guarded(
    pair: Candidate,
    samples: Samples,
    settings: Settings,
    usual: Mapping[str, float],
    trusted: Collection[tuple[int, str]],
) -> Identity:
    """The verdict; a pair whose numbers cannot be computed with is quarantined, and says why."""
    try:
        with np.errstate(all="ignore"):  # infinity and nan are looked for, not warned about
            return _judge(pair, samples, settings, usual, trusted)
    except (ArithmeticError, ValueError) as error:
        mids = _any_mid(pair.spot, samples), _any_mid(pair.futures, samples)
        reason = f"{UNJUDGED}: {type(error).__name__}: {error}"
        return Identity(pair, *mids, math.nan, math.nan, UNJUDGED, reason)


def _judge(
    pair: Candidate,
    samples: Samples,
    settings: Settings,
    usual: Mapping[str, float],
    trusted: Collection[tuple[int, str]],
) -> Identity:
    bands = settings.directions.symbols.identity_band_pct
    band_pct = bands.get(pair.symbol, settings.config.pair_discovery.identity_band_pct)
    found = _measured(pair, samples)
    if not 0 < found.ratio < math.inf:
        if pair.spot.source.exchange.by_pools and math.isnan(found.spot_mid):
            return Identity(pair, *found[:3], band_pct, "the mints that pools.toml names", "")
        last_known = pair.spot.last_known or pair.futures.last_known
        if last_known and (pair.direction.direction_id, pair.symbol) in trusted:
            basis = "the previous tables, since there is no price now"
            return Identity(pair, *found[:3], band_pct, basis, "")
        reason = f"no price of the {_priceless(found)} to compare"
        if math.isinf(found.ratio):
            reason = f"prices disagree beyond measure: {_named(pair, found)}"
        return Identity(pair, *found[:3], band_pct, found.basis, reason)
    off_pct = (max(found.ratio, 1 / found.ratio) - 1) * 100
    if off_pct <= band_pct:
        return Identity(pair, *found[:3], band_pct, found.basis, "")
    reason = (
        f"prices disagree by {plain(off_pct, 3)} % (band {plain(band_pct)} %): "
        f"{_named(pair, found)}, by {found.basis}"
    )
    proposal = _proposal(pair, found, usual)
    if proposal:
        reason += f"; {proposal}"
    return Identity(pair, *found[:3], band_pct, found.basis, reason, proposal)


def _named(pair: Candidate, found: _Measured) -> str:
    return (
        f"{pair.spot.source.label} {plain(found.spot_mid)}, "
        f"{pair.futures.source.label} {plain(found.futures_mid)}"
    )


def _measured(pair: Candidate, samples: Samples) -> _Measured:
    spot = np.asarray(samples.get(pair.spot.key, ()), dtype=float)
    futures = np.asarray(samples.get(pair.futures.key, ()), dtype=float)
    if spot.size and spot.size == futures.size:
        both = np.isfinite(spot) & np.isfinite(futures)
        if both.any():
            ratio = float(np.median(spot[both] / futures[both]))
            mids = float(np.median(spot[both])), float(np.median(futures[both]))
            return _Measured(*mids, ratio, f"the median of {int(both.sum())} samples")
    rest = _finite(pair.spot.mid), _finite(pair.futures.mid)
    if rest[0] > 0 and rest[1] > 0:
        return _Measured(*rest, rest[0] / rest[1], "one REST quote each")
    # One leg by REST, the other by websocket: half a minute apart, better than nothing.
    mids = _any_mid(pair.spot, samples), _any_mid(pair.futures, samples)
    ratio = mids[0] / mids[1] if mids[1] > 0 else math.nan
    return _Measured(*mids, ratio, "a REST quote and the websocket")


def _any_mid(leg: Leg, samples: Samples) -> float:
    heard = np.asarray(samples.get(leg.key, ()), dtype=float)
    heard = heard[np.isfinite(heard)]
    return float(np.median(heard)) if heard.size else _finite(leg.mid)


def _finite(mid: float) -> float:
    return mid if math.isfinite(mid) else math.nan


def _priceless(found: _Measured) -> str:
    if not found.spot_mid > 0:
        return "spot" if found.futures_mid > 0 else "spot and the perpetual"
    return "perpetual"


def _usual_mids(pairs: Sequence[Candidate], samples: Samples) -> dict[str, float]:
    """What most sources say a symbol costs."""
    legs = {leg.key: leg for pair in pairs for leg in (pair.spot, pair.futures)}
    mids: dict[str, list[float]] = {}
    for leg in legs.values():
        mid = _any_mid(leg, samples)
        if mid > 0:
            mids.setdefault(leg.symbol, []).append(math.log(mid))
    # In logarithms, so that between two neither is nearer.
    return {symbol: math.exp(statistics.median(found)) for symbol, found in mids.items()}


def _trusted(previous: Tables | None) -> set[tuple[int, str]]:
    """(direction, symbol) of the previous tables."""
    if previous is None:
        return set()
    names = previous.symbol_names()
    return {(row.direction_id, names[id_]) for row in previous.directions for id_ in row.symbol_ids}


def _proposal(pair: Candidate, found: _Measured, usual: Mapping[str, float]) -> str:
    """The multiplier that would explain the ratio, where a power of ten does."""
    power = round(math.log10(found.ratio))
    rest = found.ratio / 10.0**power
    if power == 0 or max(rest, 1 / rest) - 1 > NEAR_POWER_PCT / 100:
        return ""
    middle = usual.get(pair.symbol, math.nan)
    spot_away = abs(math.log(found.spot_mid / middle))
    futures_away = abs(math.log(found.futures_mid / middle))
    # The leg that stands apart from the other sources is suspect; between two, the dearer one.
    apart = spot_away - futures_away
    spot_is_suspect = apart > 1e-3 or (abs(apart) <= 1e-3 and power > 0)
    suspect = pair.spot if spot_is_suspect else pair.futures
    multiplier = suspect.px_div * 10.0 ** (power if spot_is_suspect else -power)
    return (
        f"a multiplier may be missing: [symbols.multiplier] "
        f'"{suspect.source.label}:{suspect.exchange_symbol}" = {plain(multiplier, 12)}'
    )
