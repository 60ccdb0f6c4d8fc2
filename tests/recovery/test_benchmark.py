from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "recovery.py"


def test_the_quick_benchmark_says_how_much_one_epoch_recovers_of_how_many_units(tmp_path):
    written = tmp_path / "recovery.json"
    call = [sys.executable, str(SCRIPT), "--quick", "--json", str(written)]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    rows = {row["what"].partition(": ")[2]: row for row in json.loads(written.read_text())["rows"]}
    assert all({"what", "unit", "ours", "theirs", "ratio"} <= row.keys() for row in rows.values())
    driven, simple, complex_ = (
        rows[f"ceiling fraction, {kind}"]["n"] for kind in ("all driven", "simple", "complex")
    )
    assert 0 < simple + complex_ < driven <= 60
    # One epoch finds the gain, which all trials of a unit share, before it finds a receptive field.
    assert rows["log gain r"]["ours"] > 0.7
    assert rows["ceiling fraction, simple"]["ours"] < 0.9
