"""Oracle: how well the other repeats of an image predict a unit's response to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberData, load_member, member_names
from inception_loop.errors import DataError

PACKAGE = "inception_loop.selection"
I64, F64, TEXT = pa.int64(), pa.float64(), pa.string()
UNIT = {
    "name": Column(TEXT, "member of the group: its readout key"),
    "neuron_id": Column(I64, "column of the unit in the readout of the networks"),
    "unit_id": Column(I64, "number of the unit in its scan"),
}

ORACLE = Kind(
    name="oracle",
    version=1,
    meaning="How well the other repeats of a test image predict each unit's single responses to it.",
    payloads={
        "oracle": Table(
            {
                **UNIT,
                "oracle_pearson": Column(F64, "Pearson correlation; null: no variance", nullable=True),
                "oracle_spearman": Column(F64, "Spearman correlation, average ranks for ties", nullable=True),
                "n_images": Column(I64, "test images with enough repeats"),
                "n_trials": Column(I64, "trials of these images"),
            }
        )
    },
    partition=GROUP,
)


class OracleConfig(Config):
    """Configuration of the oracle of a group's units."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    data: CorrectedAreaLayer = Field(CorrectedAreaLayer(), description="Which units the networks read out.")
    min_repeats: int = Field(5, ge=2, description="Test images with fewer repeats are left out and counted.")


def oracle(
    responses: npt.NDArray[np.float32], condition_hash: npt.NDArray[np.str_], min_repeats: int = 5
) -> pl.DataFrame:
    """Jackknife oracle of every unit (Walker et al. 2019), with the exact Pearson correlation.

    The oracle of a repeat is the mean of the image's other repeats; it is correlated with the response over
    all repeats of all images. Images with more repeats weigh more.

    Parameters
    ----------
    responses : (T, N) float32
        Unnormalised responses to test images.
    condition_hash : (T,) str
        Image of each trial.
    min_repeats
        Images with fewer trials are left out.

    Returns
    -------
    Table ``neuron_id, oracle_pearson, oracle_spearman, n_images, n_trials``, one row a unit; a correlation
    is null where the unit does not vary.

    Raises
    ------
    DataError
        If no image has enough repeats.

    Examples
    --------
    >>> responses = np.array([[1, 0], [1, 5], [3, 0], [3, 5]], np.float32)
    >>> oracle(responses, np.array(["a", "a", "b", "b"]), min_repeats=2)["oracle_pearson"].to_list()
    [1.0, -1.0]
    """
    repeats = np.unique(condition_hash, return_counts=True)[1]
    if not (repeats >= min_repeats).any():
        raise DataError(
            f"{repeats.size} test images are repeated at most {int(repeats.max(initial=0))} times; "
            f"expected some with {min_repeats} repeats; show them more often or lower min_repeats"
        )
    trials = pl.DataFrame(
        {
            "trial_idx": np.arange(len(responses)),
            "condition_hash": condition_hash.astype(object),
            "response": np.ascontiguousarray(responses),
        },
        schema_overrides={"condition_hash": pl.String},
    )
    return query(sql_file(PACKAGE, "oracle.sql"), {"trials": trials}, {"min_repeats": min_repeats})


def member_oracle(member: MemberData, min_repeats: int) -> tuple[pl.DataFrame, int]:
    """Oracle of one member's units (test tier), and how many test images had too few repeats."""
    rows = member.trials_of("test")
    shown = member.condition_hash[rows]
    table = oracle(member.responses[rows], shown, min_repeats)
    left_out = int((np.unique(shown, return_counts=True)[1] < min_repeats).sum())
    units = member.units.select("name", "neuron_id", "unit_id")
    return units.join(table, on="neuron_id", how="left", maintain_order="left"), left_out


def make_oracle(store: ArtifactStore, config: OracleConfig, *, dataset: ArtifactRef) -> Outcome:
    """Make the oracle of all units of a dataset that the data configuration reads out."""

    def build(attempt: Attempt) -> None:
        tables, left_out = [], {}
        for name in member_names(store, dataset):
            table, left_out[name] = member_oracle(
                load_member(store, dataset, name, config.data), config.min_repeats
            )
            tables.append(table)
        whole = pl.concat(tables)
        attempt.write_table("oracle", whole)
        attempt.report(
            n_units=whole.height,
            n_units_without_oracle=whole["oracle_pearson"].null_count(),
            n_images_left_out=left_out,
            mean_oracle_pearson=whole["oracle_pearson"].mean(),
        )

    return store.make(ORACLE, config, build, inputs={"dataset": dataset})
