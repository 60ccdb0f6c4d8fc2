"""What every shifter is to the rest of the network."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class ShifterModule(nn.Module, ABC):
    """Eye position → how far all receptive fields of a scan are shifted."""

    @abstractmethod
    def forward(self, eye: Tensor) -> Tensor:
        """(B, 2) normalised eye centre (x, y) → (B, 2) shift (x, y) in [-1, 1], units of the map."""

    @abstractmethod
    def regularizer(self) -> Tensor:
        """Return the penalty on the weights, with its strength; a scalar."""
