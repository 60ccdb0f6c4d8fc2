"""Put a stimulus set together: images as bytes, one condition an image and unit, the order of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.images.contrast import match_contrast
from inception_loop.images.mei import MEI
from inception_loop.images.natural import BEST_NATURAL_IMAGE
from inception_loop.images.rf import GRAD_RF
from inception_loop.images.shifting import shift_images
from inception_loop.recordings.condition import condition_hash
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.oracle import OracleImages
from inception_loop.stimuli.order import blocked_order
from inception_loop.stimuli.planner import SessionPlan
from inception_loop.stimuli.rig import to_rig
from inception_loop.stimuli.statistics import misses, refuse_misses

if TYPE_CHECKING:
    from inception_loop.stimuli.stimulus_set import StimulusSetConfig

Bytes = npt.NDArray[np.uint8]
CLASSES = {
    MEI.name: ("multi_cnn_mei", "cnn"),
    GRAD_RF.name: ("multi_lin_rf", "linear"),
    BEST_NATURAL_IMAGE.name: ("unmasked_imgnet", "natural"),
}
"""Kind of artifact → image class and model type of its images."""


@dataclass(frozen=True)
class MadeImages:
    """Images made (or chosen) for units, all of one class.

    Attributes
    ----------
    image_class, model_type : str
        E.g. ``multi_cnn_mei`` and ``cnn``.
    units : table ``name, neuron_id, unit_id`` and, for natural images, ``source_id``; row k for image k
    images : (K, H, W), grey levels at the network's size
    """

    image_class: str
    model_type: str
    units: pl.DataFrame
    images: npt.NDArray[np.float32]


@dataclass(frozen=True)
class StimulusSet:
    """What a rig shows: see the payloads of the kind ``stimulus_set``."""

    images: Bytes
    conditions: pl.DataFrame
    trials: pl.DataFrame
    plan: SessionPlan


def assemble(
    made: Sequence[MadeImages],
    oracle: OracleImages | None,
    config: StimulusConfig,
    *,
    mean: float,
    contrast: float,
) -> StimulusSet:
    """Make the stimulus set of a session, or refuse it as a whole.

    Parameters
    ----------
    made
        Groups of images; every group for the same units.
    oracle
        Images that the source scan showed repeatedly, shown again byte for byte.
    config
        Shifts, repeats, timing, policies.
    mean, contrast : grey levels
        Target of every made image; the blank is uniform at the mean.

    Returns
    -------
    StimulusSet

    Raises
    ------
    DataError
        If a unit lacks an image of one group, an image cannot be shown at the target or misses it, or the
        oracle images have another size than the rig's.

    Notes
    -----
    Two units may have the same best natural image: then both have a row in ``conditions``, with the same
    ``condition_hash``, ``image_id`` and ``image_row``, and the image is shown once a block.
    """
    _check_complete(made)
    rows, pictures = [], []
    for group in made:
        for shift in config.shifts:
            pictures.append(_shown(group, shift, config, mean, contrast))
            rows.append(_made_rows(group, shift))
    labels = pl.concat(rows)
    bytes_ = np.concatenate(pictures)
    names = [f"{c} of unit {u}" for c, u in labels.select("image_class", "source_unit_id").rows()]
    found = misses(bytes_, names, mean=mean, contrast=contrast, tolerance=config.tolerance)
    refuse_misses(found, len(bytes_), config.tolerance)
    conditions = labels.with_columns(_hashes(bytes_, config.shown_s))
    if oracle is not None:
        bytes_ = _append(bytes_, oracle.images)
        conditions = pl.concat([conditions, _oracle_rows(oracle)], how="diagonal")
    if config.blanks:
        blank = np.full((1, *bytes_.shape[1:]), round(mean), np.uint8)
        bytes_ = _append(bytes_, blank)
        conditions = pl.concat([conditions, _blank_row(blank, config.shown_s)], how="diagonal")
    images, conditions = _numbered(bytes_, conditions)
    return StimulusSet(
        images, conditions, _trials(conditions, len(images), config), _plan(made, images, config)
    )


def _check_complete(made: Sequence[MadeImages]) -> None:
    wanted = made[0].units.select("name", "unit_id")
    if wanted.is_duplicated().any():
        name, unit = wanted.filter(wanted.is_duplicated()).row(0)
        raise DataError(f"unit {unit} of {name} has two images of class {made[0].image_class}; expected one")
    for group in made[1:]:
        have = group.units.select("name", "unit_id")
        lost, strange = (
            wanted.join(have, on=have.columns, how="anti"),
            have.join(wanted, on=have.columns, how="anti"),
        )
        if lost.height or strange.height or have.height != wanted.height:
            name, unit = pl.concat([lost, strange, have.filter(have.is_duplicated())]).row(0)
            raise DataError(
                f"{group.image_class} has images of {have.height} units, {made[0].image_class} of "
                f"{wanted.height}, first difference unit {unit} of {name}; expected the same units once "
                "each; make all images of all units"
            )


def _shown(
    group: MadeImages, shift: tuple[int, int], config: StimulusConfig, mean: float, contrast: float
) -> Bytes:
    images = shift_images(group.images, shift)
    if config.match:
        images = match_contrast(torch.from_numpy(images.astype(np.float64)), mean, contrast).numpy()
    return to_rig(images, config.zoom)


def _made_rows(group: MadeImages, shift: tuple[int, int]) -> pl.DataFrame:
    source = group.units["source_id"] if "source_id" in group.units.columns else pl.lit(None, pl.String)
    return group.units.select(
        image_class=pl.lit(group.image_class),
        model_type=pl.lit(group.model_type),
        source_id=source,
        source_name="name",
        source_neuron_id="neuron_id",
        source_unit_id="unit_id",
        shift_x=pl.lit(shift[0], pl.Int64),
        shift_y=pl.lit(shift[1], pl.Int64),
    )


def _oracle_rows(oracle: OracleImages) -> pl.DataFrame:
    zero = pl.lit(0, pl.Int64)
    return oracle.conditions.with_columns(model_type=pl.lit("oracle"), shift_x=zero, shift_y=zero)


def _blank_row(blank: Bytes, shown_s: float) -> pl.DataFrame:
    row = {"image_class": "blank", "model_type": "blank", "source_id": "blank", "shift_x": 0, "shift_y": 0}
    return pl.DataFrame([row]).with_columns(_hashes(blank, shown_s))


def _hashes(images: Bytes, shown_s: float) -> pl.Series:
    return pl.Series("condition_hash", [condition_hash(image, shown_s) for image in images], pl.String)


def _append(images: Bytes, more: Bytes) -> Bytes:
    if images.shape[1:] != more.shape[1:]:
        raise DataError(
            f"the source scan's images have {more.shape[1]}×{more.shape[2]} px, the made ones "
            f"{images.shape[1]}×{images.shape[2]}; expected one size on the rig; change zoom"
        )
    return np.concatenate([images, more])


def _numbered(bytes_: Bytes, conditions: pl.DataFrame) -> tuple[Bytes, pl.DataFrame]:
    """Keep equal images once; number the images, and the images of each class that have no number yet."""
    _, first, image_row = np.unique(
        conditions["condition_hash"].to_numpy(), return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    images = bytes_[first[order]]
    numbered = conditions.with_columns(image_row=pl.Series(rank[image_row], dtype=pl.Int64))
    new_id = pl.col("image_row").rank("dense").over("image_class").cast(pl.Int64) - 1
    given = pl.col("image_id") if "image_id" in conditions.columns else pl.lit(None, pl.Int64)
    numbered = numbered.with_columns(image_id=pl.coalesce(given, new_id))
    own = pl.format("{}-{}", "image_class", "image_id")
    numbered = numbered.with_columns(
        source_id=pl.coalesce("source_id", own),
        mean=_of_images(images.mean((1, 2), dtype=np.float64), numbered),
        contrast=_of_images(images.std((1, 2), dtype=np.float64), numbered),
        **dict.fromkeys(
            ("reference_activation", "validator_activation", "target_mean", "target_contrast"),
            pl.lit(None, pl.Float64),
        ),
        **dict.fromkeys(("target", "fill"), pl.lit(None, pl.String)),
    )
    return images, numbered


def _of_images(values: npt.NDArray[np.float64], conditions: pl.DataFrame) -> pl.Series:
    return pl.Series(values[conditions["image_row"].to_numpy()])


def _trials(conditions: pl.DataFrame, n_images: int, config: StimulusConfig) -> pl.DataFrame:
    order = blocked_order(n_images, config.repeats, config.seed)
    first = conditions["image_row"].arg_unique().to_numpy().astype(np.int64)
    row = first[order.image]
    return pl.DataFrame(
        {
            "position": np.arange(len(row)),
            "block": order.block,
            "condition_row": row,
            "condition_hash": conditions["condition_hash"].to_numpy()[row],
        }
    )


def _plan(made: Sequence[MadeImages], images: Bytes, config: StimulusConfig) -> SessionPlan:
    units, kinds, shifts = made[0].units.height, len(made), len(config.shifts)
    return SessionPlan(
        units=units,
        images_per_unit=kinds,
        shifts=shifts,
        others=len(images) - units * kinds * shifts,
        repeats=config.repeats,
        shown_s=config.shown_s,
        gap_s=config.gap_s,
    )


def make_directly(
    store: ArtifactStore,
    config: StimulusSetConfig,
    *,
    meis: Sequence[ArtifactRef],
    rfs: Sequence[ArtifactRef],
    naturals: Sequence[ArtifactRef],
    recording: ArtifactRef,
) -> Outcome:
    """Make a stimulus set of images that are matched and zoomed here; see `make_stimulus_set`."""
    from inception_loop.stimuli.stimulus_set import STIMULUS_SET, source_images

    kinds = {MEI.name: meis, GRAD_RF.name: rfs, BEST_NATURAL_IMAGE.name: naturals}
    given = {kind: list(refs) for kind, refs in kinds.items() if refs}

    def build(attempt: Attempt) -> None:
        made = [_made(store, kind, refs) for kind, refs in given.items()]
        mean, contrast = _target(store, config.session, meis)
        oracle = source_images(store, config.session, recording)
        found = assemble(made, oracle, config.session, mean=mean, contrast=contrast)
        attempt.write_arrays("images", {"images": found.images})
        attempt.write_table("conditions", found.conditions)
        attempt.write_table("trials", found.trials)
        attempt.report(**_findings(found, mean, contrast))

    return store.make(STIMULUS_SET, config, build, inputs={**given, "recording": [recording]})


def _made(store: ArtifactStore, kind: str, refs: Sequence[ArtifactRef]) -> MadeImages:
    tables = [store.table(ref, kind) for ref in refs]
    kept = [c for c in ("name", "neuron_id", "unit_id", "source_id") if c in tables[0].columns]
    images = np.concatenate([store.arrays(ref, "images")["images"] for ref in refs])
    return MadeImages(*CLASSES[kind], pl.concat([table.select(kept) for table in tables]), images)


def _target(store: ArtifactStore, config: StimulusConfig, meis: Sequence[ArtifactRef]) -> tuple[float, float]:
    table = pl.concat([store.table(ref, MEI.name).select("img_mean", "contrast") for ref in meis])
    mean, contrast = table["img_mean"].to_numpy().mean(), table["contrast"].to_numpy().mean()
    return (
        float(mean) if config.mean is None else config.mean,
        float(contrast) if config.contrast is None else config.contrast,
    )


def _findings(found: StimulusSet, mean: float, contrast: float) -> dict[str, object]:
    made = found.conditions.filter(pl.col("source_unit_id").is_not_null())
    counts = found.conditions.group_by("model_type").agg(pl.col("image_row").n_unique()).sort("model_type")
    return {
        "n_images": len(found.images),
        "images_by_model_type": dict(counts.rows()),
        "n_shared": made.height - made["condition_hash"].n_unique(),
        "n_trials": found.plan.trials,
        "minutes": round(found.plan.minutes, 3),
        "mean": mean,
        "contrast": contrast,
        "worst_mean_miss": float((made["mean"] / mean - 1).abs().to_numpy().max()),
        "worst_contrast_miss": float((made["contrast"] / contrast - 1).abs().to_numpy().max()),
    }
