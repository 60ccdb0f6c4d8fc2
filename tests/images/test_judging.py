"""What is measured of an image is what a slow look finds."""

import pytest
import torch

from inception_loop.images.judging import Judging, judge
from inception_loop.images.shifting import shift_images


def test_every_displacement_is_tried_with_its_own_unit(energy_cells, noise):
    images, units = noise(3), [3, 1, 17]
    found = judge(energy_cells, images, units, Judging(gains=2, reach=4, step=2))
    assert found.offsets.tolist() == [-4, -2, 0, 2, 4]
    for row, unit in enumerate(units):
        moved = shift_images(images[row : row + 1], (2, -4))  # right, up
        expected = energy_cells.paired(moved, torch.tensor([unit])).item()
        assert found.shifted[row, 0, 3] == pytest.approx(expected)
    assert found.shifted[:, 2, 2] == pytest.approx(found.reference_activation)


def test_the_validator_judges_and_the_reference_compares(energy_cells, linear_cells, noise):
    images, units = noise(2), [5, 6]
    found = judge(energy_cells, images, units, Judging(gains=3, reach=0), validator=linear_cells)
    expected = linear_cells.paired(images, torch.tensor(units)).numpy()
    assert found.validator_activation == pytest.approx(expected)
    assert found.tuning.activations.shape == (2, 3)
    assert judge(energy_cells, images, units, Judging(gains=2, reach=0)).validator_activation is None


def test_a_step_beyond_the_reach_leaves_the_own_place_alone():
    assert Judging(reach=5, step=6).offsets == (0,)
    assert Judging(reach=5, step=5).offsets == (-5, 0, 5)
