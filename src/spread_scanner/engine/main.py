"""spread-engine: the process around the loop.

It takes the tables, runs the native loop in short turns, and between turns beats its heart, adopts
once a minute what leaving a pair usually earns (basis.py), has kept what its next start needs
(keeping.py), and obeys orders. A kill or a pause is in force natively before it is acknowledged
here. A reload is planned beside the loop (reload.py), and of what cannot be used refused: all stays
as it was. Segments that were replaced end the process.
"""

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.engine.core import Engine
from spread_scanner.engine.keeping import Keeper, blocks_keeper, usual_keeper
from spread_scanner.engine.reload import Reloads, keep_for_good
from spread_scanner.runtime import scheduling
from spread_scanner.runtime.logs import Log
from spread_scanner.runtime.process import Process, run
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ENGINE
from spread_scanner.symbology import tables
from spread_scanner.symbology.blocked import KeptBlock
from spread_scanner.symbology.usual import Usual

SILENT_NS = 15 * NS_PER_S  # at a start of all, or after its own restart, the analyst takes a while
_RELOADS = next(row.counter_id for row in ENGINE_COUNTERS if row.label == "reloads")


def main() -> int:
    return run(ENGINE, live)


def live(process: Process) -> None:
    """Until told to stop."""
    _ask_for_slices(process)
    of_usual = usual_keeper(process.settings, process.log)
    of_blocks = blocks_keeper(process.settings, process.log)
    with Engine(
        process.settings.config.system.namespace,
        process.row,
        process.slot,
        recalled(of_usual, process.log),
        of_blocks.recall(),
    ) as engine:
        loaded = tables.load(process.settings.generated_dir)
        pairs = engine.take(engine.prepare(process.settings, loaded))
        process.log.info("tables taken", pairs=pairs)
        process.watch(engine.wake)
        adoption = Adoption(engine, of_usual, process.log)
        reloads = Reloads(process, engine, lambda _: _taken(process))
        hearing = AnalystHeard(process, engine)
        keep_for_good()
        process.state(ProcessState.RUNNING)
        while not process.stopping:
            engine.loop.run(reloads.turn_ns)
            engine.check()
            _mind_blocks(process, engine, of_blocks)
            process.row.cycle(engine.loop.take_longest_ns())
            news = process.poll()
            if news is not None:
                reloads.obey(news)
            reloads.poll()
            adoption.poll()
            hearing.poll()


def recalled(keeper: Keeper[Usual], log: Log) -> Usual | None:
    """What was usual before this start; that it is too old to count is said."""
    found = keeper.recall()
    now_ns = clock.wall_ns()
    if found is not None and found.aged(now_ns) is None:
        hours = round((now_ns - found.wall_ns) / NS_PER_S / 3_600, 1)
        log.warning("what was usual is too old to count: it is learned anew", hours=hours)
    return found


def _mind_blocks(process: Process, engine: Engine, keeper: Keeper[dict[str, KeptBlock]]) -> None:
    """Say which pairs the loop has blocked, and have what holds kept."""
    for block in engine.newly_blocked():
        process.log.warning(
            "blocked as implausible until it is judged anew",
            symbol=block.symbol,
            direction=block.direction,
            gross_bps=round(block.gross_bps),
        )
    keeper.keep(engine.blocks)


class AnalystHeard:
    """Says so while the settings ask the analyst and it says nothing: without a z there is no
    signal, and without a median closing counts as it does where the usual basis is not credited."""

    def __init__(self, process: Process, engine: Engine) -> None:
        self._process, self._engine = process, engine
        self._said = ""

    def poll(self) -> None:
        """After each turn. A pair that the analyst knows too little of is no fault."""
        analysed = self._engine.analysed
        analysed.look()
        silent_ns = clock.mono_ns() - analysed.heard_ns
        said = self._why() if analysed.wanted and silent_ns > SILENT_NS else ""
        if said == self._said:
            return
        self._said = said
        self._process.state(ProcessState.DEGRADED if said else ProcessState.RUNNING, said)
        if said:
            self._process.log.warning(said)
        else:
            self._process.log.info("spread-analyst is heard, or not asked any more")

    def _why(self) -> str:
        enabled = self._process.settings.config.spread_analyst.wanted
        how = "says nothing" if enabled else "is not enabled"
        if self._process.settings.config.spread_engine.enter_z_min is None:
            return f"the usual basis is not credited: spread-analyst {how}"
        return f"no signal: enter_z_min is set and spread-analyst {how}"


class Adoption:
    """Adopts what leaving usually earns when that is due, and has it kept."""

    def __init__(self, engine: Engine, keeper: Keeper[Usual], log: Log) -> None:
        self._engine, self._keeper, self._log = engine, keeper, log
        self._next_ns = clock.mono_ns() + engine.adopt_every_ns
        self._most_known = -1
        self._tell()

    def poll(self) -> None:
        """Also what a start or a reload has adopted is kept."""
        now_ns = clock.mono_ns()
        self._engine.look_ahead(self._next_ns - now_ns)
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + self._engine.adopt_every_ns
            self._engine.adopt()
            self._tell()
        if self._engine.adopted is not None:
            self._keeper.keep(self._engine.adopted)

    def _tell(self) -> None:
        """How far the learning is, whenever it is further than ever: of a pair that hardly trades
        it may never be known."""
        known, pairs = self._engine.learning
        if known > self._most_known:
            self._most_known = known
            self._log.info("what leaving usually earns is known", of_pairs=known, pairs=pairs)


def _taken(process: Process) -> None:
    """New tables and settings are in force."""
    _ask_for_slices(process)
    process.row.add(_RELOADS)


def _ask_for_slices(process: Process) -> None:
    settings = process.settings.config.spread_engine
    scheduling.short_slices(0 if settings.idle == "spin" else settings.slice_us)
