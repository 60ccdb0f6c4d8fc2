"""The best Gabor between those of a grid: its six parameters climbed from many starts at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.images.ascent import Objective
from inception_loop.images.gabor_grid import Bounds
from inception_loop.images.gabor_images import at_contrast, gabors
from inception_loop.images.memory import FittingBatches

LARGEST_RADIUS = 0.5  # of the picture's contrast: further on, a gradient says nothing
SMALLEST_RADIUS = 1e-4
DAMPING = 1e-3  # of the metric's diagonal: parameters that the picture hardly shows do not run away
NUDGE = 1e-5  # rad or px, for the metric's difference quotients


@dataclass(frozen=True)
class GaborClimb:
    """What became of R starts.

    Attributes
    ----------
    parameters : (R, 6) float64 Tensor, see `PARAMETERS`
        The best seen, not the last.
    scores : (R,) float64 Tensor
    first_scores : (R,) float64 Tensor
        At the starts.
    evaluations : (R,) int64
        Pictures shown, each with its gradient.
    converged : (R,) bool
        Whether the next step promised less than the tolerance; otherwise the iterations ran out.
    """

    parameters: Tensor
    scores: Tensor
    first_scores: Tensor
    evaluations: npt.NDArray[np.int64]
    converged: npt.NDArray[np.bool_]


def climb_gabors(
    objective: Objective,
    starts: Tensor,
    bounds: Bounds,
    *,
    image_size: tuple[int, int],
    mean: float,
    contrast: float,
    iterations: int = 40,
    tolerance: float = 1e-5,
    first_radius: float = 0.2,
    batch_size: int = 64,
) -> GaborClimb:
    """Climb from many Gabors at once, each within the bounds of its parameters.

    A step follows the gradient in the metric of the picture: its length is how much the *picture* changes,
    whatever the parameters' units, so wavelength, phase and place move as they matter. The curvature seen
    along the last step sets the length of the next (Barzilai–Borwein), at most a trust radius, which grows
    after a step up and shrinks after one down; the latter is taken back. So no start ends lower than it was.
    Each start is treated for itself; those that have converged leave the batch.

    Parameters
    ----------
    objective
        Activation of start ``rows[i]``'s unit; see `Objective`.
    starts : (R, 6) float64
        `PARAMETERS`; brought into the bounds first.
    bounds
        Of `GaborGrid.bounds`.
    image_size : (height, width), px
    mean, contrast : grey levels
        Of every picture, clipping included.
    iterations
        Steps at most.
    tolerance
        A start has converged when its next step promises less than this share of its score.
    first_radius
        First trust radius: change of the picture, in its contrast.
    batch_size
        Pictures evaluated at once; fewer where the memory does not hold them.

    Examples
    --------
    >>> from inception_loop.images.gabor_grid import GaborGrid
    >>> wanted = torch.tensor([[0.3, 8.0, 0.4, 4.0, 30.0, 18.0]], dtype=torch.float64)
    >>> cell, _ = at_contrast(gabors(wanted, (36, 64)), 0.0, 0.01)
    >>> def project(x, rows): return (x * cell.float()).sum((1, 2))
    >>> start = torch.tensor([[0.0, 7.0, 0.39, 5.0, 31.5, 17.5]], dtype=torch.float64)
    >>> found = climb_gabors(project, start, GaborGrid().bounds((36, 64)), image_size=(36, 64),
    ...                      mean=110.0, contrast=8.0, tolerance=1e-7)
    >>> (found.parameters - wanted).abs().max().item() < 0.01
    True
    """
    show = _Shown(objective, image_size, mean, contrast, FittingBatches(batch_size))
    low, high = (bound.to(starts.device) for bound in bounds)
    at = torch.maximum(torch.minimum(starts.double(), high), low)
    rows = torch.arange(len(starts), device=starts.device)
    score, slope = show(at, rows)
    best, scores, first = at.clone(), score.clone(), score.clone()
    evaluations, converged = torch.ones_like(rows), torch.zeros_like(rows, dtype=torch.bool)
    radius = torch.full_like(score, first_radius)
    length = torch.full_like(score, math.inf)  # of the step, in natural gradients: the inverse curvature
    metric = show.metric(at)
    for _ in range(iterations):
        natural, pull = _natural(slope, metric, (at <= low) & (slope < 0) | (at >= high) & (slope > 0))
        step = torch.minimum(length, radius / pull)[:, None] * natural
        tried = torch.maximum(torch.minimum(at + step, high), low)
        step = tried - at
        promised = (slope * step).sum(1)
        going = (promised > tolerance * score.abs()) & (radius > SMALLEST_RADIUS) & torch.isfinite(score)
        converged[rows[~going]] = True
        if not going.any():
            break
        rows, at, score, slope, metric, radius, length = (
            v[going] for v in (rows, at, score, slope, metric, radius, length)
        )
        tried, step, promised = tried[going], step[going], promised[going]
        found, tried_slope = show(tried, rows)
        evaluations[rows] += 1
        moved = torch.einsum("ri,rij,rj->r", step, metric, step)
        bend = promised - (tried_slope * step).sum(1)
        length = torch.where(bend > 0, moved / bend, math.inf)
        up = found > score
        shrunk = (promised / bend).nan_to_num(0.5, posinf=0.5).clamp(0.1, 0.5)
        reached = moved.sqrt()
        radius = torch.where(
            up, torch.maximum(radius, 2 * reached).clamp(max=LARGEST_RADIUS), shrunk * reached
        )
        at, slope = torch.where(up[:, None], tried, at), torch.where(up[:, None], tried_slope, slope)
        score = torch.where(up, found, score)
        if up.any():
            metric[up] = show.metric(at[up])
        best[rows], scores[rows] = at, score
    return GaborClimb(best, scores, first, evaluations.cpu().numpy(), converged.cpu().numpy())


def _natural(slope: Tensor, metric: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient in the metric, with some parameters held, and its length in it."""
    slope = torch.where(held, 0.0, slope)
    free = (~held).to(slope.dtype)
    metric = metric * free[:, :, None] * free[:, None, :]
    diagonal = metric.diagonal(dim1=1, dim2=2)
    metric = metric + torch.diag_embed(diagonal * DAMPING + (1 - free) + 1e-12)
    natural = torch.linalg.solve(metric, slope)
    return natural, (slope * natural).sum(1).clamp(min=1e-30).sqrt()


@dataclass(frozen=True)
class _Shown:
    """Parameters as pictures: their score, its slope along each, and how much each changes the picture."""

    objective: Objective
    image_size: tuple[int, int]
    mean: float
    contrast: float
    batches: FittingBatches

    def __call__(self, parameters: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        parts = self.batches(len(rows), lambda part: self._evaluate(parameters[part], rows[part]))
        scores, slopes = zip(*parts, strict=True)
        return torch.cat(scores), torch.cat(slopes)

    def _evaluate(self, parameters: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        parameters = parameters.detach().requires_grad_()
        images, shows = at_contrast(gabors(parameters, self.image_size), self.mean, self.contrast)
        score = self.objective(images.float(), rows).double()
        (slope,) = torch.autograd.grad(score.sum(), parameters)
        valid = shows & torch.isfinite(score) & torch.isfinite(slope).all(1)
        return torch.where(valid, score.detach(), -math.inf), torch.where(valid[:, None], slope, 0.0)

    @torch.no_grad()
    def metric(self, parameters: Tensor) -> Tensor:
        """Return (R, 6, 6): squared change of the picture, in its contrast, by changes of the parameters."""
        parts = self.batches(len(parameters), lambda part: self._metric(parameters[part]))
        return torch.cat(parts)

    def _metric(self, parameters: Tensor) -> Tensor:
        count, n = parameters.shape
        nudged = parameters[:, None] + NUDGE * torch.eye(n).to(parameters)
        all_of = torch.cat((parameters[:, None], nudged), 1).reshape(-1, n)
        pictures = gabors(all_of, self.image_size).flatten(1)
        pictures -= pictures.mean(1, keepdim=True)
        pictures = (pictures / pictures.norm(dim=1, keepdim=True)).reshape(count, n + 1, -1)
        changes: Tensor = (pictures[:, 1:] - pictures[:, :1]) / NUDGE
        return changes @ changes.transpose(1, 2)
