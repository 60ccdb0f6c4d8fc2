"""The axis of a stack of networks, for functions with a ``vmap`` rule of their own."""

from __future__ import annotations

from torch import Tensor


def fold(value: Tensor, dim: int | None, count: int, axis: int) -> Tensor:
    """Let the axis of ``count`` networks become one with ``axis``, network by network.

    Parameters
    ----------
    value
        Values of all networks along ``dim``; None: all have the same.
    count
        Number of networks.
    axis
        Of one network's values.

    Examples
    --------
    >>> import torch
    >>> fold(torch.tensor([[1, 2], [3, 4]]), 0, 2, 0)
    tensor([1, 2, 3, 4])
    """
    stacked = value.expand(count, *value.shape) if dim is None else value.movedim(dim, 0)
    return stacked.movedim(0, axis).flatten(axis, axis + 1)


def unfold(value: Tensor, count: int, axis: int) -> Tensor:
    """Take networks and ``axis`` apart again: the networks come out at ``axis``, before it."""
    return value.view(*value.shape[:axis], count, -1, *value.shape[axis + 1 :])
