"""What images look like through masks, and how much contrast they can have there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.contrast import RANGE
from inception_loop.images.natural.searched import Searched

SHOWS_NOTHING = 1e-3
"""L2 norm of a masked picture, grey levels, up to which it is flat."""


def through(images: Tensor, masks: Tensor) -> Tensor:
    """Return (B, H, W) ``m · (x − mean of x under m)``: an image through a mask, about 0.

    Examples
    --------
    >>> through(torch.tensor([[[3.0, 5.0, 40.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])).tolist()
    [[[-1.0, 1.0, 0.0]]]
    """
    m, x = masks.double(), images.double()
    inside = (m * x).sum((1, 2), keepdim=True) / m.sum((1, 2), keepdim=True)
    return m * (x - inside)


def most_contrast(
    masks: Tensor, mean: float, low: float = RANGE[0], high: float = RANGE[1]
) -> npt.NDArray[np.float64]:
    """Return the (U,) RMS contrast that no image through each mask can exceed at a mean, grey levels.

    The n pixels under the mask are black or white, the others share the grey level that keeps the mean.

    Examples
    --------
    >>> most_contrast(torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]), 100.0, 0.0, 200.0).round(2).tolist()
    [100.0]
    """
    pixels = masks[0].numel()
    found = []
    for n in (masks > 0).sum((1, 2)).tolist():
        white = np.arange(n + 1)
        given = white * (high - mean) - (n - white) * (mean - low)
        rest = mean - given / (pixels - n) if pixels > n else np.where(abs(given) < high - low, mean, np.nan)
        power = white * (high - mean) ** 2 + (n - white) * (mean - low) ** 2
        power = np.where((rest >= low) & (rest <= high), power + (pixels - n) * (rest - mean) ** 2, 0.0)
        found.append(float(np.sqrt(power.max() / pixels)))
    return np.array(found)


def masked_gains(pictures: Searched, masks: Tensor, contrast: float) -> Tensor:
    """Return the (U, K) gains that bring each picture through each mask to a contrast, if nothing clips.

    NaN where the picture shows nothing inside the mask.
    """
    m = masks.flatten(1).double()
    power, area = m.square(), m.sum(1, keepdim=True)
    gains = []
    for _, block in pictures.blocks():
        x = torch.tensor(block, device=m.device).flatten(1).T.double() - 128.0
        inside = m @ x / area
        square = power @ x.square() - inside * (2 * (power @ x) - inside * power.sum(1, keepdim=True))
        length = square.clamp(min=0).sqrt()
        gains.append(torch.where(length > SHOWS_NOTHING, contrast * m.shape[1] ** 0.5 / length, torch.nan))
    return torch.cat(gains, 1)


def refuse_small_masks(masks: Tensor, mean: float, contrast: float, names: Sequence[str]) -> None:
    """Refuse masks through which no image at all has the contrast wanted.

    Raises
    ------
    RefusedUnitsError
        Naming every such unit, and by how much.
    """
    limit = most_contrast(masks, mean)
    units = {
        names[row]: f"{int((masks[row] > 0).sum())} px, {limit[row]:.2f} at most, "
        f"{contrast - limit[row]:.2f} too little"
        for row in np.flatnonzero(limit <= contrast).tolist()
    }
    if units:
        what = f"no image through the mask has a contrast over {contrast:g} grey levels at mean {mean:g}"
        raise RefusedUnitsError(Refusal(what, units, "expected one; leave them out or lower the contrast"))
