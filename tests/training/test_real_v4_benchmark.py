from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "real_v4.py"
RECORDING = ROOT.parent / "shared" / "data" / "v4_210621.npz"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_v4", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["real_v4"] = module
    spec.loader.exec_module(module)
    return module


def test_without_the_recording_it_is_skipped_and_says_so(benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["real_v4.py", str(tmp_path / "absent.npz")])
    benchmark.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("skipped: ")
    assert "absent.npz" in line


@pytest.mark.skipif(not RECORDING.exists(), reason="the recording is not shipped")
@pytest.mark.acceptance
def test_the_quick_benchmark_takes_the_recording_through_import_dataset_and_training(tmp_path):
    written = tmp_path / "real_v4.json"
    call = [sys.executable, str(SCRIPT), str(RECORDING), "--quick", "--json", str(written)]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    record = json.loads(written.read_text())
    assert record["splits"][0]["tiers"] == {"train": 896, "validation": 100, "test": 204}
    *scores, linear, ridge = record["rows"]
    assert all(-1 < row[name] < 1 for row in scores for name in ("network", "linear", "ridge"))
    assert all(row["low"] <= row["mean"] <= row["high"] and row["units"] == 51 for row in (linear, ridge))


def test_the_ridge_regression_is_the_textbook_one(benchmark):
    rng = np.random.default_rng(3)
    images, responses = rng.normal(size=(40, 9)), rng.normal(size=(40, 4))
    x, y = images - images.mean(0), responses - responses.mean(0)
    strength = 0.1 * np.linalg.svd(x)[1][0] ** 2
    weights = np.linalg.solve(x.T @ x + strength * np.eye(9), x.T @ y)
    new = rng.normal(size=(5, 9))
    expected = (new - images.mean(0)) @ weights + responses.mean(0)
    np.testing.assert_allclose(benchmark.Ridge(images, responses)(new, 9, 0.1), expected)


def test_the_interval_covers_a_known_mean_and_grows_with_the_spread_of_the_splits(benchmark):
    rng = np.random.default_rng(4)
    units = 0.1 + 0.05 * rng.normal(size=(1, 1, 200))
    low, high = benchmark.interval(np.tile(units, (3, 3, 1)), draws=500)
    assert low < 0.1 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.05 / np.sqrt(200), rel=0.25)
    splits = np.array([-0.05, 0, 0.05])[:, None, None]
    wide_low, wide_high = benchmark.interval(units + splits, draws=500)
    assert wide_high - wide_low > 2 * (high - low)
