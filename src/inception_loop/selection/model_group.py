"""ModelGroup: the best nonlinear and the best linear configuration; their seeds form the ensembles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config, canonical_json
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.errors import DataError
from inception_loop.selection.oracle import F64, I64, PACKAGE, TEXT

Family = Literal["cnn", "linear"]
FAMILIES: dict[str, Family] = {"GaussianLaplace": "cnn", "StackedLinearGaussianLaplace": "linear"}

MODEL_GROUP = Kind(
    name="model_group",
    version=1,
    meaning="The best CNN and the best linear configuration by validation correlation, among all candidates.",
    payloads={
        "model_group": Table(
            {
                "family": Column(TEXT, "cnn (GaussianLaplace) or linear (StackedLinearGaussianLaplace)"),
                "configuration": Column(TEXT, "SHA-256 of the model's configuration without its seed"),
                "mean_val_corr": Column(F64, "mean over its seeds of the validation correlation"),
                "n_seeds": Column(I64, "models of the configuration"),
                "place": Column(I64, "place in its family by mean_val_corr, 0 the best"),
                "chosen": Column(pa.bool_(), "whether the model is part of the family's ensemble (place 0)"),
                "model": Column(TEXT, "digest of the model"),
                "seed": Column(I64, "seed of the model"),
                "val_corr": Column(F64, "validation correlation of the model"),
            }
        )
    },
    partition=GROUP,
)


class ModelGroupConfig(Config):
    """Configuration of the choice among models."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    data: CorrectedAreaLayer = Field(CorrectedAreaLayer(), description="Data configuration of the models.")


def configuration_key(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a model's configuration (its canonical form) without the seed.

    Examples
    --------
    >>> configuration_key({"a": 1, "seed": 2}) == configuration_key({"a": 1, "seed": 3})
    True
    """
    rest = {name: value for name, value in config.items() if name != "seed"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def choose_models(candidates: pl.DataFrame) -> pl.DataFrame:
    """Place the configurations of each family by their mean validation correlation over seeds.

    Parameters
    ----------
    candidates
        Table ``model, family, configuration, seed, val_corr``, one row a model; families other than ``cnn``
        and ``linear`` are left out.

    Returns
    -------
    Table as `MODEL_GROUP` declares, one row a model; ties between configurations go to the lower digest.

    Raises
    ------
    DataError
        If a family has no model.

    Examples
    --------
    >>> table = pl.DataFrame({"model": ["a", "b", "c"], "family": ["cnn", "cnn", "linear"],
    ...                       "configuration": ["x", "y", "z"], "seed": 1, "val_corr": [0.2, 0.3, 0.1]})
    >>> choose_models(table).filter("chosen")["model"].to_list()
    ['b', 'c']
    """
    known = candidates.filter(pl.col("family").is_in(list(FAMILIES.values())))
    missing = sorted(set(FAMILIES.values()) - set(known["family"]))
    if missing:
        raise DataError(
            f"no model of the family {missing[0]!r} among {candidates.height}; expected at least "
            f"one of each of {', '.join(FAMILIES)}; train it first"
        )
    table = query(sql_file(PACKAGE, "model_group.sql"), {"candidates": known})
    return table.with_columns(chosen=pl.col("place") == 0)


def read_candidates(
    store: ArtifactStore, models: Sequence[ArtifactRef], data: CorrectedAreaLayer
) -> pl.DataFrame:
    """Read what `choose_models` needs from the models' manifests.

    Raises
    ------
    DataError
        If models were trained on another data configuration, or not all on one dataset.
    """
    rows, datasets = [], set()
    for ref in models:
        manifest = store.manifest(ref)
        if manifest.config["data"] != data.model_dump(mode="json"):
            raise DataError(
                f"{ref} was trained on the data configuration {manifest.config['data']}; expected "
                f"{data.model_dump(mode='json')}; give models of one data configuration"
            )
        datasets |= {record.digest for record in manifest.inputs["dataset"]}
        rows.append(
            {
                "model": ref.digest,
                "family": FAMILIES.get(manifest.config["network"]["core"]["type"], "other"),
                "configuration": configuration_key(manifest.question),
                "seed": manifest.config["seed"],
                "val_corr": float(manifest.findings["val_corr"]),
            }
        )
    if len(datasets) > 1:
        raise DataError(f"the models were trained on {len(datasets)} datasets; expected one")
    schema = {"model": pl.String, "family": pl.String, "configuration": pl.String, "seed": pl.Int64}
    return pl.DataFrame(rows, schema={**schema, "val_corr": pl.Float64})


def make_model_group(
    store: ArtifactStore, config: ModelGroupConfig, *, models: Sequence[ArtifactRef]
) -> Outcome:
    """Make the choice among models; their order does not matter."""
    refs = sorted(set(models), key=lambda ref: ref.digest)

    def build(attempt: Attempt) -> None:
        candidates = read_candidates(store, refs, config.data)
        table = choose_models(candidates)
        attempt.write_table("model_group", table)
        best = table.filter("chosen").unique("family", keep="first", maintain_order=True)
        attempt.report(
            n_models=candidates.height,
            n_other_families=candidates.height - table.height,
            mean_val_corr=dict(best.select("family", "mean_val_corr").rows()),
            n_seeds=dict(best.select("family", "n_seeds").rows()),
        )

    return store.make(MODEL_GROUP, config, build, inputs={"models": refs})


def ensemble_models(store: ArtifactStore, model_group: ArtifactRef, family: Family) -> list[ArtifactRef]:
    """Return the models of a family's ensemble, by seed.

    Parameters
    ----------
    model_group
        A ``model_group``.
    family
        ``"cnn"`` or ``"linear"``.
    """
    by_digest = {ref.digest: ref for ref in store.inputs(model_group)["models"]}
    table = store.table(model_group, "model_group").filter(pl.col("chosen"), family=family)
    return [by_digest[digest] for digest in table["model"]]
