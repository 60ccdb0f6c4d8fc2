"""Configuration of the simulated animal."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inception_loop.animals.behavior import BehaviorConfig
from inception_loop.animals.cortex import CortexConfig
from inception_loop.animals.rig import RigConfig
from inception_loop.artifacts.identity import Config


class SimulatedConfig(Config):
    """A simulated animal. Lengths in px of the 36×64 image that it sees."""

    type: Literal["simulated"] = "simulated"
    animal_id: int = Field(default=1, ge=0, description="Number of the animal.")
    seed: int = Field(default=1, ge=0, description="Seed of cells, places, days and noise.")
    n_units: int = Field(default=420, ge=4, description="Cells found on the first day.")
    unresponsive: float = Field(default=0.15, ge=0, lt=1, description="Share of cells that ignore the image.")
    pure_simple: float = Field(default=0.2, ge=0, lt=1, description="Share of cells of complexity 0.")
    pure_complex: float = Field(default=0.2, ge=0, lt=1, description="Share of cells of complexity 1.")
    rf_x: tuple[float, float] = Field(
        default=(12.0, 51.0), description="Range of receptive-field centres, px."
    )
    rf_y: tuple[float, float] = Field(
        default=(11.5, 23.5), description="Range of receptive-field centres, px."
    )
    wavelength: tuple[float, float] = Field(
        default=(7.5, 13.0), description="Range of the filters' period, px."
    )
    sigma_per_wavelength: tuple[float, float] = Field(
        default=(0.3, 0.4), description="Range of the envelope's s.d. over the period."
    )
    threshold: float = Field(
        default=0.3, description="Threshold of the rectifier in s.d. of the filter's output."
    )
    softness: float = Field(default=0.3, gt=0, description="Softness of the rectifier in the same s.d.")
    mean_grey: float = Field(default=128.0, ge=0, le=255, description="Grey level of zero contrast.")
    contrast_grey: float = Field(default=50.0, gt=0, description="Grey levels of one unit of contrast.")
    baseline: tuple[float, float] = Field(
        default=(0.1, 0.4),
        description="Range of the response to grey in s.d. of the drive over natural images.",
    )
    scale: tuple[float, float] = Field(
        default=(0.6, 1.6), description="Range of the drive's s.d., response units."
    )
    snr: tuple[float, float] = Field(
        default=(0.6, 1.6), description="Range of S/V aimed at over natural images; V holds gain and eye too."
    )
    least_fano: float = Field(
        default=0.05, gt=0, description="Least trial-noise variance over the mean response."
    )
    gain_pupil: tuple[float, float] = Field(
        default=(0.16, 0.06), description="Mean and s.d. over cells of the log gain, per s.d. of the pupil."
    )
    gain_running: tuple[float, float] = Field(
        default=(0.1, 0.05), description="Mean and s.d. over cells of the log gain, per s.d. of running."
    )
    shift_px: tuple[float, float] = Field(
        default=(1.0, 0.7), description="S.d. of the eye's shift (x, y), px."
    )
    shift_limit_px: float = Field(default=3.5, gt=0, description="Largest shift per axis (tanh), px.")
    rig: RigConfig = RigConfig()
    behavior: BehaviorConfig = BehaviorConfig()
    cortex: CortexConfig = CortexConfig()
