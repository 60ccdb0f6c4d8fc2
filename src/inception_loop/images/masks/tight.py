"""The tight mask: the smallest convex piece of an MEI that still excites its unit nearly as much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.identity import Config
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.ascend import Objective
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.masks.shapes import convex_hulls, deviation, eroded, masked, softened

Keep = Literal["last_above", "first_below"]
Reason = Literal["ratio", "vanished", "limit"]


class TightRule(Config):
    """How a tight mask is cut."""

    stdev_size_thr: float = Field(
        1.0, ge=0, description="A pixel belongs to the outline above this many s.d. of |pixel − mean|."
    )
    filter_sigma: float = Field(1.0, ge=0, description="Width of the soft edge, px.")
    target_reduction_ratio: float = Field(
        0.9, gt=0, lt=1, description="Share of the first masked activation down to which the hull is eroded."
    )


def _rule(threshold: float, sigma: float, ratio: float) -> TightRule:
    return TightRule(stdev_size_thr=threshold, filter_sigma=sigma, target_reduction_ratio=ratio)


PARAMETER_SETS = (_rule(1, 1, 0.9), _rule(1, 1, 0.95), _rule(1, 2, 0.9), _rule(0.8, 1, 0.9), _rule(1, 3, 0.9))
"""The published sets by number."""


@dataclass(frozen=True)
class TightMasks:
    """Tight masks of U units.

    Attributes
    ----------
    masks : (U, H, W) float32 Tensor, 0..1
    full_activation : (U,) float64
        Activation by the picture without any mask.
    baseline_activation : (U,) float64
        By the picture through the mask that was not eroded yet.
    activation : (U,) float64
        By the picture through ``masks``.
    next_ratio : (U,) float64
        Share of the baseline one erosion further than ``masks``; NaN where there was none.
    erosions : (U,) int64
        Pixels taken off all around.
    reasons : tuple of str
        ``ratio``: the activation fell to the target; ``vanished``: one erosion more leaves no pixel;
        ``limit``: the most erosions were made.
    """

    masks: Tensor
    full_activation: npt.NDArray[np.float64]
    baseline_activation: npt.NDArray[np.float64]
    activation: npt.NDArray[np.float64]
    next_ratio: npt.NDArray[np.float64]
    erosions: npt.NDArray[np.int64]
    reasons: tuple[Reason, ...]

    @property
    def achieved_ratio(self) -> npt.NDArray[np.float64]:
        """(U,) share of the baseline that ``masks`` keep."""
        return self.activation / self.baseline_activation


def tight_hulls(images: Tensor, threshold: float, names: Sequence[str]) -> Tensor:
    """Return (U, H, W) bool convex hulls of the pixels that stand out by ``threshold`` s.d. of |x − mean|.

    Raises
    ------
    DataError
        If no pixel of an image stands out.
    """
    delta = deviation(images)
    spread = (delta - delta.mean((1, 2), keepdim=True)).square().mean((1, 2), keepdim=True).sqrt()
    outlines = (delta > threshold * spread).cpu().numpy()
    return torch.from_numpy(convex_hulls(outlines, names)).to(images.device)


def tight_masks(
    objective: Objective,
    images: Tensor,
    rule: TightRule,
    *,
    names: Sequence[str],
    keep: Keep = "last_above",
    max_erosions: int = 100,
    batches: FittingBatches | None = None,
) -> TightMasks:
    """Cut tight masks for the pictures of many units, one batched forward pass an erosion.

    The convex hull of the pixels that stand out gets a soft edge; the activation by the picture through it
    is the baseline. Then the hull is eroded by 3×3 until the activation falls below the target ratio of
    that. ``last_above`` keeps the smallest mask before it fell: it keeps *at least* the ratio and covers
    something always. ``first_below`` keeps the one after, as the published code does. A unit's mask does
    not depend on its neighbours; units that are done leave the batch.

    Parameters
    ----------
    objective
        Activation of image ``rows[i]``'s unit; see `Objective`.
    images : (U, H, W), grey levels
        Exciting images, one a unit.
    rule
        One of `PARAMETER_SETS` or a variation of it.
    names
        What each unit is called.
    keep
        Which of the two masks around the target ratio.
    max_erosions
        Erosions at most.
    batches
        How many pictures are evaluated at once: by default all, and fewer where the memory runs out.

    Raises
    ------
    DataError
        If a picture has no pixel that stands out, or excites its unit through the mask by nothing or less.

    Notes
    -----
    Walker et al. 2019, tight MEI masks.

    Examples
    --------
    A unit that sums the brightness of a row of nine pixels keeps seven of them at a ratio of 0.7:

    >>> picture = torch.zeros(1, 9, 21)
    >>> picture[0, 3:6, 6:15] = 9.0
    >>> rule = TightRule(filter_sigma=0, target_reduction_ratio=0.7)
    >>> def row_sum(x, rows): return (x[:, 4, 6:15] - picture.mean()).sum(1)
    >>> found = tight_masks(row_sum, picture, rule, names=["a"])
    >>> found.masks[0, 4, 5:16].tolist(), found.erosions.tolist(), round(float(found.achieved_ratio[0]), 4)
    ([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0], [1], 0.7778)
    """
    rows = torch.arange(len(images), device=images.device)
    hulls = tight_hulls(images, rule.stdev_size_thr, names)
    masks = softened(hulls, rule.filter_sigma)
    activate = _Activate(objective, batches or FittingBatches())
    full, baseline = activate(images, rows), activate(masked(images, masks), rows)
    _refuse_unexcited(baseline, names)
    activation, following = baseline.clone(), torch.full_like(baseline, torch.nan)
    erosions = torch.zeros_like(rows)
    reasons: list[Reason] = ["limit"] * len(images)
    for number in range(1, max_erosions + 1):
        hulls = eroded(hulls)
        left = hulls.flatten(1).any(1)
        _mark(reasons, rows[~left], "vanished")
        rows, hulls = rows[left], hulls[left]
        if len(rows) == 0:
            break
        smaller = softened(hulls, rule.filter_sigma)
        excited = activate(masked(images[rows], smaller), rows)
        fell = excited < rule.target_reduction_ratio * baseline[rows]
        taken = ~fell if keep == "last_above" else torch.ones_like(fell)
        masks[rows[taken]], activation[rows[taken]] = smaller[taken], excited[taken]
        erosions[rows[taken]] = number
        if keep == "last_above":
            following[rows[fell]] = excited[fell] / baseline[rows[fell]]
        _mark(reasons, rows[fell], "ratio")
        rows, hulls = rows[~fell], hulls[~fell]
    return TightMasks(
        masks=masks,
        full_activation=full.cpu().numpy(),
        baseline_activation=baseline.cpu().numpy(),
        activation=activation.cpu().numpy(),
        next_ratio=following.cpu().numpy(),
        erosions=erosions.cpu().numpy(),
        reasons=tuple(reasons),
    )


@dataclass(frozen=True)
class _Activate:
    objective: Objective
    batches: FittingBatches

    @torch.no_grad()
    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        parts = self.batches(len(rows), lambda part: self.objective(images[part], rows[part]))
        return torch.cat(parts).double()


def _mark(reasons: list[Reason], rows: Tensor, reason: Reason) -> None:
    for row in rows.tolist():
        reasons[row] = reason


def _refuse_unexcited(baseline: Tensor, names: Sequence[str]) -> None:
    values = dict(zip(names, baseline.tolist(), strict=True))
    bad = {name: f"{value:.4g}" for name, value in values.items() if not value > 0}
    if bad:
        what = "the picture through its mask does not excite its unit"
        expected = "expected an activation above 0, of which a share can be kept; leave them out"
        raise RefusedUnitsError(Refusal(what, bad, expected))
