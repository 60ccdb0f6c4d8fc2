"""A published network of a mouse's visual cortex, read from plain arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import conv2d, elu, grid_sample

from inception_loop.errors import ConfigurationError, RecordingError
from inception_loop.recordings.bounded import npz

LAYERS = 3
IMAGE = (36, 64)
BEHAVIOR_CHANNELS = 3
SHIFTER = (2, 5, 5, 2)
Arrays = Mapping[str, npt.NDArray[Any]]


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits.

    Raises
    ------
    ConfigurationError
        If it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(
            f"the twin's file {path} cannot be read ({error.strerror}); expected an NPZ file; give its path"
        ) from error


class TwinNetwork:
    """The network of a file of the twin's form, in float32.

    Convolution without padding, batch norm folded into scale and shift, ELU; three layers of a 1×1, a
    depth-wise and a 1×1 convolution with nothing between; each cell reads the map at one position, which the
    eye may shift.

    Parameters
    ----------
    path : str or Path

    Attributes
    ----------
    n_cells : int
    pos : (n_cells, 2) float32, position (x, y) on the map in [-1, 1], corners aligned
    cortex_xy : (n_cells, 2) float32, horizontal place divided by the largest coordinate
    map_size : (height, width) of the map that the cells read
    has_behavior, has_eye : bool, which inputs besides the image it takes

    Raises
    ------
    ConfigurationError
        If the file is no twin: with the member, its shape and the shape expected.
    """

    def __init__(self, path: str | Path) -> None:
        members = _read(path)
        check_members(members, str(path))
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))
            for name, value in members.items()
            if value.dtype.kind in "fiu"
        }
        self._t = tensors
        self.pos: npt.NDArray[np.float32] = tensors["pos"].numpy()
        self.cortex_xy: npt.NDArray[np.float32] = tensors["cortex_xy"].numpy()
        self.n_cells = len(self.pos)
        kernel = tensors["conv0"].shape[2:]
        self.map_size = (IMAGE[0] - kernel[0] + 1, IMAGE[1] - kernel[1] + 1)
        self.has_behavior = tensors["conv0"].shape[1] > 1
        self.has_eye = "shift_w0" in tensors

    @torch.no_grad()
    def features(self, images: Tensor, behavior: Tensor | None = None) -> Tensor:
        """Return the map (n, C, H', W') of images (n, 1, 36, 64), zero = mean grey, one = one s.d.

        ``behavior`` (n, 3) is pupil size, its derivative and running, each divided by its s.d.
        """
        t = self._t
        x = images
        if self.has_behavior:
            if behavior is None:
                behavior = images.new_zeros(len(images), BEHAVIOR_CHANNELS)
            planes = behavior[:, :, None, None].expand(-1, -1, *IMAGE)
            x = torch.cat([x, planes], dim=1)
        x = _activate(conv2d(x, t["conv0"]), t["scale0"], t["shift0"])
        for layer in range(1, LAYERS + 1):
            depth = t[f"depth{layer}"]
            x = conv2d(x, t[f"mix{layer}a"][:, :, None, None])
            x = conv2d(x, depth[:, None], padding=depth.shape[-1] // 2, groups=len(depth))
            x = conv2d(x, t[f"mix{layer}b"][:, :, None, None])
            x = _activate(x, t[f"scale{layer}"], t[f"shift{layer}"])
        return x

    @torch.no_grad()
    def shift(self, center: Tensor) -> Tensor:
        """Return the shift (n, 2) of all positions, in their units, for z-scored pupil centres (n, 2)."""
        if not self.has_eye:
            return torch.zeros_like(center)
        x = center
        for layer in range(len(SHIFTER) - 1):
            x = torch.tanh(x @ self._t[f"shift_w{layer}"].T + self._t[f"shift_b{layer}"])
        return x

    @torch.no_grad()
    def readout(self, features: Tensor, cells: npt.NDArray[np.int64], shift: Tensor | None = None) -> Tensor:
        """Return expected responses (n, len(cells)), in units of each cell's response s.d."""
        t = self._t
        rows = torch.from_numpy(cells)
        grid = t["pos"][rows][None, :, None, :]
        grid = grid.expand(len(features), -1, -1, -1) if shift is None else grid + shift[:, None, None, :]
        values = grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        drive = torch.einsum("bcn,nc->bn", values[..., 0], t["feat"][rows]) + t["bias"][rows]
        return elu(drive) + 1


def _activate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return elu(x * scale[:, None, None] + shift[:, None, None])


def _read(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    try:
        return npz(Path(path))
    except RecordingError as error:
        raise ConfigurationError(
            f"the twin's file is no NPZ of plain arrays ({error}); "
            "expected members conv0, scale0, shift0, mix1a … pos, cortex_xy, feat, bias; give such a file"
        ) from error


def check_members(members: Arrays, path: str) -> None:
    """Refuse a file that is no twin.

    Raises
    ------
    ConfigurationError
        Naming the first member that is missing or wrong, its shape and what was expected.
    """
    for name, shape in _expected_shapes(members, path).items():
        member = _member(members, name, path)
        if member.shape != shape:
            _refuse(path, f"member {name!r} has shape {member.shape}", f"{shape}")
        if member.dtype.kind not in "fiu":
            _refuse(path, f"member {name!r} has type {member.dtype}", "numbers")
        if not np.isfinite(member).all():
            _refuse(path, f"member {name!r} holds NaN or infinity", "finite numbers")
    if len(members["pos"]) == 0:
        _refuse(path, "member 'pos' lists no cell", "at least one")


def _expected_shapes(members: Arrays, path: str) -> dict[str, tuple[int, ...]]:
    conv0, pos = _member(members, "conv0", path), _member(members, "pos", path)
    inputs = (1, 1 + BEHAVIOR_CHANNELS)
    if conv0.ndim != 4 or conv0.shape[1] not in inputs or not _odd_kernel(conv0.shape[2:]):
        _refuse(
            path, f"member 'conv0' has shape {conv0.shape}", "(channels, 1 or 4, k, k) with odd k up to 35"
        )
    channels, cells = conv0.shape[0], pos.shape[0] if pos.ndim else 0
    shapes: dict[str, tuple[int, ...]] = {"conv0": conv0.shape, "scale0": (channels,), "shift0": (channels,)}
    for layer in range(1, LAYERS + 1):
        depth = _member(members, f"depth{layer}", path)
        if depth.ndim != 3 or not _odd_kernel(depth.shape[1:]):
            _refuse(path, f"member 'depth{layer}' has shape {depth.shape}", f"({channels}, k, k) with odd k")
        shapes |= {
            f"mix{layer}a": (channels, channels),
            f"depth{layer}": (channels, *depth.shape[1:]),
            f"mix{layer}b": (channels, channels),
            f"scale{layer}": (channels,),
            f"shift{layer}": (channels,),
        }
    shapes |= {"pos": (cells, 2), "cortex_xy": (cells, 2), "feat": (cells, channels), "bias": (cells,)}
    if any(name.startswith("shift_") for name in members):
        for layer, (before, after) in enumerate(pairwise(SHIFTER)):
            shapes |= {f"shift_w{layer}": (after, before), f"shift_b{layer}": (after,)}
    return shapes


def _odd_kernel(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] == shape[1] and shape[0] % 2 == 1 and shape[0] < IMAGE[0]


def _member(members: Arrays, name: str, path: str) -> npt.NDArray[Any]:
    if name not in members:
        has = ", ".join(sorted(members)[:6]) or "nothing"
        _refuse(path, f"it has no member {name!r} (it has {has})", "every member of the twin's form")
    return members[name]


def _refuse(path: str, got: str, expected: str) -> None:
    raise ConfigurationError(
        f"the file {path} is no twin: {got}; expected {expected}; give a file of that form"
    )
