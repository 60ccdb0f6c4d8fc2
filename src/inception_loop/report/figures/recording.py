"""Quality of the recording: the fate of the trials and what traces look like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from inception_loop.report.data import TraceExample
from inception_loop.report.figures.canvas import COLORS, FAINT, INK, Figure, canvas, finish


def traces_figure(traces: Sequence[TraceExample]) -> Figure:
    """Draw stretches of traces one above the other, with the onsets of the images."""
    with canvas(4.6, 0.9 + 0.55 * len(traces)) as (figure, axes):
        for place, example in enumerate(traces):
            trace = np.asarray(example.trace, dtype=np.float64)
            span = float(np.nanmax(trace) - np.nanmin(trace)) or 1.0
            axes.plot(example.time, (trace - np.nanmin(trace)) / span * 0.85 - place, color=INK, lw=0.8)
            axes.vlines(example.onsets, -place - 0.12, -place - 0.04, color=COLORS["mei"], lw=0.9)
        axes.set(
            yticks=[0.3 - place for place in range(len(traces))], xlabel="time (s)", title="Example traces"
        )
        axes.set_yticklabels([f"unit {example.unit_id}" for example in traces])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        onsets = len(traces[0].onsets) if traces else 0
        alt = (
            f"Traces of {len(traces)} units over {_span(traces):.0f} s, each scaled to its own range; "
            f"{onsets} image "
            "onsets are marked below each."
        )
        return finish(figure, "traces", alt, "Each trace on its own scale; blue ticks are image onsets.")


def _span(traces: Sequence[TraceExample]) -> float:
    return float(traces[0].time[-1] - traces[0].time[0]) if traces else 0.0


def trials_figure(trials: pl.DataFrame) -> Figure:
    """Draw, a bar for each scan, how many trials were used."""
    scans = trials["scan"].unique(maintain_order=True).to_list()
    with canvas(4.4, 0.9 + 0.42 * max(len(scans), 2)) as (figure, axes):
        texts = []
        for place, scan in enumerate(scans):
            rows = trials.filter(scan=scan)
            total = int(rows["n"].sum())
            used = int(rows.filter(fate="used")["n"].sum())
            axes.barh(place, used, color=COLORS["mei"], height=0.6)
            axes.barh(
                place, total - used, left=used, color="white", edgecolor=FAINT, hatch="////", height=0.6
            )
            texts.append(f"scan {scan}: {used} of {total}")
        axes.set(
            yticks=range(len(scans)), ylim=(len(scans) - 0.4, -0.6), xlabel="trials", title="Trials used"
        )
        axes.set_yticklabels(scans)
        alt = f"Trials used: {'; '.join(texts)}."
        return finish(figure, "trials", alt, "Solid: used; hatched: left out, for the reasons in the table.")
