"""The benchmark of the searches of natural images stays alive."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

PROGRAM = Path(__file__).resolve().parents[3] / "benchmarks" / "natural.py"


def test_the_benchmark_runs_and_keeps_to_the_passes(tmp_path):
    out = tmp_path / "table.json"
    subprocess.run([sys.executable, PROGRAM, "--quick", "--json", out], check=True, capture_output=True)
    table = json.loads(out.read_text())
    assert table["name"] == "natural"
    for row in table["rows"]:
        assert {"what", "unit", "ours", "theirs", "ratio"} <= set(row)
        assert row["ours"] >= 0
    passes = [row for row in table["rows"] if "limit" in row]
    assert len(passes) == 3
    assert all(row["ours"] <= row["limit"] < row["theirs"] for row in passes)
