"""What the images of an experiment are worth: beside the MEI, for a validator, over contrast and place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.report.figures.canvas import FAINT, INK, Figure, canvas, finish
from inception_loop.report.gallery.findings import CLIPS
from inception_loop.report.gallery.kinds import ENDED, MEI, Look, ended_words, excites, in_order, rivals_of
from inception_loop.report.words import count, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.floating]
UNIT = ["name", "unit_id"]
MARKERS = "os^DvPX*"
BEYOND = 2.0  # times the MEI's activation; what exceeds it more stands there
MANY = 2_000  # points; more are drawn as pixels
HATCHES = ("", "////", "....", "xxxx")


def beside_mei_figure(images: pl.DataFrame, looks: Mapping[str, Look]) -> Figure | None:
    """Draw the activation by each kind of image relative to the unit's MEI, one point a unit, by judge."""
    first = images.filter(pl.col("number") == 0, pl.col("what") != MEI)
    rows = [
        (what, judge, first.filter(what=what)[f"{judge}_share"].drop_nulls().to_numpy())
        for what in in_order(first["what"])
        for judge in ("reference", "validator")
    ]
    rows = [row for row in rows if len(row[2])]
    if not rows:
        return None
    kinds = in_order(what for what, _, _ in rows)
    with canvas(4.6, 1.3 + 0.55 * len(kinds)) as (figure, axes):
        for what, judge, shares in rows:
            look, above = looks[what], judge == "reference"
            at = kinds.index(what) + (-0.17 if above else 0.17)
            spread = at + 0.11 * _spread(len(shares))
            axes.plot(np.minimum(shares, BEYOND), spread, "o" if above else "D", ms=3, alpha=0.6,
                      mew=0 if above else 0.7, mfc=look.color if above else "none", mec=look.color,
                      rasterized=len(shares) > MANY)  # fmt: skip
            middle = float(np.median(shares))
            axes.plot([min(middle, BEYOND)] * 2, [at - 0.16, at + 0.16], color=INK, lw=2)
        axes.axvline(1, color=INK, lw=1, ls=":")
        axes.set(yticks=range(len(kinds)), ylim=(len(kinds) - 0.5, -0.5), title="Beside the MEI",
                 xlabel="activation over that by the unit’s MEI")  # fmt: skip
        axes.set_yticklabels([f"{looks[what].mark} {looks[what].title}" for what in kinds])
        low, high = axes.get_xlim()
        axes.set_xlim(max(min(low, 0), -BEYOND), min(max(high, 1.1), BEYOND + 0.06))
        beyond = sum(int((shares > BEYOND).sum()) for _, _, shares in rows)
        outside = f" {count(beyond, 'point')} beyond {BEYOND:g} stand at {BEYOND:g}." if beyond else ""
        said = "; ".join(
            f"{looks[what].title} {number(float(np.median(shares)))} by the {judge}"
            for what, judge, shares in rows
        )
        n = max(len(shares) for _, _, shares in rows)
        alt = f"Activation relative to the MEI of {count(n, 'unit')}, medians: {said}."
        caption = (
            f"n = {count(n, 'unit')}. Dots: by the networks that compare; open diamonds: by networks that "
            f"had no part in any image; bars: medians; dotted: as good as the MEI.{outside}"
        )
        more = "" if set(kinds) <= rivals_of([MEI, *kinds]).keys() else " of kinds that compete with the MEI"
        return finish(figure, "beside-mei", alt, caption, bad=f"points{more} right of the dotted line.")


def validator_figure(images: pl.DataFrame, looks: Mapping[str, Look]) -> Figure | None:
    """Draw each image's activation by the validator against that by the comparing networks."""
    known = images.filter(number=0).drop_nulls(["reference_activation", "validator_activation"])
    kinds = [what for what in in_order(known["what"]) if what in (MEI, *rivals_of(known["what"]))]
    if not kinds:
        return None
    with canvas(4.4, 4.0) as (figure, axes):
        ends = [0.0]
        for what, marker in zip(kinds, cycle(MARKERS), strict=False):
            rows = known.filter(what=what)
            x, y = rows["reference_activation"].to_numpy(), rows["validator_activation"].to_numpy()
            ends += [*x, *y]
            axes.plot(x, y, marker, color=looks[what].color, ms=4, alpha=0.65, mew=0,
                      label=looks[what].title, rasterized=len(x) > MANY)  # fmt: skip
        limits = (min(ends), max(max(ends) * 1.05, min(ends) + 1e-6))
        axes.plot(limits, limits, color=FAINT, lw=1, zorder=0)
        axes.set(xlim=limits, ylim=limits, aspect="equal", xlabel="activation, comparing networks",
                 ylabel="activation, validator", title="By networks that had no part in it")  # fmt: skip
        axes.legend(loc="upper left", fontsize=7)
        meis = known.filter(pl.col("what") == MEI, pl.col("reference_activation") > 0)
        shares = (meis["validator_activation"] / meis["reference_activation"]).to_numpy()
        n = known.select(UNIT).n_unique()
        left = f" The median MEI keeps {percent(float(np.median(shares)))}." if len(shares) else ""
        alt = f"Activation by the validator against that by the comparing networks, {count(n, 'unit')}.{left}"
        caption = f"n = {count(n, 'unit')}, one point an image; on the line both agree.{left}"
        bad = "MEIs far below the line, the others on it (the networks climbed were fooled, not excited)."
        return finish(figure, "validator", alt, caption, bad=bad)


def contrast_figure(curves: pl.DataFrame, images: pl.DataFrame, looks: Mapping[str, Look]) -> Figure | None:
    """Draw the contrast curves of all MEIs, each of its own peak; those that fall again stand out."""
    lines = curves.filter(pl.col("what") == MEI, pl.col("number") == 0, against="contrast")
    if not lines.height:
        return None
    below = pl.col("max_contrast") < CLIPS * pl.col("sat_contrast")
    falls = images.filter(~pl.col("monotonic"), below, what=MEI, number=0).select(UNIT).rows()
    meis = images.filter(what=MEI, number=0)
    with canvas(4.4, 3.0) as (figure, axes):
        for unit, rows in lines.group_by(UNIT, maintain_order=True):
            y = rows["activation"].to_numpy()
            bad = unit in falls
            axes.plot(rows["x"], y / max(float(np.abs(y).max()), 1e-12), lw=1.4 if bad else 0.7,
                      color="#d55e00" if bad else looks[MEI].color, alpha=0.9 if bad else 0.35,
                      ls="--" if bad else "-", zorder=2 if bad else 1)  # fmt: skip
        shown = float(np.median(meis["contrast"]))
        axes.axvline(shown, color=INK, lw=1, ls=":")
        n = lines.select(UNIT).n_unique()
        axes.set(xlabel="RMS contrast, grey levels", ylabel="activation over its highest", xlim=(0, None),
                 ylim=(min(0.0, axes.get_ylim()[0]), 1.05), title="Contrast curves of the MEIs")  # fmt: skip
        alt = f"Contrast curves of {count(n, 'MEI')}; {len(falls)} fall again, shown at {number(shown, 1)}."
        caption = (
            f"n = {count(n, 'unit')}, each up to where a pixel clips. Orange and dashed: those that fall "
            f"again, {len(falls) or 'none'}. Dotted: contrast of the images, {number(shown, 1)} grey levels "
            "(median)."
        )
        return finish(figure, "contrast", alt, caption, bad="curves that peak left of the dotted line.")


def displaced_figure(curves: pl.DataFrame, looks: Mapping[str, Look]) -> Figure | None:
    """Draw what each kind keeps of its activation when displaced: median over units, quartiles of the MEI."""
    lines = curves.filter(against="distance", number=0)
    own = lines.filter(x=0.0).select(*UNIT, "what", pl.col("activation").alias("own"))
    shares = lines.join(own, on=[*UNIT, "what"]).filter(pl.col("own") > 0)
    shares = shares.with_columns(share=pl.col("activation") / pl.col("own"))
    kinds = [what for what in in_order(shares["what"]) if excites(what)]
    if not kinds:
        return None
    with canvas(4.4, 3.2) as (figure, axes):
        told = []
        for what, marker in zip(kinds, cycle(MARKERS), strict=False):
            x, values = _by_distance(shares.filter(what=what))
            middle = np.array([np.median(one) for one in values])
            axes.plot(x, middle, marker=marker, ms=3.5, color=looks[what].color, lw=2 if what == MEI else 1.2,
                      label=looks[what].title)  # fmt: skip
            if what == MEI:
                low, high = np.array([np.quantile(one, (0.25, 0.75)) for one in values]).T
                axes.fill_between(x, low, high, color=looks[what].color, alpha=0.15, lw=0)
            told.append(f"{looks[what].title} {percent(float(middle[-1]))}")
        axes.set(xlabel="displaced by, px", ylabel="share of its activation", title="Displaced images",
                 ylim=(min(0.0, axes.get_ylim()[0]), None))  # fmt: skip
        axes.legend(fontsize=7)
        n = shares.select(UNIT).n_unique()
        last = number(float(np.max(shares["x"].to_numpy())), 0)
        alt = f"Median share of the activation kept at {last} px, {count(n, 'unit')}: {'; '.join(told)}."
        caption = (
            f"n = {count(n, 'unit')}; medians; band: quartiles of the MEI. At {last} px: {'; '.join(told)}."
        )
        bad = "an MEI that loses most of it within 1 px: no eye holds so still."
        return finish(figure, "displaced", alt, caption, bad=bad)


def ascents_figure(images: pl.DataFrame, looks: Mapping[str, Look]) -> Figure | None:
    """Draw how many steps the ascents took, by why they stopped, a panel a kind that was climbed."""
    climbed = images.filter(number=0).drop_nulls(["iterations", "stop_reason"])
    kinds = in_order(climbed["what"])
    if not kinds:
        return None
    reasons = sorted(climbed["stop_reason"].unique(), key=lambda one: (one != "converged", one))
    steps = climbed["iterations"].to_numpy()
    edges = np.linspace(0, max(int(steps.max()), 1), 25)
    with canvas(4.4, 0.9 + 1.05 * len(kinds), nrows=len(kinds), sharex=True, squeeze=False) as (figure, _):
        for axes, what in zip(figure.axes, kinds, strict=True):
            _stacked(axes, climbed.filter(what=what), reasons, edges, looks[what])
        figure.axes[-1].set_xlabel("steps of the ascent")
        figure.axes[0].legend(fontsize=7)
        told = [f"{looks[what].title}: {_reasons(climbed.filter(what=what))}" for what in kinds]
        alt = f"Steps of the ascents by why they stopped. {'; '.join(told)}."
        caption = f"n = {count(climbed.height, 'image')}. Why they stopped: {'; '.join(told)}."
        bad = "ascents without a gradient; heaps at the most steps, where ascents could stop earlier."
        return finish(figure, "ascents", alt, caption, tall=len(kinds) > 4, bad=bad)


def _stacked(axes: Axes, rows: pl.DataFrame, reasons: Sequence[str], edges: Floats, look: Look) -> None:
    base = np.zeros(len(edges) - 1)
    for place, reason in enumerate(reasons):
        counts, _ = np.histogram(rows.filter(stop_reason=reason)["iterations"].to_numpy(), edges)
        fill, edge = ("white", look.color) if place else (look.color, "white")
        axes.bar(edges[:-1], counts, np.diff(edges), bottom=base, align="edge", color=fill, edgecolor=edge,
                 hatch=HATCHES[place % len(HATCHES)], lw=0.5, label=ENDED.get(reason, reason))  # fmt: skip
        base += counts
    axes.set(ylabel="units", title=f"{look.mark} {look.title}")


def _reasons(rows: pl.DataFrame) -> str:
    counts = rows["stop_reason"].value_counts().sort("count", "stop_reason", descending=[True, False])
    return ended_words(dict(counts.rows()))


def _by_distance(rows: pl.DataFrame) -> tuple[Floats, list[Floats]]:
    x = rows["x"].unique().sort().to_numpy()
    return x, [rows.filter(x=float(at))["share"].to_numpy() for at in x]


def _spread(n: int) -> Floats:
    """Return n places from -1 to 1 in an order without a pattern, the same every time."""
    return (np.arange(n) * 0.618034 % 1) * 2 - 1
