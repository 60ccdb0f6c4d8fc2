"""All scores of a prediction of test trials, unit by unit: of a network and of what it is held against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import Column
from inception_loop.training.fraction_oracle import unit_fractions
from inception_loop.training.likelihood import bits_per_response, unit_poisson_loss
from inception_loop.training.scores import (
    Doubles,
    Floats,
    RepeatScores,
    group_repeats,
    pearson,
    repeat_scores,
)

F64 = pa.float64()

SCORES = {
    "test_corr": Column(F64, "Pearson correlation over single trials", nullable=True),
    "corr_to_mean": Column(
        F64, "Pearson correlation over images, both sides averaged over repeats", nullable=True
    ),
    "fev": Column(F64, "explainable share of the variance", nullable=True),
    "feve": Column(F64, "explained share of the explainable variance; null where fev is low", nullable=True),
    "feve_clipped": Column(F64, "the same, 0 where it is negative", nullable=True),
    "signal_power": Column(F64, "variance over images without noise, squared training s.d.", nullable=True),
    "cc_norm": Column(F64, "correlation to the mean over its ceiling", nullable=True),
    "cc_max": Column(F64, "this ceiling; null: no signal power", nullable=True),
    "ceiling": Column(
        F64, "highest single-trial correlation of an image alone; null: no signal power", nullable=True
    ),
    "oracle": Column(F64, "jackknife oracle, all repeated test images; null: does not vary", nullable=True),
    "fraction_oracle": Column(F64, "test_corr over oracle; null: no oracle above 0", nullable=True),
    "poisson_loss": Column(
        F64, "mean of q - y log q, y and q in training s.d.; null: a negative prediction", nullable=True
    ),
    "bits_per_response": Column(
        F64,
        "Poisson log-likelihood over that of the constant mean, bits a unit of summed response (of counts: "
        "bits a spike); null: none, or a negative one",
        nullable=True,
    ),
}
"""Score → its column; a unit that does not allow a score has null there."""


def score_trials(
    predicted: Floats, observed: Floats, condition: npt.NDArray[np.str_], least_fev: float
) -> dict[str, Doubles]:
    """Score predictions of test trials.

    Parameters
    ----------
    predicted, observed
        (T, N) in units of each unit's training s.d.
    condition
        (T,) what was shown; the scores over repeats need at least 2 that were shown twice or more.
    least_fev
        Units with a smaller explainable share of variance get no FEVE.

    Returns
    -------
    dict
        (N,) float64 of every name in `SCORES`; NaN for no score.

    Raises
    ------
    DataError
        If there are fewer than 2 trials.
    """
    nothing = np.full(observed.shape[1], np.nan)
    repeats = group_repeats(condition, observed, predicted)
    if repeats is None or len(repeats.shown) < 2:
        repeated, oracle = dict.fromkeys(RepeatScores._fields, nothing), nothing
    else:
        repeated, oracle = repeat_scores(repeats, observed, predicted)._asdict(), repeats.oracle(observed)
    single = pearson(predicted, observed)
    feve = np.where(np.nan_to_num(repeated["fev"], nan=-1.0) >= least_fev, repeated["feve"], np.nan)
    return {
        "test_corr": single,
        **repeated,
        "feve": feve,
        "feve_clipped": np.maximum(feve, 0),
        "oracle": oracle,
        "fraction_oracle": unit_fractions(single, oracle),
        "poisson_loss": unit_poisson_loss(predicted, observed),
        "bits_per_response": bits_per_response(predicted, observed),
    }


def score_table(units: pl.DataFrame, scores: dict[str, Doubles]) -> pl.DataFrame:
    """Return the scores beside ``name, neuron_id, unit_id`` of their units, null for NaN."""
    return units.select("name", "neuron_id", "unit_id").with_columns(
        pl.Series(name, scores[name], pl.Float64).fill_nan(None) for name in SCORES
    )
