"""One unit's trials as a small SVG inside the page: a row an image, a dot a trial, bars for mean ± s.e.m."""

from __future__ import annotations

import numpy as np
import polars as pl
from markupsafe import Markup

from inception_loop.report import words
from inception_loop.report.closed_loop.names import PICTURES
from inception_loop.report.figures.canvas import COLORS, FAINT, INK, NAMES
from inception_loop.report.figures.units import ticks

_WIDTH, _LEFT, _RIGHT, _ROW, _FOOT = 300, 82, 8, 17, 17
SHORT = {
    "mei": "MEI",
    "linear": "RF image",
    "gabor": "Gabor",
    "natural": "natural",
    "masked_mei": "masked MEI",
    "masked_natural": "masked nat.",
    "truth": "true best",
}
"""Names of images where there is little room."""


def strip(trials: pl.DataFrame, unit: int) -> Markup | None:
    """Return the trials of one unit as SVG with a description for who cannot see it; None without trials.

    Parameters
    ----------
    trials
        ``model_type, z_response`` of the unit, one row a trial.
    unit
        Its number, for the description.
    """
    by_model = {model: trials.filter(model_type=model)["z_response"].to_numpy() for model in PICTURES}
    known = {model: values for model, values in by_model.items() if len(values)}
    if not known:
        return None
    every = np.concatenate(list(known.values()))
    low, high = min(0.0, float(every.min())), max(0.0, float(every.max()))
    scale = (_WIDTH - _LEFT - _RIGHT) / (high - low or 1)

    def x(value: float) -> str:
        return f"{_LEFT + (value - low) * scale:.1f}"

    foot = len(known) * _ROW + 2
    parts = [f'<path d="M{x(0)} 0V{foot}M{_LEFT} {foot}H{_WIDTH - _RIGHT}" stroke="{FAINT}" fill="none"/>']
    for value in ticks(low, high):
        parts.append(
            f'<text x="{x(value)}" y="{foot + 12}" text-anchor="middle">{words.number(value, 0)}</text>'
        )
    parts.append(f'<text x="{_LEFT - 6}" y="{foot + 12}" text-anchor="end">response, z</text>')
    said = []
    for place, (model, values) in enumerate(known.items()):
        what, y = PICTURES[model], place * _ROW + _ROW / 2 + 1
        mean = float(values.mean())
        sem = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
        dots = "".join(f"M{x(value)} {y:g}h0" for value in values)
        color = COLORS[what]
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 3.5:g}" text-anchor="end">{SHORT[what]}</text>')
        parts.append(
            f'<path d="{dots}" stroke="{color}" stroke-width="5" stroke-linecap="round" stroke-opacity=".5"/>'
        )
        bar = f"M{x(mean)} {y - 5:g}v10"
        if sem is not None:
            bar += f"M{x(mean - sem)} {y:g}H{x(mean + sem)}"
        parts.append(f'<path d="{bar}" stroke="{INK}" stroke-width="1.6"/>')
        error = "" if sem is None else f" ± {words.number(sem)}"
        said.append(f"{NAMES[what]} {words.number(mean)}{error} ({words.count(len(values), 'trial')})")
    label = f"Trials of unit {unit}, mean response in z ± s.e.m.: {'; '.join(said)}."
    head = Markup('<svg class="trials" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        _WIDTH, foot + _FOOT, label
    )
    return head + Markup("".join(parts)) + Markup("</svg>")
