from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training.py"


def test_the_quick_benchmark_runs_and_its_gradients_are_those_of_the_published_readout(tmp_path):
    written = tmp_path / "training.json"
    call = [sys.executable, str(SCRIPT), "--quick", "--json", str(written)]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    rows = json.loads(written.read_text())["rows"]
    assert all({"what", "unit", "ours", "theirs", "ratio"} <= row.keys() for row in rows)
    gradients, step, _ = rows
    assert gradients["ours"] < gradients["target"]
    assert step["ratio"] > 1.5
