"""GradRF: the gradient of the adjusted model at grey, and the best image of that linear unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.kind import Array, Column
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.ascend import Ascent
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import linear_objective, unit_objective
from inception_loop.images.ascent.procedure import AnyProcedure, Fast, Procedure
from inception_loop.images.ascent.synthesis import synthesize
from inception_loop.images.image_kind import ImageConfig, image_kind, write_images
from inception_loop.images.mei import ASCENT_COLUMNS, HISTORY, ascent_columns, stop_counts
from inception_loop.images.network import AdjustedModel, Networks
from inception_loop.images.target import F64
from inception_loop.images.wanted import statistics_of

GRAD_RF = image_kind(
    "grad_rf",
    "Linear receptive fields of a batch of units: gradient at grey, and the image that suits it.",
    version=3,  # 2: compared by the CNN, judged by a validator, displaced; 3: stalled steps are halved
    columns={
        **ASCENT_COLUMNS,
        "grey_activation": Column(F64, "activation at the uniform grey where the gradient is taken"),
        "linear_score": Column(F64, "gain of the linear functional over grey, same unit as activation"),
    },
    arrays={
        "point_rf": Array("float32", ("units", "height", "width"), "gradient, activation per grey level")
    },
    payloads={"history": HISTORY},
    table_version=2,
)


class GradRFConfig(ImageConfig):
    """A batch of linear RF images; who is in the batch is part of the question."""

    procedure: Procedure = Field(default_factory=Fast, description="How the images are climbed.")
    seed: int = Field(1, ge=0, description="Of the starting noise.")


@dataclass(frozen=True)
class GradRF:
    """Linear receptive fields of U units.

    Attributes
    ----------
    point_rf : (U, H, W) Tensor, activation per grey level
    ascent : Ascent
        Of the linear functional; ``scores`` are the *model's* activations at its images.
    grey_activation : (U,) Tensor
    linear_score : (U,) Tensor
        ⟨image − grey, point_rf⟩, what the linear functional promises over grey.
    """

    point_rf: Tensor
    ascent: Ascent
    grey_activation: Tensor
    linear_score: Tensor


def point_rf(
    model: AdjustedModel,
    neuron_ids: Sequence[int],
    *,
    grey: float | None = None,
    device: str = "cpu",
    batches: FittingBatches | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradient of each unit's activation at a uniform grey, by default the training mean.

    Returns
    -------
    gradient : (U, H, W), activation per grey level
    activation : (U,) at that grey

    Examples
    --------
    >>> from inception_loop.images.network import CallableModel
    >>> filters = torch.arange(6.0).reshape(1, 2, 3)
    >>> model = CallableModel(lambda x, u: torch.einsum("bhw,uhw->bu", x, filters[u]), 1.0, 1.0, (2, 3))
    >>> point_rf(model, [0])[0].tolist()
    [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    """
    level = model.image_mean if grey is None else grey
    objective = unit_objective(model, neuron_ids)
    rows = torch.arange(len(neuron_ids), device=device)

    def at_grey(part: slice) -> tuple[Tensor, Tensor]:
        size = (len(rows[part]), *model.image_size)
        images = torch.full(size, level, device=device, requires_grad=True)
        activation = objective(images, rows[part])
        (gradient,) = torch.autograd.grad(activation.sum(), images)
        return gradient, activation.detach()

    gradients, activations = zip(*(batches or FittingBatches())(len(rows), at_grey), strict=True)
    return torch.cat(gradients), torch.cat(activations)


def linear_rf(
    model: AdjustedModel,
    neuron_ids: Sequence[int],
    *,
    keys: Sequence[str] | None = None,
    procedure: AnyProcedure | None = None,
    seed: int = 1,
    device: str = "cpu",
    batches: FittingBatches | None = None,
) -> GradRF:
    """Return the linear receptive fields of many units and the images that suit them best.

    Parameters are those of `synthesize_meis`; grey is the mean of the procedure's images. The control image
    of an MEI, ``multi_lin_rf``, comes from the ensemble of the linear network.

    Raises
    ------
    DataError
        If the gradient of a unit at grey is zero everywhere.
    """
    procedure, batches = procedure or Fast(), batches or FittingBatches()
    fixed_mean = statistics_of(procedure)[0]
    grey = model.image_mean if fixed_mean is None else fixed_mean
    gradient, grey_activation = point_rf(model, neuron_ids, grey=grey, device=device, batches=batches)
    names = [str(i) for i in neuron_ids] if keys is None else list(keys)
    _refuse_flat(gradient, names)
    # Only the direction matters to the image; tiny gradients would be lost in float32 sums.
    scale = gradient.abs().amax((1, 2), keepdim=True)
    found = synthesize(
        linear_objective(gradient / scale, grey),
        names,
        procedure,
        seed=seed,
        image_mean=model.image_mean,
        image_std=model.image_std,
        image_size=model.image_size,
        device=device,
    )
    with torch.no_grad():
        images, rows = found.images, torch.arange(len(neuron_ids), device=gradient.device)
        objective = unit_objective(model, neuron_ids)
        activation = torch.cat(batches(len(rows), lambda part: objective(images[part], rows[part])))
    score = linear_objective(gradient, grey)(found.images, rows)
    return GradRF(gradient, replace(found, scores=activation), grey_activation, score)


def _refuse_flat(gradient: Tensor, names: Sequence[str]) -> None:
    lost = ~torch.isfinite(gradient).flatten(1).all(1) | ~gradient.flatten(1).any(1)
    if bool(lost.any()):
        units = {names[row]: "" for row in torch.nonzero(lost).flatten().tolist()}
        expected = "expected one that is not zero everywhere (a purely complex unit has none); leave them out"
        raise RefusedUnitsError(Refusal("no gradient at grey", units, expected))


def make_grad_rf(store: ArtifactStore, config: GradRFConfig, *, networks: Networks) -> Outcome:
    """Make the linear receptive fields of a batch of units; parameters as in `make_mei`."""

    def build(attempt: Attempt) -> None:
        model, device, batches = config.load(networks.own.load), store.settings.device, FittingBatches()
        found = linear_rf(
            model,
            config.neuron_ids,
            keys=config.noise_keys,
            procedure=config.procedure,
            seed=config.seed,
            device=device,
            batches=batches,
        )
        columns = {
            **ascent_columns(found.ascent),
            "grey_activation": found.grey_activation.double().cpu().numpy(),
            "linear_score": found.linear_score.double().cpu().numpy(),
        }
        write_images(
            attempt,
            GRAD_RF,
            config,
            networks,
            model,
            found.ascent.images,
            columns=columns,
            arrays={"point_rf": found.point_rf.float().cpu().numpy()},
            device=device,
        )
        attempt.write_arrays("history", {"score": found.ascent.history})
        attempt.report(**stop_counts(found.ascent), **batches.findings())

    return store.make(GRAD_RF, config, build, inputs=networks.inputs())
