"""What a report shows of networks and selection, read from artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.report.data import NO_HISTORY
from inception_loop.report.learning.collect import family_of, model_labels
from inception_loop.selection.high_units import REASONS

Refs = Mapping[str, Sequence[ArtifactRef]]


def collect_history(store: ArtifactStore, refs: Refs) -> pl.DataFrame:
    """Return the training of every network as `ReportData.history` wants it."""
    chosen: set[str] = set()
    for ref in refs.get("model_group", ()):
        chosen |= set(store.table(ref, "model_group").filter("chosen")["model"])
    parts = []
    configs = {ref.digest: store.manifest(ref).config for ref in refs.get("model", ())}
    labels = model_labels({digest: canonical_json(config) for digest, config in configs.items()})
    for ref in refs.get("model", ()):
        config = configs[ref.digest]
        family = family_of(config)
        parts.append(
            store.table(ref, "history").select(
                pl.lit(labels[ref.digest]).alias("model"),
                pl.lit(family).alias("family"),
                pl.lit(config["seed"], pl.Int64).alias("seed"),
                pl.lit(ref.digest in chosen).alias("chosen"),
                "epoch",
                "stage",
                "val_corr",
                "train_loss",
            )
        )
    return pl.concat([NO_HISTORY, *parts])


def collect_funnel(store: ArtifactStore, refs: Refs, name: str) -> pl.DataFrame:
    """Return how many units each rule of the selection removed and left, in the order of the rules.

    Parameters
    ----------
    store, refs
        Where and what.
    name
        Member of the group whose units these are.
    """
    kind = "corrected_high_unit_selection"
    table = store.table(refs[kind][0], kind).filter(name=name)
    return funnel(dict(table["reason"].value_counts().rows()), table.height)


def funnel(removed: Mapping[str, int], n_units: int) -> pl.DataFrame:
    """Return the rules that removed a unit as rows ``rule, removed, left``; the first row is all units.

    Examples
    --------
    >>> funnel({"low_oracle": 5, "": 4, "too_close": 1}, 10).rows()
    [('all units', 0, 10), ('not among the best by oracle', 5, 5), ('near a unit selected before it', 1, 4)]
    """
    rows = [("all units", 0, n_units)]
    for reason, text in REASONS.items():
        if removed.get(reason):
            rows.append((text, removed[reason], rows[-1][2] - removed[reason]))
    schema = {"rule": pl.String, "removed": pl.Int64, "left": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
