"""Where an ascent starts: grey noise of each unit's own, whoever shares its batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def unit_generator(seed: int, key: str) -> np.random.Generator:
    """Return the random generator of one unit: it depends on the seed and the unit's key and nothing else.

    Examples
    --------
    >>> float(unit_generator(1, "a/7").normal()) == float(unit_generator(1, "a/7").normal())
    True
    """
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32).tolist())


def grey_noise(
    keys: Sequence[str], seed: int, *, mean: float, std: float, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Return one white-noise image a unit, clipped to the grey range.

    Parameters
    ----------
    keys
        One text a unit, e.g. ``"{readout key}/{neuron_id}"``.
    seed
        Seed of the configuration.
    mean, std : grey levels
        The published start is N(128, 8).
    size : (height, width), px

    Returns
    -------
    (len(keys), height, width) float32, grey levels 0..255
    """
    noise = [unit_generator(seed, key).normal(mean, std, size) for key in keys]
    return np.clip(np.stack(noise), 0, 255).astype(np.float32)
