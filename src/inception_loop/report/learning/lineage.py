"""Where a learning report comes from, and what could not be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.training.bad_config import load_bad_config


def collect_bad(store: ArtifactStore, refs: Sequence[ArtifactRef]) -> pl.DataFrame:
    """Return one row a configuration that cannot be trained: ``what, error, reason, record``."""
    rows = []
    for ref in refs:
        bad = load_bad_config(store, ref)
        rows.append({"what": bad.what, "error": bad.error, "reason": bad.reason, "record": ref.digest})
    schema = dict.fromkeys(("what", "error", "reason", "record"), pl.String)
    return pl.DataFrame(rows, schema=schema).unique().sort("what", "record")


def lineage_of(inputs: Mapping[str, Sequence[ArtifactRef]]) -> pl.DataFrame:
    """Return what a report was made of: ``role, kind, digest``, roles in their order."""
    rows = [
        (role, kind, digest)
        for role, refs in inputs.items()
        for kind, digest in sorted({(ref.kind, ref.digest) for ref in refs})
    ]
    schema = dict.fromkeys(("role", "kind", "digest"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def versions_of(store: ArtifactStore, refs: Sequence[ArtifactRef]) -> pl.DataFrame:
    """Return which versions made artifacts, as their manifests say: ``software, version``."""
    found: dict[str, set[str]] = {}
    for ref in refs:
        for software, version in store.manifest(ref).versions.items():
            found.setdefault(software, set()).add(version)
    rows = [(software, ", ".join(sorted(versions))) for software, versions in sorted(found.items())]
    return pl.DataFrame(rows, schema={"software": pl.String, "version": pl.String}, orient="row")
