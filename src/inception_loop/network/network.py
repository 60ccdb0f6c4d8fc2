"""The whole static network: one core, and a readout, shifter and modulator for every scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout, MLPModulator, MLPShifter, Precision
from inception_loop.network.cores import StackedCore
from inception_loop.network.modulators import PerceptronModulator
from inception_loop.network.readouts import PyramidReadout
from inception_loop.network.shifters import PerceptronShifter


class Network(nn.Module):
    """``elu(modulator(readout(core(image), shifter(eye)), behavior)) + 1``, or the gain outside of elu + 1.

    Parameters
    ----------
    config
        The parts.
    units
        Number of units by readout key (the name of a scan).
    image_size
        (height, width) of the images, px.
    generator
        Source of all initial values.
    precision
        Of the core's convolutions; bfloat16 keeps the weights, and everything behind the core, in float32.

    Raises
    ------
    ConfigurationError
        If there is no readout key, a key has no units or the images are smaller than the first kernel.

    Examples
    --------
    >>> network = Network(CorePlusReadout(), {"a": 5}, (36, 64), torch.Generator().manual_seed(1))
    >>> network(torch.zeros(2, 1, 36, 64), "a", torch.zeros(2, 2), torch.zeros(2, 3)).shape
    torch.Size([2, 5])
    >>> wanted = torch.tensor([4, 0])
    >>> network(torch.zeros(2, 1, 36, 64), "a", None, None, wanted, paired=True).shape
    torch.Size([2])
    """

    def __init__(
        self,
        config: CorePlusReadout,
        units: Mapping[str, int],
        image_size: tuple[int, int],
        generator: torch.Generator,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        if not units:
            raise ConfigurationError(
                "a network without a readout key; expected at least one scan with its units"
            )
        self.config = config
        self.image_size = image_size
        self.precision = precision
        self.core = StackedCore(config.core, generator)
        map_size = self.core.map_size(image_size)
        self.readouts = nn.ModuleDict(
            {
                key: PyramidReadout(config.readout, n, self.core.channels, map_size, generator)
                for key, n in units.items()
            }
        )
        self.shifters, self.modulators = nn.ModuleDict(), nn.ModuleDict()
        if isinstance(config.shifter, MLPShifter):
            self.shifters.update({key: PerceptronShifter(config.shifter, generator) for key in units})
        if isinstance(config.modulator, MLPModulator):
            modulators = {k: PerceptronModulator(config.modulator, n, generator) for k, n in units.items()}
            self.modulators.update(modulators)

    def readout(self, key: str) -> PyramidReadout:
        """Return the readout of a scan.

        Raises
        ------
        ConfigurationError
            If the network has no such readout key.
        """
        if key not in self.readouts:
            known = ", ".join(self.readouts)
            raise ConfigurationError(f"no readout key {key!r} in this network; expected one of: {known}")
        return cast(PyramidReadout, self.readouts[key])

    def forward(
        self,
        images: Tensor,
        key: str,
        eye: Tensor | None,
        behavior: Tensor | None,
        units: Tensor | None = None,
        *,
        paired: bool = False,
    ) -> Tensor:
        """Predict responses.

        Parameters
        ----------
        images
            (B, 1, H, W) normalised images.
        key
            Readout key.
        eye
            (B, 2) normalised eye centre; None: no shift at all.
        behavior
            (B, 3) normalised pupil, its derivative and running; None: the readout goes out as it is.
        units
            (U,) columns of the readout wanted; None is all N of them.
        paired
            Image b for unit ``units[b]`` only (then U = B).

        Returns
        -------
        Tensor
            (B, U) expected responses, positive, in units of the training responses; (B,) when paired.
        """
        readout = self.readout(key)
        drive = readout(self.features(images), self.shift(key, eye), units, paired=paired)
        gain = self.gain(key, behavior, units, paired=paired)
        if gain is None:
            return functional.elu(drive) + 1
        if self.config.gain == "before":
            return functional.elu(gain * drive) + 1
        return gain * (functional.elu(drive) + 1)

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) normalised images → (B, C, H', W') float32 output of the core."""
        half = self.precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            out: Tensor = self.core(images)
        return out.to(self.core.pixel_weight.dtype)

    def shift(self, key: str, eye: Tensor | None) -> Tensor | None:
        """(B, 2) shift (x, y) of all positions in units of the map; None without eye or shifter."""
        if eye is None or key not in self.shifters:
            return None
        return cast(Tensor, self.shifters[key](eye))

    def gain(
        self, key: str, behavior: Tensor | None, units: Tensor | None = None, *, paired: bool = False
    ) -> Tensor | None:
        """(B, U) gains, (B,) when paired; None without behaviour or modulator."""
        if behavior is None or key not in self.modulators:
            return None
        return cast(Tensor, self.modulators[key](behavior, units, paired=paired))

    def regularizer(self, key: str) -> Tensor:
        """Penalty of the parts that a batch of scan ``key`` uses; a scalar to be added to its loss."""
        parts = [self.core.regularizer(), self.readout(key).regularizer()]
        if key in self.shifters:
            parts.append(cast(PerceptronShifter, self.shifters[key]).regularizer())
        if key in self.modulators:
            parts.append(cast(PerceptronModulator, self.modulators[key]).regularizer())
        return torch.stack(parts).sum()

    @torch.no_grad()
    def start_at_mean(self, key: str, mean_response: Tensor) -> None:
        """Set the biases so that a unit without drive answers with its mean response.

        Parameters
        ----------
        key
            Readout key.
        mean_response
            (N,) mean training response, normalised; the bias becomes it minus 1.
        """
        self.readout(key).bias.copy_(mean_response - 1)

    def project(self) -> None:
        """Bring learnt positions back into the map; called after every step of the optimiser."""
        for readout in self.readouts.values():
            cast(PyramidReadout, readout).project()
