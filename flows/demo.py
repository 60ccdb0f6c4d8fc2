"""``inception-loop demo``: the whole loop on a digital animal, its findings in words, its report."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from flows._local import run_locally
from flows._stage import configured_store
from flows.loop import inception_loop
from flows.results import findings, make_folder, write_results
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.twin import TwinConfig, twin_config
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.presets import Size, demo_parameters


def run_demo(*, animal: str, size: Size, seed: int, days: int, output: Path, as_json: bool) -> int:
    """Run the loop, write ``report.html`` and ``summary.json`` into ``output``; returns the exit status."""
    started = time.monotonic()
    config, twin_path = _animal(animal, seed)
    parameters = demo_parameters(config, size=size, seed=seed, days=days, twin_path=twin_path)
    make_folder(output)
    title = f"{config.type} animal, size {size}, seed {seed}"
    result = run_locally(inception_loop, parameters, quiet=as_json, title=title)
    stages = {name: stage.counts() for name, stage in result.stages.items()}
    seconds = time.monotonic() - started
    summary = write_results(configured_store(), result.report, output, stages=stages, seconds=seconds)
    _require(summary, parameters.selection.min_units)
    _print(json.dumps(summary, indent=2) if as_json else findings(summary, output))
    return 0


def _require(summary: dict[str, Any], least: int) -> None:
    """Refuse findings over too few units: some are selected, but lost before their images are compared."""
    n_units = summary["closed_loop"]["n_units"]
    if n_units < least:
        raise DataError(
            f"only {n_units} selected units could be compared; expected at least {least}; the others were "
            "not matched to a cell of the later day, or their cell did not vary there (see the report)"
        )


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _animal(text: str, seed: int) -> tuple[SimulatedConfig | TwinConfig, str | None]:
    kind, _, path = text.partition(":")
    if kind == "simulated" and not path:
        return SimulatedConfig(seed=seed), None
    if kind == "twin" and path:
        return twin_config(path, seed=seed), path
    raise ConfigurationError(f"--animal is {text!r}; expected simulated or twin:PATH.npz")
