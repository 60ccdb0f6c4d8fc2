"""Sets of images: every one exciting enough by construction, all as unlike each other as is possible."""

import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.ascent.similarity import most_similar, pair_similarity
from inception_loop.images.contrast import rms_contrast
from inception_loop.images.diverse import Spreading, diverse_sets

SHARP = Fast(smoothing=0.0)
SHORT = Spreading(iterations=60)


def best_of(filters, contrast=8.0):
    """Images at the mean 110 and the contrast along the filters."""
    return 110 + filters * contrast * 48


@pytest.fixture
def driven(model_of, even):
    return model_of(lambda x, u: ((x - 110) * even[u]).sum((1, 2)))


@pytest.mark.parametrize("size", [2, 4])
def test_a_linear_unit_reaches_the_least_similarity_that_its_share_allows(driven, even, size):
    # K images at the cosine c with the filter; what is left of each best forms a regular simplex
    found = diverse_sets(driven, [0, 1], best_of(even[:2]), images=size, procedure=SHARP, spreading=SHORT)
    least = 0.85**2 - (1 - 0.85**2) / (size - 1)
    pairs = found.similarity[:, ~torch.eye(size, dtype=torch.bool)]
    assert found.shares.min() >= 0.85
    assert pairs.min() > least - 1e-3
    assert pairs.max() < least + 0.03


def test_a_complex_cell_has_opposite_images(energy_cells, even):
    found = diverse_sets(energy_cells, [3, 7], best_of(even[[3, 7]]), images=2, spreading=SHORT)
    assert found.shares.min() >= 0.85
    assert found.similarity[:, 0, 1].max() < -0.95


def test_all_images_have_the_mean_and_contrast_and_the_best_is_the_given_one(driven, even):
    found = diverse_sets(driven, [0], best_of(even[:1], 30.0), images=3, procedure=SHARP, spreading=SHORT)
    assert torch.allclose(found.images[0].mean((1, 2)), torch.tensor(110.0), atol=1e-3)
    assert torch.allclose(rms_contrast(found.images[0]), torch.tensor(8.0), rtol=1e-4)
    assert found.best[0] == pytest.approx(8 * 48, rel=1e-3)  # at the contrast of the set


def test_within_a_mask_only_what_it_shows_is_driven_apart(driven, even):
    mask = (even[:1].abs() > 0.3 * even[:1].abs().amax()).float()
    same = {"images": 2, "procedure": SHARP, "spreading": SHORT}
    found = diverse_sets(driven, [0], best_of(even[:1]), mask=mask, **same)
    open_ = diverse_sets(driven, [0], best_of(even[:1]), **same)
    assert found.shares.min() >= 0.85
    assert found.similarity[0, 0, 1] < pair_similarity(open_.images, mask)[0, 0, 1] - 0.2


def test_where_nothing_can_be_found_the_best_image_is_returned_as_often(driven, even):
    hopeless = Spreading(iterations=1, step_start=1e-6, step_end=1e-6)
    found = diverse_sets(
        driven, [0], best_of(even[:1]), images=2, share=0.999, procedure=SHARP, spreading=hopeless
    )
    assert found.shares.min() >= 0.999


def test_a_unit_whose_best_image_does_not_excite_is_refused(model_of, even):
    cells = model_of(lambda x, u: ((x - 110) * even[u]).sum((1, 2)) - 1e4)
    with pytest.raises(DataError, match=r"the activation by the best image: a/7 \(-.*expected one above 0"):
        diverse_sets(cells, [7], best_of(even[7:8]), keys=["a/7"], images=2)


def test_the_most_similar_pair_counts_most():
    similarity = torch.eye(3) + torch.tensor([[0, 0.9, 0.0], [0.9, 0, 0], [0, 0, 0]])
    soft, sharp = (most_similar(similarity[None], s).item() for s in (1e-3, 1e3))
    assert soft == pytest.approx(0.3, abs=1e-2)
    assert sharp == pytest.approx(0.9, abs=1e-2)


def test_correlation_is_that_of_the_pixels_in_the_mask():
    sets = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(2, 6, 7)
    mask[:, 1:4, 2:6] = 1
    inside = sets[0, :, 1:4, 2:6].flatten(1)
    assert torch.allclose(pair_similarity(sets, mask)[0], torch.corrcoef(inside), atol=1e-5)
    assert torch.allclose(pair_similarity(sets)[1], torch.corrcoef(sets[1].flatten(1)), atol=1e-5)
