"""The simulated animal's own cells as a model that images can be climbed on: no learning in between."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from inception_loop.animals.cells import HEIGHT, WIDTH, Cells
from inception_loop.images.network import CallableModel


def true_network(cells: Cells, *, mean_grey: float, contrast_grey: float) -> CallableModel:
    """Return the cells as an adjusted model: eye straight ahead, no gain, no noise.

    Parameters
    ----------
    cells
        N cells; unit n of the model is cell n.
    mean_grey, contrast_grey : grey levels
        Of the animal's configuration: the grey of zero contrast, and one unit of contrast.

    Returns
    -------
    CallableModel
        Its responses are those of `Cells.response`, differentiable in the pixels. At uniform grey the
        gradient of a purely complex cell is 0, as it is by symmetry.

    Examples
    --------
    >>> from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
    >>> animal = SimulatedAnimal(SimulatedConfig(n_units=4))
    >>> model = true_network(animal.cells, mean_grey=128.0, contrast_grey=50.0)
    >>> images = torch.full((1, 36, 64), 100.0)
    >>> torch.allclose(model(images, torch.arange(4)), torch.from_numpy(animal.respond(images.numpy())))
    True
    """
    even, odd = (torch.tensor(bank).reshape(-1, HEIGHT, WIDTH) for bank in (cells.even, cells.odd))
    parameters = [
        torch.tensor(values, dtype=torch.float32)
        for values in (cells.baseline, cells.simple, cells.complex, cells.threshold, cells.softness)
    ]

    def paired(pixels: Tensor, units: Tensor) -> Tensor:
        contrast, where = (pixels - mean_grey) / contrast_grey, units.cpu()
        e, o = ((contrast * bank[where].to(pixels.device)).sum((1, 2)) for bank in (even, odd))
        baseline, simple, complex_, threshold, softness = (p[where].to(pixels.device) for p in parameters)
        power = e.square() + o.square()
        energy = torch.where(power > 0, power, 1.0).sqrt() * (power > 0)
        return baseline + simple * softness * softplus((e - threshold) / softness) + complex_ * energy

    def full(pixels: Tensor, units: Tensor) -> Tensor:
        return torch.stack([paired(pixels, unit.expand(len(pixels))) for unit in units], 1)

    return CallableModel(full, mean_grey, contrast_grey, (HEIGHT, WIDTH), paired_units=paired)
