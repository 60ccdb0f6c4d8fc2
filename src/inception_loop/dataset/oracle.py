"""The jackknife oracle: how well the other repeats of an image predict a response to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.sampling import Floats
from inception_loop.dataset.unit_columns import correlations, unit_columns


def jackknife_oracle(responses: npt.NDArray[np.floating], image: npt.NDArray[np.int64]) -> Floats:
    """Correlate each response with the mean response to the image's other repeats (Walker et al. 2019).

    The exact Pearson correlation over all trials; images with more repeats weigh more. For signal variance S,
    noise variance V and R repeats it is expected at S/√((S+V)(S+V/(R−1))), below the ceiling √(S/(S+V)).

    Parameters
    ----------
    responses : (T, N) float
        Trials of repeated images.
    image : (T,) int64
        Number of the image of each trial; every image at least twice.

    Returns
    -------
    (N,) float64, NaN where a unit does not vary.

    Examples
    --------
    >>> responses = np.array([[1, 0], [1, 5], [3, 0], [3, 5]], np.float32)
    >>> jackknife_oracle(responses, np.array([0, 0, 1, 1])).round(6).tolist()
    [1.0, -1.0]
    """
    out = np.full(responses.shape[1], np.nan)
    if image.size == 0:
        return out
    order = np.argsort(image, kind="stable")
    starts = np.flatnonzero(np.diff(image[order], prepend=image[order][0] - 1))
    repeats = np.diff(starts, append=image.size)
    for columns, block in unit_columns(responses[order]):
        total = np.repeat(np.add.reduceat(block, starts, axis=0), repeats, axis=0)
        others = (total - block) / np.repeat(repeats - 1, repeats)[:, None]
        out[columns] = correlations(block, others)
    return out
