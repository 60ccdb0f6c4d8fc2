"""Cell matching: where the matched cells lie, how far apart, and whether they answer alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from inception_loop.report.figures.canvas import COLORS, FAINT, INK, Figure, canvas, finish

GROUPS = (
    (True, "right", COLORS["mei"], "o"),
    (False, "wrong", COLORS["linear"], "X"),
    (None, "matched", COLORS["mei"], "o"),
)

MANY = 2_000
"""More cells than this are drawn as pixels: as lines and dots they would make a page of tens of MB."""

SURE = 0.95
"""Matches at least so probable are counted as sure."""


def map_figure(matches: pl.DataFrame) -> Figure:
    """Draw source cells and a line to the cell that each was matched to, seen from above."""
    placed = matches.drop_nulls(["x", "y", "later_x", "later_y"])
    pixels = placed.height > MANY
    with canvas(4.4, 4.0) as (figure, axes):
        counts = []
        for right, label, color, marker in GROUPS:
            rows = placed.filter(pl.col("right").is_null() if right is None else pl.col("right") == right)
            if not rows.height:
                continue
            x, y, later_x, later_y = (rows[name].to_numpy() for name in ("x", "y", "later_x", "later_y"))
            gap = np.full(len(x), np.nan)  # one line with gaps: thousands of lines take minutes
            ends = (np.stack([x, later_x, gap], axis=1).ravel(), np.stack([y, later_y, gap], axis=1).ravel())
            axes.plot(*ends, color=INK, lw=0.8, zorder=1, rasterized=pixels)
            axes.plot(later_x, later_y, marker, color=color, ms=2 if pixels else 4.5, mew=0, ls="none",
                      zorder=2, rasterized=pixels, label=f"{label} ({rows.height:,})")  # fmt: skip
            counts.append(f"{rows.height:,} {label}")
        double = placed.filter("double_match")
        if double.height:
            ring: dict[str, Any] = {"ms": 4 if pixels else 8, "mfc": "none", "mec": INK, "mew": 0.8}
            label = f"claimed by two ({double.height:,})"
            axes.plot(
                double["later_x"], double["later_y"], "o", ls="none", label=label, rasterized=pixels, **ring
            )
        axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal", title="Matched cells in the stack")
        axes.invert_yaxis()
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        days = placed["scan"].n_unique()
        over = f" of {days} later days" if days > 1 else ""
        alt = (
            f"Map of {placed.height:,} matched cells{over} seen from above: {', '.join(counts) or 'none'}; "
            f"{double.height:,} are claimed by two source units."
        )
        later = f"cells of {days} later days" if days > 1 else "cells of the later day"
        caption = f"Markers: {later}; lines lead to their places on the source day."
        return finish(figure, "match-map", alt, caption)


def distance_figure(matches: pl.DataFrame) -> Figure:
    """Draw how far apart matched cells lie."""
    with canvas() as (figure, axes):
        distances = matches["mean_distance"].to_numpy()
        edges = np.linspace(0, max(float(distances.max(initial=1.0)), 1.0), 25)
        bottom = np.zeros(len(edges) - 1)
        for right, label, color, _ in GROUPS:
            rows = matches.filter(pl.col("right").is_null() if right is None else pl.col("right") == right)
            if rows.height:
                counts, _ = np.histogram(rows["mean_distance"].to_numpy(), edges)
                axes.bar(edges[:-1], counts, np.diff(edges), bottom, align="edge", color=color, label=label,
                         hatch="////" if right is False else None, edgecolor="white", lw=0.4)  # fmt: skip
                bottom += counts
        axes.set(
            xlabel="mean distance in the stacks (µm)", ylabel="matches", title="Distance of matched cells"
        )
        if matches.height:
            axes.legend(loc="upper right")
        middle = f"{np.median(distances):.1f} µm" if len(distances) else "unknown"
        alt = f"Histogram of {matches.height} match distances, median {middle}."
        caption = "Euclidean, averaged over the stacks that count for the match."
        return finish(figure, "match-distance", alt, caption)


def probability_figure(matches: pl.DataFrame) -> Figure:
    """Draw how probable each match is by the one-to-one assignment, against its distance."""
    asked = matches.drop_nulls("probability")
    agrees = pl.col("assigned_unit_id") == pl.col("unit_id")
    with canvas() as (figure, axes):
        for right, label, color, marker in GROUPS:
            rows = asked.filter(pl.col("right").is_null() if right is None else pl.col("right") == right)
            if rows.height:
                # of the match itself: 0 where the assignment gives another unit or none
                given = pl.when(agrees.fill_null(False)).then("probability").otherwise(0.0)
                axes.plot(rows["mean_distance"], rows.select(given).to_series(), marker, color=color, ms=4,
                          mew=0, alpha=0.7, ls="none", rasterized=asked.height > MANY,
                          label=f"{label} ({rows.height:,})")  # fmt: skip
        axes.set(
            xlabel="mean distance in the stacks (µm)",
            ylabel="probability of being right",
            ylim=(-0.04, 1.04),
            title="How sure is each match?",
        )
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        same = asked.filter(agrees.fill_null(False))
        sure = same.filter(pl.col("probability") >= SURE).height
        expected = float(same["probability"].sum())
        alt = (
            f"Scatter of the probability of {asked.height:,} matches against their distance: {sure:,} have a "
            f"probability of at least {SURE:g}; {expected:,.1f} of all are expected to be right."
        )
        caption = "By place and tuning, one to one; 0 where that gives the cell another match or none."
        return finish(figure, "match-probability", alt, caption)


def tuning_figure(histogram: pl.DataFrame) -> Figure:
    """Draw how alike matched cells and all other pairs answer the images of both days.

    Parameters
    ----------
    histogram
        Rows of the table ``tuning_match``.
    """
    with canvas() as (figure, axes):
        texts = []
        for matched, label, color in (
            (False, "other pairs", FAINT),
            (True, "matched cells", COLORS["mei"]),
        ):
            rows = histogram.filter(pl.col("matched") == matched).sort("lower")
            n = int(rows["n"].sum())
            if n:
                edges = [*rows["lower"], rows["upper"][-1]]
                axes.stairs(
                    rows["n"].to_numpy() / n,
                    edges,
                    fill=not matched,
                    color=color,
                    lw=1.8,
                    label=f"{label} ({n:,})",
                )
                texts.append(f"{label} {rows['median'][0]:.2f} (n = {n:,})")
        axes.set(xlabel="correlation of repeat-averaged responses", ylabel="share of pairs",
                 title="Do matched cells answer alike?")  # fmt: skip
        if texts:
            axes.legend(loc="upper left")
        medians = "; ".join(texts)
        alt = f"Histograms of tuning correlation over the images that both days showed; medians: {medians}."
        return finish(
            figure, "match-tuning", alt, "Over the images that both days showed more than four times."
        )
