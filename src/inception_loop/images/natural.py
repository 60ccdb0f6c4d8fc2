"""The natural image that excites each unit most, every image at the mean and contrast of the MEIs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.kind import Column
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import Tier
from inception_loop.dataset.parts import by_member
from inception_loop.errors import DataError
from inception_loop.images.contrast import can_match, match_contrast
from inception_loop.images.image_kind import MatchedConfig, image_kind, write_images
from inception_loop.images.network import AdjustedModel, Networks
from inception_loop.images.target import F64, I64, TEXT

BEST_NATURAL_IMAGE = image_kind(
    "best_natural_image",
    "The natural image of a scan that excites each unit most, at matched mean and contrast.",
    version=2,  # 2: judged by a validator, over contrasts and displacements
    columns={
        "median_activation": Column(F64, "median over all images searched, as activation"),
        "condition_hash": Column(TEXT, "condition that showed the image to the animal as it was"),
        "source_id": Column(TEXT, "photograph that it was cut from"),
        "n_images": Column(I64, "images searched"),
    },
    table_version=2,
)


class BestNaturalImageConfig(MatchedConfig):
    """Which images are searched, and at which statistics."""

    tier: Tier = Field("train", description="Tier of the images to search.")
    batch_size: int = Field(128, ge=1, description="Images evaluated at once.")


@dataclass(frozen=True)
class NaturalSearch:
    """Best images of U units out of K.

    Attributes
    ----------
    best : (U,) int64
        Row of the best image; of equal ones the first.
    activation, median_activation : (U,) float64
    images : (U, H, W) float32, grey levels
        The best images as they were evaluated.
    n_searched, n_flat, n_unreachable : int
        Images evaluated; left out because they are flat; because the contrast does not fit into the range.
    """

    best: npt.NDArray[np.int64]
    activation: npt.NDArray[np.float64]
    median_activation: npt.NDArray[np.float64]
    images: npt.NDArray[np.float32]
    n_searched: int
    n_flat: int
    n_unreachable: int


def search_natural(
    model: AdjustedModel,
    frames: npt.NDArray[np.float32],
    neuron_ids: Sequence[int],
    *,
    mean: float,
    contrast: float,
    batch_size: int = 128,
    device: str = "cpu",
) -> NaturalSearch:
    """Evaluate every image by every unit, all at the same mean and RMS contrast within the grey range.

    Parameters
    ----------
    model
        The adjusted model; one pass an image serves all units.
    frames : (K, H, W), grey levels
    neuron_ids
        Columns of the wanted units.
    mean, contrast : grey levels
        Matched exactly, clipping included.
    batch_size
        Images evaluated at once.
    device
        Where the model is.

    Raises
    ------
    DataError
        If there is no image, or none that can be shown at these statistics.
    """
    images = torch.tensor(frames, dtype=torch.float32)
    shows = can_match(images, mean, contrast) if len(images) else torch.zeros(0, dtype=torch.bool)
    rows = torch.nonzero(shows).flatten()
    flat = int((images.flatten(1).amax(1) - images.flatten(1).amin(1) < 1e-6).sum()) if len(images) else 0
    if len(rows) == 0:
        raise DataError(
            f"of {len(images)} natural images ({flat} flat) none can be shown at mean {mean:.1f} and "
            f"contrast {contrast:.1f}; expected one or more; give other images or lower the contrast"
        )
    activations = np.concatenate(
        [
            _activations(model, match_contrast(images[part], mean, contrast).to(device), neuron_ids)
            for part in torch.split(rows, batch_size)
        ]
    )
    winners = rows[activations.argmax(0)]
    return NaturalSearch(
        best=winners.numpy(),
        activation=activations.max(0),
        median_activation=np.median(activations, axis=0),
        images=match_contrast(images[winners], mean, contrast).numpy(),
        n_searched=len(rows),
        n_flat=flat,
        n_unreachable=len(images) - len(rows) - flat,
    )


@torch.no_grad()
def _activations(model: AdjustedModel, images: Tensor, neuron_ids: Sequence[int]) -> npt.NDArray[np.float64]:
    units = torch.tensor(list(neuron_ids), device=images.device)
    return model(images, units).double().cpu().numpy()


def make_best_natural_image(
    store: ArtifactStore,
    config: BestNaturalImageConfig,
    *,
    networks: Networks,
    dataset: ArtifactRef,
) -> Outcome:
    """Make the best natural images of a batch of units, out of the used images of a tier of their scan.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        As in `make_mei`.
    dataset
        The ``static_multi_dataset`` with the units' scan.
    """

    def build(attempt: Attempt) -> None:
        frames, conditions = tier_frames(store, dataset, config.name, config.tier)
        model, device = config.load(networks.own.load), store.settings.device
        found = search_natural(
            model,
            frames,
            config.neuron_ids,
            mean=config.mean_of(model),
            contrast=config.contrast,
            batch_size=config.batch_size,
            device=device,
        )
        chosen = conditions[found.best]
        columns = {
            "median_activation": found.median_activation,
            "condition_hash": chosen["condition_hash"],
            "source_id": chosen["source_id"],
            "n_images": [found.n_searched] * len(config.units),
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
        attempt.report(n_searched=found.n_searched, n_flat=found.n_flat, n_unreachable=found.n_unreachable)

    inputs = {**networks.inputs(), "static_multi_dataset": [dataset]}
    return store.make(BEST_NATURAL_IMAGE, config, build, inputs=inputs)


def tier_frames(
    store: ArtifactStore, dataset: ArtifactRef, name: str, tier: Tier
) -> tuple[npt.NDArray[np.float32], pl.DataFrame]:
    """Return the images that the used trials of one tier of a member show, each once.

    Returns
    -------
    frames : (K, H, W) float32, grey levels
    conditions : table ``condition_hash, image_class, image_id, source_id``, row k for frame k

    Raises
    ------
    DataError
        If the dataset has no such member, or the member no image of that tier.
    """
    names = store.table(dataset, "members")["name"].to_list()
    if name not in names:
        raise DataError(f"{dataset} has no member {name!r}; expected one of {', '.join(names)}")
    frame = by_member(store.inputs(dataset))[names.index(name)]["frame"]
    trials = store.table(dataset, "trials").filter(pl.col("used"), name=name, tier=tier)
    rows = np.unique(trials["frame_row"].to_numpy())
    if len(rows) == 0:
        raise DataError(
            f"{name} has no used trial of tier {tier!r}; expected at least one; choose another tier"
        )
    return store.arrays(frame, "frames")["frames"][rows], store.table(frame, "conditions")[rows]
