"""The stimulus set of a loop: its fills, the source scan's oracle images and blanks, ready for a rig."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.recordings.archive import load_recording
from inception_loop.stimuli.conditions import NUMBERED, Arrangement, gathered
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.oracle import ENOUGH_REPEATS, OracleImages, oracle_images, too_few
from inception_loop.stimuli.session import ORACLE, arrange_session
from inception_loop.stimuli.stimulus_fill import STIMULUS_FILL
from inception_loop.stimuli.unequal_light import unequal_light

F64, I64, TEXT = pa.float64(), pa.int64(), pa.string()

CONDITIONS = {
    "condition_hash": Column(TEXT, "content hash of the image and its presentation"),
    "image_class": Column(TEXT, "class of a fill (such as multi_cnn_mei), blank, or as recorded"),
    "image_id": Column(I64, "number of the image in its class"),
    "source_id": Column(TEXT, "photograph that it was cut from; made images are their own source"),
    "image_row": Column(I64, "row in images"),
    "model_type": Column(TEXT, "that of a fill (such as cnn, linear, natural), oracle or blank"),
    "source_name": Column(TEXT, "readout key of the unit it was made for", nullable=True),
    "source_neuron_id": Column(I64, "column of that unit in the readout", nullable=True),
    "source_unit_id": Column(I64, "number of that unit in the source scan", nullable=True),
    "shift_x": Column(I64, "displacement to the right, px of the network's images"),
    "shift_y": Column(I64, "displacement down, px of the network's images"),
    "mean": Column(F64, "mean of the image as shown, grey levels"),
    "contrast": Column(F64, "RMS contrast of the image as shown (ddof 0), grey levels"),
    "reference_activation": Column(
        F64,
        "predicted for its unit by the networks that compare all images, in s.d. of responses",
        nullable=True,
    ),
    "validator_activation": Column(F64, "by networks that had no part in any image", nullable=True),
    "target": Column(TEXT, "grey (grey levels) or luminance (cd/m²); null: it has no target", nullable=True),
    "target_mean": Column(F64, "mean that it was to have, in that measure", nullable=True),
    "target_contrast": Column(F64, "RMS contrast that it was to have, in that measure", nullable=True),
    "fill": Column(TEXT, "type of the fill that it came with", nullable=True),
    "luminance_mean": Column(F64, "mean luminance as shown, cd/m²; null: no monitor known", nullable=True),
    "luminance_contrast": Column(F64, "its RMS contrast (ddof 0), cd/m²", nullable=True),
    "target_grey": Column(F64, "target_mean as a grey level: that of gaps and blanks", nullable=True),
}
ADDED_IN_2 = (
    "reference_activation",
    "validator_activation",
    "target",
    "target_mean",
    "target_contrast",
    "fill",
)
ADDED_IN_3 = ("luminance_mean", "luminance_contrast", "target_grey")


def _adding(names: Sequence[str]) -> Callable[[pa.Table], pa.Table]:
    def upgrade(table: pa.Table) -> pa.Table:
        for name in names:
            table = table.append_column(name, pa.nulls(table.num_rows, CONDITIONS[name].type))
        return table

    return upgrade


STIMULUS_SET = Kind(
    name="stimulus_set",
    version=2,  # 2: made of fills
    meaning="What the animal sees on a later day: images as bytes, whose they are, order of trials.",
    payloads={
        "images": Arrays(
            {"images": Array("uint8", ("images", "height", "width"), "grey levels as sent to the monitor")}
        ),
        "conditions": Table(CONDITIONS, version=3, upgrades={1: _adding(ADDED_IN_2), 2: _adding(ADDED_IN_3)}),
        "trials": Table(
            {
                "position": Column(I64, "place of the trial in the session, 0 first"),
                "block": Column(I64, "block of the trial; each shows every image once, blanks as configured"),
                "condition_row": Column(I64, "first row in conditions of the image shown"),
                "condition_hash": Column(TEXT, "the condition shown"),
            }
        ),
    },
    partition=LOOP,
)


class StimulusSetConfig(Config):
    """Configuration of a stimulus set."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    session: StimulusConfig = Field(StimulusConfig(), description="Repeats, timing, oracle images, blanks.")


def make_stimulus_set(
    store: ArtifactStore,
    config: StimulusSetConfig,
    *,
    recording: ArtifactRef,
    fills: Sequence[ArtifactRef],
    before: ArtifactRef | None = None,
) -> Outcome:
    """Make the stimulus set of a loop, all of it or nothing.

    Parameters
    ----------
    store, config
        Where and what.
    recording
        The source scan, for its oracle images: shown again byte for byte.
    fills
        ``stimulus_fill`` artifacts, in any order.
    before
        An earlier stimulus set. An image that it holds, or one before it, keeps its ``image_id``; the others
        are numbered on from there.

    Raises
    ------
    DataError
        If no fill is given or one is given twice, a unit gets images of one class from two fills, images have
        several sizes, or fills have several means while blanks are to be shown.
    """
    given = sorted(fills, key=lambda ref: ref.digest)
    # Their bytes are read too, so the manifest shall name them beside the fills.
    holders = {image.digest: image for ref in given for image in store.inputs(ref).get("processed_image", [])}

    def build(attempt: Attempt) -> None:
        filled = _filled(store, given)
        found = arrange_session(
            filled,
            {digest: store.arrays(ref, "images")["images"] for digest, ref in holders.items()},
            source_images(store, config.session, recording),
            config.session,
            _used(store, before),
        )
        arranged = found.arrangement
        attempt.write_arrays("images", {"images": found.pixels.blocks(arranged.first)})
        attempt.write_table("conditions", arranged.conditions.select(list(CONDITIONS)))
        attempt.write_table("trials", arranged.trials)
        attempt.report(**_findings(arranged, config.session, unequal_light(filled)))

    inputs: dict[str, Any] = {
        "stimulus_fill": given,
        "processed_image": [holders[digest] for digest in sorted(holders)],
        "recording": [recording],
        "before": [] if before is None else [before],
    }
    return store.make(STIMULUS_SET, config, build, {role: refs for role, refs in inputs.items() if refs})


def _filled(store: ArtifactStore, fills: Sequence[ArtifactRef]) -> pl.DataFrame:
    """Return the images of all fills, each with its fill and the digest of the artifact that holds it."""
    if not fills:
        raise DataError(
            "a stimulus set is made of no fill; expected at least one; fill images of units first"
        )
    tables = []
    for ref in fills:
        kind = str(store.manifest(ref).config["fill"]["type"])
        digests = pl.Series([image.digest for image in store.inputs(ref)["processed_image"]])
        table = store.table(ref, STIMULUS_FILL.name)
        table = table.with_columns(fill=pl.lit(kind), holder=digests.gather(table["artifact"]))
        tables.append((kind, str(ref), table))
    return gathered([(name, table) for _, name, table in sorted(tables, key=lambda one: one[:2])])


def source_images(
    store: ArtifactStore, config: StimulusConfig, recording: ArtifactRef
) -> OracleImages | None:
    """Return the images that the source scan showed often enough; None if none are wanted."""
    if config.max_oracle == 0:
        return None
    source = load_recording(store, recording)
    trials = source.trials.join(source.excluded_trials, on="trial_idx", how="anti")
    return oracle_images(
        source.conditions,
        trials,
        source.images,
        min_repeats=config.min_oracle_repeats,
        classes=config.oracle_classes,
        at_most=config.max_oracle,
    )


def _used(store: ArtifactStore, before: ArtifactRef | None) -> pl.DataFrame:
    """Return what a stimulus set and those before it have numbered."""
    used = [pl.DataFrame(schema=NUMBERED)]
    while before is not None:
        used.append(store.table(before, "conditions").select(list(NUMBERED)))
        before = next(iter(store.inputs(before).get("before", [])), None)
    return pl.concat(used)


def _findings(found: Arrangement, config: StimulusConfig, light: str) -> dict[str, object]:
    made = found.conditions.filter(pl.col("source_unit_id").is_not_null())
    counts = found.conditions.group_by("model_type").agg(pl.col("image_row").n_unique()).sort("model_type")
    by_type = dict(counts.rows())
    rarely = too_few(by_type.get(ORACLE, 0), config.repeats)
    change = f"session.repeats = {ENOUGH_REPEATS}" if by_type.get(ORACLE) else "session.max_oracle = 1"
    return {
        "n_images": len(found.first),
        "images_by_model_type": by_type,
        "n_units": made.select("source_name", "source_unit_id").n_unique(),
        "n_shared": made.height - made["condition_hash"].n_unique(),
        "n_trials": found.trials.height,
        "minutes": round(found.trials.height * (config.shown_s + config.gap_s) / 60, 3),
        "warnings": [line for line in (f"{rarely}; set {change} or more" if rarely else "", light) if line],
    }
