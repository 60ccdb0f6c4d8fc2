"""What every readout is to the rest of the network."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from inception_loop.errors import ConfigurationError
from inception_loop.network.bounds import kept_within


class ReadoutModule(nn.Module, ABC):
    """From the core's map to one number a unit.

    Places are (x, y) between the centres of the map's corner pixels, which are -1 and 1. A learnt place is
    kept in [-1, 1]; the eye's shift is added after that, and beyond the border of the map the border counts.

    Parameters
    ----------
    units
        Number of units N.

    Attributes
    ----------
    bias : (N,), starts at 0

    Raises
    ------
    ConfigurationError
        If there are no units.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        if units < 1:
            raise ConfigurationError(
                f"a readout of {units} units; expected at least 1 (does the data config keep any?)"
            )
        self.bias = nn.Parameter(torch.zeros(units))

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        shift: Tensor | None = None,
        units: Tensor | None = None,
        *,
        paired: bool = False,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Read out all units, some of them, or one an image.

        Parameters
        ----------
        x
            (B, C, H, W) output of the core.
        shift
            (B, 2) shift (x, y) of all places in each image, units of the map; None is no shift.
        units
            (U,) columns wanted; None is all of them.
        paired
            Read image b out for ``units[b]`` only (then U = B).
        noise
            Of `draw_noise`; None: each unit looks at its mean place.

        Returns
        -------
        Tensor
            (B, U), or (B,) when paired.
        """

    @abstractmethod
    def regularizer(self) -> Tensor:
        """Return the penalty on the weights, with its strength; a scalar."""

    @abstractmethod
    def centers(self) -> Tensor:
        """(N, 2) where each unit looks when the eye shifts nothing, x and y in [-1, 1]."""

    @abstractmethod
    def start_at(self, centers: Tensor) -> None:
        """Let each unit look at (N, 2) places, x and y in [-1, 1], before anything is learnt."""

    def place_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that say where units look: they may have a learning rate of their own."""
        return []

    def draw_noise(self, batch: int, generator: torch.Generator) -> Tensor | None:
        """Draw what a step of training adds at random to the places of a batch; None: nothing is random."""
        return None

    def project(self) -> None:  # most readouts have places to bring back, some have none
        """Bring learnt places back into the map; called after every step of the optimiser."""


class PointReadout(ReadoutModule):
    """Each unit looks at one learnt point.

    Parameters
    ----------
    units
        Number of units N.
    init_range
        Points start uniform in ± this.
    generator
        Source of that start.

    Attributes
    ----------
    position : (N, 2), x and y
    """

    def __init__(self, units: int, init_range: float, generator: torch.Generator) -> None:
        super().__init__(units)
        self.position = nn.Parameter((torch.rand(units, 2, generator=generator) * 2 - 1) * init_range)

    def places(self, shift: Tensor | None, units: Tensor | None, *, paired: bool, images: int) -> Tensor:
        """Return where units look in each image: (B, U, 2), or (B, 1, 2) when paired."""
        position = self.centers() if units is None else self.centers()[units]
        if paired:
            return (position if shift is None else position + shift)[:, None]
        return position.expand(images, -1, -1) if shift is None else position + shift[:, None]

    def centers(self) -> Tensor:
        """(N, 2) where each unit looks when the eye shifts nothing, x and y in [-1, 1]."""
        return kept_within(self.position, -1, 1)

    @torch.no_grad()
    def start_at(self, centers: Tensor) -> None:
        """Let each unit look at (N, 2) points, x and y in [-1, 1], before anything is learnt."""
        self.position.copy_(centers)

    def place_parameters(self) -> list[nn.Parameter]:
        """Return the points."""
        return [self.position]

    @torch.no_grad()
    def project(self) -> None:
        """Bring learnt points back into [-1, 1]; called after every step of the optimiser."""
        self.position.clamp_(-1, 1)
