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


def map_figure(matches: pl.DataFrame) -> Figure:
    """Draw source cells and a line to the cell that each was matched to, seen from above."""
    placed = matches.drop_nulls(["x", "y", "later_x", "later_y"])
    with canvas(4.4, 4.0) as (figure, axes):
        counts = []
        for right, label, color, marker in GROUPS:
            rows = placed.filter(pl.col("right").is_null() if right is None else pl.col("right") == right)
            if not rows.height:
                continue
            x, y, later_x, later_y = (rows[name].to_numpy() for name in ("x", "y", "later_x", "later_y"))
            axes.plot(np.stack([x, later_x]), np.stack([y, later_y]), color=INK, lw=0.8, zorder=1)
            axes.plot(later_x, later_y, marker, color=color, ms=4.5, mew=0, ls="none", zorder=2,
                      label=f"{label} ({rows.height})")  # fmt: skip
            counts.append(f"{rows.height} {label}")
        double = placed.filter("double_match")
        if double.height:
            ring: dict[str, Any] = {"ms": 8, "mfc": "none", "mec": INK, "mew": 0.8, "ls": "none"}
            label = f"matched twice ({double.height})"
            axes.plot(double["later_x"], double["later_y"], "o", label=label, **ring)
        axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal", title="Matched cells in the stack")
        axes.invert_yaxis()
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        alt = f"Map of {placed.height} matched cells seen from above: {', '.join(counts) or 'none'}; " \
              f"{double.height} share a cell with another source unit."  # fmt: skip
        return finish(
            figure,
            "match-map",
            alt,
            "Markers: the later day's cell; lines lead to its place on the source day.",
        )


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
        caption = "Euclidean, averaged over the stacks that voted for the match."
        return finish(figure, "match-distance", alt, caption)


def tuning_figure(pairs: pl.DataFrame) -> Figure:
    """Draw how alike matched cells and all other pairs answer the images of both days."""
    with canvas() as (figure, axes):
        edges = np.linspace(-1, 1, 41)
        texts = []
        for matched, label, color in (
            (False, "other pairs", FAINT),
            (True, "matched cells", COLORS["mei"]),
        ):
            values = pairs.filter(pl.col("matched") == matched)["correlation"].drop_nulls().to_numpy()
            if len(values):
                shares = np.histogram(values, edges)[0] / len(values)
                axes.stairs(
                    shares, edges, fill=not matched, color=color, lw=1.8, label=f"{label} ({len(values)})"
                )
                texts.append(f"{label} {np.median(values):.2f} (n = {len(values)})")
        axes.set(xlabel="correlation of repeat-averaged responses", ylabel="share of pairs",
                 title="Do matched cells answer alike?")  # fmt: skip
        axes.legend(loc="upper left")
        medians = "; ".join(texts)
        alt = f"Histograms of tuning correlation over the images that both days showed; medians: {medians}."
        return finish(
            figure, "match-tuning", alt, "Over the images that both days showed more than four times."
        )
