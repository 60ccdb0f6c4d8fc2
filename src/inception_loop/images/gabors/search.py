"""The best Gabor of every unit: one pass over the whole bank for all units, a batch of Gabors at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.errors import DataError, Refusal, RefusedUnitsError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.gabors.drawing import at_contrast, gabors
from inception_loop.images.gabors.grid import GaborGrid
from inception_loop.images.network import AdjustedModel

ALIKE = 1e-6
"""A unit whose activations by all Gabors lie within this share of the largest prefers none."""

Floats = npt.NDArray[np.float64]

CPU_AT_ONCE, GPU_AT_ONCE = 32, 256
"""Gabors evaluated at once: on a CPU the maps of a few stay in its cache."""


@dataclass(frozen=True)
class GaborSearch:
    """What the bank does to U units.

    Attributes
    ----------
    grid : GaborGrid
    activations : (size, U) float32
        Every Gabor by every unit; NaN for those that the grey range cannot show at the contrast.
    image_size : (height, width), px
    mean, contrast : float, grey levels
    images_at_once : int or None
        Gabors that the memory held at once, where it did not hold as many as asked for.
    """

    grid: GaborGrid
    activations: npt.NDArray[np.float32]
    image_size: tuple[int, int]
    mean: float
    contrast: float
    images_at_once: int | None = None

    @property
    def n_searched(self) -> int:
        """Gabors that can be shown."""
        return int(np.isfinite(self.activations[:, 0]).sum())

    @property
    def best(self) -> npt.NDArray[np.int64]:
        """(U,) row of the best Gabor; of equal ones the first."""
        return np.array([np.nanargmax(column) for column in self.activations.T])

    @property
    def activation(self) -> Floats:
        """(U,) activation by the best Gabor."""
        return np.asarray(self.activations[self.best, range(self.activations.shape[1])], np.float64)

    @property
    def runner_up(self) -> Floats:
        """(U,) activation by the second best Gabor; NaN in a bank of one."""
        columns = [column[np.isfinite(column)] for column in self.activations.T]
        return np.array([np.partition(c, -2)[-2] if len(c) > 1 else np.nan for c in columns], np.float64)

    def quantile(self, share: float) -> Floats:
        """(U,) activation that ``share`` of the Gabors stay below; 0.5 is the median."""
        columns = (column[np.isfinite(column)] for column in self.activations.T)
        return np.array([np.quantile(column.astype(np.float64), share) for column in columns])

    def parameters(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return the (B, 6) float64 parameters of rows of the bank."""
        return self.grid.parameters(torch.as_tensor(rows), self.image_size)

    def images(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return the (B, H, W) float32 Gabors of rows of the bank as they were shown, grey levels."""
        shown, _ = at_contrast(gabors(self.parameters(rows), self.image_size), self.mean, self.contrast)
        return shown.float()

    def diverse(
        self, unit: int, count: int, *, similarity: float = 0.8, looked_at: int = 256
    ) -> npt.NDArray[np.int64]:
        """Return up to ``count`` rows of the bank that a unit likes best, of different looks, best first.

        Parameters
        ----------
        unit
            Column of `activations`.
        count
            Rows at most.
        similarity
            Largest correlation of the pictures of two of them.
        looked_at
            Best Gabors of the bank among which they are chosen.
        """
        column = np.nan_to_num(self.activations[:, unit], nan=-np.inf)
        looked_at = min(looked_at, self.n_searched)
        top = np.sort(np.argpartition(-column, looked_at - 1)[:looked_at])
        top = top[np.argsort(-column[top], kind="stable")]
        patches = gabors(self.parameters(top), self.image_size).flatten(1)
        patches -= patches.mean(1, keepdim=True)
        patches /= patches.norm(dim=1, keepdim=True)
        chosen: list[int] = []
        left = torch.ones(len(top), dtype=torch.bool)
        while left.any() and len(chosen) < count:
            row = int(left.int().argmax())
            chosen.append(row)
            left &= patches @ patches[row] < similarity
            left[row] = False
        return np.asarray(top[chosen])


def search_gabors(
    model: AdjustedModel,
    grid: GaborGrid,
    neuron_ids: Sequence[int],
    *,
    mean: float,
    contrast: float,
    names: Sequence[str] | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    on_progress: Callable[[int, int, str], None] | None = None,
) -> GaborSearch:
    """Show every Gabor of a grid, at one mean and RMS contrast, to all units in one pass.

    The bank is made on the model's device a batch at a time and is never whole in memory; what stays is
    4 bytes a Gabor and unit.

    Parameters
    ----------
    model
        The adjusted model; one pass an image serves all units.
    grid
        Which Gabors.
    neuron_ids
        Columns of the wanted units.
    mean, contrast : grey levels
        Of every image, matched exactly, clipping included.
    names
        What each unit is called; by default its column.
    batch_size
        Gabors evaluated at once; by default what suits the device; fewer where the memory does not hold
        them.
    device
        Where the model is.
    on_progress
        Receives ``(done, total, text)``.

    Raises
    ------
    DataError
        If no Gabor can be shown at the contrast, or a unit answers all of them alike or with what is no
        number.

    Notes
    -----
    Walker et al. 2019: the best of 72,800 Gabors.

    Examples
    --------
    >>> from inception_loop.images.network import CallableModel
    >>> cell = gabors(torch.tensor([[0.0, 7.0, 0.0, 3.0, 31.5, 17.5]]), (36, 64))
    >>> model = CallableModel(lambda x, u: torch.einsum("bhw,uhw->bu", x, cell), 110.0, 50.0, (36, 64))
    >>> grid = GaborGrid(orientations=(0.0, 1.0), dx=(0,), dy=(0,))
    >>> found = search_gabors(model, grid, [0], mean=110.0, contrast=8.0)
    >>> found.parameters(found.best).tolist()
    [[0.0, 7.0, 0.0, 3.0, 31.5, 17.5]]
    """
    names = [str(i) for i in neuron_ids] if names is None else names
    units = torch.tensor(list(neuron_ids), device=device)
    activations = np.full((grid.size, len(units)), np.nan, np.float32)

    @torch.no_grad()
    def evaluate(rows: slice) -> None:
        parameters = grid.parameters(torch.arange(rows.start, rows.stop, device=device), model.image_size)
        images, shows = at_contrast(gabors(parameters, model.image_size), mean, contrast)
        if shows.any():
            answers = model(images[shows].float(), units)
            activations[rows][shows.cpu().numpy()] = answers.float().cpu().numpy()
            _refuse_no_number(answers, names)
        if on_progress is not None:
            on_progress(rows.stop, grid.size, f"{rows.stop:,} of {grid.size:,} Gabors")

    batches = FittingBatches(batch_size or _at_once(device))
    batches(grid.size, evaluate)
    found = GaborSearch(
        grid, activations, model.image_size, mean, contrast, batches.size if batches.halved else None
    )
    if found.n_searched == 0:
        raise DataError(
            f"of {grid.size} Gabors none can be shown at mean {mean:.1f} and contrast {contrast:.1f} grey "
            "levels; expected one or more; lower the contrast or take wider ones"
        )
    _refuse_indifferent(activations, names)
    return found


def _at_once(device: str) -> int:
    return CPU_AT_ONCE if torch.device(device).type == "cpu" else GPU_AT_ONCE


def _refuse_no_number(answers: Tensor, names: Sequence[str]) -> None:
    bad = torch.nonzero(~torch.isfinite(answers).all(0)).flatten().tolist()
    if bad:
        expected = "expected finite activations; leave them out or train their model again"
        units = dict.fromkeys((names[row] for row in bad), "")
        raise RefusedUnitsError(Refusal("the activation by a Gabor is no number", units, expected))


def _refuse_indifferent(activations: npt.NDArray[np.float32], names: Sequence[str]) -> None:
    low, high = np.nanmin(activations, 0), np.nanmax(activations, 0)
    alike = np.flatnonzero(high - low <= ALIKE * np.maximum(np.abs(low), np.abs(high)))
    if len(alike) and len(activations) > 1:
        units = {names[row]: f"{float(high[row]):.4g}" for row in alike.tolist()}
        expected = "expected an activation that changes with the picture; leave them out"
        raise RefusedUnitsError(Refusal("every Gabor excites alike", units, expected))
