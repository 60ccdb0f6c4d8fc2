"""Fills: processed images of units become stimuli of named image classes, all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ConfigurationError
from inception_loop.images.monitor.closest import load_closest_monitor
from inception_loop.images.wanted import of_scan
from inception_loop.stimuli.fill_plan import ADDED, CANDIDATE, LEFT_OUT, filled_units, plan_fill, refuse
from inception_loop.stimuli.fills import Fill, FillRules, Taken

EXCITING = "exciting"
F64, I64, TEXT = pa.float64(), pa.int64(), pa.string()

STIMULUS_FILL = Kind(
    name="stimulus_fill",
    version=1,
    meaning="Images of all wanted units, complete and on target, under the classes that a rig knows them by.",
    payloads={
        "stimulus_fill": Table(
            {
                "image_class": Column(TEXT, "class of the image, e.g. multi_cnn_mei"),
                "model_type": Column(TEXT, "what the analysis calls it, e.g. cnn"),
                "name": Column(TEXT, "readout key of the unit's scan"),
                "neuron_id": Column(I64, "column of the unit in the readout"),
                "unit_id": Column(I64, "number of the unit in its scan"),
                "hu_rank": Column(
                    I64, "rank among the selected; null: of the truth panel only", nullable=True
                ),
                "shift_x": Column(I64, "displacement to the right, px of the network's images"),
                "shift_y": Column(I64, "displacement down, px of the network's images"),
                "source_id": Column(TEXT, "photograph it was cut from; null: its own source", nullable=True),
                "target": Column(TEXT, "measure of the target: grey (grey levels) or luminance (cd/m²)"),
                "target_mean": Column(F64, "mean that it was to have, in that measure"),
                "target_contrast": Column(F64, "RMS contrast that it was to have, in that measure"),
                "target_grey": Column(F64, "that mean as a grey level: the level of a blank, grey levels"),
                "mean": Column(F64, "mean of its bytes, grey levels"),
                "contrast": Column(F64, "RMS contrast of its bytes (ddof 0), grey levels"),
                "luminance_mean": Column(F64, "mean luminance, cd/m²; null: no monitor", nullable=True),
                "luminance_contrast": Column(F64, "its RMS contrast, cd/m²; null: no monitor", nullable=True),
                "mean_miss": Column(F64, "relative miss of the target's mean, 1"),
                "contrast_miss": Column(F64, "relative miss of the target's contrast, 1"),
                "activation": Column(
                    F64, "of its bytes by the networks it is made for, in s.d. of responses"
                ),
                "reference_activation": Column(F64, "of its bytes by those that compare images of all kinds"),
                "validator_activation": Column(F64, "by those that had no part in any", nullable=True),
                "artifact": Column(I64, "which of the inputs processed_image holds it, 0 first"),
                "image_row": Column(I64, "row in that artifact's images"),
            }
        )
    },
    partition=LOOP,
)


class StimulusFillConfig(Config):
    """Configuration of a fill."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    fill: Fill = Field(description="What it takes.")
    name: str | None = Field(None, description="Readout key of the scan whose units it is for; none: all.")


def plan_stimulus_fill(
    store: ArtifactStore,
    config: StimulusFillConfig,
    *,
    processed_images: Sequence[ArtifactRef],
    corrected_high_unit_selection: ArtifactRef,
    truth_panel: ArtifactRef | None = None,
) -> pl.DataFrame:
    """Dry run: list what a fill would add, what it would leave out and refuse, and why; nothing is written.

    Parameters
    ----------
    store, config
        Where and what.
    processed_images
        Images as bytes, batch by batch, in any order.
    corrected_high_unit_selection, truth_panel
        For whom.

    Returns
    -------
    See `plan_fill`.

    Raises
    ------
    ConfigurationError
        If an artifact holds images of a kind that the fill does not take.
    """
    fill = config.fill
    selection = of_scan(
        store.table(corrected_high_unit_selection, "corrected_high_unit_selection"), config.name
    )
    panel = None if truth_panel is None else of_scan(store.table(truth_panel, "truth_panel"), config.name)
    units = filled_units(selection, panel, fill.max_rank, fill.leave_out)
    refs = _in_order(processed_images)
    parts = [_candidates(store, fill, number, ref) for number, ref in enumerate(refs)]
    return plan_fill(fill, units, pl.concat([pl.DataFrame(schema=CANDIDATE), *parts]))


def make_stimulus_fill(
    store: ArtifactStore,
    config: StimulusFillConfig,
    *,
    processed_images: Sequence[ArtifactRef],
    corrected_high_unit_selection: ArtifactRef,
    truth_panel: ArtifactRef | None = None,
) -> Outcome:
    """Fill images into the stimuli of a loop: all that are wanted, or nothing. See `plan_stimulus_fill`.

    The fill lists its images and says where their bytes lie; `make_stimulus_set` numbers them and copies the
    bytes, once.

    Raises
    ------
    DataError
        If an image is missing, doubled or off target, if fewer units are selected than asked, or if the
        images were processed in several ways.
    """
    inputs: dict[str, Any] = {
        "processed_image": _in_order(processed_images),
        "corrected_high_unit_selection": [corrected_high_unit_selection],
        "truth_panel": [] if truth_panel is None else [truth_panel],
    }

    def build(attempt: Attempt) -> None:
        plan = plan_stimulus_fill(
            store,
            config,
            processed_images=processed_images,
            corrected_high_unit_selection=corrected_high_unit_selection,
            truth_panel=truth_panel,
        )
        refuse(plan, config.fill)
        added = plan.filter(state=ADDED)
        attempt.write_table(STIMULUS_FILL.name, added.drop("state", "reason", "words", "processing"))
        attempt.report(**_findings(plan, added))

    return store.make(STIMULUS_FILL, config, build, {role: refs for role, refs in inputs.items() if refs})


def _in_order(refs: Sequence[ArtifactRef]) -> list[ArtifactRef]:
    """Return artifacts in an order of their own; one that is given twice stays, to be refused."""
    return sorted(refs, key=lambda ref: ref.digest)


def _candidates(store: ArtifactStore, fill: FillRules, number: int, ref: ArtifactRef) -> pl.DataFrame:
    (image,) = store.inputs(ref)["image"]
    taken = _taken(store, fill, image, ref)
    manifest = store.manifest(ref)
    measure = str(manifest.config["target"]["type"])
    # What a target left open came to stands among the findings; images left as made have none.
    mean, contrast = (manifest.findings.get(what) for what in ("mean", "contrast"))
    rows = store.table(ref, "processed_image").with_columns(
        image_class=pl.lit(taken.image_class),
        model_type=pl.lit(taken.model_type),
        target=pl.lit(measure),
        target_mean=pl.lit(mean, pl.Float64),
        target_contrast=pl.lit(contrast, pl.Float64),
        target_grey=pl.lit(_grey(store, ref, mean, measure), pl.Float64),
        artifact=pl.lit(number),
        image_row=pl.int_range(pl.len()),
        processing=pl.lit(_processing(store, ref, mean, contrast)),
    )
    return rows.select(pl.col(name).cast(dtype) for name, dtype in CANDIDATE.items())


def _taken(store: ArtifactStore, fill: FillRules, image: ArtifactRef, ref: ArtifactRef) -> Taken:
    objective = store.manifest(image).config.get("objective", EXCITING)
    for taken in fill.takes:
        if (taken.kind, EXCITING) == (image.kind, objective):
            return taken
    raise ConfigurationError(
        f"{fill.name} is given {ref}, {objective} images of kind {image.kind}; expected {EXCITING} ones of "
        f"kind {' or '.join(taken.kind for taken in fill.takes)}; give those, or choose another fill"
    )


def _grey(store: ArtifactStore, ref: ArtifactRef, mean: float | None, measure: str) -> float | None:
    """Return the grey level that shows a mean: itself, or what the monitor shows it by."""
    if mean is None or measure != "luminance":
        return mean
    monitor = load_closest_monitor(store, store.inputs(ref)["calibration"][0])
    return float(monitor.to_bytes(np.array([mean]))[0])


def _processing(store: ArtifactStore, ref: ArtifactRef, mean: float | None, contrast: float | None) -> str:
    """Say how images were processed, whichever they are and wherever they were moved."""
    config = store.manifest(ref).config
    measure = config["target"]["type"]
    how = {key: value for key, value in config.items() if key not in ("group_id", "target", "shifts")}
    words = measure if mean is None else f"{measure} {mean:.6g} ± {contrast:.6g}"
    seen_by = [str(one) for one in store.inputs(ref).get("calibration", ()) if measure == "luminance"]
    return ", ".join([words, *(f"{key} {value}" for key, value in sorted(how.items())), *seen_by])


def _findings(plan: pl.DataFrame, added: pl.DataFrame) -> dict[str, Any]:
    def worst(column: str) -> float:
        return float(added[column].abs().to_numpy().max())

    return {
        "n_units": added.select("name", "unit_id").n_unique(),
        "n_images": added.height,
        "images_by_class": dict(added["image_class"].value_counts().sort("image_class").rows()),
        "n_left_out": plan.filter(state=LEFT_OUT).height,
        "worst_mean_miss": worst("mean_miss"),
        "worst_contrast_miss": worst("contrast_miss"),
        "processing": added["processing"][0],
    }
