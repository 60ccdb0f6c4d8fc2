"""Parts of ProcessedImage: images of an artifact, displaced, as bytes, and as the networks see those."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.area_average import area_average
from inception_loop.dataset.frame import refuse_luminance
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import BeyondReachError
from inception_loop.images.judging import activations
from inception_loop.images.monitor.gamma import Monitor
from inception_loop.images.monitor.rig_bytes import Bytes, RigBytes, ZoomRule, rig_bytes
from inception_loop.images.monitor.shown_target import AsMade, ShownTarget
from inception_loop.images.network import Networks, TrainedEnsemble
from inception_loop.images.shifting import shift_images
from inception_loop.images.target import TARGET_COLUMNS

STATE = ("eye", "behavior")
NATURAL = ("source_id", "condition_hash")

Moments = tuple[float | None, float | None]


@dataclass(frozen=True)
class SourceImages:
    """Images of units as an artifact holds them.

    Attributes
    ----------
    kind : str
    table : table of `TARGET_COLUMNS`, ``source_id``, ``condition_hash`` (null where the kind has none),
        ``source_activation`` and ``source_row`` in the artifact; row k for image k
    images : (K, H, W) float32, grey levels
    state : dict
        ``eye, behavior, precision`` in which its networks were evaluated.
    """

    kind: str
    table: pl.DataFrame
    images: npt.NDArray[np.float32]
    state: Mapping[str, Any]

    def without(self, units: Sequence[str]) -> SourceImages:
        """Return the images of all units but some (``name/unit_id``, as errors name them)."""
        if not units:
            return self
        kept = ~self.table.select(pl.format("{}/{}", "name", "unit_id")).to_series().is_in(list(units))
        return replace(self, table=self.table.filter(kept), images=self.images[kept.to_numpy()])


def load_source(store: ArtifactStore, ref: ArtifactRef, group_id: int) -> SourceImages:
    """Load the images of an artifact.

    Raises
    ------
    ConfigurationError
        If it holds no images of units, those of another group, or those of networks that see cd/m².
    """
    manifest = store.manifest(ref)
    columns = (manifest.payloads[ref.kind].columns or {}) if ref.kind in manifest.payloads else {}
    lacks = [c for c in (*TARGET_COLUMNS, "activation") if c not in columns]
    if "images" not in manifest.payloads or lacks or any(c not in manifest.config for c in STATE):
        raise ConfigurationError(
            f"{ref} holds no images of units; expected an artifact of a kind such as mei, grad_rf, "
            "best_gabor, masked_mei or best_natural_image"
        )
    if manifest.config["group_id"] != group_id:
        raise ConfigurationError(
            f"{ref} is of group {manifest.config['group_id']}; expected group {group_id}; "
            "process it in its own group"
        )
    models = store.inputs(ref).get("model", [])
    refuse_luminance(store, {one for model in models for one in store.inputs(model).get("dataset", [])})
    table = store.table(ref, ref.kind)
    natural = [pl.col(c) if c in table.columns else pl.lit(None, pl.String).alias(c) for c in NATURAL]
    kept = table.select(
        *TARGET_COLUMNS, *natural, source_activation="activation", source_row=pl.int_range(pl.len())
    )
    return SourceImages(
        kind=ref.kind,
        table=kept,
        images=store.arrays(ref, "images")["images"],
        state={name: manifest.config[name] for name in STATE},
    )


def moments_of(
    store: ArtifactStore, target: ShownTarget, like: Sequence[ArtifactRef], monitor: Monitor
) -> Moments:
    """Return mean and contrast of a target; what it leaves open is the mean over the images of ``like``.

    Parameters
    ----------
    store, target, like
        Where, which, and artifacts of images.
    monitor
        In whose unit: `GREY`, or the rig's for a `LuminanceTarget`.
    """
    if isinstance(target, AsMade):
        return None, None
    if target.mean is not None and target.contrast is not None:
        return target.mean, target.contrast
    shown = [monitor.to_luminance(store.arrays(ref, "images")["images"]) for ref in like]
    mean = np.mean(np.concatenate([images.mean((1, 2)) for images in shown]))
    contrast = np.mean(np.concatenate([images.std((1, 2)) for images in shown]))
    return (
        float(mean) if target.mean is None else target.mean,
        float(contrast) if target.contrast is None else target.contrast,
    )


def displaced_bytes(
    source: SourceImages,
    shifts: Sequence[tuple[int, int]],
    aim: Moments,
    *,
    monitor: Monitor,
    zoom: int,
    rule: ZoomRule,
) -> tuple[pl.DataFrame, RigBytes]:
    """Displace every image and turn it into bytes; each displaced image is matched for itself.

    Parameters
    ----------
    source, shifts
        What, and by how many px of the network's images to the right and down.
    aim
        Mean and contrast in the unit of ``monitor``; None, both: as made.
    monitor, zoom, rule
        As of `rig_bytes`.

    Returns
    -------
    Rows ``source_row`` × shift, the columns of ``source.table`` with ``shift_x, shift_y``; and their bytes.
    """
    count = len(source.images)
    rows = np.repeat(np.arange(count), len(shifts))
    moves = np.tile(np.array(shifts, np.int64), (count, 1))
    wide = np.asarray(source.images, np.float64)
    moved = np.stack([shift_images(wide, (x, y)) for x, y in shifts], 1)
    table = source.table[rows].with_columns(
        source_kind=pl.lit(source.kind),
        shift_x=pl.Series(moves[:, 0], dtype=pl.Int64),
        shift_y=pl.Series(moves[:, 1], dtype=pl.Int64),
    )
    labels = [
        f"{source.kind} of unit {unit} of {name}" + (f" displaced by ({x}, {y})" if x or y else "")
        for name, unit, x, y in table.select("name", "unit_id", "shift_x", "shift_y").rows()
    ]
    try:
        found = rig_bytes(
            moved.reshape(-1, *wide.shape[1:]),
            *aim,
            monitor=monitor,
            zoom=zoom,
            rule=rule,
            labels=labels,
        )
    except BeyondReachError as error:
        bad = table[error.rows].select(pl.format("{}/{}", "name", "unit_id")).to_series().unique()
        line = f"leave_out = {json.dumps(sorted(bad), ensure_ascii=False)}"
        raise DataError(f"{error}; or go on without the units, with [rules] {line}") from error
    return table, found


def measures(found: RigBytes, aim: Moments, monitor: Monitor | None) -> dict[str, Any]:
    """Return the columns that say how bytes came out, in grey levels and, with a monitor, in cd/m²."""
    count = len(found.images)
    light = None if monitor is None else [_measure(monitor.levels[image]) for image in found.images]
    grey = [_measure(image) for image in found.images]
    return {
        "mean": [mean for mean, _ in grey],
        "contrast": [contrast for _, contrast in grey],
        "luminance_mean": [None] * count if light is None else [mean for mean, _ in light],
        "luminance_contrast": [None] * count if light is None else [contrast for _, contrast in light],
        "mean_miss": [None] * count if aim[0] is None else found.mean / aim[0] - 1,
        "contrast_miss": [None] * count if aim[1] is None else found.contrast / aim[1] - 1,
        "at_limit": found.at_limit,
    }


def _measure(image: npt.NDArray[np.generic]) -> tuple[float, float]:
    values = np.asarray(image, np.float64)
    return float(values.mean()), float(values.std())


def seen_activations(
    networks: Networks,
    source: SourceImages,
    table: pl.DataFrame,
    images: Bytes,
    device: str,
    batches: FittingBatches,
) -> dict[str, Any]:
    """Return the activations by the networks of bytes that are averaged to the networks' size.

    Parameters
    ----------
    networks
        Own, reference (by default own), validator (none: null).
    source, table, images
        Where the images are from; whose each is; (R, h, w) bytes.
    device
        Where the models are.
    batches
        How many images go through a model at once, halved where memory runs out.
    """
    reference, validator = networks.reference, networks.validator
    own = _by(networks.own, source, table, images, device, batches)
    return {
        "activation": own,
        "reference_activation": own
        if reference is None
        else _by(reference, source, table, images, device, batches),
        "validator_activation": [None] * table.height
        if validator is None
        else _by(validator, source, table, images, device, batches),
    }


def _by(
    ensemble: TrainedEnsemble,
    source: SourceImages,
    table: pl.DataFrame,
    images: Bytes,
    device: str,
    batches: FittingBatches,
) -> npt.NDArray[np.float64]:
    out = np.empty(table.height)
    names, ids = table["name"].to_numpy(), table["neuron_id"].to_numpy()
    for name in sorted(set(names)):
        model, rows = ensemble.load(name, **source.state, precision="float32"), np.flatnonzero(names == name)
        seen = torch.from_numpy(area_average(images[rows], *model.image_size)).to(device)
        out[rows] = activations(model, seen, ids[rows].tolist(), batches)
    return out
