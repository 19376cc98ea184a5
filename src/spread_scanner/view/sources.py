"""The sources at a glance: whose quotes there are, and how many of them can be used now.

Reads each source's cells as one consistent copy; a quote that cannot be stood behind says so itself
(QuoteFlag), and one of a feed that no longer beats is used by nobody. How far the log is with a
source the recorder tells on its tape; of one that is dead nothing is shown.
"""

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.errors import Unusable
from spread_scanner.schema import freshness
from spread_scanner.schema.enums import SOURCE_BY_LABEL, SOURCES, Source
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.schema.names import RECORDER
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.tapes import Recorded, Tapes
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.reading import Reading
from spread_scanner.view.tables import TablesInForce


class UnknownSource(Unusable):
    """A source that does not exist."""


def source_of(label: str, num_sources: int = len(SOURCES)) -> Source:
    """The source of that label among the first so many, as a store has rows for; raises
    UnknownSource."""
    known = [source.label for source in SOURCES[:num_sources]]
    if label not in known:
        raise UnknownSource("no such source", source=label, allowed=", ".join(known))
    return SOURCE_BY_LABEL[label]


class SourceLog(Reading, frozen=True):
    """How far the log is with the quotes of a source, by their numbers there."""

    appended_seq: int  # all before it were handed to the log
    durable_seq: int  # all before it are on the disk
    durable_age_ms: float  # since the oldest was taken that is not on the disk; 0: all are


class SourceView(Reading, frozen=True):
    """One market of one exchange."""

    source: str
    process: str
    enabled: bool  # in the settings
    alive: bool  # a feed has the source
    state: str  # the feed's, in its own words; absent: it has never run
    message: str
    paused: bool
    wanted: int  # symbols that the tables give it
    quoted: int  # of them, how many were ever quoted in this shared memory
    usable: int  # of those, how many can be stood behind now
    heartbeat_age_ms: float | None
    log: SourceLog | None  # absent: no recorder that lives asks for its quotes


def read(settings: Settings) -> list[SourceView]:
    """Every source, in order. Raises NoSegment and its kind where the system is not up."""
    namespace = settings.config.system.namespace
    in_force = TablesInForce(settings.generated_dir)
    in_force.look()
    with (
        Health.attach(namespace) as health,
        Control.attach(namespace) as control,
        PriceStore.attach(namespace) as store,
        Tapes.attach(namespace) as tapes,
    ):
        return look(settings, health, control, store, in_force.loaded, tapes)


def look(
    settings: Settings,
    health: Health,
    control: Control,
    store: PriceStore,
    listed: Tables | None,
    tapes: Tapes | None = None,
) -> list[SourceView]:
    """The same, of what is attached. Without tapes nothing is told of the log."""
    paused = set(control.paused_sources)
    snapshot = store.snapshot()
    limits = FreshnessLimits.of(settings)
    recorded = tapes if health.alive(RECORDER) else None
    views = []
    for source in SOURCES[: len(snapshot)]:
        row = health.beat(source.process)
        wanted = listed.of_source(source.source_id) if listed is not None else ()
        beat_ns = store.heartbeat_mono_ns(source.source_id)
        now_ns = clock.mono_ns()
        beats = freshness.beats(beat_ns, now_ns, 0, limits.heartbeat_ns_max)
        written = snapshot[source.source_id]
        written = written[written["epoch"] > 0]
        usable = 0
        if len(written):
            good = freshness.usable(written, beats, store.clock.now_ns(), limits.stale_ns_max)
            usable = int(good.sum())
        views.append(
            SourceView(
                source=source.label,
                process=source.process,
                enabled=settings.runs(source),
                alive=row is not None and row.alive,
                state="absent" if row is None else row.state.name.lower(),
                message="" if row is None else row.message.rstrip("\0"),
                paused=source.source_id in paused or _pauses(control, source),
                wanted=len(wanted),
                quoted=len(written),
                usable=usable,
                heartbeat_age_ms=(now_ns - beat_ns) / NS_PER_MS if beat_ns else None,
                log=None if recorded is None else _log(recorded.recorded(source.source_id)),
            )
        )
    return views


def _log(recorded: Recorded | None) -> SourceLog | None:
    if recorded is None:
        return None
    since_ns = recorded.waits_since_ns
    age_ns = max(0, clock.mono_ns() - since_ns) if since_ns else 0
    return SourceLog(recorded.appended, recorded.durable, age_ns / NS_PER_MS)


def _pauses(control: Control, source: Source) -> bool:
    return control.paused(source.process)
