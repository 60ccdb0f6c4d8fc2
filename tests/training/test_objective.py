from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.training.objective import poisson_loss


def test_it_is_the_mean_of_q_minus_y_log_q():
    rng = np.random.default_rng(1)
    q, y = rng.uniform(0.1, 3, (4, 5)), rng.uniform(0, 3, (4, 5))
    expected = np.mean(q - y * np.log(q + 1e-12))
    assert poisson_loss(torch.tensor(q), torch.tensor(y)).item() == pytest.approx(expected)


def test_it_is_smallest_at_the_response_and_finite_at_zero():
    y = torch.tensor([[0.7, 2.0]])
    least = poisson_loss(y, y)
    assert all(poisson_loss(y * factor, y) > least for factor in (0.9, 1.1))
    assert torch.isfinite(poisson_loss(torch.zeros(1, 2), y))
