"""The pixels of a session where they lie: hashed and passed on in blocks, never gathered in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inception_loop.artifacts.npz import Blocks
from inception_loop.errors import DataError
from inception_loop.recordings.condition import condition_hash

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
AT_ONCE = 128
"""Images in memory at a time."""


@dataclass(frozen=True)
class Pixels:
    """N images in parts: arrays in memory, or mapped from disk.

    Attributes
    ----------
    parts : arrays (K, h, w) uint8, by what they are called in an error
    part, row : (N,) int64
        Which of the parts, in their order, holds image n, and in which row.

    Raises
    ------
    DataError
        If the parts have images of several sizes.

    Examples
    --------
    >>> both = {"dark": np.zeros((2, 1, 2), np.uint8), "grey": np.full((1, 1, 2), 128, np.uint8)}
    >>> pixels = Pixels(both, np.array([0, 1, 0]), np.array([1, 0, 0]))
    >>> [block.tolist() for block in pixels.blocks(np.array([0, 1])).blocks]
    [[[[0, 0]]], [[[128, 128]]]]
    """

    parts: dict[str, Bytes]
    part: Integers
    row: Integers

    def __post_init__(self) -> None:
        (first, one), *others = self.parts.items()
        for name, other in others:
            if other.shape[1:] != one.shape[1:]:
                raise DataError(
                    f"{name} has images of {other.shape[1]}×{other.shape[2]} px, {first} of {one.shape[1]}×"
                    f"{one.shape[2]}; expected one size on the rig; process the images with another zoom"
                )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px of the rig."""
        one = next(iter(self.parts.values()))
        return one.shape[1], one.shape[2]

    def hashes(self, shown_s: float) -> list[str]:
        """Return the `condition_hash` of each image, shown for some time (s)."""
        parts = list(self.parts.values())
        return [
            condition_hash(parts[part][row], shown_s) for part, row in zip(self.part, self.row, strict=True)
        ]

    def blocks(self, images: Integers) -> Blocks:
        """Return some of the images, in that order, to be written block by block."""
        return Blocks((len(images), *self.size), np.dtype(np.uint8), self._blocks(images))

    def _blocks(self, images: Integers) -> Iterator[Bytes]:
        parts = list(self.parts.values())
        part, row = self.part[images], self.row[images]
        borders = np.flatnonzero(np.diff(part)) + 1
        for run in np.split(np.arange(len(images)), borders):
            for start in range(0, len(run), AT_ONCE):
                some = run[start : start + AT_ONCE]
                yield parts[part[some[0]]][row[some]]
