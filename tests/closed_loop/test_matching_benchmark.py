import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "matching.py"


def test_the_benchmark_runs_and_writes_its_tables(tmp_path):
    out = tmp_path / "table.json"
    subprocess.run([sys.executable, PROGRAM, "--quick", "--json", out], check=True, capture_output=True)
    table = json.loads(out.read_text())
    assert table["name"] == "matching"
    assert {row["what"].split(",")[0] for row in table["rows"]} >= {"published rule", "assigned"}
    for row in table["truth"]:
        assert row["assigned_right"] >= row["published_right"] >= 0.9
        assert row["assigned_missing_matched"] < 0.2 < row["published_missing_matched"] == 1.0
