"""Small plots as SVG text: a step curve, paired bars, histograms, values around zero. Pure.

Colours come from the page's variables, so that the plots follow its light and dark scheme.
"""

import math
from collections.abc import Callable, Sequence
from html import escape

from spread_scanner.schema.figures import plain, share

WIDTH, HEIGHT = 420, 236
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 30, 34
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
_EMPTY = "nothing to show yet"


def steps(
    points: Sequence[tuple[float, float]], *, x_label: str, x_text: Callable[[float], str]
) -> str:
    """A falling curve of shares from (0, 1), drawn as steps. The time axis is logarithmic."""
    if not points:
        return _frame(_text(WIDTH / 2, HEIGHT / 2, _EMPTY, "middle"))
    low = 10 ** math.floor(math.log10(max(1.0, min(x for x, _ in points))))
    high = 10 ** math.ceil(math.log10(max(10.0 * low, max(x for x, _ in points))))

    def across(x: float) -> float:
        part = math.log10(max(x, low) / low) / math.log10(high / low)
        return LEFT + INNER_WIDTH * part

    path, before = [f"M{LEFT:.1f},{_up(1.0):.1f}"], 1.0
    for x, part in points:
        path.append(f"L{across(x):.1f},{_up(before):.1f}L{across(x):.1f},{_up(part):.1f}")
        before = part
    path.append(f"L{LEFT + INNER_WIDTH:.1f},{_up(before):.1f}")
    decades = range(round(math.log10(low)), round(math.log10(high)) + 1)
    return _frame(
        _share_axis(),
        *(_below(across(10.0**n), x_text(10.0**n)) for n in decades),
        _text(LEFT + INNER_WIDTH, HEIGHT - 4, x_label, "end"),
        f'<path d="{"".join(path)}" fill="none" stroke="var(--one)" stroke-width="2"/>',
    )


def bars(
    labels: Sequence[str],
    first: Sequence[float | None],
    second: Sequence[float | None],
    *,
    names: tuple[str, str],
) -> str:
    """Two shares per label; a share that is not known has no bar."""
    parts = [_share_axis(), *_legend(names)]
    slot = INNER_WIDTH / max(1, len(labels))
    for number, label in enumerate(labels):
        middle = LEFT + slot * (number + 0.5)
        parts.append(_text(middle, HEIGHT - 18, label, "middle"))
        for side, colour, part in ((-1, "one", first[number]), (1, "two", second[number])):
            x = middle + (-0.34 if side < 0 else 0.02) * slot
            height = INNER_HEIGHT * (part or 0.0)
            if part is not None:
                parts.append(_bar(x, _up(part), 0.32 * slot, height, f"var(--{colour})"))
            said = share(part).removesuffix(" %")
            parts.append(_text(x + 0.16 * slot, _up(part or 0.0) - 3, said, "middle"))
    return _frame(*parts)


def histogram(
    counts: Sequence[int],
    edges: Sequence[float],
    *,
    x_label: str,
    x_text: Callable[[float], str] = lambda value: plain(value, 3),
) -> str:
    """Counts between edges."""
    if not counts:
        return _frame(_text(WIDTH / 2, HEIGHT / 2, _EMPTY, "middle"))
    most = max(1, *counts)
    width = INNER_WIDTH / len(counts)
    parts = []
    for value in (0, most):
        y = _up(value / most)
        parts.append(_line(y))
        parts.append(_text(LEFT - 6, y + 4, f"{value:,}", "end"))
    for number, count in enumerate(counts):
        height = INNER_HEIGHT * count / most
        x, y = LEFT + number * width, _up(count / most)
        parts.append(_bar(x + 0.5, y, max(0.5, width - 1), height, "var(--one)"))
    parts += _three(edges[0], edges[-1], x_text)
    parts.append(_text(LEFT + INNER_WIDTH, HEIGHT - 4, x_label, "end"))
    return _frame(*parts)


def stacked(
    first: Sequence[int],
    second: Sequence[int],
    edges: Sequence[float],
    *,
    names: tuple[str, str],
    x_label: str,
) -> str:
    """Two kinds of counts between the same edges, one on top of the other; a line at zero."""
    if not edges:
        return _frame(_text(WIDTH / 2, HEIGHT / 2, _EMPTY, "middle"))
    most = max(1, *(one + other for one, other in zip(first, second, strict=True)))
    width = INNER_WIDTH / len(first)
    parts = [*_legend(names), _line(_up(0)), _line(_up(1)), _text(LEFT - 6, _up(0) + 4, "0", "end")]
    parts.append(_text(LEFT - 6, _up(1) + 4, f"{most:,}", "end"))
    for number, counts in enumerate(zip(first, second, strict=True)):
        below = 0.0
        for count, colour in zip(counts, ("one", "two"), strict=True):
            part = count / most
            x, y = LEFT + number * width, _up(below + part)
            colours = f"var(--{colour})"
            parts.append(_bar(x + 0.5, y, max(0.5, width - 1), INNER_HEIGHT * part, colours))
            below += part
    if edges[0] < 0 < edges[-1]:
        parts.append(_upright(LEFT + INNER_WIDTH * -edges[0] / (edges[-1] - edges[0])))
    parts += _three(edges[0], edges[-1], lambda value: plain(value, 3))
    parts.append(_text(LEFT + INNER_WIDTH, HEIGHT - 4, x_label, "end"))
    return _frame(*parts)


def values(
    starts: Sequence[float],
    bars_at: Sequence[float | None],
    marks_at: Sequence[float | None],
    *,
    x_text: Callable[[float], str],
    x_label: str,
) -> str:
    """A bar from zero to a value per span, and a mark; a span without one stays empty."""
    found = [value for value in (*bars_at, *marks_at) if value is not None]
    if not found:
        return _frame(_text(WIDTH / 2, HEIGHT / 2, _EMPTY, "middle"))
    low, high = min(0.0, *found), max(0.0, *found)
    high = high if high > low else low + 1.0

    def up(value: float) -> float:
        return _up((value - low) / (high - low))

    parts = []
    for value in sorted({low, 0.0, high}):
        parts += [_line(up(value)), _text(LEFT - 6, up(value) + 4, plain(value, 3), "end")]
    width = INNER_WIDTH / len(starts)
    for number, (bar, mark) in enumerate(zip(bars_at, marks_at, strict=True)):
        x = LEFT + number * width
        if bar is not None:
            top, bottom = up(max(bar, 0.0)), up(min(bar, 0.0))
            height = max(0.5, bottom - top)
            parts.append(_bar(x + 0.5, top, max(0.5, width - 1), height, "var(--one)"))
        if mark is not None:
            parts.append(_bar(x + 0.5, up(mark) - 1, max(0.5, width - 1), 2, "var(--two)"))
    parts += _three(starts[0], starts[-1], x_text)
    parts.append(_text(LEFT + INNER_WIDTH, HEIGHT - 4, x_label, "end"))
    return _frame(*parts)


def _three(low: float, high: float, said: Callable[[float], str]) -> list[str]:
    """The ends and the middle of the axis below."""
    return [
        _text(LEFT + part * INNER_WIDTH, HEIGHT - 18, said(low + part * (high - low)), anchor)
        for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    ]


def _up(share: float) -> float:
    """The height of a share, from 0 at the bottom line to 1 at the top line."""
    return TOP + INNER_HEIGHT * (1 - share)


def _share_axis() -> str:
    parts = []
    for percent in (0, 25, 50, 75, 100):
        y = _up(percent / 100)
        parts.append(_line(y))
        parts.append(_text(LEFT - 6, y + 4, f"{percent} %", "end"))
    return "".join(parts)


def _legend(names: tuple[str, str]) -> list[str]:
    parts, x = [], float(LEFT)
    for name, colour in zip(names, ("one", "two"), strict=True):
        parts.append(_bar(x, 2, 9, 9, f"var(--{colour})"))
        parts.append(_text(x + 13, 11, name, "start"))
        x += 30 + 6.0 * len(name)
    return parts


def _line(y: float) -> str:
    x = LEFT + INNER_WIDTH
    return f'<line x1="{LEFT}" y1="{y:.1f}" x2="{x}" y2="{y:.1f}" stroke="var(--line)"/>'


def _upright(x: float) -> str:
    return (
        f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + INNER_HEIGHT}" '
        'stroke="var(--soft)" stroke-dasharray="3 3"/>'
    )


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _below(x: float, text: str) -> str:
    """At the axis; what stands at its right end has no room beyond it."""
    return _text(x, HEIGHT - 18, text, "end" if x >= LEFT + INNER_WIDTH else "middle")


def _frame(*parts: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'
