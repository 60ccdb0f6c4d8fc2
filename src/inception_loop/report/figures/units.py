"""Single units: the images that were shown, every trial as a dot, means with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.report import words
from inception_loop.report.closed_loop.names import PICTURES
from inception_loop.report.figures.canvas import COLORS, FAINT, INK, NAMES, Figure, canvas, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

A_SHEET = 8
"""Units on one sheet."""

_COLUMNS = 2
_WIDTH, _IMAGE, _GAP, _ROW = 3.5, 0.62, 0.08, 0.46
"""Of one panel in inches: its width, an image's width, gaps, the height of one image's row."""


def sheets(
    responses: pl.DataFrame, shown: pl.DataFrame, images: npt.NDArray[np.uint8]
) -> list[tuple[Figure, pl.DataFrame]]:
    """Draw the selected units by rank, `A_SHEET` a sheet, each with the trials behind it.

    Parameters
    ----------
    responses, shown, images
        Tables ``own_responses`` and ``shown`` of a report, and its images.
    """
    ranked = responses.drop_nulls("rank").sort("rank", "model_type", "scan", "trial_idx")
    units = ranked["source_unit_id"].unique(maintain_order=True).to_list()
    parts = [units[start : start + A_SHEET] for start in range(0, len(units), A_SHEET)]
    pictures = {(model, unit): images[place] for place, model, unit in shown.select(
        "place", "model_type", "source_unit_id").iter_rows()}  # fmt: skip
    out = []
    for number, part in enumerate(parts, start=1):
        rows = ranked.filter(pl.col("source_unit_id").is_in(part))
        out.append((_sheet(rows, part, pictures, number), rows))
    return out


def _sheet(
    rows: pl.DataFrame, units: Sequence[int], pictures: dict[tuple[str, int], Any], number: int
) -> Figure:
    models = [model for model in PICTURES if model in set(rows["model_type"])]
    height = 0.3 + _ROW * len(models) + 0.25
    n_rows = -(-len(units) // _COLUMNS)
    said = []
    with canvas(_COLUMNS * _WIDTH, n_rows * height) as (figure, axes):
        axes.set(xlim=(0, _COLUMNS * _WIDTH), ylim=(n_rows * height, 0), aspect="equal")
        axes.set_axis_off()
        for place, unit in enumerate(units):
            corner = (place % _COLUMNS * _WIDTH + 0.1, place // _COLUMNS * height)
            mine = rows.filter(source_unit_id=unit)
            said.append(_panel(axes, mine, unit, models, pictures, corner))
        alt = f"Panels of {len(units)} cells. Mean responses in z ± s.e.m.: {'; '.join(said)}."
        caption = (
            "Images as shown (of one cell stretched alike), each trial a dot, bars are means ± s.e.m.; "
            "z-score over the scan."
        )
        return finish(figure, f"units-{number:02d}", alt, caption)


def _panel(
    axes: Axes,
    rows: pl.DataFrame,
    unit: int,
    models: Sequence[str],
    pictures: dict[tuple[str, int], Any],
    corner: tuple[float, float],
) -> str:
    """Draw one unit and return what is seen in words."""
    left, top = corner
    start, end = left + _IMAGE + 2 * _GAP, left + _WIDTH - 0.25
    values = rows["z_response"].to_numpy()
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = (end - start) / (high - low or 1)
    rank = rows["rank"][0]
    axes.text(left, top + 0.16, f"Unit {unit} · rank {rank}", fontsize=8, weight="bold", va="center")
    mine = {model: pictures[model, unit] for model in models if (model, unit) in pictures}
    stretch = dict(zip(mine, alike(list(mine.values())), strict=True))
    bottom = top + 0.3 + _ROW * len(models)
    zero = start - low * scale
    axes.plot([zero, zero], [top + 0.3, bottom], color=FAINT, lw=0.7, zorder=1)
    texts = []
    for place, model in enumerate(models):
        middle = top + 0.3 + _ROW * (place + 0.5)
        what = PICTURES[model]
        if model in stretch:
            picture = stretch[model]
            tall = _IMAGE * picture.shape[0] / picture.shape[1]
            box = (left, left + _IMAGE, middle + tall / 2, middle - tall / 2)
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=box, zorder=2)
        trials = rows.filter(model_type=model)["z_response"].to_numpy()
        axes.text(start + 0.03, middle - 0.15, NAMES[what], fontsize=5.5, color=INK, va="center")
        if not len(trials):
            continue
        spots = start + (trials - low) * scale
        axes.plot(spots, np.full(len(spots), middle + 0.03), "o", ms=3, mew=0, alpha=0.5, color=COLORS[what])
        mean = float(trials.mean())
        sem = float(trials.std(ddof=1) / len(trials) ** 0.5) if len(trials) > 1 else 0.0
        at = start + (mean - low) * scale
        axes.plot([at - sem * scale, at + sem * scale], [middle + 0.03] * 2, color=INK, lw=1.4, zorder=4)
        axes.plot([at, at], [middle - 0.06, middle + 0.12], color=INK, lw=1.4, zorder=4)
        texts.append(f"{NAMES[what]} {words.number(mean)} ± {words.number(sem)}")
    axes.plot([start, end], [bottom, bottom], color=FAINT, lw=0.7)
    for value in ticks(low, high):
        where = start + (value - low) * scale
        axes.plot([where, where], [bottom, bottom + 0.03], color=FAINT, lw=0.7)
        axes.text(where, bottom + 0.1, words.number(value, 0), fontsize=5.5, ha="center", va="center")
    axes.text(end + 0.05, bottom, "z", fontsize=5.5, va="center")
    return f"unit {unit}: {', '.join(texts)}"


def ticks(low: float, high: float) -> list[int]:
    """Return at most five whole numbers from ``low`` to ``high``, 0 among them where it lies there.

    Examples
    --------
    >>> ticks(-0.7, 19.6), ticks(-0.7, 0.5)
    ([0, 5, 10, 15], [0])
    """
    for step in (1, 2, 5, 10, 20, 50, 100, 1000, 10_000):
        found = list(range(-int(-low // step) * step, int(high // step) * step + 1, step))
        if len(found) <= 5:
            return found
    return [0]


def alike(images: Sequence[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.uint8]]:
    """Return images stretched by one common factor about their own means: their contrasts still compare.

    Examples
    --------
    >>> weak, strong = np.array([[100, 110]], np.uint8), np.array([[50, 150]], np.uint8)
    >>> [one.tolist() for one in alike([weak, strong])]
    [[[115, 141]], [[1, 255]]]
    """
    deviations = [image - np.mean(image) for image in images]
    largest = max((float(np.abs(one).max(initial=0.0)) for one in deviations), default=0.0)
    return [np.rint(128 + 127 * one / (largest or 1.0)).astype(np.uint8) for one in deviations]
