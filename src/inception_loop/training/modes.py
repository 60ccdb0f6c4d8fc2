"""What an evaluated network is told of eye and behaviour: nothing, the training mean, or the trial's own.

The one definition of these modes: predictions and scores of trials take all three; images, which belong to no
trial, are made with an input left out or held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Held = Literal["none", "training_mean"]
"""What an input is held at where there is no trial: left out, or its mean over the training trials."""

Mode = Literal["none", "training_mean", "recorded"]
"""The same, or as recorded in each trial."""


def held(mode: Mode, mean: Sequence[float] | None, device: torch.device | str) -> Tensor | None:
    """Return what an input is held at.

    Parameters
    ----------
    mode
        See `Mode`.
    mean
        Normalised training mean of each channel; None where the input was never recorded.
    device
        Of the result.

    Returns
    -------
    Tensor
        (1, channels) float32; None where the input is left out, was never recorded, or changes by the trial.
    """
    if mode != "training_mean" or mean is None:
        return None
    return torch.tensor([list(mean)], dtype=torch.float32, device=device)


def told(mode: Mode, value: Tensor | None, recorded: Tensor | None, trials: int) -> Tensor | None:
    """Return what a network is told in some trials: (trials, channels), or None where the input stays out.

    Parameters
    ----------
    mode
        See `Mode`.
    value
        (1, channels) of `held`.
    recorded
        (trials, channels) as recorded, normalised; counts in mode ``"recorded"`` alone.
    trials
        How many.

    Examples
    --------
    >>> mean, own = torch.zeros(1, 2), torch.ones(3, 2)
    >>> told("training_mean", mean, own, 3).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    >>> told("recorded", None, own, 3) is own, told("none", None, own, 3)
    (True, None)
    """
    if mode == "recorded":
        return recorded
    return None if value is None else value.expand(trials, -1)
