"""Does each cell prefer its own image: the confusion matrix, its diagonal, and every cell for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.colors import TwoSlopeNorm
from matplotlib.ticker import MaxNLocator

from inception_loop.closed_loop.matrix import ConfusionMatrix
from inception_loop.report.figures.canvas import COLORS, FAINT, INK, MARKERS, NAMES, Figure, canvas, finish


def confusion_figure(matrix: ConfusionMatrix, *, z_scored: bool) -> Figure:
    """Draw the mean responses, images × cells, both in the order given."""
    values, n = matrix.responses, len(matrix.unit_ids)
    unit = "z-score" if z_scored else "s.d."
    with canvas(4.4, 3.9) as (figure, axes):
        if z_scored:
            limit = float(np.abs(values).max())
            image = axes.imshow(values, cmap="PuOr_r", norm=TwoSlopeNorm(0, -limit, limit))
        else:
            image = axes.imshow(values, cmap="cividis", vmin=min(0.0, float(values.min())))
        axes.set(
            xlabel="recorded cell, by rank",
            ylabel="MEI of cell, by rank",
            title=f"Mean response ({unit})",
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        for side in ("top", "right"):
            axes.spines[side].set_visible(True)
        bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
        bar.ax.spines[:].set_visible(False)
        own, others = np.diag(values), values[~np.eye(n, dtype=bool)]
        alt = (
            f"Confusion matrix of {n} cells and their {n} MEIs, mean responses in {unit}: on the diagonal "
            "(own image) "
            f"{own.mean():.2f} on average, off it {others.mean():.2f}."
        )
        scale = "z-scored over the scan" if z_scored else "divided by the cell's s.d. over the scan"
        caption = f"Responses {scale}. A cell that prefers its own image is brightest on the diagonal."
        if z_scored:
            caption = (
                f"Responses {scale}. A cell that prefers its own image is darkest orange on the diagonal."
            )
        return finish(figure, f"confusion-{'z' if z_scored else 'plain'}", alt, caption)


def diagonal_figure(diagonal: pl.DataFrame, control: str, selected: Sequence[int]) -> Figure:
    """Draw each cell's response to its own MEI against that to its own control image, with s.e.m."""
    chosen = diagonal.filter(pl.col("source_unit_id").is_in(list(selected)))
    others = diagonal.filter(~pl.col("source_unit_id").is_in(list(selected)))
    with canvas(4.2, 4.0) as (figure, axes):
        ends = [
            diagonal[f"{side}_resp"].to_numpy() + sign * diagonal[f"{side}_sem"].fill_null(0).to_numpy()
            for side in ("cnn", "rf")
            for sign in (-1, 1)
        ]
        low, high = float(np.min(ends)), float(np.max(ends))
        margin = 0.05 * (high - low or 1)
        limits = (low - margin, high + margin)
        axes.plot(limits, limits, color=FAINT, lw=1, zorder=0)
        for rows, color, label in (
            (others, FAINT, "truth panel only"),
            (chosen, COLORS["mei"], "selected"),
        ):
            if rows.height:
                axes.errorbar(
                    rows["rf_resp"],
                    rows["cnn_resp"],
                    xerr=rows["rf_sem"].fill_null(0),
                    yerr=rows["cnn_sem"].fill_null(0),
                    fmt="o" if color != FAINT else "D",
                    ms=4.5 if color != FAINT else 3.5,
                    color=color,
                    elinewidth=0.8,
                    label=f"{label} ({rows.height})",
                )
        axes.set(
            xlim=limits,
            ylim=limits,
            aspect="equal",
            xlabel=f"own {NAMES[control]} (z)",
            ylabel="own MEI (z)",
            title=f"Own MEI against own {NAMES[control]}",
        )
        axes.legend(loc="lower right")
        above = chosen.filter(pl.col("diff_resp") > 0).height
        alt = (
            f"Scatter of mean z-scored responses to the own MEI against the own {NAMES[control]}: {above} of "
            f"{chosen.height} selected cells lie above the line of equal responses."
        )
        caption = "One point a cell, bars are ±1 s.e.m. over repeats. Above the line the MEI wins."
        return finish(figure, f"diagonal-{control}", alt, caption)


def preference_figure(summary: pl.DataFrame, selected: Sequence[int], limit: int = 40) -> Figure:
    """Draw, a row for each selected cell, its responses to every MEI and to its own control images."""
    units = list(selected)[:limit]
    rows = summary.filter(pl.col("source_unit_id").is_in(units))
    with canvas(4.4, 1.1 + 0.2 * max(len(units), 4)) as (figure, axes):
        for place, unit in enumerate(units):
            cell = rows.filter(source_unit_id=unit)
            meis = cell.filter(pl.col("image_unit_id").is_in(list(selected)), model_type="cnn")
            others = meis.filter(pl.col("image_unit_id") != unit)["mu_resp"].to_numpy()
            axes.plot(others, np.full(len(others), place), "|", color=FAINT, ms=6, mew=0.9, zorder=1)
            for model, what in (("natural", "natural"), ("linear", "linear"), ("cnn", "mei")):
                own = cell.filter(image_unit_id=unit, model_type=model)["mu_resp"].to_numpy()
                style: dict[str, Any] = {"ms": 5, "zorder": 3} if what == "mei" else {"ms": 4, "zorder": 2}
                axes.plot(own, np.full(len(own), place), MARKERS[what], color=COLORS[what], **style)
        for what in ("mei", "linear", "natural"):
            axes.plot([], [], MARKERS[what], color=COLORS[what], label=f"own {NAMES[what]}")
        axes.plot([], [], "|", color=FAINT, label="MEIs of other cells")
        axes.set(
            ylim=(len(units) - 0.4, -0.6),
            yticks=range(len(units)),
            xlabel="mean response (z)",
            ylabel="selected cell, by rank",
        )
        axes.set_yticklabels([str(place) for place in range(len(units))])
        axes.grid(axis="y", color="#eef0f3", lw=0.8, zorder=0)
        axes.set_axisbelow(True)
        axes.axvline(0, color=INK, lw=0.6, zorder=0)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        best = sum(_own_is_best(rows, unit, selected) for unit in units)
        alt = (
            f"Strip chart, one row for each of {len(units)} selected cells: responses to all MEIs as grey "
            "ticks and to "
            f"the own images as coloured markers. In {best} rows the own MEI lies furthest right."
        )
        cut = (
            ""
            if len(units) == len(selected)
            else f" The first {len(units)} of {len(selected)} cells by rank."
        )
        caption = (
            f"A blue dot right of all grey ticks: the cell prefers its own MEI to everybody else's.{cut}"
        )
        return finish(figure, "preference", alt, caption, tall=len(units) > 16)


def _own_is_best(rows: pl.DataFrame, unit: int, selected: Sequence[int]) -> bool:
    meis = rows.filter(pl.col("image_unit_id").is_in(list(selected)), source_unit_id=unit, model_type="cnn")
    own = meis.filter(image_unit_id=unit)["mu_resp"]
    others = meis.filter(pl.col("image_unit_id") != unit)["mu_resp"]
    return bool(own.len() and (not others.len() or own[0] > others.max()))
