"""The report as one self-contained page: tables, and plots as inline SVG. Pure text from numbers.

No script, no font, no image from elsewhere: the page can be mailed and opened years later.
"""

from collections.abc import Iterable, Sequence
from html import escape

from spread_scanner.schema.figures import amount, share
from spread_scanner.tracker import report_text as text
from spread_scanner.tracker.earnings import ALL, TimeSlice
from spread_scanner.tracker.plots import bars, histogram, stacked, steps, values
from spread_scanner.tracker.report import DEFINITIONS, Group, Report

PAIRS_SHOWN = 100

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
.plots { display: grid; gap: 1rem; margin-top: 1rem;
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
        f'<p class="soft">Opened {escape(text.period(made))}</p>',
        *(f'<p class="simulated">{escape(line)}</p>' for line in text.simulated(made)),
        _tiles(made),
        "<h2>What a trade would have earned, bps</h2>",
        _table(text.OUTCOME_HEADINGS, text.outcome_lines(total), narrow=True),
        *(f'<p class="soft">{escape(line)}</p>' for line in text.money_sentences(made)),
        *(
            ("<h2>By size, in the quote coin</h2>", _table(text.SIZE_HEADINGS, sizes, narrow=True))
            if (sizes := text.size_lines(total))
            else ()
        ),
        "<h2>Still standing after</h2>",
        _table(text.STANDING_HEADINGS, text.standing_lines(total), narrow=True),
        _plots(made),
        "<h2>By direction</h2>",
        _groups([total, *made.directions]),
        f"<h2>By pair{_of(len(made.pairs))}</h2>",
        _groups(made.pairs[:PAIRS_SHOWN]),
        "<h2>How far to trust this</h2>",
        _table((), text.quality_rows(made), narrow=True),
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
    total = made.total
    every = total.outcomes.get(ALL)
    after = {standing.after_ms: standing for standing in total.standing}
    tiles = [
        (f"{total.opportunities:,}", "opportunities"),
        (f"{total.money.events:,}", "events"),
        (text.bps(total.entry_net_bps_median), "median net at entry, bps"),
        (text.bps(every.median_bps if every else None), "median result of all, bps"),
        (share(every.share_positive if every else None), "results above 0"),
        (amount(total.money.per_day_quote), f"{text.coins_of(made)} a day"),
        (text.duration(total.half_life_ms), "half-life"),
        (share(after[100].share_over_enter), "still over enter after 100 ms"),
    ]
    items = (
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in tiles
    )
    return f'<div class="tiles">{"".join(items)}</div>'


def _plots(made: Report) -> str:
    standing, spread = made.total.standing, made.realised_bps
    figures = [
        (
            stacked(
                *(spread.converged, spread.others, spread.edges),
                names=("converged", "all others, marked"),
                x_label="bps",
            ),
            "What closing realised, or would have at the last usable look.",
        ),
        (
            values(*_over(made.over_time), x_text=text.clock_of, x_label="UTC"),
            "Results over time: the median of what was opened in each span, a mark at the mean.",
        ),
        (
            values(*_over(made.by_hour), x_text=_hour, x_label="hour of the day, UTC"),
            "Results by the hour of opening: the median, a mark at the mean.",
        ),
        (
            bars(
                [f"{s.after_ms} ms" for s in standing],
                [s.share_not_negative for s in standing],
                [s.share_over_enter for s in standing],
                names=("net at least 0", "net at least the enter threshold"),
            ),
            "Still standing after the opening signal, of the looks that count "
            f"({text.taken(standing)}).",
        ),
        (
            steps(made.curve, x_label="after the opening signal", x_text=text.duration),
            "Share not yet converged. Lives that were not followed to their end count as long as "
            "they were seen.",
        ),
        (
            histogram(made.entry_net_bps.counts, made.entry_net_bps.edges, x_label="bps"),
            "Net spread at the opening signal.",
        ),
        (
            histogram(
                made.opened_s.counts, made.opened_s.edges, x_label="UTC", x_text=text.clock_of
            ),
            "Opportunities opened over time.",
        ),
    ]
    items = (
        f"<figure>{svg}<figcaption>{escape(said)}</figcaption></figure>" for svg, said in figures
    )
    return f'<div class="plots">{"".join(items)}</div>'


def _over(
    slices: Sequence[TimeSlice],
) -> tuple[list[float], list[float | None], list[float | None]]:
    """Where each slice begins, its median and its mean."""
    return (
        [one.start_s for one in slices],
        [one.median_bps for one in slices],
        [one.mean_bps for one in slices],
    )


def _hour(seconds: float) -> str:
    return f"{seconds / 3_600:.0f}"


def _groups(groups: Iterable[Group]) -> str:
    headings = (*text.WORTH_HEADINGS, *text.LIFE_HEADINGS)
    lines = (
        [text.name_of(group), *text.worth_cells(group), *text.life_cells(group)] for group in groups
    )
    return _table(headings, lines)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]], *, narrow: bool = False) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *headings)) if headings else ""
    rows = (
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines
    )
    kind = ' class="narrow"' if narrow else ""
    top = f"<tr>{head}</tr>" if head else ""
    return f'<div class="scroll"><table{kind}>{top}{"".join(rows)}</table></div>'
