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
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.twin import TwinConfig
from inception_loop.errors import ConfigurationError
from inception_loop.presets import demo_parameters


def run_demo(*, animal: str, size: str, seed: int, output: Path, as_json: bool) -> int:
    """Run the loop, write ``report.html`` and ``summary.json`` into ``output``; returns the exit status."""
    started = time.monotonic()
    config, twin_path = _animal(animal, seed)
    parameters = demo_parameters(config, size=size, seed=seed, twin_path=twin_path)
    store = configured_store()  # a store that cannot be used is told before anything starts
    store.probe()
    output.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    name = animal.partition(":")[0]
    with Console(quiet=as_json) as console:
        console.say(f"inception-loop demo: {name} animal, size {size}, seed {seed}, store {store.uri}")
        with prefect_server() as url, observed(console):
            console.say(f"watch it at {url.removesuffix('/api')}")
            from flows.inception_loop import inception_loop

            result = inception_loop(parameters)
        summary = _write(output, result, started)
    if as_json:
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    return 0


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
