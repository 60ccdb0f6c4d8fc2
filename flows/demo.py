"""``inception-loop demo``: the whole loop on a digital animal, its findings in words, its report."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

from flows._server import prefect_server
from flows._stage import configured_store, observed
from flows.console import Console
from flows.results import findings, make_folder, write_results
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.twin import TwinConfig
from inception_loop.errors import ConfigurationError
from inception_loop.presets import Size, demo_parameters


def run_demo(*, animal: str, size: Size, seed: int, output: Path, as_json: bool) -> int:
    """Run the loop, write ``report.html`` and ``summary.json`` into ``output``; returns the exit status."""
    started = time.monotonic()
    config, twin_path = _animal(animal, seed)
    parameters = demo_parameters(config, size=size, seed=seed, twin_path=twin_path)
    store = configured_store()
    store.probe()  # a store that cannot be written is told before anything starts
    make_folder(output)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    with Console(quiet=as_json) as console:
        console.say(f"{config.type} animal, size {size}, seed {seed}, store {store.uri}")
        with prefect_server() as url, observed(console):
            console.say(f"Prefect UI of this run: {url.removesuffix('/api')}")
            from flows.inception_loop import inception_loop

            result = inception_loop(parameters)
    stages = {name: stage.counts() for name, stage in result.stages.items()}
    seconds = time.monotonic() - started
    summary = write_results(store, result.report, output, stages=stages, seconds=seconds)
    _print(json.dumps(summary, indent=2) if as_json else findings(summary, output))
    return 0


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _animal(text: str, seed: int) -> tuple[SimulatedConfig | TwinConfig, str | None]:
    kind, _, path = text.partition(":")
    if kind == "simulated" and not path:
        return SimulatedConfig(seed=seed), None
    if kind == "twin" and path:
        try:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigurationError(
                f"cannot read the twin {path}: {error.strerror}; expected the NPZ file of a network"
            ) from error
        return TwinConfig(sha256=digest, seed=seed), path
    raise ConfigurationError(f"--animal is {text!r}; expected simulated or twin:PATH.npz")
