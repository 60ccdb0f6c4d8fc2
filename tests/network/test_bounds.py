from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.network.bounds import kept_within


@given(st.lists(st.floats(-5, 5, width=32), min_size=1))
def test_it_is_a_clamp_whose_gradient_is_one_up_to_the_bounds(values):
    x = torch.tensor(values, requires_grad=True)
    kept = kept_within(x, -1, 2)
    assert torch.equal(kept, x.clamp(-1, 2))
    (grad,) = torch.autograd.grad(kept.sum(), x)
    assert grad.tolist() == [float(-1 <= v <= 2) for v in values]


def test_bounds_may_differ_from_place_to_place():
    x = torch.tensor([[0.0, 3.0], [-1.0, 1.0]])
    low, high = torch.tensor([0.5, 0.0]), torch.tensor([1.0, 2.0])
    assert kept_within(x, low, high).tolist() == [[0.5, 2.0], [0.5, 1.0]]
