"""What the benchmark of image synthesis climbs on, and how much of it is measured."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from inception_loop.images.network import CallableModel
from inception_loop.network.config import CorePlusReadout, Precision
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
    batches: tuple[int, ...] = (1, 8, 32, 128)
    batch: int = 32
    members: tuple[int, ...] = (1, 2, 4)
    turns: int = 5
    timed_steps: int = 4
    images: int = 2000
    epochs: int = 14
    judged: int = 32
    judged_steps: int = PUBLISHED_STEPS
    cells: int = 420
    crops: int = 1000


QUICK = Size(
    units=50,
    channels=2,
    batches=(1, 4),
    batch=4,
    members=(1, 2),
    turns=1,
    timed_steps=1,
    images=0,
    epochs=0,
    judged=2,
    judged_steps=4,
    cells=0,
    crops=20,
)


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None) -> Row:
    """One row of the table."""
    ratio = None if theirs is None else theirs / max(ours, 1e-9)
    return {"what": what, "unit": unit, "ours": float(ours), "theirs": theirs, "ratio": ratio, **more}


def random_network(size: Size, seed: int = 1, precision: Precision = "float32") -> Network:
    """Return the 2019 network with random weights, ready to be evaluated."""
    core = GaussianLaplace(hidden_channels=size.channels)
    generator = torch.Generator().manual_seed(seed)
    config = CorePlusReadout(core=core)
    network = Network(config, {"scan": size.units}, (HEIGHT, WIDTH), generator, precision)
    features = network.readout("scan").features
    features.data += 0.1 * torch.randn(features.shape, generator=generator)
    return network.eval().requires_grad_(False)


def model_of(*networks: Network) -> CallableModel:
    """Show random networks, an ensemble, as the image room sees them."""

    def mean(pixels: Tensor, units: Tensor, *, paired: bool) -> Tensor:
        images = ((pixels - MEAN) / STD)[:, None]
        each = [network(images, "scan", None, None, units, paired=paired) for network in networks]
        return torch.stack(each).mean(0)

    def paired(pixels: Tensor, units: Tensor) -> Tensor:
        return mean(pixels, units, paired=True)

    def full(pixels: Tensor, units: Tensor) -> Tensor:
        return mean(pixels, units, paired=False)

    return CallableModel(full, MEAN, STD, (HEIGHT, WIDTH), paired_units=paired)


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
