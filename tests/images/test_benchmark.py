"""The benchmark of image synthesis stays alive."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "mei.py"


def test_the_benchmark_runs_and_writes_its_table(tmp_path):
    out = tmp_path / "table.json"
    subprocess.run([sys.executable, PROGRAM, "--quick", "--json", out], check=True, capture_output=True)
    table = json.loads(out.read_text())
    assert table["name"] == "mei"
    assert table["rows"][0]["ratio"] > 1
    # nothing is faster than the machine: a share above 1 would mean that cost or limit is measured wrongly
    assert 0 < table["rows"][0]["limit_share"] <= 1
    for row in table["rows"]:
        assert {"what", "unit", "ours", "theirs", "ratio"} <= set(row)
        assert row["ours"] >= 0
