"""The natural image that excites each unit most inside its mask, found in few exact passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.masks.shapes import refuse_empty
from inception_loop.images.natural.masked_group import Asker, Group, Screen
from inception_loop.images.natural.masked_unit import UnitSearch
from inception_loop.images.natural.searched import Searched
from inception_loop.images.natural.through_masks import refuse_small_masks
from inception_loop.images.network import AdjustedModel

GROUP_BYTES = 128 * 2**20
"""Products of gradients and images that are held at a time; units beyond that wait for their turn."""

UNITS_AT_ONCE = 64
"""Units that are searched for together at most: their images are made before they are split into batches."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class MaskedSearch:
    """Best masked images of U units out of K.

    Attributes
    ----------
    best : (U,) int64
        Row of the best image; of equal ones the first.
    activation, runner_up_activation : (U,) float64
        By the best and by the second best of those asked about (NaN where only one was).
    images : (U, H, W) float32, grey levels
        The best images through their masks, as they were evaluated.
    n_exact, n_gradients : (U,) int64
        Forward passes a network, and how many of them were differentiated.
    n_flat, n_unreachable : (U,) int64
        Images that show nothing inside the mask; of those met, how many cannot be shown at the contrast.
    """

    best: npt.NDArray[np.int64]
    activation: npt.NDArray[np.float64]
    runner_up_activation: npt.NDArray[np.float64]
    images: npt.NDArray[np.float32]
    n_exact: npt.NDArray[np.int64]
    n_gradients: npt.NDArray[np.int64]
    n_flat: npt.NDArray[np.int64]
    n_unreachable: npt.NDArray[np.int64]


def search_masked(
    model: AdjustedModel,
    pictures: Searched,
    masks: Tensor,
    neuron_ids: Sequence[int],
    *,
    mean: float,
    contrast: float,
    screen: Screen | None = None,
    names: Sequence[str] | None = None,
    batches: FittingBatches | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> MaskedSearch:
    """Find the picture that excites each unit most through its mask, at one mean and RMS contrast.

    A picture is shown as ``m · (x − mean of x under m)``, brought to the mean and contrast of the whole
    image, clipping included. Where there are no more pictures than ``screen.candidates`` all are asked about.

    Parameters
    ----------
    model
        The adjusted model, differentiable in the pixels.
    pictures
        Where to search.
    masks : (U, H, W)
        0 (hidden) to 1.
    neuron_ids
        Columns of the U units.
    mean, contrast : grey levels
        Of every masked image.
    screen
        How many are asked about.
    names
        What each unit is called in an error; by default its column.
    batches
        How many images are evaluated at once, halved where memory runs out; by default 128.
    device
        Where the model is.
    on_progress
        Receives passes made, passes at most, and a word.

    Returns
    -------
    MaskedSearch
        The passes of a unit, and so its result, do not depend on the units beside it.

    Raises
    ------
    DataError
        If a mask covers nothing or too little for the contrast, no picture can be shown through it, or an
        activation is no number.
    """
    screen, called = screen or Screen(), [f"unit {i}" for i in neuron_ids] if names is None else list(names)
    masks = masks.to(device, torch.float32)
    refuse_empty(masks > 0, called)
    refuse_small_masks(masks, mean, contrast, called)
    asker = Asker(model, pictures, mean, contrast, batches or FittingBatches(128), device)
    size = max(1, min(UNITS_AT_ONCE, GROUP_BYTES // (4 * len(pictures) * (screen.gradients + 2))))
    total, done, units = len(called) * screen.candidates, 0, []
    refusals: list[Refusal] = []
    for start in range(0, len(called), size):
        part = slice(start, start + size)
        group = Group(asker, masks[part], list(neuron_ids)[part], called[part], screen)
        try:
            for made in group.search():
                if on_progress is not None:
                    on_progress(min(done + made, total), total, "masked images")
        except RefusedUnitsError as error:
            refusals += error.refusals
        done += len(group.units) * screen.candidates
        units.extend(group.units)
    if refusals:
        raise RefusedUnitsError(*refusals)
    return _found(asker, units, masks)


def _found(asker: Asker, units: list[UnitSearch], masks: Tensor) -> MaskedSearch:
    best = np.array([unit.best for unit in units])
    runner_up = [unit.activations[1] if len(unit.activations) > 1 else np.nan for unit in units]
    return MaskedSearch(
        best=best,
        activation=np.array([unit.activations[0] for unit in units]),
        runner_up_activation=np.array(runner_up),
        images=asker.shown(best, masks).cpu().numpy(),
        n_exact=np.array([len(unit.rows) for unit in units]),
        n_gradients=np.array([unit.n_gradients for unit in units]),
        n_flat=np.array([unit.n_flat for unit in units]),
        n_unreachable=np.array([unit.n_unreachable for unit in units]),
    )
