"""The stimulus set of a loop: MEIs and their controls, oracle images and a blank, ready for a rig."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.images.mei import MEI
from inception_loop.images.natural import BEST_NATURAL_IMAGE
from inception_loop.images.rf import GRAD_RF
from inception_loop.recordings.archive import load_recording
from inception_loop.stimuli.assembly import MadeImages, StimulusSet, assemble
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.oracle import OracleImages, oracle_images

F64, I64, TEXT = pa.float64(), pa.int64(), pa.string()

CLASSES = {
    MEI.name: ("multi_cnn_mei", "cnn"),
    GRAD_RF.name: ("multi_lin_rf", "linear"),
    BEST_NATURAL_IMAGE.name: ("unmasked_imgnet", "natural"),
}
"""Kind of artifact → image class and model type of its images."""

STIMULUS_SET = Kind(
    name="stimulus_set",
    version=1,
    meaning="What the animal sees on a later day: images as bytes, whose they are, order of trials.",
    payloads={
        "images": Arrays(
            {"images": Array("uint8", ("images", "height", "width"), "grey levels as sent to the monitor")}
        ),
        "conditions": Table(
            {
                "condition_hash": Column(TEXT, "content hash of the image and its presentation"),
                "image_class": Column(
                    TEXT, "multi_cnn_mei, multi_lin_rf, unmasked_imgnet, blank or as recorded"
                ),
                "image_id": Column(I64, "number of the image in its class"),
                "source_id": Column(
                    TEXT, "photograph that it was cut from; made images are their own source"
                ),
                "image_row": Column(I64, "row in images"),
                "model_type": Column(TEXT, "cnn, linear, natural, oracle or blank"),
                "source_name": Column(TEXT, "readout key of the unit it was made for", nullable=True),
                "source_neuron_id": Column(I64, "column of that unit in the readout", nullable=True),
                "source_unit_id": Column(I64, "number of that unit in the source scan", nullable=True),
                "shift_x": Column(I64, "displacement to the right, px of the network's images"),
                "shift_y": Column(I64, "displacement down, px of the network's images"),
                "mean": Column(F64, "mean of the image as shown, grey levels"),
                "contrast": Column(F64, "RMS contrast of the image as shown (ddof 0), grey levels"),
            }
        ),
        "trials": Table(
            {
                "position": Column(I64, "place of the trial in the session, 0 first"),
                "block": Column(I64, "block of the trial; each shows every image once"),
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
    session: StimulusConfig = Field(StimulusConfig(), description="Images, repeats and timing.")


def make_stimulus_set(
    store: ArtifactStore,
    config: StimulusSetConfig,
    *,
    meis: Sequence[ArtifactRef],
    rfs: Sequence[ArtifactRef] = (),
    naturals: Sequence[ArtifactRef] = (),
    recording: ArtifactRef,
) -> Outcome:
    """Make the stimulus set of a loop, all of it or nothing.

    Parameters
    ----------
    store, config
        Where and what.
    meis, rfs, naturals
        Artifacts of the kinds ``mei``, ``grad_rf`` and ``best_natural_image``, batch by batch; those of a
        kind together hold the same units as ``meis``.
    recording
        The source scan, for its oracle images.

    Raises
    ------
    DataError
        See `assemble`; also if no image is given.
    """
    kinds = {MEI.name: meis, GRAD_RF.name: rfs, BEST_NATURAL_IMAGE.name: naturals}
    given = {kind: list(refs) for kind, refs in kinds.items() if refs}

    def build(attempt: Attempt) -> None:
        made = [_made(store, kind, refs) for kind, refs in given.items()]
        mean, contrast = _target(store, config.session, meis)
        oracle = _oracle(store, config.session, recording)
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


def _oracle(store: ArtifactStore, config: StimulusConfig, recording: ArtifactRef) -> OracleImages | None:
    if config.max_oracle == 0:
        return None
    source = load_recording(store, recording)
    trials = source.trials.join(source.excluded_trials, on="trial_idx", how="anti")
    return oracle_images(
        source.conditions,
        trials,
        _as_sent(source.images),
        min_repeats=config.min_oracle_repeats,
        classes=config.oracle_classes,
        at_most=config.max_oracle,
    )


def _as_sent(images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return images as a monitor takes them; grey levels of a source that resized its images are rounded."""
    return np.asarray(np.rint(images).clip(0, 255), np.uint8)


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
