"""Step sizes are met exactly and image by image."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.images.ascent.steps import MeanAbsoluteStep, Ramp, RmsStep

GRADIENT = torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(1))


@given(st.floats(0.01, 50), st.floats(0.01, 50), st.floats(0, 1))
def test_a_ramp_lies_between_its_ends(start, end, progress):
    value = Ramp(start, end)(progress)
    assert min(start, end) - 1e-9 <= value <= max(start, end) + 1e-9


def test_the_mean_absolute_change_of_each_image_is_the_size():
    change = MeanAbsoluteStep(Ramp(2.0, 1.0))(GRADIENT * torch.tensor([1.0, 1e-6, 1e6])[:, None, None], 0.5)
    assert torch.allclose(change.abs().mean((1, 2)), torch.tensor(1.5))


def test_the_rms_change_of_each_image_is_the_size_even_where_squares_underflow():
    change = RmsStep(Ramp(2.0, 2.0))(GRADIENT * torch.tensor([1.0, 1e-30, 1e30])[:, None, None], 0.5)
    assert torch.allclose(change.square().mean((1, 2)).sqrt(), torch.tensor(2.0))


def test_no_gradient_is_no_step():
    for rule in (MeanAbsoluteStep(Ramp(2.0, 2.0)), RmsStep(Ramp(2.0, 2.0))):
        assert not rule(torch.zeros(2, 3, 4), 0.0).any()


def test_a_step_points_along_its_own_gradient():
    change = RmsStep(Ramp(2.0, 2.0))(GRADIENT, 0.0)
    ratio = change / GRADIENT
    assert torch.allclose(ratio, ratio[:, :1, :1].expand_as(ratio), rtol=1e-4)
    assert (ratio > 0).all()
