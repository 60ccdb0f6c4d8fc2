"""The adjusted model: networks of different seeds as one function from grey pixels to activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError
from inception_loop.network.config import Precision
from inception_loop.training.model import Inputs, Model, load_model

Held = Literal["none", "training_mean"]
"""What an input other than the image is held at: left out, or its mean over the training trials."""


class Ensemble(nn.Module):
    """Mean over networks of the activation of single units, eye and behaviour held.

    Parameters
    ----------
    models
        Trained on the same data.
    name
        Readout key.
    eye
        "none": no shift; "training_mean": the shift of the mean training eye position.
    behavior
        "none": the readout goes out as it is; "training_mean": scaled by the mean training behaviour.

    Raises
    ------
    ConfigurationError
        If there is no model, a model lacks the readout key, or the models' inputs differ.
    """

    def __init__(
        self,
        models: Sequence[Model],
        name: str,
        *,
        eye: Held = "training_mean",
        behavior: Held = "none",
    ) -> None:
        super().__init__()
        if not models:
            raise ConfigurationError("an ensemble of no models; expected at least 1")
        self.inputs = models[0].input_of(name)
        for model in models[1:]:
            _check_same(self.inputs, model.input_of(name))
        self.name = name
        self.networks = nn.ModuleList(model.network for model in models)
        device = models[0].network.core.pixel_weight.device
        self.eye = _held(eye, self.inputs.eye_mean, device)
        self.behavior = _held(behavior, self.inputs.behavior_mean, device)

    @property
    def image_mean(self) -> float:
        """Mean of the training images' pixels, grey levels."""
        return self.inputs.image_mean

    @property
    def image_std(self) -> float:
        """Standard deviation of the training images' pixels, grey levels."""
        return self.inputs.image_std

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images, px."""
        return self.inputs.image_size

    def forward(self, pixels: Tensor, units: Tensor) -> Tensor:
        """Activate units by images, differentiably in the pixels.

        Parameters
        ----------
        pixels
            (B, H, W) grey levels.
        units
            (U,) columns of the readout.

        Returns
        -------
        Tensor
            (B, U) mean over the networks, in units of the training responses.
        """
        return self._mean(pixels, units, paired=False)

    def paired(self, pixels: Tensor, units: Tensor) -> Tensor:
        """(B, H, W) grey pixels, (B,) units → (B,) activations: image b by unit ``units[b]`` alone."""
        return self._mean(pixels, units, paired=True)

    def _mean(self, pixels: Tensor, units: Tensor, *, paired: bool) -> Tensor:
        images = self._normalised(pixels)[:, None]
        eye, behavior = (None if v is None else v.expand(len(pixels), -1) for v in (self.eye, self.behavior))
        each = [net(images, self.name, eye, behavior, units, paired=paired) for net in self.networks]
        return torch.stack(each).mean(0)

    def _normalised(self, pixels: Tensor) -> Tensor:
        if not self.inputs.per_image:
            return (pixels - self.inputs.image_mean) / self.inputs.image_std
        mean = pixels.mean((1, 2), keepdim=True)
        std = pixels.std((1, 2), keepdim=True)
        return (pixels - mean) / torch.where(std > 0, std, 1.0)


def load_ensemble(
    store: ArtifactStore,
    models: Sequence[ArtifactRef],
    name: str,
    *,
    eye: Held = "training_mean",
    behavior: Held = "none",
    precision: Precision = "float32",
    device: str | None = None,
) -> Ensemble:
    """Load models and put them together; see `Ensemble`.

    Parameters
    ----------
    store
        Where they lie.
    models
        The seeds of one configuration.
    name
        Readout key.
    eye, behavior
        See `Ensemble`.
    precision
        Of the cores' convolutions.
    device
        Torch device; by default that of the store's settings.
    """
    loaded = [load_model(store, model, device=device, precision=precision) for model in models]
    return Ensemble(loaded, name, eye=eye, behavior=behavior)


def _held(how: Held, mean: tuple[float, ...] | None, device: torch.device) -> Tensor | None:
    """(1, 2 or 3) what an input is held at; None where it is left out or was never recorded."""
    if how == "none" or mean is None:
        return None
    return torch.tensor([mean], dtype=torch.float32, device=device)


def _check_same(first: Inputs, other: Inputs) -> None:
    if first != other:
        raise ConfigurationError(
            f"the models of an ensemble take different inputs for {first.name}: {first} and {other}; "
            "expected models trained on the same data with the same data config"
        )
