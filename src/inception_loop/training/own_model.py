"""OwnModel: a model of the user's own takes part in scores and what follows, by a digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Kind
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberData, load_member, member_names
from inception_loop.dataset.normalization import normaliser
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.training.modes import Held
from inception_loop.training.pixel_model import Activate, OwnModel, PixelModel
from inception_loop.training.unit_scores import score_table, score_trials
from inception_loop.training.unit_test_scores import TEST_SCORES, UNIT_SCORES, score_scans

IMAGES_AT_ONCE = 128
Unit = Literal["training_sd", "recorded"]

OWN_MODEL = Kind(
    name="own_model",
    version=1,
    meaning="A model of the user's own, named by its content, and how well it predicts the test trials.",
    payloads={"test_scores": TEST_SCORES, "unit_test_scores": UNIT_SCORES},
    partition=GROUP,
)


class OwnModelConfig(Config):
    """Which model, and how its outputs are to be read."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    label: str = Field(min_length=1, description="What the model is called.")
    content: str = Field(
        pattern="^[0-9a-f]{64}$", description="SHA-256 of the model's content, see content_digest."
    )
    data: CorrectedAreaLayer = Field(
        default_factory=CorrectedAreaLayer, description="Which units it predicts, and their normalisation."
    )
    unit: Unit = Field(
        "training_sd",
        description="Unit of its outputs: each unit's s.d. over the training trials, as networks predict, or "
        "that of the recorded traces.",
    )
    least_fev: float = Field(
        0.15, ge=0, lt=1, description="Units with a smaller explainable share of variance get no FEVE."
    )


def own_model(activate: Activate, member: MemberData) -> OwnModel:
    """Return a callable as a `PixelModel` of one scan, with the statistics of the scan's images."""
    statistics = member.statistics
    height, width = member.frames.shape[1:]
    return OwnModel(activate, statistics.image_mean, statistics.image_std, (height, width))


def make_own_model(
    store: ArtifactStore,
    config: OwnModelConfig,
    *,
    dataset: ArtifactRef,
    models: Mapping[str, PixelModel],
) -> Outcome:
    """Score a model of one's own on the test trials of a dataset; reports ``test_corr`` (mean over units).

    Its tables are those of ``unit_test_scores``, so its reference stands wherever scores are asked for: as
    the CNN's or the linear control's in the selection, for one. The model sees the pixels alone, so these
    are *frozen* scores: compare them with those of networks at ``eye="none"`` or ``"training_mean"``.

    Parameters
    ----------
    store, config
        Where, and which model.
    dataset
        The ``static_multi_dataset``.
    models
        Scan → the model of its units; asked only if the artifact does not stand yet.

    Raises
    ------
    ConfigurationError
        If a scan has no model, or a model has not one output a unit.
    DataError
        If there are fewer than 2 test trials or a prediction is not finite.
    """

    def build(attempt: Attempt) -> None:
        names = member_names(store, dataset)
        if sorted(names) != sorted(models):
            raise ConfigurationError(
                f"own models are given for {', '.join(sorted(models)) or 'no scan'}; expected one for each "
                f"of {', '.join(names)}"
            )
        device = store.settings.device
        units = pl.concat(
            score_own(models[name], load_member(store, dataset, name, config.data), config, device=device)
            for name in names
        )
        attempt.write_table("test_scores", score_scans(units))
        attempt.write_table("unit_test_scores", units.drop("n_trials"))
        attempt.report(
            test_corr=units["test_corr"].mean(), n_units_without_test_corr=units["test_corr"].null_count()
        )

    return store.make(OWN_MODEL, config, build, inputs={"dataset": dataset})


def score_own(
    model: PixelModel, member: MemberData, config: OwnModelConfig, *, device: str = "cpu"
) -> pl.DataFrame:
    """Score a model on one scan's test trials; columns as ``unit_test_scores``, and ``n_trials``."""
    rows = member.trials_of("test")
    if len(rows) < 2:
        raise DataError(f"{member.name} has {len(rows)} test trials; expected at least 2; see its tiers")
    scale = normaliser(member.statistics, config.data)
    predicted = predict_trials(model, member, rows, device=device)
    if config.unit == "recorded":
        predicted = scale.responses(predicted)
    scores = score_trials(
        predicted, scale.responses(member.responses[rows]), member.condition_hash[rows], config.least_fev
    )
    return score_table(member.units, scores).with_columns(n_trials=pl.lit(len(rows), pl.Int64))


@torch.no_grad()
def predict_trials(
    model: PixelModel, member: MemberData, rows: npt.NDArray[np.int64], *, device: str = "cpu"
) -> npt.NDArray[np.float32]:
    """Predict trials of a scan by their images alone, each image once.

    Returns
    -------
    ndarray
        (len(rows), N) float32, in the model's unit.

    Raises
    ------
    ConfigurationError
        If the model has not one output a unit.
    DataError
        If a prediction is not finite.
    """
    shown, again = np.unique(member.frame_row[rows], return_inverse=True)
    n_units = member.units.height
    units = torch.arange(n_units, device=device)
    _check_width(model, member, device)
    parts = []
    for start in range(0, len(shown), IMAGES_AT_ONCE):
        frames = np.array(member.frames[shown[start : start + IMAGES_AT_ONCE]], np.float32)
        parts.append(model(torch.from_numpy(frames).to(device), units).float().cpu().numpy())
    predicted = np.concatenate(parts)
    if not np.isfinite(predicted).all():
        unit = int(np.flatnonzero(~np.isfinite(predicted).all(0))[0])
        raise DataError(f"the own model's prediction for unit {unit} of {member.name} is not finite")
    out: npt.NDArray[np.float32] = predicted[again]
    return out


def _check_width(model: PixelModel, member: MemberData, device: str) -> None:
    if not isinstance(model, OwnModel):
        return
    first = torch.from_numpy(np.array(member.frames[:1], np.float32)).to(device)
    width = model.all_units(first).shape[1]
    if width != member.units.height:
        raise ConfigurationError(
            f"the own model has {width} outputs; expected {member.units.height}, one for each unit of "
            f"{member.name} by neuron_id; restrict both by the same data configuration"
        )


def own_loader(models: Mapping[str, PixelModel]) -> Callable[..., PixelModel]:
    """Return what loads own models where images ask for an ensemble: the ``load`` of ``make_mei``.

    Parameters
    ----------
    models
        Scan → its model.

    Examples
    --------
    >>> load = own_loader({"1-1-1": OwnModel(lambda x: x.flatten(1), 110.0, 50.0, (2, 3))})
    >>> load("1-1-1", eye="none", behavior="none", precision="float32").image_size
    (2, 3)
    """

    def load(name: str, *, eye: Held, behavior: Held, precision: str) -> PixelModel:
        if (eye, behavior, precision) != ("none", "none", "float32"):
            raise ConfigurationError(
                f"images of an own model got eye {eye!r}, behavior {behavior!r}, precision {precision!r}; "
                "expected 'none', 'none', 'float32': it sees the pixels alone, as they are"
            )
        if name not in models:
            raise ConfigurationError(f"no own model for {name}; expected one of {', '.join(sorted(models))}")
        return models[name]

    return load
