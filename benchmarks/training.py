"""A training step of this project against one of the published kind, with the same weights and gradients.

Run ``python benchmarks/training.py [--quick] [--json FILE]``. The rival (``rivals/published.py``) samples the
map, or every pyramid level, for every unit and image and weighs the samples, as published; loss and
regularisers are the same, and so is the core of the closed loop, while the depth-separable one is made of the
library's convolutions. All run on one thread, in turn, in CPU-seconds. A row's limits are the time that its
floating-point operations take at the machine's measured rate and the time that the bytes which no step can do
without (`least_bytes`) take at its measured bandwidth; the share is the larger of both over the time taken.
The last rows say what bfloat16 does to the score of networks trained to the end with the same seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rivals.published import published
from torch import Tensor
from torch.nn import functional

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import CorrectedAreaLayer, DatasetConfig
from inception_loop.dataset.member import member_names
from inception_loop.dataset.stage import make_dataset
from inception_loop.network.config import CorePlusReadout, Precision
from inception_loop.network.cores import DepthSeparable, GaussianLaplace
from inception_loop.network.network import Network
from inception_loop.network.readouts import FullGaussian2d, SpatialTransformerPyramid2d
from inception_loop.recordings.recording import ScanKey
from inception_loop.training.config import TrainConfig
from inception_loop.training.objective import poisson_loss
from inception_loop.training.presets import DEMO_TRAIN, demo_networks
from inception_loop.training.scan_data import ScanData, load_scan
from inception_loop.training.trainer import train_network

Row = dict[str, Any]
KEY = "scan"
IMAGE = (36, 64)


class Case(NamedTuple):
    """A step: its network, images a batch, units, repeats, and how much less it shall take."""

    name: str
    config: CorePlusReadout
    batch: int
    units: int
    repeats: int
    targets: tuple[float | None, float | None] = (None, None)
    """In float32 and with a bfloat16 core."""


class Scored(NamedTuple):
    """Trainings in both precisions: the animal, its day, how it is learnt, seeds."""

    units: int
    images: int
    train: TrainConfig
    seeds: tuple[int, ...]


PYRAMID = CorePlusReadout(readout=SpatialTransformerPyramid2d(init_range=0.8))
SEPARABLE = CorePlusReadout(core=DepthSeparable(), readout=FullGaussian2d(init_mu_range=0.8))
FULL = [
    Case("pyramid", PYRAMID, batch=64, units=500, repeats=3),
    Case("pyramid", PYRAMID, batch=64, units=5_000, repeats=3, targets=(3.0, 4.0)),
    Case("depth-separable + Gaussian", SEPARABLE, batch=64, units=5_000, repeats=3, targets=(2.0, 2.0)),
]
QUICK = [
    Case(
        "pyramid",
        PYRAMID.model_copy(
            update={
                "core": GaussianLaplace(hidden_channels=8, input_kern=9, hidden_kern=3),
                "readout": SpatialTransformerPyramid2d(scale_n=3, init_range=0.8),
            }
        ),
        batch=8,
        units=300,
        repeats=1,
    ),
    Case(
        "depth-separable + Gaussian",
        SEPARABLE.model_copy(update={"core": DepthSeparable(hidden_channels=8, hidden_kern=3, layers=2)}),
        batch=8,
        units=300,
        repeats=1,
    ),
]
SCORED = Scored(100, 1_000, DEMO_TRAIN, (1009, 1215, 2606, 99999))
SCORED_QUICK = Scored(
    20, 40, DEMO_TRAIN.model_copy(update={"learning_rates": (0.01,), "stage_epochs": (1,)}), (1009, 1215)
)


def network_of(case: Case, precision: Precision) -> Network:
    """Make a network with features, shifts and gains that are not all the same."""
    generator = torch.Generator().manual_seed(1)
    network = Network(case.config, {KEY: case.units}, IMAGE, generator, precision)
    features = network.readout(KEY).features
    with torch.no_grad():
        features.copy_(torch.randn(features.shape, generator=generator) / features[0].numel() ** 0.5)
        for parameter in (*network.shifters.parameters(), *network.modulators.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network


class Step:
    """One training step on fixed inputs."""

    def __init__(self, case: Case, precision: Precision = "float32", *, rival: bool = False) -> None:
        generator = torch.Generator().manual_seed(2)
        network = network_of(case, precision)
        self.images = torch.randn(case.batch, 1, *IMAGE, generator=generator)
        self.eye = torch.randn(case.batch, 2, generator=generator)
        self.behavior = torch.rand(case.batch, 3, generator=generator)
        self.responses = torch.rand(case.batch, case.units, generator=generator)
        self.noise = network.draw_noise(KEY, case.batch, generator)
        self.network = published(network, KEY) if rival else network
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-12)

    def __call__(self) -> None:
        """Forward, loss, backward, Adam."""
        self.backward()
        self.optimizer.step()

    def backward(self) -> None:
        """Forward, loss, backward."""
        predicted = self.network(self.images, KEY, self.eye, self.behavior, noise=self.noise)
        loss = poisson_loss(predicted, self.responses) + self.network.regularizer(KEY)
        self.optimizer.zero_grad()
        loss.backward()

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of all weights, by name."""
        self.backward()
        named = self.network.named_parameters()
        return {name.replace(".ours", ""): p.grad.clone() for name, p in named if p.grad is not None}


def cpu_seconds(action: Callable[[], object]) -> float:
    """CPU-seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def interleaved(repeats: int, *actions: Callable[[], object]) -> list[float]:
    """Median CPU-seconds of actions, measured in turn after a warm-up."""
    rounds = [[cpu_seconds(action) for action in actions] for _ in range(repeats + 1)][1:]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None) -> Row:
    """Return a row of the table."""
    return {
        "what": what,
        "unit": unit,
        "ours": ours,
        "theirs": theirs,
        "ratio": theirs and theirs / ours,
        **more,
    }


class Machine(NamedTuple):
    """What one thread can do: operations a CPU-second in each precision, bytes a CPU-second."""

    float32: float
    bfloat16: float
    bandwidth: float


def measured_machine(side: int = 1024, copied: int = 1 << 25) -> Machine:
    """Measure the rates: of a matrix product or a convolution, whichever is faster, and of a large copy.

    The library makes products and convolutions with different kernels, and on some machines the
    convolutions' are twice as fast.
    """
    rates = []
    for kind in (torch.float32, torch.bfloat16):
        a = torch.randn(side, side).to(kind)
        images, kernels = torch.randn(4, 64, 32, 32).to(kind), torch.randn(64, 64, 7, 7).to(kind)
        product = best(lambda a=a: a @ a)
        convolution = best(lambda x=images, k=kernels: functional.conv2d(x, k, padding=3))
        rates.append(max(2.0 * side**3 / product, 2.0 * kernels.numel() * 4 * 32 * 32 / convolution))
    source = torch.zeros(copied)
    target = torch.empty_like(source)
    return Machine(*rates, 2 * source.nbytes / best(lambda: target.copy_(source)))


def best(action: Callable[[], object]) -> float:
    """Least CPU-seconds of ten."""
    return min(cpu_seconds(action) for _ in range(10))


def operations(network: Network, case: Case) -> tuple[float, float]:
    """Floating-point operations of a step, of the core and of the readout's products.

    Forward once, backward twice; of the first layer once, because images need no gradient.
    """
    height, width = network.core.map_size(IMAGE)
    kernels = [p.numel() for p in network.core.parameters() if p.ndim == 4]
    core = 2.0 * height * width * (2 * kernels[0] + 3 * sum(kernels[1:]))
    sampled = 2.0 * 4 * network.readout(KEY).features.numel()
    return case.batch * core, case.batch * 3 * sampled


def least_bytes(network: Network, case: Case, size: int) -> float:
    """Bytes that a step cannot do without: ``size`` is that of a number in the core.

    Each convolution's map is written, read by the next one, read again on the way back, and its gradient
    written and read. Weights are read twice, their gradients written and read; Adam reads and writes weights
    and two moments.
    """
    height, width = network.core.map_size(IMAGE)
    kernels = [p for p in network.core.parameters() if p.ndim == 4]  # each makes a map of so many channels
    maps = sum(len(kernel) for kernel in kernels) * height * width * case.batch
    weights = sum(p.numel() for p in network.parameters())
    return 5.0 * size * maps + 4.0 * (2 + 2 + 6) * weights


def limits(network: Network, case: Case, machine: Machine, precision: Precision) -> dict[str, float]:
    """Seconds that operations and bytes alone would take.

    A machine that emulates bfloat16 could make the same operations in float32, so the faster of the two is
    the limit: there, products in bfloat16 are slower than some of the step's convolutions.
    """
    core, sampled = operations(network, case)
    rate = machine.float32 if precision == "float32" else max(machine.float32, machine.bfloat16)
    size = 4 if precision == "float32" else 2
    return {
        "limit_operations": core / rate + sampled / machine.float32,
        "limit_bytes": least_bytes(network, case, size) / machine.bandwidth,
    }


def differences(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Largest difference of two sets of gradients, relative to each one's largest entry."""
    each = [(one[name] - other[name]).abs().max() / other[name].abs().max() for name in one]
    return float(torch.stack(each).max())  # not a number, if one of them is none


def steps(case: Case, machine: Machine) -> Iterator[Row]:
    """Yield the rows of one case."""
    what = f"{case.name}, {case.batch} images, {case.units:,} units"
    rival, full, half = Step(case, rival=True), Step(case), Step(case, "bfloat16")
    difference = differences(full.gradients(), rival.gradients())
    yield row(f"gradients, {what}", "relative difference", difference, target=1e-4)
    ours, bfloat, theirs = interleaved(case.repeats, full, half, rival)
    measured = (("float32", ours, case.targets[0]), ("bfloat16", bfloat, case.targets[1]))
    for precision, seconds, target in measured:
        bounds = limits(full.network, case, machine, precision)
        share = max(bounds.values()) / seconds
        step = f"step, {precision}{' core' if precision == 'bfloat16' else ''}, {what}"
        yield row(step, "CPU-s", seconds, theirs, target=target, **bounds, limit_share=share)


def memory(index: int) -> Row:
    """Peak resident memory of a process that makes two steps of a full case."""
    peaks = []
    for style in ("ours", "published"):
        call = [sys.executable, __file__, "--peak", style, "--case", str(index)]
        peaks.append(float(subprocess.run(call, capture_output=True, text=True, check=True).stdout))
    return row(f"peak memory, {FULL[index].name}, {FULL[index].units:,} units", "MiB", *peaks)


def peak(style: str, case: Case) -> float:
    """Peak resident memory of this process after two steps, MiB."""
    step = Step(case, rival=style == "published")
    step()
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def recorded(units: int, images: int) -> ScanData:
    """Record a small day of the simulated animal and load its used trials."""
    store = open_store("memory://benchmark-of-training")
    session = NaturalSessionConfig(n_train=images, n_repeated=10, repeats=8)
    scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    day = AnimalDayConfig(scan=scan, animal=SimulatedConfig(n_units=units), session=session)
    recording, _ = make_recorded_day(store, day)
    dataset = make_dataset(store, DatasetConfig(group_id=1), [recording.ref])["static_multi_dataset"][0].ref
    return load_scan(store, dataset, member_names(store, dataset)[0], CorrectedAreaLayer())[0]


def scores(scored: Scored) -> Iterator[Row]:
    """Yield what bfloat16 does to the score, seed by seed the same start and order of trials."""
    scan, (network, _) = recorded(scored.units, scored.images), demo_networks()
    found: dict[Precision, list[float]] = {"bfloat16": [], "float32": []}
    for seed in scored.seeds:
        for precision, values in found.items():
            train = scored.train.model_copy(update={"precision": precision})
            values.append(train_network(network, [scan], train, seed=seed).val_corr)
    half, full = found["bfloat16"], found["float32"]
    what = f"{scan.n_units} units, {scored.images:,} images, {len(scored.seeds)} seeds"
    yield row(f"validation correlation, {what}", "bfloat16|float32", *map(statistics.mean, (half, full)))
    differing = [a - b for a, b in zip(half, full, strict=True)]
    yield row(f"... less that in float32, same seed, {what}", "mean", statistics.mean(differing))
    yield row("... and its s.d. over seeds", "s.d.", statistics.stdev(differing))
    yield row("s.d. over seeds of the score itself, float32", "s.d.", statistics.stdev(full))


def measure(*, quick: bool) -> Iterator[Row]:
    """Measure everything."""
    if not quick:  # first: a child counts what its parent has used before it
        yield from [memory(1), memory(2)]
    machine = measured_machine()
    yield row("one thread, float32", "operations/CPU-s", machine.float32)
    yield row("one thread, bfloat16", "operations/CPU-s", machine.bfloat16)
    yield row("one thread, copy", "bytes/CPU-s", machine.bandwidth)
    for case in QUICK if quick else FULL:
        yield from steps(case, machine)
    yield from scores(SCORED_QUICK if quick else SCORED)


def show(one: Row) -> None:
    """Print a row."""
    shown = []
    for name, width in COLUMNS.items():
        value = one.get(name)
        shown.append(" " * width if value is None else f"{value:>{width}.3g}")
    print(f"{one['what']:<74}{one['unit']:<20}{''.join(shown)}", flush=True)


COLUMNS = {
    "ours": 11,
    "theirs": 9,
    "ratio": 8,
    "target": 8,
    "limit_operations": 18,
    "limit_bytes": 13,
    "limit_share": 13,
}


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, for the tests")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--peak", choices=("ours", "published"), help=argparse.SUPPRESS)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak(options.peak, FULL[options.case]))
        return
    print(f"{'what':<74}{'unit':<20}{''.join(f'{name:>{width}}' for name, width in COLUMNS.items())}")
    rows = []
    for one in measure(quick=options.quick):
        show(one)
        rows.append(one)
    if options.json:
        versions = {name: version(name) for name in ("inception-loop", "torch", "numpy")}
        machine = {"machine": platform.machine(), "processor": platform.processor(), "cores": os.cpu_count()}
        record = {"name": "training", "machine": machine, "versions": versions, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
