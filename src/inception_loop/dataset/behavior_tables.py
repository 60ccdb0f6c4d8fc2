"""Eye and running at every trial, as artifacts."""

from __future__ import annotations

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.behavior import eye_samples, treadmill_samples
from inception_loop.dataset.config import ResponseWindow
from inception_loop.dataset.input_response import TRIAL_IDX
from inception_loop.dataset.scan_tables import BOOL, F64
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import ScanKey

EYE = Kind(
    name="eye",
    version=1,
    meaning="Pupil radius, its derivative and its centre at the instants of the responses, every trial.",
    payloads={
        "eye": Table(
            {
                "trial_idx": TRIAL_IDX,
                "pupil": Column(F64, "pupil radius, px of the eye camera", nullable=True),
                "dpupil": Column(F64, "its derivative, px/s", nullable=True),
                "center_x": Column(F64, "pupil centre, px of the eye camera", nullable=True),
                "center_y": Column(F64, "pupil centre, px of the eye camera", nullable=True),
                "valid": Column(BOOL, "whether all four are known"),
            }
        )
    },
    partition=SCAN,
)

TREADMILL = Kind(
    name="treadmill",
    version=1,
    meaning="Running speed at the instants of the responses, every trial.",
    payloads={
        "treadmill": Table(
            {
                "trial_idx": TRIAL_IDX,
                "treadmill": Column(F64, "absolute running speed, cm/s", nullable=True),
                "valid": Column(BOOL, "whether it is known"),
            }
        )
    },
    partition=SCAN,
)


class BehaviorConfig(Config):
    """Configuration of a scan's eye or running."""

    scan: ScanKey = Field(description="The scan.")
    window: ResponseWindow = Field(ResponseWindow(), description="Response window and filter.")


def make_eye(store: ArtifactStore, config: BehaviorConfig, *, recording: ArtifactRef) -> Outcome:
    """Make the eye's values at every trial; see `eye_samples`. Without an eye trace all are missing."""

    def build(attempt: Attempt) -> None:
        source = load_recording(store, recording)
        table, filled = eye_samples(source, config.window)
        attempt.write_table("eye", table)
        lost = int((~table["valid"]).sum())
        attempt.report(recorded=source.eye is not None, n_untracked_trials=lost, n_filled_samples=filled)

    return store.make(EYE, config, build, inputs={"recording": recording})


def make_treadmill(store: ArtifactStore, config: BehaviorConfig, *, recording: ArtifactRef) -> Outcome:
    """Make the running speed at every trial; see `treadmill_samples`. Without a trace all are missing."""

    def build(attempt: Attempt) -> None:
        source = load_recording(store, recording)
        table, filled = treadmill_samples(source, config.window)
        attempt.write_table("treadmill", table)
        lost = int((~table["valid"]).sum())
        attempt.report(
            recorded=source.treadmill is not None, n_untracked_trials=lost, n_filled_samples=filled
        )

    return store.make(TREADMILL, config, build, inputs={"recording": recording})
