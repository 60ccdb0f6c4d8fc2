"""Gradient ascent on the pixels of many images at once, as a pure function of small separate pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.images.steps import StepRule

Objective = Callable[[Tensor, Tensor], Tensor]
"""(A, H, W) images, (A,) int64 rows of the initial batch that they are → (A,) scores, row by row."""

Transform = Callable[[Tensor], Tensor]
"""(A, H, W) → (A, H, W), each image for itself."""

Reason = Literal["converged", "iterations", "zero_gradient", "not_finite"]


@dataclass(frozen=True)
class Schedule:
    """What one iteration does, and for how long.

    Attributes
    ----------
    iterations : int
        Steps at most.
    step : StepRule
        (gradient, progress 0..1) → change of the image, grey levels.
    precondition : Transform, optional
        Applied to the gradient before the step.
    blur : (images, progress) → images, optional
        Applied after the step and the constraint; the constraint is applied once more after it.
    present : Transform, optional
        Differentiable; what the objective sees, and what is kept, is ``present(image)``.
    patience, tolerance : int or None, float
        An image stops when its best score has not risen by more than ``tolerance`` (relative) within
        ``patience`` iterations; None never stops early.
    """

    iterations: int
    step: StepRule
    precondition: Transform | None = None
    blur: Callable[[Tensor, float], Tensor] | None = None
    present: Transform | None = None
    patience: int | None = None
    tolerance: float = 0.0


@dataclass(frozen=True)
class Ascent:
    """What an ascent found, item by item.

    Attributes
    ----------
    images : (B, H, W) Tensor, grey levels
        The best image seen, not the last.
    scores : (B,) Tensor
        The objective at ``images``.
    history : (iterations + 1, B) float32
        The objective before every step and after the last; NaN after an item has stopped.
    iterations : (B,) int64
        Steps taken.
    reasons : tuple of str
        ``converged``: no more progress; ``iterations``: the schedule ended; ``zero_gradient``: the objective
        does not change with any pixel; ``not_finite``: the objective or its gradient left the numbers.
    """

    images: Tensor
    scores: Tensor
    history: npt.NDArray[np.float32]
    iterations: npt.NDArray[np.int64]
    reasons: tuple[Reason, ...]

    @property
    def best_history(self) -> npt.NDArray[np.float32]:
        """(iterations + 1, B) best score so far; it never falls."""
        return np.fmax.accumulate(self.history, axis=0)


def ascend(objective: Objective, initial: Tensor, constraint: Transform, schedule: Schedule) -> Ascent:
    """Climb an objective from every initial image, each within the constraint.

    Every operation treats each item of the batch for itself, so an item's result depends on its
    neighbours only as far as the objective's arithmetic does. Items that stop leave the batch.

    Parameters
    ----------
    objective
        Differentiable in the images; see `Objective`.
    initial : (B, H, W)
        Where to start, grey levels; brought into the constraint first. Random starts come from
        `inception_loop.images.start.grey_noise`, which takes the seed.
    constraint
        Projection, idempotent; see `inception_loop.images.constraints`.
    schedule
        Steps, preconditioning, blur and stopping rule.

    Examples
    --------
    The best image of a linear unit under a norm is its filter:

    >>> from inception_loop.images.constraints import L2Norm
    >>> from inception_loop.images.steps import Ramp, RmsStep
    >>> w = torch.tensor([[[3.0, 0.0], [0.0, -4.0]]])
    >>> found = ascend(lambda x, rows: (x * w[rows]).sum((1, 2)), torch.ones(1, 2, 2), L2Norm(10.0),
    ...                Schedule(200, RmsStep(Ramp(4.0, 0.04))))
    >>> [[round(v) for v in row] for row in found.images[0].tolist()], round(found.scores.item())
    ([[6, 0], [0, -8]], 50)
    """
    state = _State(initial, constraint, schedule)
    for iteration in range(schedule.iterations + 1):
        gradient = state.evaluate(objective, iteration)
        if len(state.active) == 0 or iteration == schedule.iterations:
            break
        state.step(gradient, iteration / schedule.iterations)
    return state.result()


class _State:
    """The items still climbing (``active`` rows of the batch) and the best of all items so far."""

    def __init__(self, initial: Tensor, constraint: Transform, schedule: Schedule) -> None:
        self.constraint, self.schedule = constraint, schedule
        n = len(initial)
        self.images = constraint(initial.detach())
        self.active = torch.arange(n, device=initial.device)
        self.best = self.images.clone()
        self.scores = torch.full((n,), -torch.inf, dtype=initial.dtype, device=initial.device)
        self.milestone, self.waited = self.scores.clone(), torch.zeros_like(self.active)
        self.history = np.full((schedule.iterations + 1, n), np.nan, np.float32)
        self.taken = np.zeros(n, np.int64)
        self.reasons: list[Reason] = ["iterations"] * n

    def evaluate(self, objective: Objective, iteration: int) -> Tensor:
        """Score the active images, keep the best, let finished items go; return the others' gradient."""
        images = self.images.detach().requires_grad_()
        seen = images if self.schedule.present is None else self.schedule.present(images)
        scores = objective(seen, self.active)
        (gradient,) = torch.autograd.grad(scores.sum(), images)
        scores = scores.detach()
        self.history[iteration, self.active.cpu().numpy()] = scores.cpu().numpy()
        self._keep_best(seen.detach(), scores)
        return self._release(scores, gradient, iteration)

    def _keep_best(self, seen: Tensor, scores: Tensor) -> None:
        better = scores > self.scores[self.active]  # False for NaN
        rows = self.active[better]
        self.scores[rows] = scores[better]
        self.best[rows] = seen[better]

    def _release(self, scores: Tensor, gradient: Tensor, iteration: int) -> Tensor:
        lost = ~torch.isfinite(scores) | ~torch.isfinite(gradient).flatten(1).all(1)
        flat = ~gradient.flatten(1).any(1)
        going: tuple[tuple[Reason, Tensor], ...] = (
            ("not_finite", lost),
            ("zero_gradient", flat & ~lost),
            ("converged", self._stalled() & ~lost & ~flat),
        )
        stop = torch.zeros_like(lost)
        for reason, which in going:
            stop |= which
            for row in self.active[which].tolist():
                self.reasons[row] = reason
        self.taken[self.active.cpu().numpy()] = iteration
        self.active, self.images = self.active[~stop], self.images[~stop]
        return gradient[~stop]

    def _stalled(self) -> Tensor:
        rows = self.active
        best, milestone = self.scores[rows], self.milestone[rows]
        risen = best > milestone + self.schedule.tolerance * milestone.abs()
        risen |= torch.isinf(milestone)
        self.milestone[rows] = torch.where(risen, best, milestone)
        self.waited[rows] = torch.where(risen, 0, self.waited[rows] + 1)
        if self.schedule.patience is None:
            return torch.zeros_like(risen)
        return self.waited[rows] >= self.schedule.patience

    def step(self, gradient: Tensor, progress: float) -> None:
        """Move every active image one step along its gradient and back into the constraint."""
        schedule = self.schedule
        if schedule.precondition is not None:
            gradient = schedule.precondition(gradient)
        self.images = self.constraint(self.images + schedule.step(gradient, progress))
        if schedule.blur is not None:
            self.images = self.constraint(schedule.blur(self.images, progress))

    def result(self) -> Ascent:
        return Ascent(self.best, self.scores, self.history, self.taken, tuple(self.reasons))
