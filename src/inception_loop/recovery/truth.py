"""RecoveredTruth: what a loop has recovered of its animal's known answers, each number with its n."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.animals.recorded import AnimalDayConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.truth import Truth
from inception_loop.animals.truth_archive import load_truth
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.member import MemberData, load_member
from inception_loop.images.image_kind import with_nulls
from inception_loop.recovery.images import judge_images
from inception_loop.recovery.networks import (
    Aligned,
    align,
    ceiling_fractions,
    gain_correlations,
    rf_center_errors,
    rf_center_offset,
    shift_correlation,
)
from inception_loop.selection.recovery import oracle_error, oracle_repeats
from inception_loop.training.model import Model, load_model

F64, I64, TEXT = pa.float64(), pa.int64(), pa.string()
Floats = npt.NDArray[np.float64]

SHARE_OF_CEILING = Column(F64, "mean over seeds; null: the cell ignores the image", nullable=True)
UNITS = {
    "unit_id": Column(I64, "number of the unit in the source scan"),
    "kind": Column(TEXT, "kind of the true cell"),
    "cnn_ceiling_fraction": SHARE_OF_CEILING,
    "lin_ceiling_fraction": SHARE_OF_CEILING,
    "rf_center_error": Column(F64, "px, mean over seeds of the CNN", nullable=True),
    "mei_cosine": Column(F64, "MEI with the true filter, simple panel units", nullable=True),
    "mei_share_of_maximum": Column(F64, "true response to the MEI, panel units", nullable=True),
    "rf_cosine": Column(F64, "RF image with the true filter, simple panel units", nullable=True),
    "rf_share_of_maximum": Column(F64, "true response to the RF image, panel units", nullable=True),
}

RECOVERED_TRUTH = Kind(
    name="recovered_truth",
    version=2,  # 2: RF images judged beside the MEIs
    meaning="What oracle, networks and images have recovered of an animal whose true answers are known.",
    payloads={
        "recovered_truth": Table(
            {
                "key": Column(TEXT, "name of the number"),
                "value": Column(F64, "the number; null where the truth does not allow it", nullable=True),
                "n": Column(I64, "units it is taken over"),
                "definition": Column(TEXT, "what it is, in words"),
            }
        ),
        "units": Table(UNITS, version=2, upgrades={1: with_nulls(UNITS)}),
    },
    partition=GROUP,
)

DEFINITIONS = {
    "oracle_relative_error": "|mean estimated − mean expected oracle| / mean expected, units with S/V ≥ 0.2",
    "ceiling_fraction_median": "test correlation of the CNN over its ceiling, median over driven units",
    "cnn_minus_linear_complex": "CNN minus linear fraction of the ceiling, median over purely complex units",
    "cnn_minus_linear_simple": "CNN minus linear fraction of the ceiling, median over purely simple units",
    "rf_center_error_px_median": "px, learnt to true RF centre, no eye shift, common offset removed",
    "rf_center_error_px_simple": "the same, purely simple units: one phase says least of an envelope",
    "rf_center_offset_px": "px, the common offset that was removed, mean over seeds",
    "eye_shift_correlation": "learnt with true eye shift over trials, mean of x and y and of seeds",
    "log_gain_correlation_median": "learnt with true log gain over trials, median over driven units",
    "mei_cosine_simple_median": "MEI minus its mean with the true filter, simple units of the truth panel",
    "mei_share_of_maximum_median": "true response to the MEI over that to the analytic best image, baseline "
    "removed, same mean and norm, nothing clipped, truth panel",
    "rf_cosine_simple_median": "RF image of the linear networks with the true filter, simple panel units",
    "rf_share_of_maximum_simple_median": "share of the maximum by the RF image, simple units of the panel",
    "rf_share_of_maximum_complex_median": "the same, complex units: a linear image cannot excite them",
}


class RecoveredTruthConfig(Config):
    """Of which group, and of which member."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    name: str = Field(description="Readout key of the member whose truth is known.")


def make_recovered_truth(
    store: ArtifactStore,
    config: RecoveredTruthConfig,
    *,
    dataset: ArtifactRef,
    animal_truth: ArtifactRef,
    oracle: ArtifactRef,
    cnn: Sequence[ArtifactRef],
    linear: Sequence[ArtifactRef],
    meis: Sequence[ArtifactRef],
    rfs: Sequence[ArtifactRef] = (),
    truth_panel: ArtifactRef | None = None,
) -> Outcome:
    """Compare what the loop learnt with the truth; an animal without closed-form answers gets nulls there.

    Numbers of images that were not made are null as well.
    """

    def build(attempt: Attempt) -> None:
        truth = load_truth(store, animal_truth)
        networks = {role: [load_model(store, ref) for ref in refs] for role, refs in ensembles.items()}
        member = load_member(store, dataset, config.name, networks["cnn"][0].config.data)
        numbers, units = recovered(
            truth,
            member,
            store.table(oracle, "oracle").filter(name=config.name),
            store.manifest(oracle).config["min_repeats"],
            networks["cnn"],
            networks["linear"],
            {
                what: _judge(store, config.name, truth, animal_truth, images, truth_panel)
                for what, images in (("mei", meis), ("rf", rfs))
            },
        )
        attempt.write_table("recovered_truth", numbers)
        attempt.write_table("units", units)
        attempt.report(**dict(numbers.select("key", "value").iter_rows()))

    ensembles = {"cnn": list(cnn), "linear": list(linear)}
    inputs: dict[str, Any] = {
        "static_multi_dataset": dataset,
        "animal_truth": animal_truth,
        "oracle": oracle,
        "mei": list(meis),
        "grad_rf": list(rfs),
        **ensembles,
    }
    if truth_panel is not None:
        inputs["truth_panel"] = truth_panel
    return store.make(RECOVERED_TRUTH, config, build, inputs=inputs)


def _judge(
    store: ArtifactStore,
    name: str,
    truth: Truth,
    animal_truth: ArtifactRef,
    refs: Sequence[ArtifactRef],
    truth_panel: ArtifactRef | None,
) -> pl.DataFrame | None:
    """Judge the panel's images of one kind on the true cells.

    None where there are none, or no analytic best images.
    """
    day = AnimalDayConfig.model_validate(store.manifest(animal_truth).config)
    if not refs or truth_panel is None or not isinstance(day.animal, SimulatedConfig):
        return None
    animal, cells = day.animal, truth.cells()

    def respond(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        contrast = (images - animal.mean_grey) / animal.contrast_grey
        return cells.response(contrast.reshape(len(images), -1).astype(np.float32))

    panel = store.table(truth_panel, "truth_panel").filter(name=name)
    images = np.concatenate([store.arrays(ref, "images")["images"] for ref in refs])
    units = pl.concat([store.table(ref, ref.kind).select("name", "unit_id") for ref in refs])
    own = (units["name"] == name).to_numpy()  # another member's unit may bear the same number
    return judge_images(images[own], units["unit_id"].to_numpy()[own], panel, truth, respond)


def recovered(
    truth: Truth,
    member: MemberData,
    oracle: pl.DataFrame,
    min_repeats: int,
    cnn: Sequence[Model],
    linear: Sequence[Model],
    judged: Mapping[str, pl.DataFrame | None],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the numbers of `RECOVERED_TRUTH` and the table of units they are taken over.

    Parameters
    ----------
    truth
        Of the member's recording.
    member
        Restricted to the units that the models read out.
    oracle
        ``unit_id, oracle_pearson`` of the member, from images with at least ``min_repeats`` repeats.
    cnn, linear
        The ensembles, one model a seed.
    judged
        `judge_images` of the truth panel's ``mei`` and ``rf``; None where there are no such images, or the
        animal has no analytic best ones.
    """
    aligned = align(truth, member)
    units = member.units.select("unit_id").with_columns(kind=pl.Series(aligned.kind.tolist()))
    fractions = [_each(ceiling_fractions, models, member, aligned) for models in (cnn, linear)]
    difference = fractions[0].mean(0) - fractions[1].mean(0)
    errors = _each(rf_center_errors, cnn, member, aligned)
    offsets = [rf_center_offset(model, member, aligned) for model in cnn]
    gains = _each(gain_correlations, cnn, member, aligned)
    shifts = [shift_correlation(model, member, aligned) for model in cnn]
    estimate = oracle_error(oracle, truth.units, oracle_repeats(member, min_repeats))
    units = units.with_columns(
        _column("cnn_ceiling_fraction", fractions[0].mean(0)),
        _column("lin_ceiling_fraction", fractions[1].mean(0)),
        _column("rf_center_error", errors.mean(0)),
    )
    for what, of_panel in judged.items():
        units = units.join(_judged(what, of_panel), on="unit_id", how="left", maintain_order="left")
    rf_share = units["rf_share_of_maximum"]
    simple, complex_ = (aligned.kind == kind for kind in ("simple", "complex"))
    found = {
        "oracle_relative_error": (estimate.relative_error, estimate.n_units),
        "ceiling_fraction_median": _median(fractions[0]),
        "cnn_minus_linear_complex": _median(difference[None, complex_]),
        "cnn_minus_linear_simple": _median(difference[None, simple]),
        "rf_center_error_px_median": _median(errors),
        "rf_center_error_px_simple": _median(errors[:, simple]),
        "rf_center_offset_px": (float(np.mean(offsets)), len(offsets)),
        "eye_shift_correlation": (float(np.mean(shifts)), len(shifts)),
        "log_gain_correlation_median": _median(gains),
        "mei_cosine_simple_median": _of_panel(units["mei_cosine"]),
        "mei_share_of_maximum_median": _of_panel(units["mei_share_of_maximum"]),
        "rf_cosine_simple_median": _of_panel(units["rf_cosine"]),
        "rf_share_of_maximum_simple_median": _of_panel(rf_share.filter(simple)),
        "rf_share_of_maximum_complex_median": _of_panel(rf_share.filter(complex_)),
    }
    schema = {"key": pl.String, "value": pl.Float64, "n": pl.Int64, "definition": pl.String}
    rows = [(key, _finite(value), n, DEFINITIONS[key]) for key, (value, n) in found.items()]
    return pl.DataFrame(rows, schema=schema, orient="row"), units


def _each(
    measure: Callable[[Model, MemberData, Aligned], Floats],
    models: Sequence[Model],
    member: MemberData,
    aligned: Aligned,
) -> Floats:
    return np.stack([measure(model, member, aligned) for model in models])


def _median(values: Floats) -> tuple[float | None, int]:
    """Median over the finite units of each row, mean over the rows; None where there is no unit."""
    finite = values[:, np.isfinite(values).all(0)]
    return (float(np.median(finite, axis=1).mean()), finite.shape[1]) if finite.size else (None, 0)


def _of_panel(values: pl.Series) -> tuple[float | None, int]:
    return _median(values.drop_nulls().to_numpy()[None])


def _finite(value: Any) -> float | None:
    """Return None for what is undefined: a shifter that learnt nothing correlates with nothing."""
    return float(value) if value is not None and np.isfinite(value) else None


def _column(name: str, values: Floats) -> pl.Series:
    return pl.Series(name, values, pl.Float64).fill_nan(None)


def _judged(what: str, judged: pl.DataFrame | None) -> pl.DataFrame:
    names = {name: f"{what}_{name}" for name in ("cosine", "share_of_maximum")}
    if judged is None:
        return pl.DataFrame(schema={"unit_id": pl.Int64, **dict.fromkeys(names.values(), pl.Float64)})
    return judged.drop("kind").rename(names)
