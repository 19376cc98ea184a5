"""The metrics, as Prometheus scrapes them: every counter of the registry by process, in base units.

A name is made of the counter's label: `spread_` before it, `_total` behind what only grows; ms, us
and ns become seconds, bytes an hour bytes a second. The sentence of the registry is its help. What
is not known has no sample, rather than a zero.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.counters import Counter, counters_of, histograms_of
from spread_scanner.schema.names import PROCESSES
from spread_scanner.shm import Health
from spread_scanner.shm.health import counts_below
from spread_scanner.view.sources import SourceView
from spread_scanner.view.status import StandingCondition, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "spread_"
BOUNDS_S = (5e-6, 1e-5, 2.5e-5, 1e-4, 2.5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0)
_BASE_UNITS = {
    "_ms": ("_seconds", 1e-3),
    "_us": ("_seconds", 1e-6),
    "_ns": ("_seconds", 1e-9),
    "_b_h": ("_bytes_per_second", 1 / 3_600),
}


class Scraped(Collector):
    """One look at the system, as families of samples."""

    def __init__(self, status: Status, sources: Iterable[SourceView], health: Health) -> None:
        self._status = status
        self._sources = list(sources)
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        yield from self._processes()
        yield from self._counters()
        yield from self._latencies()
        yield from self._quotes()
        yield from self._whole()

    def text(self) -> bytes:
        """The exposition format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def _processes(self) -> Iterator[Metric]:
        up = _gauge("process_up", "1: the process lives.", "process")
        well = _gauge("process_healthy", "1: it lives, beats and is not degraded.", "process")
        age = _gauge("process_heartbeat_age_seconds", "Since it last beat.", "process")
        starts = CounterMetricFamily(
            f"{PREFIX}process_starts", "How often it was started.", labels=["process"]
        )
        for view in self._status.processes:
            up.add_metric([view.process], float(view.alive))
            well.add_metric([view.process], float(view.healthy))
            starts.add_metric([view.process], view.starts)
            if view.heartbeat_age_ms is not None:
                age.add_metric([view.process], view.heartbeat_age_ms / 1e3)
        yield from (up, well, age, starts)

    def _counters(self) -> Iterator[Metric]:
        # A level of one process may be a count of another: spread_books, spread_books_total.
        families: dict[tuple[str, bool], Metric] = {}
        for process, counts in self._status.counters.items():
            for counter in counters_of(process) if counts else ():  # it has never run
                name, factor = _in_base_units(counter)
                key = name, counter.is_level
                if key not in families:
                    kind = GaugeMetricFamily if counter.is_level else CounterMetricFamily
                    families[key] = kind(name, counter.sentence, labels=["process"])
                value = counts[counter.label] * factor
                families[key].add_metric([process], value)  # type: ignore[attr-defined]
        yield from families.values()

    def _latencies(self) -> Iterator[Metric]:
        families: dict[str, HistogramMetricFamily] = {}
        bounds_ns = [bound * NS_PER_S for bound in BOUNDS_S]
        for process in PROCESSES:
            sentences = {row.label: row.sentence for row in histograms_of(process)}
            for label, buckets in self._health.buckets(process).items():
                name = f"{PREFIX}{label}_seconds"
                if name not in families:
                    families[name] = HistogramMetricFamily(
                        name, sentences[label], labels=["process"]
                    )
                below = counts_below(buckets, bounds_ns)
                rows = [(str(bound), n) for bound, n in zip(BOUNDS_S, below, strict=True)]
                rows.append(("+Inf", int(buckets.sum())))
                families[name].add_metric([process], rows, sum_value=None)
        yield from families.values()

    def _quotes(self) -> Iterator[Metric]:
        wanted = _gauge("source_quotes_wanted", "Symbols that the tables give it.", "source")
        usable = _gauge("source_quotes_usable", "Of them that can be stood behind.", "source")
        for view in self._sources:
            wanted.add_metric([view.source], view.wanted)
            usable.add_metric([view.source], view.usable)
        yield from (wanted, usable)

    def _whole(self) -> Iterator[Metric]:
        status = self._status
        stands = GaugeMetricFamily(
            f"{PREFIX}condition",
            "1: it stands; docs/operating.md has the keys. Weight: urgent, can_wait or meant.",
            labels=["key", "weight"],
        )
        for condition in status.conditions:
            stands.add_metric([condition.key, _weight(condition)], 1)
        yield stands
        switched = GaugeMetricFamily(
            f"{PREFIX}switched", "1: somebody halted or paused it.", labels=["kind", "name"]
        )
        for one in status.switches.standing:
            switched.add_metric([one.kind, one.name], 1)
        yield switched
        halted = _gauge("signals_halted", "1: no signal leaves the engine.")
        halted.add_metric([], float(status.switches.killed))
        yield halted
        for label, known in (
            ("database_bytes", status.disk.database_bytes),
            ("disk_free_bytes", status.disk.free_bytes),
        ):
            if known is not None:
                size = _gauge(label, "Of the folder of data.")
                size.add_metric([], known)
                yield size
        about = GaugeMetricFamily(
            f"{PREFIX}about", "1; what runs where.", labels=["version", "namespace"]
        )
        about.add_metric([status.version, status.namespace], 1)
        yield about


def _gauge(label: str, sentence: str, *by: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}{label}", sentence, labels=list(by))


def _weight(condition: StandingCondition) -> str:
    if condition.deliberate:
        return "meant"
    return "can_wait" if condition.can_wait else "urgent"


def _in_base_units(counter: Counter) -> tuple[str, float]:
    """A counter's name for Prometheus, and what its number is to be multiplied with."""
    label, factor = counter.label, 1.0
    for unit, (base, of_base) in _BASE_UNITS.items():
        if label.endswith(unit):
            label, factor = label.removesuffix(unit) + base, of_base
    return f"{PREFIX}{label}", factor
