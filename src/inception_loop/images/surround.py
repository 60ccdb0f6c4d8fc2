"""Centre and surround: an MEI held inside a soft mask, and what around it excites or suppresses most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.ascend import Ascent
from inception_loop.images.ascent.constraints import Blend, WeightedContrast
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import Wanted, unit_objective, wanted_objective
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.ascent.recipe import Recipe, recipe
from inception_loop.images.ascent.synthesis import climb
from inception_loop.images.network import AdjustedModel

LEAST_PX = 1.0  # area that a centre, and a surround, must have


@dataclass(frozen=True)
class Surrounds:
    """Images of U units with the centre given and the surround found.

    Attributes
    ----------
    ascent : Ascent
        ``images`` are centre and surround together; ``scores`` their activation, negative where the surround
        suppresses.
    centre, surround : (U, H, W) Tensor, grey levels
        Each alone, the rest uniform grey.
    activation, centre_activation, surround_activation : (U,) Tensor
        Of both together, and of each alone.
    """

    ascent: Ascent
    centre: Tensor
    surround: Tensor
    activation: Tensor
    centre_activation: Tensor
    surround_activation: Tensor

    @property
    def change(self) -> Tensor:
        """(U,) what the surround adds, as a share of the activation of the centre alone."""
        return self.activation / self.centre_activation - 1


def surround_images(
    model: AdjustedModel,
    neuron_ids: Sequence[int],
    centres: Tensor,
    masks: Tensor,
    *,
    wanted: Wanted = "exciting",
    keys: Sequence[str] | None = None,
    procedure: Fast | None = None,
    seed: int = 1,
    batches: FittingBatches | None = None,
) -> Surrounds:
    """Find the surround that changes a unit's activation by its centre most.

    The image is ``mask · centre + (1 − mask) · surround``. The surround has the mean and RMS
    contrast of the procedure, each pixel weighted by how much of it shows, and starts from noise.

    Parameters
    ----------
    model, neuron_ids
        U units.
    centres : (U, H, W), grey levels
        Pictures whose middle stays as it is: MEIs.
    masks : (U, H, W), 0..1
        1 where the centre stays.
    wanted
        "exciting": the highest activation; "inhibiting": the lowest, see `inhibiting`.
    keys
        What each unit is called when its noise is drawn; by default its column.
    procedure
        Mean, contrast of the surround, steps and start.
    seed
        Of the starting noise.
    batches
        See `ascend`.

    Raises
    ------
    DataError
        If a mask covers nothing or everything, or a unit is blind to its surround.

    Examples
    --------
    >>> from inception_loop.images.network import CallableModel
    >>> def unit(x, u):  # the left half excites, the right half suppresses
    ...     return 10 + (x[:, :, 3] - x[:, :, 2]).sum(1) - (x[:, :, 9] - x[:, :, 8]).sum(1)
    >>> model = CallableModel(lambda x, u: unit(x, u)[:, None], 110.0, 50.0, (8, 12), paired_units=unit)
    >>> centre, mask = torch.full((1, 8, 12), 110.0), torch.zeros(1, 8, 12)
    >>> centre[:, :, 3], mask[:, :, :6] = 120.0, 1.0
    >>> more, less = (surround_images(model, [0], centre, mask, wanted=w) for w in ("exciting", "inhibiting"))
    >>> bool(more.change > 0), bool(less.change < 0), bool((more.ascent.images == centre)[:, :, :6].all())
    (True, True, True)
    """
    procedure = procedure or Fast()
    names = [str(i) for i in neuron_ids] if keys is None else list(keys)
    _refuse_masks(masks, names)
    mean = model.image_mean if procedure.mean is None else procedure.mean
    through = 1 - masks
    objective = unit_objective(model, neuron_ids)
    found = climb(
        wanted_objective(wanted, objective),
        names,
        procedure.start,
        _around(recipe(procedure, model.image_mean, model.image_std), through, centres, mean, procedure),
        seed=seed,
        image_size=model.image_size,
        device=centres.device,
        batches=batches,
    )
    grey = torch.full_like(centres, mean)
    centre = Blend(masks, grey)(centres)
    surround = found.images - centre + grey
    shown = torch.cat([found.images, centre, surround])
    rows = torch.arange(len(names), device=centres.device).repeat(3)
    with torch.no_grad():
        parts = (batches or FittingBatches())(len(rows), lambda part: objective(shown[part], rows[part]))
    return Surrounds(found, centre, surround, *torch.cat(parts).chunk(3))


def _around(steps: Recipe, through: Tensor, centres: Tensor, mean: float, procedure: Fast) -> Recipe:
    """Return a recipe for what is seen through a mask, the rest being the centres."""
    present = Blend(through, centres)
    return Recipe(
        WeightedContrast(through, mean, procedure.contrast),
        replace(steps.schedule, present=present),
        steps.starts,
        None if steps.trial is None else replace(steps.trial, present=present),
    )


def _refuse_masks(masks: Tensor, names: Sequence[str]) -> None:
    expected = "expected a centre and a surround of 1 px at least; leave them out or give another mask"
    refusals = []
    for what, area in (("nothing", masks.sum((1, 2))), ("the whole image", (1 - masks).sum((1, 2)))):
        bad = [names[row] for row in torch.nonzero(area < LEAST_PX).flatten().tolist()]
        if bad:
            refusals.append(Refusal(f"the mask covers {what}", dict.fromkeys(bad, ""), expected))
    if refusals:
        raise RefusedUnitsError(*refusals)
