"""Linear receptive fields of cells whose gradient is known."""

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.ascent.synthesis import synthesize
from inception_loop.images.rf import GradRFConfig, linear_rf, make_grad_rf, point_rf


def test_the_gradient_of_a_linear_unit_is_its_filter(linear_cells, even):
    gradient, activation = point_rf(linear_cells, [4, 2])
    assert torch.allclose(gradient, even[[4, 2]], atol=1e-6)
    assert torch.allclose(activation, torch.zeros(2), atol=1e-3)


def test_the_gradient_is_taken_at_the_grey_of_the_training_mean(model_of, even):
    squared = model_of(lambda x, u: ((x * even[u]).sum((1, 2)) + x.mean((1, 2))) ** 2)
    gradient, activation = point_rf(squared, [0])
    assert torch.allclose(gradient[0], 2 * 110 * (even[0] + 1 / 2304), rtol=1e-3, atol=1e-4)
    assert activation.item() == pytest.approx(110**2, rel=1e-4)


def test_the_linear_image_of_a_linear_nonlinear_cell_is_its_filter(ln_cells, even, cosine):
    found = linear_rf(ln_cells, range(6), procedure=Fast(smoothing=0.0))
    assert cosine(found.ascent.images, even[:6]).min() > 0.99
    assert torch.allclose(cosine(found.point_rf, even[:6]), torch.ones(6), atol=1e-4)


def test_for_a_complex_cell_the_linear_image_is_no_good_image(model_of, even, odd):
    # a cell that is energy with a little of the odd filter: its gradient at grey sees the odd part only
    def drive(x, u):
        delta = x - 110
        pair = [(delta * f[u]).sum((1, 2)) for f in (even, odd)]
        return 0.1 * pair[1] + (pair[0] ** 2 + pair[1] ** 2 * 0.3) / 100

    cells = model_of(drive)
    linear = linear_rf(cells, range(4)).ascent
    mei = synthesize(
        unit_objective(cells, range(4)),
        ["0", "1", "2", "3"],
        Fast(),
        seed=1,
        image_mean=110.0,
        image_std=50.0,
        image_size=(36, 64),
    )
    assert (linear.scores / mei.scores).max() < 0.6


def test_scores_are_activations_and_the_linear_score_is_what_the_gradient_promises(ln_cells):
    found = linear_rf(ln_cells, [0, 5])
    shown = ln_cells.paired(found.ascent.images, torch.tensor([0, 5]))
    assert torch.allclose(found.ascent.scores, shown, rtol=1e-5)
    promised = ((found.ascent.images - 110) * found.point_rf).sum((1, 2))
    assert torch.allclose(found.linear_score, promised, rtol=1e-5)


def test_the_scale_of_the_gradient_does_not_matter(model_of, even):
    loud, faint = (model_of(lambda x, u, s=s: s * (x * even[u]).sum((1, 2))) for s in (1e6, 1e-30))
    images = [linear_rf(cells, [3]).ascent.images for cells in (loud, faint)]
    assert torch.allclose(*images, atol=0.01)


def test_the_artifact_holds_image_and_gradient(store, models, networks, target, ln_cells):
    ref = make_grad_rf(store, GradRFConfig(**target), networks=networks(models, ln_cells)).ref
    arrays, table = store.arrays(ref, "images"), store.table(ref, "grad_rf")
    assert arrays["images"].shape == arrays["point_rf"].shape == (3, 36, 64)
    assert table["unit_id"].to_list() == [103, 101, 117]
    assert (table["activation"] > table["grey_activation"]).all()
    assert arrays["images"].mean((1, 2), dtype=np.float64) == pytest.approx(110 * np.ones(3), rel=1e-5)


def test_an_offset_of_the_gradient_does_not_end_the_ascent_early(model_of, even, cosine):
    bright = model_of(lambda x, u: (x * even[u]).sum((1, 2)) + 50 * x.mean((1, 2)))
    found = linear_rf(bright, range(6), procedure=Fast(smoothing=0.0))
    assert cosine(found.ascent.images, even[:6]).min() > 0.99


def test_a_unit_without_gradient_at_grey_is_refused(model_of, even):
    deaf = model_of(lambda x, u: (x * even[u]).sum((1, 2)) * (u < 8))
    with pytest.raises(DataError, match="no gradient at grey: 8, 9; expected"):
        linear_rf(deaf, [1, 8, 9])
