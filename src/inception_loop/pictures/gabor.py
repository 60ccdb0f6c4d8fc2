"""Gabor patches: a plane wave under a round Gaussian."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.errors import ConfigurationError


def gabor(
    height: int,
    width: int,
    *,
    center_x: float,
    center_y: float,
    wavelength: float,
    orientation: float,
    phase: float,
    sigma: float,
) -> npt.NDArray[np.float64]:
    """Return a Gabor patch of peak amplitude 1 (not normalised, not exactly zero-mean).

    ``exp(-d²/2σ²) · cos(2π u/λ + phase)`` where ``d`` is the distance from the centre and ``u`` the
    coordinate across the stripes. Stripes of orientation 0 are vertical (``u`` runs along x); the angle
    grows towards positive y, which points down.

    Parameters
    ----------
    height, width : int
        Size of the image in px.
    center_x, center_y : float
        Centre in px; (0, 0) is the centre of the top-left pixel.
    wavelength, sigma : float
        Period of the wave and s.d. of the envelope in px, both positive.
    orientation, phase : float
        In rad. Phase 0 is even about the centre, phase -π/2 is odd.

    Returns
    -------
    (height, width) float64 array.

    Raises
    ------
    ConfigurationError
        If wavelength or sigma is not positive.

    Examples
    --------
    >>> patch = gabor(5, 7, center_x=3, center_y=2, wavelength=4, orientation=0, phase=0, sigma=2)
    >>> patch.shape, float(patch[2, 3]), bool(patch[2, 5] < 0)
    ((5, 7), 1.0, True)
    """
    if wavelength <= 0 or sigma <= 0:
        raise ConfigurationError(
            f"gabor got wavelength {wavelength} and sigma {sigma}; expected both above 0 px"
        )
    return gabor_bank(height, width, center_x, center_y, wavelength, orientation, phase, sigma)


def gabor_bank(
    height: int,
    width: int,
    center_x: Any,
    center_y: Any,
    wavelength: Any,
    orientation: Any,
    phase: Any,
    sigma: Any,
) -> npt.NDArray[np.float64]:
    """Return Gabors for parameters that broadcast to a shape (N...): a (N..., height, width) array.

    Same meaning as `gabor`, which is this for scalars.
    """
    x = np.arange(width)[None, :] - np.asarray(center_x, dtype=float)[..., None, None]
    y = np.arange(height)[:, None] - np.asarray(center_y, dtype=float)[..., None, None]
    angle, lam, phi, s = (
        np.asarray(p, dtype=float)[..., None, None] for p in (orientation, wavelength, phase, sigma)
    )
    across = x * np.cos(angle) + y * np.sin(angle)
    patch: npt.NDArray[np.float64] = np.exp(-(x**2 + y**2) / (2 * s**2)) * np.cos(
        2 * np.pi * across / lam + phi
    )
    return patch
