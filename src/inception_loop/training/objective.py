"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-12


def poisson_loss(predicted: Tensor, observed: Tensor) -> Tensor:
    """Poisson negative log-likelihood without its constant, ``q - y log(q + 1e-12)``, mean over all entries.

    Parameters
    ----------
    predicted
        (B, N) expected responses q, positive.
    observed
        (B, N) responses y; they need not be whole numbers.

    Returns
    -------
    Tensor
        Scalar, smallest where q is y.

    Examples
    --------
    >>> poisson_loss(torch.ones(2, 3), torch.zeros(2, 3)).item()
    1.0
    """
    return (predicted - observed * torch.log(predicted + EPSILON)).mean()
