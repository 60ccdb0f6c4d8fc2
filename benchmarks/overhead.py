"""What flows and store cost a loop: the same functions through Prefect and a store, and called bare.

Run ``python benchmarks/overhead.py [--quick] [--size paper] [--json FILE]``. Each arm is its own process.

- *through flows*: the loop as ``inception-loop demo`` runs it, a temporary Prefect server, a store on disk.
- *bare*: the same ``make_…`` functions called one after the other, no Prefect, artifacts in memory.

Every CPU-second of the first arm is put where it belongs while it runs: to the functions, to the store (all
that is written, hashed, leased, found and loaded), to the flows (the rest of the process), to the server (a
process of its own). So the overhead comes from one run and does not drown in the noise between two; the bare
arm shows that the functions' share is what they cost by themselves. The full loop trains the demo's networks
over so many seeds that it takes ten minutes and more bare; the benchmark takes twice that.

``--size paper`` extrapolates from the loop just measured: tasks, objects, bytes of 64 models and 150 units.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

SEEDS = 15
"""So many seeds of the demo's two networks make a loop of more than ten CPU-minutes."""
TARGET = 0.05
Row = dict[str, Any]


class Clocks:
    """CPU-seconds by purpose; what runs inside another purpose is taken from it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._local, self._lock = threading.local(), threading.Lock()

    @contextmanager
    def to(self, purpose: str) -> Iterator[None]:
        """Count what this thread does in the context."""
        stack: list[str] = self._local.__dict__.setdefault("stack", [])
        self._switch(stack)
        stack.append(purpose)
        try:
            yield
        finally:
            self._switch(stack)
            stack.pop()

    def _switch(self, stack: list[str]) -> None:
        now = time.thread_time()
        if stack:
            with self._lock:
                self.seconds[stack[-1]] += now - self._local.since
        self._local.since = now

    def counted(self, purpose: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, counted."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self.to(purpose):
                return function(*args, **kwargs)

        return run


def watch(clocks: Clocks) -> None:
    """Count what the store does, and within it what the functions do that it calls back."""
    from inception_loop.artifacts.attempt import Attempt
    from inception_loop.artifacts.store import ArtifactStore

    for name in (
        "table",
        "arrow",
        "vectors",
        "arrays",
        "rows",
        "file",
        "manifest",
        "inputs",
        "exists",
        "probe",
    ):
        setattr(ArtifactStore, name, clocks.counted("store", getattr(ArtifactStore, name)))
    for name in ("write_table", "write_arrays", "write_file"):
        setattr(Attempt, name, clocks.counted("store", getattr(Attempt, name)))
    make = ArtifactStore.make

    def timed(self: Any, kind: Any, config: Any, build: Any, *args: Any, **kwargs: Any) -> Any:
        with clocks.to("store"):
            return make(self, kind, config, clocks.counted("functions", build), *args, **kwargs)

    ArtifactStore.make = timed  # type: ignore[method-assign]


class Computed:
    """Stands for a future whose step has been computed."""

    def __init__(self, made: Any, cached: bool) -> None:
        self.made = made
        self.state = mock.Mock()
        self.state.name = "Cached" if cached else "Completed"

    def result(self, **_: Any) -> Any:
        """Return what the step made."""
        return self.made


def bare(parameters: Any, clocks: Clocks) -> Any:
    """Run the loop without Prefect: flows are plain functions, a step is computed where it is submitted."""
    from prefect import Flow

    from flows import _stage, loop
    from inception_loop.artifacts.store import Outcome

    def submit(self: Any, make: Any, config: Any, *, label: str = "", **inputs: Any) -> Computed:
        given = {role: plain(value) for role, value in inputs.items()}
        with clocks.to("functions"):
            made = make(_stage.configured_store(), config, **given)
        outcomes = [made] if isinstance(made, Outcome) else list(made)
        refs = [outcome.ref for outcome in outcomes]
        future = Computed(
            refs[0] if isinstance(made, Outcome) else refs, all(outcome.cached for outcome in outcomes)
        )
        self._keep((make, config, label), future)
        return future

    def plain(value: Any) -> Any:
        if isinstance(value, Computed):
            return value.made
        if isinstance(value, list | tuple):
            return type(value)(plain(one) for one in value)
        return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value

    _stage.Stage.submit = submit  # type: ignore[method-assign]
    for module in [module for name, module in sys.modules.items() if name.startswith("flows.")]:
        for name, value in list(vars(module).items()):
            if isinstance(value, Flow) and module is not None:
                setattr(module, name, value.fn)
    return loop.inception_loop(parameters)


def run_arm(arm: str, seeds: int, folder: Path, quick: bool) -> None:
    """Run one arm in this process and write what it took."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    os.environ["INCEPTION_LOOP_STORE"] = f"file://{folder}/store" if arm == "flows" else "memory://bare"
    parameters = tiny() if quick else demo(seeds)
    import flows.loop  # noqa: F401  (imports are no part of a loop)
    from inception_loop.settings import Settings

    clocks, found = Clocks(), {}
    if arm == "flows":
        watch(clocks)
        found = through_flows(parameters, clocks)
    else:
        os.environ["INCEPTION_LOOP_VERIFY_HASHES"] = "false"
        began, cpu = time.perf_counter(), time.process_time()
        bare(parameters, clocks)
        found = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    found |= {
        "workers": Settings().workers,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    (folder / f"{arm}.json").write_text(json.dumps(found))


def through_flows(parameters: Any, clocks: Clocks) -> dict[str, Any]:
    """Run the loop as a person does, and say where its time went."""
    from flows import _step
    from flows._server import prefect_server
    from flows.loop import inception_loop

    _step._made = clocks.counted("functions", _step._made)  # a step, but for what tells of it
    _step._Watch.__call__ = clocks.counted("flows", _step._Watch.__call__)  # type: ignore[method-assign]
    started = time.perf_counter()
    with prefect_server():
        ready, start_cpu = time.perf_counter() - started, cpu_of_children()
        began, cpu = time.perf_counter(), time.process_time()
        result = inception_loop(parameters)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        server_cpu = cpu_of_children() - start_cpu
    day, shown = parameters.session, parameters.animal
    stages = {
        name: {"steps": stage.computed + stage.cached, "refs": sum(len(refs) for refs in stage.refs.values())}
        for name, stage in result.stages.items()
    }
    spent = dict(clocks.seconds)
    return {
        "wall": wall,
        "cpu": cpu,
        "server_start": ready,
        "server_cpu": server_cpu,
        "functions": spent["functions"],
        "store": spent["store"],
        "flows": cpu - spent["functions"] - spent["store"],
        "responses": (day.n_train + day.n_repeated * day.repeats) * shown.n_units,
        "stages": stages,
    }


def cpu_of_children() -> float:
    """Return the CPU-seconds so far of the processes that this one has started: the server alone."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


def demo(seeds: int) -> Any:
    """Return the demo's loop with more networks."""
    from inception_loop.animals.simulated import SimulatedConfig
    from inception_loop.presets import demo_parameters

    parameters = demo_parameters(SimulatedConfig(seed=1), size="small", seed=1)
    grid = parameters.grid.model_copy(update={"seeds": tuple(range(1, seeds + 1))})
    return parameters.model_copy(update={"grid": grid})


def tiny() -> Any:
    """Return the loop of seconds that the tests run."""
    import tiny_loop

    return tiny_loop.tiny_parameters()


def arm(name: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run an arm in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--arm",
        name,
        "--folder",
        str(folder),
        "--seeds",
        str(arguments.seeds),
    ]
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_LOGGING_LEVEL": "WARNING"}
    environment.pop("PREFECT_API_URL", None)
    subprocess.run([*command, *(["--quick"] if arguments.quick else [])], check=True, env=environment)
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def row(what: str, unit: str, ours: float, theirs: float | None = None, target: float | None = None) -> Row:
    """Return a row of the table."""
    ratio = None if theirs is None else theirs / max(ours, 1e-9)
    return {"what": what, "unit": unit, "ours": ours, "theirs": theirs, "ratio": ratio, "target": target}


def compared(flows: dict[str, Any], alone: dict[str, Any], store: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of the two arms."""
    functions = flows["functions"]
    yield row("loop through flows and store, the server apart", "CPU-s", flows["cpu"], alone["cpu"])
    yield row("of it the functions themselves", "CPU-s", functions)
    yield row("of it the store: written, hashed, leased, found, loaded", "CPU-s", flows["store"])
    yield row("of it flows: tasks, states, logs, artifacts for the UI", "CPU-s", flows["flows"])
    yield row(
        "store and flows over the functions", "1", (flows["store"] + flows["flows"]) / functions, None, TARGET
    )
    yield row("the same, server's CPU-seconds with it", "1", _with_server(flows) / functions)
    yield row("the server, while the loop ran", "CPU-s", flows["server_cpu"])
    yield row("the server until it answers, once", "s", flows["server_start"])
    yield row(
        f"loop by the clock ({flows['workers']} steps at a time; bare: one)",
        "s",
        flows["wall"],
        alone["wall"],
    )
    yield row("tasks", "1", float(sum(stage["steps"] for stage in flows["stages"].values())))
    yield row("a task, store and flows", "CPU-ms", 1000 * _a_task(flows))
    yield row("objects in the store", "1", float(store["objects"]))
    yield row("bytes in the store", "MB", store["bytes"] / 1e6)
    yield row("peak memory of the process", "GiB", flows["peak"])


def _with_server(flows: dict[str, Any]) -> float:
    return float(flows["store"] + flows["flows"] + flows["server_cpu"])


def _a_task(flows: dict[str, Any]) -> float:
    tasks = sum(stage["steps"] for stage in flows["stages"].values())
    return float((flows["store"] + flows["flows"]) / tasks)


def contents(folder: Path) -> dict[str, Any]:
    """Count what a store on disk holds, by kind."""
    files = [path for path in (folder / "store").rglob("*") if path.is_file()]
    kinds: dict[str, list[int]] = {}
    for path in files:
        kind = path.relative_to(folder / "store").parts[0]
        kinds.setdefault(kind, []).append(path.stat().st_size)
    made = Counter(
        path.relative_to(folder / "store").parts[0] for path in files if path.name == "manifest.json"
    )
    return {
        "objects": len(files),
        "bytes": sum(sum(sizes) for sizes in kinds.values()),
        "kinds": {
            kind: {"artifacts": made[kind], "objects": len(sizes), "bytes": sum(sizes)}
            for kind, sizes in kinds.items()
        },
    }


OF_MODELS = {"model", "unit_test_scores", "_checkpoints"}
OF_SCAN = {"recording", "input_response", "animal_truth", "frame", "own_response", "proximity_cell_match"}
OF_UNITS = {
    *(
        "mei",
        "grad_rf",
        "best_gabor",
        "masked_mei",
        "tight_mei_mask",
        "best_natural_image",
        "gallery",
        "report",
    ),
    *("best_tight_masked_imagenet", "processed_image", "stimulus_fill", "stimulus_set"),
}


def paper(flows: dict[str, Any], store: dict[str, Any], models: int, units: int) -> Iterator[Row]:
    """Yield tasks, objects and bytes of 64 models and 150 units, extrapolated from the loop measured here.

    Networks grow with the models; images of units with the units (batches of 32); tables of a scan with its
    trials and units (5,000 natural images, 5,000 units, where the demo has 1,500 and 420); the rest stays.
    """
    of_models, of_units = 64 / models, 150 / units
    of_scan = (5000 + 100 * 10) * 5000 / flows["responses"]
    objects = size = 0.0
    for kind, found in store["kinds"].items():
        objects += found["objects"] * (of_models if kind in OF_MODELS else 1)
        grown = of_models if kind in OF_MODELS else of_scan if kind in OF_SCAN else 1.0
        grown = of_units if kind in OF_UNITS else grown
        size += found["bytes"] * grown
    train = flows["stages"]["train"]["steps"]
    image = flows["stages"]["mei"]["steps"]
    others = sum(stage["steps"] for stage in flows["stages"].values()) - train - image
    tasks = others + train * of_models + image * of_units
    yield row("paper: tasks, extrapolated", "1", tasks)
    yield row("paper: objects, extrapolated", "1", objects)
    yield row("paper: bytes, extrapolated", "GB", size / 1e9)
    yield row("paper: store and flows, extrapolated from a task's", "CPU-s", tasks * _a_task(flows))


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield all rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flows = arm("flows", arguments, folder)
        store = contents(folder)
        alone = arm("bare", arguments, folder)
        yield from compared(flows, alone, store)
        if arguments.size == "paper":
            models, units = (4, 12) if arguments.quick else (2 * arguments.seeds, 59)
            yield from paper(flows, store, models, units)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the loop of seconds that the tests run")
    parser.add_argument("--size", choices=["measured", "paper"], default="measured", help="extrapolate too")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="networks of either family")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument("--arm", choices=["flows", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        run_arm(arguments.arm, arguments.seeds, arguments.folder, arguments.quick)
        return
    rows = []
    for one in measure(arguments):
        rival = "" if one["theirs"] is None else f"   bare {one['theirs']:.3f}, ratio {one['ratio']:.3f}"
        print(f"{one['what']:<66} {one['ours']:10.3f} {one['unit']:<6}{rival}", flush=True)
        rows.append(one)
    if arguments.json:
        report = {
            "name": "overhead",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version(), "prefect": version("prefect")},
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
