"""Dead leaves: overlapping discs with a power law of sizes, the simplest picture with natural statistics.

Model of Matheron; sizes ∝ r⁻³ give the scale invariance of natural images (Lee, Mumford and Huang 2001).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from inception_loop.errors import ConfigurationError

LEAVES_PER_AREA = 0.035  # discs a px² of canvas, painted back to front


def dead_leaves(
    n: int, *, height: int, width: int, seed: int, smallest: float = 2.0, largest: float | None = None
) -> npt.NDArray[np.float32]:
    """Return pictures of discs that cover each other.

    Parameters
    ----------
    n : int
        Number of pictures; picture ``i`` depends on ``(seed, i)`` and the size only.
    height, width : int
        Size in px.
    seed : int
    smallest, largest : float
        Radii in px; ``largest`` defaults to half the height. Density of radii ∝ r⁻³.

    Returns
    -------
    (n, height, width) float32 array, grey levels in 0..255.

    Raises
    ------
    ConfigurationError
        If a size or radius is not positive or the radii are the wrong way round.

    Examples
    --------
    >>> a, b = dead_leaves(2, height=36, width=64, seed=1)
    >>> bool((a == dead_leaves(1, height=36, width=64, seed=1)[0]).all()), bool((a == b).all())
    (True, False)
    """
    biggest = height / 2 if largest is None else largest
    if min(height, width) < 1 or not 0 < smallest < biggest:
        raise ConfigurationError(
            f"dead_leaves got {height}×{width} px and radii {smallest}..{biggest}; "
            "expected a positive size and 0 < smallest < largest"
        )
    out = np.empty((n, height, width), dtype=np.float32)
    for i in range(n):
        _paint(out[i], np.random.default_rng([seed, i]), smallest, biggest)
    return out


def _paint(
    canvas: npt.NDArray[np.float32], rng: np.random.Generator, smallest: float, largest: float
) -> None:
    height, width = canvas.shape
    pad = largest / 2
    count = int(LEAVES_PER_AREA * (height + 2 * pad) * (width + 2 * pad))
    u = rng.random(count)
    radius = np.round(2 / np.sqrt(u / largest**2 + (1 - u) / smallest**2)).astype(int)  # in half px
    # the big ones lie at the back of the pile where nothing would be painted otherwise
    radius[: count // 20] = np.round(2 * rng.uniform(largest / 2, largest, count // 20))
    x = np.round(rng.uniform(-pad, width + pad, count)).astype(int)
    y = np.round(rng.uniform(-pad, height + pad, count)).astype(int)
    grey = rng.normal(128, 50, count).clip(0, 255).astype(np.float32)
    canvas[:] = grey.mean()
    for r, cx, cy, g in zip(radius.tolist(), x.tolist(), y.tolist(), grey.tolist(), strict=True):
        disc = _disc(r)
        k = len(disc) // 2
        x0, x1, y0, y1 = max(cx - k, 0), min(cx + k + 1, width), max(cy - k, 0), min(cy + k + 1, height)
        if x0 < x1 and y0 < y1:
            inside = disc[y0 - cy + k : y1 - cy + k, x0 - cx + k : x1 - cx + k]
            canvas[y0:y1, x0:x1][inside] = g


@lru_cache(maxsize=1024)
def _disc(half_pixels: int) -> npt.NDArray[np.bool_]:
    radius = half_pixels / 2
    k = int(radius)
    offset = np.arange(-k, k + 1)
    inside: npt.NDArray[np.bool_] = offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2
    return inside
