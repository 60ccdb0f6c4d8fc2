"""A real recording through import, dataset and training: network, linear control and ridge on test images.

Run ``python benchmarks/real_v4.py [NPZ] [--splits N] [--seeds N] [--jobs N] [--quick] [--json FILE]``. The
recording holds images and mean responses of 51 units of macaque V4, nothing else; it is not shipped, and
without it nothing is measured. Every split draws its own test images (a sixth); validation images stop the
networks and tune the ridge regression. ``docs/real_data.md`` says how the settings were found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.dataset.config import (
    AreaRules,
    CorrectedAreaLayer,
    DatasetConfig,
    FrameSize,
    LayerRules,
    MissingData,
    Tiers,
)
from inception_loop.dataset.member import load_member, member_names
from inception_loop.dataset.normalization import normalize
from inception_loop.dataset.stage import make_dataset
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.modulators import NoModulator
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.network.shifters import NoShifter
from inception_loop.recordings.imported import import_config, make_imported_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey
from inception_loop.training.config import SEEDS, ModelConfig, TrainConfig
from inception_loop.training.model import make_model
from inception_loop.training.scores import pearson
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores

Doubles = npt.NDArray[np.float64]
Row = dict[str, Any]
RECORDING = Path(__file__).parents[2] / "shared" / "data" / "v4_210621.npz"
SCAN = ScanKey(animal_id=210621, session=1, scan_idx=1)
DATA = CorrectedAreaLayer(layer="all", brain_area="all")
FAMILIES = ("network", "linear")
COMPONENTS = (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 800)
PENALTIES = 10.0 ** np.arange(-6, 1.01, 0.25)
"""Of the squared weights, in units of the first component's squared singular value."""


class Settings(NamedTuple):
    """A family as trained: network and training."""

    network: CorePlusReadout
    train: TrainConfig


class Size(NamedTuple):
    """How much is measured: splits, seeds, side of the frames (px), families."""

    splits: int
    seeds: int
    side: int
    families: dict[str, Settings]


def settings(
    core: GaussianLaplace | StackedLinearGaussianLaplace, readout: SpatialTransformerPyramid2d, **train: Any
) -> Settings:
    """Return a network without shifter and modulator, and its training."""
    network = CorePlusReadout(core=core, readout=readout, shifter=NoShifter(), modulator=NoModulator())
    return Settings(network, TrainConfig(precision="bfloat16", **train))


TINY = {"hidden_channels": 2, "input_kern": 5, "hidden_kern": 3, "layers": 2}
COARSE = SpatialTransformerPyramid2d(scale_n=1)
QUICK = Size(
    splits=1,
    seeds=1,
    side=14,
    families={
        "network": settings(GaussianLaplace(**TINY), COARSE, max_epoch=2),
        "linear": settings(StackedLinearGaussianLaplace(**TINY), COARSE, max_epoch=2),
    },
)
SHAPE = {"hidden_channels": 16, "input_kern": 9, "hidden_kern": 5}
STAGES = {"learning_rates": (0.005, 0.001), "stage_epochs": (45, 25)}
PYRAMID = SpatialTransformerPyramid2d(scale_n=3)
FULL = Size(
    splits=3,
    seeds=3,
    side=36,
    families={
        "network": settings(GaussianLaplace(**SHAPE), PYRAMID, batch_size=30, **STAGES),
        "linear": settings(StackedLinearGaussianLaplace(**SHAPE), PYRAMID, batch_size=60, **STAGES),
    },
)


def imported(store: ArtifactStore, path: Path) -> ArtifactRef:
    """Read the NPZ: spike counts, one a trial, an image on for 0.1 s."""
    options = ReadOptions(trace_kind="spikes", shown_s=0.1, brain_area="V4", layer="unset")
    return make_imported_recording(store, import_config(path, SCAN, options), path=path).ref


def dataset_config(split: int, side: int) -> DatasetConfig:
    """Return the dataset of a split; what the recording lacks is met by named policies."""
    return DatasetConfig(
        group_id=split,
        description=f"macaque V4, split {split}",
        frame=FrameSize(row=side, col=side),
        tiers=Tiers(
            key=f"v4 split {split}",
            test_fraction=1 / 6,
            validation_fraction=0.1,
            least_repeated=50,
            near_duplicates="same_tier",
        ),
        areas=AreaRules(otherwise="V4"),
        layers=LayerRules(otherwise="unset"),
        missing=MissingData(no_eye="omit", no_treadmill="omit", no_positions="keep"),
    )


class Measured(NamedTuple):
    """One split: test correlations (seeds, units) of both families, (units,) of their ensembles and of ridge.

    ``seconds`` (families, seeds) of CPU time a training; ``tuned`` components and penalty of the ridge.
    """

    split: int
    single: dict[str, Doubles]
    ensemble: dict[str, Doubles]
    validation: dict[str, list[float]]
    ridge: Doubles
    tuned: tuple[int, float]
    seconds: dict[str, list[float]]
    tiers: dict[str, int]


def measure_split(split: int, size: Size, uri: str, recording: ArtifactRef) -> Measured:
    """Train and score both families and the ridge regression on one split."""
    store = open_store(uri)
    made = make_dataset(store, dataset_config(split, size.side), [recording])
    dataset = made["static_multi_dataset"][0].ref
    single: dict[str, Doubles] = {}
    ensemble: dict[str, Doubles] = {}
    validation: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for family, (network, train) in size.families.items():
        models, seconds[family] = [], []
        for seed in SEEDS[: size.seeds]:
            config = ModelConfig(group_id=split, data=DATA, network=network, train=train, seed=seed)
            start = time.process_time()
            models.append(make_model(store, config, dataset=dataset).ref)
            seconds[family].append(time.process_time() - start)
        single[family] = np.stack([test_scores(store, split, [model], dataset) for model in models])
        ensemble[family] = test_scores(store, split, models, dataset)
        validation[family] = [float(store.manifest(model).findings["val_corr"]) for model in models]
    ridge, tuned = ridge_scores(store, dataset)
    member = store.table(dataset, "members").row(0, named=True)
    tiers = {tier: member[f"n_{tier}"] for tier in ("train", "validation", "test")}
    return Measured(split, single, ensemble, validation, ridge, tuned, seconds, tiers)


def test_scores(store: ArtifactStore, split: int, models: list[ArtifactRef], dataset: ArtifactRef) -> Doubles:
    """Test correlation of every unit, of one model or of the mean of several."""
    config = UnitTestScoresConfig(group_id=split)
    scores = make_unit_test_scores(store, config, model=models, dataset=dataset).ref
    return store.table(scores, "unit_test_scores")["test_corr"].to_numpy()


def ridge_scores(store: ArtifactStore, dataset: ArtifactRef) -> tuple[Doubles, tuple[int, float]]:
    """Test correlation of ridge regression on principal components of the frames, and what was tuned.

    Components and penalty have the best mean validation correlation; the regression is then fitted to
    training and validation images together.
    """
    member = load_member(store, dataset, member_names(store, dataset)[0], DATA)
    values = normalize(member, DATA)
    pixels = values.images[member.frame_row].reshape(len(member.tier), -1).astype(np.float64)
    train, validation, test = (member.trials_of(tier) for tier in ("train", "validation", "test"))
    fit = Ridge(pixels[train], values.responses[train])
    observed = values.responses[validation]
    tried = [(n, float(penalty)) for n in COMPONENTS for penalty in PENALTIES]
    scores = [np.nan_to_num(pearson(fit(pixels[validation], *one), observed)).mean() for one in tried]
    best = tried[int(np.argmax(scores))]
    known = np.concatenate((train, validation))
    predicted = Ridge(pixels[known], values.responses[known])(pixels[test], *best)
    return pearson(predicted, values.responses[test]), best


class Ridge:
    """Ridge regression in the principal components of images (T, P) on responses (T, N)."""

    def __init__(self, images: npt.NDArray[Any], responses: npt.NDArray[Any]) -> None:
        self.mean, self.offset = images.mean(0), responses.mean(0)
        left, self.scale, self.axes = np.linalg.svd(images - self.mean, full_matrices=False)
        self.projected = left.T @ (responses - self.offset)

    def __call__(self, images: npt.NDArray[Any], components: int, penalty: float) -> Doubles:
        """Predict (T, N) with the first components."""
        scale = self.scale[:components, None]
        gain = scale / (scale**2 + penalty * self.scale[0] ** 2)
        weights = gain * self.projected[:components]
        return np.asarray((images - self.mean) @ self.axes[:components].T @ weights + self.offset)


def interval(difference: Doubles, draws: int = 10_000) -> tuple[float, float]:
    """95 % interval of the mean of (splits, seeds, units): all three drawn with replacement."""
    rng = np.random.default_rng(1)
    means = np.empty(draws)
    for draw in range(draws):
        split, seed, unit = (rng.integers(n, size=n) for n in difference.shape)
        means[draw] = difference[np.ix_(split, seed, unit)].mean()
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def rows_of(measured: list[Measured]) -> Iterator[Row]:
    """Yield the scores of every split and seed, their means and the paired differences."""
    for one in measured:
        for index, seed in enumerate(SEEDS[: len(one.single["network"])]):
            scores = {family: float(one.single[family][index].mean()) for family in FAMILIES}
            yield {"what": f"split {one.split}, seed {seed}", **scores, "ridge": float(one.ridge.mean())}
        scores = {family: float(one.ensemble[family].mean()) for family in FAMILIES}
        together = f"split {one.split}, mean of the seeds' outputs"
        yield {"what": together, **scores, "ridge": float(one.ridge.mean())}
    single = {family: np.stack([one.single[family] for one in measured]) for family in FAMILIES}
    ridge = np.stack([one.ridge for one in measured])
    means = {family: float(values.mean()) for family, values in single.items()}
    yield {"what": "mean over splits, seeds and units", **means, "ridge": float(ridge.mean())}
    for rival, theirs in (("linear", single["linear"]), ("ridge", ridge[:, None])):
        difference = single["network"] - theirs
        low, high = interval(difference)
        wins = int((difference.mean((0, 1)) > 0).sum())
        yield {
            "what": f"network - {rival}",
            "mean": float(difference.mean()),
            "low": low,
            "high": high,
            "wins": wins,
            "units": difference.shape[2],
        }


def measure(path: Path, size: Size, jobs: int) -> list[Measured]:
    """Import the recording and measure every split, ``jobs`` at a time."""
    with tempfile.TemporaryDirectory() as folder:
        uri = Path(folder).as_uri()
        recording = imported(open_store(uri), path)
        splits = range(size.splits)
        if jobs == 1:
            return [measure_split(split, size, uri, recording) for split in splits]
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            return list(pool.map(measure_split, splits, repeat(size), repeat(uri), repeat(recording)))


def show(rows: list[Row], measured: list[Measured]) -> None:
    """Print the table."""
    print(f"{'test correlation, mean over units':<44}{'network':>10}{'linear':>10}{'ridge':>10}")
    for row in rows:
        if "wins" in row:
            found = f"{row['mean']:.3f}, 95 % interval {row['low']:.3f} to {row['high']:.3f}"
            print(f"{row['what']:<20}{found}; better in {row['wins']} of {row['units']} units")
        else:
            print(f"{row['what']:<44}" + "".join(f"{row[k]:>10.3f}" for k in (*FAMILIES, "ridge")))
    for family in FAMILIES:
        seconds = [value for one in measured for value in one.seconds[family]]
        print(f"CPU time of a training, {family}: {np.mean(seconds):.0f} s")


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", nargs="?", type=Path, default=RECORDING, help="the NPZ")
    parser.add_argument("--splits", type=int, help="how many splits")
    parser.add_argument("--seeds", type=int, choices=range(1, len(SEEDS) + 1), help="seeds a split")
    parser.add_argument("--jobs", type=int, default=1, help="splits at a time")
    parser.add_argument("--quick", action="store_true", help="tiny networks, for the tests")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    if not options.recording.exists():
        print(
            f"skipped: there is no {options.recording}; give the path of the recording as the first argument"
        )
        return
    size = QUICK if options.quick else FULL
    asked = {name: getattr(options, name) for name in ("splits", "seeds") if getattr(options, name)}
    start = time.perf_counter()
    measured = measure(options.recording, size._replace(**asked), options.jobs)
    rows = list(rows_of(measured))
    show(rows, measured)
    print(f"{time.perf_counter() - start:.0f} s by the clock, {options.jobs} at a time")
    if options.json:
        versions = {name: version(name) for name in ("inception-loop", "torch", "numpy")}
        machine = {"machine": platform.machine(), "processor": platform.processor(), "cores": os.cpu_count()}
        details = [
            {
                "split": m.split,
                "tiers": m.tiers,
                "validation": m.validation,
                "seconds": m.seconds,
                "ridge": m.tuned,
            }
            for m in measured
        ]
        record = {
            "name": "real_v4",
            "machine": machine,
            "versions": versions,
            "rows": rows,
            "splits": details,
        }
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
