import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "overhead.py"


@pytest.fixture(scope="module")
def overhead():
    spec = importlib.util.spec_from_file_location("overhead_benchmark", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_every_second_of_a_thread_is_counted_once_for_the_innermost_purpose(overhead):
    clocks = overhead.Clocks()
    began = time.thread_time()
    with clocks.to("functions"):
        burn(0.04)
        with clocks.to("store"):
            burn(0.02)
            clocks.counted("functions", burn)(0.03)
        burn(0.01)
    whole = time.thread_time() - began
    assert clocks.seconds["functions"] == pytest.approx(0.08, abs=0.01)
    assert clocks.seconds["store"] == pytest.approx(0.02, abs=0.01)
    assert sum(clocks.seconds.values()) == pytest.approx(whole, abs=0.002)


@pytest.mark.acceptance
@pytest.mark.timeout(600)
def test_the_benchmark_runs_and_writes_its_table(tmp_path):
    out = tmp_path / "table.json"
    command = [sys.executable, PROGRAM, "--quick", "--size", "paper", "--json", out]
    subprocess.run(command, check=True, capture_output=True)
    rows = {row["what"]: row for row in json.loads(out.read_text())["rows"]}
    for row in rows.values():
        assert {"what", "unit", "ours", "theirs", "ratio"} <= set(row)
        assert row["ours"] > 0
    whole = rows["loop through flows and store, the server apart"]["ours"]
    assert sum(row["ours"] for what, row in rows.items() if what.startswith("of it")) == pytest.approx(whole)
