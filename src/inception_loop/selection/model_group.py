"""ModelGroup: the best nonlinear and the best linear configuration; their seeds form the ensembles.

Networks that judge images without a part in making them are kept beside these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.manifest import Manifest
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.errors import DataError
from inception_loop.network.config import CorePlusReadout
from inception_loop.selection.config import ModelChoice
from inception_loop.selection.families import FAMILIES, Family, family_of
from inception_loop.selection.oracle import F64, I64, PACKAGE, TEXT

PUBLISHED_CORES = {"cnn": "GaussianLaplace", "linear": "StackedLinearGaussianLaplace"}
"""The only cores that a group of schema version 1 chose among."""
CANDIDATES = {
    "model": pl.String,
    "family": pl.String,
    "core": pl.String,
    "readout": pl.String,
    "configuration": pl.String,
    "seed": pl.Int64,
    "val_corr": pl.Float64,
}


def _with_roles(table: pa.Table) -> pa.Table:
    """Lift a table of version 1, in which no network was kept for judging."""
    frame = pl.DataFrame(pl.from_arrow(table)).with_columns(
        core=pl.col("family").replace_strict(PUBLISHED_CORES),
        readout=pl.lit(None, pl.String),
        role=pl.when("chosen").then(pl.lit("ensemble")).otherwise(pl.lit("")),
    )
    return frame.to_arrow()


MODEL_GROUP = Kind(
    name="model_group",
    version=3,  # 2: every core has a family, networks that only judge; 3: who judges is independent
    meaning="The best CNN and the best linear configuration by validation correlation, and who judges.",
    payloads={
        "model_group": Table(
            {
                "family": Column(TEXT, "cnn (its core has nonlinearities) or linear (it has none)"),
                "configuration": Column(TEXT, "SHA-256 of the model's configuration without its seed"),
                "core": Column(TEXT, "type of its core"),
                "readout": Column(TEXT, "type of its readout", nullable=True),
                "mean_val_corr": Column(
                    F64,
                    "mean validation correlation over its seeds, held-out ones not counted; null: no others",
                    nullable=True,
                ),
                "n_seeds": Column(I64, "models of the configuration"),
                "place": Column(I64, "place in its family by mean_val_corr, 0 the best"),
                "chosen": Column(pa.bool_(), "whether the model is part of the family's ensemble"),
                "role": Column(
                    TEXT,
                    "ensemble (chosen), validator (a CNN of a seed or readout that the ensemble has not: "
                    "judges images, no part in making them) or empty",
                ),
                "model": Column(TEXT, "digest of the model"),
                "seed": Column(I64, "seed of the model"),
                "val_corr": Column(F64, "validation correlation of the model"),
            },
            version=2,
            upgrades={1: _with_roles},
        )
    },
    partition=GROUP,
)


class ModelGroupConfig(ModelChoice):
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


def choose_models(candidates: pl.DataFrame, choice: ModelChoice) -> pl.DataFrame:
    """Place the configurations of each family by their mean validation correlation over seeds.

    Parameters
    ----------
    candidates
        Table ``model, family, core, readout, configuration, seed, val_corr``, one row a model; those with
        another core than the choice allows are left out.
    choice
        Which cores come in, and which networks are kept for judging.

    Returns
    -------
    Table as `MODEL_GROUP` declares, one row a model; ties between configurations go to the lower digest. A
    seed of the best CNN configuration that is held out makes no linear images either.

    Raises
    ------
    DataError
        If a family has no model, a model no validation correlation, or there are too few seeds or
        configurations for some to be kept for judging.

    Examples
    --------
    >>> table = pl.DataFrame({"model": ["a", "b", "c"], "family": ["cnn", "cnn", "linear"],
    ...                       "core": ["Stacked2d", "GaussianLaplace", "ModLinear"], "readout": "Pooled2d",
    ...                       "configuration": ["x", "y", "z"], "seed": [1, 2, 2],
    ...                       "val_corr": [0.2, 0.3, 0.1]})
    >>> choose_models(table, ModelChoice(validator="runner_up")).select("model", "role").rows()
    [('b', 'ensemble'), ('a', 'validator'), ('c', 'ensemble')]
    """
    unknown = candidates.filter(~pl.col("val_corr").is_finite().fill_null(False))
    if unknown.height:
        raise DataError(
            f"model {unknown['model'][0]} has the validation correlation {unknown['val_corr'][0]}; "
            "expected a number; leave the model out"
        )
    wanted = pl.DataFrame(
        [(family, core) for family in FAMILIES for core in choice.cores(family)],
        schema={"family": pl.String, "core": pl.String},
        orient="row",
    )
    table = query(
        sql_file(PACKAGE, "model_group.sql"),
        {"candidates": candidates, "wanted": wanted},
        choice.model_dump(include={"validator", "held_out"}),
    )
    for family in FAMILIES:
        if family not in set(table["family"]):
            given = ", ".join(sorted(set(candidates["core"]))) or "none"
            raise DataError(
                f"no model of the family {family!r} among {candidates.height} (cores: {given}); expected at "
                f"least one with a core of {', '.join(choice.cores(family))}; train it first"
            )
    _check_validator(table, choice)
    return table


def _check_validator(table: pl.DataFrame, choice: ModelChoice) -> None:
    best = table.filter(family="cnn", place=0)
    n_seeds = best["n_seeds"][0]
    if choice.validator == "held_out_seeds" and n_seeds <= choice.held_out:
        raise DataError(
            f"the best CNN configuration has {n_seeds} seeds; expected at least {choice.held_out + 1} to "
            f"hold {choice.held_out} out as validator; train more, or set validator to 'runner_up' or 'none'"
        )
    if choice.validator == "runner_up" and table.filter(role="validator").height == 0:
        raise DataError(
            f"{_nobody(table)}; expected a second configuration of another seed or readout as validator; "
            "train it or set validator to 'held_out_seeds' or 'none'"
        )


def _nobody(table: pl.DataFrame) -> str:
    """Say why no network is independent of the ensemble."""
    cnn = table.filter(family="cnn")
    seeds = ", ".join(map(str, cnn.filter("chosen")["seed"]))
    return (
        f"none of {cnn.height} CNN networks may judge images: those outside of the ensemble, if any, have "
        f"its seeds ({seeds}) and its readout ({cnn['readout'][0]}), so they start from the same "
        "random numbers"
    )


def _warnings(table: pl.DataFrame, choice: ModelChoice) -> list[str]:
    """Return a line if somebody was to judge the images and nobody can."""
    if choice.validator == "none" or table.filter(role="validator").height:
        return []
    return [f"{_nobody(table)}; validator_activation stays empty; train another seed (grid.seeds)"]


def read_candidates(
    store: ArtifactStore, models: Sequence[ArtifactRef], data: CorrectedAreaLayer
) -> pl.DataFrame:
    """Read what `choose_models` needs from the models' manifests.

    Raises
    ------
    DataError
        If something is no network, models were trained on another data configuration, or not all on one
        dataset.
    """
    rows, datasets = [], set()
    for ref in models:
        manifest = store.manifest(ref)
        if "network" not in manifest.config:
            raise DataError(
                f"{ref} is of the kind {ref.kind}; expected models of this project's networks; "
                "own models need no group: give their scores to the selection"
            )
        if manifest.config["data"] != data.model_dump(mode="json"):
            raise DataError(
                f"{ref} was trained on the data configuration {manifest.config['data']}; expected "
                f"{data.model_dump(mode='json')}; give models of one data configuration"
            )
        datasets |= {record.digest for record in manifest.inputs["dataset"]}
        rows.append(_candidate(ref, manifest))
    if len(datasets) > 1:
        raise DataError(f"the models were trained on {len(datasets)} datasets; expected one")
    return pl.DataFrame(rows, schema=CANDIDATES, orient="row")


def _candidate(ref: ArtifactRef, manifest: Manifest) -> dict[str, Any]:
    network = CorePlusReadout.model_validate(manifest.config["network"])
    return {
        "model": ref.digest,
        "family": family_of(network.core),
        "core": network.core.type,
        "readout": network.readout.type,
        "configuration": configuration_key(manifest.question),
        "seed": manifest.config["seed"],
        "val_corr": manifest.findings["val_corr"],
    }


def make_model_group(
    store: ArtifactStore, config: ModelGroupConfig, *, models: Sequence[ArtifactRef]
) -> Outcome:
    """Make the choice among models; their order does not matter."""
    refs = sorted(set(models), key=lambda ref: ref.digest)

    def build(attempt: Attempt) -> None:
        candidates = read_candidates(store, refs, config.data)
        table = choose_models(candidates, config)
        attempt.write_table("model_group", table)
        best = table.filter("chosen").unique("family", keep="first", maintain_order=True)
        attempt.report(
            n_models=candidates.height,
            n_other_cores=candidates.height - table.height,
            n_validators=table.filter(role="validator").height,
            warnings=_warnings(table, config),
            core=dict(best.select("family", "core").rows()),
            mean_val_corr=dict(best.select("family", "mean_val_corr").rows()),
            n_seeds=dict(table.filter("chosen").group_by("family").len().sort("family").rows()),
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
    rows = store.table(model_group, "model_group").filter(role="ensemble", family=family)
    return [by_digest[digest] for digest in rows["model"]]
