"""``summary.json``: the numbers of a run for programs. Its keys stay; more may be added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from inception_loop.errors import DataError
from inception_loop.report.data import Measured


@dataclass(frozen=True)
class TruthNumber:
    """How one number of the table ``truth`` is called and what it should reach.

    Attributes
    ----------
    label : a few words
    at_least, at_most : bound that the demo must keep
    aim : what good means, in words
    """

    label: str
    at_least: float | None = None
    at_most: float | None = None
    aim: str = ""

    def met(self, value: float) -> bool | None:
        """Whether a value keeps the bound; None if there is none."""
        if self.at_least is not None:
            return value >= self.at_least
        return value <= self.at_most if self.at_most is not None else None

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}".replace("-", "−")
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""


TRUTH = {
    "oracle_relative_error": TruthNumber("Oracle, relative error", at_most=0.03, aim="≤ 0.01"),
    "ceiling_fraction_median": TruthNumber(
        "Share of the ceiling that the CNN reaches", at_least=0.85, aim="≥ 0.90"
    ),
    "cnn_minus_linear_complex": TruthNumber("CNN minus linear, complex cells", at_least=0.1, aim="> 0"),
    "cnn_minus_linear_simple": TruthNumber("CNN minus linear, simple cells", at_least=-0.05, aim="≈ 0"),
    "rf_center_error_px_median": TruthNumber("Receptive-field centre, error in px", at_most=1.0, aim="≤ 0.5"),
    "eye_shift_correlation": TruthNumber("Eye shift, learnt and true", aim="≥ 0.95"),
    "log_gain_correlation_median": TruthNumber("Gain by behaviour, learnt and true", aim="≥ 0.90"),
    "mei_cosine_simple_median": TruthNumber("MEI and true filter, cosine", at_least=0.8, aim="≥ 0.8"),
    "mei_share_of_maximum_median": TruthNumber("MEI response over the maximum", at_least=0.85, aim="≥ 0.97"),
    "rf_cosine_simple_median": TruthNumber("RF image and true filter, cosine", at_least=0.8, aim="≥ 0.95"),
    "rf_share_of_maximum_simple_median": TruthNumber(
        "RF image response over the maximum, simple cells", at_least=0.85, aim="≥ 0.95"
    ),
    "rf_share_of_maximum_complex_median": TruthNumber(
        "RF image response over the maximum, complex cells", at_most=0.7, aim="< 0.5"
    ),
    "match_accuracy": TruthNumber("Cells matched to themselves", at_least=0.95, aim="≥ 0.98"),
}
"""Keys of ``truth`` in their order; what each is in words comes with the number."""

CLOSED_LOOP = (
    "n_units",
    "panel_complex_mei_over_rf_share",
    "own_mei_over_own_rf_share",
    "own_mei_over_best_natural_share",
    "own_image_is_best_share",
    "diagonal_p_value",
)
CLOSED_LOOP_SINCE = ("own_mei_over_own_gabor_share", "own_masked_mei_over_own_masked_natural_share")
"""Keys that came later: null where the evidence does not know them."""

STAGES = ("ingest", "dataset", "train", "select", "mei", "stimulus", "present", "closed_loop")


def build_summary(
    *,
    seconds: float,
    store: str,
    report: str,
    animal: str,
    seed: int | None,
    versions: Mapping[str, str],
    stages: Mapping[str, Mapping[str, float]],
    truth: Mapping[str, Measured],
    evidence: pl.DataFrame,
    notes: Sequence[str] = (),
    answer: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the content of ``summary.json``.

    Parameters
    ----------
    seconds
        Wall time of the run, s.
    store, report, animal, seed, versions
        Where the artifacts and the report are, who answered, with which software.
    stages
        Stage → ``computed``, ``cached`` (artifacts), ``seconds``.
    truth
        Numbers of `TRUTH` as far as the animal's truth allows, the others become null; and any more.
    evidence
        Rows of the artifact ``evidence``: ``key``, ``value``.
    notes, answer
        What the loop could not compare, and what it has shown, in words.

    Raises
    ------
    DataError
        If a stage is unknown or the evidence lacks a key.

    Examples
    --------
    >>> evidence = pl.DataFrame({"key": CLOSED_LOOP, "value": [20.0, None, 0.9, 0.8, 0.7, 1e-5]})
    >>> summary = build_summary(seconds=1.0, store="memory://s", report="report.html", animal="twin", seed=1,
    ...                         versions={}, stages={}, truth={}, evidence=evidence)
    >>> summary["closed_loop"]["n_units"], summary["truth"]["match_accuracy"]
    (20, None)
    """
    unknown = sorted(set(stages) - set(STAGES))
    if unknown:
        raise DataError(
            f"the summary got the stages {', '.join(unknown)}; expected some of {', '.join(STAGES)}"
        )
    values: dict[str, float | None] = dict(evidence.select("key", "value").rows())
    missing = [key for key in CLOSED_LOOP if key not in values]
    if missing:
        raise DataError(
            f"the evidence lacks {', '.join(missing)}; expected a row for each of {', '.join(CLOSED_LOOP)}"
        )
    n_units = values["n_units"]
    return {
        "seconds": seconds,
        "store": store,
        "report": report,
        "animal": animal,
        "seed": seed,
        "versions": dict(versions),
        "stages": {name: dict(stages[name]) for name in STAGES if name in stages},
        "truth": dict.fromkeys(TRUTH) | {key: measured.value for key, measured in truth.items()},
        "closed_loop": {
            "n_units": 0 if n_units is None else int(n_units),
            **{key: values.get(key) for key in (*CLOSED_LOOP[1:], *CLOSED_LOOP_SINCE)},
        },
        "notes": list(notes),
        "answer": list(answer),
    }
