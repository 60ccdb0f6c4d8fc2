"""What of a session fits into the time there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.errors import ConfigurationError

_ROUNDING = 1e-9


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

    Examples
    --------
    The published session, 150 units with two images at nine shifts, in 90 and in 60 minutes:

    >>> centred = [2 * units for units in range(151)]
    >>> fit(centred, 2700, repeats=20, trial_s=0.9, minutes=90)
    Kept(units=150, shifted=False, repeats=20)
    >>> fit(centred, 2700, repeats=20, trial_s=0.9, minutes=60, min_repeats=10)
    Kept(units=150, shifted=False, repeats=13)
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
        one = f", one unit {centred[1] - centred[0]} more; expected room for both" if n_units else ""
        raise ConfigurationError(
            f"{minutes:g} min hold {room(least)} images × {least} repeats; oracle images and blanks alone "
            f"take {centred[0]}{one or '; expected room for them'}; give more time"
        )
    return Kept(units, False, least)
