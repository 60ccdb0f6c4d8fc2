"""The example of an own objective reaches the optimum of a quadratic form, known from its eigenvalues."""

import numpy as np
import pytest
import torch

from inception_loop.pictures.gabor import gabor


@pytest.fixture(scope="module")
def found(load_example, one_thread):
    return load_example("own_objective"), load_example("own_objective").main()


def optimum(example, this, that, price, norm):
    """The largest value of ‖F_this x‖² − price ‖F_that x‖² at |x| = norm, x free."""
    shape = {"center_x": 31.5, "center_y": 17.5, "wavelength": 9.0, "sigma": 4.0}

    def form(cell):
        pair = [
            gabor(*example.SIZE, orientation=example.ORIENTATIONS[cell], phase=p, **shape)
            for p in (0, np.pi / 2)
        ]
        flat = np.array(pair).reshape(2, -1)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        return flat.T @ flat

    return np.linalg.eigvalsh(form(this) - price * form(that))[-1] * norm**2


@pytest.mark.parametrize(("name", "price"), [("most exciting", 0.0), ("and not the other", 2.0)])
def test_both_objectives_come_near_their_largest_value(found, name, price):
    example, result = found
    norm = 8.0 * np.sqrt(np.prod(example.SIZE)) / 50
    for row, (this, that) in enumerate([(0, 1), (1, 0)]):
        own, other = result.answers[name][row]
        best = optimum(example, this, that, price, norm)
        assert 0.97 * best <= own - price * other <= 1.001 * best


def test_the_selective_image_spares_the_other_cell(found):
    _, result = found
    before, after = result.answers["most exciting"], result.answers["and not the other"]
    assert (after[:, 1] < 0.15 * before[:, 1]).all()
    assert (after[:, 0] > 0.75 * before[:, 0]).all()
    assert torch.isfinite(result.selective.images).all()
