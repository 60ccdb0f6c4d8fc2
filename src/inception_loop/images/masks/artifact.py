"""The three kinds of masks, made from the MEIs of a batch of units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.kind import GROUP, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.judging import IMAGES_AT_ONCE, activations
from inception_loop.images.masks.shapes import masked
from inception_loop.images.masks.tight import PARAMETER_SETS, Keep, TightRule, tight_masks
from inception_loop.images.masks.whole import OutlineRule, gaussian_masks, mei_masks
from inception_loop.images.network import AdjustedModel, Networks
from inception_loop.images.of_units import images_of
from inception_loop.images.target import F64, I64, TARGET_COLUMNS, TEXT, TargetConfig

MASKS = Arrays(
    {
        "masks": Array(
            "float32", ("units", "height", "width"), "masks in the order of the table, 0 (hidden) to 1"
        )
    }
)


def mask_kind(name: str, meaning: str, baseline: str, columns: Mapping[str, Column] | None = None) -> Kind:
    """Declare a kind of masks: table ``name``, payload ``masks``.

    Parameters
    ----------
    name, meaning
        As of every `Kind`.
    baseline
        What the ratio is relative to, in words.
    columns
        Of its own, beside those that all masks have.
    """
    common = {
        "mei_activation": Column(
            F64, "activation by the MEI without a mask, in s.d. of the unit's responses"
        ),
        "baseline_activation": Column(F64, f"activation by {baseline}"),
        "activation": Column(F64, "activation by the MEI through the mask, the rest at the MEI's mean"),
        "achieved_ratio": Column(F64, "activation over baseline_activation"),
        "area_px": Column(F64, "sum of the mask, px²"),
        "center_x": Column(F64, "centre of mass of the mask, px from the left"),
        "center_y": Column(F64, "centre of mass of the mask, px from the top"),
    }
    table = Table({**TARGET_COLUMNS, **common, **(columns or {})})
    return Kind(
        name=name, version=1, meaning=meaning, payloads={name: table, "masks": MASKS}, partition=GROUP
    )


TIGHT_MEI_MASK = mask_kind(
    "tight_mei_mask",
    "The smallest convex piece of each MEI that keeps a stated share of its activation, with a soft edge.",
    "the MEI through the mask before any erosion",
    {
        "erosions": Column(I64, "3×3 erosions made"),
        "next_ratio": Column(
            F64, "ratio after one erosion more; null: not tried, or that leaves nothing", nullable=True
        ),
        "stop_reason": Column(
            TEXT, "ratio: it fell to the target; vanished: nothing is left one erosion on; limit"
        ),
    },
)
MEI_MASK = mask_kind(
    "mei_mask", "All that stands out of each MEI, with a margin and a soft edge.", "the MEI without a mask"
)
GAUSSIAN_MASK = mask_kind(
    "gaussian_mask",
    "A Gaussian with the moments of each MEI's power.",
    "the MEI without a mask",
    {
        "power_x": Column(F64, "mean position of the MEI's power, px from the left"),
        "power_y": Column(F64, "mean position of the MEI's power, px from the top"),
        "var_x": Column(F64, "variance of that position along x, px²"),
        "var_y": Column(F64, "variance of that position along y, px²"),
        "cov_xy": Column(F64, "covariance of its x and y, px²"),
    },
)


class TightMEIMaskConfig(TargetConfig):
    """Tight masks of a batch of units."""

    parameter_set: int = Field(
        0, ge=0, lt=len(PARAMETER_SETS), description="Published set of threshold, edge and ratio, by number."
    )
    rule: TightRule | None = Field(None, description="Values of one's own instead of a published set.")
    keep: Keep = Field(
        "last_above",
        description="The last mask that still keeps the ratio, or the first that does not (as published).",
    )
    max_erosions: int = Field(100, ge=0, description="Erosions at most.")

    @property
    def values(self) -> TightRule:
        """The threshold, edge and ratio that hold."""
        return PARAMETER_SETS[self.parameter_set] if self.rule is None else self.rule


class MEIMaskConfig(TargetConfig):
    """Masks around all that stands out of the MEIs of a batch of units."""

    rule: OutlineRule = Field(OutlineRule(), description="Thresholds and widths.")


class GaussianMaskConfig(TargetConfig):
    """Gaussian masks of a batch of units."""

    exponent: float = Field(1.875, gt=0, description="Power of the root of the Gaussian; smaller is wider.")


def make_tight_mei_mask(
    store: ArtifactStore, config: TightMEIMaskConfig, *, mei: ArtifactRef, networks: Networks
) -> Outcome:
    """Make tight masks of the MEIs of a batch of units.

    Parameters
    ----------
    store, config
        Where and what.
    mei
        The MEIs, of these units at least.
    networks
        ``own`` says how much a masked MEI excites; loaded only if the artifact does not stand yet.

    Raises
    ------
    DataError
        If a unit has no MEI there or no pixel of it stands out, or the images inhibit.
    """

    def build(attempt: Attempt) -> None:
        _refuse_inhibiting(store, mei)
        model, images = config.load(networks.own.load), images_of(store, mei, config)
        batches = FittingBatches()
        found = tight_masks(
            unit_objective(model, config.neuron_ids),
            images,
            config.values,
            names=config.noise_keys,
            keep=config.keep,
            max_erosions=config.max_erosions,
            batches=batches,
        )
        values = {
            "mei_activation": found.full_activation,
            "baseline_activation": found.baseline_activation,
            "activation": found.activation,
            "achieved_ratio": found.achieved_ratio,
        }
        own = {
            "erosions": found.erosions,
            "next_ratio": pl.Series(found.next_ratio).fill_nan(None),
            "stop_reason": list(found.reasons),
        }
        _write(attempt, TIGHT_MEI_MASK, config, found.masks, values, own)
        reasons = {r: found.reasons.count(r) for r in sorted(set(found.reasons))}
        attempt.report(stop_reasons=reasons, **batches.findings())

    return store.make(TIGHT_MEI_MASK, config, build, inputs=_inputs(mei, networks))


def make_mei_mask(
    store: ArtifactStore, config: MEIMaskConfig, *, mei: ArtifactRef, networks: Networks
) -> Outcome:
    """Make masks around all that stands out of the MEIs of a batch; parameters of `make_tight_mei_mask`."""

    def build(attempt: Attempt) -> None:
        images = images_of(store, mei, config)
        masks = mei_masks(images, config.rule, names=config.noise_keys)
        batches = FittingBatches(IMAGES_AT_ONCE)
        values = _kept(config.load(networks.own.load), images, masks, config, batches)
        _write(attempt, MEI_MASK, config, masks, values)
        attempt.report(**batches.findings())

    return store.make(MEI_MASK, config, build, inputs=_inputs(mei, networks))


def make_gaussian_mask(
    store: ArtifactStore, config: GaussianMaskConfig, *, mei: ArtifactRef, networks: Networks
) -> Outcome:
    """Make Gaussian masks of the MEIs of a batch of units; parameters as in `make_tight_mei_mask`."""

    def build(attempt: Attempt) -> None:
        images = images_of(store, mei, config)
        masks, moments = gaussian_masks(images, names=config.noise_keys, exponent=config.exponent)
        batches = FittingBatches(IMAGES_AT_ONCE)
        values = _kept(config.load(networks.own.load), images, masks, config, batches)
        center, covariance = moments.center.cpu().numpy(), moments.covariance.cpu().numpy()
        own = {
            "power_x": center[:, 0],
            "power_y": center[:, 1],
            "var_x": covariance[:, 0, 0],
            "var_y": covariance[:, 1, 1],
            "cov_xy": covariance[:, 0, 1],
        }
        _write(attempt, GAUSSIAN_MASK, config, masks, values, own)
        attempt.report(**batches.findings())

    return store.make(GAUSSIAN_MASK, config, build, inputs=_inputs(mei, networks))


def _refuse_inhibiting(store: ArtifactStore, mei: ArtifactRef) -> None:
    if store.manifest(mei).config.get("objective") == "inhibiting":
        raise DataError(
            f"{mei} holds inhibiting images, of whose activation no share can be kept; expected exciting "
            "ones; draw a mei_mask or a gaussian_mask"
        )


def _inputs(mei: ArtifactRef, networks: Networks) -> dict[str, list[ArtifactRef]]:
    return {"mei": [mei], "model": list(networks.own.models)}


def _kept(
    model: AdjustedModel, images: Tensor, masks: Tensor, config: TargetConfig, batches: FittingBatches
) -> dict[str, npt.NDArray[np.float64]]:
    """Measure what masks that know no network keep of the activation."""
    full, kept = (
        activations(model, shown, config.neuron_ids, batches) for shown in (images, masked(images, masks))
    )
    return {
        "mei_activation": full,
        "baseline_activation": full,
        "activation": kept,
        "achieved_ratio": kept / full,
    }


def _write(
    attempt: Attempt,
    kind: Kind,
    config: TargetConfig,
    masks: Tensor,
    values: Mapping[str, Any],
    own: Mapping[str, Any] | None = None,
) -> None:
    weight = masks.double()
    area = weight.sum((1, 2))
    x, y = (torch.arange(n, dtype=weight.dtype, device=weight.device) for n in masks.shape[:0:-1])
    shape = {
        "area_px": area,
        "center_x": (weight.sum(1) * x).sum(1) / area,
        "center_y": (weight.sum(2) * y).sum(1) / area,
    }
    columns = {name: column.cpu().numpy() for name, column in shape.items()}
    table = pl.DataFrame({**config.columns(), **values, **columns, **(own or {})})
    attempt.write_table(kind.name, table)
    attempt.write_arrays("masks", {"masks": masks.cpu().numpy()})
