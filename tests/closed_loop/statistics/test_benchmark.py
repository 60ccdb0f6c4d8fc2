import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

PROGRAM = Path(__file__).resolve().parents[3] / "benchmarks" / "loop_statistics.py"


def test_the_benchmark_runs_and_writes_its_table(tmp_path):
    out = tmp_path / "table.json"
    subprocess.run([sys.executable, PROGRAM, "--quick", "--json", out], check=True, capture_output=True)
    table = json.loads(out.read_text())
    assert table["name"] == "loop_statistics"
    for said in ("coverage", "sparse responses, 6 units", "sign flips over 5 animals"):
        assert any(said in row["what"] for row in table["rows"]), said
    for row in table["rows"]:
        assert {"what", "unit", "ours", "theirs", "ratio"} <= set(row)
        assert row["ours"] >= 0
