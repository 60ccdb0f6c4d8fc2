"""How fast a training goes, and how long it may still take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Says the rate and the time left after every epoch.

    Parameters
    ----------
    epochs
        Most epochs there will be.
    clock
        Seconds that only go forward.

    Examples
    --------
    >>> seconds = iter([0.0, 2.0])
    >>> pace = Pace(epochs=100, clock=lambda: next(seconds))
    >>> pace.after(0, 0), pace.after(1, 500)
    ('', ', 250 images/s, ≤ 3.3 min left')
    """

    def __init__(self, epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._epochs = epochs
        self._clock = clock
        self._began: tuple[int, float] | None = None
        self._epoch = self._images = 0

    def after(self, epoch: int, images: int) -> str:
        """Return rate and time left after an epoch; nothing after the first that is told of.

        Parameters
        ----------
        epoch
            The epoch that ended; one that was told of already begins anew.
        images
            Images that were learnt from in it, those of all networks together.
        """
        now = self._clock()
        if self._began is None or epoch <= self._epoch:
            self._began, self._epoch, self._images = (epoch, now), epoch, 0
            return ""
        self._epoch = epoch
        self._images += images
        seconds = max(now - self._began[1], 1e-9)
        left = seconds / (epoch - self._began[0]) * (self._epochs - epoch)
        return f", {self._images / seconds:,.0f} images/s, ≤ {duration(left)} left"


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    Examples
    --------
    >>> duration(8), duration(100), duration(9000)
    ('8 s', '1.7 min', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
