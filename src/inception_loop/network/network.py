"""The whole static network: one core, and a readout, shifter and modulator for every scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout, Precision
from inception_loop.network.modulators import PerceptronModulator
from inception_loop.network.output import drive_of, respond
from inception_loop.network.precision import keep_float32
from inception_loop.network.readouts import ReadoutModule
from inception_loop.network.shifters import ShifterModule


class Network(nn.Module):
    """``output(modulator(readout(core(image), shifter(eye)), behavior))``, or the gain outside of the output.

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
        Of the core; bfloat16 keeps the weights, and everything behind the core, in float32. On a GPU the
        first forward pass switches TF32 off in the whole process (`keep_float32`).
    cortex
        (N, 2) places of the units in the cortex by readout key, µm, for readouts that predict from them
        where units look.

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
        cortex: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not units:
            raise ConfigurationError(
                "a network without a readout key; expected at least one scan with its units"
            )
        self.config = config
        self.image_size = image_size
        self.precision = precision
        self.core = config.core.build(generator)
        map_size = self.core.map_size(image_size)
        places = cortex or {}
        self.readouts = nn.ModuleDict(
            {
                key: config.readout.build(n, self.core.channels, map_size, generator, places.get(key))
                for key, n in units.items()
            }
        )
        shifters = {key: config.shifter.build(generator) for key in units}
        modulators = {key: config.modulator.build(n, generator) for key, n in units.items()}
        self.shifters = nn.ModuleDict({key: part for key, part in shifters.items() if part is not None})
        self.modulators = nn.ModuleDict({key: part for key, part in modulators.items() if part is not None})

    def readout(self, key: str) -> ReadoutModule:
        """Return the readout of a scan.

        Raises
        ------
        ConfigurationError
            If the network has no such readout key.
        """
        if key not in self.readouts:
            known = ", ".join(self.readouts)
            raise ConfigurationError(f"no readout key {key!r} in this network; expected one of: {known}")
        return cast(ReadoutModule, self.readouts[key])

    def forward(
        self,
        images: Tensor,
        key: str,
        eye: Tensor | None,
        behavior: Tensor | None,
        units: Tensor | None = None,
        *,
        paired: bool = False,
        noise: Tensor | None = None,
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
        noise
            Of `draw_noise`, in a step of training.

        Returns
        -------
        Tensor
            (B, U) expected responses, positive, in units of the training responses; (B,) when paired.
        """
        readout = self.readout(key)
        shift, output = self.shift(key, eye), self.config.output
        drive = readout(self.features(images), shift, units, paired=paired, noise=noise)
        gain = self.gain(key, behavior, units, paired=paired)
        if gain is None:
            return respond(drive, output)
        if self.config.gain == "before":
            return respond(gain * drive, output)
        return gain * respond(drive, output)

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) normalised images → (B, C, H', W') float32 output of the core."""
        if images.is_cuda:
            keep_float32()
        out: Tensor = self.core(images.to(torch.bfloat16 if self.precision == "bfloat16" else self.dtype))
        return out.to(self.dtype)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.core.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights: float32, or float64 in checks of gradients."""
        return next(self.core.parameters()).dtype

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
            parts.append(cast(ShifterModule, self.shifters[key]).regularizer())
        if key in self.modulators:
            parts.append(cast(PerceptronModulator, self.modulators[key]).regularizer())
        return torch.stack([part.to(self.device) for part in parts]).sum()

    @torch.no_grad()
    def start_at_mean(self, key: str, mean_response: Tensor) -> None:
        """Set the biases so that a unit without drive answers with its mean response.

        Parameters
        ----------
        key
            Readout key.
        mean_response
            (N,) mean training response, normalised; see `drive_of`.
        """
        bias = self.readout(key).bias
        if isinstance(bias, nn.Parameter):  # a readout without bias keeps its zero
            bias.copy_(drive_of(mean_response, self.config.output))

    def draw_noise(self, key: str, batch: int, generator: torch.Generator) -> Tensor | None:
        """Draw what a step of training adds at random to where the units look in a batch of images."""
        return self.readout(key).draw_noise(batch, generator)

    def project(self) -> None:
        """Bring learnt places back into the map; called after every step of the optimiser."""
        for readout in self.readouts.values():
            cast(ReadoutModule, readout).project()
