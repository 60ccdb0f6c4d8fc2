"""Does each cell prefer its own image: the confusion matrix, its diagonal, and every cell for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from inception_loop.closed_loop.diagonal import Control
from inception_loop.closed_loop.matrix import ConfusionMatrix, confusion_matrix
from inception_loop.report import words
from inception_loop.report.closed_loop.names import PICTURES, compared_names
from inception_loop.report.figures.canvas import (
    COLORS,
    FAINT,
    INK,
    MARKERS,
    NAMES,
    Figure,
    canvas,
    finish,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNIFICANT = 0.05
"""Units with a smaller q-value are drawn as filled markers."""


def confusion_figure(matrix: ConfusionMatrix, *, z_scored: bool) -> Figure:
    """Draw the mean responses to MEIs, images × cells, both in the order given."""
    values = matrix.responses
    unit = "z-score" if z_scored else "s.d."
    with canvas(4.4, 3.9) as (figure, axes):
        if z_scored:
            image = _z_matrix(axes, values, float(np.abs(values).max()))
        else:
            image = axes.imshow(values, cmap="cividis", vmin=min(0.0, float(values.min())))
        axes.set(
            xlabel="recorded cell, by rank",
            ylabel="MEI of cell, by rank",
            title=f"Mean response ({unit})",
        )
        _matrix_axes(axes)
        bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
        bar.ax.spines[:].set_visible(False)
        n = len(matrix.unit_ids)
        alt = (
            f"Confusion matrix of {n} cells and their {n} MEIs, mean responses in {unit}: on the diagonal "
            f"(own image) {_own_and_others(values)}."
        )
        scale = "z-scored over the scan" if z_scored else "divided by the cell’s s.d. over the scan"
        how = "darkest orange" if z_scored else "brightest"
        caption = (
            f"Responses {scale}; cells in the order of their rank. A cell that prefers its own image is "
            f"{how} on the diagonal."
        )
        return finish(figure, f"confusion-{'z' if z_scored else 'plain'}", alt, caption)


def control_confusions_figure(matrices: dict[str, ConfusionMatrix], limit: float) -> Figure:
    """Draw the confusion matrices of the other kinds of image side by side, in z-scores.

    Parameters
    ----------
    matrices
        ``model_type`` → its matrix.
    limit
        End of the colour scale, that of the MEIs, so that the kinds compare.
    """
    n_columns = min(len(matrices), 2)
    n_rows = -(-len(matrices) // n_columns)
    with canvas(2.3 * n_columns + 0.9, 2.45 * n_rows, nrows=n_rows, ncols=n_columns, squeeze=False) as found:
        figure, grid = found
        every = cast(Any, grid).ravel().tolist()
        for place, axes in enumerate(every):
            axes.set_visible(place < len(matrices))
        said, image = [], None
        for axes, (model, matrix) in zip(every, matrices.items(), strict=False):
            image = _z_matrix(axes, matrix.responses, limit)
            name = NAMES[PICTURES[model]]
            axes.set_title(name[0].upper() + name[1:], fontsize=8.5)
            _matrix_axes(axes, 4)
            said.append(f"{name} {_own_and_others(matrix.responses)} (n = {len(matrix.unit_ids)})")
        for row in cast(Any, grid):
            row[0].set_ylabel("image of cell")
        for axes in every[max(0, len(matrices) - n_columns) : len(matrices)]:
            axes.set_xlabel("recorded cell")
        if image is not None:
            bar = figure.colorbar(image, ax=every, shrink=0.7, pad=0.02, label="mean response (z)")
            bar.ax.spines[:].set_visible(False)
        alt = f"Confusion matrices of the other kinds of image, on the diagonal: {'; '.join(said)}."
        caption = (
            "The same cells and colours as for the MEIs, z-scored. The darker the diagonal, the better these "
            "images drive their cells."
        )
        return finish(figure, "confusion-controls", alt, caption, tall=n_rows > 2)


def _z_matrix(axes: Axes, values: np.ndarray, limit: float) -> Any:
    from matplotlib.colors import TwoSlopeNorm

    limit = limit or 1.0
    return axes.imshow(values, cmap="PuOr_r", norm=TwoSlopeNorm(0, -limit, limit))


def _matrix_axes(axes: Axes, bins: int = 6) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        whole_numbers(axis, bins)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)


def _own_and_others(values: np.ndarray) -> str:
    own, others = np.diag(values), values[~np.eye(len(values), dtype=bool)]
    return f"{words.number(own.mean())} on average, off it {words.number(others.mean())}"


def diagonal_figure(diagonal: pl.DataFrame) -> Figure:
    """Draw each cell's response to its own image against that to its own control, with s.e.m.

    Parameters
    ----------
    diagonal
        Rows of the table ``diagonal`` of one control.
    """
    control = cast(Control, diagonal["control"][0])
    own_name, control_name = compared_names(control)
    chosen = diagonal.filter(pl.col("rank").is_not_null())
    others = diagonal.filter(pl.col("rank").is_null())
    with canvas(4.2, 4.2) as (figure, axes):
        ends = [
            diagonal[f"{side}_mean"].to_numpy() + sign * diagonal[f"{side}_sem"].fill_null(0).to_numpy()
            for side in ("own", "control")
            for sign in (-1, 1)
        ]
        low, high = float(np.min(ends)), float(np.max(ends))
        margin = 0.05 * (high - low or 1)
        limits = (low - margin, high + margin)
        axes.plot(limits, limits, color=FAINT, lw=1, zorder=0)
        for rows, color, marker, label in (
            (others, FAINT, "D", "truth panel only"),
            (chosen, COLORS["mei" if own_name == "own MEI" else "masked_mei"], "o", "selected"),
        ):
            if rows.height:
                _points(axes, rows, color, marker, f"{label} ({rows.height})")
        if chosen["q_value"].count():
            sure = chosen.filter(pl.col("q_value") <= SIGNIFICANT)
            color = COLORS["mei" if own_name == "own MEI" else "masked_mei"]
            label = f"by its own trials, q ≤ {SIGNIFICANT:g} ({sure.height})"
            axes.plot(sure["control_mean"], sure["own_mean"], "o", ms=4.5, color=color, zorder=4, label=label)
        axes.set(
            xlim=limits,
            ylim=limits,
            aspect="equal",
            xlabel=f"{control_name} (z)",
            ylabel=f"{own_name} (z)",
            title=f"{own_name[0].upper()}{own_name[1:]} against\n{control_name}",
        )
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return finish(figure, f"diagonal-{control}", *_diagonal_words(chosen, own_name, control_name))


def _points(axes: Axes, rows: pl.DataFrame, color: str, marker: str, label: str) -> None:
    axes.errorbar(
        rows["control_mean"],
        rows["own_mean"],
        xerr=rows["control_sem"].fill_null(0),
        yerr=rows["own_sem"].fill_null(0),
        fmt=marker,
        ms=4.5 if marker == "o" else 3.5,
        mfc="white",
        mec=color,
        mew=1.1,
        ecolor=color,
        elinewidth=0.8,
        label=label,
    )


def _diagonal_words(chosen: pl.DataFrame, own: str, control: str) -> tuple[str, str]:
    above = chosen.filter(pl.col("difference") > 0).height
    alt = (
        f"Scatter of mean z-scored responses to the {own} against the {control}: {above} of "
        f"{chosen.height} selected cells lie above the line of equal responses"
    )
    if chosen.height:
        alt += f"; the mean difference is {words.number(cast(float, chosen['difference'].mean()))} z"
    tested = chosen.filter(pl.col("q_value").is_not_null())
    if tested.height:
        sure = tested.filter(pl.col("q_value") <= SIGNIFICANT)
        more = sure.filter(pl.col("difference") > 0).height
        alt += f"; by its own trials {more} answer more to the {own}, {sure.height - more} less"
    caption = (
        f"One point a cell, bars ±1 s.e.m. over repeats. Above the line the {own.removeprefix('own ')} wins."
    )
    if tested.height:
        caption += f" Filled: the cell’s own trials differ (permutation, q ≤ {SIGNIFICANT:g})."
    return f"{alt}.", caption


def preference_figure(confusion: pl.DataFrame, limit: int = 40) -> Figure:
    """Draw, a row for each selected cell, its responses to every MEI and to its own control images.

    Parameters
    ----------
    confusion
        Rows of the table ``confusion``.
    limit
        Cells at most.
    """
    cells = confusion.drop_nulls("rank")
    units = cells.select("source_unit_id", "rank").unique().sort("rank")["source_unit_id"].to_list()
    shown = units[:limit]
    with canvas(4.4, 1.3 + 0.2 * max(len(shown), 4)) as (figure, axes):
        for place, unit in enumerate(shown):
            cell = cells.filter(source_unit_id=unit)
            others = _other_meis(cell, unit)
            axes.plot(others, np.full(len(others), place), "|", color=FAINT, ms=6, mew=0.9, zorder=1)
            for model, what in (
                ("gabor", "gabor"),
                ("natural", "natural"),
                ("linear", "linear"),
                ("cnn", "mei"),
            ):
                own = cell.filter(image_unit_id=unit, model_type=model)["z_mean"].to_numpy()
                style: dict[str, Any] = {"ms": 5, "zorder": 3} if what == "mei" else {"ms": 4, "zorder": 2}
                axes.plot(own, np.full(len(own), place), MARKERS[what], color=COLORS[what], **style)
        known = set(cells["model_type"])
        for model, what in PICTURES.items():
            if model in known and what in ("mei", "linear", "natural", "gabor"):
                axes.plot([], [], MARKERS[what], color=COLORS[what], label=f"own {NAMES[what]}")
        axes.plot([], [], "|", color=FAINT, label="MEIs of other cells")
        axes.set(
            ylim=(len(shown) - 0.4, -0.6),
            yticks=range(len(shown)),
            xlabel="mean response (z)",
            ylabel="selected cell, by rank",
        )
        axes.set_yticklabels([str(place) for place in range(len(shown))])
        axes.grid(axis="y", color="#eef0f3", lw=0.8, zorder=0)
        axes.set_axisbelow(True)
        axes.axvline(0, color=INK, lw=0.6, zorder=0)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        best = sum(_own_is_best(cells.filter(source_unit_id=unit), unit) for unit in shown)
        alt = (
            f"Strip chart, one row for each of {len(shown)} selected cells: responses to all MEIs as grey "
            f"ticks and to the own images as coloured markers. In {best} rows the own MEI lies right of the "
            "MEIs of all other cells."
        )
        cut = "" if len(shown) == len(units) else f" The first {len(shown)} of {len(units)} cells by rank."
        caption = (
            f"A blue dot right of all grey ticks: the cell prefers its own MEI to everybody else’s.{cut}"
        )
        return finish(figure, "preference", alt, caption, tall=len(shown) > 16)


def _other_meis(cell: pl.DataFrame, unit: int) -> np.ndarray:
    meis = cell.filter(pl.col("image_rank").is_not_null(), model_type="cnn")
    return meis.filter(pl.col("image_unit_id") != unit)["z_mean"].to_numpy()


def _own_is_best(cell: pl.DataFrame, unit: int) -> bool:
    own, others = cell.filter(image_unit_id=unit, model_type="cnn")["z_mean"], _other_meis(cell, unit)
    return bool(own.len() and own[0] > others.max(initial=-np.inf))


def matrices_of(confusion: pl.DataFrame, units: Sequence[int]) -> dict[str, ConfusionMatrix]:
    """Return the z-scored confusion matrix of every kind of image that has one, in the order of display.

    Parameters
    ----------
    confusion
        Rows of the table ``confusion``.
    units
        Units in the order wanted.
    """
    rows = confusion.rename({"z_mean": "mu_resp"})
    found = {model: confusion_matrix(rows, units, model) for model in PICTURES}
    return {model: matrix for model, matrix in found.items() if len(matrix.unit_ids) > 1}
