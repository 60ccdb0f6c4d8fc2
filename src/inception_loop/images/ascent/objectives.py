"""What images are climbed for: small functions from images and their rows of a batch to scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from inception_loop.images.ascent.ascend import Objective
from inception_loop.images.ascent.similarity import most_similar, pair_similarity
from inception_loop.images.network import AdjustedModel

Wanted = Literal["exciting", "inhibiting"]


def unit_objective(model: AdjustedModel, neuron_ids: Sequence[int]) -> Objective:
    """Return the objective "activation of one's own unit": row b belongs to ``neuron_ids[b]``."""
    units = torch.tensor(list(neuron_ids), dtype=torch.int64)
    return lambda images, rows: model.paired(images, units.to(images.device)[rows])


def linear_objective(filters: Tensor, grey: float) -> Objective:
    """Return the linear functionals ⟨image − grey, filter⟩ of (B, H, W) filters, one a row of the batch."""
    return lambda images, rows: ((images - grey) * filters[rows]).sum((1, 2))


def inhibiting(objective: Objective) -> Objective:
    """Return the objective that is highest where another is lowest.

    What is lowered is the activation, as whoever records the unit would see it; the drive in front of the
    output nonlinearity is not visible. ELU + 1 and the softplus fall for ever, like exp(drive), so there the
    most inhibiting image is that of the lowest drive. An output that is cut off at 0 has nothing below:
    an image stops there with ``zero_gradient``, as one of many that silence the unit altogether, and a unit
    that is silent at the starting noise is refused.

    Examples
    --------
    >>> inhibiting(lambda images, rows: images.sum((1, 2)))(torch.ones(1, 2, 2), torch.tensor([0])).item()
    -4.0
    """
    return lambda images, rows: -objective(images, rows)


def wanted_objective(wanted: Wanted, objective: Objective) -> Objective:
    """Return the objective of a configuration: an activation, or its lowering."""
    return inhibiting(objective) if wanted == "inhibiting" else objective


@dataclass(frozen=True)
class LeastSimilar:
    """Of sets of images (A, K, H, W), one set a unit: unlike each other, and each still exciting enough.

    The score is minus the similarity of the most similar pairs (`most_similar`) less
    ``strength · Σ max(0, level − activation)²``, with the activations in units of ``best``.

    Attributes
    ----------
    activation
        Of single images: row b of it is image ``b mod K`` of set ``b // K``.
    best : (U,)
        Activation of each unit's best image, above 0.
    level : float
        Share of ``best`` that every image shall have.
    mask : (U, H, W), optional
        Where similarity counts, 0..1; by default everywhere.
    strength : float
        What falling short costs.
    sharpness : float
        See `most_similar`.
    """

    activation: Objective
    best: Tensor
    level: float
    mask: Tensor | None = None
    strength: float = 100.0
    sharpness: float = 10.0

    def __call__(self, sets: Tensor, rows: Tensor) -> Tensor:
        """Score the (A, K, H, W) sets of the units ``rows`` (A,): (A,)."""
        size = sets.shape[1]
        members = (rows[:, None] * size + torch.arange(size, device=rows.device)).flatten()
        activations = self.activation(sets.flatten(0, 1), members).reshape(-1, size)
        short = (self.level - activations / self.best[rows, None]).clamp(min=0)
        mask = None if self.mask is None else self.mask[rows]
        alike = most_similar(pair_similarity(sets, mask), self.sharpness)
        return -alike - self.strength * short.square().sum(1)
