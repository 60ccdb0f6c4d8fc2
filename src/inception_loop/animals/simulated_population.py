"""The cells that a scan of the simulated animal finds on one day, and how eye and behaviour change them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.animals.behavior import Norms, TrialBehavior, reference_behavior
from inception_loop.animals.cells import HEIGHT, WIDTH, Cells, shift_images
from inception_loop.animals.cortex import Places
from inception_loop.animals.population import Float32s, Floats
from inception_loop.animals.simulated_config import SimulatedConfig
from inception_loop.animals.truth import PARAMETERS

CHUNK = 512  # images at a time


@dataclass(frozen=True)
class SimulatedPopulation:
    """The cells of one day; see `Population`."""

    config: SimulatedConfig
    cells: Cells
    places: Places
    evaluations: int = 16_000

    @property
    def cell_id(self) -> npt.NDArray[np.int64]:
        """(N,) identity over days."""
        return self.cells.cell_id

    @property
    def fano(self) -> Floats:
        """(N,) noise variance over mean."""
        return self.cells.fano

    def respond(self, images: Float32s) -> Float32s:
        """Return baseline + drive (K, N) for images (K, 36, 64) in grey levels."""
        contrast = (images.astype(np.float32) - self.config.mean_grey) / self.config.contrast_grey
        return self.cells.response(contrast.reshape(len(images), -1))

    def expected(self, images: Float32s, rows: npt.NDArray[np.int64], behavior: TrialBehavior) -> Float32s:
        """Return gain × response to the image as the shifted receptive fields see it, (T, N)."""
        gain, shift = self.gain(behavior), self.shift_px(behavior)
        for a in range(0, len(rows), CHUNK):
            part = slice(a, a + CHUNK)
            gain[part] *= self.respond(shift_images(images[rows[part]], shift[part].astype(np.float64)))
        return gain

    def gain(self, behavior: TrialBehavior) -> Float32s:
        """Return the factor (T, N) on the whole response."""
        gain: Float32s = np.exp(log_gain(self.cells, behavior, self._norms)).astype(np.float32)
        return gain

    def shift_px(self, behavior: TrialBehavior) -> Float32s:
        """Return the shift (T, 2) of the receptive fields, px: a saturating map of the pupil's centre."""
        return shift_of_eye(self.config, behavior, self._norms)

    @property
    def _norms(self) -> Norms:
        return reference_behavior(self.config.behavior)[1]

    def describe(self) -> pl.DataFrame:
        """Return the cells' parameters, one row each."""
        kind = pl.Series("kind", self.cells.kind.tolist(), dtype=pl.String)
        return pl.DataFrame({name: getattr(self.cells, name) for name in PARAMETERS}).insert_column(1, kind)

    def filters(self) -> tuple[Float32s, Float32s]:
        """Return filters (N, 2, 36, 64) and best images (N, 36, 64)."""
        n = len(self.cells)
        driven = (self.cells.kind != "unresponsive")[:, None]
        even = np.where(driven, self.cells.even, 0).astype(np.float32)
        odd = np.where(driven & (self.cells.complex > 0)[:, None], self.cells.odd, 0).astype(np.float32)
        pair = np.stack([even, odd], axis=1).reshape(n, 2, HEIGHT, WIDTH)
        return pair, even.reshape(n, HEIGHT, WIDTH)


def log_gain(cells: Cells, behavior: TrialBehavior, norms: Norms) -> Floats:
    """Return the log gain (T, N): linear in pupil size and running."""
    pupil = (behavior.pupil - norms.pupil[0]) / norms.pupil[1]
    running = behavior.running / norms.running[1]
    return np.asarray(
        pupil[:, None] * cells.gain_pupil + running[:, None] * cells.gain_running + cells.log_gain,
        dtype=np.float64,
    )


def shift_of_eye(config: SimulatedConfig, behavior: TrialBehavior, norms: Norms) -> Float32s:
    """Return the shift (T, 2) in px: the z-scored pupil centre, slightly rotated, through a wide tanh."""
    x = (behavior.center_x - norms.center_x[0]) / norms.center_x[1]
    y = (behavior.center_y - norms.center_y[0]) / norms.center_y[1]
    sd = config.shift_px
    mixed = np.stack([sd[0] * (0.98 * x - 0.2 * y), sd[1] * (0.2 * x + 0.98 * y)], axis=1)
    limit = config.shift_limit_px
    shift: Float32s = (limit * np.tanh(mixed / limit)).astype(np.float32)
    return shift
