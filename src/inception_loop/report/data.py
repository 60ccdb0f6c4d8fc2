"""What a report says, as plain numbers, frames and arrays: whoever can fill this can have a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.quality.kind import Quality
from inception_loop.report.closed_loop.collect import NO_RESPONSES as NO_RESPONSES_BY_TRIAL
from inception_loop.report.closed_loop.collect import NO_SHOWN
from inception_loop.report.closed_loop.loop_tests import NO_POWER, NO_TESTS, NO_UNIT_TESTS
from inception_loop.report.closed_loop.origins import NO_ORIGINS
from inception_loop.report.learning.artifact import Learning

Picture = Literal["mei", "linear", "natural", "gabor", "masked_mei", "masked_natural", "truth"]
Floats = npt.NDArray[np.floating]


def _empty(**columns: type[pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(schema=columns)


NO_HISTORY = _empty(
    model=pl.String,
    family=pl.String,
    seed=pl.Int64,
    chosen=pl.Boolean,
    epoch=pl.Int64,
    stage=pl.Int64,
    val_corr=pl.Float64,
    train_loss=pl.Float64,
)
NO_UNITS = _empty(
    unit_id=pl.Int64,
    kind=pl.String,
    oracle_corr=pl.Float64,
    cnn_test_corr=pl.Float64,
    lin_test_corr=pl.Float64,
    cnn_ceiling_fraction=pl.Float64,
    lin_ceiling_fraction=pl.Float64,
    hu_rank=pl.Int64,
)
NO_RESPONSES = _empty(
    model_type=pl.String,
    image_unit_id=pl.Int64,
    source_unit_id=pl.Int64,
    mu_resp=pl.Float64,
    sem_resp=pl.Float64,
    n_repeats=pl.Int64,
)
NO_MATCHES = _empty(
    scan=pl.String,
    source_unit_id=pl.Int64,
    unit_id=pl.Int64,
    match_freq=pl.Int64,
    total_stacks=pl.Int64,
    mean_distance=pl.Float64,
    double_match=pl.Boolean,
    x=pl.Float64,
    y=pl.Float64,
    later_x=pl.Float64,
    later_y=pl.Float64,
    right=pl.Boolean,
    assigned_unit_id=pl.Int64,
    probability=pl.Float64,
)


@dataclass(frozen=True)
class Measured:
    """One number that the animal's known answers allow.

    Attributes
    ----------
    value : None where the animal has no such truth
    n : how many units it speaks of
    definition : what it is, in one line
    """

    value: float | None
    n: int | None = None
    definition: str = ""


@dataclass(frozen=True)
class TraceExample:
    """A stretch of one unit's trace.

    Attributes
    ----------
    unit_id : number of the unit
    time : (F,) s
    trace : (F,) in the unit of the traces
    onsets : (K,) s, when an image appeared
    """

    unit_id: int
    time: Floats
    trace: Floats
    onsets: Floats


@dataclass(frozen=True)
class UnitPicture:
    """One image of a unit.

    Attributes
    ----------
    what : mei, linear (RF image), natural (best natural image), gabor, masked_mei, masked_natural, truth (the
        best image of the true cell)
    pixels : (H, W), grey levels; any unit for the true one
    activation : prediction of the model for it, in s.d. of the unit's responses
    response, sem : mean response of the matched cell on the later days and its standard error, z-score
    shown : whether these are the pixels of the stimulus set, as the monitor got them
    """

    what: Picture
    pixels: Floats
    activation: float | None = None
    response: float | None = None
    sem: float | None = None
    shown: bool = False


@dataclass(frozen=True)
class UnitImages:
    """All images of one unit.

    Attributes
    ----------
    unit_id : number of the unit in the source scan
    hu_rank : rank among the selected units, 0 first; None: not selected
    kind : what the animal's truth says it is; None: unknown
    wrong_days : later days on which it is known to be matched to another cell
    judged_days : later days on which it was matched and the truth is known
    """

    unit_id: int
    hu_rank: int | None
    kind: str | None
    pictures: tuple[UnitPicture, ...]
    wrong_days: int = 0
    judged_days: int = 0


@dataclass(frozen=True)
class ReportData:
    """Everything in a report.

    Attributes
    ----------
    animal : what the animal is called in ``summary.json`` (simulated, twin, or a number)
    animal_note : one sentence on it
    loop_group : number of the loop
    seed : of the whole run; None if there is no single one
    scans : ``scan`` str, ``role`` (source, later), ``day``, ``n_trials``, ``n_units`` (somata), ``stim_type``
    evidence : rows ``key, value, count, n, lower, upper, definition``, see `closed_loop.evidence`
    notes : what the loop could not compare, in words, see `closed_loop.notes`
    truth : key → number, keys of `summary.TRUTH` first; empty where the animal has no truth
    trials : ``scan``, ``fate`` ("used" or why not), ``n``
    quality : reports on the datasets that the networks were trained on
    traces : examples of the source scan
    history : ``model`` (a label), ``family`` (cnn, linear), ``seed``, ``chosen`` bool, ``epoch``,
        ``stage`` (of the learning rate), ``val_corr``, ``train_loss`` (null before training)
    learning : how the networks learnt, if a learning report was made
    units : one row a unit of the source scan: ``unit_id``, ``kind`` (null: unknown), ``oracle_corr``,
        ``cnn_test_corr``, ``lin_test_corr``, ``cnn_ceiling_fraction``, ``lin_ceiling_fraction`` (null: not
        known), ``hu_rank`` (null: not selected)
    funnel : ``rule`` (in words), ``removed``, ``left``, in the order of the rules, first row: all candidates
    images : units with images, selected ones first
    summary, z_summary : rows of SummaryConfusion and ZSummaryConfusion
    diagonals, z_diagonals : control → rows of the diagonal entries
    matches : ``scan``, ``source_unit_id``, ``unit_id``, ``match_freq``, ``total_stacks``, ``mean_distance``
        µm, ``double_match``, ``x``, ``y`` µm (source unit in a stack), ``later_x``, ``later_y`` µm (matched
        unit in the same stack), ``right`` (null: not known), ``assigned_unit_id``, ``probability`` (of the
        one-to-one assignment, null: not made)
    tuning_match : ``scan``, ``matched``, ``correlation`` of CellMatchOracleCorrelation
    tests : rows of the table of tests, see `closed_loop.statistics.table_of_tests`
    unit_tests, power : each unit's own test by control, and what the next loop would need, see
        `closed_loop.loop_tests`
    matching : rule of the matches, proximity or assigned
    own_responses : rows of OwnResponse and ``scan``: trial by trial, what each matched cell answers to its
        own images
    shown, shown_images : ``place, model_type, source_unit_id, condition_hash``, and the images (K, h, w)
        uint8 as the monitor got them, small
    origins : ``of, name, kind, about, digest``: which artifacts numbers, tests and figures come from
    lineage : ``kind``, ``scope`` (scan, group or loop), ``digest``
    settings : what was asked, part → name → value in words
    versions : software → version
    """

    animal: str
    animal_note: str
    loop_group: int
    seed: int | None
    scans: pl.DataFrame
    evidence: pl.DataFrame
    notes: tuple[str, ...] = ()
    truth: Mapping[str, Measured] = field(default_factory=dict)
    trials: pl.DataFrame = field(default_factory=lambda: _empty(scan=pl.String, fate=pl.String, n=pl.Int64))
    quality: tuple[Quality, ...] = ()
    traces: tuple[TraceExample, ...] = ()
    history: pl.DataFrame = field(default_factory=lambda: NO_HISTORY)
    learning: Learning | None = None
    units: pl.DataFrame = field(default_factory=lambda: NO_UNITS)
    funnel: pl.DataFrame = field(
        default_factory=lambda: _empty(rule=pl.String, removed=pl.Int64, left=pl.Int64)
    )
    images: tuple[UnitImages, ...] = ()
    summary: pl.DataFrame = field(default_factory=lambda: NO_RESPONSES)
    z_summary: pl.DataFrame = field(default_factory=lambda: NO_RESPONSES)
    diagonals: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    z_diagonals: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    matches: pl.DataFrame = field(default_factory=lambda: NO_MATCHES)
    tuning_match: pl.DataFrame = field(
        default_factory=lambda: _empty(scan=pl.String, matched=pl.Boolean, correlation=pl.Float64)
    )
    tests: pl.DataFrame = field(default_factory=lambda: NO_TESTS)
    unit_tests: pl.DataFrame = field(default_factory=lambda: NO_UNIT_TESTS)
    power: pl.DataFrame = field(default_factory=lambda: NO_POWER)
    matching: str = "proximity"
    own_responses: pl.DataFrame = field(default_factory=lambda: NO_RESPONSES_BY_TRIAL)
    shown: pl.DataFrame = field(default_factory=lambda: NO_SHOWN)
    shown_images: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1, 1), np.uint8))
    origins: pl.DataFrame = field(default_factory=lambda: NO_ORIGINS)
    lineage: pl.DataFrame = field(
        default_factory=lambda: _empty(kind=pl.String, scope=pl.String, digest=pl.String)
    )
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def selected(self) -> list[int]:
        """Units that the selection rule chose, by rank."""
        return self.units.filter(pl.col("hu_rank").is_not_null()).sort("hu_rank")["unit_id"].to_list()
