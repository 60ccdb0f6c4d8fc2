"""The output nonlinearities: drive to expected response, always positive."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Output = Literal["elu1", "softplus"]


def respond(drive: Tensor, output: Output) -> Tensor:
    """Turn drive of any shape into responses: ELU + 1 (published), or ``log(1 + exp(drive))``.

    Examples
    --------
    >>> respond(torch.tensor([-50.0, 0.0, 2.0]), "elu1")
    tensor([0., 1., 3.])
    """
    return functional.softplus(drive) if output == "softplus" else functional.elu(drive) + 1


def drive_of(response: Tensor, output: Output) -> Tensor:
    """Return the bias whose response is a mean response, where it starts.

    For ELU + 1 the response less 1, as published: exact from 1 on, and for weaker units a start above
    their mean. For softplus the inverse, ``log(exp(response) - 1)``; above 20 torch's softplus is a line.

    Examples
    --------
    >>> drive_of(torch.tensor([3.0]), "elu1"), respond(drive_of(torch.tensor([3.0]), "softplus"), "softplus")
    (tensor([2.]), tensor([3.]))
    """
    if output == "elu1":
        return response - 1
    curved = response + torch.log(-torch.expm1(-response.clamp(min=1e-6)))
    return torch.where(response > 20, response, curved)
