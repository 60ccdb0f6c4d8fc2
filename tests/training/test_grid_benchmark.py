from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "grid.py"


def test_the_quick_benchmark_trains_every_shape_both_ways_in_both_precisions(tmp_path):
    written = tmp_path / "grid.json"
    call = [sys.executable, str(SCRIPT), "--quick", "--device", "cpu", "--json", str(written)]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    record = json.loads(written.read_text())
    assert record["name"] == "grid"
    full, half, precisions, values = record["rows"]
    assert all({"what", "unit", "ours", "theirs", "ratio"} <= row.keys() for row in record["rows"])
    assert full["what"] == "8 models, 1 epochs, float32"
    assert full["stacks"] == half["stacks"] == 4
    assert full["target"] is None  # that of a GPU
    assert precisions["ours"] == half["ours"]
    assert 0 < abs(values["ours"]) < 0.2  # a stack in bfloat16 is not one in float32
