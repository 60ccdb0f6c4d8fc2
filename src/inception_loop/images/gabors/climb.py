"""The best Gabor between those of a grid: its six parameters climbed from many starts at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.images.ascent.ascend import Objective
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.gabors.drawing import at_contrast, gabors
from inception_loop.images.gabors.grid import Bounds

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
    batches: FittingBatches | None = None,
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
    batches
        How many pictures are evaluated at once, halved where memory runs out; by default 64.

    Examples
    --------
    >>> from inception_loop.images.gabors.grid import GaborGrid
    >>> wanted = torch.tensor([[0.3, 8.0, 0.4, 4.0, 30.0, 18.0]], dtype=torch.float64)
    >>> cell, _ = at_contrast(gabors(wanted, (36, 64)), 0.0, 0.01)
    >>> def project(x, rows): return (x * cell.float()).sum((1, 2))
    >>> start = torch.tensor([[0.0, 7.0, 0.39, 5.0, 31.5, 17.5]], dtype=torch.float64)
    >>> found = climb_gabors(project, start, GaborGrid().bounds((36, 64)), image_size=(36, 64),
    ...                      mean=110.0, contrast=8.0, tolerance=1e-7)
    >>> (found.parameters - wanted).abs().max().item() < 0.01
    True
    """
    show = _Shown(objective, image_size, mean, contrast, batches or FittingBatches(64))
    bounds = Bounds(*(bound.to(starts.device) for bound in bounds))
    state = _climbing(show, starts.double().clamp(*bounds), first_radius)
    best, scores, first = state.at.clone(), state.score.clone(), state.score.clone()
    evaluations = torch.ones_like(state.rows)
    converged = torch.zeros_like(state.rows, dtype=torch.bool)
    for _ in range(iterations):
        step = state.step(bounds)
        going = state.promised(step) > tolerance * state.score.abs()
        going &= (state.radius > SMALLEST_RADIUS) & torch.isfinite(state.score)
        converged[state.rows[~going]] = True
        state = state.only(going)
        if len(state.rows) == 0:
            break
        state = state.after(step[going], show)
        evaluations[state.rows] += 1
        best[state.rows], scores[state.rows] = state.at, state.score
    return GaborClimb(best, scores, first, evaluations.cpu().numpy(), converged.cpu().numpy())


class _Climbing(NamedTuple):
    """The starts still climbing.

    ``rows`` of the batch, where they are ``at``, ``score`` and ``slope`` there, the ``metric`` of the picture
    there, the trust ``radius``, and the ``length`` of the next step in natural gradients: the inverse of the
    curvature seen along the last.
    """

    rows: Tensor
    at: Tensor
    score: Tensor
    slope: Tensor
    metric: Tensor
    radius: Tensor
    length: Tensor

    def only(self, keep: Tensor) -> _Climbing:
        return _Climbing(*(values[keep] for values in self))

    def step(self, bounds: Bounds) -> Tensor:
        """Return (A, 6) the next steps, within the bounds."""
        outwards = (self.at <= bounds.low) & (self.slope < 0) | (self.at >= bounds.high) & (self.slope > 0)
        natural, pull = _natural(self.slope, self.metric, outwards)
        wanted = torch.minimum(self.length, self.radius / pull)[:, None] * natural
        return (self.at + wanted).clamp(*bounds) - self.at

    def promised(self, step: Tensor) -> Tensor:
        return (self.slope * step).sum(1)

    def after(self, step: Tensor, show: _Shown) -> _Climbing:
        """Take the steps that lead up, and learn from all of them how far to go next."""
        tried = self.at + step
        score, slope = show(tried, self.rows)
        up, promised = score > self.score, self.promised(step)
        moved = torch.einsum("ri,rij,rj->r", step, self.metric, step)
        bend = promised - (slope * step).sum(1)
        wider = torch.maximum(self.radius, 2 * moved.sqrt()).clamp(max=LARGEST_RADIUS)
        top = torch.where(bend > 0, promised / bend, 0.5)  # where along a step down a parabola has its top
        metric = self.metric.clone()
        if up.any():
            metric[up] = show.metric(tried[up])
        return _Climbing(
            rows=self.rows,
            at=torch.where(up[:, None], tried, self.at),
            score=torch.where(up, score, self.score),
            slope=torch.where(up[:, None], slope, self.slope),
            metric=metric,
            radius=torch.where(up, wider, top.clamp(0.1, 0.5) * moved.sqrt()),
            length=torch.where(bend > 0, moved / bend, math.inf),
        )


def _climbing(show: _Shown, at: Tensor, radius: float) -> _Climbing:
    rows = torch.arange(len(at), device=at.device)
    score, slope = show(at, rows)
    return _Climbing(
        rows,
        at,
        score,
        slope,
        metric=show.metric(at),
        radius=torch.full_like(score, radius),
        length=torch.full_like(score, math.inf),
    )


def _natural(slope: Tensor, metric: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient in the metric, with some parameters held, and its length in it."""
    slope, free = torch.where(held, 0.0, slope), (~held).to(slope.dtype)
    metric = metric * free[:, :, None] * free[:, None, :]
    damping = metric.diagonal(dim1=1, dim2=2) * DAMPING + (1 - free) + 1e-12
    natural = torch.linalg.solve(metric + torch.diag_embed(damping), slope)
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
