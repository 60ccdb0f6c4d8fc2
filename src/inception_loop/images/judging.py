"""How good an image is: by a network that had no part in it, over contrasts, and a little displaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.identity import Config
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.network import AdjustedModel
from inception_loop.images.shifting import shift_images
from inception_loop.images.tuning import ContrastTuning, contrast_tuning

Floats = npt.NDArray[np.float64]
IMAGES_AT_ONCE = 128


class Judging(Config):
    """What is measured of every image, however it was made.

    Examples
    --------
    >>> Judging(reach=2).offsets
    (-2, -1, 0, 1, 2)
    """

    gains: int = Field(100, ge=2, description="Contrasts of the tuning curve; 1000 as published.")
    reach: int = Field(5, ge=0, description="Largest displacement of the image along x and y, px.")
    step: int = Field(1, ge=1, description="Distance of the displacements that are tried, px.")

    @property
    def offsets(self) -> tuple[int, ...]:
        """Displacements along one axis, px; the image's own place is among them."""
        positive = range(self.step, self.reach + 1, self.step)
        return (*(-offset for offset in reversed(positive)), 0, *positive)


@dataclass(frozen=True)
class Judgement:
    """What was measured of U images, each by its own unit.

    Attributes
    ----------
    reference_activation : (U,)
        Of the ensemble by which images of all kinds are compared.
    validator_activation : (U,) or None
        Of networks that had no part in making any image.
    tuning : ContrastTuning
        Of the reference ensemble.
    offsets : (S,) int64, px
        Displacements to the right and down.
    shifted : (U, S, S)
        Activation of the reference ensemble by the displaced image, ``[unit, y, x]``.
    """

    reference_activation: Floats
    validator_activation: Floats | None
    tuning: ContrastTuning
    offsets: npt.NDArray[np.int64]
    shifted: Floats


def judge(
    reference: AdjustedModel,
    images: Tensor,
    neuron_ids: Sequence[int],
    judging: Judging,
    validator: AdjustedModel | None = None,
    names: Sequence[str] | None = None,
    batches: FittingBatches | None = None,
) -> Judgement:
    """Measure images that were made or chosen for units.

    Parameters
    ----------
    reference
        By whose activations images of all kinds are compared.
    images : (U, H, W), grey levels
        On the device of the models.
    neuron_ids : U columns of the readout
        Whose image each is.
    judging
        Contrasts and displacements.
    validator
        A model that had no part in making the images: it tells what is true of the unit from what is a
        weakness of the networks that were climbed.
    names
        What each unit is called in an error.
    batches
        How many images are measured at once, halved where memory runs out; by default 128.

    Returns
    -------
    Judgement

    Examples
    --------
    >>> from inception_loop.images.network import CallableModel
    >>> model = CallableModel(lambda x, u: x[:, 1, 1:2].expand(-1, len(u)), 100.0, 50.0, (3, 3))
    >>> picture = torch.full((1, 3, 3), 100.0)
    >>> picture[0, 1, 1] = 120.0
    >>> found = judge(model, picture, [0], Judging(gains=2, reach=1))
    >>> found.reference_activation.tolist(), found.shifted[0].tolist()[1]
    ([120.0], [100.0, 120.0, 100.0])
    """
    offsets, batches = judging.offsets, batches or FittingBatches(IMAGES_AT_ONCE)
    shifted = [
        [activations(reference, shift_images(images, (x, y)), neuron_ids, batches) for x in offsets]
        for y in offsets
    ]
    return Judgement(
        reference_activation=activations(reference, images, neuron_ids, batches),
        validator_activation=None
        if validator is None
        else activations(validator, images, neuron_ids, batches),
        tuning=contrast_tuning(
            unit_objective(reference, neuron_ids),
            images,
            gains=judging.gains,
            names=names,
            batches=batches,
        ),
        offsets=np.array(offsets),
        shifted=np.array(shifted).transpose(2, 0, 1),
    )


@torch.no_grad()
def activations(
    model: AdjustedModel, images: Tensor, neuron_ids: Sequence[int], batches: FittingBatches | None = None
) -> Floats:
    """Return (U,) activations: image u by unit ``neuron_ids[u]`` alone; fewer at once if memory runs out."""
    units = torch.tensor(list(neuron_ids), dtype=torch.int64, device=images.device)
    batches = batches or FittingBatches(IMAGES_AT_ONCE)
    parts = batches(len(images), lambda part: model.paired(images[part], units[part]))
    return np.asarray(torch.cat(parts).double().cpu().numpy())
