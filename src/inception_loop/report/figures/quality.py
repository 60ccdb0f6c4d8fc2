"""What the responses of a recording are worth: leakage, reliability, silent units, trials lost."""

from __future__ import annotations

import numpy as np
import polars as pl

from inception_loop.quality.responses import FAR_LAGS
from inception_loop.report.figures.canvas import COLORS, FAINT, INK, Figure, canvas, finish
from inception_loop.report.figures.session import TONES
from inception_loop.report.words import number

MOST_ROWS = 10
HEIGHT = 2.6


def leakage_figure(lags: pl.DataFrame, tone: str) -> Figure:
    """Draw how responses of trials some places apart correlate.

    Parameters
    ----------
    lags
        The table of a dataset report, of one member.
    tone
        The worse severity of the findings ``lag1`` and ``leakage``.
    """
    lag, correlation = lags["lag"].to_numpy(), lags["correlation"].to_numpy()
    far = lags.filter(pl.col("lag").is_in(FAR_LAGS))["correlation"].to_numpy()
    base = float(far.mean()) if far.size else 0.0
    with canvas(4.6, HEIGHT) as (figure, axes):
        colors = [TONES[tone] if one == 1 else FAINT for one in lag]
        axes.bar(lag, correlation, color=colors, width=0.7)
        axes.axhline(0, color=INK, lw=0.8)
        axes.hlines(base, 0.5, FAR_LAGS[-1] + 0.5, color=INK, lw=1, ls="--")
        axes.set(
            xticks=lag, xlabel="trials apart", ylabel="correlation", title="Does a trial leak into the next?"
        )
        axes.set_ylim(min(-0.05, float(correlation.min()) * 1.1), max(0.3, float(correlation.max()) * 1.15))
        alt = f"Median correlation of trials 1 apart {correlation[0]:.2f}, of trials 3 to 5 apart {base:.2f}."
        caption = (
            "Median over units. Slow traces leak what the first bar has above the dashed line (trials 3 to 5 "
            "apart); below it lie the animal's state and drift."
        )
        return finish(figure, "leakage", alt, caption)


def reliability_figure(histogram: pl.DataFrame, median: float, tone: str) -> Figure:
    """Draw the histogram of the oracle correlation.

    Parameters
    ----------
    histogram
        The table ``oracle_histogram`` of a dataset report, of one member.
    median
        Median of the units.
    tone
        Severity of the finding ``oracle``.
    """
    low, high, n = (histogram[name].to_numpy() for name in ("low", "high", "n"))
    with canvas(4.6, HEIGHT) as (figure, axes):
        axes.bar(low, n, width=high - low, align="edge", color=COLORS["mei"], edgecolor="white", lw=0.5)
        axes.axvline(0, color=INK, lw=0.8)
        axes.axvline(median, color=TONES[tone], lw=2.5)
        axes.annotate(f"median {number(median)}", (median, 1), (4, -2), xycoords=("data", "axes fraction"),
                      textcoords="offset points", va="top", color=TONES[tone], fontweight="bold")  # fmt: skip
        axes.set(xlabel="oracle correlation", ylabel="units", title="Do units answer reliably?")
        axes.set_xlim(min(-0.3, float(low[0])), max(0.8, float(high[-1])))
        axes.set_ylim(0, float(n.max()) * 1.2)
        alt = f"Oracle of {int(n.sum())} units from {low[0]:.2f} to {high[-1]:.2f}, median {median:.2f}."
        caption = "How well the other repeats of an image predict a response; 0: the unit ignores the images."
        return finish(figure, "reliability", alt, caption)


def sparseness_figure(units: pl.DataFrame) -> Figure:
    """Draw the histogram of the lifetime sparseness of the units that answer.

    Parameters
    ----------
    units
        The table of a dataset report, of one member.
    """
    values = units.filter(~pl.col("silent"))["sparseness"].drop_nulls().to_numpy()
    n_silent = int(units["silent"].sum())
    with canvas(4.6, HEIGHT) as (figure, axes):
        axes.hist(values, bins=25, range=(0, 1), color=COLORS["mei"], edgecolor="white", lw=0.5)
        axes.set(
            xlabel="lifetime sparseness", ylabel="units", title="How sparse are the responses?", xlim=(0, 1)
        )
        middle = float(np.median(values)) if values.size else float("nan")
        alt = f"Lifetime sparseness of {values.size} units, median {middle:.2f}; {n_silent} silent left out."
        caption = "0: the same answer to every image; 1: an answer to one alone. Silent units are left out."
        return finish(figure, "sparseness", alt, caption)


def places_figure(places: pl.DataFrame, tone: str) -> Figure:
    """Draw how many units lie in each area and layer, and how many of them are silent.

    Parameters
    ----------
    places
        The table of a dataset report, of one member.
    tone
        Severity of the finding ``silent_units``.
    """
    rows = places.sort("n_units", descending=True).head(MOST_ROWS)
    at = np.arange(rows.height)
    silent = rows["n_silent"].to_numpy()
    answering = rows["n_units"].to_numpy() - silent
    with canvas(4.6, max(HEIGHT if rows.height > 5 else 1.7, 0.9 + 0.26 * rows.height)) as (figure, axes):
        axes.barh(at, answering, color=COLORS["mei"], height=0.65)
        color = TONES[tone] if tone in ("warn", "bad") else FAINT
        axes.barh(at, silent, left=answering, color="white", edgecolor=color, hatch="////", height=0.65)
        for place, (n, quiet) in enumerate(zip(answering + silent, silent, strict=True)):
            text = f" {n}" + (f", {quiet} silent" if quiet else "")
            axes.text(n, place, text, va="center", fontsize=8, color=color if quiet else INK)
        axes.set(yticks=at, ylim=(rows.height - 0.4, -0.6), xlabel="units", title="Where are the units?")
        axes.set_yticklabels([f"{area} {layer}" for area, layer in rows.select("brain_area", "layer").rows()])
        axes.set_xlim(0, float((answering + silent).max()) * 1.35)
        told = "; ".join(f"{n} in {layer} of {area}, {quiet} silent"
                         for _, area, layer, n, quiet in rows.rows())  # fmt: skip
        return finish(figure, "places", f"Units by area and layer: {told}.",
                      "Solid: units that answer; hatched: silent ones.")  # fmt: skip


def fates_figure(trials: pl.DataFrame) -> Figure:
    """Draw how many trials are used, and what became of the others.

    Parameters
    ----------
    trials
        The table of a dataset report, of one member.
    """
    rows, total = trials.head(MOST_ROWS), int(trials["n"].sum())
    at, n = np.arange(rows.height), rows["n"].to_numpy()
    used = (rows["fate"] == "used").to_numpy()
    with canvas(4.6, max(1.7, 0.9 + 0.26 * rows.height)) as (figure, axes):
        axes.barh(at, n, color=[COLORS["mei"] if one else LOST_BAR for one in used], height=0.65)
        for place, count in enumerate(n):
            axes.text(count, place, f" {count:,} ({count / total:.1%})", va="center", fontsize=8)
        axes.set(
            yticks=at, ylim=(rows.height - 0.4, -0.6), xlabel="trials", title="What became of the trials?"
        )
        axes.set_yticklabels([_short(fate) for fate in rows["fate"]])
        axes.set_xlim(0, total * 1.35)
        told = "; ".join(f"{fate} {count}" for fate, count in rows.select("fate", "n").rows())
        return finish(figure, "fates", f"Fate of {total} trials: {told}.",
                      "Blue: used; others are left out, for the reason named.")  # fmt: skip


LOST_BAR = "#d98880"


def _short(text: str, width: int = 24) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
