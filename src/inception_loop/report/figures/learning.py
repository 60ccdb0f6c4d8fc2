"""What networks learnt: the filters of their first layer, and the CNN against its linear control."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.report.figures.canvas import COLORS, FAINT, INK, Figure, canvas, finish
from inception_loop.report.figures.models import FAMILIES, MANY
from inception_loop.report.words import count, number, percent

COLUMNS = 8


def filters_figure(family: str, filters: npt.NDArray[np.floating], norms: Sequence[float]) -> Figure:
    """Draw the first layer of the best network of a family, all kernels on one scale about 0.

    Parameters
    ----------
    family
        cnn or linear.
    filters : (C, k, k)
        Weight of a normalised pixel, the largest norm first.
    norms : (C,)
        L2 norm of each.
    """
    name = dict(FAMILIES)[family]
    limit = float(np.abs(filters).max(initial=0)) or 1.0
    n, side = len(filters), filters.shape[1]
    columns = min(COLUMNS, n)
    rows = -(-n // columns)
    with canvas(4.4, 0.85 + 4.3 * rows / columns) as (figure, axes):
        image = axes.imshow(mosaic(filters, columns), cmap="PuOr_r", vmin=-limit, vmax=limit)
        axes.set(
            xticks=[],
            yticks=[],
            title=f"First layer of the best {name} network",
        )
        for across in range(1, columns):
            axes.axvline(across * side - 0.5, color=FAINT, lw=1)
        for down in range(1, rows):
            axes.axhline(down * side - 0.5, color=FAINT, lw=1)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(
            image, ax=axes, location="bottom", shrink=0.6, aspect=30, pad=0.03, ticks=[-limit, 0, limit]
        )
        bar.ax.set_xticklabels([number(-limit, 3), "0", number(limit, 3)])
        bar.ax.spines[:].set_visible(False)
        span = f"L2 norms from {norms[0]:.2f} to {norms[-1]:.2f}"
        ends = f"{number(-limit, 3)} to {number(limit, 3)}"
        alt = f"{n} first-layer kernels of {side} × {side} px, {span}; colours from {ends}."
        caption = (
            f"n = {count(n, 'kernel')} of {side} × {side} px, by their norm, the largest first ({span}). One "
            f"scale for all: orange positive, purple negative, white 0, from {ends} a normalised pixel."
        )
        bad = "salt and pepper (smoothed too little, or not trained) or blank tiles only (smoothed too much)."
        return finish(figure, f"filters-{family}", alt, caption, tall=rows > 6, bad=bad)


def mosaic(filters: npt.NDArray[np.floating], columns: int) -> npt.NDArray[np.float64]:
    """Lay (C, k, k) pictures out in rows, NaN where the last row ends before its time.

    Examples
    --------
    >>> mosaic(np.ones((3, 2, 2)), 2).shape
    (4, 4)
    """
    n, side = len(filters), filters.shape[1]
    out = np.full((-(-n // columns) * side, columns * side), np.nan)
    for place, kernel in enumerate(filters):
        y, x = place // columns * side, place % columns * side
        out[y : y + side, x : x + side] = kernel
    return out


def versus_figure(units: pl.DataFrame) -> Figure:
    """Draw the test correlation of the CNN against that of the linear control, one point a unit."""
    rows = units.drop_nulls(["cnn_test_corr", "lin_test_corr"])
    x, y = rows["lin_test_corr"].to_numpy(), rows["cnn_test_corr"].to_numpy()
    with canvas(4.2, 3.9) as (figure, axes):
        low, high = min(float(np.min([x, y])), -0.05), max(float(np.max([x, y])), 0.3)
        limits = (low - 0.03, high + 0.03)
        axes.plot(limits, limits, color=FAINT, lw=1, zorder=0)
        axes.plot(x, y, "o", color=COLORS["cnn"], ms=3, alpha=0.6, mew=0, rasterized=len(x) > MANY)
        axes.set(xlim=limits, ylim=limits, aspect="equal", xlabel="linear control, test correlation",
                 ylabel="CNN, test correlation", title="CNN against linear control")  # fmt: skip
        share = _share(y > x)
        alt = f"Test correlation of CNN against linear control of {len(x)} units: {share} lie above the line."
        caption = f"n = {len(x)} units; {share} lie above the line, where the CNN predicts better."
        fields = rows["rf_test_corr"].drop_nulls().to_numpy() if "rf_test_corr" in rows.columns else x[:0]
        if len(fields):
            middle = float(np.median(fields))
            axes.axvline(middle, color=INK, lw=1, ls=":")
            both = [number(float(np.median(values))) for values in (y, x)]
            caption += (
                f" Dotted: the median of their linear receptive fields, fitted to the responses alone, "
                f"{number(middle)}; medians of the networks: CNN {both[0]}, linear control {both[1]}."
            )
        bad = (
            "points on the line (nothing nonlinear was learnt, or nothing is there) or below it (the CNN "
            "overfits, or was trained too shortly)."
        )
        return finish(figure, "cnn-linear", alt, caption, bad=bad)


def difference_figure(units: pl.DataFrame) -> Figure:
    """Draw the histogram of the test correlation of the CNN less that of the linear control."""
    values = units["cnn_minus_linear"].drop_nulls().to_numpy()
    with canvas(4.4, 3.0) as (figure, axes):
        edges = _edges(values)
        counts, _ = np.histogram(values, edges)
        better = edges[:-1] >= -1e-9
        for side, color, hatch in ((better, COLORS["cnn"], None), (~better, COLORS["linear"], "////")):
            axes.bar(edges[:-1][side], counts[side], np.diff(edges)[side], align="edge", color=color,
                     hatch=hatch, edgecolor="white", lw=0.5)  # fmt: skip
        middle = float(np.median(values))
        axes.axvline(0, color=INK, lw=0.8)
        axes.axvline(middle, color=INK, lw=2)
        left = middle > 0.6 * edges[-1] + 0.4 * edges[0]
        axes.annotate(f"median {number(middle)}", (middle, 1), (-5 if left else 5, -2), va="top",
                      xycoords=("data", "axes fraction"), textcoords="offset points",
                      ha="right" if left else "left", fontweight="bold")  # fmt: skip
        axes.set(xlabel="CNN minus linear control, test correlation", ylabel="units",
                 title="What the CNN adds", ylim=(0, 1.2 * float(counts.max())))  # fmt: skip
        alt = f"CNN minus linear test correlation of {len(values)} units, median {middle:.3f}."
        caption = (
            f"n = {len(values)} units; solid: the CNN predicts as well or better; hatched: the linear "
            "control does."
        )
        return finish(figure, "cnn-minus-linear", alt, caption, bad="a heap at 0, or mostly hatched bars.")


def _edges(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return bins of one width, of which one ends at 0."""
    reach = max(float(np.ptp(np.append(values, 0.0))), 0.02)
    width = float(f"{reach / 28:.1g}")
    low, high = np.floor(values.min(initial=0) / width), max(1, np.ceil(values.max(initial=0) / width))
    return np.arange(low, high + 1) * width


def _share(above: npt.NDArray[np.bool_]) -> str:
    return f"{int(above.sum())} ({percent(float(above.mean()))})"
