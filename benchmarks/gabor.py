"""The search of all 72,800 Gabors against as many bare forward passes, and free parameters against annealing.

Run ``python benchmarks/gabor.py [--quick] [--json FILE]``. One thread, CPU-seconds; the search and the bare
passes of the same networks go by turns. The 2019 network sees a sample of the bank (every list of the grid,
fewer orientations and places), from which the cost of the whole is extrapolated; a small network sees the
whole bank. The bare passes show pictures that are made already, in the batch size that suits them best. A
row's limit is the time its floating-point operations take at the best float32 rate measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import dual_annealing, minimize
from torch import Tensor
from torch.nn.functional import conv2d

from inception_loop.images.gabors.drawing import at_contrast, gabors
from inception_loop.images.gabors.grid import GaborGrid
from inception_loop.images.gabors.optimal import optimal_gabors
from inception_loop.images.gabors.search import GaborSearch, search_gabors
from inception_loop.images.network import CallableModel
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.network import Network

Row = dict[str, Any]
HEIGHT, WIDTH, MEAN, STD, CONTRAST = 36, 64, 128.0, 50.0, 8.0
BANK = GaborGrid()


class Size(NamedTuple):
    """How much is measured."""

    units: int = 150
    of_units: int = 5000
    members: int = 4
    channels: int = 32
    small_channels: int = 4
    turns: int = 3
    sample: GaborGrid = GaborGrid(orientations=(0.0, 3 * math.pi / 8), dy=(-0.3, 0.0, 0.2), dx=(-0.3, 0.05))
    whole: GaborGrid = BANK
    batches: tuple[int, ...] = (32, 128)
    annealed: int = 2
    rounds: int = 300
    polish: int = 1000
    annealings: int = 5


TINY = GaborGrid(phases=(0.0,), wavelengths=(7.0,), orientations=(0.0, 1.0), dy=(0.0,), dx=(0.0, 0.1))
QUICK = Size(
    units=5,
    of_units=10,
    members=2,
    channels=2,
    small_channels=2,
    turns=1,
    sample=TINY,
    whole=GaborGrid(wavelengths=(7.0, 10.0), sigmas=(2.0, 5.0), dy=(0.0,), dx=(0.0,)),
    batches=(8,),
    annealed=1,
    rounds=3,
    polish=10,
    annealings=1,
)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def ensemble(size: Size, channels: int) -> CallableModel:
    """Return the 2019 network with random weights, as many members as asked for, one mean output."""
    config = CorePlusReadout(core=GaussianLaplace(hidden_channels=channels))
    members = []
    for seed in range(size.members):
        generator = torch.Generator().manual_seed(seed)
        network = Network(config, {"scan": size.of_units}, (HEIGHT, WIDTH), generator)
        features = network.readout("scan").features
        features.data += 0.1 * torch.randn(features.shape, generator=generator)
        members.append(network.eval().requires_grad_(False))

    def mean(pixels: Tensor, units: Tensor, *, paired: bool) -> Tensor:
        images = ((pixels - MEAN) / STD)[:, None]
        return torch.stack([net(images, "scan", None, None, units, paired=paired) for net in members]).mean(0)

    return CallableModel(
        lambda x, u: mean(x, u, paired=False),
        MEAN,
        STD,
        (HEIGHT, WIDTH),
        paired_units=lambda x, u: mean(x, u, paired=True),
    )


def pictures(count: int) -> Tensor:
    """Gabors of the bank, drawn at random, as they are shown."""
    rows = torch.randint(BANK.size, (count,), generator=torch.Generator().manual_seed(1))
    return at_contrast(gabors(BANK.parameters(rows, (HEIGHT, WIDTH)), (HEIGHT, WIDTH)), MEAN, CONTRAST)[0]


@torch.no_grad()
def bare_passes(model: CallableModel, units: list[int], images: Tensor, count: int) -> None:
    """Show a batch again and again until ``count`` pictures were shown."""
    wanted = torch.tensor(units)
    for _ in range(max(1, round(count / len(images)))):
        model(images, wanted)


class Compared(NamedTuple):
    """What a comparison found: its rows, CPU-s of a Gabor, and the search."""

    rows: list[Row]
    seconds: float
    found: GaborSearch


def compared(
    model: CallableModel, grid: GaborGrid, size: Size, text: str, *, turns: int, channels: int
) -> Compared:
    """Search a grid and show as many pictures, by turns."""
    units = list(range(size.units))
    searched: list[GaborSearch] = []

    def search() -> None:
        searched[:] = [search_gabors(model, grid, units, mean=MEAN, contrast=CONTRAST)]

    found: dict[str, list[float]] = {}
    rates = []
    count = max(max(size.batches), min(512, grid.size // turns))
    for turn in range(turns + 1):  # the first turn warms up
        spent = {"ours": cpu_seconds(search) / grid.size if turn else 0.0}
        for batch in size.batches:
            images = pictures(batch).float()
            seconds = cpu_seconds(lambda i=images: bare_passes(model, units, i, count))
            spent[f"bare {batch}"] = seconds / (max(1, round(count / batch)) * batch)
        rates.append(arithmetic_rate())
        for name, value in spent.items():
            found.setdefault(name, []).extend([value] if turn else [])
    median = {name: statistics.median(values) for name, values in found.items()}
    bare = {name: value for name, value in median.items() if name != "ours"}
    best = min(bare, key=lambda name: bare[name])
    limit = size.members * core_operations(channels) / max(rates)
    rows = [
        row(
            f"a Gabor searched, {text}: against a bare pass ({best.removeprefix('bare ')} pictures at once)",
            "CPU-ms",
            1e3 * median["ours"],
            1e3 * bare[best],
            target=1 / 1.25,
            limit_share=limit / median["ours"],
        )
    ]
    rows += [row(f"{name} at once, a picture, {text}", "CPU-ms", 1e3 * value) for name, value in bare.items()]
    return Compared(rows, median["ours"], searched[0])


def core_operations(channels: int) -> float:
    """Floating-point operations of the core (kernels 15 and 7, skip 3) for a picture, forwards."""
    pixels = (HEIGHT - 14) * (WIDTH - 14)
    return 2.0 * pixels * (15**2 * channels + 7**2 * channels * (channels + 2 * channels))


def arithmetic_rate() -> float:
    """Float32 operations a CPU-second of one thread: the better of a matrix product and a convolution."""
    a = torch.randn(1024, 1024)
    maps, kernels = torch.randn(8, 64, 22, 50), torch.randn(32, 64, 7, 7)
    product = 2 * 1024**3 / min(cpu_seconds(lambda: a @ a) for _ in range(3))
    operations = 2 * 8 * 32 * 64 * 7**2 * 22 * 50
    convolved = min(cpu_seconds(lambda: conv2d(maps, kernels, padding=3)) for _ in range(3))
    return max(product, operations / convolved)


def bank_made(grid: GaborGrid) -> tuple[float, float]:
    """CPU-s of a Gabor: made, and brought to mean and contrast."""
    made = shown = 0.0
    for rows in torch.arange(grid.size).split(128):
        started = time.process_time()
        patches = gabors(grid.parameters(rows, (HEIGHT, WIDTH)), (HEIGHT, WIDTH))
        between = time.process_time()
        at_contrast(patches, MEAN, CONTRAST)
        made, shown = made + between - started, shown + time.process_time() - between
    return made / grid.size, shown / grid.size


def annealed(model: CallableModel, unit: int, size: Size) -> tuple[float, int]:
    """Optimise as published, one picture at a time: annealing from several seeds, then Nelder–Mead."""
    low, high = (bound.numpy().copy() for bound in BANK.bounds((HEIGHT, WIDTH)))
    low[[0, 2]], high[[0, 2]] = 0.0, [2 * math.pi, math.pi]
    limits, shown = list(zip(low, high, strict=True)), [0]
    wanted = torch.tensor([unit])

    @torch.no_grad()
    def loss(parameters: np.ndarray) -> float:
        shown[0] += 1
        images, _ = at_contrast(gabors(torch.tensor(parameters)[None], (HEIGHT, WIDTH)), MEAN, CONTRAST)
        return -model.paired(images.float(), wanted).item()

    rough = [
        dual_annealing(
            loss, limits, maxiter=size.rounds, no_local_search=True, rng=np.random.default_rng(seed)
        )
        for seed in range(size.annealings)
    ]
    start = min(rough, key=lambda found: found.fun).x
    best = minimize(loss, start, method="Nelder-Mead", bounds=limits, options={"maxfev": size.polish})
    return -float(best.fun), shown[0]


def freed(model: CallableModel, found: GaborSearch, size: Size) -> list[Row]:
    """Free the parameters of the best of the bank, and anneal them as published beside it."""
    units = list(range(size.annealed))
    starts = torch.full((len(units), 4, 6), math.nan, dtype=torch.float64)
    for unit in units:
        rows = found.diverse(unit, 4)
        starts[unit, : len(rows)] = found.parameters(rows)
    best: list[Any] = []
    bounds = BANK.bounds((HEIGHT, WIDTH))
    climb = cpu_seconds(
        lambda: best.append(optimal_gabors(model, units, starts, bounds, mean=MEAN, contrast=CONTRAST))
    )
    rival: list[tuple[float, int]] = []
    anneal = cpu_seconds(lambda: rival.extend(annealed(model, unit, size) for unit in units))
    activations, pictures_shown = (np.array(column) for column in zip(*rival, strict=True))
    climbed = best[0]
    text = f"{size.members} × {size.small_channels} channels"
    return [
        row(
            f"free parameters, a unit, {text}: 4 starts climbed against annealing as published",
            "CPU-s",
            climb / len(units),
            anneal / len(units),
        ),
        row(
            "pictures shown for it (ours with gradient)",
            "1",
            float(climbed.evaluations.mean()),
            float(pictures_shown.mean()),
        ),
        row(
            "activation reached over that of annealing, lowest", "1", (climbed.activation / activations).min()
        ),
        row(
            "activation reached over the best of the bank, median",
            "1",
            float(np.median(climbed.activation / climbed.grid_activation)),
        ),
    ]


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None) -> Row:
    """One row of the table."""
    ratio = None if theirs is None else theirs / max(ours, 1e-12)
    return {"what": what, "unit": unit, "ours": float(ours), "theirs": theirs, "ratio": ratio, **more}


def peak() -> float:
    """Largest memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measured(size: Size) -> list[Row]:
    """Return all rows."""
    made, shown = bank_made(size.sample)
    text = f"{size.units} units × {size.members} members"
    model = ensemble(size, size.channels)
    sample = compared(
        model, size.sample, size, f"{text}, 2019 network", turns=size.turns, channels=size.channels
    )
    minutes = BANK.size * sample.seconds / 60
    rows = [
        *sample.rows,
        row("a Gabor made", "CPU-µs", 1e6 * made),
        row("a Gabor brought to mean and contrast", "CPU-µs", 1e6 * shown),
        row("both over a Gabor searched", "1", (made + shown) / sample.seconds),
        row(f"all {BANK.size:,}, {text}, 2019 network, extrapolated", "CPU-min", minutes),
        row("peak memory until here", "GiB", peak(), target=2.0),
    ]
    del model
    small, n = ensemble(size, size.small_channels), size.whole.size
    whole = compared(
        small,
        size.whole,
        size,
        f"{text}, {size.small_channels} channels, all {n:,}",
        turns=1,
        channels=size.small_channels,
    )
    rows += whole.rows[:1]
    rows += [
        row(f"all {n:,} of them, measured", "CPU-s", whole.seconds * n),
        row("peak memory of the process, whole bank included", "GiB", peak(), target=2.0),
    ]
    return rows + freed(small, whole.found, size)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny networks and grids, a few seconds")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measured(QUICK if arguments.quick else Size())
    width = max(len(str(r["what"])) for r in rows)
    for r in rows:
        rival = "" if r["theirs"] is None else f"   beside it {r['theirs']:.3f}, ratio {r['ratio']:.3f}"
        print(f"{r['what']:<{width}}  {r['ours']:10.4f} {r['unit']}{rival}")
    if arguments.json:
        packages = ("numpy", "scipy", "torch")
        report = {
            "name": "gabor",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
