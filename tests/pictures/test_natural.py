"""Natural-like images: sources, sizes, determinism."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import ConfigurationError
from inception_loop.pictures.natural import area_average, natural_images, split_photographs
from inception_loop.pictures.photographs import PHOTOGRAPHS


def test_same_seed_same_images_and_other_seed_others():
    a, b, c = (natural_images(12, height=36, width=64, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.pixels, b.pixels)
    assert a.source_id == b.source_id
    assert (a.pixels != c.pixels).any()


def test_all_images_differ_and_have_contrast():
    images = natural_images(300, height=36, width=64, seed=3)
    assert len({image.tobytes() for image in images.pixels}) == 300
    assert images.pixels.std(axis=(1, 2)).min() > 10
    assert abs(images.pixels.mean() - 128) < 3
    assert 40 < images.pixels.std() < 60


def test_a_share_comes_from_photographs_in_equal_parts_and_every_leaf_picture_is_its_own_source():
    images = natural_images(200, height=36, width=64, seed=3, photograph_share=0.39)
    counts = Counter(images.source_id)
    photos = [n for source, n in counts.items() if source.startswith("photograph-")]
    assert sum(photos) == 78
    assert max(photos) - min(photos) <= 1
    assert all(n == 1 for source, n in counts.items() if source.startswith("dead-leaves"))


def test_only_the_named_photographs_are_used():
    images = natural_images(40, height=36, width=64, seed=3, photographs=["camera", "cat"])
    photos = {source for source in images.source_id if source.startswith("photograph")}
    assert photos == {"photograph-camera", "photograph-cat"}
    without = natural_images(10, height=36, width=64, seed=3, photographs=[])
    assert all(source.startswith("dead-leaves") for source in without.source_id)


@pytest.mark.parametrize("n_sources", [1, 2, 5, 30])
def test_there_are_no_more_sources_than_asked_for(n_sources):
    images = natural_images(60, height=36, width=64, seed=3, n_sources=n_sources)
    assert len(set(images.source_id)) <= n_sources
    assert len({image.tobytes() for image in images.pixels}) == 60


def test_a_crop_of_a_photograph_is_a_stretched_block_average_of_it():
    images = natural_images(5, height=144, width=256, seed=4, photographs=["camera"], photograph_share=1.0)
    from inception_loop.pictures.photographs import photograph

    picture = photograph("camera")  # 512 × 512: only the scale 1 or 2 fits
    for image in images.pixels:
        best = 0.0
        for shown in (image, image[:, ::-1]):
            for k in (1, 2):
                wide = np.kron(shown.astype(float), np.ones((k, k)))
                z = (wide - wide.mean()) / np.linalg.norm(wide - wide.mean())
                pad = np.zeros(picture.shape)
                pad[: z.shape[0], : z.shape[1]] = z
                match = np.fft.irfft2(np.fft.rfft2(picture) * np.conj(np.fft.rfft2(pad)), s=picture.shape)
                h, w = z.shape
                free = match[: 513 - h, : 513 - w]
                y, x = np.unravel_index(free.argmax(), free.shape)
                there = area_average(picture[y : y + h, x : x + w], 144, 256)
                best = max(best, np.corrcoef(there.ravel(), shown.ravel())[0, 1])
        assert best > 0.98


def test_reserved_photographs_and_the_others_are_all_of_them():
    for seed in range(5):
        reserved, others = split_photographs(seed, 3)
        assert len(reserved) == 3
        assert sorted(reserved + others) == sorted(PHOTOGRAPHS)
    assert split_photographs(1, 3) != split_photographs(2, 3)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n_sources": 0}, {"photograph_share": 1.5}])
def test_counts_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="expected at least 1 image"):
        natural_images(**({"n": 3, "height": 36, "width": 64, "seed": 1} | wrong))


def test_an_image_larger_than_the_photograph_is_refused():
    with pytest.raises(ConfigurationError, match="ask for smaller images"):
        natural_images(3, height=576, width=1024, seed=1, photographs=["coins"], photograph_share=1.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 9))
def test_area_average_is_the_mean_of_each_block(height, width, k, m, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (2, height * k, width * m))
    fast = area_average(pixels, height, width)
    for i in range(height):
        for j in range(width):
            block = pixels[:, i * k : (i + 1) * k, j * m : (j + 1) * m]
            np.testing.assert_allclose(fast[:, i, j], block.mean(axis=(1, 2)), rtol=1e-6)


def test_blocks_that_are_not_whole_are_refused():
    with pytest.raises(ConfigurationError, match="expected multiples"):
        area_average(np.zeros((5, 6)), 2, 3)
