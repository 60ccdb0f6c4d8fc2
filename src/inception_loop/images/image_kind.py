"""The form of every artifact that holds images made or chosen for units: declared once, measured once.

A reader of one kind reads them all: the same columns, the same payloads, whatever made the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.kind import GROUP, Array, Arrays, Column, File, Kind, Table
from inception_loop.artifacts.store import Attempt
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import rms_contrast
from inception_loop.images.judging import IMAGES_AT_ONCE, Judgement, Judging, activations, judge
from inception_loop.images.network import AdjustedModel, LoadAdjusted, Networks
from inception_loop.images.target import F64, I64, TARGET_COLUMNS, TargetConfig, TargetUnit

IMAGES = Array(
    "float32", ("units", "height", "width"), "images in the order of the table, grey levels 0..255"
)
MEASURED = {
    "activation": Column(F64, "by the ensemble it is made for, in s.d. of the unit's responses"),
    "reference_activation": Column(F64, "by the ensemble that compares images of all kinds", nullable=True),
    "validator_activation": Column(
        F64, "by networks that had no part in any image; null: there are none", nullable=True
    ),
    "img_mean": Column(F64, "mean of the image, grey levels"),
    "contrast": Column(F64, "RMS contrast of the image (ddof 0), grey levels"),
    "n_seeds": Column(I64, "networks in the ensemble it is made for"),
    "n_validators": Column(I64, "networks that had no part in it", nullable=True),
    "monotonic": Column(
        pa.bool_(),
        "whether the activation never falls as the contrast grows; null: the image inhibits",
        nullable=True,
    ),
    "max_activation": Column(
        F64, "highest reference activation over contrasts; null: the image inhibits", nullable=True
    ),
    "max_contrast": Column(
        F64, "contrast of the highest activation, grey levels; null: the image inhibits", nullable=True
    ),
    "sat_contrast": Column(F64, "largest contrast at which no pixel clips, grey levels", nullable=True),
    "lim_contrast": Column(
        F64, "contrast of the image stretched over all grey levels, grey levels", nullable=True
    ),
    "shift_mean_activation": Column(F64, "mean reference activation over displacements", nullable=True),
    "shift_min_activation": Column(F64, "lowest reference activation over displacements", nullable=True),
}
"""What is measured of every image. Nulls: an artifact from before it was."""

OF_EXCITING = ("monotonic", "max_activation", "max_contrast")

TUNING = Arrays(
    {
        "contrast": Array("float32", ("units", "gains"), "contrasts of the sweep, grey levels"),
        "activation": Array("float32", ("units", "gains"), "reference activation at each of them"),
    }
)
SHIFTS = Arrays(
    {
        "offset": Array("int64", ("offsets",), "displacements to the right and down, px"),
        "activation": Array("float32", ("units", "y", "x"), "reference activation of the displaced image"),
    }
)


class ImageConfig(TargetConfig):
    """A batch of units that want images; who is in the batch is part of the question."""

    judging: Judging = Field(Judging(), description="What is measured of every image.")

    def load_judge(self, load: LoadAdjusted) -> AdjustedModel:
        """Load a model that measures images: in float32, in whatever precision they were made."""
        return load(self.name, eye=self.eye, behavior=self.behavior, precision="float32")


class MatchedConfig(ImageConfig):
    """Images that are shown at a stated mean and RMS contrast."""

    mean: float | None = Field(
        None, gt=0, lt=255, description="Mean of every image, grey levels; none: that of the training pixels."
    )
    contrast: float = Field(8.0, gt=0, description="RMS contrast of every image, grey levels.")

    def mean_of(self, model: AdjustedModel) -> float:
        """Return the mean for images of a model, grey levels."""
        return model.image_mean if self.mean is None else self.mean


def image_kind(
    name: str,
    meaning: str,
    *,
    version: int = 1,
    columns: Mapping[str, Column] | None = None,
    arrays: Mapping[str, Array] | None = None,
    payloads: Mapping[str, Table | Arrays | File] | None = None,
    table_version: int = 1,
) -> Kind:
    """Declare a kind of images of units.

    Parameters
    ----------
    name, meaning, version
        As of every `Kind`.
    columns
        Of its table, after `TARGET_COLUMNS` and `MEASURED`.
    arrays
        Members of the payload ``images`` beside ``images`` itself.
    payloads
        More of them, beside the table, ``images``, ``tuning`` and ``shifts``.
    table_version
        Schema version of the table; older ones get nulls in the columns that they lack.
    """
    declared = {**TARGET_COLUMNS, **MEASURED, **(columns or {})}
    upgrades = dict.fromkeys(range(1, table_version), with_nulls(declared))
    return Kind(
        name=name,
        version=version,
        meaning=meaning,
        payloads={
            name: Table(declared, version=table_version, upgrades=upgrades),
            "images": Arrays({"images": IMAGES, **(arrays or {})}),
            "tuning": TUNING,
            "shifts": SHIFTS,
            **(payloads or {}),
        },
        partition=GROUP,
    )


def with_nulls(columns: Mapping[str, Column]) -> Any:
    """Return an upgrade of a table: nulls in the columns that an older one lacks."""

    def lifted(table: pa.Table) -> pa.Table:
        for name, column in columns.items():
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, column.type))
        return table.select(list(columns))

    return lifted


def write_images(
    attempt: Attempt,
    kind: Kind,
    config: ImageConfig,
    networks: Networks,
    model: AdjustedModel,
    images: Tensor | npt.NDArray[np.float32],
    *,
    columns: Mapping[str, Any] | None = None,
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    units: Sequence[TargetUnit] | None = None,
    inhibiting: bool = False,
    device: str = "cpu",
) -> pl.DataFrame:
    """Measure images of units and write the payloads that all such kinds share.

    Parameters
    ----------
    attempt, kind, config
        What is made; the kind is one of `image_kind`.
    networks, model
        The models, and ``networks.own`` as loaded; all of them measure in float32.
    images : (U, H, W), grey levels
    columns, arrays
        The kind's own, U rows each.
    units
        Whose each image is; by default ``config.units``. A kind may have several images a unit.
    inhibiting
        Whether the images were made for the lowest activation: where it is highest over contrasts says
        nothing of them. The curve itself stands in ``tuning``.
    device
        Where the models are.

    Returns
    -------
    The table as written.
    """
    owners = config.units if units is None else tuple(units)
    ids = [unit.neuron_id for unit in owners]
    shown = torch.as_tensor(images, dtype=torch.float32, device=device)
    own = model if config.precision == "float32" else config.load_judge(networks.own.load)
    reference = own if networks.reference is None else config.load_judge(networks.reference.load)
    validator = None if networks.validator is None else config.load_judge(networks.validator.load)
    names = [f"{config.name}/{unit.unit_id}" for unit in owners]
    batches = FittingBatches(IMAGES_AT_ONCE)
    found = judge(reference, shown, ids, config.judging, validator, names, batches)
    table = pl.DataFrame(
        {
            "name": [config.name] * len(owners),
            "neuron_id": ids,
            "unit_id": [unit.unit_id for unit in owners],
            **_measured(found, activations(own, shown, ids, batches), shown, networks),
            **(columns or {}),
        },
        schema_overrides={"validator_activation": pl.Float64},
    )
    if inhibiting:
        table = table.with_columns(pl.lit(None, table.schema[name]).alias(name) for name in OF_EXCITING)
    attempt.write_table(kind.name, table)
    attempt.write_arrays("images", {"images": shown.cpu().numpy(), **(arrays or {})})
    tuning = {"contrast": found.tuning.contrasts, "activation": found.tuning.activations}
    attempt.write_arrays("tuning", {name: curve.astype(np.float32) for name, curve in tuning.items()})
    attempt.write_arrays("shifts", {"offset": found.offsets, "activation": found.shifted.astype(np.float32)})
    attempt.report(**batches.findings("judged"))
    return table


def _measured(
    found: Judgement, own: npt.NDArray[np.float64], images: Tensor, networks: Networks
) -> dict[str, Any]:
    n, tuning, validator = len(images), found.tuning, networks.validator
    return {
        "activation": own,
        "reference_activation": found.reference_activation,
        "validator_activation": [None] * n if validator is None else found.validator_activation,
        "img_mean": images.double().mean((1, 2)).cpu().numpy(),
        "contrast": rms_contrast(images.double()).cpu().numpy(),
        "n_seeds": [len(networks.own.models)] * n,
        "n_validators": [0 if validator is None else len(validator.models)] * n,
        "monotonic": tuning.monotonic,
        "max_activation": tuning.max_activation,
        "max_contrast": tuning.max_contrast,
        "sat_contrast": tuning.sat_contrast,
        "lim_contrast": tuning.lim_contrast,
        "shift_mean_activation": found.shifted.mean((1, 2)),
        "shift_min_activation": found.shifted.min((1, 2)),
    }
