"""Best images of many units of one network at once, by any of the procedures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.ascend import Ascent, Objective, ascend
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.procedure import AnyProcedure, Start
from inception_loop.images.ascent.recipe import Recipe, recipe
from inception_loop.images.ascent.start import grey_noise
from inception_loop.images.contrast import RANGE


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
    batches: FittingBatches | None = None,
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
    batches
        See `ascend`.

    Returns
    -------
    Ascent

    Raises
    ------
    DataError
        If a unit's score does not change with any pixel, or is no number: such an "image" would be noise.
    """
    steps = recipe(procedure, image_mean, image_std)
    return climb(
        objective,
        keys,
        procedure.start,
        steps,
        seed=seed,
        image_size=image_size,
        device=device,
        batches=batches,
    )


def climb(
    objective: Objective,
    keys: Sequence[str],
    start: Start,
    steps: Recipe,
    *,
    seed: int,
    image_size: tuple[int, int],
    device: torch.device | str = "cpu",
    batches: FittingBatches | None = None,
) -> Ascent:
    """Climb an objective by a recipe, which may be one of one's own; the rest is as in `synthesize`."""
    tried = [
        torch.from_numpy(noise).to(device) for noise in _noises(keys, start, seed, steps.starts, image_size)
    ]
    if steps.trial is None:
        found = ascend(objective, tried[0], steps.constraint, steps.schedule, batches)
        _refuse_stuck([found], keys)
        return found
    trials = [ascend(objective, noise, steps.constraint, steps.trial, batches) for noise in tried]
    _refuse_stuck(trials, keys)
    best = torch.stack([trial.scores for trial in trials]).argmax(0)
    images = torch.stack([trial.images for trial in trials])
    first = images[best, torch.arange(len(best), device=best.device)]
    return ascend(objective, first, steps.constraint, steps.schedule, batches)


def _noises(
    keys: Sequence[str], start: Start, seed: int, count: int, image_size: tuple[int, int]
) -> list[npt.NDArray[np.float32]]:
    """Noises of every unit, each second one the negative of the one before."""
    drawn: list[npt.NDArray[np.float32]] = []
    for number in range(count):
        if number % 2:
            drawn.append(np.clip(2 * start.mean - drawn[-1], *RANGE).astype(np.float32))
        else:
            again = [f"{key}/{number}" if number else key for key in keys]
            drawn.append(grey_noise(again, seed, mean=start.mean, std=start.std, size=image_size))
    return drawn


def _refuse_stuck(tried: Sequence[Ascent], keys: Sequence[str]) -> None:
    """Refuse units that could not take a first step from any start."""
    stuck = [row for row in range(len(keys)) if all(_is_stuck(found, row) for found in tried)]
    if stuck:
        units = {keys[row]: _why_stuck(tried[0], row) for row in stuck}
        expected = "expected an activation that changes with the pixels; leave them out"
        raise RefusedUnitsError(Refusal("no gradient to follow at the starting noise", units, expected))


def _why_stuck(found: Ascent, row: int) -> str:
    silent = found.reasons[row] == "zero_gradient" and found.scores[row] == 0
    return found.reasons[row] + (" at an activation of 0, below which nothing can be seen" if silent else "")


def _is_stuck(found: Ascent, row: int) -> bool:
    return bool(found.iterations[row] == 0) and found.reasons[row] in ("not_finite", "zero_gradient")
