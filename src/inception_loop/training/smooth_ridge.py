"""Linear receptive fields from responses alone: spike-triggered average and smooth ridge regression."""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

from inception_loop.errors import DataError
from inception_loop.training.scores import Doubles, Floats


def spike_triggered_average(images: Floats, responses: Floats) -> Doubles:
    """Average the images by the responses to them, minus their plain average.

    For Gaussian white images this is proportional to a linear-nonlinear cell's filter (Chichilnisky 2001);
    the correlations of natural images blur it.

    Parameters
    ----------
    images
        (T, H, W) what was shown in each trial.
    responses
        (T, N).

    Returns
    -------
    ndarray
        (N, H, W) float64, unit of the images; 0 for units whose responses do not sum to more than 0.

    Examples
    --------
    >>> images = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> spike_triggered_average(images, np.array([[3.0], [1.0]])).tolist()
    [[[0.25, -0.25]]]
    """
    y = np.asarray(responses, np.float64)
    total = y.sum(0)
    weights = np.where(total > 0, y / np.where(total > 0, total, 1.0), 1 / len(y))
    weights -= 1 / len(y)  # the average of the images is taken off
    average = weights.T @ np.asarray(images, np.float64).reshape(len(y), -1)
    return average.reshape(-1, *images.shape[1:])


class SmoothRidge:
    """Ridge regression of all units on the same images, from one decomposition.

    Minimises, for centred images x and responses y, the mean over trials of ``(y - w·x)²`` plus
    ``strength · v · (|w|² + smoothness · |∇²w|²)``, with v the mean variance of a pixel. The Laplacian ∇²
    reflects at the image's border, so that the cosine transform diagonalises the penalty: in its scaled
    coefficients this is ordinary ridge regression, and the eigenvectors of the smaller Gram matrix give every
    strength at once.

    Parameters
    ----------
    images
        (T, H, W) training images, one a trial.
    smoothness
        0 for plain ridge regression.

    Raises
    ------
    DataError
        If there are fewer than 2 trials or all images are the same.
    """

    def __init__(self, images: Floats, smoothness: float = 0.0) -> None:
        if len(images) < 2 or not np.ptp(images, axis=0).any():
            raise DataError(
                f"{len(images)} images that do not differ cannot be regressed on; expected at least 2 that do"
            )
        self.mean = np.asarray(images.mean(0, dtype=np.float64))
        self._scale = _prior_scale(self.mean.shape, smoothness)
        x = self._scaled(images)
        self._unit = len(x) * float(np.mean(images.var(0, dtype=np.float64)))
        self._square, self._axes = _decompose(x)
        self.coordinates = x @ self._axes
        """(T, k) training images in the eigenvectors' coordinates."""

    def project(self, images: Floats) -> Doubles:
        """(B, H, W) images → (B, k) coordinates."""
        return np.asarray(self._scaled(images) @ self._axes)

    def moments(self, responses: Floats) -> Doubles:
        """(T, U) training responses → (k, U) what every solution is made of."""
        y = np.asarray(responses, np.float64)
        return np.asarray(self.coordinates.T @ (y - y.mean(0)))

    def solve(self, moments: Doubles, strength: float | Doubles) -> Doubles:
        """(k, U) moments, one strength or (U,) of them → (k, U) coefficients; coordinates @ these predict."""
        return np.asarray(moments / (self._square[:, None] + self._unit * np.asarray(strength)), np.float64)

    def filters(self, coefficients: Doubles) -> Doubles:
        """(k, U) coefficients → (U, H, W) filters, to be applied to images minus ``mean``."""
        spectra = (self._axes @ coefficients).T.reshape(-1, *self.mean.shape) * self._scale
        return np.asarray(idctn(spectra, axes=(1, 2), norm="ortho"))

    def _scaled(self, images: Floats) -> Doubles:
        spectra = dctn(np.asarray(images, np.float64) - self.mean, axes=(1, 2), norm="ortho")
        return np.asarray((spectra * self._scale).reshape(len(images), -1))


def _prior_scale(size: tuple[int, ...], smoothness: float) -> Doubles:
    """(H, W) root of the variance that the penalty leaves each cosine coefficient of a filter."""
    y, x = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in size)  # eigenvalues of the Laplacian
    return np.asarray(1 / np.sqrt(1 + smoothness * (y[:, None] + x) ** 2))


def _decompose(x: Doubles) -> tuple[Doubles, Doubles]:
    """Squared singular values (k,) and right singular vectors (P, k) of x (T, P), none of mere rounding."""
    wide = len(x) < x.shape[1]
    square, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = square > square[-1] * max(x.shape) * np.finfo(np.float64).eps
    square, vectors = square[kept], vectors[:, kept]
    return square, (x.T @ vectors) / np.sqrt(square) if wide else vectors
