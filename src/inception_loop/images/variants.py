"""The artifacts of MEIs beyond the published: diverse sets, and centres with the surround that suits them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.kind import Array, Column, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import Wanted
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.ascent.similarity import pair_similarity
from inception_loop.images.diverse import DiverseSets, Spreading, diverse_sets
from inception_loop.images.image_kind import ImageConfig, image_kind, write_images
from inception_loop.images.judging import activations
from inception_loop.images.mei import ASCENT_COLUMNS, HISTORY, ascent_columns, stop_counts
from inception_loop.images.network import AdjustedModel, Networks
from inception_loop.images.of_units import images_of, rows_of
from inception_loop.images.surround import surround_images
from inception_loop.images.target import F64, I64, TARGET_COLUMNS, TargetConfig

MISSED = 1e-3  # of the wanted share: less is rounding

DIVERSE_MEI = image_kind(
    "diverse_mei",
    "Sets of images of each unit, every one nearly as exciting as its best, and unlike each other.",
    version=2,  # 2: steps halved where an ascent stalls
    columns={
        "member": Column(I64, "number of the image in its unit's set, from 0"),
        "share": Column(F64, "activation over best_activation"),
        "best_activation": Column(F64, "activation by the best image known at the same mean and contrast"),
        "grey_share": Column(
            F64, "activation by uniform grey over best_activation: what no picture at all has"
        ),
        "mean_similarity": Column(F64, "mean similarity to the other images of the set"),
        "max_similarity": Column(F64, "similarity to the most similar other image of the set"),
    },
    payloads={
        "pairs": Table(
            {
                **TARGET_COLUMNS,
                "first": Column(I64, "member"),
                "second": Column(I64, "member, a higher one"),
                "similarity": Column(F64, "correlation of the pixels, weighted by the mask if one is given"),
                "image_similarity": Column(F64, "correlation of all pixels"),
            }
        )
    },
)

SURROUND_MEI = image_kind(
    "surround_mei",
    "Each unit's MEI held inside a soft mask, and the surround that excites or suppresses it most.",
    version=2,  # 2: steps halved where an ascent stalls
    columns={
        **ASCENT_COLUMNS,
        "centre_activation": Column(F64, "activation by the centre alone, the rest uniform grey"),
        "surround_activation": Column(F64, "activation by the surround alone, the rest uniform grey"),
        "change": Column(F64, "activation over centre_activation, less 1"),
        "centre_px": Column(F64, "sum of the mask, px²"),
    },
    arrays={
        "centre": Array("float32", ("units", "height", "width"), "the centre alone, grey levels 0..255"),
        "surround": Array("float32", ("units", "height", "width"), "the surround alone, grey levels 0..255"),
    },
    payloads={"history": HISTORY},
)


class DiverseMeiConfig(ImageConfig):
    """Sets of images of a batch of units; who is in the batch is part of the question."""

    images: int = Field(4, ge=2, description="Images a unit.")
    share: float = Field(
        0.85, gt=0, lt=1, description="Of the activation of the unit's best image, that each image reaches."
    )
    procedure: Fast = Field(Fast(), description="Statistics of the images and how the first are climbed.")
    spreading: Spreading = Field(Spreading(), description="How the images of a set are driven apart.")
    seed: int = Field(1, ge=0, description="Of the noise.")


class SurroundMeiConfig(ImageConfig):
    """Surrounds of a batch of units; who is in the batch is part of the question."""

    objective: Wanted = Field("exciting", description="Whether the surround excites or inhibits.")
    procedure: Fast = Field(Fast(), description="Mean and contrast of the surround and how it is climbed.")
    seed: int = Field(1, ge=0, description="Of the starting noise.")


def make_diverse_mei(
    store: ArtifactStore,
    config: DiverseMeiConfig,
    *,
    networks: Networks,
    mei: ArtifactRef,
    mask: ArtifactRef | None = None,
) -> Outcome:
    """Make diverse sets of images of a batch of units; see `diverse_sets`.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        The ensemble that they are made for and those that judge them.
    mei
        The best images, of these units at least.
    mask
        Where similarity counts, an artifact of any kind of mask; by default everywhere.
    """

    def build(attempt: Attempt) -> None:
        model, device, batches = config.load(networks.own.load), store.settings.device, FittingBatches()
        found = diverse_sets(
            model,
            config.neuron_ids,
            images_of(store, mei, config),
            images=config.images,
            share=config.share,
            mask=None if mask is None else masks_of(store, mask, config),
            keys=config.noise_keys,
            procedure=config.procedure,
            spreading=config.spreading,
            seed=config.seed,
            batches=batches,
        )
        units = [unit for unit in config.units for _ in range(config.images)]
        table = write_images(
            attempt,
            DIVERSE_MEI,
            config,
            networks,
            model,
            found.images.flatten(0, 1),
            columns=_set_columns(found, _grey(model, config, device, batches)),
            units=units,
            device=device,
        )
        attempt.write_table("pairs", _pairs(config, found))
        attempt.report(**_short(table, config), **batches.findings())

    masks = {} if mask is None else {"mask": [mask]}
    return store.make(DIVERSE_MEI, config, build, inputs={**networks.inputs(), "mei": [mei], **masks})


def make_surround_mei(
    store: ArtifactStore,
    config: SurroundMeiConfig,
    *,
    networks: Networks,
    mei: ArtifactRef,
    mask: ArtifactRef,
) -> Outcome:
    """Find the surrounds of a batch of units; see `surround_images`.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        The ensemble that they are made for and those that judge them.
    mei
        The pictures whose middle stays, of these units at least.
    mask
        1 where it stays, an artifact of any kind of mask.
    """

    def build(attempt: Attempt) -> None:
        model, batches = config.load(networks.own.load), FittingBatches()
        masks = masks_of(store, mask, config)
        found = surround_images(
            model,
            config.neuron_ids,
            images_of(store, mei, config),
            masks,
            wanted=config.objective,
            keys=config.noise_keys,
            procedure=config.procedure,
            seed=config.seed,
            batches=batches,
        )
        numbers = {
            "centre_activation": found.centre_activation,
            "surround_activation": found.surround_activation,
            "change": found.change,
            "centre_px": masks.sum((1, 2)),
        }
        write_images(
            attempt,
            SURROUND_MEI,
            config,
            networks,
            model,
            found.ascent.images,
            columns={**ascent_columns(found.ascent), **{name: _floats(v) for name, v in numbers.items()}},
            arrays={"centre": found.centre.cpu().numpy(), "surround": found.surround.cpu().numpy()},
            device=store.settings.device,
        )
        attempt.write_arrays("history", {"score": found.ascent.history})
        attempt.report(**stop_counts(found.ascent), **batches.findings())

    inputs = {**networks.inputs(), "mei": [mei], "mask": [mask]}
    return store.make(SURROUND_MEI, config, build, inputs=inputs)


def masks_of(store: ArtifactStore, ref: ArtifactRef, config: TargetConfig) -> Tensor:
    """Return the (U, H, W) float32 masks, 0..1, of a batch's units, on the store's device."""
    rows = rows_of(store.table(ref, ref.kind), config, ref)
    return torch.tensor(store.arrays(ref, "masks")["masks"][rows], device=store.settings.device)


def _floats(values: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(values.double().cpu().numpy())


def _grey(model: AdjustedModel, config: DiverseMeiConfig, device: str, batches: FittingBatches) -> Tensor:
    mean = model.image_mean if config.procedure.mean is None else config.procedure.mean
    flat = torch.full((len(config.units), *model.image_size), mean, device=device)
    return torch.from_numpy(activations(model, flat, config.neuron_ids, batches))


def _set_columns(found: DiverseSets, grey: Tensor) -> dict[str, Any]:
    sets, size = found.shares.shape
    itself = torch.eye(size, dtype=torch.bool, device=found.similarity.device)
    numbers = {
        "share": found.shares,
        "best_activation": found.best[:, None].expand(sets, size),
        "grey_share": (grey.to(found.best.device) / found.best)[:, None].expand(sets, size),
        "mean_similarity": found.similarity.masked_fill(itself, 0.0).sum(2) / (size - 1),
        "max_similarity": found.similarity.masked_fill(itself, -torch.inf).amax(2),
    }
    columns = {name: _floats(values).ravel() for name, values in numbers.items()}
    return {"member": np.tile(np.arange(size), sets), **columns}


def _pairs(config: DiverseMeiConfig, found: DiverseSets) -> pl.DataFrame:
    size = config.images
    first, second = torch.triu_indices(size, size, 1)
    owners = {name: np.repeat(values, len(first)) for name, values in config.columns().items()}
    everywhere = pair_similarity(found.images)
    return pl.DataFrame(
        {
            **owners,
            "first": np.tile(first.numpy(), len(config.units)),
            "second": np.tile(second.numpy(), len(config.units)),
            "similarity": _floats(found.similarity[:, first, second]).ravel(),
            "image_similarity": _floats(everywhere[:, first, second]).ravel(),
        }
    )


def _short(table: pl.DataFrame, config: DiverseMeiConfig) -> dict[str, object]:
    """Name the units of which an image, measured again, misses the share after all."""
    activation = pl.col("activation") / pl.col("best_activation")
    short = table.filter(activation < config.share - MISSED)["unit_id"].unique(maintain_order=True)
    lowest = table.select(activation.min()).item()
    return {"lowest_share": float(lowest), "units_short_of_the_share": short.to_list()}
