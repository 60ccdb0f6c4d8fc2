"""Natural-like images without a download: crops of bundled photographs, dead leaves; each with its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inception_loop.errors import ConfigurationError
from inception_loop.pictures.dead_leaves import dead_leaves
from inception_loop.pictures.photographs import PHOTOGRAPHS, photograph

FLAT = 6.0  # grey levels; a crop with less contrast than this shows nothing and is drawn again
DRAWS = 50  # tries for a crop that is not flat


@dataclass(frozen=True)
class NaturalImages:
    """Images and where each was cut from.

    Attributes
    ----------
    pixels : (n, height, width) uint8, grey levels
    source_id : n names; images of one source are parts of one picture and must share a tier
    """

    pixels: npt.NDArray[np.uint8]
    source_id: list[str]


def split_photographs(seed: int, n_reserved: int) -> tuple[list[str], list[str]]:
    """Split the photographs into (reserved, the others), a seeded draw.

    Examples
    --------
    >>> reserved, others = split_photographs(seed=3, n_reserved=4)
    >>> len(reserved), set(reserved) & set(others)
    (4, set())
    """
    order = np.random.default_rng([seed, 77]).permutation(len(PHOTOGRAPHS))
    names = [PHOTOGRAPHS[i] for i in order]
    return sorted(names[:n_reserved]), sorted(names[n_reserved:])


def natural_images(
    n: int,
    *,
    height: int,
    width: int,
    seed: int,
    n_sources: int | None = None,
    photographs: Sequence[str] = PHOTOGRAPHS,
    photograph_share: float = 0.4,
) -> NaturalImages:
    """Return different natural-like images in random order.

    A share comes from photographs (crops at whole-numbered scales, area-averaged, half of them mirrored),
    the rest are dead leaves. Every image is brought to a mean of about 128 and an RMS contrast between 35
    and 65 grey levels, so that dim and bright photographs drive cells alike.

    Parameters
    ----------
    n : int
        Number of images, all different.
    height, width : int
        Size in px.
    seed : int
        Same seed, same arguments: same images.
    n_sources : int, optional
        At most this many different sources. By default every photograph is one source and every dead-leaves
        picture its own; with fewer sources, dead-leaves images are crops of larger pictures.
    photographs : sequence of str
        Which photographs may be used; empty for none.
    photograph_share : float
        Share of the images that come from photographs, 0..1.

    Returns
    -------
    NaturalImages

    Raises
    ------
    ConfigurationError
        If ``n``, ``n_sources`` or the share is out of range, or no photograph is large enough.

    Examples
    --------
    >>> images = natural_images(10, height=72, width=128, seed=0)
    >>> images.pixels.shape, images.pixels.dtype.name, len(images.source_id)
    ((10, 72, 128), 'uint8', 10)
    """
    if n < 1 or (n_sources is not None and n_sources < 1) or not 0 <= photograph_share <= 1:
        raise ConfigurationError(
            f"natural_images got n={n}, n_sources={n_sources}, photograph_share={photograph_share}; "
            "expected at least 1 image, at least 1 source and a share in 0..1"
        )
    rng = np.random.default_rng([seed, 1])
    n_photo = round(n * photograph_share) if photographs else 0
    names = _choose(photographs, n_photo, n - n_photo, n_sources, rng)
    n_photo = n_photo if names else 0
    left = None if n_sources is None else max(1, n_sources - len(names))
    photo, photo_source = _photo_crops(n_photo, names, height, width, rng)
    leaves, leaf_source = _leaf_crops(n - n_photo, left, height, width, seed, rng)
    pixels = np.concatenate([photo, leaves])
    order = rng.permutation(n)
    sources = photo_source + leaf_source
    return NaturalImages(_to_grey_levels(pixels, rng)[order], [sources[i] for i in order])


def _choose(
    photographs: Sequence[str], n_photo: int, n_leaves: int, n_sources: int | None, rng: np.random.Generator
) -> list[str]:
    if n_photo == 0:
        return []
    names = [photographs[i] for i in rng.permutation(len(photographs))][:n_photo]
    if n_sources is None:
        return names
    most = n_sources if n_leaves == 0 else n_sources - 1  # one source at least for the leaves
    return names[: min(most, max(1, round(n_sources * n_photo / (n_photo + n_leaves))))]


def _photo_crops(
    n: int, names: Sequence[str], height: int, width: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], list[str]]:
    out = np.empty((n, height, width), dtype=np.float32)
    for i in range(n):
        out[i] = _crop(names[i % len(names)], height, width, rng)
    return out, [f"photograph-{names[i % len(names)]}" for i in range(n)]


def _crop(name: str, height: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    picture = photograph(name)
    largest = min(picture.shape[0] // height, picture.shape[1] // width)
    if largest < 1:
        raise ConfigurationError(
            f"photograph {name!r} has {picture.shape[0]}×{picture.shape[1]} px, too small for a crop of "
            f"{height}×{width}; ask for smaller images or leave it out"
        )
    for _ in range(DRAWS):
        k = int(rng.integers(1, largest + 1))
        y = int(rng.integers(picture.shape[0] - k * height + 1))
        x = int(rng.integers(picture.shape[1] - k * width + 1))
        crop: npt.NDArray[np.float32] = area_average(
            picture[y : y + k * height, x : x + k * width], height, width
        )
        if crop.std() >= FLAT:
            break
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _leaf_crops(
    n: int, n_sources: int | None, height: int, width: int, seed: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], list[str]]:
    if n_sources is None or n_sources >= n:
        return dead_leaves(n, height=height, width=width, seed=seed), [
            f"dead-leaves-{seed}-{i}" for i in range(n)
        ]
    out = np.empty((n, height, width), dtype=np.float32)
    canvases = dead_leaves(n_sources, height=3 * height, width=3 * width, seed=seed, largest=height / 2)
    for i in range(n):
        y, x = int(rng.integers(2 * height + 1)), int(rng.integers(2 * width + 1))
        out[i] = canvases[i % n_sources, y : y + height, x : x + width]
    return out, [f"dead-leaves-{seed}-{3 * height}x{3 * width}-{i % n_sources}" for i in range(n)]


def area_average(pixels: npt.NDArray[np.generic], height: int, width: int) -> npt.NDArray[np.float32]:
    """Average whole blocks of pixels: (..., k·height, m·width) → (..., height, width) float32.

    Raises
    ------
    ConfigurationError
        If the blocks are not whole.

    Examples
    --------
    >>> area_average(np.array([[0, 2, 4, 6], [2, 4, 6, 8]]), 1, 2).tolist()
    [[2.0, 6.0]]
    """
    *lead, h, w = pixels.shape
    if h % height or w % width:
        raise ConfigurationError(
            f"cannot average {h}×{w} px to {height}×{width} by whole blocks; expected multiples of that size"
        )
    blocks = pixels.reshape(*lead, height, h // height, width, w // width)
    averaged: npt.NDArray[np.float32] = blocks.mean(axis=(-3, -1), dtype=np.float64).astype(np.float32)
    return averaged


def _to_grey_levels(pixels: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    std = np.maximum(pixels.std(axis=(1, 2), keepdims=True), 1e-3)
    n = len(pixels)
    contrast = rng.uniform(35, 65, (n, 1, 1)).astype(np.float32)
    level = rng.normal(128, 10, (n, 1, 1)).astype(np.float32)
    scaled = (pixels - mean) / std * contrast + level
    grey: npt.NDArray[np.uint8] = np.clip(np.round(scaled), 0, 255).astype(np.uint8)
    return grey
