"""In which order images are shown: seeded blocks, each holding every image once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inception_loop.errors import ConfigurationError

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrialOrder:
    """The images of T trials.

    Attributes
    ----------
    image : (T,) int64
        Which of the images is shown.
    block : (T,) int64
        Number of the block that the trial belongs to, 0 first.
    """

    image: Integers
    block: Integers


def blocked_order(n_images: int, repeats: int, seed: int) -> TrialOrder:
    """Return a random order in which every block shows each image once.

    No image follows itself, not even from the end of one block to the start of the next. Each block is drawn
    uniformly from the orders that allow it.

    Parameters
    ----------
    n_images
        Different images.
    repeats
        Number of blocks.
    seed
        Decides the order.

    Raises
    ------
    ConfigurationError
        If there is nothing to show, or a single image would follow itself.

    Examples
    --------
    >>> order = blocked_order(3, 2, seed=1)
    >>> sorted(order.image[:3].tolist()), order.block.tolist()
    ([0, 1, 2], [0, 0, 0, 1, 1, 1])
    """
    if n_images < 1 or repeats < 1:
        raise ConfigurationError(
            f"a session of {n_images} images × {repeats} repeats; expected at least one of each; add images"
        )
    if n_images == 1 and repeats > 1:
        raise ConfigurationError(
            f"one image × {repeats} repeats would follow itself; expected two images or more; add a blank"
        )
    rng = np.random.default_rng(seed)
    blocks: list[Integers] = []
    for _ in range(repeats):
        block = rng.permutation(n_images)
        while blocks and block[0] == blocks[-1][-1]:
            block = rng.permutation(n_images)
        blocks.append(block)
    image = np.concatenate(blocks).astype(np.int64)
    return TrialOrder(image, np.repeat(np.arange(repeats, dtype=np.int64), n_images))
