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


def blocked_order(n_images: int, repeats: int, seed: int, *, last_times: int = 1) -> TrialOrder:
    """Return a random order in which every block shows each image once, and the last one ``last_times``.

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
    last_times
        How often each block shows the last image: a blank between the others.

    Raises
    ------
    ConfigurationError
        If there is nothing to show, or an image would have to follow itself.

    Examples
    --------
    >>> order = blocked_order(3, 2, seed=1)
    >>> sorted(order.image[:3].tolist()), order.block.tolist()
    ([0, 1, 2], [0, 0, 0, 1, 1, 1])
    >>> np.bincount(blocked_order(4, 1, seed=1, last_times=3).image).tolist()
    [1, 1, 1, 3]
    """
    if n_images < 1 or repeats < 1 or last_times < 1:
        raise ConfigurationError(
            f"an order of {n_images} images × {repeats} repeats, the last {last_times} times a block; "
            "expected at least one of each; add images"
        )
    if n_images == 1 and repeats * last_times > 1:
        raise ConfigurationError(
            f"one image × {repeats * last_times} repeats would follow itself; expected two images or more; "
            "add a blank"
        )
    if last_times > max(n_images - 1, 1):
        raise ConfigurationError(
            f"a block shows the last image {last_times} times among {n_images - 1} others and would show it "
            "twice in a row; expected at most as often as there are others; show fewer blanks"
        )
    rng = np.random.default_rng(seed)
    blocks: list[Integers] = []
    for _ in range(repeats):
        block = _block(rng, n_images, last_times)
        while blocks and block[0] == blocks[-1][-1]:
            block = _block(rng, n_images, last_times)
        blocks.append(block)
    image = np.concatenate(blocks).astype(np.int64)
    return TrialOrder(image, np.repeat(np.arange(repeats, dtype=np.int64), len(image) // repeats))


def _block(rng: np.random.Generator, n_images: int, last_times: int) -> Integers:
    if last_times == 1:
        return rng.permutation(n_images)
    others = rng.permutation(n_images - 1)
    # The gaps before, between and after the others; one showing a gap, so that it never follows itself.
    gaps = rng.choice(n_images, last_times, replace=False)
    return np.insert(others, np.sort(gaps), n_images - 1)
