"""The report as one self-contained page: tables, and plots as inline SVG. Pure text from numbers.

No script, no font, no image from elsewhere: the page can be mailed and opened years later.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.figures import plain
from spread_scanner.schema.opportunities import SIMULATED
from spread_scanner.tracker.plots import bars, histogram, steps
from spread_scanner.tracker.report import DEFINITIONS, Group, Report, StoodAfter

PAIRS_SHOWN = 100
LIFE_HEADINGS = (
    "opened",
    "open",
    "converged",
    "stale",
    "expired",
    "gap / retired",
    "half-life",
    "median life",
    "signal half-life",
)
WORTH_HEADINGS = (
    "gross bps",
    "net bps",
    "peak net bps",
    "size",
    "stands 50 ms",
    "stands 100 ms",
    "stands 250 ms",
    "stands 500 ms",
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #fff;
  --panel: #f6f8fa; --one: #0969da; --two: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #30363d;
  --paper: #0d1117; --panel: #161b22; --one: #58a6ff; --two: #d9a03f; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1280px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.simulated { border: 2px solid var(--two); border-radius: 8px; padding: .5rem 1rem; }
p.soft, dd, figcaption { color: var(--soft); } dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: .6rem 1rem; min-width: 8.5rem; }
.tile b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.plots { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: .75rem; } figcaption { font-size: .85rem; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 10px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { padding: .3rem .4rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
table.narrow { width: auto; } th:first-child, td:first-child { text-align: left; }
"""


def page(made: Report) -> str:
    """The whole page."""
    total = made.total
    body = [
        "<h1>Spread opportunities</h1>",
        f'<p class="soft">Opened {escape(period(made))}</p>',
        *(f'<p class="simulated">{escape(text)}</p>' for text in simulated(made)),
        _tiles(made),
        _plots(made),
        "<h2>By direction</h2>",
        _table([total, *made.directions]),
        f"<h2>By pair{_of(len(made.pairs))}</h2>",
        _table(made.pairs[:PAIRS_SHOWN]),
        "<h2>How far to trust this</h2>",
        _plain_table(quality_rows(made)),
        "<h2>What the words mean</h2>",
        "<dl>",
        *(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in DEFINITIONS.items()),
        "</dl>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Spread opportunities</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _of(count: int) -> str:
    return f" (the {PAIRS_SHOWN} most frequent of {count})" if count > PAIRS_SHOWN else ""


def _tiles(made: Report) -> str:
    total, quality = made.total, made.quality
    at = {standing.after_ms: standing for standing in total.standing}
    tiles = [
        (f"{total.opportunities:,}", "opportunities"),
        (f"{total.left_open:,}", "of them still open"),
        (duration(total.half_life_ms), "half-life"),
        (duration(total.signal_half_life_ms), "signal half-life"),
        (bps(total.entry_net_bps_median), "median net at entry"),
        (share(at[100].share_not_negative), "net not negative after 100 ms"),
        (share(at[500].share_not_negative), "net not negative after 500 ms"),
        (f"{quality.missed:,}", "grid points missed"),
    ]
    items = (
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in tiles
    )
    return f'<div class="tiles">{"".join(items)}</div>'


def _plots(made: Report) -> str:
    standing = made.total.standing
    figures = [
        (
            steps(made.curve, x_label="after the opening signal", x_text=duration),
            "Share not yet converged. Lives that were not followed to their end count as long as "
            "they were seen.",
        ),
        (
            bars(
                [f"{s.after_ms} ms" for s in standing],
                [s.share_not_negative for s in standing],
                [s.share_over_enter for s in standing],
                names=("net at least 0", "net at least the enter threshold"),
            ),
            f"Still standing after the opening signal, of the looks taken ({_taken(standing)}).",
        ),
        (
            histogram(made.entry_net_bps.counts, made.entry_net_bps.edges, x_label="bps"),
            "Net spread at the opening signal.",
        ),
        (
            histogram(made.opened_s.counts, made.opened_s.edges, x_label="UTC", x_text=_clock),
            "Opportunities opened over time.",
        ),
    ]
    items = (
        f"<figure>{svg}<figcaption>{escape(text)}</figcaption></figure>" for svg, text in figures
    )
    return f'<div class="plots">{"".join(items)}</div>'


def _taken(standing: Sequence[StoodAfter]) -> str:
    return ", ".join(f"{s.taken:,} of {s.taken + s.missing:,}" for s in standing)


def _table(groups: Iterable[Group]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *LIFE_HEADINGS, *WORTH_HEADINGS))
    lines = ([name_of(group), *life_cells(group), *worth_cells(group)] for group in groups)
    rows = (
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines
    )
    body = "".join(rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _plain_table(rows: Iterable[tuple[str, str]]) -> str:
    lines = (f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="narrow">{"".join(lines)}</table>'


def name_of(group: Group) -> str:
    """What a group is called."""
    return " ".join(part for part in (group.direction, group.symbol) if part) or "all"


def life_cells(group: Group) -> list[str]:
    """How many there were and how long they lived, under LIFE_HEADINGS."""
    closed = group.closed
    return [
        f"{group.opportunities:,}",
        f"{group.left_open:,}",
        f"{closed['converged']:,}",
        f"{closed['stale']:,}",
        f"{closed['expired']:,}",
        f"{closed['gap'] + closed['retired']:,}",
        duration(group.half_life_ms),
        duration(group.life_ms_median),
        duration(group.signal_half_life_ms),
    ]


def worth_cells(group: Group) -> list[str]:
    """What they were worth, medians, and the share not negative later, under WORTH_HEADINGS."""
    return [
        bps(group.entry_gross_bps_median),
        bps(group.entry_net_bps_median),
        bps(group.peak_net_bps_median),
        "-" if group.size_quote_median is None else f"{group.size_quote_median:,.0f}",
        *(share(standing.share_not_negative) for standing in group.standing),
    ]


def quality_rows(made: Report) -> list[tuple[str, str]]:
    """What limits the numbers, by name."""
    quality = made.quality
    totals = quality.run_totals
    looks = made.total.standing
    return [
        ("samples taken", f"{quality.samples:,}"),
        ("samples late", f"{quality.late:,}"),
        ("grid points missed", f"{quality.missed:,}"),
        ("samples with a leg that could not be stood behind", f"{quality.lost:,}"),
        ("looks after the signal that are missing", f"{sum(look.missing for look in looks):,}"),
        ("gaps in which the tracker was away", f"{quality.gaps:,}, {duration(quality.gap_ms)}"),
        ("opportunities with unknown funding", f"{quality.funding_unknown:,}"),
        ("opportunities still open", f"{quality.left_open:,}"),
        ("older opportunities of the period, left out", f"{quality.left_out:,}"),
        ("runs of the tracker in the period", f"{quality.runs:,}"),
        *(
            (text, f"{totals.get(label, 0):,}")
            for label, text in (
                ("signals", "signals taken, in those runs"),
                ("refused_full", "signals not followed: too many open"),
                ("refused_unknown", "signals not followed: pair not in the tables"),
                ("signal_gaps", "signals that never arrived"),
                ("rows_dropped", "rows lost while the database could not be written"),
                ("commit_failures", "transactions that had to be tried again"),
            )
        ),
    ]


def simulated(made: Report) -> list[str]:
    """That what was tracked is no market's, in a sentence; none where it is one's."""
    runs, pretended = made.quality.runs, made.quality.run_totals.get(SIMULATED, 0)
    if not pretended:
        return []
    which = "All" if pretended == runs else f"{pretended:,} of {runs:,}"
    return [f"Simulated: {which} runs of the tracker in the period followed a pretended market."]


def period(made: Report) -> str:
    """From when to when, UTC."""
    until = _moment(made.until_ns)
    return f"{_moment(made.since_ns)} to {until} UTC" if made.since_ns else f"up to {until} UTC"


def _moment(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _clock(ts_s: float) -> str:
    return datetime.fromtimestamp(ts_s, UTC).strftime("%d. %H:%M:%S")


def duration(ms: float | None) -> str:
    """A time a person can read."""
    if ms is None:
        return "-"
    for limit, unit_ms, unit in ((1e3, 1, "ms"), (60e3, 1e3, "s"), (3.6e6, 60e3, "min")):
        if ms < limit:
            return f"{plain(ms / unit_ms, 3)} {unit}"
    return f"{plain(ms / 3.6e6, 3)} h"


def bps(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
