"""What scores and images ask of a model, and any torch module or callable as such a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from inception_loop.errors import ConfigurationError

Activate = Callable[[Tensor], Tensor]
"""(B, H, W) float32 grey levels 0..255 → (B, N) activations of all its units; a torch module is one."""


class PixelModel(Protocol):
    """A model of grey pixels alone: whatever else it knows (eye, behaviour) is held at a stated value.

    An ensemble of this project's networks is one, and so is any callable through `OwnModel`. Both calls are
    differentiable in the pixels where images are to be synthesised.

    Attributes
    ----------
    image_mean, image_std : float, grey levels
        Mean and standard deviation of the pixels that the model was trained on.
    image_size : (height, width), px
    """

    @property
    def image_mean(self) -> float: ...  # noqa: D102
    @property
    def image_std(self) -> float: ...  # noqa: D102
    @property
    def image_size(self) -> tuple[int, int]: ...  # noqa: D102
    def __call__(self, pixels: Tensor, units: Tensor) -> Tensor:
        """(B, H, W) grey pixels, (U,) columns → (B, U) activations: every image by every unit."""

    def paired(self, pixels: Tensor, units: Tensor) -> Tensor:
        """(B, H, W) grey pixels, (B,) columns → (B,) activations: image b by its own unit only."""


@dataclass(frozen=True)
class OwnModel:
    """A user's model of one scan as a `PixelModel`.

    Parameters
    ----------
    activate
        See `Activate`; column i belongs to the scan's unit of ``neuron_id`` i. A torch module is put into
        evaluation mode. Whatever it needs besides (its own scaling of pixels, a resize) it does itself.
    image_mean, image_std
        Grey levels of the pictures that it knows; images are synthesised about them.
    image_size
        (height, width) in px.

    Examples
    --------
    >>> import torch
    >>> filters = torch.eye(6).reshape(6, 2, 3)
    >>> model = OwnModel(lambda x: torch.einsum("bhw,nhw->bn", x, filters), 110.0, 50.0, (2, 3))
    >>> model(torch.ones(4, 2, 3), torch.tensor([5])).shape
    torch.Size([4, 1])
    """

    activate: Activate
    image_mean: float
    image_std: float
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        if isinstance(self.activate, nn.Module):
            self.activate.eval()

    def all_units(self, pixels: Tensor) -> Tensor:
        """(B, H, W) grey pixels → (B, N).

        Raises
        ------
        ConfigurationError
            If the model returns anything else.
        """
        out = self.activate(pixels)
        if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(pixels):
            got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise ConfigurationError(
                f"the own model made {got} of {len(pixels)} images; expected a tensor "
                f"({len(pixels)}, units), one activation an image and unit"
            )
        return out

    def __call__(self, pixels: Tensor, units: Tensor) -> Tensor:
        """(B, H, W) grey pixels, (U,) columns → (B, U)."""
        return self.all_units(pixels)[:, units]

    def paired(self, pixels: Tensor, units: Tensor) -> Tensor:
        """(B, H, W) grey pixels, (B,) columns → (B,)."""
        return self.all_units(pixels).gather(1, units[:, None])[:, 0]


def content_digest(
    content: nn.Module | Mapping[str, npt.NDArray[np.generic]] | bytes | Path, *, version: str = ""
) -> str:
    """Return the SHA-256 by which an own model is known: of its weights, or of a file's bytes.

    Parameters
    ----------
    content
        A torch module (its ``state_dict``), arrays by name, bytes, or a file.
    version
        Of what the weights do not say: raise it when the code around them changes.

    Examples
    --------
    >>> one, other = {"w": np.zeros(3)}, {"w": np.zeros((3, 1))}
    >>> content_digest(one) == content_digest(one), content_digest(one) == content_digest(other)
    (True, False)
    """
    sha = hashlib.sha256(f"version {version!r}\n".encode())
    if isinstance(content, nn.Module):
        weights = content.state_dict()
        for name in sorted(weights):
            kind, data = _bytes_of(weights[name].detach().cpu())
            sha.update(f"{name!r} {kind} {tuple(weights[name].shape)}\n".encode())
            sha.update(data)
    elif isinstance(content, Mapping):
        for name in sorted(content):
            value = np.ascontiguousarray(content[name])
            sha.update(f"{name!r} {value.dtype.str} {content[name].shape}\n".encode())
            sha.update(value.tobytes())
    else:
        sha.update(content.read_bytes() if isinstance(content, Path) else content)
    return sha.hexdigest()


def _bytes_of(value: Tensor) -> tuple[str, bytes]:
    """Return a tensor's kind of number, as numpy calls it where it has it, and its bytes."""
    try:
        array = value.numpy()
    except TypeError:  # bfloat16, for one
        return str(value.dtype), value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return array.dtype.str, np.ascontiguousarray(array).tobytes()
