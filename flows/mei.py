"""Stage *mei*: MEI, linear RF and best natural image of every wanted unit, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Any

import polars as pl
from prefect import flow

from flows._stage import Stage, StageResult, configured_store, runner
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.errors import ConfigurationError
from inception_loop.images import mei as meis
from inception_loop.images import natural, rf
from inception_loop.images.network import Networks, TrainedEnsemble
from inception_loop.images.target import TargetUnit
from inception_loop.images.wanted import statistics_of, wanted_units
from inception_loop.parameters import MeiParameters
from inception_loop.selection.model_group import ensemble_models
from inception_loop.training.ensemble import load_ensemble

Models = Sequence[ArtifactRef]


def with_ensembles(make: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Return a step that takes the models of ensembles where ``make`` takes `Networks`."""

    @wraps(make)
    def step(
        store: ArtifactStore,
        config: Config,
        *,
        models: Models,
        reference: Models = (),
        validators: Models = (),
        **inputs: Any,
    ) -> Outcome:
        own, compared, judged = (
            TrainedEnsemble(tuple(refs), partial(load_ensemble, store, refs)) if refs else None
            for refs in (models, reference, validators)
        )
        if own is None:
            raise ConfigurationError("images are wanted of no model; expected an ensemble of one or more")
        return make(store, config, networks=Networks(own, compared, judged), **inputs)

    return step


make_mei = with_ensembles(meis.make_mei)
make_grad_rf = with_ensembles(rf.make_grad_rf)
make_best_natural_image = with_ensembles(natural.make_best_natural_image)


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
        of = {"group_id": parameters.group_id, "name": name, "units": batch, "judging": rules.judging}
        label = f"{name} batch {number} ({len(batch)} units)"
        stage.submit(make_mei, meis.MeiConfig(**of, **ascent), models=cnn, label=label)
        stage.submit(make_grad_rf, rf.GradRFConfig(**of, **ascent), models=linear, reference=cnn, label=label)
        stage.submit(
            make_best_natural_image,
            natural.BestNaturalImageConfig(**of, mean=mean, contrast=contrast),
            models=cnn,
            dataset=parameters.dataset,
            label=label,
        )
    return stage.result()
