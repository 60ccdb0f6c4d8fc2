"""Contrast tuning of an image: how the activation grows with contrast, up to the clipping limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.ascend import Objective
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import RANGE, gain_limits, rms_contrast

LOWEST_CONTRAST = 0.01  # grey levels, the published start of the sweep
ROUNDING = 1e-5  # a fall below this share of the curve's range is float32 rounding, not tuning

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ContrastTuning:
    """Contrast tuning of each of U images, contrasts in grey levels (standard deviation, ddof 0).

    Attributes
    ----------
    contrasts, activations : (U, G)
        The sweep, rising contrast.
    monotonic : (U,) bool
        Whether the activation never falls.
    max_activation, max_contrast : (U,)
        The highest activation of the sweep and the contrast at which it is reached.
    sat_contrast : (U,)
        Largest contrast about the image's own mean at which no pixel clips: the end of the sweep.
    lim_contrast : (U,)
        Contrast if the image filled the grey range from end to end, wherever that puts its mean.
    img_mean : (U,)
        Mean of the image, grey levels.
    """

    contrasts: Floats
    activations: Floats
    monotonic: npt.NDArray[np.bool_]
    max_activation: Floats
    max_contrast: Floats
    sat_contrast: Floats
    lim_contrast: Floats
    img_mean: Floats


def contrast_tuning(
    objective: Objective,
    images: Tensor,
    *,
    gains: int = 1000,
    names: Sequence[str] | None = None,
    batches: FittingBatches | None = None,
    low: float = RANGE[0],
    high: float = RANGE[1],
) -> ContrastTuning:
    """Sweep each image's contrast about its own mean from 0.01 grey levels to where the first pixel clips.

    Parameters
    ----------
    objective
        Activation of image ``rows[i]``'s unit; see `Objective`.
    images : (U, H, W)
        Grey levels; none may be flat.
    gains
        Contrasts of the sweep, evenly spaced.
    names
        What each unit is called in an error; by default its row.
    batches
        How many images are evaluated at once, halved where memory runs out; by default 128.

    Raises
    ------
    DataError
        If an image is flat.

    Notes
    -----
    Walker et al. 2019: 1000 contrasts, linear.

    Examples
    --------
    >>> image = torch.tensor([[[90.0, 110.0]]])
    >>> curve = contrast_tuning(lambda x, rows: x[:, 0, 1], image, gains=5)
    >>> curve.sat_contrast.tolist(), bool(curve.monotonic[0])
    ([100.0], True)
    """
    own, means = rms_contrast(images), images.mean((1, 2))
    flat = (own == 0).nonzero().flatten().tolist()
    if flat:
        units = {f"unit {row}" if names is None else names[row]: "" for row in flat}
        raise RefusedUnitsError(Refusal("a flat image", units, "expected a picture; leave them out"))
    steps = torch.linspace(0, 1, gains, dtype=images.dtype, device=images.device)
    last = gain_limits(images, low, high)
    first = LOWEST_CONTRAST / own
    sweep = first[:, None] + (last - first)[:, None] * steps
    activations = _evaluate(objective, images, sweep, batches or FittingBatches(128))
    extent = images.amax((1, 2)) - images.amin((1, 2))
    contrasts = _floats(sweep * own[:, None])
    return ContrastTuning(
        contrasts=contrasts,
        activations=activations,
        monotonic=_rises(activations),
        max_activation=activations.max(1),
        max_contrast=contrasts[np.arange(len(contrasts)), activations.argmax(1)],
        sat_contrast=_floats(last * own),
        lim_contrast=_floats(own * (high - low) / extent),
        img_mean=_floats(means),
    )


@torch.no_grad()
def _evaluate(objective: Objective, images: Tensor, sweep: Tensor, batches: FittingBatches) -> Floats:
    means = images.mean((1, 2), keepdim=True)
    rows = torch.arange(len(images), device=images.device).repeat_interleave(sweep.shape[1])
    gains = sweep.flatten()[:, None, None]

    def activations(part: slice) -> Tensor:
        units = rows[part]
        return objective(means[units] + (images[units] - means[units]) * gains[part], units)

    out = batches(len(rows), activations)
    return _floats(torch.cat(out)).reshape(sweep.shape)


def _rises(activations: Floats) -> npt.NDArray[np.bool_]:
    extent = np.ptp(activations, axis=1, keepdims=True)
    return np.asarray((np.diff(activations, axis=1) >= -ROUNDING * extent).all(axis=1))


def _floats(values: Tensor) -> Floats:
    return values.double().cpu().numpy()
