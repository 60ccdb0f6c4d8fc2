"""Best images of many units of one network at once, by any of the procedures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inception_loop.errors import DataError
from inception_loop.images.ascent import Ascent, Objective, ascend
from inception_loop.images.network import AdjustedModel
from inception_loop.images.procedure import AnyProcedure
from inception_loop.images.recipe import recipe
from inception_loop.images.start import grey_noise


def unit_objective(model: AdjustedModel, neuron_ids: Sequence[int]) -> Objective:
    """Return the objective "activation of one's own unit": row b belongs to ``neuron_ids[b]``."""
    units = torch.tensor(list(neuron_ids), dtype=torch.int64)
    return lambda images, rows: model.paired(images, units.to(images.device)[rows])


def linear_objective(filters: Tensor, grey: float) -> Objective:
    """Return the linear functionals ⟨image − grey, filter⟩ of (B, H, W) filters, one a row of the batch."""
    return lambda images, rows: ((images - grey) * filters[rows]).sum((1, 2))


def synthesize(
    objective: Objective,
    keys: Sequence[str],
    procedure: AnyProcedure,
    *,
    seed: int,
    image_mean: float,
    image_std: float,
    image_size: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Ascent:
    """Climb an objective from each unit's own noise.

    Parameters
    ----------
    objective
        See `Objective`; row b belongs to ``keys[b]``.
    keys
        What a unit is called; with the seed it decides where the unit starts, and nothing else does.
    procedure
        One of the presets or a variation of it.
    seed
        Of the starting noise.
    image_mean, image_std : grey levels
    image_size : (height, width), px
    device
        Where the ascent runs.

    Returns
    -------
    Ascent

    Raises
    ------
    DataError
        If a unit's score does not change with any pixel, or is no number: such an "image" would be noise.
    """
    steps = recipe(procedure, image_mean, image_std)
    start = procedure.start
    noise = grey_noise(keys, seed, mean=start.mean, std=start.std, size=image_size)
    found = ascend(objective, torch.from_numpy(noise).to(device), steps.constraint, steps.schedule)
    _refuse_stuck(found, keys)
    return found


def _refuse_stuck(found: Ascent, keys: Sequence[str]) -> None:
    stuck = [
        key
        for key, taken, why in zip(keys, found.iterations, found.reasons, strict=True)
        if taken == 0 and why in ("not_finite", "zero_gradient")
    ]
    if stuck:
        reason = found.reasons[list(keys).index(stuck[0])]
        raise DataError(
            f"{len(stuck)} of {len(keys)} units have no gradient to follow at the starting noise, first "
            f"{stuck[0]!r} ({reason}); expected an activation that changes with the pixels; leave them out"
        )
