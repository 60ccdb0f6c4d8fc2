"""Whether where units look is still a number: a place that is none would be looked up outside of the map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inception_loop.network.network import Network


class Places(nn.Module):
    """A network whose output says whether the places of a scan's units are finite numbers.

    Parameters
    ----------
    network
        The network.
    key
        Readout key.

    Examples
    --------
    >>> from inception_loop.network.config import CorePlusReadout
    >>> network = Network(CorePlusReadout(), {"a": 5}, (36, 64), torch.Generator().manual_seed(1))
    >>> Places(network, "a")(torch.zeros(2, 2)), Places(network, "a")(torch.full((2, 2), torch.nan))
    (tensor(0.), tensor(nan))
    """

    def __init__(self, network: Network, key: str) -> None:
        super().__init__()
        self.network = network
        self.key = key

    @torch.no_grad()
    def forward(self, eye: Tensor | None) -> Tensor:
        """(B, 2) normalised eye centre → 0; NaN if a place, shift or weight of the readout is not finite."""
        readout, shift = self.network.readout(self.key), self.network.shift(self.key, eye)
        values = [readout.centers(), *readout.parameters(), *([] if shift is None else [shift])]
        return torch.stack([(value * 0).sum() for value in values]).sum()
