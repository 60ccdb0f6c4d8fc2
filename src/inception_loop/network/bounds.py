"""Bounds that what reached them can leave again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def kept_within(x: Tensor, low: Any, high: Any) -> Tensor:
    """Clamp, with gradient 1 from bound to bound, the bounds included, and 0 beyond.

    ``torch.clamp`` has, depending on its version, gradient 0 at the bounds: a learnt place that was brought
    back to the border could never leave it.

    Parameters
    ----------
    x
        Any shape.
    low, high
        Bounds, both numbers or both tensors.

    Examples
    --------
    >>> x = torch.tensor([-2.0, -1.0, 0.5], requires_grad=True)
    >>> kept_within(x, -1.0, 1.0).sum().backward()
    >>> x.grad
    tensor([0., 1., 1.])
    """
    kept = torch.clamp(x.detach(), low, high)
    return torch.where(x == kept, x, kept)
