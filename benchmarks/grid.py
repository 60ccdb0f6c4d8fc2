"""The grid of 64 published models on the simulated animal: as stacks against one at a time.

Run ``python benchmarks/grid.py [--quick] [--device cuda] [--complete] [--json FILE]``. Both ways train the
same epochs; one at a time, one model of each shape is timed and counted as often as there are models of its
shape. On a GPU the size is 36x64 px, 1,000 units, 5,000 images; on a CPU it is small, since there the
schedule trains one at a time. ``--complete`` trains all models to their end, for the absolute time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.member import member_names
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import InceptionLoopError
from inception_loop.network.config import Precision
from inception_loop.recordings.recording import ScanKey
from inception_loop.training.config import ModelConfig
from inception_loop.training.published import PublishedGrid
from inception_loop.training.scan_data import ScanData, load_scan
from inception_loop.training.schedule import most_together, plan
from inception_loop.training.trainer import Job, Trained, train_networks

Row = dict[str, Any]
SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)


class Size(NamedTuple):
    """What is recorded, how many models of each shape are trained, for how many epochs; smaller cores."""

    animal: SimulatedConfig
    session: NaturalSessionConfig
    models: int
    epochs: int
    core: dict[str, int]


FULL = Size(
    SimulatedConfig(n_units=1000),
    NaturalSessionConfig(n_train=5000, n_repeated=100, repeats=10, height=36, width=64),
    16,
    3,
    {},
)
SMALL = Size(
    SimulatedConfig(n_units=40, seed=3),
    NaturalSessionConfig(n_train=40, n_repeated=4, repeats=4, height=36, width=64, seed=3),
    2,
    1,
    {"hidden_channels": 2, "input_kern": 9, "hidden_kern": 3},
)


def recorded(size: Size) -> ScanData:
    """Record a day and load it as a network sees it."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        recording, _ = make_recorded_day(
            store, AnimalDayConfig(scan=SCAN, animal=size.animal, session=size.session)
        )
        made = make_dataset(store, DatasetConfig(group_id=0), [recording.ref])
        dataset = made["static_multi_dataset"][0].ref
        return load_scan(store, dataset, member_names(store, dataset)[0], ModelConfig(group_id=0).data)[0]


def grid(size: Size, precision: Precision) -> list[ModelConfig]:
    """Return the published models, or as many of each shape as the size has, with its epochs."""
    models = []
    for stack in plan(PublishedGrid().models(0), "cuda").stacks:
        for model in stack[:: max(1, len(stack) // size.models)][: size.models]:
            core = model.network.core.model_copy(update=size.core)
            network = model.network.model_copy(update={"core": core})
            changes = {"precision": precision, "max_epoch": size.epochs}
            train = model.train.model_copy(update=changes)
            models.append(model.model_copy(update={"network": network, "train": train}))
    return models


def trained(models: Sequence[ModelConfig], scan: ScanData, device: str) -> tuple[float, list[float]]:
    """Train models together; return the seconds that it took, and their validation correlations."""
    jobs = [Job(model.network, model.train, model.seed) for model in models]
    start = time.perf_counter()
    results = train_networks(jobs, [scan], device=device)
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, [_value(result) for result in results]


def _value(result: Trained | InceptionLoopError) -> float:
    if isinstance(result, InceptionLoopError):
        raise result
    return result.val_corr


def measure(size: Size, device: str, *, complete: bool) -> Iterator[Row]:
    """Yield the rows: stacks against one at a time in both precisions, one precision against the other."""
    scan = recorded(size)
    found: dict[Precision, tuple[float, float]] = {}
    precisions: tuple[Precision, Precision] = ("float32", "bfloat16")
    for precision in precisions:
        models = grid(size, precision)
        stacks = plan(models, "cuda", most=_most(models[0], scan, device)).stacks
        if complete:
            ended = size._replace(epochs=ModelConfig(group_id=0).train.max_epoch)
            everything = plan(grid(ended, precision), "cuda", most=max(map(len, stacks))).stacks
            seconds = sum(trained(stack, scan, device)[0] for stack in everything)
            yield row(f"{len(models)} models to their end, {precision}", "s", seconds)
        trained([models[0]], scan, device)  # the first use of a device is slow
        together, alone, values = 0.0, 0.0, []
        for stack in stacks:
            seconds, correlations = trained(stack, scan, device)
            together += seconds
            values += correlations
            alone += len(stack) * trained(stack[:1], scan, device)[0]
        what = f"{len(models)} models, {size.epochs} epochs, {precision}"
        target = 8.0 if torch.device(device).type == "cuda" else None
        yield row(what, "s", together, alone, target=target, stacks=len(stacks))
        found[precision] = together, statistics.fmean(values)
    (full, full_value), (half, half_value) = found["float32"], found["bfloat16"]
    yield row("bfloat16 against float32, as stacks", "s", half, full)
    yield row("bfloat16 less float32", "validation correlation", half_value - full_value)


def _most(model: ModelConfig, scan: ScanData, device: str) -> int:
    if torch.device(device).type != "cuda":
        return 16
    height, width = scan.images.shape[2:]
    return most_together(model, scan.n_units, (height, width), torch.cuda.mem_get_info(device)[0])


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None) -> Row:
    """Return a row of the table."""
    ratio = None if theirs is None else theirs / ours
    return {"what": what, "unit": unit, "ours": ours, "theirs": theirs, "ratio": ratio, **more}


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    print(f"{'what':<44}{'unit':<24}{'ours':>10}{'theirs':>10}{'ratio':>8}{'target':>8}")
    for r in rows:
        numbers = [(r["ours"], 10), (r["theirs"], 10), (r["ratio"], 8), (r.get("target"), 8)]
        cells = "".join(" " * width if value is None else f"{value:>{width}.3g}" for value, width in numbers)
        print(f"{r['what']:<44}{r['unit']:<24}{cells}")


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, for the tests")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--complete", action="store_true", help="also train every model to its end")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cuda = torch.device(options.device).type == "cuda"
    size = FULL if cuda and not options.quick else SMALL
    rows = list(measure(size, options.device, complete=options.complete))
    show(rows)
    if options.json:
        versions = {name: version(name) for name in ("inception-loop", "torch", "numpy")}
        machine = {"machine": platform.machine(), "processor": platform.processor(), "cores": os.cpu_count()}
        if cuda:
            machine["gpu"] = torch.cuda.get_device_name(options.device)
        record = {"name": "grid", "machine": machine, "versions": versions, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
