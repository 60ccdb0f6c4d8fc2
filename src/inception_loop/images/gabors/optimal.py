"""OptimalGabor: the best Gabor of each unit with its parameters free between the bounds of the grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.kind import Column
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.gabors.best import GABOR_COLUMNS
from inception_loop.images.gabors.climb import climb_gabors
from inception_loop.images.gabors.drawing import at_contrast, gabors
from inception_loop.images.gabors.grid import PARAMETERS, Bounds, GaborGrid
from inception_loop.images.image_kind import MatchedConfig, image_kind, write_images
from inception_loop.images.network import AdjustedModel, Networks
from inception_loop.images.of_units import rows_of
from inception_loop.images.target import F64, I64

OPTIMAL_GABOR = image_kind(
    "optimal_gabor",
    "The Gabor with free parameters that excites each unit most, at matched mean and contrast.",
    columns={
        **GABOR_COLUMNS,
        "grid_activation": Column(F64, "activation by the best Gabor of the grid, as activation"),
        "start": Column(I64, "rank of the Gabor of the grid that it was climbed from, 0: the best"),
        "n_starts": Column(I64, "Gabors of the grid that were climbed from"),
        "evaluations": Column(I64, "pictures shown with their gradient, all starts"),
        "converged": Column(I64, "starts that ended because a step promised no more"),
    },
)


class OptimalGaborConfig(MatchedConfig):
    """How the parameters are climbed, and at which statistics the Gabors are shown."""

    starts: int = Field(4, ge=1, description="Candidates of the grid to start from, at most.")
    iterations: int = Field(40, ge=0, description="Steps at most.")
    tolerance: float = Field(
        1e-5, gt=0, description="A climb ends when its next step promises less than this share of its score."
    )
    batch_size: int = Field(64, ge=1, description="Pictures evaluated at once.")


@dataclass(frozen=True)
class OptimalGabors:
    """The best of every unit's climbs.

    Attributes
    ----------
    parameters : (U, 6) float64 Tensor, see `PARAMETERS`
    images : (U, H, W) float32 Tensor, grey levels
    activation, grid_activation : (U,) float64
        By the optimum, and by the first start.
    start, n_starts, evaluations, converged : (U,) int64
    """

    parameters: Tensor
    images: Tensor
    activation: npt.NDArray[np.float64]
    grid_activation: npt.NDArray[np.float64]
    start: npt.NDArray[np.int64]
    n_starts: npt.NDArray[np.int64]
    evaluations: npt.NDArray[np.int64]
    converged: npt.NDArray[np.int64]


def optimal_gabors(
    model: AdjustedModel,
    neuron_ids: Sequence[int],
    starts: Tensor,
    bounds: Bounds,
    *,
    mean: float,
    contrast: float,
    names: Sequence[str] | None = None,
    iterations: int = 40,
    tolerance: float = 1e-5,
    batches: FittingBatches | None = None,
) -> OptimalGabors:
    """Climb from several Gabors of every unit, all units at once, and keep each unit's best.

    Never worse than the best start: a climb keeps the best that it has seen.

    Parameters
    ----------
    model
        The adjusted model, on the device of ``starts``.
    neuron_ids
        Columns of the wanted units.
    starts : (U, K, 6) float64
        `PARAMETERS` to start from, best first; NaN where a unit has fewer.
    bounds
        Of `GaborGrid.bounds`.
    mean, contrast : grey levels
        Of every picture, clipping included.
    names
        What each unit is called; by default its column.
    iterations, tolerance, batches
        See `climb_gabors`.

    Raises
    ------
    DataError
        If a unit has no start that can be shown at the contrast.

    Notes
    -----
    Walker et al. 2019: there dual annealing and Nelder–Mead, a unit at a time.
    """
    names = [str(i) for i in neuron_ids] if names is None else names
    given = ~torch.isnan(starts[:, :, 0])
    owner = torch.nonzero(given)[:, 0]
    objective = unit_objective(model, neuron_ids)
    found = climb_gabors(
        lambda images, rows: objective(images, owner[rows]),
        starts[given],
        bounds,
        image_size=model.image_size,
        mean=mean,
        contrast=contrast,
        iterations=iterations,
        tolerance=tolerance,
        batches=batches,
    )
    scores = _by_unit(found.scores, given, -math.inf)
    _refuse_unshown(scores, contrast, names)
    best = scores.argmax(1)
    units = torch.arange(len(best), device=best.device)
    parameters = torch.full_like(starts, math.nan)
    parameters[given] = found.parameters
    parameters = _wrapped(parameters[units, best])
    images, _ = at_contrast(gabors(parameters, model.image_size), mean, contrast)
    counts = [
        _by_unit(torch.as_tensor(value, device=given.device), given, 0).sum(1).cpu().numpy()
        for value in (found.evaluations, found.converged.astype(np.int64))
    ]
    return OptimalGabors(
        parameters=parameters,
        images=images.float(),
        activation=scores.amax(1).cpu().numpy(),
        grid_activation=_by_unit(found.first_scores, given, -math.inf).amax(1).cpu().numpy(),
        start=best.cpu().numpy(),
        n_starts=given.sum(1).cpu().numpy(),
        evaluations=counts[0],
        converged=counts[1],
    )


def _by_unit(values: Tensor, given: Tensor, empty: float) -> Tensor:
    table = torch.full(given.shape, empty, dtype=values.dtype, device=values.device)
    table[given] = values
    return table


def _wrapped(parameters: Tensor) -> Tensor:
    """Bring angles into 0..2π and 0..π: the same pictures."""
    phase, orientation = parameters[:, 0], parameters[:, 2]
    half_turns = torch.floor(orientation / math.pi)
    turned = half_turns % 2 == 1  # stripes that run the other way: the wave is seen from its other end
    wrapped = parameters.clone()
    wrapped[:, 2] = orientation - half_turns * math.pi
    wrapped[:, 0] = torch.where(turned, -phase, phase) % (2 * math.pi)
    return wrapped


def _refuse_unshown(scores: Tensor, contrast: float, names: Sequence[str]) -> None:
    lost = torch.nonzero(torch.isinf(scores.amax(1))).flatten().tolist()
    if lost:
        what = f"none of the Gabors to start from can be shown at contrast {contrast:.1f} grey levels"
        expected = "expected one or more; leave them out or search a grid at this contrast"
        raise RefusedUnitsError(Refusal(what, dict.fromkeys((names[row] for row in lost), ""), expected))


def make_optimal_gabor(
    store: ArtifactStore, config: OptimalGaborConfig, *, networks: Networks, best_gabor: ArtifactRef
) -> Outcome:
    """Free the parameters of the best Gabors of a batch of units.

    Parameters
    ----------
    store, config
        Where and what. At the mean and contrast of the grid's search no unit ends below its best there.
    networks
        As in `make_mei`.
    best_gabor
        The search of the grid, of these units at least: it gives the starts and the bounds.
    """

    def build(attempt: Attempt) -> None:
        model, device = config.load(networks.own.load), store.settings.device
        batches = FittingBatches(config.batch_size)
        rows = rows_of(store.table(best_gabor, "best_gabor"), config, best_gabor)
        starts = store.arrays(best_gabor, "candidates")["parameters"][rows][:, : config.starts]
        grid = GaborGrid.model_validate(store.manifest(best_gabor).config["grid"])
        found = optimal_gabors(
            model,
            config.neuron_ids,
            torch.tensor(starts, device=device),
            grid.bounds(model.image_size),
            mean=config.mean_of(model),
            contrast=config.contrast,
            names=config.noise_keys,
            iterations=config.iterations,
            tolerance=config.tolerance,
            batches=batches,
        )
        columns = {
            **dict(zip(PARAMETERS, found.parameters.T.cpu().numpy(), strict=True)),
            "grid_activation": found.grid_activation,
            "start": found.start,
            "n_starts": found.n_starts,
            "evaluations": found.evaluations,
            "converged": found.converged,
        }
        write_images(
            attempt, OPTIMAL_GABOR, config, networks, model, found.images, columns=columns, device=device
        )
        attempt.report(**batches.findings())

    inputs = {**networks.inputs(), "best_gabor": [best_gabor]}
    return store.make(OPTIMAL_GABOR, config, build, inputs=inputs)
