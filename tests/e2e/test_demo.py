"""What `make demo` promises, on the real thing: ``make accept`` (minutes), part of continuous integration."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inception_loop.report.summary import TRUTH

BOUNDED = [key for key, number in TRUTH.items() if number.bound]

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]


def run_demo(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "flows.cli", "demo", "--store", (folder / "store").as_uri()]
    subprocess.run([*command, "--output", str(folder / "out")], check=True, timeout=2900)
    summary: dict[str, Any] = json.loads((folder / "out" / "summary.json").read_text())
    return summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def summary(folder) -> dict[str, Any]:
    return run_demo(folder)


@pytest.mark.parametrize("key", BOUNDED)
def test_what_the_truth_allows_keeps_its_bound(summary, key) -> None:
    value = summary["truth"][key]
    assert value is not None
    assert TRUTH[key].met(value), f"{key} is {value}; expected {TRUTH[key].bound}"


def test_cells_prefer_their_own_images(summary) -> None:
    loop = summary["closed_loop"]
    assert loop["n_units"] >= 15
    assert loop["diagonal_p_value"] < 1e-3
    assert loop["own_mei_over_best_natural_share"] > 0.5
    assert loop["panel_complex_mei_over_rf_share"] > 0.5


def test_a_second_run_recomputes_nothing(summary, folder) -> None:
    again = run_demo(folder)
    assert sum(stage["computed"] for stage in again["stages"].values()) == 0
    assert again["truth"] == summary["truth"]
    assert again["closed_loop"] == summary["closed_loop"]
