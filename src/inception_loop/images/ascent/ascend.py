"""Gradient ascent on the pixels of many images at once, as a pure function of small separate pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.steps import StepRule

Objective = Callable[[Tensor, Tensor], Tensor]
"""(A, H, W) images, (A,) int64 rows of the initial batch that they are → (A,) scores, row by row."""

Transform = Callable[[Tensor], Tensor]
"""(A, H, W) → (A, H, W), each image for itself; one that knows whose image is whose is a `PerItem`."""

Reason = Literal["converged", "iterations", "zero_gradient", "not_finite"]


@runtime_checkable
class PerItem(Protocol):
    """A transform with something of its own for every item of the batch, such as a mask."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images, each changed by what belongs to it."""

    def take(self, rows: Tensor) -> Transform:
        """Return the same for some items only: ``rows`` (A,) of the initial batch."""


def of_rows(transform: Transform, rows: Tensor) -> Transform:
    """Return a transform as it is for some items of the initial batch."""
    return transform.take(rows) if isinstance(transform, PerItem) else transform


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
        An image has stalled when its best score has not risen by more than ``tolerance`` (relative) within
        ``patience`` iterations; None never stops early.
    halvings : int
        A stalled image goes on with half its step, so many times, before it stops: a step that is too long
        leads back and forth across the summit.
    """

    iterations: int
    step: StepRule
    precondition: Transform | None = None
    blur: Callable[[Tensor, float], Tensor] | None = None
    present: Transform | None = None
    patience: int | None = None
    tolerance: float = 0.0
    halvings: int = 0


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


def ascend(
    objective: Objective,
    initial: Tensor,
    constraint: Transform,
    schedule: Schedule,
    batches: FittingBatches | None = None,
) -> Ascent:
    """Climb an objective from every initial image, each within the constraint.

    Every operation treats each item of the batch for itself, so an item's result depends on its
    neighbours only as far as the objective's arithmetic does. Items that stop leave the batch. An item is one
    image, or whatever the objective takes as one, such as a set of images (A, K, H, W).

    Parameters
    ----------
    objective
        Differentiable in the images; see `Objective`.
    initial : (B, H, W)
        Where to start, grey levels; brought into the constraint first. Random starts come from
        `inception_loop.images.ascent.start.grey_noise`, which takes the seed.
    constraint
        Projection, idempotent; see `inception_loop.images.ascent.constraints`.
    schedule
        Steps, preconditioning, blur and stopping rule.
    batches
        How many items the objective is asked for at once: by default all that still climb, and half as many,
        again and again, where the memory runs out.

    Examples
    --------
    The best image of a linear unit under a norm is its filter:

    >>> from inception_loop.images.ascent.constraints import L2Norm
    >>> from inception_loop.images.ascent.steps import Ramp, RmsStep
    >>> w = torch.tensor([[[3.0, 0.0], [0.0, -4.0]]])
    >>> found = ascend(lambda x, rows: (x * w[rows]).sum((1, 2)), torch.ones(1, 2, 2), L2Norm(10.0),
    ...                Schedule(200, RmsStep(Ramp(4.0, 0.04))))
    >>> [[round(v) for v in row] for row in found.images[0].tolist()], round(found.scores.item())
    ([[6, 0], [0, -8]], 50)
    """
    state = _State(initial, constraint, schedule, batches or FittingBatches())
    for iteration in range(schedule.iterations + 1):
        gradient = state.evaluate(objective, iteration)
        if len(state.active) == 0 or iteration == schedule.iterations:
            break
        state.step(gradient, iteration / schedule.iterations)
    return state.result()


class _State:
    """The items still climbing (``active`` rows of the batch) and the best of all items so far."""

    def __init__(
        self, initial: Tensor, constraint: Transform, schedule: Schedule, batches: FittingBatches
    ) -> None:
        self.constraint, self.schedule, self.batches = constraint, schedule, batches
        n = len(initial)
        self.active = torch.arange(n, device=initial.device)
        self.images = self.constrained(initial.detach())
        self.best = self.images.clone()
        self.scores = torch.full((n,), -torch.inf, dtype=initial.dtype, device=initial.device)
        self.milestone, self.waited = self.scores.clone(), torch.zeros_like(self.active)
        self.halved = torch.zeros_like(self.active)
        self.history = np.full((schedule.iterations + 1, n), np.nan, np.float32)
        self.taken = np.zeros(n, np.int64)
        self.reasons: list[Reason] = ["iterations"] * n

    def evaluate(self, objective: Objective, iteration: int) -> Tensor:
        """Score the active images, keep the best, let finished items go; return the others' gradient."""

        def climb(part: slice) -> tuple[Tensor, Tensor, Tensor]:
            images, rows = self.images[part].detach().requires_grad_(), self.active[part]
            present = self.schedule.present
            seen = images if present is None else of_rows(present, rows)(images)
            scores = objective(seen, rows)
            (gradient,) = torch.autograd.grad(scores.sum(), images)
            return seen.detach(), scores.detach(), gradient

        parts = self.batches(len(self.active), climb)
        seen, scores, gradient = (torch.cat(values) for values in zip(*parts, strict=True))
        self.history[iteration, self.active.cpu().numpy()] = scores.cpu().numpy()
        self._keep_best(seen, scores)
        return self._release(scores, gradient, iteration)

    def constrained(self, images: Tensor) -> Tensor:
        """Bring the active items' images into the constraint."""
        return of_rows(self.constraint, self.active)(images)

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
        stalled = self.waited[rows] >= self.schedule.patience
        again = stalled & (self.halved[rows] < self.schedule.halvings)
        self.halved[rows[again]] += 1
        self.waited[rows[again]] = 0
        return stalled & ~again

    def step(self, gradient: Tensor, progress: float) -> None:
        """Move every active image one step along its gradient and back into the constraint."""
        schedule = self.schedule
        if schedule.precondition is not None:
            gradient = schedule.precondition(gradient)
        change = schedule.step(gradient, progress)
        if schedule.halvings:
            share = 0.5 ** self.halved[self.active].to(change.dtype)
            change = change * share.reshape(-1, *[1] * (change.ndim - 1))
        self.images = self.constrained(self.images + change)
        if schedule.blur is not None:
            self.images = self.constrained(schedule.blur(self.images, progress))

    def result(self) -> Ascent:
        return Ascent(self.best, self.scores, self.history, self.taken, tuple(self.reasons))
