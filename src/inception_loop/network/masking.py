"""Maps seen through masks: moved with the eye, then weighed and summed over pixels and features.

A unit's output is ``mask · X · features`` with the map X (pixels × features) of an image. The masked maps of
all units (images × features × units) would be far larger than the maps: they are made for a few images at a
time, and once more on the way back.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from inception_loop.network.bounds import kept_within
from inception_loop.network.stacks import fold, unfold

CACHED_BYTES = 16 << 20
"""Of masked maps at a time."""


def moved(x: Tensor, shift: Tensor) -> Tensor:
    """Look at every map shifted, bilinearly; beyond the border the border counts.

    Parameters
    ----------
    x
        (B, C, H, W) maps.
    shift
        (B, 2) shift (x, y) of each, in units of the map: 2 is from one corner pixel to the next.

    Returns
    -------
    Tensor
        (B, C, H, W): what pixel p shows now, x shows at p + shift.

    Examples
    --------
    >>> moved(torch.arange(3.0).view(1, 1, 1, 3), torch.tensor([[0.5, 0.0]]))
    tensor([[[[0.5000, 1.5000, 2.0000]]]])
    """
    columns, rows = (_interpolation(shift[:, axis], x.shape[3 - axis]) for axis in (0, 1))
    return rows[:, None] @ x @ columns[:, None].mT


def _interpolation(shift: Tensor, side: int) -> Tensor:
    """(B, side, side) matrices that look along one axis at places shifted by (B,), units of the map."""
    pixel = torch.arange(side, device=shift.device)
    at = kept_within(pixel + shift[:, None] * ((side - 1) / 2), 0, side - 1)
    low = at.detach().floor().clamp(max=max(side - 2, 0))
    share = (at - low)[..., None]
    nothing = torch.zeros_like(share)
    is_low, is_high = pixel == low[..., None], pixel == low[..., None] + 1
    return torch.where(is_low, 1 - share, torch.where(is_high, share, nothing))


class _MaskedDot(torch.autograd.Function):
    """`masked_dot` of M networks at once, with its own backward pass."""

    @staticmethod
    def forward(x: Tensor, masks: Tensor, features: Tensor) -> Tensor:
        parts = [(_seen(part, masks) * features.mT[:, None]).sum(2) for part in _few(x, masks)]
        return torch.cat(parts, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return cast(tuple[Tensor, Tensor, Tensor], _MaskedDotGradient.apply(grad, *ctx.saved_tensors))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Tensor) -> tuple[Tensor, int]:
        folded = [fold(v, dim, info.batch_size, 0) for v, dim in zip(values, in_dims, strict=True)]
        return unfold(_MaskedDot.apply(*folded), info.batch_size, 0), 0


class _MaskedDotGradient(torch.autograd.Function):
    """The backward pass of `_MaskedDot`, apart because ``vmap`` needs a rule for it as well."""

    @staticmethod
    def forward(grad: Tensor, x: Tensor, masks: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        to_x, to_masks, to_features = [], torch.zeros_like(masks), torch.zeros_like(features)
        start = 0
        for part in _few(x, masks):
            up = grad[:, start : start + part.shape[1], None]
            start += part.shape[1]
            to_features += (_seen(part, masks) * up).sum(1).mT
            weighed = (up * features.mT[:, None]).flatten(1, 2)
            to_masks += weighed.mT @ part.flatten(1, 2)
            to_x.append((weighed @ masks).view(part.shape))
        return torch.cat(to_x, 1), to_masks, to_features

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing: there is no second derivative."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], *values: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, int, int]]:
        folded = [fold(v, dim, info.batch_size, 0) for v, dim in zip(values, in_dims, strict=True)]
        out = _MaskedDotGradient.apply(*folded)
        return tuple(unfold(v, info.batch_size, 0) for v in out), (0, 0, 0)


def _few(x: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
    """Split the images of (M, B, C, P) into parts whose masked maps stay in the cache."""
    an_image = x[:, 0, :, 0].numel() * masks.shape[1] * x.element_size()
    return torch.split(x, max(1, CACHED_BYTES // an_image), 1)


def _seen(x: Tensor, masks: Tensor) -> Tensor:
    """(M, B, C, N) sums over the pixels of (M, B, C, P), weighed by (M, N, P)."""
    return (x.flatten(1, 2) @ masks.mT).view(*x.shape[:3], -1)


def masked_dot(x: Tensor, masks: Tensor, features: Tensor) -> Tensor:
    """Sum over pixels and features of every map, weighed by each unit's mask and feature weights.

    Parameters
    ----------
    x
        (B, C, H, W) maps.
    masks
        (U, H, W).
    features
        (U, C).

    Returns
    -------
    Tensor
        (B, U).

    Examples
    --------
    >>> masked_dot(torch.ones(1, 3, 2, 2), torch.full((1, 2, 2), 0.5), torch.ones(1, 3))
    tensor([[6.]])
    """
    out: Tensor = _MaskedDot.apply(x.flatten(2)[None], masks.flatten(1)[None], features[None])
    return out[0]
