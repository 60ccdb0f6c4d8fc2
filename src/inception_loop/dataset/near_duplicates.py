"""Pictures that are nearly the same under another source: found by a perceptual hash, all pairs of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.fft import dctn

from inception_loop.dataset.area_average import area_average

SIDE = 32
"""Pictures are averaged to 32×32 before the transform, whatever their size and aspect ratio."""

FLAT = 1.0
"""Pictures whose 32×32 grey levels have a smaller std have no hash: all of them would look alike."""

BLOCK_BYTES = 8 * 2**20
COMPARED_AT_ONCE = 256

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


def _lowest() -> tuple[Ints, Ints]:
    """Rows and columns of the 64 lowest spatial frequencies of a 32×32 transform, the mean left out."""
    row, col = np.mgrid[:SIDE, :SIDE]
    order = np.lexsort((col.ravel(), row.ravel(), (row**2 + col**2).ravel()))[1:65]
    return order // SIDE, order % SIDE


_LOWEST = _lowest()


def perceptual_hashes(images: Images, rows: Ints) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """Hash pictures so that similar ones have similar hashes.

    The picture is averaged to 32×32, transformed by a DCT-II, and bit ``i`` says whether its ``i``-th lowest
    frequency (by distance from zero; the mean left out) exceeds the median of the 64. Brightness and
    contrast change nothing, compression, noise and resizing few bits; unrelated pictures differ in 32 ± 4
    bits, and so do crops of one photograph that overlap by 88 % (those are kept together by their source).

    Parameters
    ----------
    images : (K, h, w)
        Grey levels; may be memory-mapped, a block at a time is read.
    rows : (M,) int64
        Which of them to hash.

    Returns
    -------
    hashes : (M,) uint64
    flat : (M,) bool
        Pictures without detail, whose hash says nothing.

    References
    ----------
    C. Zauner, Implementation and benchmarking of perceptual image hash functions, 2010 (DCT hash).

    Examples
    --------
    >>> picture = np.random.default_rng(0).integers(50, 150, (1, 36, 64), dtype=np.uint8)
    >>> (one,), _ = perceptual_hashes(picture, np.array([0]))
    >>> (other,), _ = perceptual_hashes(picture + np.uint8(30), np.array([0]))
    >>> bool(one == other)
    True
    """
    hashes, flat = np.empty(len(rows), np.uint64), np.empty(len(rows), np.bool_)
    step = max(1, BLOCK_BYTES // (4 * int(np.prod(images.shape[1:]))))
    for start in range(0, len(rows), step):
        small = area_average(images[rows[start : start + step]], SIDE, SIDE)
        waves = dctn(small.astype(np.float64), axes=(1, 2), norm="ortho")[:, *_LOWEST]
        bits = waves > np.median(waves, axis=1, keepdims=True)
        packed = np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little"))
        hashes[start : start + step] = packed.view("<u8")[:, 0]
        flat[start : start + step] = small.std(axis=(1, 2)) < FLAT
    return hashes, flat


def close_pairs(hashes: Hashes, sources: Ints, distance: int) -> tuple[Ints, Ints, Ints]:
    """Find all pairs of hashes of different sources that differ in at most ``distance`` bits.

    Every pair is looked at, in blocks of bounded memory.

    Parameters
    ----------
    hashes : (M,) uint64
    sources : (M,) int64
        Number of each picture's source.
    distance
        Bits.

    Returns
    -------
    first, second, distance : (P,) int64
        Positions, ``first < second``, ascending, and how many bits differ.

    Examples
    --------
    >>> a, b, d = close_pairs(np.array([0, 1, 0, 255], np.uint64), np.array([5, 6, 5, 7]), 2)
    >>> list(zip(a.tolist(), b.tolist(), d.tolist()))
    [(0, 1, 1), (1, 2, 1)]
    """
    found = [np.empty((3, 0), np.int64), *_close_pairs(hashes, sources, distance)]
    first, second, bits = np.concatenate(found, axis=1)
    return first, second, bits


def _close_pairs(hashes: Hashes, sources: Ints, distance: int) -> Iterator[Ints]:
    for start in range(0, len(hashes), COMPARED_AT_ONCE):
        block = slice(start, start + COMPARED_AT_ONCE)
        bits = np.bitwise_count(hashes[block, None] ^ hashes[None, start:])
        row, col = np.nonzero(bits <= distance)
        other = (col > row) & (sources[start + row] != sources[start + col])
        row, col = row[other], col[other]
        yield np.stack([start + row, start + col, bits[row, col].astype(np.int64)])


def near_duplicates(pictures: pl.DataFrame, distance: int) -> pl.DataFrame:
    """Pair pictures of different sources that look alike.

    Parameters
    ----------
    pictures
        Table ``condition_hash, source`` (key of the source) ``, phash`` (uint64); one row a condition.
    distance
        Bits of 64 in which the hashes of a pair differ, at most.

    Returns
    -------
    Table ``condition_hash_a, condition_hash_b, distance``, nearest first, ``condition_hash_a`` the lower one.
    The order of the rows given does not matter.
    """
    pictures = pictures.sort("condition_hash")
    sources = pictures["source"].rank("dense").cast(pl.Int64).to_numpy()
    first, second, bits = close_pairs(pictures["phash"].to_numpy(), sources, distance)
    names = pictures["condition_hash"]
    return pl.DataFrame(
        {"condition_hash_a": names[first], "condition_hash_b": names[second], "distance": bits},
        schema={"condition_hash_a": pl.String, "condition_hash_b": pl.String, "distance": pl.Int64},
    ).sort("distance", "condition_hash_a", "condition_hash_b")
