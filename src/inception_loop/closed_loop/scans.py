"""ClosedLoopScan: the scans of one loop, one of which is the source of the images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import polars as pl
import pyarrow as pa
from pydantic import Field, StringConstraints

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.recordings.recording import ScanKey

I64, F64, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()

STIM_TYPES = ("imagenet", "mei", "noise", "gabor", "natural", "unmaskednatural")
_ONE = f"({'|'.join(STIM_TYPES)})"
StimType = Annotated[str, StringConstraints(pattern=rf"^{_ONE}(\+{_ONE})*$")]
"""What a scan shows: a published name, or several joined by + where one session shows several loops."""

_STIM_TYPE = {
    "cnn": "mei",
    "linear": "mei",
    "gabor": "gabor",
    "masked_cnn": "natural",
    "masked_natural": "natural",
    "natural": "unmaskednatural",
}

SCAN_COLUMNS = {
    "animal_id": Column(I64, "number of the animal"),
    "session": Column(I64, "session of the animal"),
    "scan_idx": Column(I64, "scan within the session"),
}

CLOSED_LOOP_SCAN = Kind(
    name="closed_loop_scan",
    version=1,
    meaning="The scans of one loop: one source scan, whose cells the images are made for, and later scans.",
    payloads={
        "closed_loop_scan": Table(
            {
                "loop_group": Column(I64, "number of the loop"),
                **SCAN_COLUMNS,
                "day": Column(I64, "days since the source scan"),
                "mei_source": Column(BOOL, "whether the images were made for the cells of this scan"),
                "stim_type": Column(
                    TEXT,
                    "what the scan showed: imagenet, mei (MEIs and RF images), noise, gabor, natural "
                    "(masked MEIs and masked natural images), unmaskednatural; several joined by +",
                ),
            }
        )
    },
    partition=LOOP,
)


class LoopScan(Config):
    """One scan of a loop."""

    scan: ScanKey = Field(description="The scan.")
    day: int = Field(ge=0, description="Days since the source scan.")
    mei_source: bool = Field(False, description="Whether the images are made for the cells of this scan.")
    stim_type: StimType = Field(description="What the scan shows.")


class ClosedLoopScanConfig(Config):
    """The scans of one loop."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    scans: tuple[LoopScan, ...] = Field(description="Its scans, one of them the source.")


def stim_type_of(model_types: Iterable[str]) -> str:
    """Return what a scan shows in the published names, from the model types of its stimulus set.

    Raises
    ------
    DataError
        If the set holds no image made for a unit.

    Examples
    --------
    >>> stim_type_of(["cnn", "linear", "oracle", "blank"]), stim_type_of(["natural", "gabor", "cnn"])
    ('mei', 'mei+gabor+unmaskednatural')
    """
    shown = {_STIM_TYPE[name] for name in model_types if name in _STIM_TYPE}
    if not shown:
        raise DataError(
            f"the stimulus set holds no image made for a unit; expected images of some of the model types "
            f"{', '.join(_STIM_TYPE)}; check which images went into it"
        )
    return "+".join(name for name in STIM_TYPES if name in shown)


def closed_loop_scan(config: ClosedLoopScanConfig) -> pl.DataFrame:
    """Return the table of a loop's scans, the source first, then by day.

    Raises
    ------
    ConfigurationError
        If there is not exactly one source scan, no later scan, a scan that stands twice, more than one
        animal, or a scan of a day before the source's.

    Examples
    --------
    >>> night, day = (ScanKey(animal_id=1, session=s, scan_idx=1) for s in (1, 2))
    >>> scans = (
    ...     LoopScan(scan=day, day=1, stim_type="mei"),
    ...     LoopScan(scan=night, day=0, mei_source=True, stim_type="imagenet"),
    ... )
    >>> closed_loop_scan(ClosedLoopScanConfig(loop_group=0, scans=scans))["session"].to_list()
    [1, 2]
    """
    _check(config)
    rows = [
        {
            "loop_group": config.loop_group,
            **one.scan.model_dump(),
            "day": one.day,
            "mei_source": one.mei_source,
            "stim_type": one.stim_type,
        }
        for one in config.scans
    ]
    order = ["mei_source", "day", "session", "scan_idx"]
    return pl.DataFrame(rows).sort(order, descending=[True, False, False, False])


def _check(config: ClosedLoopScanConfig) -> None:
    where = f"loop {config.loop_group}"
    sources = [str(one.scan) for one in config.scans if one.mei_source]
    if len(sources) != 1:
        named = f" ({', '.join(sources)})" if sources else ""
        raise ConfigurationError(
            f"{where} has {len(sources)} source scans{named}; expected exactly one; "
            "set mei_source for the scan whose cells the images were made for"
        )
    if len(config.scans) < 2:
        raise ConfigurationError(
            f"{where} has no later scan; expected at least one beside its source {sources[0]}"
        )
    names = [str(one.scan) for one in config.scans]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{where} lists scan {twice[0]} twice; expected each scan once")
    animals = sorted({one.scan.animal_id for one in config.scans})
    if len(animals) > 1:
        raise ConfigurationError(f"{where} holds scans of the animals {animals}; expected one animal a loop")
    _check_days(config, where)


def _check_days(config: ClosedLoopScanConfig, where: str) -> None:
    (source,) = (one for one in config.scans if one.mei_source)
    before = [one for one in config.scans if one.day < source.day]
    if before:
        raise ConfigurationError(
            f"{where}: scan {before[0].scan} is of day {before[0].day}, its source {source.scan} of day "
            f"{source.day}; expected later scans on the source's day or after it: images are computed before "
            "they are shown; check day and mei_source"
        )


def make_closed_loop_scan(store: ArtifactStore, config: ClosedLoopScanConfig) -> Outcome:
    """Make the table of a loop's scans."""

    def build(attempt: Attempt) -> None:
        attempt.write_table("closed_loop_scan", closed_loop_scan(config))

    return store.make(CLOSED_LOOP_SCAN, config, build)
