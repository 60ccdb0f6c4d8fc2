"""How long a session takes, and what fits into the time there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError

_ROUNDING = 1e-9


class SessionPlan(Config):
    """A session in numbers.

    Examples
    --------
    The published session of 150 units, MEI and RF image at nine shifts, and the same at the centre only:

    >>> full = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
    >>> full.trials, full.minutes / 60
    (54000, 13.5)
    >>> full.model_copy(update={"shifts": 1}).minutes
    90.0
    """

    units: int = Field(ge=0, description="Units that images were made for.")
    images_per_unit: int = Field(ge=0, description="Images of each unit: its MEI and its controls.")
    shifts: int = Field(1, ge=1, description="Displaced copies of each of these images, itself included.")
    others: int = Field(0, ge=0, description="Images made for no unit: oracle images and blanks.")
    repeats: int = Field(ge=1, description="Presentations of each image.")
    shown_s: float = Field(gt=0, description="How long an image is shown, s.")
    gap_s: float = Field(ge=0, description="Grey between two images, s.")

    @property
    def images(self) -> int:
        """Different images."""
        return self.units * self.images_per_unit * self.shifts + self.others

    @property
    def trials(self) -> int:
        """Presentations."""
        return self.images * self.repeats

    @property
    def minutes(self) -> float:
        """Length of the session, minutes."""
        return self.trials * (self.shown_s + self.gap_s) / 60

    def within(self, minutes: float, min_repeats: int | None = None) -> SessionPlan:
        """Return the plan cut to a length: first the shifted copies go, then units from the end of the list.

        Oracle images, blanks and repeats stay: without them cells cannot be matched and means not compared.

        Parameters
        ----------
        minutes
            Length that there is.
        min_repeats
            Before units go, repeats go down to so many; None: repeats stay.

        Raises
        ------
        ConfigurationError
            If not even one unit fits.

        Examples
        --------
        >>> plan = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
        >>> cut = plan.within(60)
        >>> cut.units, cut.shifts, cut.minutes
        (100, 1, 60.0)
        >>> plan.within(60, min_repeats=10).repeats
        13
        """
        kept = fit(
            [self.others + unit * self.images_per_unit for unit in range(self.units + 1)],
            self.images,
            repeats=self.repeats,
            trial_s=self.shown_s + self.gap_s,
            minutes=minutes,
            min_repeats=min_repeats,
        )
        shifts = self.shifts if kept.shifted else 1
        return self.model_copy(update={"units": kept.units, "shifts": shifts, "repeats": kept.repeats})


class Kept(NamedTuple):
    """What fits: how many units from the head of the list, whether shifted copies too, how many repeats."""

    units: int
    shifted: bool
    repeats: int


def fit(
    centred: Sequence[int] | npt.NDArray[np.int64],
    everything: int,
    *,
    repeats: int,
    trial_s: float,
    minutes: float,
    min_repeats: int | None = None,
) -> Kept:
    """Find the most that fits into a length. Given up, in this order: shifted copies, repeats, units.

    Parameters
    ----------
    centred : (U + 1,) int, rising
        Entry u: how many images a block shows for the first u units without shifted copies, those made for
        no unit included.
    everything
        How many images a block of the whole session shows.
    repeats
        Presentations of each image.
    trial_s
        An image and its gap, s.
    minutes
        Length that there is.
    min_repeats
        Repeats may go down to so many before the first unit goes; None: they stay.

    Raises
    ------
    ConfigurationError
        If not even one unit fits (or, without units, not the other images), or a number makes no sense.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise ConfigurationError(f"a session of {minutes:g} min; expected a number above 0")
    least = repeats if min_repeats is None else min_repeats
    if not 1 <= least <= repeats:
        raise ConfigurationError(
            f"at least {least} repeats of a session that has {repeats}; expected 1 to {repeats}"
        )

    def room(repeats: int) -> int:
        return math.floor(minutes * 60 / (trial_s * repeats) + _ROUNDING)

    n_units = len(centred) - 1
    if everything <= room(repeats):
        return Kept(n_units, True, repeats)
    for fewer in range(repeats, least - 1, -1):
        if centred[n_units] <= room(fewer):
            return Kept(n_units, False, fewer)
    units = int(np.searchsorted(np.asarray(centred), room(least), side="right")) - 1
    if units < 1:
        wanted = f"room for one unit's {centred[1] - centred[0]}" if n_units else "room for all of these"
        raise ConfigurationError(
            f"{minutes:g} min hold {room(least)} images × {least} repeats, {centred[0]} of them made "
            f"for no unit; expected {wanted}; give more time"
        )
    return Kept(units, False, least)
