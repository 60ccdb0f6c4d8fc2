"""The tables that a report keeps: what stands behind its figures, with the meaning of every column."""

from __future__ import annotations

import pyarrow as pa

from inception_loop.artifacts.kind import Array, Arrays, Column, Table
from inception_loop.closed_loop.loop_tests import POWER

I64, F64, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()


def _maybe(kind: pa.DataType, meaning: str) -> Column:
    return Column(kind, meaning, nullable=True)


SOURCE_UNIT = Column(I64, "number of the unit in the source scan")
RANK = _maybe(I64, "rank of the unit among the selected, 0 first; null: not selected")
MODEL_TYPE = Column(
    TEXT, "whose image: cnn (MEI), linear (RF image), natural, gabor, masked_cnn, masked_natural"
)
SCAN = Column(TEXT, "the later scan, animal-session-scan")

NUMBERS = Table(
    {
        "key": Column(TEXT, "name of the number"),
        "value": _maybe(F64, "the number; null: not asked"),
        "count": _maybe(I64, "units that do, where it is a share"),
        "n": Column(I64, "units asked"),
        "lower": _maybe(F64, "lower end of its 95 % interval, over units"),
        "upper": _maybe(F64, "upper end of it"),
        "definition": Column(TEXT, "what it is, in words"),
    }
)
ORIGINS = Table(
    {
        "of": Column(TEXT, "what comes from the artifact: numbers, tests, or a figure by its name"),
        "name": Column(TEXT, "key of the number or name of the figure; empty: all of them"),
        "kind": Column(TEXT, "kind of the artifact"),
        "about": Column(TEXT, "scan, group, loop or control that it is about"),
        "digest": Column(TEXT, "its digest"),
    }
)
TESTS = Table(
    {
        "key": Column(TEXT, "name of the test"),
        "what": Column(TEXT, "what is compared"),
        "statistic": Column(TEXT, "what the value is"),
        "value": _maybe(F64, "the statistic; null: not done, the words say why"),
        "p_value": _maybe(F64, "of no effect; null: the row is no test"),
        "q_value": _maybe(
            F64,
            "p corrected over the comparisons tested the same way (Benjamini–Hochberg); MEIs, masked MEIs "
            "and truth panel apart",
        ),
        "n": _maybe(I64, "how many units or animals"),
        "n_of": Column(TEXT, "of what n counts"),
        "lower": _maybe(F64, "lower end of the 95 % interval"),
        "upper": _maybe(F64, "upper end of it"),
        "method": _maybe(TEXT, "how it was made"),
        "assumptions": Column(TEXT, "what it takes for granted"),
        "words": Column(TEXT, "the result in words"),
    }
)
UNIT_TESTS = Table(
    {
        "control": Column(TEXT, "control image: linear, natural, gabor, masked_natural"),
        "source_unit_id": SOURCE_UNIT,
        "rank": RANK,
        "n_own": Column(I64, "trials of the own image"),
        "n_control": Column(I64, "trials of the control image"),
        "difference": _maybe(F64, "mean response to the own image − to the control, z-score"),
        "p_value": _maybe(F64, "of no difference, by permutation of the unit's trials; null: not tested"),
        "q_value": _maybe(F64, "p corrected over the units of this comparison (Benjamini–Hochberg)"),
        "p_smallest": _maybe(F64, "smallest p that so few trials allow"),
        "method": _maybe(TEXT, "how p was made"),
        "reason": _maybe(TEXT, "why there is no p"),
    }
)
CONFUSION = Table(
    {
        "model_type": MODEL_TYPE,
        "image_unit_id": Column(I64, "unit of the source scan that the image was made for"),
        "image_rank": _maybe(I64, "its rank among the selected, 0 first; null: not selected"),
        "source_unit_id": SOURCE_UNIT,
        "rank": RANK,
        "z_mean": Column(F64, "mean response of its matched cell to the image, z-score over the scan"),
        "z_sem": _maybe(F64, "standard error of it; null: shown once"),
        "mean": _maybe(F64, "the same response in s.d. of the cell over the scan"),
        "sem": _maybe(F64, "standard error of it; null: shown once"),
        "n_repeats": Column(I64, "trials of the image over all later scans"),
    }
)
DIAGONAL = Table(
    {
        "control": Column(TEXT, "control image: linear, natural, gabor, masked_natural"),
        "own": Column(TEXT, "own image: cnn (MEI), masked_cnn (masked MEI)"),
        "source_unit_id": SOURCE_UNIT,
        "rank": RANK,
        "own_mean": Column(F64, "mean response to the own image, z-score"),
        "own_sem": _maybe(F64, "its standard error; null: shown once"),
        "own_repeats": Column(I64, "trials of it"),
        "control_mean": Column(F64, "mean response to the own control image, z-score"),
        "control_sem": _maybe(F64, "its standard error; null: shown once"),
        "control_repeats": Column(I64, "trials of it"),
        "difference": Column(F64, "own_mean − control_mean, z-score"),
        "difference_sem": _maybe(F64, "√(own_sem² + control_sem²)"),
        "q_value": _maybe(F64, "of the unit's own test, corrected over units; null: not tested"),
    }
)
MATCHES = Table(
    {
        "scan": SCAN,
        "source_unit_id": SOURCE_UNIT,
        "rank": RANK,
        "unit_id": Column(I64, "number of the matched unit in the later scan"),
        "match_freq": Column(I64, "stacks that voted for it"),
        "total_stacks": Column(I64, "stacks in which the source unit was matched"),
        "mean_distance": Column(F64, "mean distance over the stacks that voted for it, µm"),
        "double_match": Column(BOOL, "whether another source unit was matched to the same unit"),
        "x": _maybe(F64, "place of the source unit in a stack, µm"),
        "y": _maybe(F64, "the same, y"),
        "later_x": _maybe(F64, "place of the matched unit in that stack, µm"),
        "later_y": _maybe(F64, "the same, y"),
        "right": _maybe(BOOL, "whether it is the same cell; null: not known"),
        "assigned_unit_id": _maybe(
            I64, "unit that the one-to-one assignment gives; null: none, or not asked"
        ),
        "probability": _maybe(F64, "that the assigned unit is the cell; null: not asked"),
    }
)
TUNING_MATCH = Table(
    {
        "matched": Column(BOOL, "whether the pairs are matched cells; else all other pairs of both days"),
        "lower": Column(F64, "lower edge of a bin of correlations"),
        "upper": Column(F64, "upper edge of it; the last bin holds it too"),
        "n": Column(I64, "pairs whose repeat-averaged responses to the images of both days correlate so"),
        "median": Column(F64, "median correlation of all such pairs, of any bin"),
    }
)
OWN_RESPONSES = Table(
    {
        "scan": SCAN,
        "model_type": MODEL_TYPE,
        "source_unit_id": SOURCE_UNIT,
        "rank": RANK,
        "unit_id": Column(I64, "number of the matched unit in the later scan"),
        "condition_hash": Column(TEXT, "condition shown: the unit's own image"),
        "trial_idx": Column(I64, "number of the trial in the scan"),
        "response": Column(F64, "response of the cell, in the unit of the traces"),
        "z_response": Column(F64, "the same, z-score over the scan"),
    }
)
SHOWN = Table(
    {
        "place": Column(I64, "row of the picture in shown_images"),
        "model_type": MODEL_TYPE,
        "source_unit_id": SOURCE_UNIT,
        "rank": RANK,
        "condition_hash": Column(TEXT, "condition of the stimulus set that showed it"),
    }
)
SHOWN_IMAGES = Arrays(
    {
        "images": Array(
            "uint8",
            ("images", "height", "width"),
            "grey levels as sent to the monitor, averaged to small size",
        )
    }
)
TABLES = {
    "numbers": NUMBERS,
    "tests": TESTS,
    "unit_tests": UNIT_TESTS,
    "power": POWER,
    "confusion": CONFUSION,
    "diagonal": DIAGONAL,
    "matches": MATCHES,
    "tuning_match": TUNING_MATCH,
    "own_responses": OWN_RESPONSES,
    "shown": SHOWN,
    "origins": ORIGINS,
}
"""Payload → what it holds, of those that are tables."""
