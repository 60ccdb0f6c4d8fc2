from __future__ import annotations

import pytest
import torch

from inception_loop.errors import ConfigurationError
from inception_loop.network.pooling import Pooled


@pytest.mark.parametrize("size", [(22, 50), (9, 8), (1, 4)])
def test_every_level_is_rows_times_map_times_columns(generator, size):
    steps = min(size).bit_length() - 1
    pooled = Pooled(size, steps)
    x = torch.randn(2, 3, *size, generator=generator)
    for level, (height, width) in enumerate(pooled.sizes):
        rows, columns = pooled.row_terms[level, :height], pooled.column_terms[level, :width]
        torch.testing.assert_close(pooled.split(x)[level], rows @ x @ columns.T, atol=1e-6, rtol=1e-5)


def test_a_level_is_the_mean_over_squares(generator):
    x = torch.randn(1, 1, 16, 24, generator=generator)
    expected = x.view(1, 1, 4, 4, 6, 4).mean((3, 5))
    torch.testing.assert_close(Pooled((16, 24), 2).split(x)[2], expected, atol=1e-6, rtol=1e-5)


def test_halving_more_often_than_there_are_pixels_is_refused():
    with pytest.raises(ConfigurationError, match=r"4x9 px cannot be halved 3 times.*at most 2"):
        Pooled((4, 9), 3)
