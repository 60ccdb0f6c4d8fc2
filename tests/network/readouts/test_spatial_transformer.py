from __future__ import annotations

import torch

from inception_loop.network.readouts import SpatialTransformer2d, SpatialTransformerPyramid2d


def test_it_reads_the_pixel_it_looks_at(generator):
    readout = SpatialTransformer2d().build(3, 2, (5, 9), generator)
    readout.start_at(torch.tensor([[-1.0, -1.0], [0.25, 0.5], [1.0, 0.0]]))
    with torch.no_grad():
        readout.features.copy_(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[2.0, -1.0]]]))
    x = torch.randn(4, 2, 5, 9, generator=generator)
    expected = (x[:, 0, 0, 0], x[:, 1, 3, 5], 2 * x[:, 0, 2, 8] - x[:, 1, 2, 8])
    torch.testing.assert_close(readout(x), torch.stack(expected, 1))


def test_it_is_the_pyramid_readout_without_splits(generator):
    x = torch.randn(4, 2, 5, 9, generator=generator)
    one, other = (
        config.build(12, 2, (5, 9), torch.Generator().manual_seed(2))
        for config in (SpatialTransformer2d(), SpatialTransformerPyramid2d(scale_n=0))
    )
    torch.testing.assert_close(one(x), other(x))
    torch.testing.assert_close(one.regularizer(), other.regularizer())
