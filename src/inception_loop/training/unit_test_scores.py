"""TestScores and UnitTestScores: how well a model predicts the test trials, scan by scan and unit by unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.member import MemberData, load_member
from inception_loop.errors import DataError
from inception_loop.training.fraction_oracle import ratio_of_means, slope
from inception_loop.training.model import Model, load_model
from inception_loop.training.modes import Mode
from inception_loop.training.scan_data import predict, scan_data
from inception_loop.training.unit_scores import SCORES, score_table, score_trials

I64, F64, TEXT = pa.int64(), pa.float64(), pa.string()
NAME = Column(TEXT, "scan: its readout key")
SINCE_2 = {
    "test_scores": ("corr_to_mean", "oracle", "ceiling", "fraction_oracle_slope", "fraction_oracle_ratio"),
    "unit_test_scores": (
        "cc_max",
        "ceiling",
        "oracle",
        "fraction_oracle",
        "poisson_loss",
        "bits_per_response",
    ),
}
"""Columns that older artifacts lack: null when these are read."""
MEANS = ("test_corr", "corr_to_mean", "oracle", "ceiling")
COUNTED = ("test_corr", "feve", "ceiling", "fraction_oracle", "bits_per_response")


def _with_nulls(payload: str) -> Callable[[pa.Table], pa.Table]:
    def upgrade(table: pa.Table) -> pa.Table:
        for name in SINCE_2[payload]:
            table = table.append_column(name, pa.nulls(len(table), F64))
        return table

    return upgrade


TEST_SCORES = Table(
    {
        "name": NAME,
        "n_units": Column(I64, "units with a score"),
        "n_trials": Column(I64, "test trials"),
        "test_corr": Column(F64, "mean over units of the single-trial correlation", nullable=True),
        "corr_to_mean": Column(F64, "mean over units that have it", nullable=True),
        "oracle": Column(F64, "mean over units that have a jackknife oracle", nullable=True),
        "ceiling": Column(F64, "mean over units that have a ceiling", nullable=True),
        "fraction_oracle_slope": Column(
            F64, "slope through zero of test_corr on oracle over units, least squares", nullable=True
        ),
        "fraction_oracle_ratio": Column(
            F64, "mean test_corr over mean oracle, of the units that have both", nullable=True
        ),
    },
    version=2,
    upgrades={1: _with_nulls("test_scores")},
)
"""One row a scan."""

UNIT_SCORES = Table(
    {
        "name": NAME,
        "neuron_id": Column(I64, "column of the readout"),
        "unit_id": Column(I64, "unit of the scan"),
        **SCORES,
    },
    version=2,
    upgrades={1: _with_nulls("unit_test_scores")},
)
"""One row a unit."""

UNIT_TEST_SCORES = Kind(
    name="unit_test_scores",
    version=2,  # 2: ceiling, oracle and its fractions, losses
    meaning="Correlation of a model's predictions and the responses on the test trials, and related scores.",
    payloads={"test_scores": TEST_SCORES, "unit_test_scores": UNIT_SCORES},
    partition=GROUP,
)


class UnitTestScoresConfig(Config):
    """Configuration of the scores of one model.

    ``eye`` and ``behavior`` at the training mean give the *frozen* scores: the fair comparison to the oracle,
    which does not know them either.
    """

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    least_fev: float = Field(
        0.15, ge=0, lt=1, description="Units with a smaller explainable share of variance get no FEVE."
    )
    eye: Mode = Field("recorded", description="Where the animal looks, as the model is told.")
    behavior: Mode = Field("recorded", description="Its pupil and running, as the model is told.")


def make_unit_test_scores(
    store: ArtifactStore,
    config: UnitTestScoresConfig,
    *,
    model: ArtifactRef | Sequence[ArtifactRef],
    dataset: ArtifactRef,
) -> Outcome:
    """Score a model on the test trials of its dataset; reports ``test_corr`` (mean over all units).

    Several models are scored as one: by the mean of their outputs, as an ensemble is used afterwards.

    Units whose score does not exist (constant responses, no repeats, nothing to explain) have null there
    and are counted.
    """

    def build(attempt: Attempt) -> None:
        torch.set_num_threads(store.settings.threads)
        loaded = [load_model(store, one) for one in models]
        first = loaded[0]
        members = (load_member(store, dataset, name, first.config.data) for name in first.inputs)
        units = pl.concat(
            score_units(loaded, member, config.least_fev, eye=config.eye, behavior=config.behavior)
            for member in members
        )
        attempt.write_table("test_scores", score_scans(units))
        attempt.write_table("unit_test_scores", units.drop("n_trials"))
        without = {f"n_units_without_{name}": units[name].null_count() for name in COUNTED}
        attempt.report(test_corr=units["test_corr"].mean(), **without)

    models = [model] if isinstance(model, ArtifactRef) else list(model)
    return store.make(UNIT_TEST_SCORES, config, build, inputs={"model": models, "dataset": dataset})


def score_scans(units: pl.DataFrame) -> pl.DataFrame:
    """Return one row a scan, as ``test_scores`` declares, of what `score_units` returns."""
    rows = []
    for (name,), scan in units.group_by(["name"], maintain_order=True):
        single, oracle = (
            scan[column].fill_null(float("nan")).to_numpy() for column in ("test_corr", "oracle")
        )
        rows.append(
            {
                "name": name,
                "n_units": scan["test_corr"].count(),
                "n_trials": scan["n_trials"][0],
                **{column: scan[column].mean() for column in MEANS},
                "fraction_oracle_slope": slope(single, oracle),
                "fraction_oracle_ratio": ratio_of_means(single, oracle),
            }
        )
    numbers = dict.fromkeys((*MEANS, "fraction_oracle_slope", "fraction_oracle_ratio"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers).with_columns(pl.col(*numbers).fill_nan(None))


def score_units(
    models: Sequence[Model],
    member: MemberData,
    least_fev: float,
    *,
    eye: Mode = "recorded",
    behavior: Mode = "recorded",
) -> pl.DataFrame:
    """Score every unit of one scan on its test trials.

    Parameters
    ----------
    models
        Trained on this scan, among others; more than one: the mean of their predictions is scored.
    member
        Restricted to the units of the models' data config.
    least_fev
        Units with a smaller explainable share of variance get no FEVE.
    eye, behavior
        What the models are told of them.

    Returns
    -------
    Table
        Columns of ``unit_test_scores`` and ``n_trials``, ordered by ``neuron_id``; null for no score.

    Raises
    ------
    DataError
        If there are fewer than 2 test trials.
    """
    scan = scan_data(member, models[0].config.data)
    rows = scan.rows("test")
    if len(rows) < 2:
        raise DataError(f"{member.name} has {len(rows)} test trials; expected at least 2; see its tiers")
    scan = scan.to(str(models[0].network.device))
    predicted = np.stack(
        [predict(model.network, scan, rows, eye=eye, behavior=behavior) for model in models]
    ).mean(0)
    observed = scan.responses.cpu().numpy()[rows]
    scores = score_trials(predicted, observed, member.condition_hash[rows], least_fev)
    return score_table(member.units, scores).with_columns(n_trials=pl.lit(len(rows), pl.Int64))
