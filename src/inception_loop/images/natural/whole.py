"""The natural image that excites each unit most, every image at the mean and contrast of the MEIs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.kind import Column
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError, Refusal, RefusedUnitsError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import FLAT, can_match, match_contrast
from inception_loop.images.image_kind import MatchedConfig, image_kind, write_images
from inception_loop.images.natural.searched import Searched, Which, searched
from inception_loop.images.network import AdjustedModel, Networks
from inception_loop.images.target import F64, I64, TEXT

FOUND = {
    "image_row": Column(I64, "number of the image among those searched"),
    "content_hash": Column(TEXT, "content hash of the image as it was before it was adjusted"),
    "condition_hash": Column(
        TEXT, "condition that showed the image to the animal as it was; null: it saw none", nullable=True
    ),
    "source_id": Column(TEXT, "picture that it was cut from"),
    "runner_up_activation": Column(
        F64, "by the second best image searched, as activation; null: there is none", nullable=True
    ),
    "n_images": Column(I64, "images searched"),
}
"""What is said of an image that was found by a search."""

BEST_NATURAL_IMAGE = image_kind(
    "best_natural_image",
    "The natural image that excites each unit most, at matched mean and contrast.",
    version=3,  # 3: from any image set; the runner-up
    columns={
        **FOUND,
        "median_activation": Column(F64, "median over all images searched, as activation"),
        "best_activation": Column(
            F64, "by the best image, where another unit got it, as activation", nullable=True
        ),
    },
    table_version=3,
)


class BestNaturalImageConfig(MatchedConfig):
    """Which images are searched, and at which statistics."""

    which: Which = Field(Which(), description="Which of the pictures given are searched.")
    distinct: bool = Field(
        False,
        description="Whether each unit gets an image of its own: the assignment with the highest sum over "
        "units of (activation − median)/(highest − median).",
    )
    batch_size: int = Field(128, ge=1, description="Images evaluated at once.")


@dataclass(frozen=True)
class NaturalSearch:
    """Best images of U units out of K.

    Attributes
    ----------
    best : (U,) int64
        Row of the chosen image; of equal ones the first.
    activation, best_activation, runner_up_activation, median_activation : (U,) float64
        By the chosen image; by the best one, which is the same unless images are distinct; by the second
        best (NaN where there is one image only); and the median.
    images : (U, H, W) float32, grey levels
        The chosen images as they were evaluated.
    n_searched, n_flat, n_unreachable : int
        Images evaluated; left out because they are flat; because the contrast does not fit into the range.
    """

    best: npt.NDArray[np.int64]
    activation: npt.NDArray[np.float64]
    best_activation: npt.NDArray[np.float64]
    runner_up_activation: npt.NDArray[np.float64]
    median_activation: npt.NDArray[np.float64]
    images: npt.NDArray[np.float32]
    n_searched: int
    n_flat: int
    n_unreachable: int


def search_natural(
    model: AdjustedModel,
    pictures: Searched,
    neuron_ids: Sequence[int],
    *,
    mean: float,
    contrast: float,
    distinct: bool = False,
    names: Sequence[str] | None = None,
    batches: FittingBatches | None = None,
    device: str = "cpu",
) -> NaturalSearch:
    """Evaluate every image by every unit, all at the same mean and RMS contrast within the grey range.

    A batch of images is in memory at a time, and the activations: 4 bytes an image and unit.

    Parameters
    ----------
    model
        The adjusted model; one pass an image serves all units.
    pictures
        Where to search; `in_memory` makes them of an array.
    neuron_ids
        Columns of the wanted units.
    mean, contrast : grey levels
        Matched exactly, clipping included.
    distinct
        Whether each unit gets an image of its own.
    names
        What each unit is called in an error; by default its column.
    batches
        How many images are evaluated at once, halved where memory runs out; by default 128.
    device
        Where the model is.

    Raises
    ------
    DataError
        If fewer images than units can be shown at these statistics, or an activation is no number.

    Examples
    --------
    >>> from inception_loop.images.network import CallableModel
    >>> from inception_loop.images.natural.searched import in_memory
    >>> model = CallableModel(lambda x, u: x[:, 0, u], 100.0, 50.0, (1, 3))
    >>> images = np.array([[[0, 1, 9]], [[9, 1, 0]], [[5, 5, 5]]], np.float32)
    >>> found = search_natural(model, in_memory(images), [0, 2], mean=100.0, contrast=10.0)
    >>> found.best.tolist(), found.n_flat, found.activation.round(1).tolist()
    ([1, 0], 1, [114.1, 114.1])
    """
    batches = batches or FittingBatches(128)
    units = torch.tensor(list(neuron_ids), device=device)
    shown: list[npt.NDArray[np.int64]] = []
    activations: list[npt.NDArray[np.float32]] = []
    flat = 0
    for start, block in pictures.blocks(batches.size or len(pictures)):
        images = torch.tensor(block)
        fits = can_match(images, mean, contrast)
        flat += int((~fits & (images.flatten(1).amax(1) - images.flatten(1).amin(1) <= 2 * FLAT)).sum())
        shown.append(start + np.flatnonzero(fits.numpy()))
        matched = match_contrast(images[fits], mean, contrast).to(device)
        activations += batches(len(matched), partial(_evaluate, model, matched, units))
    rows = np.concatenate(shown) if shown else np.zeros(0, np.int64)
    if len(rows) < len(units):
        raise DataError(
            f"of {len(pictures)} natural images ({flat} flat) {len(rows)} can be shown at mean {mean:.1f} "
            f"and contrast {contrast:.1f}; expected at least one for each of {len(units)} units; give more "
            "images, ask for fewer units or lower the contrast"
        )
    found = np.concatenate(activations)
    _refuse_no_number(found, [f"unit {i}" for i in neuron_ids] if names is None else names)
    chosen = own_images(found) if distinct else found.argmax(0)
    ordered = np.sort(found, axis=0)
    best = rows[chosen]
    return NaturalSearch(
        best=best,
        activation=found[chosen, np.arange(len(units))].astype(np.float64),
        best_activation=ordered[-1].astype(np.float64),
        runner_up_activation=(ordered[-2] if len(rows) > 1 else np.full(len(units), np.nan)).astype(
            np.float64
        ),
        median_activation=np.median(ordered, axis=0).astype(np.float64),
        images=match_contrast(torch.tensor(pictures.take(best)), mean, contrast).numpy(),
        n_searched=len(rows),
        n_flat=flat,
        n_unreachable=len(pictures) - len(rows) - flat,
    )


def own_images(activations: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Give each unit an image of its own so that all have as much of their best as can be.

    Parameters
    ----------
    activations : (K, U), K ≥ U

    Returns
    -------
    (U,) int64
        The assignment with the highest sum of (activation − median)/(highest − median).

    Examples
    --------
    >>> own_images(np.array([[9.0, 8.0], [1.0, 7.0], [0.0, 0.0]])).tolist()
    [0, 1]
    """
    median, highest = np.median(activations, axis=0), activations.max(0)
    extent = np.where(highest > median, highest - median, 1.0)
    return np.asarray(scipy.optimize.linear_sum_assignment(-((activations - median) / extent).T)[1], np.int64)


@torch.no_grad()
def _evaluate(model: AdjustedModel, images: Tensor, units: Tensor, part: slice) -> npt.NDArray[np.float32]:
    return model(images[part], units).float().cpu().numpy()


def _refuse_no_number(activations: npt.NDArray[np.float32], names: Sequence[str]) -> None:
    units = {name: "" for name, own in zip(names, activations.T, strict=True) if not np.isfinite(own).all()}
    if units:
        expected = "expected a finite one; leave them out"
        raise RefusedUnitsError(Refusal("the activation by a natural image is no number", units, expected))


def make_best_natural_image(
    store: ArtifactStore, config: BestNaturalImageConfig, *, networks: Networks, pictures: ArtifactRef
) -> Outcome:
    """Make the best natural images of a batch of units.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        As in `make_mei`.
    pictures
        What is searched: an ``image_set``, a ``static_multi_dataset`` with the units' scan, or a ``frame``.
    """

    def build(attempt: Attempt) -> None:
        model, device = config.load(networks.own.load), store.settings.device
        images = searched(store, pictures, config.name, config.which)
        images.check(model.image_size, len(config.units))
        batches = FittingBatches(config.batch_size)
        found = search_natural(
            model,
            images,
            config.neuron_ids,
            mean=config.mean_of(model),
            contrast=config.contrast,
            distinct=config.distinct,
            names=config.noise_keys,
            batches=batches,
            device=device,
        )
        columns = {
            **found_columns(images, found.best, found.runner_up_activation, found.n_searched),
            "median_activation": found.median_activation,
            "best_activation": found.best_activation,
        }
        write_images(
            attempt,
            BEST_NATURAL_IMAGE,
            config,
            networks,
            model,
            found.images,
            columns=columns,
            device=device,
        )
        attempt.report(
            n_searched=found.n_searched,
            n_flat=found.n_flat,
            n_unreachable=found.n_unreachable,
            n_different=len(set(found.best.tolist())),
            **batches.findings(),
        )

    inputs = {**networks.inputs(), pictures.kind: [pictures]}
    return store.make(BEST_NATURAL_IMAGE, config, build, inputs=inputs)


def found_columns(
    images: Searched,
    best: npt.NDArray[np.int64],
    runner_up: npt.NDArray[np.float64],
    n_images: int | npt.NDArray[np.int64],
) -> dict[str, object]:
    """Return the columns `FOUND` of images found by a search."""
    described = images.described(best)
    return {
        "image_row": best,
        **{name: described[name] for name in ("content_hash", "condition_hash", "source_id")},
        "runner_up_activation": pl.Series(runner_up, dtype=pl.Float64).fill_nan(None),
        "n_images": np.broadcast_to(n_images, best.shape).astype(np.int64),
    }
