"""The adjusted model: networks of different seeds as one function from grey pixels to activations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError
from inception_loop.network.config import Precision
from inception_loop.training.model import Inputs, Model, load_model
from inception_loop.training.modes import Mode, held, told


class Ensemble(nn.Module):
    """Mean over networks of the activation of single units, eye and behaviour held or given in the call.

    Parameters
    ----------
    models
        Trained on the same data.
    name
        Readout key.
    eye
        "none": no shift; "training_mean": the shift of the mean training eye position; "recorded": that of
        the eye position given with each image.
    behavior
        "none": the readout goes out as it is; "training_mean": scaled by the mean training behaviour;
        "recorded": by the behaviour given with each image.

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
        eye: Mode = "training_mean",
        behavior: Mode = "none",
    ) -> None:
        super().__init__()
        if not models:
            raise ConfigurationError("an ensemble of no models; expected at least 1")
        self.inputs = models[0].input_of(name)
        for model in models[1:]:
            _check_same(self.inputs, model.input_of(name))
        self.name = name
        self.networks = nn.ModuleList(model.network for model in models)
        device = models[0].network.device
        self.modes = {"eye": eye, "behavior": behavior}
        self.eye = held(eye, self.inputs.eye_mean, device)
        self.behavior = held(behavior, self.inputs.behavior_mean, device)

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

    def forward(
        self, pixels: Tensor, units: Tensor, eye: Tensor | None = None, behavior: Tensor | None = None
    ) -> Tensor:
        """Activate units by images, differentiably in the pixels.

        Parameters
        ----------
        pixels
            (B, H, W) grey levels.
        units
            (U,) columns of the readout.
        eye, behavior
            (B, 2) and (B, 3) normalised as in training, where their mode is "recorded" and nowhere else.

        Returns
        -------
        Tensor
            (B, U) mean over the networks, in units of the training responses.

        Raises
        ------
        ConfigurationError
            If eye or behaviour is lacking, is given though it is held, or has another number of rows.
        """
        return self._mean(pixels, units, eye, behavior, paired=False)

    def paired(
        self, pixels: Tensor, units: Tensor, eye: Tensor | None = None, behavior: Tensor | None = None
    ) -> Tensor:
        """(B, H, W) grey pixels, (B,) units → (B,) activations: image b by unit ``units[b]`` alone."""
        return self._mean(pixels, units, eye, behavior, paired=True)

    def _mean(
        self, pixels: Tensor, units: Tensor, eye: Tensor | None, behavior: Tensor | None, *, paired: bool
    ) -> Tensor:
        images, count = self._normalised(pixels)[:, None], len(pixels)
        self._check_given("eye", eye, self.inputs.eye_mean, count)
        self._check_given("behavior", behavior, self.inputs.behavior_mean, count)
        seen = told(self.modes["eye"], self.eye, eye, count)
        state = told(self.modes["behavior"], self.behavior, behavior, count)
        each = [net(images, self.name, seen, state, units, paired=paired) for net in self.networks]
        return torch.stack(each).mean(0)

    def _check_given(
        self, what: str, given: Tensor | None, mean: tuple[float, ...] | None, count: int
    ) -> None:
        mode = self.modes[what]
        if mode == "recorded" and mean is not None:
            if given is None or given.shape != (count, len(mean)):
                got = "none" if given is None else f"shape {tuple(given.shape)}"
                raise ConfigurationError(
                    f"{what} is 'recorded', the call gives {got}; expected ({count}, {len(mean)}), normalised"
                )
        elif given is not None:
            known = f"is {mode!r} in this ensemble" if mean is not None else "was never recorded"
            raise ConfigurationError(f"{what} is given with the images but {known}; expected none")

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
    eye: Mode = "training_mean",
    behavior: Mode = "none",
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


def _check_same(first: Inputs, other: Inputs) -> None:
    if first != other:
        raise ConfigurationError(
            f"the models of an ensemble take different inputs for {first.name}: {first} and {other}; "
            "expected models trained on the same data with the same data config"
        )
