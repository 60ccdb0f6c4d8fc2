"""LinearRF: what linear receptive fields fitted to the responses alone predict; a control without network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field, field_validator

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberData, load_member, member_names
from inception_loop.dataset.normalization import Normalised, normalize
from inception_loop.errors import DataError
from inception_loop.training.linear_fit import Singles, Tier, averages, fit_linear
from inception_loop.training.unit_scores import score_table, score_trials
from inception_loop.training.unit_test_scores import NAME, TEST_SCORES, UNIT_SCORES, score_scans

I64, F64 = pa.int64(), pa.float64()

LINEAR_RF = Kind(
    name="linear_rf",
    version=1,
    meaning="Linear receptive fields fitted to the responses alone, and how well they predict test trials.",
    payloads={
        "test_scores": TEST_SCORES,
        "unit_test_scores": UNIT_SCORES,
        "linear_rf": Table(
            {
                "name": NAME,
                "neuron_id": Column(I64, "column of the readout"),
                "unit_id": Column(I64, "unit of the scan"),
                "smoothness": Column(
                    F64, "of the penalty, chosen on the validation trials; null: none predicts", nullable=True
                ),
                "strength": Column(F64, "of the penalty, likewise", nullable=True),
                "val_corr": Column(F64, "single-trial validation correlation", nullable=True),
                "sta_test_corr": Column(
                    F64,
                    "single-trial test correlation of images projected on the spike-triggered average",
                    nullable=True,
                ),
                "sta_corr_to_mean": Column(F64, "the same, to the mean over repeats", nullable=True),
            }
        ),
        "filters": Arrays(
            {
                "rf": Array(
                    "float32",
                    ("units", "height", "width"),
                    "regularised linear receptive fields, rows as in linear_rf; response in training s.d. a "
                    "unit of the normalised pixel; 0: none predicts",
                ),
                "sta": Array(
                    "float32",
                    ("units", "height", "width"),
                    "spike-triggered averages less the mean image, unit of the normalised image; 0: silent",
                ),
            }
        ),
    },
    partition=GROUP,
)


class LinearRfConfig(Config):
    """Configuration of the linear receptive fields of a group's units.

    Of all pairs of ``smoothness`` and ``strength`` each unit takes the one that predicts its validation
    trials best; see `SmoothRidge` for what they mean.
    """

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    data: CorrectedAreaLayer = Field(
        default_factory=CorrectedAreaLayer, description="Which units, and how the data are normalised."
    )
    smoothness: tuple[float, ...] = Field(
        (0.0, 1.0, 10.0),
        min_length=1,
        description="Weights of the filter's squared Laplacian beside its square, px⁴; 0: plain ridge.",
    )
    strength: tuple[float, ...] = Field(
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
        min_length=1,
        description="Of the penalty, in variances of a pixel.",
    )
    least_fev: float = Field(
        0.15, ge=0, lt=1, description="Units with a smaller explainable share of variance get no FEVE."
    )

    @field_validator("smoothness")
    @classmethod
    def _not_negative(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) < 0:
            raise ValueError(f"smoothness is {value}; expected numbers of at least 0")
        return value

    @field_validator("strength")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0:
            raise ValueError(f"strength is {value}; expected positive numbers")
        return value


class LinearScores(NamedTuple):
    """Linear receptive fields of one member, rows and scores unit by unit.

    Attributes
    ----------
    scores : table ``unit_test_scores`` with ``n_trials``
    fields : table ``linear_rf``
    rf, sta : (N, H, W) float32 regularised fields and spike-triggered averages
    """

    scores: pl.DataFrame
    fields: pl.DataFrame
    rf: Singles
    sta: Singles


def score_linear(member: MemberData, config: LinearRfConfig) -> LinearScores:
    """Fit and score all units of one member.

    Parameters
    ----------
    member
        Restricted to the units of ``config.data``.
    config
        Penalties and normalisation.

    Raises
    ------
    DataError
        If a tier has fewer than 2 trials.
    """
    values = normalize(member, config.data)
    train, validation, test = (_tier(member, values, tier) for tier in ("train", "validation", "test"))
    fit = fit_linear(train, validation, test.images, config.smoothness, config.strength)
    sta, shown = averages(train), member.condition_hash[member.trials_of("test")]
    projected = test.images.reshape(len(shown), -1) @ sta.reshape(len(sta), -1).T
    found = {"smoothness": fit.smoothness, "strength": fit.strength, "val_corr": fit.val_corr}
    of_sta = score_trials(projected, test.responses, shown, config.least_fev)
    found |= {f"sta_{name}": of_sta[name] for name in ("test_corr", "corr_to_mean")}
    fields = member.units.select("name", "neuron_id", "unit_id").with_columns(
        pl.Series(name, column).fill_nan(None) for name, column in found.items()
    )
    scores = score_trials(fit.predicted, test.responses, shown, config.least_fev)
    table = score_table(member.units, scores).with_columns(n_trials=pl.lit(len(shown), pl.Int64))
    return LinearScores(table, fields, fit.filters, sta)


def _tier(member: MemberData, values: Normalised, tier: str) -> Tier:
    rows = member.trials_of(tier)
    if len(rows) < 2:
        raise DataError(f"{member.name} has {len(rows)} {tier} trials; expected at least 2; see its tiers")
    return Tier(values.images[member.frame_row[rows]], values.responses[rows])


def make_linear_rf(store: ArtifactStore, config: LinearRfConfig, *, dataset: ArtifactRef) -> Outcome:
    """Fit linear receptive fields to a dataset and score them as networks are scored.

    Its tables ``test_scores`` and ``unit_test_scores`` are those of the kind ``unit_test_scores``. Reports
    ``test_corr`` (mean over all units), how many units no penalty predicts, and how many chose the weakest or
    the strongest penalty of the list (many: the list is too short).
    """

    def build(attempt: Attempt) -> None:
        made = [
            score_linear(load_member(store, dataset, name, config.data), config)
            for name in member_names(store, dataset)
        ]
        units, fields = pl.concat(one.scores for one in made), pl.concat(one.fields for one in made)
        attempt.write_table("test_scores", score_scans(units))
        attempt.write_table("unit_test_scores", units.drop("n_trials"))
        attempt.write_table("linear_rf", fields)
        rf, sta = (np.concatenate(parts) for parts in ([m.rf for m in made], [m.sta for m in made]))
        attempt.write_arrays("filters", {"rf": rf, "sta": sta})
        attempt.report(
            test_corr=units["test_corr"].mean(),
            n_units_without_fit=fields["strength"].null_count(),
            n_units_at_weakest=int((fields["strength"] == min(config.strength)).sum()),
            n_units_at_strongest=int((fields["strength"] == max(config.strength)).sum()),
        )

    return store.make(LINEAR_RF, config, build, inputs={"dataset": dataset})
