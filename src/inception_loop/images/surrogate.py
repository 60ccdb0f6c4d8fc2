"""A guess at a unit's activation between the images it has been asked about, from values and gradients.

A Gaussian process in the few dimensions in which the gradients lie. A gradient says where the activation
rises *and* that nothing else matters, so two dozen of them tell more than hundreds of activations; and where
a linear guess is blind (a complex cell has no gradient at grey, and its gradient turns with the phase of the
image), the process bends with what it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

SCALES = (1.0, 2.0, 4.0)
"""Distances over which the activation may bend, tried by likelihood; 1 is the spread of the points."""

NOISE = 1e-3
"""Variance, relative to that of the activations, of what the few dimensions do not explain."""


@dataclass(frozen=True)
class Surrogate:
    """A fitted guess; `fit` makes it.

    The kernel is ``exp(−|a − b|² / 2ℓ²) + a·b/ℓ²``: a smooth function beside a linear one.
    """

    points: Tensor
    sloped: Tensor
    scale: float
    level: Tensor
    spread: Tensor
    of_values: Tensor
    of_slopes: Tensor
    factor: Tensor

    @classmethod
    def fit(cls, points: Tensor, values: Tensor, slopes: Tensor, sloped: Tensor) -> Self:
        """Fit values at (n, r) points and gradients at some of them.

        Parameters
        ----------
        points : (n, r) float64
        values : (n,)
        slopes : (d, r)
            Gradients.
        sloped : (d,) int64
            At which of the points.

        Examples
        --------
        >>> at = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
        >>> bowl = Surrogate.fit(at, at[:, 0] ** 2, 2 * at, torch.arange(3))
        >>> round(bowl.mean(torch.full((1, 1), 0.5, dtype=torch.float64)).item(), 1)
        0.2
        """
        level = values.mean()
        spread = values.std(correction=0).clamp(min=float(1e-9 * values.abs().amax() + 1e-30))
        targets = torch.cat([(values - level) / spread, (slopes / spread).flatten()])
        tried = [_solve(_covariance(points, sloped, scale), targets) for scale in SCALES]
        _, scale, weights, factor = max(
            (likelihood, scale, weights, factor)
            for scale, (likelihood, weights, factor) in zip(SCALES, tried, strict=True)
        )
        n = len(points)
        return cls(
            points, sloped, scale, level, spread, weights[:n], weights[n:].reshape(slopes.shape), factor
        )

    def mean(self, at: Tensor) -> Tensor:
        """Return the (k,) activations to expect at (k, r) points."""
        near = _near(at, self.points, self.scale)
        turned = at @ self.of_slopes.T - (self.points[self.sloped] * self.of_slopes).sum(1)
        straight = at @ (self.points.T @ self.of_values + self.of_slopes.sum(0))
        bent = (near[:, self.sloped] * turned).sum(1)
        guess = near @ self.of_values + (bent + straight) / self.scale**2
        expected: Tensor = self.level + self.spread * guess
        return expected

    def deviation(self, at: Tensor) -> Tensor:
        """Return the (k,) standard deviations of the activations at (k, r) points."""
        cross = torch.cat(
            [
                _near(at, self.points, self.scale) + at @ self.points.T / self.scale**2,
                _slope_covariance(at, self.points[self.sloped], self.scale),
            ],
            dim=1,
        )
        known = torch.linalg.solve_triangular(self.factor, cross.T, upper=False).square().sum(0)
        prior = 1 + at.square().sum(1) / self.scale**2
        unsure: Tensor = self.spread * (prior - known).clamp(min=0).sqrt()
        return unsure


def _solve(covariance: Tensor, targets: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return the log likelihood up to a constant, the targets' weights and the Cholesky factor."""
    factor = torch.linalg.cholesky(covariance)
    weights = torch.cholesky_solve(targets[:, None], factor)[:, 0]
    return float(-(targets @ weights) / 2 - factor.diagonal().log().sum()), weights, factor


def _near(a: Tensor, b: Tensor, scale: float) -> Tensor:
    square = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    return torch.exp(square.clamp(min=0) / (-2 * scale**2))


def _slope_covariance(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """(k, d·r) covariance of values at ``a`` with gradients at ``b``."""
    apart = a[:, None] - b[None]
    return ((_near(a, b, scale)[..., None] * apart + a[:, None]) / scale**2).flatten(1)


def _covariance(points: Tensor, sloped: Tensor, scale: float) -> Tensor:
    """(n + d·r, n + d·r) covariance of values at the points and gradients at the sloped ones, with noise."""
    at, r = points[sloped], points.shape[1]
    values = _near(points, points, scale) + points @ points.T / scale**2
    mixed = _slope_covariance(points, at, scale)
    eye = torch.eye(r, dtype=points.dtype)
    apart = (at[:, None] - at[None]) / scale
    turned = eye - apart[..., :, None] * apart[..., None, :]
    slopes = (_near(at, at, scale)[..., None, None] * turned + eye) / scale**2
    slopes = slopes.permute(0, 2, 1, 3).reshape(len(at) * r, len(at) * r)
    whole = torch.cat([torch.cat([values, mixed], 1), torch.cat([mixed.T, slopes], 1)])
    noise = torch.full((len(whole),), NOISE, dtype=points.dtype)
    noise[len(points) :] /= scale**2
    noisy: Tensor = whole + torch.diag(noise)
    return noisy


def active_directions(gradients: Tensor, limit: int) -> Tensor:
    """Return the (d, r) combinations of (d, P) gradients that are their r main directions, orthonormal.

    ``gradients.T @ result`` are the directions; r is at most ``limit``, less where the gradients span less.

    Examples
    --------
    >>> turn = active_directions(torch.tensor([[2.0, 0.0], [1.0, 0.0]], dtype=torch.float64), 5)
    >>> (torch.tensor([[2.0, 1.0], [0.0, 0.0]], dtype=torch.float64) @ turn).abs().flatten().round(decimals=9)
    tensor([1., 0.], dtype=torch.float64)
    """
    power, turn = torch.linalg.eigh(gradients @ gradients.T)
    power, turn = power.flip(0)[:limit], turn.flip(1)[:, :limit]
    kept = power > 1e-6 * power[0]
    directions: Tensor = turn[:, kept] / power[kept].sqrt()
    return directions
