"""Simulated V1 cells: a pair of filters each, from simple to complex, with answers in closed form."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, rfft2

from inception_loop.pictures.gabor import gabor_bank

HEIGHT, WIDTH = 36, 64
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Cells on a continuum from a rectified filter to the energy of a quadrature pair.

    With ``z`` the image in contrast units, ``e = even·z`` and ``o = odd·z`` the response is

    ``baseline + simple · softness · log(1 + exp((e − threshold)/softness)) + complex · sqrt(e² + o²)``.

    The filters are zero-mean, orthogonal and of unit norm. So among images of norm ``r`` neither ``e`` nor
    the root of the energy exceeds ``r``, and ``z = r · even`` reaches both: the best image needs no search.

    Attributes
    ----------
    cell_id : (N,) int64, identity over days
    kind : (N,) "simple", "complex", "mixed" or "unresponsive"
    complexity : (N,) 0 simple … 1 complex; NaN for unresponsive cells
    rf_x, rf_y : (N,) centre of the receptive field, px
    wavelength, orientation, phase, sigma : (N,) px, rad, rad, px
    even, odd : (N, 36·64) float32
    baseline, simple, complex, threshold, softness : (N,)
    fano : (N,) variance of the trial noise over the conditional mean
    gain_pupil, gain_running, log_gain : (N,) log gain = gain_pupil·pupil + gain_running·running + log_gain,
        behaviour in s.d., pupil centred
    """

    cell_id: npt.NDArray[np.int64]
    kind: npt.NDArray[np.str_]
    complexity: Floats
    rf_x: Floats
    rf_y: Floats
    wavelength: Floats
    orientation: Floats
    phase: Floats
    sigma: Floats
    even: npt.NDArray[np.float32]
    odd: npt.NDArray[np.float32]
    baseline: Floats
    simple: Floats
    complex: Floats
    threshold: Floats
    softness: Floats
    fano: Floats
    gain_pupil: Floats
    gain_running: Floats
    log_gain: Floats

    def __len__(self) -> int:
        return len(self.cell_id)

    def take(self, rows: npt.NDArray[np.int64]) -> Cells:
        """Return some cells, in the order given."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def join(self, other: Cells) -> Cells:
        """Return these cells followed by others."""
        return replace(
            self,
            **{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)},
        )

    def response(self, contrast: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return baseline + drive, (K, N) float32, for images (K, 36·64) in contrast units."""
        e, o = contrast @ self.even.T, contrast @ self.odd.T
        drive: npt.NDArray[np.float32] = self.read(e, np.hypot(e, o)).astype(np.float32)
        return drive

    def maximum(self, norm: float) -> Floats:
        """Return the largest response, (N,), over all images of L2 norm ``norm`` in contrast units."""
        r = np.where(self.kind == "unresponsive", 0.0, norm)
        return self.read(r, r)

    def read(self, even: npt.NDArray[np.floating], energy: npt.NDArray[np.floating]) -> Floats:
        """Return the response to filter outputs: even filter and root of the energy, (K, N) each."""
        rectified = self.softness * np.logaddexp(0, (even - self.threshold) / self.softness)
        return np.asarray(self.baseline + self.simple * rectified + self.complex * energy, dtype=np.float64)


def quadrature(
    rf_x: Floats, rf_y: Floats, wavelength: Floats, orientation: Floats, phase: Floats, sigma: Floats
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return pairs of Gabors, 90° apart, made exactly zero-mean, orthogonal and of unit norm.

    Parameters
    ----------
    rf_x, rf_y, wavelength, orientation, phase, sigma : (N,)
        px, px, px, rad, rad, px.

    Returns
    -------
    even, odd : (N, 36·64) float32
        ``even`` has the phase asked for. The mean is removed under the envelope, so the pair stays local.

    Examples
    --------
    >>> one = [np.array([v]) for v in (30.0, 18.0, 9.0, 0.3, 0.0, 3.0)]
    >>> even, odd = quadrature(*one)
    >>> bool(abs(even @ odd.T)[0, 0] < 1e-6), bool(abs(even.sum()) < 1e-4)
    (True, True)
    """
    shape = (HEIGHT, WIDTH, rf_x, rf_y)
    envelope = gabor_bank(*shape, np.full_like(rf_x, 1e9), orientation, np.zeros_like(rf_x), sigma)
    pair = []
    for shift in (0.0, -np.pi / 2):
        g = gabor_bank(*shape, wavelength, orientation, phase + shift, sigma)
        g -= envelope * (g.sum(axis=(1, 2)) / envelope.sum(axis=(1, 2)))[:, None, None]
        pair.append(_unit(g.reshape(len(rf_x), -1)))
    even, odd = pair
    odd = _unit(odd - even * (even * odd).sum(axis=1, keepdims=True))
    return even.astype(np.float32), odd.astype(np.float32)


def _unit(filters: Floats) -> Floats:
    return np.asarray(filters / np.linalg.norm(filters, axis=1, keepdims=True), dtype=np.float64)


def shift_images(images: npt.NDArray[np.float32], shift_px: Floats) -> npt.NDArray[np.float32]:
    """Return images as cells see them whose receptive fields have moved by ``shift_px``.

    A receptive field displaced by (dx, dy) reads what stood dx to the right and dy further down. The
    interpolation is the band-limited one (a phase ramp on the Fourier transform), which for the smooth,
    interior filters of the cells equals moving the filter itself.

    Parameters
    ----------
    images : (K, 36, 64) float32
    shift_px : (K, 2) float64, (x, y) in px

    Examples
    --------
    >>> image = np.arange(36 * 64, dtype=np.float32).reshape(1, 36, 64)
    >>> moved = shift_images(image, np.array([[2.0, 1.0]]))
    >>> bool(np.allclose(moved[0, 5, 5], image[0, 6, 7], atol=0.01))
    True
    """
    fx, fy = np.fft.rfftfreq(WIDTH), np.fft.fftfreq(HEIGHT)
    across = np.exp(2j * np.pi * shift_px[:, 0, None] * fx).astype(np.complex64)
    down = np.exp(2j * np.pi * shift_px[:, 1, None] * fy).astype(np.complex64)
    spectrum = rfft2(images)
    spectrum *= across[:, None, :]
    spectrum *= down[:, :, None]
    moved: npt.NDArray[np.float32] = irfft2(spectrum, s=(HEIGHT, WIDTH))
    return moved
