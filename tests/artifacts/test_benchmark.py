"""The store's benchmark runs and writes what it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "store.py"


def test_the_quick_benchmark_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--quick", "--json", str(tmp_path / "store.json")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    report = json.loads((tmp_path / "store.json").read_text())
    assert report["name"] == "store"
    assert {"what", "unit", "ours", "theirs", "ratio"} <= set(report["rows"][0])
    assert all(row["ours"] > 0 for row in report["rows"])
