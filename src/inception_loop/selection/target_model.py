"""TargetModel: the models for which images are wanted."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field, field_validator

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.selection.families import FAMILIES, Family
from inception_loop.selection.oracle import I64, PACKAGE, TEXT

Role = Literal["ensemble", "validator"]

TARGET_MODEL = Kind(
    name="target_model",
    version=1,
    meaning="The models of a group for which images are wanted, and those that judge the images.",
    payloads={
        "target_model": Table(
            {
                "family": Column(TEXT, "cnn or linear"),
                "role": Column(TEXT, "ensemble (images are made for it) or validator (it judges them)"),
                "configuration": Column(TEXT, "SHA-256 of the model's configuration without its seed"),
                "core": Column(TEXT, "type of its core"),
                "seed": Column(I64, "seed of the model"),
                "model": Column(TEXT, "digest of the model"),
            }
        )
    },
    partition=GROUP,
)


class TargetModelConfig(Config):
    """Which models of a group are wanted."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    families: tuple[Family, ...] = Field(FAMILIES, min_length=1, description="Families of networks.")
    roles: tuple[Role, ...] = Field(
        ("ensemble", "validator"), min_length=1, description="What the models are for."
    )

    @field_validator("families", "roles")
    @classmethod
    def _in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))


def choose_targets(models: pl.DataFrame, config: TargetModelConfig) -> pl.DataFrame:
    """Choose the wanted models of a group.

    Parameters
    ----------
    models
        ``family, configuration, core, role, model, seed``, one row a candidate of the group.
    config
        Which are wanted.

    Returns
    -------
    Table as `TARGET_MODEL` declares, by family, role and seed.

    Raises
    ------
    DataError
        If no model is wanted.

    Examples
    --------
    >>> models = pl.DataFrame({"family": "cnn", "configuration": "x", "core": "Stacked2d", "seed": [1, 2, 3],
    ...                        "role": ["ensemble", "validator", ""], "model": ["a", "b", "c"]})
    >>> choose_targets(models, TargetModelConfig(group_id=0))["model"].to_list()
    ['a', 'b']
    """
    parameters = {"families": list(config.families), "roles": list(config.roles)}
    table = query(sql_file(PACKAGE, "target_model.sql"), {"models": models}, parameters)
    if table.height == 0:
        raise DataError(
            f"none of {models.height} models is {' or '.join(config.roles)} of the families "
            f"{', '.join(config.families)}; expected at least one; a group with a validator has both roles"
        )
    return table


def make_target_model(
    store: ArtifactStore, config: TargetModelConfig, *, model_group: ArtifactRef
) -> Outcome:
    """Make the list of wanted models from a ``model_group``."""

    def build(attempt: Attempt) -> None:
        table = choose_targets(store.table(model_group, "model_group"), config)
        attempt.write_table("target_model", table)
        attempt.report(**{f"n_{role}": table.filter(role=role).height for role in config.roles})

    return store.make(TARGET_MODEL, config, build, inputs={"model_group": model_group})


def target_models(
    store: ArtifactStore, target_model: ArtifactRef, family: Family, role: Role = "ensemble"
) -> list[ArtifactRef]:
    """Return the wanted models of a family, by seed; none if there are none.

    Parameters
    ----------
    target_model
        A ``target_model``.
    family, role
        Which of its models.
    """
    (group,) = store.inputs(target_model)["model_group"]
    by_digest = {ref.digest: ref for ref in store.inputs(group)["models"]}
    table = store.table(target_model, "target_model").filter(family=family, role=role)
    return [by_digest[digest] for digest in table["model"]]
