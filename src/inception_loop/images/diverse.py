"""Diverse MEIs: sets of images, each nearly as exciting as the best and as unlike the others as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.identity import Config
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.ascend import Objective, Schedule, Transform, ascend
from inception_loop.images.ascent.constraints import EachOfSet
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import LeastSimilar, unit_objective
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.ascent.recipe import recipe
from inception_loop.images.ascent.similarity import pair_similarity
from inception_loop.images.ascent.smoothing import GaussianSmoothing
from inception_loop.images.ascent.start import grey_noise
from inception_loop.images.ascent.steps import Ramp, RmsStep
from inception_loop.images.ascent.synthesis import synthesize
from inception_loop.images.network import AdjustedModel

HALVINGS = 12  # of the way from an image that is exciting enough to one that is not
SPARE = 1e-4  # of the wanted share, so that rounding in another batch does not miss it


class Spreading(Config):
    """How the images of a set are driven apart."""

    iterations: int = Field(150, ge=1, description="Gradient steps at most.")
    step_start: float = Field(0.1, gt=0, description="RMS change of the first step, in contrasts.")
    step_end: float = Field(0.003, gt=0, description="RMS change towards the last step, in contrasts.")
    strength: float = Field(
        100.0, gt=0, description="What it costs to fall short, over the square of the missing share."
    )
    sharpness: float = Field(
        10.0, gt=0, description="How much the most similar pair of a set counts over the others."
    )
    margin: float = Field(
        0.01, ge=0, description="Share above the wanted one below which the cost begins; it is used up."
    )


@dataclass(frozen=True)
class DiverseSets:
    """Sets of K images of U units.

    Attributes
    ----------
    images : (U, K, H, W) Tensor, grey levels
    activations : (U, K) Tensor
    best : (U,) Tensor
        Activation of the unit's best image at the same mean and contrast, of all those that are known.
    similarity : (U, K, K) Tensor
        See `pair_similarity`; within the mask, if one is given.
    """

    images: Tensor
    activations: Tensor
    best: Tensor
    similarity: Tensor

    @property
    def shares(self) -> Tensor:
        """(U, K) activations in units of the best."""
        return self.activations / self.best[:, None]


def diverse_sets(
    model: AdjustedModel,
    neuron_ids: Sequence[int],
    meis: Tensor,
    *,
    images: int = 4,
    share: float = 0.85,
    mask: Tensor | None = None,
    keys: Sequence[str] | None = None,
    procedure: Fast | None = None,
    spreading: Spreading | None = None,
    seed: int = 1,
    batches: FittingBatches | None = None,
) -> DiverseSets:
    """Make sets of images that excite a unit nearly as much as its best one and are unlike each other.

    Every image of a set is climbed from noise of its own first (a complex cell has best images of any
    phase). Then all are driven apart at once, `LeastSimilar`. Whatever falls short of the share in the end
    is taken back towards the image that it came from, so that the share holds by construction.

    Parameters
    ----------
    model, neuron_ids
        U units.
    meis : (U, H, W), grey levels
        The best images known; brought to the mean and contrast of the procedure, they are the first of each
        set.
    images
        K, images a set.
    share
        Of the activation of the unit's best image, that each image of the set reaches.
    mask : (U, H, W), optional
        Where similarity counts, 0..1; by default everywhere, where pixels to which the unit is blind count
        as well.
    keys
        What each unit is called when its noise is drawn; by default its column.
    procedure
        Statistics of the images and the way to the first ones.
    spreading
        See `Spreading`.
    seed
        Of the noise.
    batches
        See `ascend`.

    Raises
    ------
    DataError
        If a unit has no gradient to follow, or its best image no activation above 0 to have a share of.

    Notes
    -----
    The published variant adds a distance to the activation and promises no share of it; here the share is
    the constraint and the distance what is climbed (after the diverse feature visualisations of Cadena et
    al. 2018 and the diverse MEIs of Ding et al. 2023).
    """
    procedure, spreading = procedure or Fast(), spreading or Spreading()
    names = [str(i) for i in neuron_ids] if keys is None else list(keys)
    steps = recipe(procedure, model.image_mean, model.image_std)
    members = [f"{name}#{k}" for name in names for k in range(images)]
    objective = unit_objective(model, [i for i in neuron_ids for _ in range(images)])
    size, device = (len(names), images), meis.device
    found = synthesize(
        objective,
        members,
        procedure,
        seed=seed,
        image_mean=model.image_mean,
        image_std=model.image_std,
        image_size=model.image_size,
        device=device,
        batches=batches,
    )
    first = found.images.reshape(*size, *model.image_size)
    first[:, 0] = steps.constraint(meis.to(first.dtype))
    rows = torch.arange(len(members), device=device)
    values = _activations(objective, first.flatten(0, 1), rows, batches).reshape(size)
    best = values.amax(1)
    _refuse_silent(best, names)
    start = _mostly_exciting(first, values, best * share)
    level = (best * share * (1 + SPARE))[:, None].expand(size).flatten()
    retreat = _Retreat(objective, start.flatten(0, 1), level, steps.constraint, batches)

    noise = grey_noise(
        members, seed + 1, mean=procedure.start.mean, std=procedure.start.std, size=model.image_size
    )
    apart = retreat(steps.constraint(torch.from_numpy(noise).to(device))).reshape(first.shape)
    spread = ascend(
        LeastSimilar(
            objective, best, share + spreading.margin, mask, spreading.strength, spreading.sharpness
        ),
        apart,
        EachOfSet(steps.constraint),
        _schedule(spreading, procedure),
        batches,
    )
    shown = retreat(spread.images.flatten(0, 1))
    activations = _activations(objective, shown, rows, batches)
    sets = shown.reshape(first.shape)
    return DiverseSets(sets, activations.reshape(size), best, pair_similarity(sets, mask))


def _schedule(spreading: Spreading, procedure: Fast) -> Schedule:
    size = Ramp(spreading.step_start * procedure.contrast, spreading.step_end * procedure.contrast)
    step = RmsStep(size)
    smooth = EachOfSet(GaussianSmoothing(procedure.smoothing)) if procedure.smoothing > 0 else None
    return Schedule(
        spreading.iterations,
        lambda gradient, progress: EachOfSet(lambda g: step(g, progress))(gradient),
        precondition=smooth,
    )


def _mostly_exciting(first: Tensor, values: Tensor, level: Tensor) -> Tensor:
    """(U, K, H, W) images with those below the level replaced by the unit's best one."""
    units = torch.arange(len(first), device=first.device)
    top = first[units, values.argmax(1)][:, None]
    return torch.where((values >= level[:, None])[:, :, None, None], first, top)


@torch.no_grad()
def _activations(
    objective: Objective, images: Tensor, rows: Tensor, batches: FittingBatches | None
) -> Tensor:
    return torch.cat((batches or FittingBatches())(len(rows), lambda p: objective(images[p], rows[p])))


@dataclass(frozen=True)
class _Retreat:
    """Takes images that do not excite enough back towards ones that do, no further than need be."""

    objective: Objective
    anchors: Tensor
    level: Tensor
    constraint: Transform
    batches: FittingBatches | None

    def __call__(self, images: Tensor) -> Tensor:
        """(B, H, W) images within the constraint → as many, each at its level or its anchor."""
        short = torch.nonzero(
            ~self._enough(images, torch.arange(len(images), device=images.device))
        ).flatten()
        kept = images.clone()
        kept[short] = self.anchors[short]
        low, high = (
            torch.zeros(len(short), device=images.device),
            torch.ones(len(short), device=images.device),
        )
        for _ in range(HALVINGS if len(short) else 0):
            middle = (low + high) / 2
            way = images[short] - self.anchors[short]
            tried = self.constraint(self.anchors[short] + middle[:, None, None] * way)
            enough = self._enough(tried, short)
            kept[short[enough]] = tried[enough]
            low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
        return kept

    def _enough(self, images: Tensor, rows: Tensor) -> Tensor:
        return _activations(self.objective, images, rows, self.batches) >= self.level[rows]


def _refuse_silent(best: Tensor, names: Sequence[str]) -> None:
    silent = torch.nonzero(~(best > 0)).flatten().tolist()
    if silent:
        units = {names[row]: f"{float(best[row]):g}" for row in silent}
        expected = "expected one above 0, to have a share of; leave them out"
        raise RefusedUnitsError(Refusal("the activation by the best image", units, expected))
