"""The networks: how they trained, how well they predict, which units they were good enough for."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from inception_loop.report.figures.canvas import COLORS, FAINT, INK, MARKERS, Figure, canvas, finish

FAMILIES = (("linear", "linear control"), ("cnn", "CNN"))
_BELOW: dict[str, Any] = {
    "textcoords": "offset points",
    "va": "top",
    "ha": "center",
    "fontsize": 8,
    "bbox": {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.85},
}
"""How a number stands below its bar."""


def training_figure(history: pl.DataFrame, column: str = "val_corr") -> Figure:
    """Draw one curve a network over its epochs: ``val_corr`` or ``train_loss``."""
    label = {"val_corr": "validation correlation", "train_loss": "training loss (Poisson)"}[column]
    with canvas() as (figure, axes):
        ends = []
        for family, name in FAMILIES:
            models = history.filter(family=family)["model"].unique(maintain_order=True).to_list()
            for model in models:
                rows = history.filter(model=model).drop_nulls(column).sort("epoch")
                axes.plot(rows["epoch"], rows[column], color=COLORS[family], lw=1.1, alpha=0.85,
                          ls="-" if family == "cnn" else "--")  # fmt: skip
            if models:
                axes.plot([], [], color=COLORS[family], ls="-" if family == "cnn" else "--",
                          label=f"{name} ({len(models)})")  # fmt: skip
                best = history.filter(family=family).group_by("model").agg(pl.col("val_corr").max())
                reached = float(best["val_corr"].to_numpy().mean())
                ends.append(f"{len(models)} {name} networks reach {reached:.3f} on average")
        axes.set(xlabel="epoch", ylabel=label, title=label[0].upper() + label[1:])
        axes.legend(loc="lower right" if column == "val_corr" else "upper right")
        title = label[0].upper() + label[1:]
        alt = f"{title} by epoch, one curve a network. Best validation: {'; '.join(ends)}."
        caption = (
            "One curve a network (seed); a second learning rate starts from the best weights of the first."
        )
        return finish(figure, f"training-{column.replace('_', '-')}", alt, caption)


def oracle_figure(units: pl.DataFrame) -> Figure:
    """Draw test correlation of both families against the oracle, one point a unit."""
    with canvas(4.2, 3.9) as (figure, axes):
        medians = []
        for family, name in FAMILIES:
            rows = units.drop_nulls(["oracle_corr", f"{_column(family)}_test_corr"])
            x, y = rows["oracle_corr"].to_numpy(), rows[f"{_column(family)}_test_corr"].to_numpy()
            axes.plot(x, y, MARKERS[family], color=COLORS[family], ms=3, alpha=0.65, mew=0, label=name)
            medians.append(f"{name} {np.median(y):.2f}" if len(y) else f"{name} none")
        limits = (min(-0.05, *axes.get_xlim()), max(0.5, axes.get_xlim()[1], axes.get_ylim()[1]))
        axes.plot(limits, limits, color=FAINT, lw=1, zorder=0)
        axes.set(xlabel="oracle correlation", ylabel="test correlation (single trials)",
                 title="Predicted against reliable", xlim=limits, ylim=limits, aspect="equal")  # fmt: skip
        axes.legend(loc="upper left")
        alt = (
            f"Single-trial test correlation against the oracle of {units.height} units; median test "
            "correlation: "
            f"{', '.join(medians)}."
        )
        caption = "Each unit twice: CNN and its linear control. The line is a score equal to the oracle."
        return finish(figure, "oracle", alt, caption)


def families_figure(units: pl.DataFrame) -> Figure:
    """Draw both families by kind of cell: share of the ceiling, or test correlation where that is unknown."""
    known = units["cnn_ceiling_fraction"].count() > 0
    columns = [f"{family}_{'ceiling_fraction' if known else 'test_corr'}" for family in ("cnn", "lin")]
    rows = units.drop_nulls(columns)
    kinds: list[str | None] = [k for k in ("simple", "mixed", "complex") if (rows["kind"] == k).any()]
    kinds = kinds or [None]
    label = "share of the single-trial ceiling" if known else "test correlation (single trials)"
    rng = np.random.default_rng(0)
    with canvas() as (figure, axes):
        texts = []
        for place, kind in enumerate(kinds):
            of_kind = rows if kind is None else rows.filter(kind=kind)
            for shift, family, column in zip((-0.18, 0.18), ("cnn", "linear"), columns, strict=True):
                values = of_kind[column].to_numpy()
                jitter = place + shift + rng.uniform(-0.11, 0.11, len(values))
                axes.plot(jitter, values, MARKERS[family], color=COLORS[family], ms=2.8, alpha=0.45, mew=0)
                if len(values):
                    median = float(np.median(values))
                    axes.hlines(median, place + shift - 0.14, place + shift + 0.14, color=INK, lw=2)
                    axes.annotate(f"{median:.2f}", (place + shift, median), (0, -4), **_BELOW)
                    texts.append(f"{kind or 'all'} cells {family} {median:.2f}")
        for family, name in reversed(FAMILIES):
            axes.plot([], [], MARKERS[family], color=COLORS[family], label=name)
        if known:
            axes.axhline(1, color=FAINT, lw=1, zorder=0)
        counts = [rows.height if kind is None else rows.filter(kind=kind).height for kind in kinds]
        axes.set(xticks=range(len(kinds)), ylabel=label, title="CNN and linear control by kind of cell")
        axes.set_xticklabels([f"{kind or 'all'}\nn = {n}" for kind, n in zip(kinds, counts, strict=True)])
        axes.legend(loc="lower left")
        alt = f"{label[0].upper() + label[1:]} by kind of cell, medians: {'; '.join(texts)}."
        caption = "One point a unit, bars are medians." + (
            " The ceiling is the correlation of the true conditional mean with the response." if known else ""
        )
        return finish(figure, "families", alt, caption)


def funnel_figure(funnel: pl.DataFrame) -> Figure:
    """Draw how many units each rule of the selection left."""
    with canvas(4.6, 0.8 + 0.4 * funnel.height) as (figure, axes):
        left, removed = funnel["left"].to_numpy(), funnel["removed"].to_numpy()
        places = np.arange(funnel.height)
        axes.barh(places, left, color=COLORS["mei"], height=0.62)
        axes.barh(places, removed, left=left, color="white", edgecolor=FAINT, hatch="////", height=0.62)
        for place, (n, lost) in enumerate(zip(left, removed, strict=True)):
            text = f" {n}" if not lost else f" {n}  (−{lost})"
            axes.text(n + lost, place, text, va="center", fontsize=8)
        axes.set(
            yticks=places, ylim=(funnel.height - 0.4, -0.6), xlabel="units", title="Which units were selected"
        )
        axes.set_yticklabels([_wrapped(rule) for rule in funnel["rule"]])
        axes.set_xlim(0, float((left + removed).max()) * 1.22)
        steps = "; ".join(f"{rule}: {n} left" for rule, n in funnel.select("rule", "left").rows())
        return finish(figure, "funnel", f"Units left after each rule. {steps}.",
                      "Solid: left after the rule; hatched: removed by it.")  # fmt: skip


def _column(family: str) -> str:
    return "cnn" if family == "cnn" else "lin"


def _wrapped(text: str, width: int = 24) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
