"""Writes the dashboard for Grafana over what the gateway's /metrics says: spread-scanner.json.

    python deploy/grafana/dashboard.py

A test fails when the file differs from what this makes, and runs every expression against a
Prometheus that scrapes a simulated system.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("spread-scanner.json")
UID = "spread-scanner"
COLUMNS = 24
PROMETHEUS = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """One panel: what it asks, by the legend of what comes."""

    title: str
    about: str
    unit: str
    asks: dict[str, str]
    red_from: float | None = None
    kind: str = "timeseries"
    wide: int = 8


def rate(counter: str) -> str:
    """A second, by process."""
    return f"sum by (process) (rate(spread_{counter}_total[$__rate_interval]))"


def quantile(share: float, latency: str) -> str:
    """Of a latency, by process."""
    rates = f"sum by (process, le) (rate(spread_{latency}_seconds_bucket[$__rate_interval]))"
    return f"histogram_quantile({share}, {rates})"


def stat(title: str, about: str, unit: str, ask: str, red_from: float | None = None) -> Panel:
    """One number."""
    return Panel(title, about, unit, {"": ask}, red_from, "stat", 4)


def rates(title: str, about: str, **counters: str) -> Panel:
    """Counters of one process, by what they are called here."""
    return Panel(title, about, "cps", {name: rate(label) for name, label in counters.items()})


def latency(title: str, label: str, about: str) -> Panel:
    """Half and 99 of a hundred are over by then."""
    asks = {f"p{100 * share:.0f} {{{{process}}}}": quantile(share, label) for share in (0.5, 0.99)}
    return Panel(title, about, "s", asks)


WANTED, USABLE = "spread_source_quotes_wanted", "spread_source_quotes_usable"
SKIPPED = ("unknown_symbol", "bad_message", "bad_quote", "duplicate", "out_of_order", "other")
NO_SIGNAL = ("stale_leg", "skew", "size", "cooldown", "paused", "quarantined", "fee", "killed",
             "implausible", "basis", "blocked", "z")  # fmt: skip
NOW = [
    stat(
        "Unwell",
        "Processes that are down, hang or are degraded.",
        "none",
        "count(spread_process_up) - sum(spread_process_healthy)",
        red_from=1,
    ),
    stat("Halted", "1: no signal leaves the engine.", "none", "spread_halted", red_from=1),
    stat(
        "Usable quotes",
        "Of those that the tables give the feeds.",
        "percentunit",
        f"sum({USABLE}) / sum({WANTED})",
    ),
    stat("Open", "Opportunities that are followed.", "none", "sum(spread_open)"),
    stat("Signals a second", "Spreads that came to stand over their thresholds.", "cps",
         f"sum({rate('signals_enter')})"),
    stat("Disk free", "Where the data is.", "bytes", "spread_disk_free_bytes"),
]  # fmt: skip
QUOTES = [
    Panel("Messages", "Frames of data that arrived.", "cps", {"{{process}}": rate("messages")}),
    Panel(
        "Usable share",
        "Of each source; what cannot be stood behind makes no signal.",
        "percentunit",
        {"{{source}}": f"{USABLE} / {WANTED}"},
    ),
    Panel(
        "Not used",
        "Quotes that arrived and were left out; counters.md has why.",
        "cps",
        {f"{{{{process}}}} {name}": rate(f"skip_{name}") for name in SKIPPED},
    ),
    latency("Exchange to us", "exchange_to_recv", "By the exchange's clock, which may be off."),
    latency("Frame to store", "recv_to_cell", "What decoding and writing takes."),
    Panel("Connections lost", "Not asked for.", "cps", {"{{process}}": rate("disconnects")}),
]
SIGNALS = [
    rates(
        "Signals of the engine",
        "By kind.",
        enter="signals_enter",
        again="signals_resignal",
        exit="signals_exit",
    ),
    rates(
        "Over the threshold, no signal",
        "Why; counters.md says what each means.",
        **{name: f"no_{name}" for name in NO_SIGNAL},
    ),
    latency("Frame to signal", "recv_to_signal", "Of signals that a quote just read made."),
    rates(
        "Opportunities",
        "How they begin and end.",
        opened="opened",
        converged="closed_converged",
        expired="closed_expired",
        stale="closed_stale",
    ),
    latency("Frame to tracker", "recv_to_pop", "Until the tracker holds the signal."),
    rates(
        "Lost",
        "Always zero on a machine that suffices.",
        ring_full="ring_full",
        rows_dropped="rows_dropped",
        not_followed="refused_full",
    ),
]
PROCESSES = [
    Panel(
        "Since the last beat",
        "Over three times heartbeat_ms_max it hangs.",
        "s",
        {"{{process}}": "spread_process_heartbeat_age_seconds"},
        red_from=10,
    ),
    Panel(
        "Started",
        "Within an hour; who starts again and again falls over something.",
        "none",
        {"{{process}}": "increase(spread_process_starts_total[1h])"},
    ),
    rates(
        "Requests to the gateway",
        "By what became of them.",
        asked="requests",
        refused="refused",
        failed="failed",
    ),
    latency("Request to answer", "request_to_answer", "Of the gateway, by itself."),
    latency("Waiting for an answer", "wait_to_answer", "Books, the past, reports, control."),
]
ROWS = {"Now": NOW, "Quotes": QUOTES, "Signals": SIGNALS, "Processes": PROCESSES}


def dashboard() -> dict[str, Any]:
    """As Grafana takes it in."""
    return {
        "uid": UID,
        "title": UID,
        "tags": [UID],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource",
                      "query": "prometheus"}]
        },
        "panels": list(_placed()),
    }  # fmt: skip


def _placed() -> Iterator[dict[str, Any]]:
    """From left to right, row by row."""
    number = top = 0
    for title, panels in ROWS.items():
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {"id": (number := number + 1), "type": "row", "title": title, "gridPos": place,
               "collapsed": False, "panels": []}  # fmt: skip
        left, top = 0, top + 1
        for panel in panels:
            high = 4 if panel.kind == "stat" else 8
            if left + panel.wide > COLUMNS:
                left, top = 0, top + high
            place = {"x": left, "y": top, "w": panel.wide, "h": high}
            yield _drawn(panel, number := number + 1, place)
            left += panel.wide
        top += high


def _drawn(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_from is not None:
        steps.append({"color": "red", "value": panel.red_from})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "gridPos": place,
        "datasource": PROMETHEUS,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0,
                         "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": PROMETHEUS, "expr": expr,
             "legendFormat": legend}
            for at, (legend, expr) in enumerate(panel.asks.items())
        ],
    }  # fmt: skip


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
