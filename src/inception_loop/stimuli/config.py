"""How a stimulus set is shown."""

from __future__ import annotations

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.stimuli.fills import NINE_SHIFTS

__all__ = ["NINE_SHIFTS", "StimulusConfig"]


class StimulusConfig(Config):
    """Repeats, timing, oracle images and blanks of a session."""

    repeats: int = Field(20, ge=1, description="Blocks; each shows every image once.")
    seed: int = Field(1, ge=0, description="Of the order.")
    shown_s: float = Field(0.5, gt=0, description="How long an image is shown, s.")
    gap_s: float = Field(0.4, ge=0, description="Grey between two images, s.")
    min_oracle_repeats: int = Field(
        5, ge=2, description="Images of the source scan shown so often are added."
    )
    max_oracle: int | None = Field(None, ge=0, description="At most so many of them; none: all.")
    oracle_classes: tuple[str, ...] = Field(
        ("imagenet", "natural"), description="Image classes of the source scan that count as natural."
    )
    blanks: int = Field(1, ge=0, description="How often each block shows a uniform image at the target mean.")

    shifts: tuple[tuple[int, int], ...] = Field(
        ((0, 0),), min_length=1, description="Displacements (x, y) of MEIs and RF images, px of the network."
    )
    zoom: int = Field(2, ge=1, description="Side of the square that shows one pixel, px of the rig.")
    mean: float | None = Field(
        None, gt=0, lt=255, description="Mean of every made image, grey levels; none: the mean of the MEIs."
    )
    contrast: float | None = Field(
        None, gt=0, description="RMS contrast of every made image, grey levels; none: the mean over the MEIs."
    )
    match: bool = Field(True, description="Bring made images exactly to mean and contrast before rounding.")
    tolerance: float = Field(
        0.05, gt=0, description="Larger relative misses of mean or contrast are refused."
    )
