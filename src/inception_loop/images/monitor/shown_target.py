"""At which mean and contrast images are shown: in grey levels, or in cd/m² of the rig's monitor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config, IntroducedAs


class GreyTarget(Config):
    """Mean and RMS contrast of the bytes that the monitor is sent; any monitor will do."""

    type: Literal["grey"] = "grey"
    mean: float | None = Field(
        None, gt=0, lt=255, description="Grey levels; none: the mean over the images to be alike."
    )
    contrast: float | None = Field(
        None, gt=0, description="RMS, grey levels; none: the mean over the images to be alike."
    )


class LuminanceTarget(Config):
    """Mean and RMS contrast of the light that reaches the animal, by the monitor's calibration."""

    type: Literal["luminance"] = "luminance"
    mean: Annotated[float | None, IntroducedAs(10.0)] = Field(
        None, gt=0, description="cd/m²; none: the mean over the images to be alike."
    )
    contrast: Annotated[float | None, IntroducedAs(2.0)] = Field(
        None, gt=0, description="RMS, cd/m²; none: the mean over the images to be alike."
    )


class AsMade(Config):
    """No target: the images as they were made, rounded to bytes."""

    type: Literal["as_made"] = "as_made"


ShownTarget = Annotated[GreyTarget | LuminanceTarget | AsMade, Field(discriminator="type")]


class BestKnown(Config):
    """In cd/m² where the rig's monitor was measured, else in grey levels: as the MEIs are on average."""

    type: Literal["best_known"] = "best_known"

    def resolved(self, measured: bool) -> GreyTarget | LuminanceTarget:
        """Return the target that this is, on a monitor that was measured or on another one."""
        return LuminanceTarget() if measured else GreyTarget()


AskedTarget = Annotated[BestKnown | GreyTarget | LuminanceTarget | AsMade, Field(discriminator="type")]
"""What a stage is asked for, before it is known whether there is a calibration."""

PUBLISHED = (
    (LuminanceTarget(mean=10, contrast=2), 4),
    (LuminanceTarget(mean=16, contrast=1.5), 4),
    (LuminanceTarget(mean=13, contrast=1.8), 4),
    (LuminanceTarget(mean=16, contrast=2), 4),
    (LuminanceTarget(mean=10, contrast=1.5), 4),
    (LuminanceTarget(mean=10, contrast=1.2), 4),
)
"""Targets and zoom of the six published configurations, by their number (Walker et al. 2019 used 0)."""
