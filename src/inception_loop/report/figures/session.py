"""A recording from its beginning to its end: what was lost, whether it is steady, half a minute of it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import polars as pl

from inception_loop.quality.signals import ACTIVITY, CENTER_X, CENTER_Y, ONSET, PUPIL, RUNNING
from inception_loop.report.figures.canvas import COLORS, FAINT, INK, Figure, canvas, finish
from inception_loop.report.words import number

TONES = {"ok": "#00694d", "warn": "#b35900", "bad": "#b3261e", "unknown": FAINT}
LOST = "#f2b3aa"
ROWS = (
    ("activity\n(s.d.)", (ACTIVITY,)),
    ("pupil\nradius (px)", (PUPIL,)),
    ("pupil\ncentre (px)", (CENTER_X, CENTER_Y)),
    ("running\n(cm/s)", (RUNNING,)),
)
"""Label → channels of one row of the plots."""
_TINTS = (COLORS["mei"], COLORS["linear"])
_NOTE: dict[str, Any] = {"ha": "center", "va": "center", "color": "#52606d", "fontsize": 9}
WORTH_MENTIONING = 0.01


def session_figure(overview: pl.DataFrame, clock: str) -> Figure:
    """Draw activity, pupil and running over the whole session; what is lost is red.

    Parameters
    ----------
    overview
        The table of a dataset report, of one member.
    clock
        ``s`` or ``trial``.
    """
    scale, label = _axis(clock)
    with canvas(4.6, 4.5, nrows=len(ROWS), sharex=True) as (figure, all_axes):
        told = []
        for axes, (name, channels) in zip(cast(Any, all_axes), ROWS, strict=True):
            axes.set_ylabel(name, fontsize=8)
            rows = [overview.filter(channel=channel) for channel in channels]
            rows = [table for table in rows if table.height]
            if not rows:
                axes.set_yticks([])
                axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, **_NOTE)
                told.append(f"{_plain(name)} not recorded")
                continue
            for table, tint in zip(rows, _TINTS, strict=False):
                _envelope(axes, table, scale, tint, centred=len(channels) > 1, spiky=ACTIVITY in channels)
            lost = rows[0]["lost"].to_numpy()
            at = rows[0]["position"].to_numpy() / scale
            axes.fill_between(at, 0, lost, step="mid", color=LOST, lw=0, zorder=0,
                              transform=axes.get_xaxis_transform())  # fmt: skip
            if lost.mean() > WORTH_MENTIONING:
                axes.set_title(
                    f"{lost.mean():.0%} lost", loc="right", color=TONES["bad"], fontsize=8.5, pad=2
                )
            told.append(f"{_plain(name)} {lost.mean():.0%} lost")
            axes.locator_params(axis="y", nbins=3)
        cast(Any, all_axes)[-1].set_xlabel(label)
        cast(Any, all_axes)[0].set_title("The whole session")
        caption = (
            "Line: mean; band of pupil and running: smallest to largest. Red: the share of samples lost."
        )
        alt = f"Activity, pupil and running over the whole session: {'; '.join(told)}."
        return finish(figure, "session", alt, caption, tall=True)


def _envelope(axes: Any, table: pl.DataFrame, scale: float, tint: str, *, centred: bool, spiky: bool) -> None:
    low, mean, high = (table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in _BAND)
    known = np.isfinite(mean)
    shift = float(np.median(mean[known])) if centred and known.any() else 0.0
    at = table["position"].to_numpy() / scale
    if spiky:  # single spikes would hide how the level changes
        low, high = np.minimum(mean, 0), mean
    axes.fill_between(at, low - shift, high - shift, color=tint, alpha=0.25, lw=0)
    axes.plot(at, mean - shift, color=tint, lw=0.8)
    if known.any() and not centred:
        axes.set_ylim(min(0.0, float(low[known].min())), float(high[known].max()) * 1.08 or 1.0)


_BAND = ("low", "mean", "high")


def closer_figure(examples: pl.DataFrame, units: pl.DataFrame, clock: str) -> Figure:
    """Draw half a minute of a few units, pupil and running, with the onsets of the images.

    Parameters
    ----------
    examples, units
        The tables of a dataset report, of one member.
    clock
        ``s`` or ``trial``.
    """
    begin = float(examples["position"].min() or 0.0)  # type: ignore[arg-type]
    onsets = examples.filter(channel=ONSET)["position"].to_numpy() - begin
    chosen = examples.filter(pl.col("unit_id").is_not_null())["channel"].unique(maintain_order=True)
    with canvas(4.6, 4.5, nrows=4, sharex=True, height_ratios=[0.55 * max(len(chosen), 1), 1, 1, 1]) as (
        figure,
        all_axes,
    ):
        first, *others = cast(Any, all_axes)
        labels = []
        for place, channel in enumerate(chosen):
            rows = examples.filter(channel=channel)
            values = rows["value"].fill_null(np.nan).to_numpy()
            span = float(np.nanmax(values) - np.nanmin(values)) if np.isfinite(values).any() else 0.0
            if span:
                values = (values - np.nanmin(values)) / span * 0.85
            first.plot(rows["position"].to_numpy() - begin, values - place, **_line(clock))
            labels.append(_unit_label(units.filter(unit_id=rows["unit_id"][0]).row(0, named=True)))
        first.set_yticks([0.3 - place for place in range(len(labels))])
        first.set_yticklabels(labels, fontsize=7)
        first.tick_params(axis="y", length=0)
        first.set_title("Half a minute of it" if clock == "s" else "Sixty trials of it")
        for axes, (name, channels) in zip(others, ROWS[1:], strict=True):
            axes.set_ylabel(name, fontsize=7)
            _channels(axes, examples, channels, begin)
        if clock == "s":
            for axes in (first, *others):
                axes.vlines(onsets, 0, 1, transform=axes.get_xaxis_transform(), color="#dbe2e8", lw=0.7,
                            zorder=0)  # fmt: skip
        others[-1].set_xlabel("time (s)" if clock == "s" else "trial")
        caption = "From the middle of the session; units from most to least reliable, each on its own scale."
        caption += " Grey lines are image onsets." if clock == "s" else ""
        alt = (
            f"Activity of {len(labels)} units ({'; '.join(labels)}), pupil and running, {len(onsets)} images."
        )
        return finish(figure, "closer", alt.replace("\n", " "), caption, tall=True)


def _channels(axes: Any, examples: pl.DataFrame, channels: tuple[str, ...], begin: float) -> None:
    drawn = False
    for channel, tint in zip(channels, _TINTS, strict=False):
        rows = examples.filter(channel=channel)
        values = rows["value"].fill_null(np.nan).to_numpy()
        if np.isfinite(values).any():
            shift = float(np.nanmedian(values)) if len(channels) > 1 else 0.0
            axes.plot(rows["position"].to_numpy() - begin, values - shift, color=tint, lw=0.9)
            drawn = True
    if not drawn:
        axes.set_yticks([])
        there = bool(examples["channel"].is_in(channels).any())
        axes.text(0.5, 0.5, "lost here" if there else "not recorded", transform=axes.transAxes, **_NOTE)
    axes.locator_params(axis="y", nbins=3)


def _line(clock: str) -> dict[str, Any]:
    return {"color": INK, "lw": 0.8} if clock == "s" else {"color": INK, "lw": 0.7, "marker": ".", "ms": 2.5}


def _unit_label(unit: dict[str, Any]) -> str:
    if unit["silent"]:
        return f"unit {unit['unit_id']}\nsilent"
    oracle = "" if unit["oracle"] is None else f"\noracle {number(unit['oracle'])}"
    return f"unit {unit['unit_id']}{oracle}"


def steady_figure(blocks: pl.DataFrame, clock: str, tone: str) -> Figure:
    """Draw the mean response over the session, with the means of its first and last third.

    Parameters
    ----------
    blocks
        The table of a dataset report, of one member.
    clock
        ``s`` or ``trial``.
    tone
        Severity of the finding ``drift``.
    """
    scale, label = _axis(clock)
    known = blocks.drop_nulls("response")
    at, level = known["position"].to_numpy() / scale, known["response"].to_numpy()
    with canvas(4.6, 2.6) as (figure, axes):
        axes.axhline(1, color=FAINT, lw=1, zorder=0)
        axes.plot(at, level, "o-", color=INK, ms=3, lw=0.9)
        ends = []
        third = max(1, len(level) // 3)
        for part in (slice(None, third), slice(len(level) - third, None)):
            ends.append(float(np.average(level[part])))
            axes.hlines(ends[-1], at[part][0], at[part][-1], color=TONES[tone], lw=4, alpha=0.7)
        axes.set(xlabel=label, ylabel="mean response", title="Is it steady?")
        axes.set_ylim(min(0.0, float(level.min()) * 1.1), max(1.4, float(level.max()) * 1.1))
        alt = f"Mean response over the session; first third {ends[0]:.2f}, last third {ends[1]:.2f}, usual 1."
        caption = "Mean response of all units by part of the session; 1 is usual. Bars: first and last third."
        return finish(figure, "steady", alt, caption)


def _axis(clock: str) -> tuple[float, str]:
    return (60.0, "time (min)") if clock == "s" else (1.0, "trial")


def _plain(name: str) -> str:
    return name.replace("\n", " ").split(" (")[0]
