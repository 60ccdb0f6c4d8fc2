"""The Gaussian readout (Lurz et al. 2021): while it learns, a unit looks at random around its mean place."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from inception_loop.artifacts.identity import Config
from inception_loop.network.bounds import kept_within
from inception_loop.network.levels import features_last, to_channels_last
from inception_loop.network.readouts.grid_predictor import GridPredictor, PlacePredictor, known_places
from inception_loop.network.readouts.readout import ReadoutModule
from inception_loop.network.sampling import sampled_dot

FEW_UNITS = 32
"""Up to this many units an image, their samples are made and weighed: cheaper than a sparse product."""

CACHED_BYTES = 4 << 20
"""Of the map; so many images are read out at a time, so that they stay in the cache."""


class FullGaussian2d(Config):
    """Readout from one place a unit, in training at random: ``µ + Σ ε``, ε standard normal, kept in the map.

    Each image and unit has its own ε. At evaluation the place is µ. Defaults are those of the Sensorium 2022
    baseline, save for the L1 norm, which is a mean here as in every readout (there a sum).

    Examples
    --------
    >>> FullGaussian2d(grid_predictor=GridPredictor()).grid_predictor.hidden_features
    30
    """

    type: Literal["FullGaussian2d"] = "FullGaussian2d"
    gauss_type: Literal["full", "uncorrelated", "isotropic"] = Field(
        "full",
        description="Σ is any 2×2 matrix (the covariance is ΣΣᵀ), one s.d. an axis, or one s.d. for both.",
    )
    bias: bool = Field(True, description="Learn an offset a unit, which starts at its mean response.")
    init_mu_range: float = Field(
        0.3, ge=0, le=1, description="Mean places that are not predicted start uniform in ± this."
    )
    init_sigma: float = Field(
        0.1, ge=0, description="The entries of a full Σ start uniform in ± this, s.d.s start at it."
    )
    gamma_features: float = Field(
        1.0, ge=0, description="Strength of the L1 norm (mean) of the feature weights."
    )
    grid_predictor: GridPredictor | None = Field(
        None, description="Predict mean places from places in the cortex; none: learn one a unit."
    )

    def build(
        self,
        units: int,
        channels: int,
        map_size: tuple[int, int],
        generator: torch.Generator,
        cortex: Tensor | None = None,
    ) -> GaussianReadout:
        """Make the readout of one scan; see `GaussianReadout`."""
        return GaussianReadout(self, units, channels, generator, cortex)


class GaussianReadout(ReadoutModule):
    """FullGaussian2d: features of the map at a place drawn around the unit's mean, weighed and summed.

    Parameters
    ----------
    config
        Kind of Gaussian, start, regulariser, predictor.
    units
        Number of units N.
    channels
        Channels C of the core's map.
    generator
        Source of the initial places and Σ. Feature weights start at 1/C, biases at 0.
    cortex
        (N, 2) places in the cortex, µm; only a predictor looks at them.

    Attributes
    ----------
    features : (N, C)
    sigma : Σ, (N, 2, 2) full, (N, 2) uncorrelated or (N, 1) isotropic
    bias : (N,), constantly zero without bias
    position : (N, 2) mean places µ, x and y, where no ``predictor`` gives them

    Raises
    ------
    ConfigurationError
        If there are no units, or a predictor lacks the place of a unit.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(1)
    >>> readout = GaussianReadout(FullGaussian2d(), 7, 4, generator)
    >>> noise = readout.draw_noise(3, generator)
    >>> readout(torch.zeros(3, 4, 22, 50), noise=noise).shape, noise.shape
    (torch.Size([3, 7]), torch.Size([3, 7, 2]))
    """

    def __init__(
        self,
        config: FullGaussian2d,
        units: int,
        channels: int,
        generator: torch.Generator,
        cortex: Tensor | None = None,
    ) -> None:
        super().__init__(units)
        self.config = config
        self.features = nn.Parameter(torch.full((units, channels), 1 / channels))
        self.sigma = nn.Parameter(_initial_sigma(config, units, generator))
        if not config.bias:
            del self.bias
            self.register_buffer("bias", torch.zeros(units))
        if config.grid_predictor is None:
            start = torch.rand(units, 2, generator=generator) * 2 - 1
            self.position = nn.Parameter(start * config.init_mu_range)
        else:
            known = known_places(cortex, units, "the scan")
            self.predictor = PlacePredictor(config.grid_predictor, known, generator)

    def forward(
        self,
        x: Tensor,
        shift: Tensor | None = None,
        units: Tensor | None = None,
        *,
        paired: bool = False,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Read out all units, some of them, or one an image; see `ReadoutModule`. ``noise`` is (B, N, 2)."""
        features, bias = (v if units is None else v[units] for v in (self.features, self.bias))
        at = self.places(len(x), shift, units, paired=paired, noise=noise)
        if paired:
            return (_samples(x, at)[..., 0] * features).sum(1) + bias
        if len(bias) <= FEW_UNITS:
            return torch.einsum("bcu,uc->bu", _samples(x, at), features) + bias
        size = len(x) if x.is_cuda else max(1, CACHED_BYTES // (x[0].numel() * x.element_size()))
        parts = zip(torch.split(x, size), torch.split(at, size), strict=True)
        return torch.cat([_weighed(*part, features) for part in parts]) + bias

    def places(
        self,
        images: int,
        shift: Tensor | None,
        units: Tensor | None,
        *,
        paired: bool,
        noise: Tensor | None,
    ) -> Tensor:
        """Return where units look in each image: (B, U, 2), or (B, 1, 2) when paired."""
        mean = self._means(units)
        sigma = self.sigma if units is None else self.sigma[units]
        if noise is not None and units is not None:
            noise = noise[torch.arange(images, device=noise.device), units] if paired else noise[:, units]
        if noise is not None:
            full = self.config.gauss_type == "full"
            mean = mean + (torch.einsum("...ij,...j->...i", sigma, noise) if full else sigma * noise)
        at = kept_within(mean, -1, 1)
        if paired:
            return (at if shift is None else at + shift)[:, None]
        return at.expand(images, -1, -1) if shift is None else at + shift[:, None]

    def _means(self, units: Tensor | None) -> Tensor:
        """(U, 2) mean places as learnt or predicted, not clamped."""
        if self.config.grid_predictor is not None:
            out: Tensor = self.predictor(units)
            return out
        return self.position if units is None else self.position[units]

    def regularizer(self) -> Tensor:
        """Mean absolute feature weight, with its strength."""
        return self.config.gamma_features * self.features.abs().mean()

    def centers(self) -> Tensor:
        """(N, 2) mean place of each unit when the eye shifts nothing, x and y in [-1, 1]."""
        return kept_within(self._means(None), -1, 1)

    @torch.no_grad()
    def start_at(self, centers: Tensor) -> None:
        """Let units look at (N, 2) places before anything is learnt; a predictor comes as near as it can."""
        if self.config.grid_predictor is None:
            self.position.copy_(centers)
        else:
            self.predictor.start_at(centers)

    def place_parameters(self) -> list[nn.Parameter]:
        """Return the mean places, or the weights that predict them."""
        return [self.position] if self.config.grid_predictor is None else list(self.predictor.parameters())

    def draw_noise(self, batch: int, generator: torch.Generator) -> Tensor | None:
        """(B, N, 2) standard normal ε, on the generator's device."""
        shape, dtype = (batch, len(self.features), 2), self.features.dtype
        return torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)

    @torch.no_grad()
    def project(self) -> None:
        """Bring learnt mean places back into [-1, 1]; called after every step of the optimiser."""
        if self.config.grid_predictor is None:
            self.position.clamp_(-1, 1)


def _initial_sigma(config: FullGaussian2d, units: int, generator: torch.Generator) -> Tensor:
    if config.gauss_type == "full":
        return (torch.rand(units, 2, 2, generator=generator) * 2 - 1) * config.init_sigma
    return torch.full((units, 2 if config.gauss_type == "uncorrelated" else 1), config.init_sigma)


def _weighed(x: Tensor, at: Tensor, features: Tensor) -> Tensor:
    """(B, U) weighed sums of (B, C, H, W) at (B, U, 2), no sample of which is made."""
    px = (at + 1) / 2 * at.new_tensor([x.shape[3] - 1, x.shape[2] - 1])
    return sampled_dot([features_last(to_channels_last(x))], features[None], px[..., 0], px[..., 1])


def _samples(x: Tensor, at: Tensor) -> Tensor:
    """(B, C, U) bilinear samples of (B, C, H, W) at (B, U, 2); beyond the border the border counts.

    Unlike the library's, on the border they have the gradient of the pixels inside.
    """
    height, width = x.shape[2:]
    left, right, along = _taps(at[..., 0], width)
    up, down, across = _taps(at[..., 1], height)
    index = torch.stack([row * width + column for row in (up, down) for column in (left, right)], 1)
    share = torch.stack([a * b for a in (1 - across, across) for b in (1 - along, along)], 1)
    pixels = x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, x.shape[1], -1))
    return (pixels.reshape(*x.shape[:2], 4, -1) * share[:, None]).sum(2)


def _taps(at: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel before each place (B, U) in [-1, 1] along an axis, the one behind it, and the latter's share."""
    px = kept_within((at + 1) / 2 * (side - 1), 0, side - 1)
    before = px.detach().floor().clamp(max=max(side - 2, 0))
    return before.long(), (before + 1).clamp(max=side - 1).long(), px - before
