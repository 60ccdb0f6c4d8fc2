"""MEI: the most exciting image of every unit of a batch, with its contrast tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.kind import GROUP, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.images.ascent import Ascent
from inception_loop.images.contrast import rms_contrast
from inception_loop.images.network import AdjustedModel, LoadAdjusted
from inception_loop.images.procedure import AnyProcedure, Fast, Procedure
from inception_loop.images.synthesis import synthesize, unit_objective
from inception_loop.images.target import F64, I64, TARGET_COLUMNS, TEXT, TargetConfig
from inception_loop.images.tuning import ContrastTuning, contrast_tuning

ASCENT_COLUMNS = {
    "activation": Column(F64, "output of the adjusted model for the image, in s.d. of the unit's responses"),
    "img_mean": Column(F64, "mean of the image, grey levels"),
    "contrast": Column(F64, "RMS contrast of the image (ddof 0), grey levels"),
    "n_seeds": Column(I64, "networks in the ensemble"),
    "iterations": Column(I64, "gradient steps taken"),
    "stop_reason": Column(TEXT, "converged, iterations, zero_gradient or not_finite"),
}
HISTORY = Arrays(
    {"score": Array("float32", ("steps", "units"), "objective before each step; NaN once stopped")}
)
IMAGES = Array(
    "float32", ("units", "height", "width"), "images in the order of the table, grey levels 0..255"
)

MEI = Kind(
    name="mei",
    version=1,
    meaning="The most exciting images of a batch of units and how their activation grows with contrast.",
    payloads={
        "mei": Table(
            {
                **TARGET_COLUMNS,
                **ASCENT_COLUMNS,
                "monotonic": Column(pa.bool_(), "whether the activation never falls as the contrast grows"),
                "max_activation": Column(F64, "highest activation over contrasts, same unit as activation"),
                "max_contrast": Column(F64, "contrast of the highest activation, grey levels"),
                "sat_contrast": Column(F64, "largest contrast at which no pixel clips, grey levels"),
                "lim_contrast": Column(
                    F64, "contrast of the image stretched over all grey levels, grey levels"
                ),
            }
        ),
        "images": Arrays({"images": IMAGES}),
        "history": HISTORY,
        "tuning": Arrays(
            {
                "contrast": Array("float32", ("units", "gains"), "contrasts of the sweep, grey levels"),
                "activation": Array("float32", ("units", "gains"), "activation at each of them"),
            }
        ),
    },
    partition=GROUP,
)


class MeiConfig(TargetConfig):
    """A batch of MEIs; who is in the batch is part of the question."""

    procedure: Procedure = Field(default_factory=Fast, description="How the images are climbed.")
    gains: int = Field(100, ge=2, description="Contrasts of the tuning curve; 1000 as published.")
    seed: int = Field(1, ge=0, description="Of the starting noise.")


@dataclass(frozen=True)
class Meis:
    """What `synthesize_meis` found: the ascent of every unit, and the contrast tuning of its image."""

    ascent: Ascent
    tuning: ContrastTuning


def synthesize_meis(
    model: AdjustedModel,
    neuron_ids: Sequence[int],
    *,
    keys: Sequence[str] | None = None,
    procedure: AnyProcedure | None = None,
    gains: int = 1000,
    seed: int = 1,
    device: str = "cpu",
) -> Meis:
    """Synthesise the most exciting image of many units of one model in one batch.

    Parameters
    ----------
    model
        Any adjusted model; `CallableModel` makes one of any callable.
    neuron_ids
        Columns of the wanted units.
    keys
        What each unit is called when its noise is drawn; by default its column.
    procedure
        By default `Fast`.
    gains
        Contrasts of the tuning curve.
    seed
        Of the starting noise.
    device
        Where the model is.

    Raises
    ------
    DataError
        If a unit has no gradient to follow.

    Examples
    --------
    >>> import torch
    >>> from inception_loop.images.network import CallableModel
    >>> filters = torch.zeros(2, 8, 12)
    >>> filters[0, 2:4, 2:8], filters[1, 4:6, 3:9] = 1.0, -1.0
    >>> linear = CallableModel(lambda x, u: torch.einsum("bhw,uhw->bu", x, filters[u]), 110.0, 50.0, (8, 12))
    >>> found = synthesize_meis(linear, [0, 1], gains=5)
    >>> [round(v, 2) for v in found.ascent.images.mean((1, 2)).tolist()], found.tuning.monotonic.tolist()
    ([110.0, 110.0], [True, True])
    """
    objective = unit_objective(model, neuron_ids)
    ascent = synthesize(
        objective,
        [str(i) for i in neuron_ids] if keys is None else keys,
        procedure or Fast(),
        seed=seed,
        image_mean=model.image_mean,
        image_std=model.image_std,
        image_size=model.image_size,
        device=device,
    )
    return Meis(ascent, contrast_tuning(objective, ascent.images, gains=gains))


def make_mei(
    store: ArtifactStore, config: MeiConfig, *, models: Sequence[ArtifactRef], load: LoadAdjusted
) -> Outcome:
    """Make the MEIs of a batch of units.

    Parameters
    ----------
    store, config
        Where and what.
    models
        The ensemble: the models of one configuration, one a seed.
    load
        Loads the adjusted model of that ensemble; called only if the artifact does not stand yet.
    """

    def build(attempt: Attempt) -> None:
        found = synthesize_meis(
            config.load(load),
            config.neuron_ids,
            keys=config.noise_keys,
            procedure=config.procedure,
            gains=config.gains,
            seed=config.seed,
            device=store.settings.device,
        )
        tuning = found.tuning
        measured = pl.DataFrame(
            {
                **ascent_columns(config, found.ascent, len(models)),
                "monotonic": tuning.monotonic,
                "max_activation": tuning.max_activation,
                "max_contrast": tuning.max_contrast,
                "sat_contrast": tuning.sat_contrast,
                "lim_contrast": tuning.lim_contrast,
            }
        )
        attempt.write_table("mei", measured)
        attempt.write_arrays("images", {"images": pictures(found.ascent)})
        attempt.write_arrays("history", {"score": found.ascent.history})
        curves = {"contrast": tuning.contrasts, "activation": tuning.activations}
        attempt.write_arrays("tuning", {name: curve.astype(np.float32) for name, curve in curves.items()})
        attempt.report(**stop_counts(found.ascent))

    return store.make(MEI, config, build, inputs={"model": list(models)})


def ascent_columns(config: TargetConfig, ascent: Ascent, n_seeds: int) -> dict[str, object]:
    """Return the columns `TARGET_COLUMNS` and `ASCENT_COLUMNS` of an ascent whose score is the activation."""
    return {
        **config.columns(),
        "activation": ascent.scores.double().cpu().numpy(),
        "img_mean": ascent.images.double().mean((1, 2)).cpu().numpy(),
        "contrast": rms_contrast(ascent.images.double()).cpu().numpy(),
        "n_seeds": [n_seeds] * len(config.units),
        "iterations": ascent.iterations,
        "stop_reason": list(ascent.reasons),
    }


def pictures(ascent: Ascent) -> np.ndarray:
    """Return the (U, H, W) float32 images of an ascent, grey levels."""
    return ascent.images.float().cpu().numpy()


def stop_counts(ascent: Ascent) -> dict[str, object]:
    """Return findings: how many units stopped for which reason, and the mean number of steps."""
    counts = {reason: ascent.reasons.count(reason) for reason in sorted(set(ascent.reasons))}
    return {"stop_reasons": counts, "mean_iterations": float(ascent.iterations.mean())}
