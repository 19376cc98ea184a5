"""spread-paths while it lives: what changed, which cycles gain by it, what they pay, what is kept.

A change of pools is searched through those alone; everything is searched each `scan_every_s`. What
gains is ranked by what it would pay were all pools constant products, and the best are confirmed
with integers. Those that stand are confirmed anew when one of their pools has changed.
"""

import itertools
from collections.abc import Callable, Collection, Iterable

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.settings import Paths
from spread_scanner.paths import costing
from spread_scanner.paths.confirming import (
    ConfirmedCycle,
    CycleLeg,
    at_size,
    confirmed,
    estimated_profit,
    legs_of,
)
from spread_scanner.paths.graph import PoolGraph, TokenCycle, gains_of
from spread_scanner.paths.keeping import FORGOTTEN_AT_ONCE, CycleRow, KeptCycles, LookRow
from spread_scanner.paths.market import OutReason, PoolMarket
from spread_scanner.paths.standing import CycleKey, StandingCycle, StandingCycles
from spread_scanner.runtime.process import Process
from spread_scanner.schema.costs import LAMPORTS
from spread_scanner.schema.counters import PATH_COUNTERS, PATH_HISTOGRAMS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm.pools import PoolTable
from spread_scanner.solana import Pool, PoolReason, PoolRefusal
from spread_scanner.solana.priority_fees import FeeOffer, believed

_COUNTER = {row.label: row.counter_id for row in PATH_COUNTERS}
_HISTOGRAM = {row.label: row.histogram_id for row in PATH_HISTOGRAMS}
FLUSH_NS = 200 * NS_PER_MS
FORGET_NS = 10 * NS_PER_S
_ENDS = "it pays no more"


class PathHunt:
    """The process's whole state. `turn` does what is due."""

    def __init__(self, process: Process, table: PoolTable, kept: KeptCycles) -> None:
        self._process, self._table, self._kept = process, table, kept
        self._settings = process.settings.config.spread_paths
        self._fees = process.settings.pools.fees
        self._market = PoolMarket(table, _depth_min(self._settings))
        self._graph = PoolGraph()
        self._traded: dict[str, Pool] = {}
        self._cycles = StandingCycles(kept.next_id)
        self._scan_due_ns = self._flush_due_ns = self._forget_due_ns = 0
        self._unsettled: set[str] = set()  # pools of cycles that wait for the end of a slot
        self._unsettled_slot = 0
        self._out_told: list[tuple[str, str, str, str]] | None = None
        self._lost = 0
        self._tell()

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """New settings; the call puts them in force, and everything is searched anew."""

        def put_in_force() -> None:
            self._settings = settings.config.spread_paths
            self._fees = settings.pools.fees
            self._market.depth_min_lamports = _depth_min(self._settings)
            self._scan_due_ns = 0

        return put_in_force

    def reloaded(self) -> None:
        self._add("reloads")

    def rest_ms(self) -> float:
        """Until something is due whether pools change or not."""
        due_ns = min(self._scan_due_ns, self._flush_due_ns) - clock.mono_ns()
        return min(max(due_ns / NS_PER_MS, 1.0), self._process.settings.config.system.heartbeat_ms)

    def turn(self) -> None:
        """Look at what was written, search, confirm, look after, keep."""
        now_ns = clock.mono_ns()
        heard_s = self._table.chain_unix_s(now_ns)
        unix_ts = clock.wall_ns() // NS_PER_S if heard_s is None else heard_s
        changed = self._market.look(now_ns, unix_ts) | self._settled()
        if self._process.orders.paused:
            self._put(changed)
            self._scan_due_ns = now_ns
        else:
            scans = now_ns >= self._scan_due_ns
            if scans:
                self._scan_due_ns = now_ns + int(self._settings.scan_every_s * NS_PER_S)
                self._market.weigh()
                changed |= self._market.judge(unix_ts)
            self._put(changed)
            self._look_after(unix_ts)
            if changed or scans:
                self._search(changed, unix_ts, scans=scans)
        if now_ns >= self._flush_due_ns:
            self._flush_due_ns = now_ns + FLUSH_NS
            self._keep(now_ns)

    def _settled(self) -> set[str]:
        """The pools of cycles that waited, once another slot has come."""
        found = set[str]()
        if self._market.slot != self._unsettled_slot:
            self._unsettled_slot = self._market.slot
            found, self._unsettled = self._unsettled, found
        return found

    def _put(self, changed: Iterable[str]) -> None:
        """Into the graph, or out of it."""
        self._traded = self._market.traded()
        for key in changed:
            pool = self._traded.get(key)
            gains = None if pool is None else gains_of(pool, self._market.slot)
            if pool is None or gains is None:
                self._traded.pop(key, None)
                self._graph.drop(key)
            else:
                self._graph.put(key, pool.mints, gains)

    # --- search

    def _search(self, changed: Collection[str], unix_ts: int, *, scans: bool) -> None:
        begun_ns = clock.mono_ns()
        kept, hops = self._settings.cycles_kept, self._settings.hops_max
        if scans:
            found = self._graph.scan(hops, kept)
            self._add("scans")
            if not found and self._graph.any_gain():
                self._add("longer_cycles")
        else:
            found = self._graph.through(changed, hops, kept)
        self._observe("scan" if scans else "screen", begun_ns)
        self._add("screened", len(found))
        begun_ns = clock.mono_ns()
        standing = self._cycles.all() if scans else self._cycles.over(changed)
        for one in standing:
            self._confirm(one.key, unix_ts)
        for key in self._most_promising(found):
            self._confirm(key, unix_ts)
        if found or standing:
            self._observe("confirm", begun_ns)

    def _most_promising(self, found: Iterable[TokenCycle]) -> list[CycleKey]:
        """Of all routes that gain, those that would pay most, and do not stand yet."""
        ranked: list[tuple[float, CycleKey]] = []
        slot = self._market.slot
        for cycle in found:
            mint = self._begins_with(cycle)
            if mint is None:
                self._add("no_start")
                continue
            at = cycle.tokens.index(self._graph.mints.index(mint))
            for route in itertools.islice(self._graph.routes(cycle), self._settings.routes_max):
                key = CycleKey(mint, (*route.pools[at:], *route.pools[:at]))
                if self._cycles.get(key) is None:
                    legs = legs_of(key.route, self._traded, mint)
                    pays = estimated_profit(legs, slot) * self._market.worths[mint]
                    ranked.append((pays, key))
        ranked.sort(key=lambda one: -one[0])
        return [key for _, key in ranked[: self._settings.confirmed_max]]

    def _begins_with(self, cycle: TokenCycle) -> str | None:
        """The first of the tokens that cycles may begin with, if it has any whose worth is
        known."""
        mints = {self._graph.mints[token] for token in cycle.tokens}
        starts = (mint for mint in self._settings.start_mints if mint in mints)
        return next((mint for mint in starts if mint in self._market.worths), None)

    # --- confirm

    def _confirm(self, key: CycleKey, unix_ts: int) -> None:
        """What it pays now; kept while that is more than `net_min_sol`, and closed after it."""
        standing = self._cycles.get(key)
        try:
            legs = self._legs(key)
            if self._settings.one_slot and not self._market.of_one_slot(key.route):
                self._add("not_one_slot")
                self._unsettled.update(key.route)
                return
            found = confirmed(legs, unix_ts, self._market.slot)
        except PoolRefusal as refusal:
            self._add("refused")
            if standing is not None:
                self._end(standing, str(refusal))
            return
        net_sol = self._net_sol(key, found)
        if net_sol <= self._settings.net_min_sol:
            self._add("not_worth")
            if standing is not None:
                self._end(standing, _ENDS)
        elif standing is None:
            self._add("confirmed")
            self._found(key, found, net_sol)
        else:
            now_ns = clock.wall_ns()
            self._cycles.seen(standing, self._market.slot, net_sol, now_ns)
            best = standing.best_net_sol
            self._kept.seen(standing.id, best, self._market.slot, now_ns)

    def _legs(self, key: CycleKey) -> tuple[CycleLeg, ...]:
        if key.mint not in self._market.worths:
            raise PoolRefusal(PoolReason.WRONG_MINT, mint=key.mint, said="its worth is not known")
        return legs_of(key.route, self._traded, key.mint)

    def _net_sol(self, key: CycleKey, found: ConfirmedCycle) -> float:
        """What is left once the network was paid, whole units of the first token taken for it."""
        left = found.profit - self._cost(key)
        return left * self._market.worths[key.mint] / LAMPORTS

    def _cost(self, key: CycleKey) -> int:
        """Of sending it, in units of the first token, rounded up."""
        worth = self._market.worths[key.mint]
        return -int(-self._offer(key).lamports // worth)

    def _offer(self, key: CycleKey) -> FeeOffer:
        pools = [self._market.pools[name] for name in key.route]
        return costing.offer_for(pools, self._fees, clock.mono_ns())

    def _found(self, key: CycleKey, found: ConfirmedCycle, net_sol: float) -> None:
        now_ns, slot, offer = clock.wall_ns(), self._market.slot, self._offer(key)
        pools = [self._market.pools[name] for name in key.route]
        age_ms = (clock.mono_ns() - min(pool.renewed_ns for pool in pools)) / NS_PER_MS
        used = found.depth_used()
        made = self._cycles.found(key, found.amounts[0], slot, net_sol, now_ns)
        worth = self._market.worths[key.mint] / LAMPORTS
        row = CycleRow(
            id=made.id,
            found_ns=now_ns,
            slot=slot,
            oldest_slot=min(pool.slot for pool in pools),
            route=key.route,
            programs=[pool.program for pool in pools],
            mints=[leg.mint_in for leg in found.legs],
            amounts=found.amounts,
            cost=self._cost(key),
            profit_sol=found.profit * worth,
            net_sol=net_sol,
            cost_lamports=offer.lamports,
            priority_micro_lamports=offer.price,
            priority_heard=offer.heard,
            one_slot=self._market.of_one_slot(key.route),
            oldest_leg_ms=age_ms,
            depth_used=used,
            score=net_sol * 2 ** (-age_ms / self._settings.age_half_ms) * (1 - min(used, 1.0)),
            landing_model=costing.landing_model(offer, self._settings.landing_half_micro_lamports),
        )
        self._kept.found(row)

    def _end(self, one: StandingCycle, why: str) -> None:
        self._cycles.ended(one)
        self._kept.ended(one.id, self._market.slot, clock.wall_ns(), why)

    # --- afterwards

    def _look_after(self, unix_ts: int) -> None:
        """What became of those that were found one, two and five slots ago."""
        for one, after_slots in self._cycles.due(self._market.slot):
            paid = best = None
            why = ""
            try:
                legs = self._legs(one.key)
                best = self._net_sol(one.key, confirmed(legs, unix_ts, self._market.slot))
                same = at_size(legs, one.amount, unix_ts, self._market.slot)
                paid = self._net_sol(one.key, same)
            except PoolRefusal as refusal:
                why = str(refusal)
            stands = best is not None and best > self._settings.net_min_sol
            slot = self._market.slot
            self._kept.looked(LookRow(one.id, after_slots, slot, paid, best, stands, why))
            self._add("looks")

    def _keep(self, now_ns: int) -> None:
        """Write what waits, forget what is old, and say how it goes."""
        out = sorted(
            (key, one.program, one.out.reason.name.lower(), one.out.why)
            for key, one in self._market.pools.items()
            if one.out is not None
        )
        if out != self._out_told:
            self._out_told = out
            self._kept.left_out(out)
        if not self._kept.flush():
            self._add("write_errors")
        if now_ns >= self._forget_due_ns:
            keep_ns = int(self._settings.keep_days * 86_400 * NS_PER_S)
            bytes_max = int(self._settings.database_mb_max * 1_000_000)
            gone = self._kept.forget(keep_ns, bytes_max, clock.wall_ns())
            self._forget_due_ns = now_ns + (0 if gone == FORGOTTEN_AT_ONCE else FORGET_NS)
            self._add("forgotten", gone)
        self._add("rows_lost", self._kept.lost - self._lost)
        self._lost = self._kept.lost
        self._tell()

    def _tell(self) -> None:
        """How it goes, in the row, which may have no room for all: what is wrong comes first."""
        row, out = self._process.row, self._market.out_by_reason()
        for reason in OutReason:
            row.set(_COUNTER[reason.value], out[reason])
        row.set(_COUNTER["pools"], len(self._market.pools))
        row.set(_COUNTER["traded"], len(self._graph))
        row.set(_COUNTER["standing"], len(self._cycles))
        said = f"{len(self._graph)} of {len(self._market.pools)} pools, {len(self._cycles)} cycles"
        traded = [self._market.pools[key] for key in self._traded]
        heard = sum(believed(one.heard, self._fees, clock.mono_ns()) for one in traded)
        row.set(_COUNTER["fees_known"], heard)
        if heard < len(traded):
            said += f", priority fees of {len(traded) - heard} are the floor: none was heard"
        trouble = f"the database: {self._kept.trouble}; " if self._kept.trouble else ""
        state = ProcessState.DEGRADED if trouble else ProcessState.RUNNING
        self._process.state(state, trouble + said)

    def close(self) -> None:
        """What stood is closed, and all that waits is written."""
        for one in self._cycles.all():
            self._end(one, "spread-paths was stopped")
        self._kept.flush()

    def _add(self, label: str, count: int = 1) -> None:
        if count:
            self._process.row.add(_COUNTER[label], count)

    def _observe(self, label: str, begun_ns: int) -> None:
        self._process.row.observe(_HISTOGRAM[label], clock.mono_ns() - begun_ns)


def _depth_min(settings: Paths) -> float:
    return settings.depth_min_sol * LAMPORTS
