"""The table of `spread-ctl cycles`, as wide as the terminal."""

from spread_scanner.config.pools import MintSettings
from spread_scanner.schema.figures import plain
from spread_scanner.view.cycles import CycleLook, CycleView

WIDE_COLUMNS = 120
KEY_LETTERS = 4  # of a mint or a pool, where it has no name


def columns_and_rows(
    found: list[CycleView], mints: dict[str, MintSettings], width: int
) -> tuple[list[str], list[list[object]]]:
    """For a table that fits a width."""
    wide = width >= WIDE_COLUMNS
    columns = ["id>", "cycle", "net SOL>", "after 1>", "2>", "5>", "stood slots>"]
    if wide:
        columns += ["profit>", "score>", "depth %>", "pools"]
    return columns, [_row(one, mints, wide=wide) for one in found]


def _row(one: CycleView, mints: dict[str, MintSettings], *, wide: bool) -> list[object]:
    begins = [hop.mint_in for hop in one.hops]
    coins = [
        mints[mint].coin if mint in mints else mint[:KEY_LETTERS] for mint in (*begins, begins[0])
    ]
    looks = {look.after_slots: look for look in one.looks}
    row: list[object] = [
        one.id,
        " ".join(coins),
        plain(one.net_sol, 6),
        *(_after(looks.get(slots)) for slots in (1, 2, 5)),
        f"{one.last_slot - one.slot}{'' if one.ended_ns else ' +'}",
    ]
    if wide:
        row += [
            plain(one.profit_sol, 6),
            plain(one.score, 6),
            plain(100 * one.depth_used, 3),
            " ".join(hop.pool[:KEY_LETTERS] for hop in one.hops),
        ]
    return row


def _after(look: CycleLook | None) -> str | None:
    """What the same amount would have paid then."""
    if look is None:
        return None
    return "refused" if look.paid_net_sol is None else plain(look.paid_net_sol, 6)
