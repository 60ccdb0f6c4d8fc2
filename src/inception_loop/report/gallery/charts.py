"""Small charts of one unit, laid out once and written as compact SVG or drawn into a panel.

A gallery has hundreds of them: each is a few lines of text, made in well under a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from inception_loop.report.gallery.kinds import Look
from inception_loop.report.words import MINUS

Floats = npt.NDArray[np.floating]
Point = tuple[float, float]
WIDTH, HEIGHT = 300.0, 168.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 30.0, 28.0, 16.0, 30.0
_APART = 10.0  # px between the marks of two lines
_TOGETHER = 24.0  # px: marks of lines that end within are one below the other
LEADER = 9.0  # px from the end of the rightmost of such lines to their marks


@dataclass(frozen=True)
class Line:
    """Activation of one kind of image along something."""

    look: Look
    x: Floats
    y: Floats


@dataclass(frozen=True)
class Chart:
    """A chart, laid out in a box of `WIDTH` by `HEIGHT`, y downwards.

    Attributes
    ----------
    paths : look and points of every line
    marks : where the number of each line stands, and where its line ends
    x_ticks, y_ticks : place and text
    x_label, y_label : of the axes
    at : x of the upright line, if there is one
    """

    paths: tuple[tuple[Look, tuple[Point, ...]], ...]
    marks: tuple[tuple[Look, Point, Point], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str
    y_label: str
    at: float | None = None

    left, right = _LEFT, WIDTH - _RIGHT
    top, bottom = _TOP, HEIGHT - _BOTTOM


def chart(lines: Sequence[Line], x_label: str, y_label: str = "activation", at: float | None = None) -> Chart:
    """Lay lines out; both axes begin at 0 or below.

    Parameters
    ----------
    lines
        What is drawn, at least one.
    x_label, y_label
        Of the axes.
    at
        An x that is marked by an upright line.
    """
    y_ticks = _ticks(*_span([line.y for line in lines]))
    low, high = _span([line.x for line in lines])
    place_x = _scale(low, high, Chart.left, Chart.right)
    place_y = _scale(y_ticks[0], y_ticks[-1], Chart.bottom, Chart.top)
    paths = tuple(
        (line.look, tuple((place_x(x), place_y(y)) for x, y in zip(line.x, line.y, strict=True)))
        for line in lines
    )
    return Chart(
        paths=paths,
        marks=_apart([(look, points[-1]) for look, points in paths]),
        x_ticks=tuple((place_x(tick), _text(tick)) for tick in _ticks(low, high) if low <= tick <= high),
        y_ticks=tuple((place_y(tick), _text(tick)) for tick in y_ticks),
        x_label=x_label,
        y_label=y_label,
        at=None if at is None else place_x(at),
    )


def svg(of: Chart, alt: str) -> Markup:
    """Return a chart as inline SVG."""
    ticks = [f'<path class="a" d="M{of.left:.0f} {of.top:.0f}V{of.bottom:.0f}H{of.right:.0f}"/>']
    for x, text in of.x_ticks:
        ticks.append(f'<text x="{x:.0f}" y="{of.bottom + 12:.0f}" text-anchor="middle">{text}</text>')
    for y, text in of.y_ticks:
        ticks.append(f'<text x="{of.left - 4:.0f}" y="{y + 3.5:.0f}" text-anchor="end">{text}</text>')
    ticks.append(f'<text x="{of.left - 4:.0f}" y="{of.top - 7:.0f}">{escape(of.y_label)}</text>')
    middle = (of.left + of.right) / 2
    ticks.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 4:.0f}" text-anchor="middle">{escape(of.x_label)}</text>'
    )
    if of.at is not None:
        ticks.append(f'<path class="s" d="M{of.at:.1f} {of.top:.0f}V{of.bottom:.0f}"/>')
    lines = [
        f'<path d="{_path(points)}" stroke="{look.color}"'
        + (f' stroke-dasharray="{look.dash}"' if look.dash else "")
        + "/>"
        for look, points in of.paths
    ]
    marks = [
        f'<path class="l" d="M{u:.0f} {v:.0f}L{x:.0f} {y:.0f}" stroke="{look.color}"/>'
        f'<text class="m" x="{x + 1:.0f}" y="{y + 3.5:.0f}" fill="{look.color}">{look.mark}</text>'
        for look, (x, y), (u, v) in of.marks
    ]
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(alt)}">'
        f"{''.join(ticks + lines + marks)}</svg>"
    )


def cut(line: Line, end: float) -> Line:
    """Return a line as far as an x.

    Examples
    --------
    >>> look = Look("mei", "MEI", "1", "#000000", "")
    >>> one = cut(Line(look, np.array([0.0, 2.0, 4.0]), np.array([0.0, 1.0, 3.0])), 3.0)
    >>> one.x.tolist(), one.y.tolist()
    ([0.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    """
    x = np.append(line.x[line.x < end], min(end, line.x[-1]))
    return Line(line.look, x, np.interp(x, line.x, line.y))


def bar_ends(value: float, low: float, high: float) -> Point:
    """Return where the bar of a value begins and ends, of a hundred; ``low`` is 0 or below.

    Examples
    --------
    >>> bar_ends(5.0, 0.0, 10.0), bar_ends(-1.0, -2.0, 2.0)
    ((0.0, 50.0), (25.0, 50.0))
    """
    zero, end = (100 * (at - low) / (high - low) if high > low else 0.0 for at in (0.0, value))
    return min(zero, end), max(zero, end)


def bar_svg(value: float, low: float, high: float) -> Markup:
    """Return a lying bar as inline SVG, in the colour of the text around it."""
    start, end = bar_ends(value, low, high)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="M{start:.1f} 0H{max(end, start + 0.6):.1f}V6H{start:.1f}z"/></svg>'
    )


def _span(values: Sequence[Floats]) -> Point:
    low = min(0.0, *(float(np.min(one)) for one in values))
    high = max(float(np.max(one)) for one in values)
    return low, high if high > low else low + 1.0


def _ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers from below ``low`` to above ``high``.

    Examples
    --------
    >>> _ticks(0.0, 3.3), _ticks(-0.2, 1.0)
    ([0.0, 1.0, 2.0, 3.0, 4.0], [-0.5, 0.0, 0.5, 1.0])
    """
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 12) for number in range(first, last + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return what places a value between ``low`` and ``high`` on an axis from ``start`` to ``end``."""
    gain = (end - start) / (high - low)
    return lambda value: start + (float(value) - low) * gain


def _text(tick: float) -> str:
    return f"{tick:g}".replace("-", MINUS)


def _path(points: Sequence[Point]) -> str:
    """Return a path by steps from point to point, tenths of a px."""
    whole = [(round(10 * x), round(10 * y)) for x, y in points]
    steps = [(x - a, y - b) for (a, b), (x, y) in pairwise(whole)]
    start = f"M{whole[0][0] / 10:g} {whole[0][1] / 10:g}"
    return start + "".join(f"l{x / 10:g} {y / 10:g}" for x, y in steps)


def _apart(ends: Sequence[tuple[Look, Point]]) -> tuple[tuple[Look, Point, Point], ...]:
    """Place marks right of their lines' ends, those of neighbours in a column, none on another."""
    columns: list[list[tuple[Look, Point]]] = []
    for look, end in sorted(ends, key=lambda one: one[1][0]):
        if not columns or end[0] - columns[-1][0][1][0] > _TOGETHER:
            columns.append([])
        columns[-1].append((look, end))
    placed = []
    for column in columns:
        column.sort(key=lambda one: one[1][1])
        x = max(end[0] for _, end in column)
        for (look, end), y in zip(column, spread([end[1] for _, end in column], _APART), strict=True):
            placed.append((look, (x + LEADER, y), end))
    return tuple(placed)


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Move ascending places until they are so far apart, each as little as the others allow, within a chart.

    Examples
    --------
    >>> spread([50.0, 51.0, 90.0], 10.0)
    [45.5, 55.5, 90.0]
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _first(blocks[-1], apart) < _first(blocks[-2], apart) + apart * len(
            blocks[-2]
        ):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return [_first(block, apart) + apart * nth for block in blocks for nth in range(len(block))]


def _first(block: Sequence[float], apart: float) -> float:
    """Return where the first of a block of places stands, evenly spaced about their own middle."""
    high = (len(block) - 1) * apart
    start = sum(block) / len(block) - high / 2
    return max(min(start, Chart.bottom - high), Chart.top)
