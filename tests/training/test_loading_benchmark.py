from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "loading.py"


def test_the_quick_benchmark_runs_and_both_ways_give_the_same_batches(tmp_path):
    written = tmp_path / "loading.json"
    call = [sys.executable, str(SCRIPT), "--quick", "--json", str(written)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(written.read_text())
    assert report["name"] == "loading"
    assert all({"what", "unit", "ours", "theirs", "ratio"} <= row.keys() for row in report["rows"])
    images = next(row for row in report["rows"] if row["unit"] == "images/s")
    assert images["ratio"] > 5
    assert list(tmp_path.iterdir()) == [written]  # what was measured on is gone
