"""A guess at a unit's activation by images it has not been asked about, from activations and gradients.

A Gaussian process in the few dimensions in which the gradients lie. A gradient says where the activation
rises *and* that nothing else matters, so two dozen of them tell more than hundreds of activations. The
process is a network of infinitely many random rectifiers: like the networks and cells that it guesses, it may
have a kink anywhere and goes on rising beyond the images asked about. A linear guess does not turn with the
phase of the image, as the gradient of a complex cell does; a smooth kernel falls back to the mean far away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

BIASES = (0.3, 1.0, 3.0)
"""How far from the centre the rectifiers bend, tried by likelihood; 1 is the spread of the points."""

NOISE = 1e-2
"""Variance, relative to that of the activations, of what the few dimensions do not explain."""


@dataclass(frozen=True)
class Surrogate:
    """A fitted guess; `fit` makes it.

    The kernel is the arc-cosine kernel of order 1 of points with a bias, ``|a||b| (sin θ + (π − θ) cos θ)/π``
    with the angle θ between them (Cho and Saul 2009).

    Attributes
    ----------
    points : (n, r + 1) float64, with bias
    sloped : (d,) int64
        Points of which the gradient is known.
    level, spread, amplitude : scalars
        Mean and standard deviation of the values; factor on the kernel.
    weights : (n + d·r,)
        Of the values and of the components of the gradients.
    factor : (n + d·r, n + d·r)
        Cholesky factor of their covariance.
    """

    points: Tensor
    sloped: Tensor
    level: Tensor
    spread: Tensor
    amplitude: float
    weights: Tensor
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
        >>> bowl = Surrogate.fit(at, at[:, 0].abs(), at.sign(), torch.arange(3))
        >>> round(bowl.mean(torch.full((1, 1), -4.0, dtype=torch.float64)).item())
        4
        """
        level = values.mean()
        spread = values.std(correction=0).clamp(min=float(1e-9 * values.abs().amax() + 1e-30))
        targets = torch.cat([(values - level) / spread, (slopes / spread).flatten()])
        tried = [_solve(_with_bias(points, bias), sloped, targets) for bias in BIASES]
        likelihoods = [likelihood for likelihood, *_ in tried]
        best = likelihoods.index(max(likelihoods))
        _, amplitude, weights, factor = tried[best]
        return cls(_with_bias(points, BIASES[best]), sloped, level, spread, amplitude, weights, factor)

    def mean(self, at: Tensor) -> Tensor:
        """Return the (k,) activations to expect at (k, r) points."""
        at, n, sloped = self._biased(at), len(self.points), self.points[self.sloped]
        lengths, angle = _angles(at, self.points)
        guess = _by_angle(lengths, angle) @ self.weights[:n]
        # `_with_slopes` times the weights, without the array of all components
        weights, angle = self.weights[n:].reshape(len(sloped), -1), angle[:, self.sloped]
        turned = (sloped[:, :-1] * weights).sum(1) / sloped.norm(dim=1)
        straight = at[:, :-1] @ weights.T
        lengths = at.norm(dim=1, keepdim=True)
        guess = guess + (lengths * angle.sin() * turned + (math.pi - angle) * straight).sum(1) / math.pi
        expected: Tensor = self.level + self.spread * guess
        return expected

    def deviation(self, at: Tensor) -> Tensor:
        """Return the (k,) standard deviations of the activations at (k, r) points."""
        at = self._biased(at)
        known = torch.linalg.solve_triangular(self.factor, self._covariance(at).T, upper=False)
        rest = (at.square().sum(1) - known.square().sum(0)).clamp(min=0)
        unsure: Tensor = self.spread * (self.amplitude * rest).sqrt()
        return unsure

    def _biased(self, at: Tensor) -> Tensor:
        return _with_bias(at, float(self.points[0, -1]))

    def _covariance(self, at: Tensor) -> Tensor:
        sloped = self.points[self.sloped]
        return torch.cat([_of_values(at, self.points), _with_slopes(at, sloped).flatten(1)], 1)


def _with_bias(points: Tensor, bias: float) -> Tensor:
    return torch.cat([points, points.new_full((len(points), 1), bias)], 1)


def _solve(points: Tensor, sloped: Tensor, targets: Tensor) -> tuple[float, float, Tensor, Tensor]:
    """Return the log likelihood up to a constant, amplitude, weights and Cholesky factor."""
    at, r = points[sloped], points.shape[1] - 1
    mixed = _with_slopes(points, at).flatten(1)
    slopes = _of_slopes(at).permute(0, 2, 1, 3).reshape(len(at) * r, len(at) * r)
    whole = torch.cat([torch.cat([_of_values(points, points), mixed], 1), torch.cat([mixed.T, slopes], 1)])
    factor = torch.linalg.cholesky(whole + NOISE * torch.eye(len(whole), dtype=whole.dtype))
    weights = torch.cholesky_solve(targets[:, None], factor)[:, 0]
    amplitude = float(targets @ weights) / len(targets)
    log_scale = len(targets) / 2 * math.log(max(amplitude, 1e-300))
    return -log_scale - float(factor.diagonal().log().sum()), amplitude, weights, factor


def _angles(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(k, n) products of lengths and angles of points with bias; no length is 0."""
    lengths = a.norm(dim=1)[:, None] * b.norm(dim=1)
    return lengths, torch.arccos((a @ b.T / lengths).clamp(-1, 1))


def _of_values(a: Tensor, b: Tensor) -> Tensor:
    """(k, n) covariance of values at ``a`` and ``b``."""
    return _by_angle(*_angles(a, b))


def _by_angle(lengths: Tensor, angle: Tensor) -> Tensor:
    found: Tensor = lengths * (angle.sin() + (math.pi - angle) * angle.cos()) / math.pi
    return found


def _with_slopes(a: Tensor, b: Tensor) -> Tensor:
    """(k, d, r) covariance of values at ``a`` with gradients at ``b``: the derivative of `_of_values`."""
    _, angle = _angles(a, b)
    straight = (b / b.norm(dim=1, keepdim=True))[:, :-1]
    turned = (a.norm(dim=1)[:, None] * angle.sin())[..., None] * straight
    found: Tensor = (turned + (math.pi - angle)[..., None] * a[:, None, :-1]) / math.pi
    return found


def _of_slopes(a: Tensor) -> Tensor:
    """(d, d, r, r) covariance of gradients: the second derivative of `_of_values`.

    Of random rectifiers those count that are on at both points; in the plane of the two their directions lie
    in a wedge about the bisector.
    """
    _, angle = _angles(a, a)
    straight = (a / a.norm(dim=1, keepdim=True))[:, :-1]
    both, apart = straight[:, None] + straight[None], straight[:, None] - straight[None]
    eye = torch.eye(both.shape[2], dtype=a.dtype)
    along = (angle.sin() / (2 + 2 * angle.cos()).clamp(min=1e-9))[..., None, None]
    across = (angle.sin() / (2 - 2 * angle.cos()).clamp(min=1e-9))[..., None, None]
    wedge = (
        along * both[..., :, None] * both[..., None, :] - across * apart[..., :, None] * apart[..., None, :]
    )
    found: Tensor = ((math.pi - angle)[..., None, None] * eye + wedge) / math.pi
    return found


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
