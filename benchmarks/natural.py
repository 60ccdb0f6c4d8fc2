"""The natural image that excites a unit most inside its mask, in 50 passes a unit instead of one an image.

Run ``python benchmarks/natural.py [--quick] [--twin NPZ] [--json FILE]``. Masks are tight masks of MEIs. The
search is compared with the exhaustive one (every image through every mask) on cells in closed form, on a
small network trained on a simulated day, and with ``--twin`` on a published network of a mouse. Costs are
CPU-seconds of one thread, both ways on the same units; the 2019 network has random weights, and its
exhaustive search is extrapolated from some of its passes.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mei_parts import networks
from mei_parts.networks import HEIGHT, WIDTH, Row, row
from torch import Tensor

from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.contrast import can_match, match_contrast
from inception_loop.images.masks.tight import PARAMETER_SETS, tight_masks
from inception_loop.images.mei import synthesize_meis
from inception_loop.images.natural.masked_group import Screen
from inception_loop.images.natural.masked_search import MaskedSearch, search_masked
from inception_loop.images.natural.searched import Searched, in_memory
from inception_loop.images.natural.through_masks import through
from inception_loop.images.natural.whole import search_natural
from inception_loop.images.network import AdjustedModel, CallableModel
from inception_loop.pictures.natural import natural_images

CONTRAST = 8.0
TOGETHER = 125  # masked images of one unit evaluated at once by the exhaustive search


class Size(NamedTuple):
    """How much is measured."""

    images: int = 5000
    units: int = 20
    many: int = 150
    passes: int = 256
    training: networks.Size = networks.Size(judged=20)
    screen: Screen = Screen()


QUICK = Size(
    images=200,
    units=3,
    many=4,
    passes=8,
    training=networks.QUICK,
    screen=Screen(candidates=20, gradients=12),
)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def masks_of(model: AdjustedModel, units: list[int]) -> Tensor:
    """Tight masks of the units' MEIs."""
    images = synthesize_meis(
        model, units, procedure=Fast(contrast=CONTRAST, iterations=50), gains=2
    ).ascent.images
    names = [str(unit) for unit in units]
    return tight_masks(unit_objective(model, units), images.detach(), PARAMETER_SETS[0], names=names).masks


@torch.no_grad()
def exhaustive(model: AdjustedModel, pictures: Searched, mask: Tensor, unit: int) -> np.ndarray:
    """(K,) activations of one unit by every image through its mask; −inf where it cannot be shown."""
    found = np.full(len(pictures), -np.inf)
    for start, block in pictures.blocks(TOGETHER):
        behind = through(torch.tensor(block), mask.expand(len(block), -1, -1))
        fits = can_match(behind, model.image_mean, CONTRAST)
        shown = match_contrast(behind[fits], model.image_mean, CONTRAST).float()
        values = model.paired(shown, torch.full((len(shown),), unit))
        found[start + np.flatnonzero(fits.numpy())] = values.double().numpy()
    return found


def search(
    model: AdjustedModel, pictures: Searched, masks: Tensor, units: list[int], size: Size
) -> MaskedSearch:
    """Run the search under test."""
    at = {"mean": model.image_mean, "contrast": CONTRAST}
    return search_masked(model, pictures, masks, units, **at, screen=size.screen)


def against_exhaustive(
    name: str, model: AdjustedModel, units: list[int], pictures: Searched, size: Size
) -> list[Row]:
    """Compare the search with the exhaustive one."""
    masks, found = masks_of(model, units), []
    ours = cpu_seconds(lambda: found.append(search(model, pictures, masks, units, size)))
    slow: list[np.ndarray] = []

    def all_images() -> None:
        slow.extend(exhaustive(model, pictures, m, u) for m, u in zip(masks, units, strict=True))

    theirs = cpu_seconds(all_images)
    everything, rows = np.stack(slow), np.arange(len(units))
    share = everything[rows, found[0].best] / everything.max(1)
    text = f"{name}, {len(units)} units, {len(pictures):,} images"
    passes = float(found[0].n_exact.max())
    return [
        row(
            f"{text}: units that get the winner of the exhaustive search",
            "1",
            (share >= 1).mean(),
            target=0.95,
        ),
        row(f"{name}: lowest activation over that of the winner", "1", share.min()),
        row(
            f"{name}: exact passes a unit, most",
            "passes",
            passes,
            len(pictures),
            limit=size.screen.candidates,
        ),
        row(f"{name}: of them differentiated, most", "passes", found[0].n_gradients.max()),
        row(f"{name}: search of a unit", "CPU-s", ours / len(units), theirs / len(units)),
    ]


def closed_form(size: Size) -> tuple[AdjustedModel, list[int]]:
    """Cells of the simulated animal from simple to complex, whose responses are a formula."""
    from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
    from inception_loop.recovery.true_network import true_network

    config = SimulatedConfig(n_units=3 * size.units, seed=3)
    cells = SimulatedAnimal(config).cells
    model = true_network(cells, mean_grey=config.mean_grey, contrast_grey=config.contrast_grey)
    return model, np.flatnonzero(cells.kind != "unresponsive")[: size.units].tolist()


def twin(path: Path, size: Size) -> tuple[AdjustedModel, list[int]]:
    """Cells of a published network of a mouse, drawn from the 400 that vary most over natural images."""
    from inception_loop.animals.reference_images import reference_images
    from inception_loop.animals.twin_network import TwinNetwork

    network = TwinNetwork(path)
    features, readout = (inspect.unwrap(f) for f in (TwinNetwork.features, TwinNetwork.readout))
    mean, std = 128.0, 55.0  # what `TwinConfig` takes as zero and one

    def full(pixels: Tensor, units: Tensor) -> Tensor:  # without the decorator there is a gradient
        return readout(network, features(network, ((pixels - mean) / std)[:, None]), units.numpy())

    def paired(pixels: Tensor, units: Tensor) -> Tensor:
        wanted, column = torch.unique(units, return_inverse=True)
        return full(pixels, wanted).gather(1, column[:, None])[:, 0]

    model = CallableModel(full, mean, std, (HEIGHT, WIDTH), paired_units=paired)
    everyone = torch.arange(network.n_cells)
    with torch.no_grad():
        shown = torch.cat([full(part, everyone) for part in torch.tensor(reference_images()).split(64)])
    best = np.argsort(-shown.var(0).numpy(), kind="stable")[:400]
    return model, np.sort(np.random.default_rng(1).choice(best, size.units, replace=False)).tolist()


def discs(n: int) -> Tensor:
    """(n, H, W) soft discs somewhere: a random network has no receptive fields to mask."""
    y, x = torch.meshgrid(torch.arange(float(HEIGHT)), torch.arange(float(WIDTH)), indexing="ij")
    places = np.random.default_rng(1).uniform((10, 10), (WIDTH - 10, HEIGHT - 10), (n, 2))
    return torch.stack([(7.0 - torch.hypot(x - px, y - py)).clamp(0, 1) for px, py in places])


def published_network(pictures: Searched, size: Size) -> list[Row]:
    """Search with the 2019 network for as many units as an experiment has: passes, seconds, memory."""
    model = networks.model_of(networks.random_network(size.training))
    units, masks, found = list(range(size.many)), discs(size.many), []
    shown = torch.tensor(pictures.take(np.arange(size.passes)))
    shown = match_contrast(shown, model.image_mean, CONTRAST)
    of, columns = torch.zeros(len(shown), dtype=torch.int64), torch.tensor(units)
    with torch.no_grad():
        model.paired(shown[:8], of[:8])
        paired = cpu_seconds(lambda: [model.paired(part, of[: len(part)]) for part in shown.split(128)])
        full = cpu_seconds(lambda: [model(part, columns) for part in shown.split(128)])
    with most_memory() as memory:
        ours = cpu_seconds(lambda: found.append(search(model, pictures, masks, units, size)))
    theirs = paired / len(shown) * len(pictures)
    at = {"mean": model.image_mean, "contrast": CONTRAST}
    few = in_memory(pictures.take(np.arange(max(size.passes, size.many))))
    unmasked = cpu_seconds(lambda: search_natural(model, few, units, **at)) / len(few)
    text = f"2019 network (random), {size.many} units, {len(pictures):,} images"
    bound = size.many * size.screen.candidates
    passes = float(found[0].n_exact.sum())
    return [
        row(f"{text}: exact passes", "passes", passes, size.many * len(pictures), limit=bound),
        row("the same: search of a unit, exhaustive extrapolated", "CPU-s", ours / len(units), theirs),
        row("the same: memory, most", "GiB", memory[0], target=2.0),
        row(
            f"search without masks, all {size.many} units, over bare passes",
            "1",
            unmasked / (full / len(shown)),
        ),
    ]


@contextmanager
def most_memory() -> Iterator[list[float]]:
    """Watch how far the memory of the process rises above what it has now, GiB (not Linux: its peak)."""
    statm, done = Path("/proc/self/statm"), threading.Event()

    def resident() -> float:
        pages = int(statm.read_text().split()[1]) if statm.exists() else 0
        return pages * resource.getpagesize() / 2**30 if pages else peak()

    start, most = resident(), [0.0]

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield most
    done.set()
    watcher.join()


def peak() -> float:
    """Highest memory of the process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measured(size: Size, path: Path | None) -> list[Row]:
    """Measure everything."""
    crops = natural_images(size.images, height=HEIGHT, width=WIDTH, seed=7)
    pictures = in_memory(crops.pixels.astype(np.float32), crops.source_id)
    rows = published_network(pictures, size)  # first, while the process holds nothing else
    rows += against_exhaustive("simulated cells", *closed_form(size), pictures, size)
    if size.training.images:
        (model, _), units = networks.trained(size.training)
    else:
        model, units = networks.model_of(networks.random_network(size.training)), list(range(size.units))
    rows += against_exhaustive("small network", model, units[: size.units], pictures, size)
    if path is not None:
        rows += against_exhaustive("twin", *twin(path, size), pictures, size)
    return [*rows, row("peak memory of the process", "GiB", peak())]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few images and units, a few seconds")
    parser.add_argument("--twin", type=Path, help="also search for the cells of this published network")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measured(QUICK if arguments.quick else Size(), arguments.twin)
    width = max(len(str(r["what"])) for r in rows)
    for r in rows:
        rival = "" if r["theirs"] is None else f"   exhaustive {r['theirs']:.2f}, ratio {r['ratio']:.1f}"
        print(f"{r['what']:<{width}}  {r['ours']:10.4f} {r['unit']}{rival}")
    if arguments.json:
        packages = ("numpy", "scipy", "torch")
        report = {
            "name": "natural",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
