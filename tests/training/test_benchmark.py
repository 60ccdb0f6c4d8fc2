from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training.py"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    written = tmp_path_factory.mktemp("benchmark") / "training.json"
    call = [sys.executable, str(SCRIPT), "--quick", "--json", str(written)]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(written.read_text())["rows"]


def of(rows, *words):
    return [row for row in rows if all(word in row["what"] for word in words)]


def test_every_row_has_the_common_columns_and_finite_numbers(rows):
    for row in rows:
        assert {"what", "unit", "ours", "theirs", "ratio"} <= row.keys()
        assert math.isfinite(row["ours"]), row["what"]


@pytest.mark.parametrize("case", ["pyramid", "depth-separable + Gaussian"])
def test_the_gradients_are_those_of_the_published_parts(rows, case):
    (gradients,) = of(rows, "gradients", case)
    assert gradients["ours"] < gradients["target"] == 1e-4


def test_the_pyramid_is_read_out_faster_than_the_published_way(rows):
    (step,) = of(rows, "step, float32", "pyramid")
    assert step["ratio"] > 1.5


def test_no_step_is_faster_than_its_limits_and_the_share_is_that_of_the_tighter_one(rows):
    steps = of(rows, "step")
    assert len(steps) == 4
    for step in steps:
        limits = step["limit_operations"], step["limit_bytes"]
        assert step["limit_share"] == pytest.approx(max(limits) / step["ours"])
        assert 0 < step["limit_share"] < 1


def test_both_precisions_are_trained_to_a_score(rows):
    (score,) = of(rows, "validation correlation")
    (difference,) = of(rows, "less that in float32")
    assert difference["ours"] == pytest.approx(score["ours"] - score["theirs"], abs=1e-12)
