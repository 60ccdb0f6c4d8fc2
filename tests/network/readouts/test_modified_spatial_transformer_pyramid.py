from __future__ import annotations

import pytest
import torch

from inception_loop.network.readouts import ModifiedSpatialTransformerPyramid2d, SpatialTransformerPyramid2d


def test_levels_are_differences_to_the_blurred_map_at_full_size(generator):
    x = torch.randn(2, 3, 22, 50, generator=generator)
    pyramid = ModifiedSpatialTransformerPyramid2d(scale_n=2).levels((22, 50))
    half = pyramid.blur(x)[:, :, ::2, ::2]
    expected = [x - pyramid.blur(x), half - pyramid.blur(half), pyramid.blur(half)[:, :, ::2, ::2]]
    for got, level in zip(pyramid.split(x), expected, strict=True):
        torch.testing.assert_close(got, level)


def test_only_where_maps_are_halved_does_it_differ_from_the_pyramid(generator):
    x = torch.randn(2, 3, 22, 50, generator=generator)
    for downsample in (False, True):
        published, modified = (
            config(scale_n=3, downsample=downsample).levels((22, 50)).split(x)
            for config in (SpatialTransformerPyramid2d, ModifiedSpatialTransformerPyramid2d)
        )
        same = [torch.equal(a, b) for a, b in zip(published, modified, strict=True)]
        assert same == [not downsample] * 3 + [True]


@pytest.mark.parametrize("config", [SpatialTransformerPyramid2d, ModifiedSpatialTransformerPyramid2d])
def test_a_map_shifted_by_whole_pixels_of_all_levels_is_a_shifted_eye(config, generator):
    """Two splits keep every fourth px; the sides are such that the corners are kept."""
    readout = config(scale_n=2, init_range=0.2).build(9, 3, (33, 65), generator)
    with torch.no_grad():
        readout.features.copy_(torch.randn(readout.features.shape, generator=generator))
    x = torch.randn(2, 3, 33, 65, generator=generator)
    eye = torch.tensor([[4 * 2 / 64, -4 * 2 / 32]]).expand(2, 2)
    torch.testing.assert_close(readout(x, eye), readout(x.roll((4, -4), (2, 3))), atol=1e-4, rtol=1e-4)
