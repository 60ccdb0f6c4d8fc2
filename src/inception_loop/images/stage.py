"""The stage *mei*: MEI, linear RF and best natural image of every wanted unit, from the chosen ensembles."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Run
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import Tier
from inception_loop.errors import DataError
from inception_loop.images.mei import MeiConfig, make_mei
from inception_loop.images.natural import BestNaturalImageConfig, make_best_natural_image
from inception_loop.images.network import Held, LoadAdjusted, Precision
from inception_loop.images.procedure import AnyProcedure, Fast, Procedure
from inception_loop.images.rf import GradRFConfig, make_grad_rf
from inception_loop.images.target import TargetConfig, TargetUnit
from inception_loop.selection.model_group import ensemble_models


class ImagesConfig(Config):
    """Everything that the stage needs to know beside its inputs."""

    group_id: int = Field(ge=0, description="Group that the models were trained on.")
    procedure: Procedure = Field(
        default_factory=Fast, description="How MEIs and linear RF images are climbed."
    )
    batch: int = Field(32, ge=1, description="Units a batch; membership is part of an image's identity.")
    seed: int = Field(1, ge=0, description="Of the noise that ascents start from.")
    gains: int = Field(1000, ge=2, description="Contrasts of an MEI's tuning curve.")
    natural_tier: Tier = Field("train", description="Tier of the natural images that are searched.")
    eye: Held = Field("training_mean", description="Where the animal looks.")
    behavior: Held = Field("none", description="Its pupil and running; none: no gain at all.")
    precision: Precision = Field("float32", description="Of the convolutions of the networks.")


def wanted_units(selection: pl.DataFrame, panel: pl.DataFrame | None = None) -> pl.DataFrame:
    """List the units that want images: the selected ones by rank, then those of the truth panel.

    Parameters
    ----------
    selection
        Rows of a ``corrected_high_unit_selection``; those without ``hu_rank`` are not selected.
    panel
        Rows of a ``truth_panel``.

    Returns
    -------
    Table ``name, neuron_id, unit_id``, each unit once.

    Raises
    ------
    DataError
        If no unit is wanted.

    Examples
    --------
    >>> units = pl.DataFrame({"name": "a", "neuron_id": [0, 1, 2], "unit_id": [5, 6, 7]})
    >>> panel = units.head(2).with_columns(kind=pl.lit("simple"), panel_rank=pl.int_range(2))
    >>> wanted_units(units.with_columns(hu_rank=pl.Series([1, None, 0])), panel)["unit_id"].to_list()
    [7, 5, 6]
    """
    columns = ["name", "neuron_id", "unit_id"]
    parts = [selection.filter(pl.col("hu_rank").is_not_null()).sort("name", "hu_rank").select(columns)]
    if panel is not None:
        parts.append(panel.sort("name", "kind", "panel_rank").select(columns))
    wanted = pl.concat(parts).unique(["name", "unit_id"], keep="first", maintain_order=True)
    if wanted.height == 0:
        raise DataError(
            "no unit is selected and there is no truth panel; expected at least one unit to image"
        )
    return wanted


def run_images(
    run: Run,
    store: ArtifactStore,
    config: ImagesConfig,
    *,
    dataset: ArtifactRef,
    model_group: ArtifactRef,
    selection: ArtifactRef,
    panel: ArtifactRef | None = None,
    load: LoadAdjusted,
) -> None:
    """Submit the images of all wanted units, batch by batch.

    Parameters
    ----------
    run
        Runs one step.
    store
        Where selection and model group stand; both are read here, to know the batches.
    config
        How the images are made.
    dataset, model_group, selection, panel
        Artifacts of these kinds.
    load
        Loads an adjusted model; a function of a module, so that it can travel to a worker.
    """
    chosen = store.table(selection, "corrected_high_unit_selection")
    wanted = wanted_units(chosen, None if panel is None else store.table(panel, "truth_panel"))
    cnn, linear = (ensemble_models(store, model_group, family) for family in ("cnn", "linear"))
    climb = {"procedure": config.procedure, "seed": config.seed}
    mean, contrast = statistics_of(config.procedure)
    for label, target in _batches(wanted, config):
        target_of = target.model_dump()
        mei = MeiConfig(**target_of, **climb, gains=config.gains)
        run(make_mei, mei, label=label, models=cnn, load=load)
        run(make_grad_rf, GradRFConfig(**target_of, **climb), label=label, models=linear, load=load)
        natural = BestNaturalImageConfig(**target_of, tier=config.natural_tier, mean=mean, contrast=contrast)
        run(make_best_natural_image, natural, label=label, models=cnn, dataset=dataset, load=load)


def statistics_of(procedure: AnyProcedure) -> tuple[float | None, float]:
    """Return mean (None: that of the training pixels) and RMS contrast, grey levels, for control images.

    The published variants fix neither; their controls get the contrast limit of variant 2.

    Examples
    --------
    >>> statistics_of(Fast(contrast=7.0))
    (None, 7.0)
    """
    if isinstance(procedure, Fast):
        return procedure.mean, procedure.contrast
    return None, getattr(procedure, "max_contrast", 11.0)


def _batches(wanted: pl.DataFrame, config: ImagesConfig) -> Iterator[tuple[str, TargetConfig]]:
    for (name,), units in wanted.group_by("name", maintain_order=True):
        for start in range(0, units.height, config.batch):
            rows = units[start : start + config.batch]
            yield (
                f"{name} units {start}–{start + rows.height - 1}",
                TargetConfig(
                    group_id=config.group_id,
                    name=str(name),
                    units=tuple(TargetUnit(neuron_id=n, unit_id=u) for _, n, u in rows.rows()),
                    eye=config.eye,
                    behavior=config.behavior,
                    precision=config.precision,
                ),
            )
