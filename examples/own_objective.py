"""Bring your own objective: an image that excites one unit and leaves another silent.

``python examples/own_objective.py`` takes seconds. Four cells of known filters stand for a network, so that
the right answer is known; put ``il.load_ensemble(store, models, name)`` in their place, or any callable.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import inception_loop as il
from inception_loop.images.ascent.ascend import Ascent, Objective
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.ascent.synthesis import synthesize
from inception_loop.pictures.gabor import gabor

SIZE = (36, 64)
ORIENTATIONS = (0.0, 0.5, 1.2, 2.0)


def cells() -> il.CallableModel:
    """Return four complex cells in one place, each of its own orientation."""
    shape = {"center_x": 31.5, "center_y": 17.5, "wavelength": 9.0, "sigma": 4.0}
    pairs = [[gabor(*SIZE, orientation=o, phase=p, **shape) for p in (0, np.pi / 2)] for o in ORIENTATIONS]
    filters = torch.tensor(np.array(pairs), dtype=torch.float32)  # (4 cells, 2 phases, 36, 64)
    filters /= filters.flatten(2).norm(dim=2)[..., None, None]

    def respond(images: Tensor, units: Tensor) -> Tensor:
        """(B, 36, 64) grey levels, (U,) cells → (B, U)."""
        drive = torch.einsum("bhw,uphw->bup", (images - 110) / 50, filters[units])
        return drive.square().sum(2)

    return il.CallableModel(respond, 110.0, 50.0, SIZE)


def this_not_that(model: il.CallableModel, this: list[int], that: list[int], price: float) -> Objective:
    """Return the objective "activation of unit this[b] less ``price`` times that of unit that[b]".

    An objective is a differentiable function from images and their rows of the batch to scores.
    """
    a, b = torch.tensor(this), torch.tensor(that)
    return lambda images, rows: model.paired(images, a[rows]) - price * model.paired(images, b[rows])


class Result(NamedTuple):
    """Images of both objectives, and what the two cells answer to each: (2 pairs, 2 cells)."""

    exciting: Ascent
    selective: Ascent
    answers: dict[str, np.ndarray]


def main() -> Result:
    """Make the MEI of two cells, and for each the image that spares its neighbour."""
    model, this, that = cells(), [0, 1], [1, 0]
    shared = {
        "keys": [f"cell {unit}" for unit in this],
        "procedure": Fast(contrast=8.0),
        "seed": 1,
        "image_mean": model.image_mean,
        "image_std": model.image_std,
        "image_size": model.image_size,
    }
    found = {
        "most exciting": synthesize(this_not_that(model, this, that, 0.0), **shared),
        "and not the other": synthesize(this_not_that(model, this, that, 2.0), **shared),
    }
    answers = {}
    for name, ascent in found.items():
        both = [model.paired(ascent.images, torch.tensor(units)).numpy() for units in (this, that)]
        answers[name] = np.stack(both, 1)
        for row, (own, other) in enumerate(answers[name]):
            print(f"cell {this[row]}, {name:<18} own {own:6.2f}   other {other:6.2f}   {ascent.reasons[row]}")
    return Result(*found.values(), answers)


if __name__ == "__main__":
    main()
