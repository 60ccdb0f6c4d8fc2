"""Measures of recovery on cells whose best image is known."""

import numpy as np
import pytest

from inception_loop.errors import DataError
from inception_loop.images.recovery import image_cosine, share_of_maximum


@pytest.fixture
def filters(even):
    return even[:6].numpy().astype(np.float64)


def respond_of(filters, offset=2.0):
    """Linear cells with a baseline, half-rectified."""

    def respond(images):
        drive = np.tensordot(images.astype(np.float64) - 110, filters, ((1, 2), (1, 2)))
        return offset + np.maximum(drive, 0) ** 2

    return respond


def test_the_filter_itself_has_cosine_one_at_any_mean_and_contrast(filters):
    assert image_cosine(90 + 31 * filters, 5 * filters + 1) == pytest.approx(np.ones(6))
    assert image_cosine(90 - 31 * filters, filters) == pytest.approx(-np.ones(6))


def test_a_mixture_has_the_cosine_of_its_angle(filters):
    rng = np.random.default_rng(1)
    other = rng.normal(size=filters.shape)
    other -= other.mean((1, 2), keepdims=True)
    other -= (other * filters).sum((1, 2), keepdims=True) * filters
    other /= np.sqrt((other**2).sum((1, 2), keepdims=True))
    assert image_cosine(100 + 20 * (0.6 * filters + 0.8 * other), filters) == pytest.approx(0.6 * np.ones(6))


def test_the_best_image_has_the_whole_maximum_whatever_its_scale(filters):
    columns = np.arange(6)
    share = share_of_maximum(respond_of(filters), 70 + 3 * filters, filters, columns, mean=110.0)
    assert share == pytest.approx(np.ones(6))


def test_the_share_follows_the_true_nonlinearity_with_the_baseline_off(filters):
    rng = np.random.default_rng(1)
    noisy = filters + 0.02 * rng.normal(size=filters.shape)
    expected = image_cosine(noisy, filters) ** 2  # squared rectifier
    share = share_of_maximum(respond_of(filters), noisy, filters, np.arange(6), mean=110.0, norm=200.0)
    assert share == pytest.approx(expected, rel=1e-4)


def test_the_norm_is_the_images_own_unless_told(filters):
    seen = []

    def watched(images):
        seen.append(np.sqrt(((images - 110.0) ** 2).sum((1, 2))))
        return respond_of(filters)(images)

    share_of_maximum(watched, 70 + 31 * filters, filters, np.arange(6), mean=110.0)
    assert np.concatenate(seen[:2]) == pytest.approx(31 * np.ones(12), rel=1e-4)


def test_no_pixel_clips_at_the_norm_chosen(filters):
    seen = []
    respond = respond_of(filters)

    def watched(images):
        seen.append((images.min(), images.max()))
        return respond(images)

    share_of_maximum(watched, filters, filters, np.arange(6), mean=110.0, norm=1e9, batch_size=2)
    assert min(low for low, _ in seen) >= -1e-3
    assert max(high for _, high in seen) <= 255 + 1e-3


def test_columns_say_which_cell_an_image_belongs_to(filters):
    columns = np.array([4, 0])
    share = share_of_maximum(respond_of(filters), filters[columns], filters[columns], columns, mean=110.0)
    assert share == pytest.approx([1, 1])


def test_bad_input_is_refused(filters):
    with pytest.raises(DataError, match="expected a filter an image"):
        image_cosine(filters, filters[:2])
    with pytest.raises(DataError, match="picture 1 is flat"):
        image_cosine(np.stack([filters[0], np.ones((36, 64))]), filters[:2])
    silent = np.array([3])
    with pytest.raises(DataError, match="cell 3 answers to its best image no more than to grey"):
        share_of_maximum(lambda x: np.ones((len(x), 6)), filters[:1], filters[:1], silent, mean=110.0)
