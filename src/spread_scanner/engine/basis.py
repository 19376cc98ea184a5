"""What leaving usually earns, and what the engine makes of it: adopted once a minute, and kept.

Writer:  the loop, which looks at every pair once a second and between two runs makes a generation
of what it saw (native/usual.h); this module, of what was known before a start.
Reader:  the loop; keeping.py, into the file of symbology/usual.py.

A generation holds until the next: nothing is evaluated anew for it, so that every signal can be
recomputed from the quotes and the table of its generation. What the file has at a start is taken
up by the pairs of the tables, then or when they come to be in them, and what a pair had when it
left them when it is in them again; aged by the time that has passed. What is damaged, or older than
a half-life, is not, nor what was known before a quarantine: it may be of another coin.
"""

from collections.abc import Container, Iterable, Mapping

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Engine as EngineSettings
from spread_scanner.engine.plan import Plan
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual

EVERY_S = 60.0
PER_HALF_LIFE = 20  # adopted at least so often within a half-life
EVERY_S_MIN = 1.0


def every_ns(settings: EngineSettings) -> int:
    """How long a generation holds."""
    wanted = min(EVERY_S, settings.basis_half_life_s / PER_HALF_LIFE)
    return int(max(EVERY_S_MIN, wanted) * NS_PER_S)


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


def named(plan: Plan) -> dict[str, tuple[int, str]]:
    """Direction and symbol of each pair, by what it really is."""
    ways, symbols = (plan.pairs[name].tolist() for name in ("direction_id", "symbol_id"))
    found = zip(plan.keys, ways, symbols, strict=True)
    return {key: (way, plan.names[symbol_id]) for key, way, symbol_id in found if key}


def kept_out(
    known: Iterable[Usual],
    planned: Mapping[str, tuple[int, str]],
    names: Mapping[str, tuple[int, str]],
    tables: Tables,
) -> set[str]:
    """Whose history a quarantine ends, of all that is known; `planned` are the names of the plan's
    pairs, `names` theirs and of pairs before. A pair all whose listings are in quarantine stands in
    no other table: it is found by its name. Where there are such pairs, one that only a file knows
    may be any of them."""
    out = {(row.direction_id, row.symbol) for row in tables.quarantine}
    unplanned = not out <= set(planned.values())
    keys = {key for usual in known for key in usual.keys}
    return {key for key in keys if (names[key] in out if key in names else unplanned)}


def left_behind(
    known: Iterable[Usual], keys: Container[str], now_wall_ns: int
) -> tuple[Usual, ...]:
    """Of each that may count still, what it says of pairs that are not among `keys`. Each goes on
    with its own date: dated anew it would never be too old."""
    found = []
    for usual in known:
        weights = usual.aged(now_wall_ns)
        if weights is None:
            continue
        rest = [
            place
            for place, (key, weight) in enumerate(zip(usual.keys, weights.tolist(), strict=True))
            if weight > 0 and key and key not in keys
        ]
        if rest:
            found.append(
                usual._replace(
                    keys=tuple(usual.keys[place] for place in rest),
                    weight=usual.weight[rest],
                    exit_bps=usual.exit_bps[rest],
                    parity_bps=usual.parity_bps[rest],
                    credited_bps=None,
                    carry_bps=None,
                    flags=None,
                )
            )
    return tuple(found)
