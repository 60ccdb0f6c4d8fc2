"""How this room sees a network: as a callable from grey pixels to the activations of the wanted units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.training.modes import Held
from inception_loop.training.pixel_model import PixelModel

Precision = Literal["float32", "bfloat16"]

Full = Callable[[Tensor, Tensor], Tensor]
"""(B, H, W) grey pixels, (U,) columns of the readout → (B, U) activations: every image by every unit."""

Paired = Callable[[Tensor, Tensor], Tensor]
"""(B, H, W) grey pixels, (B,) columns of the readout → (B,) activations: image b by its own unit only."""


AdjustedModel = PixelModel
"""The *adjusted model*: mean over an ensemble, one output, eye and behaviour held at a stated value."""


class LoadAdjusted(Protocol):
    """Loads the adjusted model of one readout key, onto the device of the store's settings.

    ``functools.partial(load_ensemble, store, models)`` is one.
    """

    def __call__(  # noqa: D102
        self, name: str, *, eye: Held, behavior: Held, precision: Precision
    ) -> AdjustedModel: ...


class TrainedEnsemble(NamedTuple):
    """Models in a store, and what loads them as one adjusted model."""

    models: tuple[ArtifactRef, ...]
    load: LoadAdjusted


@dataclass(frozen=True)
class Networks:
    """The models that have a say in an image.

    Parameters
    ----------
    own
        Those that the image is made for: the CNN's ensemble; of a linear RF image the linear network's.
    reference
        Those by which images of all kinds are compared: the CNN's ensemble; by default ``own``.
    validator
        Those that had no part in making any image: other seeds, or another readout.
    """

    own: TrainedEnsemble
    reference: TrainedEnsemble | None = None
    validator: TrainedEnsemble | None = None

    def inputs(self) -> dict[str, list[ArtifactRef]]:
        """Return the models by role, as inputs of an artifact."""
        roles = {"model": self.own, "reference": self.reference, "validator": self.validator}
        return {role: list(found.models) for role, found in roles.items() if found is not None}


@dataclass(frozen=True)
class CallableModel:
    """Any pair of callables as an `AdjustedModel`: a torch model of one's own, a closed form.

    Parameters
    ----------
    full, paired_units
        See `Full` and `Paired`. Without ``paired_units`` the pairs are picked out of ``full``, which
        computes every image by every unit.
    image_mean, image_std
        Grey levels of the pictures the model knows.
    image_size
        (height, width) in px.

    Examples
    --------
    >>> import torch
    >>> filters = torch.eye(6).reshape(6, 2, 3)
    >>> model = CallableModel(lambda x, u: torch.einsum("bhw,uhw->bu", x, filters[u]), 0.0, 1.0, (2, 3))
    >>> model.paired(torch.ones(2, 2, 3), torch.tensor([4, 5])).tolist()
    [1.0, 1.0]
    """

    full: Full
    image_mean: float
    image_std: float
    image_size: tuple[int, int]
    paired_units: Paired | None = None

    def __call__(self, pixels: Tensor, units: Tensor) -> Tensor:
        """Return (B, U) activations."""
        return self.full(pixels, units)

    def paired(self, pixels: Tensor, units: Tensor) -> Tensor:
        """Return (B,) activations, image b by unit ``units[b]``."""
        if self.paired_units is None:
            return self.full(pixels, units).diagonal()
        return self.paired_units(pixels, units)
