"""The benchmark of cores runs, and what it compares is the same step."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "cores.py"


def test_the_benchmark_compares_the_same_step_and_writes_its_rows(tmp_path):
    out = tmp_path / "cores.json"
    subprocess.run([sys.executable, SCRIPT, "--quick", "--json", out], check=True, capture_output=True)
    record = json.loads(out.read_text())
    gradients, *steps = record["rows"]
    assert gradients["ours"] < 1e-3
    assert [row["unit"] for row in steps] == ["CPU-s"] * 3
    assert all(row["ratio"] == row["theirs"] / row["ours"] > 0 for row in steps)
