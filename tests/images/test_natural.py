"""The search finds the natural image that a slow look at each would find."""

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.contrast import match_contrast
from inception_loop.images.natural import search_natural
from inception_loop.pictures.dead_leaves import dead_leaves


@pytest.fixture(scope="module")
def frames():
    return dead_leaves(40, height=36, width=64, seed=3)


def test_the_winner_is_the_one_a_slow_search_finds(energy_cells, frames):
    found = search_natural(energy_cells, frames, [3, 17], mean=110.0, contrast=8.0, batch_size=7)
    for row, unit in enumerate([3, 17]):
        scores = []
        for frame in torch.from_numpy(frames):
            shown = match_contrast(frame[None], 110.0, 8.0)
            scores.append(energy_cells.paired(shown, torch.tensor([unit])).item())
        assert found.best[row] == int(np.argmax(scores))
        assert found.activation[row] == pytest.approx(max(scores), rel=1e-4)
        assert found.median_activation[row] == pytest.approx(np.median(scores), rel=1e-4)
        assert np.array_equal(
            found.images[row], match_contrast(torch.from_numpy(frames[[found.best[row]]]), 110.0, 8.0)[0]
        )


@pytest.mark.parametrize("contrast", [6.0, 60.0])
def test_the_images_have_the_mean_and_contrast_asked_for_clipping_included(linear_cells, frames, contrast):
    found = search_natural(linear_cells, frames, range(5), mean=110.0, contrast=contrast)
    assert found.images.mean((1, 2), dtype=np.float64) == pytest.approx(110 * np.ones(5), rel=1e-6)
    assert found.images.std((1, 2), dtype=np.float64) == pytest.approx(contrast * np.ones(5), rel=1e-5)
    assert found.images.min() >= 0
    assert found.images.max() <= 255


def test_flat_and_unreachable_images_are_left_out_and_counted(linear_cells, frames):
    spike = np.zeros((1, 36, 64), np.float32)
    spike[0, 3, 3] = 1
    mixed = np.concatenate([np.full((2, 36, 64), 99.0, np.float32), spike, frames[:5]])
    found = search_natural(linear_cells, mixed, [0, 1], mean=110.0, contrast=20.0)
    assert (found.n_searched, found.n_flat, found.n_unreachable) == (5, 2, 1)
    assert (found.best >= 3).all()


def test_of_equal_images_the_first_wins(linear_cells, frames):
    twice = np.concatenate([frames[:4], frames[:4]])
    found = search_natural(linear_cells, twice, range(6), mean=110.0, contrast=8.0, batch_size=3)
    assert (found.best < 4).all()


def test_no_image_at_all_is_refused(linear_cells, frames):
    for images in (frames[:0], np.full((2, 36, 64), 7.0, np.float32)):
        with pytest.raises(DataError, match="expected one or more"):
            search_natural(linear_cells, images, [0], mean=110.0, contrast=8.0)
