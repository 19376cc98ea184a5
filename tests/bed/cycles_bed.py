"""A database of cycles, as spread-paths leaves it."""

import contextlib
from pathlib import Path

from spread_scanner.paths.keeping import CycleRow, KeptCycles, LookRow
from spread_scanner.schema.names import CYCLES_FILE

SOL = "So11111111111111111111111111111111111111112"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
FOUND_NS = 1_900_000_000 * 10**9


def cycle_row(cycle_id: int, **values: object) -> CycleRow:
    """A cycle of two hops that pays 0.75 SOL, but for what is said."""
    made = CycleRow(
        id=cycle_id,
        found_ns=FOUND_NS + cycle_id,
        slot=350_000_000,
        oldest_slot=349_999_990,
        route=("A" * 44, "B" * 44),
        programs=("raydium-v4", "raydium-cpmm"),
        mints=(SOL, USDC),
        amounts=(10**19, 3 * 10**9, 10**19 + 750_005_400),
        cost=5_400,
        profit_sol=0.7500054,
        net_sol=0.75,
        cost_lamports=5_400,
        oldest_leg_ms=120.5,
        depth_used=0.0125,
        score=0.6,
        landing_model=0.25,
        priority_micro_lamports=1_000,
        priority_heard=False,
        one_slot=True,
    )
    return made._replace(**values)  # type: ignore[arg-type]


def store_cycles(folder: Path, *rows: CycleRow) -> None:
    """Add cycles to the database of a data folder; the first look of each is there."""
    with contextlib.closing(KeptCycles(folder / CYCLES_FILE, FOUND_NS)) as kept:
        for row in rows:
            kept.found(row)
            kept.looked(LookRow(row.id, 1, row.slot + 2, 0.5, 0.51, True, ""))
            kept.looked(LookRow(row.id, 2, row.slot + 3, None, None, False, "no"))
        kept.left_out([("C" * 44, "raydium-v4", "dust", "it holds 0.001 SOL's worth on one side")])
        assert kept.flush()
