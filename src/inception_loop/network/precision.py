"""Numbers of a network: the core's in the precision of its images, all others in float32 and no less.

A precision is handed on by the values themselves: every layer takes its weights in that of what it sees.
``torch.autocast`` would not do, since under ``vmap`` convolutions are other operations than it knows, and a
stack of networks would silently stay in float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.network.stacks import fold, unfold


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, groups: int = 1
) -> Tensor:
    """Convolve in the precision of what is convolved.

    Parameters
    ----------
    x
        (B, C, H, W).
    weight
        (out, C / groups, k, k), learnt in float32.
    bias
        (out,) or none.
    padding
        Zeros around ``x``, px.
    groups
        Of channels convolved apart.

    Returns
    -------
    Tensor
        (B, out, H + 2 padding - k + 1, …) in the precision of ``x``.

    Examples
    --------
    >>> convolve(torch.ones(1, 1, 3, 3).bfloat16(), torch.ones(1, 1, 3, 3))
    tensor([[[[9.]]]], dtype=torch.bfloat16)
    """
    taken = None if bias is None else bias.to(x.dtype)
    return functional.conv2d(x, weight.to(x.dtype), taken, padding=padding, groups=groups)


def normalise(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Apply batch norm; the result has the precision of ``x``, statistics, scale and offset are float32.

    Parameters
    ----------
    norm
        With running statistics and a momentum.
    x
        (B, C, H, W).
    """
    if x.dtype == norm.weight.dtype:
        return cast(Tensor, norm(x))
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    running = norm.running_mean, norm.running_var
    how = _How(norm.training, norm.momentum or 0.0, norm.eps)
    return cast(Tensor, _BatchNorm.apply(how, x, norm.weight, norm.bias, *running)[0])


class _How(NamedTuple):
    training: bool
    momentum: float
    eps: float


class _BatchNorm(torch.autograd.Function):
    """The library's batch norm of maps in half precision, and the ``vmap`` rule that it has for one only.

    Networks side by side as channels are normalised by the very operations as each alone.
    """

    @staticmethod
    def forward(
        how: _How, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised maps, and the mean and inverse s.d. of the batch, if it is one of training."""
        return torch.native_batch_norm(x, weight, bias, mean, var, *how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        how, x, weight, _, mean, var = inputs
        ctx.how = how
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        running = () if how.training else (mean, var)  # a batch changes them, and does not use them
        ctx.save_for_backward(x, weight, *output[1:], *running)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        made = (None,) * 3 if grad is None else _BatchNormGradient.apply(ctx.how, grad, *ctx.saved_tensors)
        return (None, *made, None, None)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], how: _How, *values: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
        count, dims = info.batch_size, in_dims[1:]
        folded = [
            fold(v, dim, count, 1 if v is values[0] else 0) for v, dim in zip(values, dims, strict=True)
        ]
        out, *of_batch = _BatchNorm.apply(how, *folded)
        if how.training:
            for value, dim, changed in zip(values[3:], dims[3:], folded[3:], strict=True):
                value.movedim(dim, 0).copy_(unfold(changed, count, 0))
        kept = [unfold(v, count, 0) if how.training else v for v in of_batch]
        return (unfold(out, count, 1), *kept), (1, *((0 if how.training else None,) * 2))


class _BatchNormGradient(torch.autograd.Function):
    """The backward pass of `_BatchNorm`, apart because ``vmap`` needs a rule for it as well."""

    @staticmethod
    def forward(how: _How, grad: Tensor, x: Tensor, weight: Tensor, *kept: Tensor) -> tuple[Tensor, ...]:
        of_batch, running = kept[:2], kept[2:] or (None, None)
        made = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, *running, *of_batch, how.training, how.eps, [True] * 3
        )
        return cast(tuple[Tensor, ...], tuple(made))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing: there is no second derivative."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], how: _How, *values: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, int, int]]:
        count, axes = info.batch_size, (1, 1, *[0] * (len(values) - 2))
        folded = [fold(v, dim, count, axis) for v, dim, axis in zip(values, in_dims[1:], axes, strict=True)]
        to_x, *to_parameters = _BatchNormGradient.apply(how, *folded)
        return (unfold(to_x, count, 1), *(unfold(v, count, 0) for v in to_parameters)), (1, 0, 0)


def keep_float32() -> None:
    """Let convolutions of float32 on a GPU be that, not of TF32, which keeps 3 of its 7 digits.

    TF32 is the library's own choice. The switch is the process's: it stays off, since gradients are made
    after the network has returned, and recurrent networks are switched with convolutions (one without the
    other is a state in which the library refuses to tell it).
    """
    torch.backends.cudnn.allow_tf32 = False
