"""From where on a number is a sign of trouble, and why."""

from __future__ import annotations

from pydantic import Field

from inception_loop.artifacts.identity import Config


class Limits(Config):
    """Where a number begins to need a look, and where it makes a recording bad; none: never."""

    warn: float | None = Field(None, description="From beyond here on: look at it.")
    bad: float | None = Field(None, description="From beyond here on: the recording is bad.")


class QualityRules(Config):
    """Thresholds of a dataset report.

    Recordings of mouse visual cortex with two photons, images of half a second and a few thousand trials are
    what they were chosen for; the reason for each stands with it.

    Examples
    --------
    >>> QualityRules().eye_tracked.bad
    0.5
    """

    training_trials: Limits = Field(
        Limits(warn=500, bad=100),
        description="Fewer trials of tier train. Published networks learnt from about 5,000 (Walker et al. "
        "2019); a network reads thousands of weights from them.",
    )
    trials_lost: Limits = Field(
        Limits(warn=0.05, bad=0.2),
        description="Larger share of trials lost to flips, the ends of the recording or lost frames; not of "
        "those left out on purpose. A sound rig loses a handful of thousands.",
    )
    validation_trials: Limits = Field(
        Limits(warn=50, bad=1),
        description="Fewer used trials of tier validation. With none, early stopping has nothing to stop by; "
        "a correlation over fifty trials is uncertain by 0.14.",
    )
    test_trials: Limits = Field(
        Limits(warn=1),
        description="Fewer used trials of tier test: without any, networks can be trained but not tested.",
    )
    eye_tracked: Limits = Field(
        Limits(warn=0.8, bad=0.5),
        description="Smaller share of trials with an eye. Blinks and grooming cost up to a tenth; below "
        "half, most of what was recorded is dropped.",
    )
    pupil_change: Limits = Field(
        Limits(warn=0.02, bad=0.005),
        description="Smaller s.d. of the pupil's radius, relative to its mean. Pupils of awake mice vary by "
        "a tenth and more; a stuck fit or a frozen camera does not.",
    )
    gaze_change: Limits = Field(
        Limits(warn=0.01, bad=0.001),
        description="Smaller s.d. of the pupil's centre in the direction in which it moves less, relative to "
        "the mean radius. A centre that was tracked moves, if only by the noise of the fit.",
    )
    running_tracked: Limits = Field(
        Limits(warn=0.95, bad=0.5),
        description="Smaller share of trials with running. A wheel's encoder has no reason to lose any.",
    )
    top_speed: Limits = Field(
        Limits(warn=0.1),
        description="Smaller highest speed, cm/s: a wheel that never turned in a whole session.",
    )
    frames_missing: Limits = Field(
        Limits(warn=0.005, bad=0.05),
        description="Larger share of the session in which the scanner's clock has no frames.",
    )
    samples_filled: Limits = Field(
        Limits(warn=0.01, bad=0.05),
        description="Larger share of trace samples that were lost and interpolated.",
    )
    silent_units: Limits = Field(
        Limits(warn=0.05, bad=0.2),
        description="Larger share of units that answer the same to every trial. A few masks hold no cell; a "
        "fifth means that the segmentation or the deconvolution failed.",
    )
    dropout: Limits = Field(
        Limits(warn=0.0, bad=0.1),
        description="Larger share of the session in which responses vary by less than a fifth of what is "
        "usual.",
    )
    drift: Limits = Field(
        Limits(warn=0.3, bad=0.5),
        description="Larger change of the mean response from the first to the last third of the session, "
        "relative to its mean. Arousal alone moves it by up to 0.15 in half an hour; bleaching, drying water "
        "or a brain that sinks move it on and on.",
    )
    lag1: Limits = Field(
        Limits(warn=0.1),
        description="Larger median correlation of successive trials, whatever the reason: traces that are "
        "too slow, a slow state of the animal, a drift. It is never bad by itself: arousal alone brings "
        "sound simulated days to about 0.1.",
    )
    leakage: Limits = Field(
        Limits(warn=0.1, bad=0.2),
        description="Larger correlation of successive trials, beyond that of trials 3 to 5 apart. "
        "A sound simulated day leaks 0.04, and 0.5 where its activity decays with 1.5 s as ΔF/F does.",
    )
    repeated_images: Limits = Field(
        Limits(warn=10),
        description="Fewer test images shown often enough. Without repeats nobody knows how reliable a unit "
        "is, and units cannot be selected; networks can be trained all the same.",
    )
    repeats: int = Field(
        5,
        ge=2,
        description="How often is often enough, for this count and for the oracle; the selection of units "
        "asks the same.",
    )
    oracle: Limits = Field(
        Limits(warn=0.05, bad=0.02),
        description="Smaller median oracle correlation. Good scans reach 0.2; near 0 the units do not answer "
        "to the images at all, most often because images and responses are not aligned.",
    )
    lookalikes: Limits = Field(
        Limits(warn=0.0, bad=0.05),
        description="Larger share of test images that look like an image of another tier: test scores are "
        "too good then.",
    )
    pairs_across_tiers: Limits = Field(
        Limits(warn=0),
        description="More pairs of images of the group that look alike and have different tiers.",
    )
    sources_in_two_tiers: Limits = Field(
        Limits(warn=0),
        description="More photographs of which images of different tiers were cut.",
    )
