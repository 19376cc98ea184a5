"""One native pass puts a generation in force: of each row, bit for bit, what the oracle makes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from engine_bed import Bed, settings, tables
from engine_oracle import adopted

from spread_scanner.engine._loop import BARRED
from spread_scanner.engine.carrying import Expected

SYMBOLS = 60  # of twelve directions each
TRUST_S = 300.0


def scramble(pairs: np.ndarray, rng: np.random.Generator) -> None:
    """Rows of all kinds: never seen, not yet known, known; high and low; each way to close."""
    count = len(pairs)
    seen = rng.choice([0.0, 1.0, TRUST_S, np.nextafter(TRUST_S, 0)], count)
    pairs["weight"] = np.where(rng.random(count) < 0.5, seen, rng.exponential(2 * TRUST_S, count))
    for name in ("exit_sum", "parity_sum"):
        pairs[name] = pairs["weight"] * rng.normal(0, 50, count)
    same = rng.random(count) < 0.1  # a book that has always been at parity
    pairs["exit_sum"][same] = pairs["parity_sum"][same]
    for name in ("at_parity", "trusted", "barred"):
        pairs[name] = rng.random(count) < 0.3
    pairs["fees_bps"] = rng.uniform(0, 40, count)
    pairs["carry_bps"] = rng.choice([0.0, -0.0, *rng.normal(0, 30, 50)], count)
    pairs["close_bps"] = rng.choice([np.nan, *rng.normal(0, 50, 50)], count)


@pytest.mark.parametrize("implausible_bps", [300.0, 10_000.0, 12_345.0])
@pytest.mark.parametrize(("anew", "credits"), [(False, False), (True, False), (False, True)])
def test_a_generation_is_what_the_oracle_makes_of_each_pair(
    namespace: str, implausible_bps: float, anew: bool, credits: bool
) -> None:
    seed = int(np.random.default_rng().integers(2**32))
    print("seed", seed)
    rng = np.random.default_rng(seed)
    given = settings(implausible_bps=implausible_bps, basis_trust_s=TRUST_S)
    with Bed(namespace, given, tables(SYMBOLS), known=False) as bed:
        pairs = bed.engine.loop.pairs
        scramble(pairs, rng)
        before = pairs.copy()
        expected = Expected(
            rng.normal(0, 30, len(pairs)), rng.integers(0, 32, len(pairs)).astype(np.uint8)
        )
        funded = not anew  # a reload brings its own
        credited = rng.choice([np.nan, *rng.normal(0, 50, 5)], len(pairs)) if credits else None
        found = bed.engine.loop.adopt(7, expected if funded else None, credited, anew=anew)
    wanted = before.copy()
    if funded:
        wanted["carry_bps"], wanted["signal_flags"] = expected
    assume(wanted, implausible_bps, anew=anew, carry_before=before["carry_bps"], credited=credited)
    same(pairs, wanted, found)


def test_a_reload_adopts_by_what_the_pairs_that_stay_have_seen(namespace: str) -> None:
    seed = int(np.random.default_rng().integers(2**32))
    print("seed", seed)
    given = settings({"close_at": "parity"}, basis_trust_s=TRUST_S)
    with Bed(namespace, given, tables(SYMBOLS), known=False) as bed:
        scramble(bed.engine.loop.pairs, np.random.default_rng(seed))
        seen = bed.engine.loop.pairs.copy()
        bed.engine.load(settings(basis_trust_s=TRUST_S), tables(SYMBOLS + 1, generation=2))
        pairs, found = bed.engine.loop.pairs, bed.engine.adopted
        assert found is not None
        assert bed.engine.loop.usual_generation == found.generation == 2
    wanted = pairs.copy()
    stays = wanted["symbol_id"] < SYMBOLS
    for name in ("weight", "exit_sum", "parity_sum"):
        wanted[name] = 0
        wanted[name][stays] = seen[name]
    assume(wanted, 1_000_000, anew=True, carry_before=seen["carry_bps"])
    same(pairs, wanted, found[4:7])


def assume(
    pairs: np.ndarray,
    implausible_bps: float,
    *,
    anew: bool,
    carry_before: np.ndarray,
    credited: np.ndarray | None = None,
) -> None:
    """What the oracle makes of each row; what was carried before is that of one generation."""
    median = np.full(len(pairs), np.nan) if credited is None else credited
    names = pairs.dtype.names or ()
    for place, row in enumerate(pairs.copy()):
        known = dict(zip(names, row.item(), strict=True))
        values = adopted(
            known,
            trust_s=TRUST_S,
            implausible_bps=implausible_bps,
            anew=anew,
            carry_before_bps=float(carry_before[place]) if not anew else math.nan,
            credited=float(median[place]),
        )
        for name, value in values.items():
            pairs[name][place] = value


def same(pairs: np.ndarray, wanted: np.ndarray, found: Sequence[np.ndarray]) -> None:
    """The rows, and what is kept of them."""
    for name in wanted.dtype.names or ():
        np.testing.assert_array_equal(bits(pairs[name]), bits(wanted[name]), err_msg=name)
    columns = ("weight", "usual_bps", "parity_usual_bps", "carry_bps")
    for values, name in zip(found, columns, strict=False):
        np.testing.assert_array_equal(bits(values), bits(wanted[name]), err_msg=name)
    for flags in found[4:]:
        wanted_flags = wanted["signal_flags"] | np.where(wanted["barred"], BARRED, 0)
        np.testing.assert_array_equal(flags, wanted_flags)


def test_what_funding_costs_is_told_of_every_pair_or_of_none(namespace: str) -> None:
    with Bed(namespace, symbols=tables(2), known=False) as bed:
        loop, pairs = bed.engine.loop, len(bed.engine.loop.pairs)
        carry, flags = np.zeros(pairs), np.zeros(pairs, np.uint8)
        before = loop.pairs.tobytes()
        for wrong in (
            Expected(carry[1:], flags),
            Expected(carry, flags[1:]),
            Expected(carry.astype("f4"), flags),
            Expected(carry, flags.astype("u2")),
            Expected(np.zeros((pairs, 2))[:, 0], flags),
        ):
            with pytest.raises(ValueError, match=r"per pair|contiguous"):
                loop.adopt(9, wrong, anew=False)
        for medians in (carry[1:], carry.astype("f4")):
            with pytest.raises(ValueError, match=r"per pair|contiguous"):
                loop.adopt(9, None, medians, anew=False)
        assert loop.pairs.tobytes() == before
        assert loop.usual_generation == 1


def bits(values: np.ndarray) -> np.ndarray:
    """As bytes; what is not known is the same whatever made it."""
    column = np.ascontiguousarray(values)
    if column.dtype.kind == "f":
        column[np.isnan(column)] = np.nan
    return column.view(f"u{column.itemsize}")
