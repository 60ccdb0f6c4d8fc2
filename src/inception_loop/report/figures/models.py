"""The networks: how they trained, how well they predict, which units they were good enough for."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from inception_loop.report.figures.canvas import (
    COLORS,
    FAINT,
    INK,
    MARKERS,
    Figure,
    canvas,
    finish,
    whole_numbers,
)
from inception_loop.report.words import number, percent

FAMILIES = (("linear", "linear control"), ("cnn", "CNN"))
_BELOW: dict[str, Any] = {
    "textcoords": "offset points",
    "va": "top",
    "ha": "center",
    "fontsize": 8,
    "bbox": {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.85},
}
"""How a number stands below its bar."""
_FROZEN = (
    " The networks are told the mean eye and running: they know the image alone, as the estimated ceiling "
    "does. Points above the line are errors of either estimate."
)
MANY = 1500
"""More points than this are drawn as pixels."""
_LINES = {"cnn": "-", "linear": "--"}
_TRAINING = {
    "val_corr": (
        "validation correlation",
        "curves that still rise where they end (too few epochs), that fall for long before they stop, or one "
        "seed far below the others of its configuration.",
    ),
    "train_loss": (
        "training loss (Poisson)",
        "a loss that jumps or rises (learning rate too high), or that falls on while the validation "
        "correlation falls too (overfitting).",
    ),
}
_LIMITS = {
    "oracle_corr": (
        "oracle",
        "oracle correlation",
        "Predicted against reliable",
        "",
        "points far below the line at a high oracle: reliable units that the networks do not predict.",
    ),
    "ceiling": (
        "ceiling",
        "ceiling of the single-trial correlation",
        "Predicted against predictable",
        " It is the estimated ceiling of what knows the image alone: a network that knows eye and running "
        "too may reach more.",
        "a cloud far below the line.",
    ),
}
"""Column → what it is called, axis, title, what to know of it, what a bad picture looks like."""


def training_figure(history: pl.DataFrame, column: str = "val_corr") -> Figure:
    """Draw one curve a network over its epochs, the best of each family thick.

    Parameters
    ----------
    history
        ``model, family, chosen, epoch, stage, val_corr, train_loss`` of all networks.
    column
        ``val_corr`` or ``train_loss``.
    """
    label, bad = _TRAINING[column]
    with canvas(4.4, 3.6) as (figure, axes):
        told, thin = [], _thin(history["model"].n_unique())
        for family, name in FAMILIES:
            rows = history.filter(family=family)
            curves = rows.partition_by("model", maintain_order=True)
            if not curves:
                continue
            best = best_model(rows)
            for curve in sorted(curves, key=lambda one: one["model"][0] == best):
                drawn = curve.drop_nulls(column).sort("epoch")
                lead = curve["model"][0] == best
                style = {"lw": 2.4, "zorder": 3} if lead else {**thin, "zorder": 2}
                axes.plot(drawn["epoch"], drawn[column], color=COLORS[family], ls=_LINES[family], **style)
                new = drawn.filter(pl.col("stage").diff().fill_null(0) > 0)
                size, edge = (5.0, 1.4) if lead else (3.0, 0.8)
                axes.plot(new["epoch"], new[column], "o", ms=size, mfc="white", mec=COLORS[family], mew=edge,
                          zorder=4 if lead else 2.5, alpha=1 if lead else 0.8)  # fmt: skip
            reached = rows.group_by("model").agg(pl.col("val_corr").max())["val_corr"].to_numpy()
            axes.plot([], [], color=COLORS[family], ls=_LINES[family], lw=2.4,
                      label=f"{name} ({len(curves)}), best {number(reached.max(), 3)}")  # fmt: skip
            networks = "network" if len(curves) == 1 else "networks"
            told.append(f"{len(curves)} {name} {networks} reach {reached.mean():.3f} on average, "
                        f"the best {reached.max():.3f}")  # fmt: skip
        axes.plot([], [], "o", ms=4, mfc="white", mec=INK, mew=1, label="next learning rate")
        axes.set(xlabel="epoch", ylabel=label, title=label[0].upper() + label[1:])
        whole_numbers(axes.xaxis)
        axes.legend(loc="lower right" if column == "val_corr" else "upper right")
        alt = f"{axes.get_title('left')} by epoch, one curve a network. Best validation: {'; '.join(told)}."
        caption = (
            f"n = {history['model'].n_unique()} networks, a curve each; thick: the best of its family. At a "
            "ring the next learning rate starts from the best weights so far."
        )
        return finish(figure, f"training-{column.replace('_', '-')}", alt, caption, bad=bad)


def best_model(history: pl.DataFrame) -> str:
    """Return the model with the highest validation correlation, of the chosen ones if there are any."""
    rows = history.filter("chosen") if history["chosen"].any() else history
    return str(rows.sort(["val_corr", "model"], descending=[True, False])["model"][0])


def _thin(n: int) -> dict[str, Any]:
    return {"lw": 1.1, "alpha": 0.75} if n <= 12 else {"lw": 0.6, "alpha": 0.45}


def oracle_figure(units: pl.DataFrame) -> Figure:
    """Draw test correlation of both families against the oracle, one point a unit."""
    return against_figure(units, "oracle_corr")


def against_figure(units: pl.DataFrame, limit: str, *, frozen: bool = False) -> Figure:
    """Draw test correlation of both families against what bounds or measures it, one point a unit.

    Parameters
    ----------
    units
        ``cnn_test_corr``, ``lin_test_corr`` and the column ``limit``.
    limit
        ``oracle_corr`` or ``ceiling``.
    frozen
        The networks were told the mean of eye and running.
    """
    what, label, title, known, bad = _LIMITS[limit]
    known = _FROZEN if frozen else known
    with canvas(4.2, 3.9) as (figure, axes):
        medians, shares = [], []
        for family, name in FAMILIES:
            score = f"{_column(family)}_test_corr"
            rows = units.drop_nulls([limit, score])
            x, y = rows[limit].to_numpy(), rows[score].to_numpy()
            if not rows.height:
                continue
            axes.plot(x, y, MARKERS[family], color=COLORS[family], ms=3, alpha=0.65, mew=0, label=name,
                      rasterized=len(x) > MANY)  # fmt: skip
            medians.append(f"{name} {np.median(y):.2f}")
            if (x > 0).any():
                shares.append(f"{percent(float(np.median(y[x > 0] / x[x > 0])))} by the {name}")
        ends = np.array([axes.get_xlim(), axes.get_ylim()])
        limits = (min(-0.05, ends.min()), max(0.5, ends.max()))
        axes.plot(limits, limits, color=FAINT, lw=1, zorder=0)
        axes.set(xlabel=label, ylabel="test correlation (single trials)", title=title, xlim=limits,
                 ylim=limits, aspect="equal")  # fmt: skip
        axes.legend(loc="upper left")
        missing = units[limit].null_count()
        alt = (
            f"Single-trial test correlation against the {what} of {units.height - missing} units; median "
            f"test correlation: {', '.join(medians)}."
        )
        reached = f" Median share of the {what}: {', '.join(reversed(shares))}." if shares else ""
        left_out = f" {missing} without {_article(what)} are left out." if missing else ""
        caption = (
            f"n = {units.height - missing} units{', each twice' if len(medians) > 1 else ''}; on the line a "
            f"score is equal to the {what}.{known}{reached}{left_out}"
        )
        return finish(figure, what, alt, caption, bad=bad)


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


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


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
