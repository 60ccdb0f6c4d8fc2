"""Truth panel: purely simple and purely complex units, chosen by what the animal is known to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.selection.oracle import F64, I64, PACKAGE, TEXT, UNIT

TRUTH_PANEL = Kind(
    name="truth_panel",
    version=1,
    meaning="The purest simple and complex units of an animal whose truth is known.",
    payloads={
        "truth_panel": Table(
            {
                **UNIT,
                "kind": Column(TEXT, "simple or complex"),
                "complexity": Column(F64, "0 purely simple .. 1 purely complex, of the animal's truth"),
                "signal_to_noise": Column(F64, "signal over noise variance of the truth", nullable=True),
                "panel_rank": Column(I64, "place among its kind, 0 first"),
            }
        )
    },
    partition=GROUP,
)


class TruthPanelConfig(Config):
    """Configuration of the panel."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    n_simple: int = Field(20, ge=0, description="Simple units wanted, at most.")
    n_complex: int = Field(20, ge=0, description="Complex units wanted, at most.")
    least: int = Field(10, ge=0, description="Fewer units of a kind are an error.")


def choose_panel(truth: pl.DataFrame, units: pl.DataFrame, config: TruthPanelConfig) -> pl.DataFrame:
    """Choose the purest units of each kind; equally pure ones by signal relative to noise, then by id.

    Parameters
    ----------
    truth
        ``name, unit_id, kind, complexity, signal_variance, noise_variance``.
    units
        ``name, neuron_id, unit_id`` of the dataset, as the networks read them out; only these are chosen.
    config
        How many.

    Returns
    -------
    Table as `TRUTH_PANEL` declares.

    Raises
    ------
    DataError
        If a kind has fewer than ``least`` units.
    """
    parameters = {"n_simple": config.n_simple, "n_complex": config.n_complex}
    panel = query(sql_file(PACKAGE, "truth_panel.sql"), {"truth": truth, "units": units}, parameters)
    for kind in ("simple", "complex"):
        found = panel.filter(kind=kind).height
        if found < config.least:
            raise DataError(
                f"{found} {kind} units of the animal's truth are among the {units.height} of the dataset; "
                f"expected at least {config.least}; record more units"
            )
    return panel


def make_truth_panel(
    store: ArtifactStore,
    config: TruthPanelConfig,
    *,
    dataset: ArtifactRef,
    oracle_ranked_unit: ArtifactRef,
    truths: Sequence[ArtifactRef],
) -> Outcome:
    """Make the panel.

    Parameters
    ----------
    dataset
        Says which member each truth belongs to.
    oracle_ranked_unit
        The units that the networks read out.
    truths
        ``animal_truth`` of members, in any order.
    """
    refs = sorted(set(truths), key=lambda ref: ref.digest)

    def build(attempt: Attempt) -> None:
        members = store.table(dataset, "members")
        columns = ["unit_id", "kind", "complexity", "signal_variance", "noise_variance"]
        truth = pl.concat(
            store.table(ref, "units").select(
                pl.lit(_member_of(members, store.manifest(ref).config["scan"])).alias("name"), *columns
            )
            for ref in refs
        )
        units = store.table(oracle_ranked_unit, "oracle_ranked_unit").select("name", "neuron_id", "unit_id")
        panel = choose_panel(truth, units, config)
        attempt.write_table("truth_panel", panel)
        attempt.report(**{f"n_{kind}": panel.filter(kind=kind).height for kind in ("simple", "complex")})

    inputs = {"dataset": [dataset], "oracle_ranked_unit": [oracle_ranked_unit], "truths": refs}
    return store.make(TRUTH_PANEL, config, build, inputs=inputs)


def _member_of(members: pl.DataFrame, scan: Mapping[str, int]) -> str:
    found = members.filter(**scan)["name"]
    if found.len() != 1:
        raise DataError(f"a truth of scan {dict(scan)} was given; expected one of a member of the dataset")
    return str(found.item())
