"""Several loops side by side: mean differences with their intervals, and every unit, a panel a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from inception_loop.closed_loop.loop_units import words_of
from inception_loop.closed_loop.statistics.over_loops import OTHERS
from inception_loop.report import words
from inception_loop.report.figures.canvas import COLORS, FAINT, INK, MARKERS, Figure, canvas, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POOLED = {
    "pooled_units": "all units",
    "animals_interval": "animals",
    "animals_mixed": "animals, mixed model",
}
"""End of the key of a statement over all loops → what it is called."""

COLUMNS = 3


def look_of(comparison: str) -> tuple[str, str]:
    """Return colour and marker of a comparison: those of its control image.

    Examples
    --------
    >>> look_of("cnn_linear"), look_of("masked_cnn_others")
    (('#d55e00', 's'), ('#56b4e9', 'h'))
    """
    if comparison.endswith(OTHERS):
        name = "masked_mei" if comparison.startswith("masked") else "mei"
    else:
        name = comparison.removeprefix("masked_").removeprefix("cnn_")
    return COLORS[name], MARKERS[name]


def forest_figure(evidence: pl.DataFrame) -> Figure:
    """Draw the mean difference of every loop, of all units and of the animals, a panel a comparison.

    Parameters
    ----------
    evidence
        Rows of the table ``loops_evidence``.
    """
    comparisons = evidence["comparison"].unique(maintain_order=True).to_list()
    labels = _labels(evidence.filter(comparison=comparisons[0]))
    n_columns = min(COLUMNS, len(comparisons))
    n_rows = -(-len(comparisons) // n_columns)
    size = (2.6 * n_columns + 1.4, (0.24 * len(labels) + 0.85) * n_rows)
    said = []
    with canvas(*size, nrows=n_rows, ncols=n_columns, squeeze=False, sharey=True) as (figure, grid):
        panels = cast(Any, grid).ravel().tolist()
        for place, axes in enumerate(panels):
            axes.set_visible(place < len(comparisons))
        for axes, comparison in zip(panels, comparisons, strict=False):
            rows = _rows(evidence.filter(comparison=comparison))
            _forest(axes, rows, comparison)
            axes.set_title(words_of(comparison).replace(" against ", "\nagainst "), fontsize=8)
            said.append(f"{words_of(comparison)}: {_in_words(rows)}")
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.4, -0.6)
        figure.supxlabel("mean difference own − other (z)", fontsize=9)
        alt = f"Mean differences with 95 % intervals, a row a loop and below all together. {'; '.join(said)}."
        caption = (
            "Bars: 95 % intervals over the units of a loop, over all units within their loops, and, from "
            "five animals on, over animals. Right of the line the own image wins. An open marker has no "
            "interval; the table says why."
        )
        return finish(figure, "loops-forest", alt, caption, tall=len(labels) * n_rows > 14)


def _rows(evidence: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows to draw: the loops, then the statements over all of them."""
    every = list(evidence.iter_rows(named=True))
    found = [row for row in every if row["loop"] is not None]
    for end in POOLED:
        found += [row for row in every if row["key"].endswith(f"_{end}") and row["loop"] is None]
    return found


def _labels(evidence: pl.DataFrame) -> list[str]:
    names = []
    for row in _rows(evidence):
        if row["loop"] is not None:
            names.append(f"loop {row['loop']}, animal {row['animal']}")
        else:
            names.append(next(name for end, name in POOLED.items() if row["key"].endswith(f"_{end}")))
    return names


def _forest(axes: Axes, rows: list[dict[str, Any]], comparison: str) -> None:
    color, marker = look_of(comparison)
    axes.axvline(0, color=FAINT, lw=1, zorder=0)
    for place, row in enumerate(rows):
        style: dict[str, Any] = {"color": INK if row["loop"] is None else color, "zorder": 3}
        if row["value"] is None:
            axes.text(0, place, " not done", fontsize=7, color=INK, va="center", style="italic")
            continue
        known = row["lower"] is not None
        if known:
            axes.plot([row["lower"], row["upper"]], [place, place], lw=1.6, **style)
        shape = "D" if row["loop"] is None else marker
        axes.plot(row["value"], place, shape, ms=5, mfc=style["color"] if known else "white", **style)
    n_loops = sum(row["loop"] is not None for row in rows)
    axes.axhline(n_loops - 0.5, color=FAINT, lw=0.8, ls=":")
    axes.grid(axis="y", color="#eef0f3", lw=0.8, zorder=0)
    axes.set_axisbelow(True)


def _in_words(rows: list[dict[str, Any]]) -> str:
    loops = [row for row in rows if row["loop"] is not None and row["lower"] is not None]
    above, below = (
        sum(ends) for ends in ([row["lower"] > 0 for row in loops], [row["upper"] < 0 for row in loops])
    )
    text = f"interval above 0 in {above} of {len(loops)} loops" + (f", below 0 in {below}" if below else "")
    pooled = next(row for row in rows if row["key"].endswith("_pooled_units"))
    if pooled["value"] is None:
        return text
    return f"{text}, mean over all {pooled['n']} units {words.number(pooled['value'])}"


def units_figure(units: pl.DataFrame, comparison: str) -> Figure:
    """Draw each unit's response to its own image against that to the other, a panel a loop.

    Parameters
    ----------
    units
        Rows of the table ``units``.
    comparison
        Which comparison.
    """
    mine = units.filter(comparison=comparison)
    loops = mine["loop"].unique(maintain_order=True).to_list()
    n_columns = min(COLUMNS, len(loops))
    n_rows = -(-len(loops) // n_columns)
    color, marker = look_of(comparison)
    ends = mine.select("own", "control").to_numpy()
    margin = 0.06 * (float(np.ptp(ends)) or 1.0)
    limits = (float(ends.min()) - margin, float(ends.max()) + margin)
    own, _, other = words_of(comparison).partition(" against ")
    said = []
    shape: dict[str, Any] = {"nrows": n_rows, "ncols": n_columns, "sharex": True, "sharey": True}
    with canvas(2.0 * n_columns + 0.8, 2.15 * n_rows + 0.4, squeeze=False, **shape) as (figure, grid):
        panels = cast(Any, grid).ravel().tolist()
        for place, axes in enumerate(panels):
            axes.set_visible(place < len(loops))
        for axes, loop in zip(panels, loops, strict=False):
            rows = mine.filter(loop=loop)
            axes.plot(limits, limits, color=FAINT, lw=1, zorder=0)
            axes.plot(rows["control"], rows["own"], marker, ms=4, color=color, mec="white", mew=0.4)
            axes.set(xlim=limits, ylim=limits, aspect="equal")
            axes.set_title(f"loop {loop}, animal {rows['animal'][0]}", fontsize=8)
            above = rows.filter(pl.col("own") > pl.col("control")).height
            counted = f"{above} of {rows.height}"
            axes.text(0.97, 0.05, counted, transform=axes.transAxes, fontsize=8, ha="right")
            said.append(f"loop {loop}: {above} of {rows.height} above the line")
        figure.supxlabel(f"response to {other} (z)", fontsize=9)
        figure.supylabel(f"response to {own} (z)", fontsize=9)
        alt = f"{own} against {other}, a point a unit, a panel a loop: {'; '.join(said)}."
        wins = f"Above the line the {own.removeprefix('own ')} wins (how many units: below right)."
        caption = f"One point a unit, the same axes in every panel. {wins}"
        return finish(figure, f"loops-{comparison.replace('_', '-')}", alt, caption, tall=n_rows > 1)


def loops_figures(evidence: pl.DataFrame, units: pl.DataFrame) -> list[Figure]:
    """Draw everything: the forest, then the units of every comparison."""
    comparisons = units["comparison"].unique(maintain_order=True).to_list()
    return [forest_figure(evidence), *(units_figure(units, comparison) for comparison in comparisons)]
