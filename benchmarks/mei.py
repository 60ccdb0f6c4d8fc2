"""Cost of an MEI: the published way, the same with one unit read out, and many units a batch in few steps.

Run ``python benchmarks/mei.py [--quick] [--json FILE]``. Costs are CPU-seconds of one thread per unit and
ensemble member, of the 2019 network; they do not depend on its weights, so those are random. All ways are
measured by turns, the published ones over some of their 1000 steps. What the images are worth is judged on
small networks trained on a simulated day (random ones with ``--quick``): the published procedure against the
fast one at equal mean, RMS contrast and grey range, on the network that was climbed and on one of another
seed that had no part in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import conv2d

from inception_loop.images.contrast import match_contrast
from inception_loop.images.mei import synthesize_meis
from inception_loop.images.network import CallableModel
from inception_loop.images.procedure import Fast, PublishedBlur
from inception_loop.images.smoothing import one_over_f_filter
from inception_loop.images.synthesis import synthesize, unit_objective
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.network import Network
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.training.ensemble import Ensemble, load_ensemble

HEIGHT, WIDTH, MEAN, STD = 36, 64, 128.0, 50.0
PUBLISHED_STEPS = 1000
Row = dict[str, object]


class Size(NamedTuple):
    """How much is measured."""

    units: int = 5000
    channels: int = 32
    batch: int = 32
    turns: int = 5
    timed_steps: int = 4
    images: int = 2000
    epochs: int = 14
    judged: int = 16
    judged_steps: int = PUBLISHED_STEPS


QUICK = Size(
    units=50, channels=2, batch=4, turns=1, timed_steps=1, images=0, epochs=0, judged=2, judged_steps=4
)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def random_network(size: Size, seed: int = 1) -> Network:
    """Return the 2019 network with random weights, ready to be evaluated."""
    core = GaussianLaplace(hidden_channels=size.channels)
    generator = torch.Generator().manual_seed(seed)
    network = Network(CorePlusReadout(core=core), {"scan": size.units}, (HEIGHT, WIDTH), generator)
    features = network.readout("scan").features
    features.data += 0.1 * torch.randn(features.shape, generator=generator)
    return network.eval().requires_grad_(False)


def published_steps(network: Network, unit: int, steps: int, *, only_target: bool) -> Tensor:
    """Climb as published: one unit, all units read out unless ``only_target``, SciPy blur after each step."""
    gain = torch.from_numpy(one_over_f_filter(HEIGHT, WIDTH, 0.1)).float()
    image = torch.randn(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) * 8 / STD
    wanted = torch.tensor([unit]) if only_target else None
    for step in range(steps):
        image.requires_grad_()
        response = network(image, "scan", None, None, wanted)
        (gradient,) = torch.autograd.grad(response[0, 0 if only_target else unit], image)
        gradient = torch.fft.ifft2(torch.fft.fft2(gradient) * gain).real
        size = (3.0 + (0.125 - 3.0) * step / PUBLISHED_STEPS) * 0.1 / 255
        image = (image.detach() + size / (gradient.abs().mean() + 1e-12) * gradient).clamp(
            -MEAN / STD, MEAN / STD
        )
        sigma = 1.5 + (0.01 - 1.5) * step / PUBLISHED_STEPS
        image = torch.from_numpy(gaussian_filter(image.numpy(), (0, 0, sigma, sigma)))
    return image


def model_of(network: Network) -> CallableModel:
    """Show the random network as the image room sees it."""

    def paired(pixels: Tensor, units: Tensor) -> Tensor:
        return network(((pixels - MEAN) / STD)[:, None], "scan", None, None, units, paired=True)

    def full(pixels: Tensor, units: Tensor) -> Tensor:
        return network(((pixels - MEAN) / STD)[:, None], "scan", None, None, units)

    return CallableModel(full, MEAN, STD, (HEIGHT, WIDTH), paired_units=paired)


def fast_seconds(model: CallableModel, batch: int, steps: int) -> float:
    """CPU-seconds a unit and step of the fast procedure."""
    procedure = Fast(iterations=steps, patience=steps + 1)
    units = list(range(batch))
    return cpu_seconds(lambda: climb(model, units, procedure)) / batch / (steps + 1)


def climb(model: CallableModel | Ensemble, units: list[int], procedure: Fast | PublishedBlur) -> Tensor:
    """Best images of some units."""
    keys = [str(unit) for unit in units]
    look = {"image_mean": model.image_mean, "image_std": model.image_std, "image_size": model.image_size}
    return synthesize(unit_objective(model, units), keys, procedure, seed=1, **look).images


def costs(size: Size, iterations: float) -> list[Row]:
    """Measure the ways of making an MEI by turns."""
    network = random_network(size)
    model = model_of(network)
    batches = sorted({1, size.batch // 4, size.batch})
    found: dict[str, list[float]] = {}
    n, rates = size.timed_steps, []
    for turn in range(size.turns + 1):  # the first turn warms up
        spent = {
            "all": cpu_seconds(lambda: published_steps(network, 3, n, only_target=False)) / n,
            "target": cpu_seconds(lambda: published_steps(network, 3, n, only_target=True)) / n,
            **{f"fast {b}": fast_seconds(model, b, n) for b in batches},
        }
        rates.append(arithmetic_rate())
        for name, seconds in spent.items():
            found.setdefault(name, []).extend([seconds] if turn else [])
    median = {name: statistics.median(values) for name, values in found.items()}
    published, target = median["all"] * PUBLISHED_STEPS, median["target"] * PUBLISHED_STEPS
    ours = median[f"fast {size.batch}"] * (iterations + 1)
    limit = flops_per_image(size.channels) / max(rates) * (iterations + 1)
    text = f"{size.units} units, {size.channels} channels"
    rows = [
        row(
            f"MEI, {text}: published ({PUBLISHED_STEPS} steps, all units) against fast "
            f"({iterations:.0f} steps, batch of {size.batch})",
            "CPU-s",
            ours,
            published,
            target=20.0,
            limit_share=limit / ours,
        ),
        row("the same, published with the target unit only", "CPU-s", ours, target),
        row(
            f"published step, all {size.units} units over target unit only",
            "1",
            median["all"] / median["target"],
        ),
    ]
    for batch in batches:
        rows.append(row(f"fast step of a unit in a batch of {batch}", "CPU-s", median[f"fast {batch}"]))
    return rows


def flops_per_image(channels: int) -> float:
    """Floating-point operations of the core (kernels 15 and 7, skip 3), forwards and back to the pixels."""
    pixels = (HEIGHT - 14) * (WIDTH - 14)
    forward = 2 * pixels * (15**2 * channels + 7**2 * channels * (channels + 2 * channels))
    return 2.0 * forward


def arithmetic_rate() -> float:
    """Float32 operations a CPU-second of one thread: the better of a matrix product and a dense convolution.

    On some machines the matrix product is far from the best that a core can do (108 against 265 GFLOP/s on
    an AMD EPYC, both exact to float32), so it alone would be no limit.
    """
    a = torch.randn(1024, 1024)
    maps, kernels = torch.randn(8, 64, 22, 50), torch.randn(32, 64, 7, 7)
    product = 2 * 1024**3 / min(cpu_seconds(lambda: a @ a) for _ in range(3))
    operations = 2 * 8 * 32 * 64 * 7**2 * 22 * 50
    convolved = min(cpu_seconds(lambda: conv2d(maps, kernels, padding=3)) for _ in range(3))
    return max(product, operations / convolved)


def trained(size: Size) -> tuple[list[Ensemble], list[int]]:
    """Two small networks of different seeds trained on one simulated day, and the units to judge by."""
    # Imported here, for a quick run spends most of its time on importing.
    from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
    from inception_loop.animals.session import NaturalSessionConfig
    from inception_loop.animals.simulated_config import SimulatedConfig
    from inception_loop.artifacts.steps import Directly
    from inception_loop.artifacts.store import open_store
    from inception_loop.dataset.config import CorrectedAreaLayer, DatasetConfig
    from inception_loop.dataset.stage import run_dataset
    from inception_loop.recordings.recording import ScanKey
    from inception_loop.training.config import ModelConfig, TrainConfig
    from inception_loop.training.model import make_model

    store = open_store("memory://benchmark-mei")
    scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    day = AnimalDayConfig(
        scan=scan,
        animal=SimulatedConfig(n_units=max(4 * size.judged, 60)),
        session=NaturalSessionConfig(n_train=size.images, n_repeated=10, repeats=5),
    )
    recording, truth = (outcome.ref for outcome in make_recorded_day(store, day))
    run = Directly(store)
    dataset = run_dataset(run, DatasetConfig(group_id=0), {scan: recording})["static_multi_dataset"]
    core = GaussianLaplace(hidden_channels=min(12, 4 * size.channels), input_kern=13, hidden_kern=5)
    readout = SpatialTransformerPyramid2d(scale_n=2, downsample=False)
    models = [
        run(
            make_model,
            ModelConfig(
                group_id=0,
                network=CorePlusReadout(core=core, readout=readout, gain="after"),
                train=TrainConfig(max_epoch=size.epochs, patience=4),
                data=CorrectedAreaLayer(layer="all"),
                seed=seed,
            ),
            dataset=dataset,
        )
        for seed in (1009, 1215)
    ]
    units = store.table(dataset, "units").join(store.table(truth, "units"), on="unit_id")
    best = units.filter(pl.col("kind") != "unresponsive").sort(
        pl.col("signal_variance") / pl.col("noise_variance"), descending=True
    )
    ensembles = [load_ensemble(store, [model], units["name"][0]) for model in models]
    return ensembles, best["neuron_id"].head(size.judged).to_list()


def worth(size: Size) -> tuple[list[Row], float]:
    """Compare activations at equal statistics; return the rows and the mean number of fast steps."""
    if size.epochs:
        (climbed, validator), units = trained(size)
    else:
        climbed, validator = (model_of(random_network(size, seed)) for seed in (1, 2))
        units = list(range(size.judged))
    procedure = Fast()
    fast = synthesize_meis(climbed, units, procedure=procedure, gains=2).ascent
    published = climb(climbed, units, PublishedBlur(iterations=size.judged_steps))
    equal = match_contrast(published, climbed.image_mean, procedure.contrast)
    rows, n = torch.arange(len(units)), len(units)

    def ratio(model: CallableModel | Ensemble) -> np.ndarray:
        with torch.no_grad():
            ours, theirs = (unit_objective(model, units)(images, rows) for images in (fast.images, equal))
        return (ours / theirs).numpy()

    own, other = ratio(climbed), ratio(validator)
    found = [
        row(
            f"units of {n} at ≥ 99 % of the published activation",
            "1",
            (own >= 0.99).mean(),
            target=0.95,
        ),
        row("fast over published activation, median", "1", float(np.median(own)), target=0.99),
        row("fast over published activation, lowest", "1", float(own.min())),
        row(
            "fast over published on a validator of another seed, median",
            "1",
            float(np.median(other)),
            target=0.99,
        ),
    ]
    return found, float(fast.iterations.mean())


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None) -> Row:
    """One row of the table."""
    ratio = None if theirs is None else theirs / max(ours, 1e-9)
    return {"what": what, "unit": unit, "ours": float(ours), "theirs": theirs, "ratio": ratio, **more}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny networks, a few seconds")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = QUICK if arguments.quick else Size()
    judged, iterations = worth(size)
    rows = costs(size, iterations) + judged
    rows.append(
        row("peak memory of the process", "GiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    )
    width = max(len(str(r["what"])) for r in rows)
    for r in rows:
        rival = "" if r["theirs"] is None else f"   published {r['theirs']:.2f}, ratio {r['ratio']:.1f}"
        print(f"{r['what']:<{width}}  {r['ours']:10.4f} {r['unit']}{rival}")
    if arguments.json:
        packages = ("numpy", "scipy", "torch")
        report = {
            "name": "mei",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
