"""Responses of a scan's somata to its trials, as an artifact."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, VECTOR, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import LostData, RawFluorescence, ResponseWindow
from inception_loop.dataset.leakage import typical
from inception_loop.dataset.responses import respond, soma_rows
from inception_loop.dataset.scan_tables import F64, I64, TEXT, UNIT_ID
from inception_loop.dataset.trial_status import VALID
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import ScanKey

TRIAL_IDX = Column(I64, "number of the trial in its scan")
CONDITION = Column(TEXT, "content hash of the image shown and its presentation")


def _units_1_to_2(table: pa.Table) -> pa.Table:
    return table.append_column("lag1_leakage", pa.nulls(len(table), F64))


INPUT_RESPONSE = Kind(
    name="input_response",
    version=2,  # 2: responses to the nearest float32; leakage of every unit
    meaning="One response a trial and soma: the filtered trace at the middle of the response window.",
    payloads={
        "responses": Table(
            {
                "trial_idx": TRIAL_IDX,
                "condition_hash": CONDITION,
                "onset_s": Column(F64, "onset flip, s on the stimulus clock; NaN: not known"),
                "response": Column(VECTOR, "response of every unit, in the unit of the traces"),
            }
        ),
        "units": Table(
            {
                "neuron_column": Column(I64, "position in the response vector"),
                "unit_id": UNIT_ID,
                "lag1_leakage": Column(
                    F64,
                    "correlation of its responses to successive trials; null: it never varies, or too few",
                    nullable=True,
                ),
            },
            version=2,
            upgrades={1: _units_1_to_2},
        ),
        "trials": Table(
            {
                "trial_idx": TRIAL_IDX,
                "condition_hash": CONDITION,
                "onset_s": Column(F64, "onset flip, s on the stimulus clock", nullable=True),
                "status": Column(TEXT, "empty for the rows of responses; otherwise why there is none"),
            }
        ),
    },
    partition=SCAN,
)


class InputResponseConfig(Config):
    """Configuration of a scan's responses."""

    scan: ScanKey = Field(description="The scan.")
    window: ResponseWindow = Field(ResponseWindow(), description="Response window and filter.")
    raw_fluorescence: RawFluorescence = Field(
        RawFluorescence(), description="What happens to traces that are raw ΔF/F."
    )
    lost: LostData = Field(LostData(), description="What happens where responses or samples are lost.")


def make_input_response(
    store: ArtifactStore, config: InputResponseConfig, *, recording: ArtifactRef, excluded_trial: ArtifactRef
) -> Outcome:
    """Make the responses of a scan; see `respond`.

    Findings: trials shown, valid, and lost by reason; trace samples that were NaN and interpolated, and
    what `Responses` says of ``gaps``; median leakage into the next trial; what was done to raw fluorescence.
    """

    def build(attempt: Attempt) -> None:
        excluded = store.table(excluded_trial, "excluded_trial")
        source = load_recording(store, recording)
        ids, trace_kind = source.units["unit_id"].to_numpy()[soma_rows(source.units)], source.trace_kind
        made = respond(
            source, excluded, config.window, config.raw_fluorescence, attempt.progress, config.lost
        )
        del source  # responses handed over per trial are not held twice while they are written
        valid = made.status.filter(status=VALID).drop("status")
        attempt.write_table("responses", valid.with_columns(pl.Series("response", made.values)))
        units = pl.DataFrame({"unit_id": ids, "lag1_leakage": made.lag1}).with_row_index("neuron_column")
        attempt.write_table("units", units.with_columns(pl.col("lag1_leakage").fill_nan(None)))
        attempt.write_table("trials", made.status.with_columns(pl.col("onset_s").fill_nan(None)))
        attempt.report(
            n_trials=made.status.height,
            n_valid=valid.height,
            lost=_lost(made.status),
            n_filled_samples=made.filled,
            gaps=made.gaps,
            trace_kind=trace_kind,
            lag1_leakage=typical(made.lag1),
            deconvolution=made.deconvolution,
        )

    inputs = {"recording": recording, "excluded_trial": excluded_trial}
    return store.make(INPUT_RESPONSE, config, build, inputs=inputs)


def _lost(status: pl.DataFrame) -> dict[str, int]:
    """Count the trials without a response by reason, whatever was written about single excluded ones."""
    reasons = status.filter(pl.col("status") != VALID)["status"].str.split(":").list.first()
    return dict(reasons.value_counts().sort("status").rows())
