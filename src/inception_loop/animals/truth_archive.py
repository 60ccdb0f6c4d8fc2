"""The truth of a recorded day in the artifact store."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from inception_loop.animals.truth import TRUTH_COLUMNS, Truth
from inception_loop.artifacts.kind import SCAN, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt

I64, F64, TEXT = pa.int64(), pa.float64(), pa.string()

ANIMAL_TRUTH = Kind(
    name="animal_truth",
    version=1,
    meaning="What the recording of a digital animal's day cannot tell: cells, variances, conditional means.",
    payloads={
        "units": Table(
            {
                "unit_id": Column(I64, "number of the soma in that day's recording; rows ascend"),
                "cell_id": Column(I64, "number of the cell, the same on all days"),
                "kind": Column(TEXT, "simple, complex, mixed, unresponsive, or network for a twin"),
                "signal_variance": Column(F64, "S: variance over images of the mean over eye and behaviour"),
                "noise_variance": Column(F64, "V: mean over images of the variance within: noise, eye, gain"),
                "complexity": Column(F64, "0 simple .. 1 complex; null: neither", nullable=True),
                "rf_x": Column(F64, "centre of the receptive field, px of the 36×64 image", nullable=True),
                "rf_y": Column(F64, "centre of the receptive field, px of the 36×64 image", nullable=True),
                "wavelength": Column(F64, "period of the filters, px", nullable=True),
                "orientation": Column(F64, "direction across the stripes, rad, towards +y", nullable=True),
                "phase": Column(F64, "phase of the even filter, rad", nullable=True),
                "sigma": Column(F64, "s.d. of the filters' envelope, px", nullable=True),
                "baseline": Column(F64, "response to grey less the drive, response units", nullable=True),
                "simple": Column(F64, "weight of the rectified even filter", nullable=True),
                "complex": Column(F64, "weight of the root of the energy", nullable=True),
                "threshold": Column(F64, "threshold of the rectifier, contrast units", nullable=True),
                "softness": Column(F64, "softness of the rectifier, contrast units", nullable=True),
                "fano": Column(F64, "variance of the trial noise over the conditional mean", nullable=True),
                "gain_pupil": Column(F64, "log gain per s.d. of the pupil", nullable=True),
                "gain_running": Column(F64, "log gain per s.d. of running", nullable=True),
                "log_gain": Column(F64, "log gain at the mean pupil without running", nullable=True),
            }
        ),
        "images": Table(
            {"condition_hash": Column(TEXT, "images over which S and V are meant; row of ``image_mean``")}
        ),
        "trials": Arrays(
            {
                "trial_idx": Array("int64", ("trials",), "number of the trial"),
                "expected": Array(
                    "float32", ("trials", "units"), "mean response given image, eye and behaviour"
                ),
                "gain": Array("float32", ("trials", "units"), "factor of behaviour on the whole response"),
                "shift_px": Array("float32", ("trials", "xy"), "shift (x, y) of the receptive fields, px"),
                "image_mean": Array("float32", ("images", "units"), "mean over eye and behaviour"),
            }
        ),
        "cells": Arrays(
            {
                "filters": Array(
                    "float32",
                    ("units or 0", "even odd", "row", "col"),
                    "zero-mean, orthogonal, unit norm or 0",
                ),
                "best_image": Array(
                    "float32", ("units or 0", "row", "col"), "best zero-mean direction of unit norm, or 0"
                ),
            }
        ),
    },
    partition=SCAN,
)


def save_truth(attempt: Attempt, truth: Truth) -> None:
    """Write every payload of a truth."""
    attempt.write_table("units", truth.units.with_columns(pl.col("complexity").fill_nan(None)))
    attempt.write_table(
        "images", pl.DataFrame({"condition_hash": truth.image_hash}, schema={"condition_hash": pl.String})
    )
    members = ("trial_idx", "expected", "gain", "shift_px", "image_mean")
    attempt.write_arrays("trials", {name: getattr(truth, name) for name in members})
    attempt.write_arrays("cells", {"filters": truth.filters, "best_image": truth.best_image})
    counts = truth.units["kind"].value_counts().sort("kind")
    attempt.report(**{f"n_{kind}": count for kind, count in counts.iter_rows()})


def load_truth(store: ArtifactStore, ref: ArtifactRef) -> Truth:
    """Read a truth; its arrays are mapped, read-only, where the store is on local disk.

    Raises
    ------
    ArtifactNotFoundError
        If nothing stands at the reference.
    """
    units = store.table(ref, "units").select(TRUTH_COLUMNS)
    return Truth(
        units=units.with_columns(pl.col("complexity").fill_null(np.nan)),
        image_hash=store.table(ref, "images")["condition_hash"].to_list(),
        **store.arrays(ref, "trials"),
        **store.arrays(ref, "cells"),
    )
