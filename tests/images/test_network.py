"""Any callable can be asked for single units."""

import torch

from inception_loop.images.network import CallableModel


def test_pairs_are_the_diagonal_of_every_image_by_every_unit():
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(9, 4, 5, generator=generator)
    pixels, units = torch.randn(3, 4, 5, generator=generator), torch.tensor([8, 0, 0])
    model = CallableModel(lambda x, u: torch.einsum("bhw,uhw->bu", x, filters[u]), 0.0, 1.0, (4, 5))
    assert model(pixels, units).shape == (3, 3)
    assert torch.allclose(model.paired(pixels, units), (pixels * filters[units]).sum((1, 2)), atol=1e-5)


def test_a_callable_for_pairs_is_used_where_there_is_one():
    model = CallableModel(
        lambda x, u: x.new_zeros(1, 1), 0.0, 1.0, (4, 5), paired_units=lambda x, u: x[:, 0, 0]
    )
    assert model.paired(torch.ones(2, 4, 5), torch.tensor([0, 1])).tolist() == [1, 1]
