from __future__ import annotations

import pytest
import torch

from inception_loop.network.stacks import fold, unfold


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("axis", [0, 1])
def test_what_was_folded_unfolds_network_by_network(generator, dim, axis):
    one = [torch.randn(3, 4, generator=generator) for _ in range(5)]
    folded = fold(torch.stack(one, dim), dim, 5, axis)
    assert torch.equal(folded, torch.cat(one, axis))
    assert torch.equal(unfold(folded, 5, axis), torch.stack(one, axis))


def test_what_all_networks_share_is_repeated():
    assert fold(torch.tensor([1, 2]), None, 2, 0).tolist() == [1, 2, 1, 2]
