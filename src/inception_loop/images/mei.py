"""MEI: the most exciting image of every unit of a batch, with its contrast tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from inception_loop.artifacts.kind import Array, Arrays, Column
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.images.ascent.ascend import Ascent
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import Wanted, unit_objective, wanted_objective
from inception_loop.images.ascent.procedure import AnyProcedure, Fast, Procedure
from inception_loop.images.ascent.synthesis import synthesize
from inception_loop.images.image_kind import ImageConfig, image_kind, write_images
from inception_loop.images.network import AdjustedModel, Networks
from inception_loop.images.target import I64, TEXT
from inception_loop.images.tuning import ContrastTuning, contrast_tuning

ASCENT_COLUMNS = {
    "iterations": Column(I64, "gradient steps taken from the start chosen"),
    "stop_reason": Column(
        TEXT,
        "converged, iterations, zero_gradient (no pixel matters: an activation at its floor) or not_finite",
    ),
}
HISTORY = Arrays(
    {
        "score": Array(
            "float32",
            ("steps", "units"),
            "objective before each step: activation, minus it where it is lowered; NaN once stopped",
        )
    }
)

MEI = image_kind(
    "mei",
    "The most exciting, or most inhibiting, images of a batch of units.",
    version=3,  # 2: judged by a validator and over displacements; 3: steps halved where an ascent stalls
    columns=ASCENT_COLUMNS,
    payloads={"history": HISTORY},
    table_version=2,
)


class MeiConfig(ImageConfig):
    """A batch of MEIs; who is in the batch is part of the question."""

    procedure: Procedure = Field(default_factory=Fast, description="How the images are climbed.")
    objective: Wanted = Field("exciting", description="Highest activation, or lowest.")
    seed: int = Field(1, ge=0, description="Of the starting noise.")


@dataclass(frozen=True)
class Meis:
    """What `synthesize_meis` found: the ascent of every unit, and the contrast tuning of its image.

    The scores of inhibiting images are minus their activations.
    """

    ascent: Ascent
    tuning: ContrastTuning


def synthesize_meis(
    model: AdjustedModel,
    neuron_ids: Sequence[int],
    *,
    keys: Sequence[str] | None = None,
    procedure: AnyProcedure | None = None,
    objective: Wanted = "exciting",
    gains: int = 1000,
    seed: int = 1,
    device: str = "cpu",
    batches: FittingBatches | None = None,
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
    objective
        "inhibiting" asks for the image of the lowest activation; see `inhibiting` for what that means where
        activations bottom out.
    gains
        Contrasts of the tuning curve.
    seed
        Of the starting noise.
    device
        Where the model is.
    batches
        How many images go through the model at once; by default all, and fewer where the memory runs out.

    Raises
    ------
    DataError
        If no unit is asked for, the model has no such column, or a unit has no gradient to follow.

    Examples
    --------
    >>> from inception_loop.images.network import CallableModel
    >>> filters = torch.zeros(2, 8, 12)
    >>> filters[0, 2:4, 2:8], filters[1, 4:6, 3:9] = 1.0, -1.0
    >>> linear = CallableModel(lambda x, u: torch.einsum("bhw,uhw->bu", x, filters[u]), 110.0, 50.0, (8, 12))
    >>> found = synthesize_meis(linear, [0, 1], gains=5)
    >>> [round(v, 2) for v in found.ascent.images.mean((1, 2)).tolist()], found.tuning.monotonic.tolist()
    ([110.0, 110.0], [True, True])
    """
    _check_columns(model, neuron_ids, device)
    activation, batches = unit_objective(model, neuron_ids), batches or FittingBatches()
    ascent = synthesize(
        wanted_objective(objective, activation),
        [str(i) for i in neuron_ids] if keys is None else keys,
        procedure or Fast(),
        seed=seed,
        image_mean=model.image_mean,
        image_std=model.image_std,
        image_size=model.image_size,
        device=device,
        batches=batches,
    )
    return Meis(ascent, contrast_tuning(activation, ascent.images, gains=gains))


def _check_columns(model: AdjustedModel, neuron_ids: Sequence[int], device: str) -> None:
    """Refuse columns that a model does not have; how many it has, it does not say."""
    if len(neuron_ids) == 0:
        raise DataError("no unit is asked for; expected one or more columns of the readout; name some")
    for column in (min(neuron_ids), max(neuron_ids)):
        try:
            if column < 0:
                raise IndexError("columns count from 0")
            with torch.no_grad():
                grey = torch.full((1, *model.image_size), float(model.image_mean), device=device)
                model.paired(grey, torch.tensor([column], device=device))
        except (IndexError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "out of bounds" not in str(error):
                raise
            raise DataError(
                f"column {column} is asked for, which the model does not have ({error}); expected columns of "
                "its readout; correct neuron_ids"
            ) from error


def make_mei(store: ArtifactStore, config: MeiConfig, *, networks: Networks) -> Outcome:
    """Make the MEIs of a batch of units.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        The ensemble that they are made for and those that judge them; loaded only if the artifact does not
        stand yet.
    """

    def build(attempt: Attempt) -> None:
        model = config.load(networks.own.load)
        device, batches = store.settings.device, FittingBatches()
        found = synthesize_meis(
            model,
            config.neuron_ids,
            keys=config.noise_keys,
            procedure=config.procedure,
            objective=config.objective,
            gains=2,
            seed=config.seed,
            device=device,
            batches=batches,
        ).ascent
        columns = ascent_columns(found)
        write_images(
            attempt,
            MEI,
            config,
            networks,
            model,
            found.images,
            columns=columns,
            inhibiting=config.objective == "inhibiting",
            device=device,
        )
        attempt.write_arrays("history", {"score": found.history})
        attempt.report(**stop_counts(found), **batches.findings())

    return store.make(MEI, config, build, inputs=networks.inputs())


def ascent_columns(ascent: Ascent) -> dict[str, list[str] | npt.NDArray[np.int64]]:
    """Return the columns `ASCENT_COLUMNS` of an ascent."""
    return {"iterations": ascent.iterations, "stop_reason": list(ascent.reasons)}


def stop_counts(ascent: Ascent) -> dict[str, object]:
    """Return findings: how many units stopped for which reason or at an activation of 0, and mean steps."""
    counts = {reason: ascent.reasons.count(reason) for reason in sorted(set(ascent.reasons))}
    silent = int((ascent.scores == 0).sum())
    found: dict[str, object] = {
        "stop_reasons": counts,
        "mean_iterations": float(ascent.iterations.mean()),
    }
    return {**found, "silenced_units": silent} if silent else found
