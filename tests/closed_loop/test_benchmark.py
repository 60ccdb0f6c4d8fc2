import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "closed_loop.py"


def test_the_benchmark_runs_and_writes_its_table(tmp_path):
    out = tmp_path / "table.json"
    subprocess.run([sys.executable, PROGRAM, "--quick", "--json", out], check=True, capture_output=True)
    table = json.loads(out.read_text())
    assert table["name"] == "closed_loop"
    for row in table["rows"]:
        assert {"what", "unit", "ours", "theirs", "ratio"} <= set(row)
        assert row["ours"] >= 0
