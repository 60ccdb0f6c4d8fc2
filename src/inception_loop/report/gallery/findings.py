"""Which units look broken, in words: so that whoever shows their images knows which to leave out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from inception_loop.report.gallery.kinds import MEI, in_order, rivals_of, title_of
from inception_loop.report.gallery.units import JUDGES, UNIT
from inception_loop.report.words import count, number, percent

SHOWN_IN_WORDS = {
    "no_mei": "no MEI",
    "stopped": "ascent broke off",
    "unpredicted": "the networks do not predict it",
    "control_wins": "a control beats the MEI",
    "validator_disagrees": "the validator prefers a control",
    "validator_weak": "the validator is excited much less",
    "out_of_steps": "still climbing when its steps ran out",
    "not_monotonic": "activation falls at higher contrast",
    "out_of_memory": "memory ran out meanwhile",
}
"""Every finding and what it says in short, the gravest first."""
SEVERITIES = dict(zip(SHOWN_IN_WORDS, ("bad",) * 5 + ("warn",) * 3 + ("note",), strict=True))
BROKEN = ("zero_gradient", "not_finite")
CLIPS = 0.99  # of the contrast at which a pixel clips: a peak there is where the curve ends, not a fall
UNEQUAL = 0.05  # contrasts that differ by more are named where images are compared
_SCHEMA = {"name": pl.String, "unit_id": pl.Int64, "key": pl.String, "severity": pl.String, "text": pl.String}


@dataclass(frozen=True)
class Limits:
    """From where on something is a finding.

    Attributes
    ----------
    margin : a control beats an MEI if its activation exceeds the MEI's by this share of it
    least_validator_share : the validator's activation by an MEI, of that of the networks that it was made for
    """

    margin: float = 0.05
    least_validator_share: float = 0.5


def find(units: pl.DataFrame, images: pl.DataFrame, limits: Limits | None = None) -> pl.DataFrame:
    """Look at every unit; of several images of a kind at the first.

    Parameters
    ----------
    units
        ``name, unit_id, cnn_fraction_oracle`` in the order of the gallery.
    images
        The table ``images`` of a gallery.
    limits
        From where on something is a finding.

    Returns
    -------
    ``name, unit_id, key, severity, text``, unit by unit, the gravest finding first.
    """
    limits = limits or Limits()
    rivals = rivals_of(images["what"].unique())
    has_meis = images.filter(what=MEI).height > 0
    rows: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for row in images.filter(number=0).iter_rows(named=True):
        rows.setdefault((row["name"], row["unit_id"]), {})[row["what"]] = row
    found = []
    for *key, fraction in units.select(*UNIT, "cnn_fraction_oracle").iter_rows():
        of = rows.get((key[0], key[1]), {})
        said = {name: text for name, text in (*_made(of), *_predicted(fraction)) if text}
        if MEI in of:
            said |= {name: text for name, text in _of_unit(of, rivals, limits) if text}
        elif has_meis:
            said["no_mei"] = "It has no MEI."
        found += [(*key, name, SEVERITIES[name], said[name]) for name in SHOWN_IN_WORDS if name in said]
    return pl.DataFrame(found, schema=_SCHEMA, orient="row")


def _made(of: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Say of which images of a unit the steps or the memory ran out."""
    late = [k for k in in_order(of) if of[k]["stop_reason"] == "iterations" and of[k]["step_limit"]]
    if late:
        steps = count(max(of[what]["step_limit"] for what in late), "step")
        yield "out_of_steps", f"Still climbing when its {steps} were made: {_titles(late)}."
    halved = [k for k in in_order(of) if of[k]["images_at_once"]]
    if halved:
        at_once = min(of[k]["images_at_once"] for k in halved)
        said = f"Memory ran out meanwhile; they went on {at_once} at a time and are sound: {_titles(halved)}."
        yield "out_of_memory", said


def _predicted(fraction: float | None) -> Iterator[tuple[str, str]]:
    if fraction is not None and fraction <= 0:
        said = "The networks do not predict it, so that its images mean nothing: test correlation of the CNNs"
        yield "unpredicted", f"{said} {percent(fraction)} of its oracle."


def _titles(kinds: Sequence[str]) -> str:
    return ", ".join(title_of(what) for what in kinds)


def _of_unit(
    of: Mapping[str, dict[str, Any]], rivals: Mapping[str, str], limits: Limits
) -> Iterator[tuple[str, str]]:
    mei = of[MEI]
    if mei["stop_reason"] in BROKEN:
        why = {"zero_gradient": "its gradient was zero", "not_finite": "its activation was no number"}
        yield "stopped", f"The ascent of its MEI broke off: {why[mei['stop_reason']]}."
    beaten = {judge: _beaten(of, rivals, judge, limits.margin) for judge in JUDGES}
    if beaten["reference"]:
        yield "control_wins", f"{beaten['reference'][:1].upper()}{beaten['reference'][1:]}."
    if beaten["validator"]:
        yield "validator_disagrees", f"For networks that had no part in its MEI, {beaten['validator']}."
    reference, validator = mei["reference_activation"], mei["validator_activation"]
    weak = reference is not None and validator is not None and reference > 0
    if weak and validator < limits.least_validator_share * reference:
        said = f"{number(validator)} against {number(reference)}"
        yield "validator_weak", f"Networks that had no part in its MEI are excited much less by it: {said}."
    if mei["monotonic"] is False:
        yield "not_monotonic", _falls(mei)


def _beaten(of: Mapping[str, dict[str, Any]], rivals: Mapping[str, str], judge: str, margin: float) -> str:
    """Say which control exceeds its MEI (or masked MEI) most, and how many others do; else nothing."""
    column, found = f"{judge}_activation", []
    for what in in_order(rivals):
        own, rival = of.get(rivals[what]), of.get(what)
        if own is None or rival is None or own[column] is None or rival[column] is None:
            continue
        if beats(rival[column], own[column], margin):
            found.append((rival[column] - own[column], rival, own))
    if not found:
        return ""
    _, rival, own = max(found, key=lambda one: one[0])
    unequal = abs(rival["contrast"] - own["contrast"]) > UNEQUAL * own["contrast"]
    at = f", at contrasts of {number(rival['contrast'], 1)} and {number(own['contrast'], 1)}"
    others = f"; so {'does' if len(found) == 2 else 'do'} {count(len(found) - 1, 'other control')}"
    return (
        f"its {title_of(rival['what'])} excites it more than its {title_of(own['what'])}: "
        f"{number(rival[column])} against {number(own[column])}{at if unequal else ''}"
        f"{others if len(found) > 1 else ''}"
    )


def beats(rival: float, own: float, margin: float) -> bool:
    """Whether a rival's activation exceeds one's own by more than a share of it.

    Examples
    --------
    >>> beats(1.02, 1.0, 0.01), beats(1.005, 1.0, 0.01), beats(0.1, -1.0, 0.01)
    (True, False, True)
    """
    return rival > own + margin * abs(own)


def _falls(mei: Mapping[str, Any]) -> str:
    peak, end, shown = mei["max_contrast"], mei["sat_contrast"], mei["contrast"]
    text = "Its activation falls again as the contrast of its MEI grows"
    if peak is None or end is None:
        return f"{text}."
    if peak >= CLIPS * end:
        return ""  # it dips at contrasts far below
    advice = f"show it at {number(peak, 1)}" if peak < shown else "show it at no more than that"
    return (
        f"{text}: highest at {number(peak, 1)} grey levels; the image has {number(shown, 1)}, and a pixel "
        f"clips at {number(end, 1)}; {advice}."
    )
