"""What networks of every make recover of the simulated animal, whose true answers are known.

Run ``python benchmarks/recovery.py [--quick] [--json FILE] [--only NAME …]``. One day of the animal is
recorded, made into a dataset, and learnt by the demo's network and by variants that differ from it in one
thing each. Each row is a number that the truth defines (``docs/demo.md``), its target, and its n.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.truth_archive import load_truth
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.member import MemberData, load_member, member_names
from inception_loop.dataset.stage import make_dataset
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import DepthSeparable
from inception_loop.network.readouts import (
    FullGaussian2d,
    ModifiedSpatialTransformerPyramid2d,
    SpatialTransformer2d,
    SpatialTransformerPooled2d,
    SpatialTransformerPyramid2d,
    SpatialXFeatures,
)
from inception_loop.recordings.recording import ScanKey
from inception_loop.recovery.networks import (
    Aligned,
    align,
    ceiling_fractions,
    gain_correlations,
    rf_center_errors,
    shift_correlation,
)
from inception_loop.training.config import SEEDS, ModelConfig, TrainConfig
from inception_loop.training.model import Model, load_model, make_model
from inception_loop.training.presets import DEMO_TRAIN, demo_networks

Row = dict[str, Any]
SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)
TARGETS = {
    "ceiling fraction, simple": 0.9,
    "ceiling fraction, complex": 0.9,
    "eye shift r": 0.95,
    "log gain r": 0.9,
}
MOST = {"RF centre error, px": 0.5}
"""Targets that are upper bounds."""


class Size(NamedTuple):
    """How much is recorded and trained."""

    animal: SimulatedConfig
    session: NaturalSessionConfig
    seeds: int
    train: TrainConfig


FULL = Size(SimulatedConfig(), NaturalSessionConfig(), 2, DEMO_TRAIN)
QUICK = Size(
    SimulatedConfig(n_units=60, seed=3),
    NaturalSessionConfig(n_train=150, n_repeated=6, repeats=5, height=36, width=64, seed=3),
    1,
    DEMO_TRAIN.model_copy(update={"learning_rates": (0.01,), "stage_epochs": (1,)}),
)


def variants() -> dict[str, CorePlusReadout]:
    """Return networks by name; each differs from the demo's in one thing."""
    demo, linear = demo_networks()
    separable = DepthSeparable(hidden_channels=32, input_kern=13, hidden_kern=5, layers=3, momentum=0.1)
    other: dict[str, dict[str, Any]] = {
        "linear control": {"core": linear.core},
        "gain before (published)": {"gain": "before"},
        "softplus output": {"output": "softplus"},
        "depth-separable core": {"core": separable},
        "halved pyramid": {"readout": SpatialTransformerPyramid2d(scale_n=2)},
        "modified pyramid": {"readout": ModifiedSpatialTransformerPyramid2d(scale_n=2)},
        "pooled": {"readout": SpatialTransformerPooled2d(pool_steps=2)},
        "point": {"readout": SpatialTransformer2d()},
        "mask x features": {"readout": SpatialXFeatures()},
        "Gaussian": {"readout": FullGaussian2d()},
    }
    return {"demo": demo} | {name: demo.model_copy(update=part) for name, part in other.items()}


def recorded(store: ArtifactStore, size: Size) -> tuple[ArtifactRef, ArtifactRef]:
    """Record a day: the dataset and the truth."""
    day = AnimalDayConfig(scan=SCAN, animal=size.animal, session=size.session)
    made = {outcome.ref.kind: outcome.ref for outcome in make_recorded_day(store, day)}
    tables = make_dataset(
        store, DatasetConfig(group_id=0, description="simulated animal"), [made["recording"]]
    )
    return tables["static_multi_dataset"][0].ref, made["animal_truth"]


def measure(size: Size, names: list[str]) -> Iterator[Row]:
    """Yield the rows of every variant."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        dataset, truth_ref = recorded(store, size)
        truth = load_truth(store, truth_ref)
        for name in names:
            start = time.process_time()
            models = []
            for seed in SEEDS[: size.seeds]:
                config = ModelConfig(group_id=0, network=variants()[name], train=size.train, seed=seed)
                models.append(load_model(store, make_model(store, config, dataset=dataset).ref))
            seconds = (time.process_time() - start) / size.seeds
            member = load_member(store, dataset, member_names(store, dataset)[0], models[0].config.data)
            yield from rows_of(name, models, member, align(truth, member))
            yield row(f"{name}: one training", "CPU-s", seconds, None)


def rows_of(name: str, models: list[Model], member: MemberData, aligned: Aligned) -> Iterator[Row]:
    """Yield what the networks of one variant have recovered, mean over seeds of medians over units."""
    fractions = np.stack([ceiling_fractions(model, member, aligned) for model in models])
    errors = np.stack([rf_center_errors(model, member, aligned) for model in models])
    gains = np.stack([gain_correlations(model, member, aligned) for model in models])
    found = {
        "ceiling fraction, all driven": fractions,
        "ceiling fraction, simple": fractions[:, aligned.kind == "simple"],
        "ceiling fraction, complex": fractions[:, aligned.kind == "complex"],
        "RF centre error, px": errors,
        "log gain r": gains,
    }
    for what, values in found.items():
        value, n = median(values)
        yield row(f"{name}: {what}", "", value, n, target=TARGETS.get(what), at_most=MOST.get(what))
    shift = float(np.mean([shift_correlation(model, member, aligned) for model in models]))
    yield row(f"{name}: eye shift r", "", shift, None, target=TARGETS["eye shift r"])


def median(values: npt.NDArray[np.float64]) -> tuple[float, int]:
    """Median over the units that have a number with every seed, mean over seeds, and how many units."""
    known = values[:, np.isfinite(values).all(0)]
    return float(np.median(known, axis=1).mean()), known.shape[1]


def row(what: str, unit: str, ours: float, n: int | None, **more: float | None) -> Row:
    """Return a row of the table; a number that does not exist is None."""
    value = ours if np.isfinite(ours) else None
    return {"what": what, "unit": unit, "ours": value, "theirs": None, "ratio": None, "n": n, **more}


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(f"{'what':<52}{'found':>9}{'target':>9}{'n':>6}")
    for one in rows:
        low, high = one.get("target"), one.get("at_most")
        target = f"≥ {low:g}" if low else f"≤ {high:g}" if high else one["unit"]
        found = "-" if one["ours"] is None else f"{one['ours']:.3f}"
        print(f"{one['what']:<52}{found:>9}{target:>9}{one['n'] or '':>6}")


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, for the tests")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--only", nargs="+", choices=list(variants()), help="these variants alone")
    options = parser.parse_args()
    names = options.only or (list(variants())[:1] if options.quick else list(variants()))
    rows = list(measure(QUICK if options.quick else FULL, names))
    show(rows)
    if options.json:
        versions = {name: version(name) for name in ("inception-loop", "torch", "numpy")}
        machine = {"machine": platform.machine(), "processor": platform.processor(), "cores": os.cpu_count()}
        record = {"name": "recovery", "machine": machine, "versions": versions, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
