"""Where units look, predicted from where they are in the cortex (Lurz et al. 2021)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError
from inception_loop.network.perceptron import linear

FARTHEST = 0.95
"""Where a predictor with a final tanh starts at most: beyond that it would hardly learn."""


class GridPredictor(Config):
    """Mean places from places in the cortex: a small network, one a scan."""

    hidden_layers: int = Field(1, ge=0, description="Layers before the last, each with ELU; 0 is linear.")
    hidden_features: int = Field(30, ge=1, description="Units of each of them.")
    final_tanh: bool = Field(True, description="Let a tanh keep the predicted places in the map.")


class PlacePredictor(nn.Module):
    """A perceptron from a scan's units' places in the cortex to where they look.

    Parameters
    ----------
    config
        Layers and their width.
    cortex
        (N, 2) places in the cortex, µm. The network sees them `range_normalised`.
    generator
        Source of the initial weights.

    Attributes
    ----------
    cortex : (N, 2), kept with the weights
    hidden, last : the layers

    Examples
    --------
    >>> places = torch.tensor([[0.0, 10.0], [400.0, 110.0]])
    >>> predictor = PlacePredictor(GridPredictor(), places, torch.Generator().manual_seed(1))
    >>> predictor().shape, predictor(torch.tensor([1])).shape
    (torch.Size([2, 2]), torch.Size([1, 2]))
    """

    cortex: Tensor

    def __init__(self, config: GridPredictor, cortex: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        kept = cortex.detach().clone(memory_format=torch.contiguous_format)  # as if loaded, to the bit
        self.register_buffer("cortex", kept)
        layers: list[nn.Module] = []
        width = 2
        for _ in range(config.hidden_layers):
            layers += [linear(width, config.hidden_features, generator), nn.ELU()]
            width = config.hidden_features
        self.hidden = nn.Sequential(*layers)
        self.last = linear(width, 2, generator)

    def forward(self, units: Tensor | None = None) -> Tensor:
        """(U, 2) places x, y of units ``units`` (U,), None is all; beyond [-1, 1] only without tanh."""
        out: Tensor = self.last(self._hidden(units))
        return torch.tanh(out) if self.config.final_tanh else out

    def _hidden(self, units: Tensor | None) -> Tensor:
        source = range_normalised(self.cortex)
        out: Tensor = self.hidden(source if units is None else source[units])
        return out

    @torch.no_grad()
    def start_at(self, centers: Tensor) -> None:
        """Come as near to (N, 2) places as the last layer alone can, in least squares."""
        hidden = self._hidden(None)
        target = torch.atanh(centers.clamp(-FARTHEST, FARTHEST)) if self.config.final_tanh else centers
        inputs = torch.cat((hidden, torch.ones_like(hidden[:, :1])), 1)
        solution = torch.linalg.lstsq(inputs, target.to(inputs), rcond=1e-3, driver="gelsd").solution
        self.last.weight.copy_(solution[:-1].T)
        self.last.bias.copy_(solution[-1])


def known_places(cortex: Tensor | None, units: int, scan: str) -> Tensor:
    """Return the units' places in the cortex (N, 2) if all are known.

    Raises
    ------
    ConfigurationError
        Naming the scan, the unit and the choice that does without.
    """
    without = "expected the place of every unit; choose a readout with grid_predictor null to do without"
    if cortex is None:
        raise ConfigurationError(f"{scan} has no places of its units in the cortex; {without}")
    if cortex.shape != (units, 2):
        raise ConfigurationError(
            f"{scan} has places in the cortex of shape {tuple(cortex.shape)}; expected ({units}, 2), x and y"
        )
    lost = (~torch.isfinite(cortex).all(1)).nonzero()
    if len(lost):
        raise ConfigurationError(
            f"{scan} has no place in the cortex of {len(lost)} of {units} units, the first is neuron "
            f"{int(lost[0])}; {without}"
        )
    return cortex


def range_normalised(places: Tensor) -> Tensor:
    """(N, 2) places less their mean, both axes divided by the largest coordinate that is left.

    Examples
    --------
    >>> range_normalised(torch.tensor([[0.0, 10.0], [400.0, 110.0]]))
    tensor([[-1.0000, -0.2500],
            [ 1.0000,  0.2500]])
    """
    centred = places - places.mean(0)
    largest = centred.abs().amax()
    return centred / torch.where(largest > 0, largest, torch.ones_like(largest))
