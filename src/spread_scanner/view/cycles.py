"""Cycles as spread-paths stored them, with what became of each: its database, read-only."""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from spread_scanner import config
from spread_scanner.schema.names import CYCLES_FILE, FEED_SOLANA, PATHS
from spread_scanner.view.reading import Reading
from spread_scanner.view.stored import BUSY_S, StoredRows


class CycleHop(Reading, frozen=True):
    """One swap; amounts in smallest units, as text: they may be beyond what JSON counts to."""

    pool: str
    program: str
    mint_in: str
    amount_in: str
    amount_out: str


class CycleLook(Reading, frozen=True):
    """What became of a cycle so many slots after the one in which it was found."""

    after_slots: int
    slot: int  # that had come when it was looked at: everything of the slots before was told
    paid_net_sol: float | None  # what the same amount would have paid then; null: no pool took it
    best_net_sol: float | None  # what the best amount would have
    stands: bool
    why: str  # why there is no figure; empty: there is


class CycleView(Reading, frozen=True):
    """One cycle: as it was found, and afterwards. Money in SOL, by the pools' own prices."""

    id: int
    found_ns: int
    slot: int  # that the best provider had come to
    oldest_slot: int  # in which the pool that was written longest ago was
    hops: list[CycleHop]
    profit_sol: float  # before costs
    cost_lamports: int  # signature, priority fee and tip
    net_sol: float
    score: float  # net_sol, less for an old leg and for what is taken out of a pool
    oldest_leg_ms: float  # since it was last found to be good still
    depth_used: float  # the largest share that a swap takes out of what a pool has
    landing_model: float  # a model by the fee alone, no measurement; in no score
    priority_micro_lamports: int | None  # offered for a compute unit; null: of an older version
    priority_heard: bool | None  # of all its pools; false: the floor stands for one at least
    one_slot: bool | None  # false: its pools were of no one slot that was over
    best_net_sol: float  # of all times that it was looked at while it stood
    last_slot: int  # in which it was last seen to pay
    ended_ns: int | None  # null: it stands
    ended_slot: int | None
    why_ended: str | None
    looks: list[CycleLook]


class LeftOutPool(Struct, frozen=True):
    """A pool that no cycle goes through, and why."""

    pool: str
    program: str
    reason: str
    why: str


class StoredCycles(StoredRows):
    """A connection that only reads; made lazily, as spread-paths makes the file."""

    def __init__(self, data_dir: Path, busy_s: float = BUSY_S) -> None:
        super().__init__(data_dir / CYCLES_FILE, busy_s)

    def last(self, count: int, *, pool: str = "", standing: bool = False) -> list[CycleView]:
        """The newest, newest first: those through a pool whose key contains this, those that
        stand."""
        rules = ["instr(route, ?) > 0"] * bool(pool) + ["ended_ns IS NULL"] * standing
        where = f"WHERE {' AND '.join(rules)}" if rules else ""
        asked = f"SELECT {_COLUMNS} FROM cycles {where} ORDER BY id DESC LIMIT ?"
        rows = self._asked(asked, (*([pool] if pool else []), count)) or []
        made = [_plain(row) for row in rows]
        looks = self._looks([one["id"] for one in made]) if made else {}
        return [CycleView(looks=looks.get(one["id"], []), **one) for one in made]

    def left_out(self) -> list[LeftOutPool]:
        rows = self._asked("SELECT pool, program, reason, why FROM left_out ORDER BY pool", ())
        return [LeftOutPool(*row) for row in rows or []]

    def _looks(self, ids: list[int]) -> dict[int, list[CycleLook]]:
        """Those after each of these cycles, in their order."""
        found: dict[int, list[CycleLook]] = {}
        for cycle_id, after, slot, paid, best, stands, why in (
            self._asked(_LOOKS, (json.dumps(ids),)) or []
        ):
            look = CycleLook(after, slot, paid, best, bool(stands), why)
            found.setdefault(cycle_id, []).append(look)
        return found


def _plain(row: tuple[Any, ...]) -> dict[str, Any]:
    """All of a cycle but its looks, by CycleView's names."""
    route, programs, mints, amounts = (json.loads(text) for text in row[:4])
    hops = zip(route, programs, mints, amounts[:-1], amounts[1:], strict=True)
    named = dict(zip(_PLAIN, row[4:], strict=True))
    for name in ("priority_heard", "one_slot"):
        named[name] = None if named[name] is None else bool(named[name])
    return {"hops": [CycleHop(*hop) for hop in hops], **named}


_PLAIN = tuple(name for name in CycleView.__struct_fields__ if name not in ("hops", "looks"))
_COLUMNS = ", ".join(("route", "programs", "mints", "amounts", *_PLAIN))
_LOOKS = """
    SELECT cycle_id, after_slots, slot, paid_net_sol, best_net_sol, stands, why FROM looks
    WHERE cycle_id IN (SELECT value FROM json_each(?)) ORDER BY cycle_id, after_slots
"""


def why_none(settings: config.Settings) -> str:
    """Why there is nothing to show, in a sentence."""
    if not settings.pools.runs:
        return f"No pools are read, and so no cycles found: {FEED_SOLANA} is not enabled."
    if not settings.config.spread_paths.wanted:
        return f"No cycles are looked for: [{PATHS}] in config.toml says `enabled = false`."
    return f"No cycle has paid more than its costs yet (spread-ctl status has {PATHS}' word)."
