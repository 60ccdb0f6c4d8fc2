"""The artifact kind of a dataset report: what its tables hold, and how they are read again."""

from __future__ import annotations

from dataclasses import dataclass, fields

import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import GROUP, Column, File, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore

I64, F64, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()
NAME = Column(TEXT, "member of the group: its readout key")
POSITION = Column(
    F64, "place in the session: s since the first frame, or number of the trial (see scans.clock)"
)

DATASET_REPORT = Kind(
    name="dataset_report",
    version=1,
    meaning="Whether the recordings of a group are sound: numbers, findings with what to do, a page.",
    payloads={
        "scans": Table(
            {
                "name": NAME,
                "animal_id": Column(I64, "number of the animal"),
                "session": Column(I64, "session of the animal"),
                "scan_idx": Column(I64, "scan of the session"),
                "verdict": Column(TEXT, "the worst of its findings: ok, warn or bad"),
                "trace_kind": Column(TEXT, "what the activity is: deconvolved, dff or spikes"),
                "clock": Column(
                    TEXT, "what places in the session are: s, or trial (already binned per trial)"
                ),
                "length": Column(F64, "length of the session in that unit"),
                "n_trials": Column(I64, "trials shown"),
                "n_used": Column(I64, "trials used"),
                "n_units": Column(I64, "units"),
            }
        ),
        "findings": Table(
            {
                "name": NAME,
                "key": Column(TEXT, "what was looked at"),
                "title": Column(TEXT, "the same in words"),
                "severity": Column(TEXT, "ok, warn, bad, or unknown (not recorded)"),
                "value": Column(F64, "the number judged", nullable=True),
                "unit": Column(TEXT, "share, count, correlation, change (relative to the mean) or cm/s"),
                "worse": Column(TEXT, "which side of the limits is trouble: above, below, away (from 0)"),
                "warn": Column(F64, "beyond it: look at it", nullable=True),
                "bad": Column(F64, "beyond it: the recording is bad", nullable=True),
                "text": Column(TEXT, "the finding in a sentence"),
                "advice": Column(TEXT, "what to do; empty where nothing is"),
            }
        ),
        "numbers": Table(
            {
                "name": NAME,
                "key": Column(TEXT, "name of the number"),
                "value": Column(F64, "the number; null: not known", nullable=True),
                "definition": Column(TEXT, "what it is, with its unit"),
            }
        ),
        "trials": Table(
            {
                "name": NAME,
                "fate": Column(TEXT, "used, or why not"),
                "n": Column(I64, "trials"),
            }
        ),
        "lost_samples": Table(
            {
                "name": NAME,
                "part": Column(TEXT, "traces, eye or treadmill"),
                "recorded": Column(BOOL, "whether there is such a trace or value at all"),
                "n_samples": Column(I64, "samples (of all units, of all eye channels)", nullable=True),
                "n_lost": Column(I64, "of these, lost", nullable=True),
                "n_filled": Column(I64, "of these, interpolated", nullable=True),
                "n_trials_without": Column(I64, "trials without a value"),
            }
        ),
        "places": Table(
            {
                "name": NAME,
                "brain_area": Column(TEXT, "brain area"),
                "layer": Column(TEXT, "cortical layer"),
                "n_units": Column(I64, "units there"),
                "n_silent": Column(I64, "of these, silent"),
            }
        ),
        "units": Table(
            {
                "name": NAME,
                "neuron_id": Column(I64, "column of the unit's response and readout, 0 first"),
                "unit_id": Column(I64, "number of the unit in its scan"),
                "silent": Column(BOOL, "whether it answers the same to every trial"),
                "mean": Column(F64, "mean response over valid trials, in the unit of the traces"),
                "std": Column(F64, "its s.d., ddof 1"),
                "zero_share": Column(F64, "share of trials whose response is exactly 0"),
                "sparseness": Column(F64, "lifetime sparseness, 0 dense to 1 sparse", nullable=True),
                "drift": Column(
                    F64, "mean of the last third of trials minus the first, by mean size", nullable=True
                ),
                "leakage": Column(
                    F64, "correlation of successive trials minus that 3 to 5 apart", nullable=True
                ),
                "oracle": Column(
                    F64, "jackknife oracle correlation over repeated test images", nullable=True
                ),
            }
        ),
        "oracle_histogram": Table(
            {
                "name": NAME,
                "low": Column(F64, "lower edge of the bin, correlation, included"),
                "high": Column(F64, "upper edge"),
                "n": Column(I64, "units"),
            }
        ),
        "lags": Table(
            {
                "name": NAME,
                "lag": Column(I64, "how many trials apart"),
                "correlation": Column(F64, "median over units of the correlation of trials so far apart"),
            }
        ),
        "blocks": Table(
            {
                "name": NAME,
                "position": POSITION,
                "n_trials": Column(I64, "trials of this part of the session"),
                "n_used": Column(I64, "of these, used"),
                "response": Column(F64, "mean response; 1: as usual in the session", nullable=True),
                "eye_tracked": Column(F64, "share of trials with an eye; null: not recorded", nullable=True),
                "running_tracked": Column(F64, "share with running; null: not recorded", nullable=True),
            }
        ),
        "overview": Table(
            {
                "name": NAME,
                "channel": Column(TEXT, "activity, pupil radius, pupil centre x, pupil centre y or running"),
                "position": POSITION,
                "low": Column(F64, "smallest value of the bin, in the unit of the source", nullable=True),
                "mean": Column(F64, "mean of the bin", nullable=True),
                "high": Column(F64, "largest value of the bin", nullable=True),
                "lost": Column(F64, "share of the bin's samples that are lost"),
            }
        ),
        "examples": Table(
            {
                "name": NAME,
                "channel": Column(TEXT, "a unit, a channel of eye or running, or image onset"),
                "unit_id": Column(I64, "the unit, if it is one", nullable=True),
                "position": POSITION,
                "value": Column(F64, "value as recorded; null: lost, or an onset", nullable=True),
            }
        ),
        "report": File(".html", "the page: everything above for a person, needs no network"),
    },
    partition=GROUP,
)


@dataclass(frozen=True)
class Quality:
    """The tables of a dataset report, of all members; columns as `DATASET_REPORT` declares them."""

    scans: pl.DataFrame
    findings: pl.DataFrame
    numbers: pl.DataFrame
    trials: pl.DataFrame
    lost_samples: pl.DataFrame
    places: pl.DataFrame
    units: pl.DataFrame
    oracle_histogram: pl.DataFrame
    lags: pl.DataFrame
    blocks: pl.DataFrame
    overview: pl.DataFrame
    examples: pl.DataFrame

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def of(self, name: str) -> Quality:
        """Return what is known of one member."""
        return Quality(**{table: frame.filter(name=name) for table, frame in self.tables().items()})

    @property
    def names(self) -> list[str]:
        """The members, in order."""
        return self.scans["name"].to_list()


def load_quality(store: ArtifactStore, ref: ArtifactRef) -> Quality:
    """Read the tables of a ``dataset_report``."""
    return Quality(**{field.name: store.table(ref, field.name) for field in fields(Quality)})
