"""Stage *mei*: MEI, linear RF and best natural image of every wanted unit, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl
from prefect import flow

from flows._stage import Stage, StageResult, configured_store, runner
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.images import mei as meis
from inception_loop.images import natural, rf
from inception_loop.images.target import TargetUnit
from inception_loop.images.wanted import statistics_of, wanted_units
from inception_loop.parameters import MeiParameters
from inception_loop.selection.model_group import ensemble_models
from inception_loop.training.ensemble import load_ensemble

Models = Sequence[ArtifactRef]


def make_mei(store: ArtifactStore, config: meis.MeiConfig, *, models: Models) -> Outcome:
    """Make MEIs of the ensemble of ``models``."""
    return meis.make_mei(store, config, models=models, load=partial(load_ensemble, store, models))


def make_grad_rf(store: ArtifactStore, config: rf.GradRFConfig, *, models: Models) -> Outcome:
    """Make linear receptive fields of the ensemble of ``models``."""
    return rf.make_grad_rf(store, config, models=models, load=partial(load_ensemble, store, models))


def make_best_natural_image(
    store: ArtifactStore, config: natural.BestNaturalImageConfig, *, models: Models, dataset: ArtifactRef
) -> Outcome:
    """Find the best natural images by the ensemble of ``models``."""
    load = partial(load_ensemble, store, models)
    return natural.make_best_natural_image(store, config, models=models, dataset=dataset, load=load)


def batches(wanted: pl.DataFrame, size: int) -> Iterator[tuple[str, tuple[TargetUnit, ...]]]:
    """Yield batches of one member's units, in the order of the table."""
    for (name,), rows in wanted.group_by("name", maintain_order=True):
        units = [TargetUnit(neuron_id=n, unit_id=u) for n, u in rows.select("neuron_id", "unit_id").rows()]
        for start in range(0, len(units), size):
            yield str(name), tuple(units[start : start + size])


@flow(name="mei", task_runner=runner())
def mei(parameters: MeiParameters) -> StageResult:
    """Synthesise the MEI (CNN) and the linear RF (linear network) and search the best natural image."""
    store, stage, rules = configured_store(), Stage("mei"), parameters.images
    cnn, linear = (ensemble_models(store, parameters.model_group, f) for f in ("cnn", "linear"))
    selection = store.table(parameters.selection, "corrected_high_unit_selection")
    panel = None if parameters.panel is None else store.table(parameters.panel, "truth_panel")
    procedure = rules.procedure
    ascent = {"procedure": procedure, "seed": rules.seed}
    mean, contrast = statistics_of(procedure)
    for number, (name, batch) in enumerate(batches(wanted_units(selection, panel), rules.batch), 1):
        of = {"group_id": parameters.group_id, "name": name, "units": batch}
        label = f"{name} batch {number} ({len(batch)} units)"
        stage.submit(make_mei, meis.MeiConfig(**of, **ascent, gains=rules.gains), models=cnn, label=label)
        stage.submit(make_grad_rf, rf.GradRFConfig(**of, **ascent), models=linear, label=label)
        stage.submit(
            make_best_natural_image,
            natural.BestNaturalImageConfig(**of, mean=mean, contrast=contrast),
            models=cnn,
            dataset=parameters.dataset,
            label=label,
        )
    return stage.result()
