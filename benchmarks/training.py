"""A training step of this project against one of the published kind, with the same weights and gradients.

Run ``python benchmarks/training.py [--quick] [--json FILE]``. The rival samples every pyramid level for every
unit and image, concatenates the samples (batch × levels × channels × units) and weighs them, as published;
core, loss and regularisers are the same. Both run on one thread, in turn, in CPU-seconds. A row's limit is
the time its floating-point operations take at the machine's measured rate of matrix products.
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
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.network.config import CorePlusReadout, Precision
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.network import Network
from inception_loop.network.readouts import PyramidReadout, SpatialTransformerPyramid2d
from inception_loop.training.objective import poisson_loss

Row = dict[str, Any]
KEY = "scan"
IMAGE = (36, 64)


class Size(NamedTuple):
    """A step: images a batch, units, channels a layer, splits of the pyramid, kernels, repeats."""

    batch: int
    units: int
    channels: int
    scale_n: int
    kernels: tuple[int, int]
    repeats: int


QUICK = [Size(batch=16, units=300, channels=8, scale_n=3, kernels=(9, 3), repeats=2)]
FULL = [
    Size(batch=64, units=units, channels=32, scale_n=5, kernels=(15, 7), repeats=3) for units in (500, 5_000)
]


class PublishedReadout(nn.Module):
    """The readout as published, on shared weights; beyond the border the border counts, as in ours."""

    def __init__(self, ours: PyramidReadout) -> None:
        super().__init__()
        self.ours = ours

    def forward(
        self,
        x: Tensor,
        shift: Tensor,
        units: Tensor | None = None,
        *,
        paired: bool = False,
        noise: Tensor | None = None,
    ) -> Tensor:
        """(B, C, H, W) → (B, N)."""
        grid = (self.ours.position.clamp(-1, 1) + shift[:, None])[:, :, None]
        samples = [
            functional.grid_sample(level, grid, align_corners=True, padding_mode="border")[..., 0]
            for level in self._levels(x)
        ]
        weights = self.ours.features.flatten(1).T
        return (torch.cat(samples, 1) * weights).sum(1) + self.ours.bias

    def _levels(self, x: Tensor) -> list[Tensor]:
        kernel = self.ours.pyramid.taps[None, None]
        levels = []
        for _ in range(self.ours.pyramid.scale_n):
            images, channels, height, width = x.shape
            flat = x.reshape(images * channels, 1, height, width)
            low = functional.conv2d(flat, kernel, padding=2)[:, :, ::2, ::2]
            extra = [(side + 1) % 2 for side in (height, width)]
            up = functional.conv_transpose2d(low, 4 * kernel, stride=2, padding=2, output_padding=extra)
            levels.append(x - up.view_as(x))
            x = low.view(images, channels, *low.shape[2:])
        return [*levels, x]

    def regularizer(self) -> Tensor:
        """Of the shared weights."""
        return self.ours.regularizer()


def network_of(size: Size, precision: Precision = "float32", *, published: bool = False) -> Network:
    """Make a network with features that are not all the same."""
    first, hidden = size.kernels
    config = CorePlusReadout(
        core=GaussianLaplace(hidden_channels=size.channels, input_kern=first, hidden_kern=hidden),
        readout=SpatialTransformerPyramid2d(scale_n=size.scale_n, init_range=0.8),
    )
    generator = torch.Generator().manual_seed(1)
    network = Network(config, {KEY: size.units}, IMAGE, generator, precision)
    with torch.no_grad():
        features = network.readout(KEY).features
        features.copy_(torch.randn(features.shape, generator=generator) / features[0].numel() ** 0.5)
    if published:
        network.readouts[KEY] = PublishedReadout(network.readout(KEY))
    return network


class Step:
    """One training step on fixed inputs."""

    def __init__(self, network: Network, size: Size) -> None:
        generator = torch.Generator().manual_seed(2)
        self.network = network
        self.images = torch.randn(size.batch, 1, *IMAGE, generator=generator)
        self.eye = torch.randn(size.batch, 2, generator=generator)
        self.behavior = torch.rand(size.batch, 3, generator=generator)
        self.responses = torch.rand(size.batch, size.units, generator=generator)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-12)

    def __call__(self) -> None:
        """Forward, loss, backward, Adam."""
        self.gradients()
        self.optimizer.step()

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of all weights, by name."""
        predicted = self.network(self.images, KEY, self.eye, self.behavior)
        loss = poisson_loss(predicted, self.responses) + self.network.regularizer(KEY)
        self.optimizer.zero_grad()
        loss.backward()
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


def operations(network: Network, size: Size) -> float:
    """Floating-point operations of a step: forward once, backward twice (once for the images' layer)."""
    height, width = network.core.map_size(IMAGE)
    convolutions = [2.0 * layer.weight.numel() * height * width for layer in network.core.layers]
    sampled = 2.0 * 4 * size.units * network.core.channels * (size.scale_n + 1)
    return size.batch * (2 * convolutions[0] + 3 * sum(convolutions[1:]) + 3 * sampled)


def matrix_rate(side: int = 1024) -> float:
    """Measured floating-point operations a CPU-second of a float32 matrix product."""
    a = torch.randn(side, side)
    return 2.0 * side**3 / min(cpu_seconds(lambda: a @ a) for _ in range(20))


def differences(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Largest difference of two sets of gradients, relative to each one's largest entry."""
    return max(float((one[name] - other[name]).abs().max() / other[name].abs().max()) for name in one)


def steps(size: Size) -> Iterator[Row]:
    """Yield the rows of one size."""
    what = f"{size.batch} images, {size.units:,} units"
    published = Step(network_of(size, published=True), size)
    full = Step(network_of(size), size)
    half = Step(network_of(size, "bfloat16"), size)
    yield row(
        f"gradients, {what}",
        "relative difference",
        differences(full.gradients(), published.gradients()),
        target=1e-4,
    )
    ours, bfloat, theirs = interleaved(size.repeats, full, half, published)
    limit = operations(full.network, size) / matrix_rate()
    yield row(f"step, float32, {what}", "CPU-s", ours, theirs, target=3.0, limit_share=limit / ours)
    yield row(f"step, bfloat16 core, {what}", "CPU-s", bfloat, theirs, target=4.0)


def memory(size: Size) -> Row:
    """Peak resident memory of a process that makes two steps."""
    peaks = []
    for style in ("ours", "published"):
        call = [sys.executable, __file__, "--peak", style, "--units", str(size.units)]
        peaks.append(float(subprocess.run(call, capture_output=True, text=True, check=True).stdout))
    return row(f"peak memory, {size.units:,} units", "MiB", peaks[0], peaks[1])


def peak(style: str, units: int) -> float:
    """Peak resident memory of this process after two steps, MiB."""
    size = next(size for size in (*FULL, *QUICK) if size.units == units)
    step = Step(network_of(size, published=style == "published"), size)
    step()
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(*, quick: bool) -> list[Row]:
    """Measure everything."""
    peaks = [] if quick else [memory(FULL[-1])]  # first: a child counts what its parent has used before it
    return [measured for size in (QUICK if quick else FULL) for measured in steps(size)] + peaks


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, for the tests")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--peak", choices=("ours", "published"), help=argparse.SUPPRESS)
    parser.add_argument("--units", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak(options.peak, options.units))
        return
    rows = measure(quick=options.quick)
    print(f"{'what':<48}{'unit':<22}{'ours':>10}{'theirs':>10}{'ratio':>8}{'target':>8}{'limit':>8}")
    for r in rows:
        numbers = (r["ours"], r["theirs"], r["ratio"], r.get("target"), r.get("limit_share"))
        widths = (10, 10, 8, 8, 8)
        shown = (" " * w if v is None else f"{v:>{w}.3g}" for v, w in zip(numbers, widths, strict=True))
        print(f"{r['what']:<48}{r['unit']:<22}{''.join(shown)}")
    if options.json:
        versions = {name: version(name) for name in ("inception-loop", "torch", "numpy")}
        machine = {"machine": platform.machine(), "processor": platform.processor(), "cores": os.cpu_count()}
        record = {"name": "training", "machine": machine, "versions": versions, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
