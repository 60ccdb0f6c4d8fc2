"""The ways to make a best image, as configurations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config


class Start(Config):
    """White noise to start from."""

    mean: float = Field(default=128.0, ge=0, le=255, description="Mean of the noise, grey levels.")
    std: float = Field(default=8.0, gt=0, description="Standard deviation of the noise, grey levels.")


class _Published(Config):
    """What both published variants share (Walker et al. 2019).

    Corrected: the noise has a seed; the 1/f filter is symmetric (the published one is one index off for
    negative frequencies, a correlation of 0.9999 with this); the mean of |g| is taken over each image and not
    over the batch, and has nothing added to it, so that neither a neighbour nor the scale of a gradient
    matters; the best image is kept, not the last.
    """

    iterations: int = Field(default=1000, ge=1, description="Gradient steps.")
    step_size_start: float = Field(default=3.0, gt=0, description="Step size at the first step.")
    step_size_end: float = Field(default=0.125, gt=0, description="Step size towards the last step.")
    step_gain: float = Field(
        default=0.1,
        gt=0,
        description="The mean absolute change of a step is size · gain · (image std / 255) grey levels.",
    )
    precondition: float = Field(
        default=0.1, ge=0, description="Exponent of the 1/f filter of the gradient, on the squared frequency."
    )
    start: Start = Field(default=Start(), description="The noise to start from.")


class PublishedBlur(_Published):
    """Published variant 1, the one of the closed loop: the image is blurred after each step, ever less.

    Step and σ of iteration i of n are those at i/n, so the end values are never quite reached; the blur comes
    after the clipping. Its last σ, 0.01 px, leaves every pixel as it is: the final image is not blurred.
    """

    type: Literal["published_blur"] = "published_blur"
    blur_start: float = Field(default=1.5, ge=0, description="σ of the blur after the first step, px.")
    blur_end: float = Field(default=0.01, ge=0, description="σ of the blur towards the last step, px.")


class PublishedContrast(_Published):
    """Published variant 2: no blur; the network sees the image at a contrast of at most ``max_contrast``.

    The limit is differentiated through. Corrected: what the network saw is what is kept, whereas the
    published image is the one before the limit; the contrast is the RMS (ddof 0), 0.02 % below the published
    s.d.
    """

    type: Literal["published_contrast"] = "published_contrast"
    max_contrast: float = Field(default=11.0, gt=0, description="Largest RMS contrast shown, grey levels.")


class Fast(Config):
    """Few normalised steps along a smoothed gradient, at a fixed mean and RMS contrast within the grey range.

    All images share their first two moments by construction, so they can be compared as they are.
    They are never blurred. A unit may have several best images of which most are none, such as the negative
    of the best: of ``starts`` noises each goes a few steps, and the best of them all the way.
    """

    type: Literal["fast"] = "fast"
    iterations: int = Field(default=100, ge=1, description="Gradient steps at most.")
    mean: float | None = Field(
        default=None,
        gt=0,
        lt=255,
        description="Mean of every image, grey levels; none: that of the training pixels.",
    )
    contrast: float = Field(default=8.0, gt=0, description="RMS contrast of every image, grey levels.")
    smoothing: float = Field(default=0.7, ge=0, description="σ of the blur of the gradient, px.")
    step_start: float = Field(default=0.5, gt=0, description="RMS change of the first step, in contrasts.")
    step_end: float = Field(default=0.03, gt=0, description="RMS change towards the last step, in contrasts.")
    patience: int = Field(
        default=5, ge=1, description="Iterations without progress after which a unit has stalled."
    )
    tolerance: float = Field(
        default=1e-3, ge=0, description="Relative rise of the best score that is progress."
    )
    halvings: int = Field(
        default=3, ge=0, description="How often a unit without progress goes on with half its step."
    )
    starts: int = Field(
        default=2, ge=1, description="Noises to try; every second one is the negative of the one before."
    )
    trial_steps: int = Field(default=5, ge=1, description="Gradient steps by which a start is judged.")
    start: Start = Field(default=Start(), description="The noise to start from.")


AnyProcedure = PublishedBlur | PublishedContrast | Fast
Procedure = Annotated[AnyProcedure, Field(discriminator="type")]
