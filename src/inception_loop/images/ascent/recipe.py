"""How a configured procedure becomes the pieces of an ascent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inception_loop.images.ascent.ascend import Schedule, Transform
from inception_loop.images.ascent.constraints import AtMostContrast, FixedContrastInRange, GreyRange
from inception_loop.images.ascent.procedure import AnyProcedure, Fast, PublishedBlur, PublishedContrast
from inception_loop.images.ascent.smoothing import BlurRamp, GaussianSmoothing, OneOverF
from inception_loop.images.ascent.steps import MeanAbsoluteStep, Ramp, RmsStep


@dataclass(frozen=True)
class Recipe:
    """A procedure made ready for a model: the constraint and the schedule of `ascend`.

    ``trial`` is the schedule by which one of ``starts`` noises is chosen; None: there is one only.
    """

    constraint: Transform
    schedule: Schedule
    starts: int = 1
    trial: Schedule | None = None


def recipe(procedure: AnyProcedure, image_mean: float, image_std: float) -> Recipe:
    """Turn a procedure into the pieces of an ascent on grey pixels.

    Parameters
    ----------
    procedure
        One of the presets, or a variation of it.
    image_mean, image_std : grey levels
        Pixel statistics of the training images: the published step sizes are in units of ``image_std``, the
        published contrast limit is taken about ``image_mean``.

    Examples
    --------
    >>> recipe(PublishedBlur(), 113.0, 51.0).schedule.iterations
    1000
    """
    if isinstance(procedure, Fast):
        return _fast(procedure, image_mean)
    unit = procedure.step_gain * image_std / 255
    schedule = Schedule(
        procedure.iterations,
        MeanAbsoluteStep(Ramp(procedure.step_size_start * unit, procedure.step_size_end * unit)),
        precondition=OneOverF(procedure.precondition) if procedure.precondition > 0 else None,
        blur=BlurRamp(Ramp(procedure.blur_start, procedure.blur_end))
        if isinstance(procedure, PublishedBlur)
        else None,
        present=AtMostContrast(procedure.max_contrast, image_mean)
        if isinstance(procedure, PublishedContrast)
        else None,
    )
    return Recipe(GreyRange(), schedule)


def _fast(procedure: Fast, image_mean: float) -> Recipe:
    mean = image_mean if procedure.mean is None else procedure.mean
    first, last = (share * procedure.contrast for share in (procedure.step_start, procedure.step_end))
    schedule = Schedule(
        procedure.iterations,
        RmsStep(Ramp(first, last)),
        precondition=GaussianSmoothing(procedure.smoothing) if procedure.smoothing > 0 else None,
        patience=procedure.patience,
        tolerance=procedure.tolerance,
        halvings=procedure.halvings,
    )
    trial = replace(
        schedule, iterations=procedure.trial_steps, step=RmsStep(Ramp(first, first / 2)), patience=None
    )
    several = procedure.starts > 1
    return Recipe(
        FixedContrastInRange(mean, procedure.contrast),
        schedule,
        starts=procedure.starts,
        trial=trial if several else None,
    )
