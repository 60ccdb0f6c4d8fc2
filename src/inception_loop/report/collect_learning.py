"""What a learning report shows, read from models and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError
from inception_loop.report.learning import Floats, Learning
from inception_loop.selection.model_group import configuration_key
from inception_loop.training.config import ModelConfig
from inception_loop.training.unit_test_scores import UNIT_TEST_SCORES

FAMILIES = ("cnn", "linear")
SCORES = UNIT_TEST_SCORES.name  # its declaration also reads older tables
UNIT = ["name", "neuron_id", "unit_id"]
_CURVE = ("epoch", "stage", "learning_rate", "val_corr", "train_loss")


def collect_learning(
    store: ArtifactStore,
    models: Sequence[ArtifactRef],
    scores: Sequence[ArtifactRef],
    *,
    oracle: ArtifactRef | None = None,
    model_group: ArtifactRef | None = None,
) -> Learning:
    """Read how networks learnt.

    Parameters
    ----------
    store
        Where everything lies.
    models
        All networks of a grid.
    scores
        Their ``unit_test_scores``, of one model each or of ensembles.
    oracle
        The ``oracle`` of the units; without it that of the scores is shown, if they have one.
    model_group
        Which configurations were chosen; without it the best of each family by mean validation correlation.

    Raises
    ------
    DataError
        If there is no model, or they were trained on several datasets.
    """
    if not models:
        raise DataError("a learning report of no model; expected at least one; train it first")
    datasets = {ref.digest for model in models for ref in store.inputs(model)["dataset"]}
    if len(datasets) > 1:
        raise DataError(
            f"the models were trained on {len(datasets)} datasets; expected one, "
            "so that units can be compared; make a report of each"
        )
    of = _scored_models(store, scores)
    rows = [_model_row(store, ref, of.get(frozenset([ref.digest]))) for ref in models]
    chosen = None if model_group is None else set(_chosen(store, model_group))
    known = place_models(pl.DataFrame(rows, schema_overrides={"test_corr": pl.Float64}), chosen)
    of_family = {family: _shown_scores(known.filter(family=family), of) for family in FAMILIES}
    shown = {family: ref for family, ref in of_family.items() if ref is not None}
    weights, filters = _filters(store, models, known)
    return Learning(
        models=known,
        curves=read_curves(store, models, known),
        filters=filters,
        units=_units(store, shown, oracle),
        scored=_scored(store, shown),
        filter_weights=weights,
    )


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
    core = ModelConfig.model_validate(config).network.core
    return "cnn" if getattr(core, "nonlinear", True) else "linear"


def _chosen(store: ArtifactStore, model_group: ArtifactRef) -> list[str]:
    return store.table(model_group, "model_group").filter("chosen")["model"].to_list()


def _model_row(store: ArtifactStore, ref: ArtifactRef, score: ArtifactRef | None) -> dict[str, Any]:
    manifest = store.manifest(ref)
    family, network = family_of(manifest.config), manifest.config["network"]
    history = store.table(ref, "history")
    tested = None if score is None else store.table(score, SCORES)["test_corr"].mean()
    return {
        "model": ref.digest,
        "label": model_label(family, manifest.config["seed"], ref.digest),
        "family": family,
        "core": network["core"]["type"],
        "readout": network["readout"]["type"],
        "configuration": configuration_key(manifest.question),
        "seed": int(manifest.config["seed"]),
        "epochs": int(history["epoch"].to_numpy().max()),
        "best_epoch": int(history.filter("best")["epoch"].to_numpy().max(initial=0)),
        "val_corr": float(manifest.findings["val_corr"]),
        "test_corr": tested,
    }


def model_label(family: str, seed: int, digest: str) -> str:
    """Return what a model is called in figures."""
    return f"{family} seed {seed}, {digest[:8]}"


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


def _scored_models(store: ArtifactStore, scores: Sequence[ArtifactRef]) -> dict[frozenset[str], ArtifactRef]:
    """Return the scores of every model and ensemble, eye and behaviour as recorded."""
    found = {}
    for ref in scores:
        manifest = store.manifest(ref)
        if all(manifest.config.get(what, "recorded") == "recorded" for what in ("eye", "behavior")):
            found[frozenset(record.digest for record in manifest.inputs["model"])] = ref
    return found


def _shown_scores(models: pl.DataFrame, of: Mapping[frozenset[str], ArtifactRef]) -> ArtifactRef | None:
    """Return the scores of the chosen ensemble of a family, else those of its best model."""
    ensemble = of.get(frozenset(models.filter("chosen")["model"]))
    return ensemble or of.get(frozenset(models.filter("best")["model"]))


def _scored(store: ArtifactStore, shown: Mapping[str, ArtifactRef]) -> pl.DataFrame:
    rows = [
        {
            "family": family,
            "n_models": len(store.inputs(ref)["model"]),
            "has_ceiling": _knows_ceiling(store, ref),
            "scores": ref.digest,
        }
        for family, ref in shown.items()
    ]
    schema = {"family": pl.String, "n_models": pl.Int64, "has_ceiling": pl.Boolean, "scores": pl.String}
    return pl.DataFrame(rows, schema=schema)


def _knows_ceiling(store: ArtifactStore, ref: ArtifactRef) -> bool:
    return store.manifest(ref).payloads[SCORES].schema_version > 1  # since version 2


def _units(
    store: ArtifactStore, shown: Mapping[str, ArtifactRef], oracle: ArtifactRef | None
) -> pl.DataFrame:
    """Put the scores of both families, ceiling and oracle of every unit beside each other."""
    measured = [store.table(ref, SCORES) for ref in shown.values()]
    keys = {"name": pl.String, "neuron_id": pl.Int64, "unit_id": pl.Int64}
    units = pl.concat([pl.DataFrame(schema=keys), *(table.select(UNIT) for table in measured)]).unique()
    for family, table in zip(shown, measured, strict=True):
        column = pl.col("test_corr").alias(SCORE[family])
        units = units.join(table.select(*UNIT, column), on=UNIT, how="left")
    for name, source in (("ceiling", "ceiling"), ("oracle_corr", "oracle")):
        if measured and not (name == "oracle_corr" and oracle is not None):
            units = units.join(measured[0].select(*UNIT, pl.col(source).alias(name)), on=UNIT, how="left")
    if oracle is not None:
        found = store.table(oracle, "oracle").select(*UNIT, pl.col("oracle_pearson").alias("oracle_corr"))
        units = units.join(found, on=UNIT, how="left")
    missing = [name for name in (*SCORE.values(), "ceiling", "oracle_corr") if name not in units.columns]
    units = units.with_columns(pl.lit(None, pl.Float64).alias(name) for name in missing).sort(UNIT)
    above = pl.when(pl.col("ceiling") > 0).then(pl.col("ceiling"))
    return units.with_columns(
        *((pl.col(f"{side}_test_corr") / above).alias(f"{side}_fraction_ceiling") for side in ("cnn", "lin")),
        cnn_minus_linear=pl.col("cnn_test_corr") - pl.col("lin_test_corr"),
    )


SCORE = {"cnn": "cnn_test_corr", "linear": "lin_test_corr"}
"""Family → its column in the table ``units``."""
