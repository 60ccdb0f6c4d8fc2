"""When to stop: the patience that training has with an objective that no longer rises."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Counts the epochs since the objective last rose by more than the tolerance.

    Parameters
    ----------
    patience
        Epochs without a rise after which it is `exhausted`.
    tolerance
        Least rise that counts.
    best
        Highest objective so far.
    waited
        Epochs since then.

    Examples
    --------
    >>> stopping = EarlyStopping(patience=2, tolerance=0.0, best=0.5)
    >>> [stopping.improves(value) for value in (0.6, 0.6, 0.5)], stopping.exhausted
    ([True, False, False], True)
    """

    patience: int
    tolerance: float
    best: float = -math.inf
    waited: int = 0

    def improves(self, value: float) -> bool:
        """Take the objective of one more epoch; say whether it is the best so far (NaN never is)."""
        if value > self.best + self.tolerance:
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def renew(self) -> None:
        """Begin the next stage: the best stays, the waiting starts again."""
        self.waited = 0
