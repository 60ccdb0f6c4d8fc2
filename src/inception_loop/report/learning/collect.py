"""What a learning report shows, read from models and their scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError
from inception_loop.report.learning.artifact import Floats, Learning
from inception_loop.report.learning.lineage import collect_bad, lineage_of, versions_of
from inception_loop.report.learning.units import SCORES, ShownScores, collect_units, scores_of
from inception_loop.selection.families import family_of as family_of_core
from inception_loop.selection.model_group import configuration_key
from inception_loop.training.config import ModelConfig
from inception_loop.training.labels import labels_of

FAMILIES = ("cnn", "linear")
_CURVE = ("epoch", "stage", "learning_rate", "val_corr", "train_loss")


def collect_learning(
    store: ArtifactStore,
    models: Sequence[ArtifactRef],
    scores: Sequence[ArtifactRef],
    *,
    oracle: ArtifactRef | None = None,
    model_group: ArtifactRef | None = None,
    linear_rf: Sequence[ArtifactRef] = (),
    bad_config: Sequence[ArtifactRef] = (),
) -> Learning:
    """Read how networks learnt.

    Parameters
    ----------
    store
        Where everything lies.
    models
        All networks of a grid.
    scores
        Their ``unit_test_scores``, of one model each or of ensembles. Where those that are shown are there at
        the training mean of eye and behaviour too, shares of the ceiling are of these: it knows neither.
    oracle
        The ``oracle`` of the units; without it that of the scores is shown, if they have one.
    model_group
        Which configurations were chosen; without it the best of each family by mean validation correlation.
    linear_rf
        Receptive fields of the units; that of the same data as the shown models is taken.
    bad_config
        Configurations of the group that cannot be trained.

    Raises
    ------
    DataError
        If there is no model, or they were trained on several datasets.
    """
    known = _placed(store, models, scores, model_group)
    shown = _shown_scores(store, known, scores)
    weights, filters = _filters(store, models, known)
    inputs = {
        "dataset": _datasets(store, models),
        "model": models,
        "scores": scores,
        "oracle": [oracle] if oracle else [],
        "model_group": [model_group] if model_group else [],
        "linear_rf": linear_rf,
        "bad_config": bad_config,
    }
    return Learning(
        models=known,
        curves=read_curves(store, models, known),
        filters=filters,
        units=collect_units(store, shown, oracle, _of_same_data(store, linear_rf, shown)),
        scored=_scored(store, shown),
        bad=collect_bad(store, bad_config),
        lineage=lineage_of(inputs),
        versions=versions_of(store, models),
        filter_weights=weights,
    )


def shown_models(
    store: ArtifactStore, models: Sequence[ArtifactRef], model_group: ArtifactRef | None = None
) -> list[list[ArtifactRef]]:
    """Return whose scores a report shows, family by family: the chosen ensemble, else the best model.

    Parameters
    ----------
    store, models, model_group
        As for `collect_learning`.
    """
    known = _placed(store, models, (), model_group)
    of = {ref.digest: ref for ref in models}
    wanted = "best" if model_group is None else "chosen"
    families = [known.filter(wanted, family=family)["model"].sort() for family in FAMILIES]
    return [[of[digest] for digest in digests] for digests in families if len(digests)]


def _datasets(store: ArtifactStore, models: Sequence[ArtifactRef]) -> list[ArtifactRef]:
    return list({ref.digest: ref for model in models for ref in store.inputs(model)["dataset"]}.values())


def _placed(
    store: ArtifactStore,
    models: Sequence[ArtifactRef],
    scores: Sequence[ArtifactRef],
    model_group: ArtifactRef | None,
) -> pl.DataFrame:
    """Return the table ``models``."""
    if not models:
        raise DataError("a learning report of no model; expected at least one; train it first")
    datasets = _datasets(store, models)
    if len(datasets) > 1:
        raise DataError(
            f"the models were trained on {len(datasets)} datasets; expected one, "
            "so that units can be compared; make a report of each"
        )
    of = scores_of(store, scores, "recorded")
    rows = [_model_row(store, ref, of.get(frozenset([ref.digest]))) for ref in models]
    labels = model_labels({row["model"]: row["config"] for row in rows})
    labelled = [{**row, "label": labels[row["model"]]} for row in rows]
    chosen = None if model_group is None else set(_chosen(store, model_group))
    return place_models(pl.DataFrame(labelled, schema_overrides={"test_corr": pl.Float64}), chosen)


def place_models(models: pl.DataFrame, chosen: set[str] | None = None) -> pl.DataFrame:
    """Mark the chosen models (else those of the best configuration a family) and the best among them.

    Parameters
    ----------
    models
        ``model, family, configuration, val_corr`` and more, one row a model.
    chosen
        Digests of the chosen models, if somebody has chosen.

    Returns
    -------
    The same rows by family, best first, with ``chosen`` and ``best``.

    Examples
    --------
    >>> table = pl.DataFrame({"model": ["a", "b", "c"], "family": "cnn", "configuration": ["x", "x", "y"],
    ...                       "seed": [1, 2, 1], "val_corr": [0.1, 0.4, 0.3]})
    >>> place_models(table).select("model", "chosen", "best").rows()
    [('c', True, True), ('b', False, False), ('a', False, False)]
    """
    if chosen is None:
        of = models.sort("model").group_by("family", "configuration", maintain_order=True)
        ranked = of.agg(pl.col("val_corr").mean()).sort("val_corr", "configuration", descending=[True, False])
        best = ranked.unique("family", keep="first", maintain_order=True)
        chosen = set(models.filter(pl.col("configuration").is_in(best["configuration"].implode()))["model"])
    placed = models.with_columns(chosen=pl.col("model").is_in(sorted(chosen)))
    placed = placed.sort("family", "chosen", "val_corr", "model", descending=[False, True, True, False])
    nth = pl.int_range(pl.len()).over("family")
    return placed.with_columns(best=pl.col("chosen") & (nth == 0))


def family_of(config: Mapping[str, Any]) -> str:
    """Return ``linear`` for a network whose core has no nonlinearity, else ``cnn``."""
    return family_of_core(ModelConfig.model_validate(config).network.core)


def _chosen(store: ArtifactStore, model_group: ArtifactRef) -> list[str]:
    return store.table(model_group, "model_group").filter("chosen")["model"].to_list()


def _model_row(store: ArtifactStore, ref: ArtifactRef, score: ArtifactRef | None) -> dict[str, Any]:
    manifest = store.manifest(ref)
    family, network = family_of(manifest.config), manifest.config["network"]
    history = store.table(ref, "history")
    tested = None if score is None else store.table(score, SCORES)["test_corr"].mean()
    return {
        "model": ref.digest,
        "label": "",
        "family": family,
        "core": network["core"]["type"],
        "readout": network["readout"]["type"],
        "config": canonical_json(manifest.config),
        "configuration": configuration_key(manifest.question),
        "seed": int(manifest.config["seed"]),
        "epochs": int(history["epoch"].to_numpy().max()),
        "best_epoch": int(history.filter("best")["epoch"].to_numpy().max(initial=0)),
        "val_corr": float(manifest.findings["val_corr"]),
        "test_corr": tested,
    }


def model_labels(configs: Mapping[str, str]) -> dict[str, str]:
    """Name models by what tells them apart.

    Parameters
    ----------
    configs
        Digest → configuration as JSON.

    Returns
    -------
    Digest → core, fields in which models of that core differ, seed; the digest's beginning where these are
    the same (cores that were taken over from different models).
    """
    parsed = {digest: ModelConfig.model_validate_json(text) for digest, text in configs.items()}
    labels = labels_of(list(parsed.values()))
    uses = Counter(labels[config] for config in parsed.values())
    return {
        digest: labels[config] + (f" ({digest[:8]})" if uses[labels[config]] > 1 else "")
        for digest, config in parsed.items()
    }


def read_curves(store: ArtifactStore, models: Sequence[ArtifactRef], known: pl.DataFrame) -> pl.DataFrame:
    """Return every epoch of every model, in the order of ``known`` (``model, label, family, …``)."""
    of = {ref.digest: ref for ref in models}
    parts = [
        store.table(of[row["model"]], "history").select(
            *(pl.lit(row[name]).alias(name) for name in ("model", "label", "family")),
            pl.lit(row["seed"], pl.Int64).alias("seed"),
            pl.lit(row["chosen"]).alias("chosen"),
            *_CURVE,
        )
        for row in known.iter_rows(named=True)
    ]
    return pl.concat(parts)


def first_filters(weights: Mapping[str, npt.NDArray[Any]]) -> Floats | None:
    """Return the (channels, k, k) kernels of a core's first layer: the first that see one input channel.

    Parameters
    ----------
    weights
        Arrays by their name in the network.
    """
    for name, value in weights.items():
        if name.startswith("core.") and value.ndim == 4 and value.shape[1] == 1 and value.shape[2] > 1:
            return np.asarray(value[:, 0], np.float32)
    return None


def _filters(
    store: ArtifactStore, models: Sequence[ArtifactRef], known: pl.DataFrame
) -> tuple[dict[str, Floats], pl.DataFrame]:
    of = {ref.digest: ref for ref in models}
    weights: dict[str, Floats] = {}
    schema = {"model": pl.String, "family": pl.String, "row": pl.Int64, "channel": pl.Int64}
    parts = [pl.DataFrame(schema={**schema, "norm": pl.Float64})]
    for family, digest in known.filter("best").select("family", "model").rows():
        kernels = first_filters(store.arrays(of[digest], "weights"))
        if kernels is None:
            continue
        norm = np.sqrt((kernels.astype(np.float64) ** 2).sum((1, 2)))
        order = np.argsort(-norm, kind="stable")
        weights[family] = kernels[order]
        rows = {"row": np.arange(len(order)), "channel": order, "norm": norm[order]}
        parts.append(pl.DataFrame({"model": digest, "family": family, **rows}))
    return weights, pl.concat(parts)


def _of_same_data(
    store: ArtifactStore, fields: Sequence[ArtifactRef], shown: Mapping[str, ShownScores]
) -> ArtifactRef | None:
    """Return the receptive fields of the units and the data that the shown models have, if any."""
    for scores in shown.values():
        data = store.manifest(store.inputs(scores.recorded)["model"][0]).config["data"]
        for ref in sorted(fields, key=lambda one: one.digest):
            if store.manifest(ref).config["data"] == data:
                return ref
    return None


def _shown_scores(
    store: ArtifactStore, known: pl.DataFrame, scores: Sequence[ArtifactRef]
) -> dict[str, ShownScores]:
    """Return by family the scores of its chosen ensemble, else those of its best model, if there are any."""
    recorded, frozen = (scores_of(store, scores, mode) for mode in ("recorded", "training_mean"))
    shown = {}
    for family in FAMILIES:
        rows = known.filter(family=family)
        for which in ("chosen", "best"):
            of = frozenset(rows.filter(which)["model"])
            if of in recorded and family not in shown:
                shown[family] = ShownScores(recorded[of], frozen.get(of))
    return shown


def _scored(store: ArtifactStore, shown: Mapping[str, ShownScores]) -> pl.DataFrame:
    rows = [
        {
            "family": family,
            "n_models": len(store.inputs(ref)["model"]),
            "has_ceiling": _knows_ceiling(store, ref),
            "scores": ref.digest,
            "frozen": frozen and frozen.digest,
        }
        for family, (ref, frozen) in shown.items()
    ]
    names = {"family": pl.String, "n_models": pl.Int64, "has_ceiling": pl.Boolean}
    return pl.DataFrame(rows, schema={**names, "scores": pl.String, "frozen": pl.String})


def _knows_ceiling(store: ArtifactStore, ref: ArtifactRef) -> bool:
    return store.manifest(ref).payloads[SCORES].schema_version > 1  # since version 2
