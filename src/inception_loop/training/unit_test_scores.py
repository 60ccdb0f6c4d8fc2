"""TestScores and UnitTestScores: how well a model predicts the test trials, scan by scan and unit by unit."""

from __future__ import annotations

from collections.abc import Sequence

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
from inception_loop.training.model import Model, load_model
from inception_loop.training.scan_data import predict, scan_data
from inception_loop.training.scores import RepeatScores, group_repeats, pearson, repeat_scores

I64, F64, TEXT = pa.int64(), pa.float64(), pa.string()
NAME = Column(TEXT, "scan: its readout key")

UNIT_TEST_SCORES = Kind(
    name="unit_test_scores",
    version=1,
    meaning="Correlation of a model's predictions and the responses on the test trials, and related scores.",
    payloads={
        "test_scores": Table(
            {
                "name": NAME,
                "n_units": Column(I64, "units with a score"),
                "n_trials": Column(I64, "test trials"),
                "test_corr": Column(F64, "mean over units of the single-trial correlation", nullable=True),
            }
        ),
        "unit_test_scores": Table(
            {
                "name": NAME,
                "neuron_id": Column(I64, "column of the readout"),
                "unit_id": Column(I64, "unit of the scan"),
                "test_corr": Column(
                    F64,
                    "Pearson correlation over single trials, eye and behaviour as recorded",
                    nullable=True,
                ),
                "corr_to_mean": Column(
                    F64, "Pearson correlation over images, both sides averaged over repeats", nullable=True
                ),
                "fev": Column(F64, "explainable share of the variance", nullable=True),
                "feve": Column(
                    F64, "explained share of the explainable variance; null where fev is low", nullable=True
                ),
                "feve_clipped": Column(F64, "the same, 0 where it is negative", nullable=True),
                "signal_power": Column(
                    F64, "variance over images without noise, squared training s.d.", nullable=True
                ),
                "cc_norm": Column(F64, "correlation to the mean over its ceiling", nullable=True),
            }
        ),
    },
    partition=GROUP,
)


class UnitTestScoresConfig(Config):
    """Configuration of the scores of one model."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    least_fev: float = Field(
        0.15, ge=0, lt=1, description="Units with a smaller explainable share of variance get no FEVE."
    )


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
        units = pl.concat(
            score_units(loaded, load_member(store, dataset, name, first.config.data), config.least_fev)
            for name in first.inputs
        )
        scores = units.group_by("name", maintain_order=True).agg(
            n_units=pl.col("test_corr").count(),
            n_trials=pl.col("n_trials").first(),
            test_corr=pl.col("test_corr").mean(),
        )
        attempt.write_table("test_scores", scores.with_columns(pl.col("n_units").cast(pl.Int64)))
        attempt.write_table("unit_test_scores", units.drop("n_trials"))
        attempt.report(
            test_corr=units["test_corr"].mean(),
            n_units_without_test_corr=units["test_corr"].null_count(),
            n_units_without_feve=units["feve"].null_count(),
        )

    models = [model] if isinstance(model, ArtifactRef) else list(model)
    return store.make(UNIT_TEST_SCORES, config, build, inputs={"model": models, "dataset": dataset})


def score_units(models: Sequence[Model], member: MemberData, least_fev: float) -> pl.DataFrame:
    """Score every unit of one scan on its test trials.

    Parameters
    ----------
    models
        Trained on this scan, among others; more than one: the mean of their predictions is scored.
    member
        Restricted to the units of the models' data config.
    least_fev
        Units with a smaller explainable share of variance get no FEVE.

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
    predicted = np.stack([predict(model.network, scan, rows) for model in models]).mean(0)
    observed = scan.responses.cpu().numpy()[rows]
    repeats = group_repeats(member.condition_hash[rows], observed, predicted)
    if repeats is None or len(repeats.shown) < 2:
        repeated = dict.fromkeys(RepeatScores._fields, np.full(scan.n_units, np.nan))
    else:
        repeated = repeat_scores(repeats, observed, predicted)._asdict()
    explainable = np.nan_to_num(repeated["fev"], nan=-1.0) >= least_fev
    scores = {
        "test_corr": pearson(predicted, observed),
        **repeated,
        "feve": np.where(explainable, repeated["feve"], np.nan),
        "feve_clipped": np.where(explainable, np.maximum(repeated["feve"], 0), np.nan),
    }
    return member.units.select("name", "neuron_id", "unit_id").with_columns(
        *(pl.Series(name, values).fill_nan(None) for name, values in scores.items()),
        n_trials=pl.lit(len(rows), pl.Int64),
    )
