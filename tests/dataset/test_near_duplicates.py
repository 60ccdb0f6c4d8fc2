from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.transform import resize

from inception_loop.dataset.area_average import area_average
from inception_loop.dataset.near_duplicates import close_pairs, near_duplicates, perceptual_hashes
from inception_loop.pictures.photographs import PHOTOGRAPHS, photograph

LIMIT = 8


@lru_cache
def crops():
    """Crops of 144×256 that do not overlap: unrelated pictures."""
    cut = []
    for name in PHOTOGRAPHS:
        picture = photograph(name)
        for top in range(0, picture.shape[0] - 143, 144):
            for left in range(0, picture.shape[1] - 255, 256):
                cut.append(picture[top : top + 144, left : left + 256])
    return to_bytes(np.stack(cut))


def to_bytes(images):
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def hashes_of(images):
    return perceptual_hashes(images, np.arange(len(images)))[0]


def bits_between(one, other):
    return np.bitwise_count(hashes_of(one) ^ hashes_of(other)).astype(int)


def jpeg(images, quality):
    out = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(file)))
    return np.stack(out)


def resized(images, scale):
    height, width = (round(side * scale) for side in images.shape[1:])
    return to_bytes(np.stack([resize(i.astype(float), (height, width), anti_aliasing=True) for i in images]))


ALTERED = {
    "jpeg": lambda images: jpeg(images, 30),
    "brighter": lambda images: to_bytes(images + 25.0),
    "half the contrast": lambda images: to_bytes(127 + 0.5 * (images - 127.0)),
    "noise": lambda images: to_bytes(images + np.random.default_rng(0).normal(0, 8, images.shape)),
    "nine tenths of the size": lambda images: resized(images, 0.9),
    "half the size": lambda images: resized(images, 0.5),
    "averaged as a frame": lambda images: area_average(images, 36, 64),
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_picture_keeps_its_hash_within_the_limit(how):
    bits = bits_between(crops(), ALTERED[how](crops()))
    assert np.mean(bits <= LIMIT) >= 0.97
    assert np.median(bits) <= 4


def test_brightness_and_contrast_that_clip_nothing_change_nothing():
    images = (crops() // 2).astype(np.float32)
    assert bits_between(images, 2 * images + 1).max() == 0


def test_unrelated_pictures_differ_in_half_of_the_bits():
    images = crops()
    assert len(images) > 50
    hashes = hashes_of(images)
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None])[np.triu_indices(len(images), 1)].astype(int)
    assert bits.mean() == pytest.approx(32, abs=1)
    assert bits.std() == pytest.approx(4, abs=1)
    assert bits.min() > LIMIT


def test_crops_of_one_photograph_that_overlap_by_88_percent_are_not_seen():
    pictures = [photograph(name)[:144, :290] for name in PHOTOGRAPHS if photograph(name).shape[1] >= 290]
    images = to_bytes(np.stack(pictures))
    bits = bits_between(images[:, :, :256], images[:, :, 31:287])  # 12 % to the right
    assert np.median(bits) > 20
    assert bits.min() > LIMIT


def test_every_hash_has_half_of_its_bits_set():
    assert set(np.bitwise_count(hashes_of(crops()))) == {32}


def test_pictures_that_show_nothing_have_no_hash():
    images = np.stack([np.full((36, 64), 127), np.zeros((36, 64)), np.full((36, 64), 127)]).astype(np.uint8)
    images[2, :, :20] = 120
    assert perceptual_hashes(images, np.arange(3))[1].tolist() == [True, True, False]


def test_the_hash_of_a_picture_does_not_depend_on_which_others_are_hashed(monkeypatch):
    images = crops()
    rows = np.array([7, 3, 3, 20])
    want = hashes_of(images)[rows]
    monkeypatch.setattr("inception_loop.dataset.near_duplicates.BLOCK_BYTES", 1)  # one at a time
    np.testing.assert_array_equal(perceptual_hashes(images, rows)[0], want)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 700), st.integers(0, 12), st.integers(1, 5))
def test_close_pairs_are_all_pairs_of_other_sources_within_the_distance(seed, count, distance, n_sources):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**12, count, dtype=np.uint64)
    sources = rng.integers(0, n_sources, count)
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None])
    wanted = (bits <= distance) & (sources[:, None] != sources[None]) & np.triu(np.ones_like(bits, bool), 1)
    first, second, found = close_pairs(hashes, sources, distance)
    np.testing.assert_array_equal(np.stack([first, second]), np.nonzero(wanted))
    np.testing.assert_array_equal(found, bits[wanted])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_near_duplicates_do_not_depend_on_the_order_of_the_pictures(seed):
    rng = np.random.default_rng(seed)
    pictures = pl.DataFrame(
        {
            "condition_hash": [f"c{i}" for i in rng.permutation(60)],
            "source": [f"s{i}" for i in rng.integers(0, 30, 60)],
            "phash": rng.integers(0, 2**10, 60, dtype=np.uint64),
        }
    )
    want = near_duplicates(pictures, 2)
    assert near_duplicates(pictures.sample(fraction=1, shuffle=True, seed=seed), 2).equals(want)
    assert (want["condition_hash_a"] < want["condition_hash_b"]).all()
    assert want["distance"].is_sorted()


def test_without_pictures_nothing_looks_alike():
    none = pl.DataFrame(schema={"condition_hash": pl.String, "source": pl.String, "phash": pl.UInt64})
    assert near_duplicates(none, LIMIT).height == 0
