"""ProcessedImage: images of units as the bytes that the rig is sent, and what the networks make of those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from pydantic import Field, field_validator

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ConfigurationError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.judging import IMAGES_AT_ONCE
from inception_loop.images.monitor.closest import load_closest_monitor
from inception_loop.images.monitor.gamma import GREY
from inception_loop.images.monitor.processing import (
    Moments,
    displaced_bytes,
    load_source,
    measures,
    moments_of,
    seen_activations,
)
from inception_loop.images.monitor.rig_bytes import ZoomRule
from inception_loop.images.monitor.shown_target import PUBLISHED, GreyTarget, LuminanceTarget, ShownTarget
from inception_loop.images.network import Networks
from inception_loop.images.target import F64, I64, TARGET_COLUMNS, TEXT

COLUMNS = {
    **TARGET_COLUMNS,
    "source_kind": Column(TEXT, "kind of the artifact that the image is from, such as mei"),
    "source_row": Column(I64, "row of the image in it"),
    "source_id": Column(TEXT, "photograph that it was cut from; null: made", nullable=True),
    "condition_hash": Column(
        TEXT, "condition that showed the photograph as it was; null: none did", nullable=True
    ),
    "shift_x": Column(I64, "displacement to the right, px of the network's images"),
    "shift_y": Column(I64, "displacement down, px of the network's images"),
    "mean": Column(F64, "mean of the bytes, grey levels"),
    "contrast": Column(F64, "RMS contrast of the bytes (ddof 0), grey levels"),
    "luminance_mean": Column(F64, "mean of what they show, cd/m²; null: no monitor", nullable=True),
    "luminance_contrast": Column(
        F64, "RMS contrast of what they show (ddof 0), cd/m²; null: no monitor", nullable=True
    ),
    "mean_miss": Column(
        F64, "mean over its target, less 1, in the target's unit; null: no target", nullable=True
    ),
    "contrast_miss": Column(F64, "contrast over its target, less 1; null: no target", nullable=True),
    "at_limit": Column(F64, "share of the pixels that are black or white"),
    "activation": Column(F64, "by the ensemble it is made for, of the bytes averaged to the network's size"),
    "reference_activation": Column(F64, "of the same by the ensemble that compares all kinds"),
    "validator_activation": Column(
        F64, "of the same by networks that had no part in any image", nullable=True
    ),
    "source_activation": Column(F64, "by the first of them, of the image as it was made"),
}

PROCESSED_IMAGE = Kind(
    name="processed_image",
    version=1,
    meaning="Images of units as the rig is sent them: zoomed, displaced, at one mean and contrast, in bytes.",
    payloads={
        "processed_image": Table(COLUMNS),
        "images": Arrays(
            {"images": Array("uint8", ("rows", "height", "width"), "grey levels as sent to the monitor")}
        ),
    },
    partition=GROUP,
)

NULLABLE = {name: pl.Float64 for name, column in COLUMNS.items() if column.nullable and column.type == F64}


class ProcessedImageConfig(Config):
    """How images are shown; see `published` for the configurations of the field."""

    group_id: int = Field(ge=0, description="Group of the units.")
    target: ShownTarget = Field(GreyTarget(), description="Mean and contrast, and in which unit.")
    zoom: int = Field(4, ge=1, description="Side of the square that shows one pixel, px of the rig.")
    zoom_rule: ZoomRule = Field("repeat", description="What lies between the pixels' centres.")
    shifts: tuple[tuple[int, int], ...] = Field(
        ((0, 0),), min_length=1, description="Displacements (x, y) of every image, px of the network."
    )
    leave_out: tuple[str, ...] = Field((), description="Units whose images are not shown: scan/unit_id.")

    @field_validator("shifts")
    @classmethod
    def _once(cls, shifts: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        if len(set(shifts)) < len(shifts):
            raise ValueError(f"shifts {shifts} name a displacement twice; expected each once")
        return shifts


def published(number: int, group_id: int, **options: Any) -> ProcessedImageConfig:
    """Return one of the six published configurations by its number.

    Parameters
    ----------
    number
        0..5: 10 ± 2, 16 ± 1.5, 13 ± 1.8, 16 ± 2, 10 ± 1.5, 10 ± 1.2 cd/m² (mean ± RMS contrast), zoom 4.
    group_id, options
        Fields of `ProcessedImageConfig`.

    Raises
    ------
    ConfigurationError
        If there is no such number.

    Examples
    --------
    >>> config = published(1, group_id=0)
    >>> config.target.mean, config.target.contrast, config.zoom
    (16.0, 1.5, 4)
    """
    if not 0 <= number < len(PUBLISHED):
        raise ConfigurationError(
            f"there is no published configuration {number}; expected 0..{len(PUBLISHED) - 1}"
        )
    target, zoom = PUBLISHED[number]
    return ProcessedImageConfig(**{"group_id": group_id, "target": target, "zoom": zoom, **options})


def make_processed_image(
    store: ArtifactStore,
    config: ProcessedImageConfig,
    *,
    networks: Networks,
    image: ArtifactRef,
    calibration: ArtifactRef | None = None,
    like: Sequence[ArtifactRef] = (),
) -> Outcome:
    """Make the bytes that show images of units; a row a unit and displacement, units first.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        By which the shown images are judged, with eye and behaviour held as for the image itself.
    image
        An artifact of any kind of `image_kind`.
    calibration
        The rig's monitor: ``processed_monitor_calibration``, or the ``closest_calibration`` of the scan that
        will show the images. Needed by `LuminanceTarget`; with the others it is measured by only.
    like
        Where the target leaves mean or contrast open: artifacts of images, whose mean over all images it
        takes; by default ``image``.

    Raises
    ------
    ConfigurationError
        If the artifacts do not fit together, or a target in cd/m² has no monitor.
    DataError
        If an image cannot be shown at the target; see `rig_bytes`.
    """
    if isinstance(config.target, LuminanceTarget) and calibration is None:
        raise ConfigurationError(
            "a target in cd/m² has no monitor; expected a calibration; give one or choose a target in grey "
            "levels"
        )

    def build(attempt: Attempt) -> None:
        source = load_source(store, image, config.group_id).without(config.leave_out)
        monitor = None if calibration is None else load_closest_monitor(store, calibration)
        in_light = monitor if isinstance(config.target, LuminanceTarget) else None
        aim = moments_of(store, config.target, [*like] or [image], in_light or GREY)
        rows, found = displaced_bytes(
            source,
            config.shifts,
            aim,
            monitor=in_light or GREY,
            zoom=config.zoom,
            rule=config.zoom_rule,
        )
        batches = FittingBatches(IMAGES_AT_ONCE)
        seen = seen_activations(networks, source, rows, found.images, store.settings.device, batches)
        measured = pl.DataFrame(measures(found, aim, monitor) | seen, schema_overrides=NULLABLE)
        table = pl.concat([rows, measured], how="horizontal")
        attempt.write_table("processed_image", table.select(list(COLUMNS)))
        attempt.write_arrays("images", {"images": found.images})
        attempt.report(**_findings(table, aim), **batches.findings())

    inputs: dict[str, Any] = {**networks.inputs(), "image": image}
    inputs |= {"calibration": calibration} if calibration else {}
    inputs |= {"like": list(like)} if like else {}
    return store.make(PROCESSED_IMAGE, config, build, inputs=inputs)


def _findings(table: pl.DataFrame, aim: Moments) -> dict[str, object]:
    findings: dict[str, object] = {
        "n_images": table.height,
        "at_limit": float(table["at_limit"].to_numpy().max()),
    }
    for what, value in zip(("mean", "contrast"), aim, strict=True):
        if value is not None:
            worst = table[f"{what}_miss"].abs().to_numpy().max()
            findings |= {what: value, f"worst_{what}_miss": float(worst)}
    return findings
