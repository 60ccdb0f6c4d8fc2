"""Where an export comes from: a stimulus set in the store, and what is known of its units and monitor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from inception_loop.artifacts.lineage import manifests
from inception_loop.artifacts.manifest import Manifest
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.stimuli.export_session import ExportSource
from inception_loop.stimuli.unequal_light import COLUMNS

STIMULUS_SET, FILL, SELECTION = "stimulus_set", "stimulus_fill", "corrected_high_unit_selection"
CALIBRATION, PROCESSED = "processed_monitor_calibration", "processed_image"
CLOSEST = "closest_calibration"
_BEYOND = ("model", "recording", "static_multi_dataset", "model_group", STIMULUS_SET)
"""Kinds whose own inputs say nothing of an export: networks and recordings, and sets shown before."""


def export_source(store: ArtifactStore, ref: ArtifactRef) -> ExportSource:
    """Read a stimulus set; its images are mapped where the store is on a local disk.

    Raises
    ------
    ConfigurationError
        If it is of another kind.
    ArtifactNotFoundError
        If it does not stand.
    """
    if ref.kind != STIMULUS_SET:
        raise ConfigurationError(f"{ref} is a {ref.kind}; expected a {STIMULUS_SET} to export")
    manifest = store.manifest(ref)  # tables are taken as written: every version has what is needed
    timing = _timing(manifest, ref)
    above = upstream(store, ref, {FILL, SELECTION, CALIBRATION, CLOSEST, PROCESSED})
    selections = [store.table(one, SELECTION) for one, _ in above if one.kind == SELECTION]
    fills = [store.table(one, FILL).select(COLUMNS) for one, _ in above if one.kind == FILL]
    columns = ["name", "unit_id", "hu_rank"]
    return ExportSource(
        kind=ref.kind,
        digest=ref.digest,
        payloads={name: payload.sha256 for name, payload in manifest.payloads.items()},
        images=np.asarray(store.arrays(ref, "images")["images"]),
        conditions=store.table(ref, "conditions"),
        trials=store.table(ref, "trials"),
        shown_s=float(timing["shown_s"]),
        gap_s=float(timing["gap_s"]),
        seed=int(timing["seed"]),
        ranks=pl.concat([table.select(columns) for table in selections]) if selections else None,
        monitor=_monitor(store, above),
        filled=pl.concat(fills) if fills else None,
    )


def upstream(
    store: ArtifactStore, ref: ArtifactRef, kinds: Collection[str]
) -> list[tuple[ArtifactRef, Manifest]]:
    """Return the artifacts of some kinds that another was made from, the nearest first.

    What networks, recordings and earlier sets were made from is not looked at; what no longer stands is
    passed over.
    """
    found: list[tuple[ArtifactRef, Manifest]] = []
    seen, level = {ref}, [ref]
    while level:
        parents: list[ArtifactRef] = []
        for one, manifest in manifests(store, level):
            if not isinstance(manifest, Manifest):
                continue
            if one.kind in kinds:
                found.append((one, manifest))
            if one == ref or one.kind not in _BEYOND:
                parents += _parents(store, one, manifest)
        level = [one for one in dict.fromkeys(parents) if one not in seen]
        seen.update(level)
    return found


def _parents(store: ArtifactStore, ref: ArtifactRef, manifest: Manifest) -> list[ArtifactRef]:
    if ref.kind == CLOSEST:  # of the calibrations that it looked at, one counts
        records = manifest.inputs["calibration"]
        return [store.ref_of(records[int(row)]) for row in store.table(ref, CLOSEST)["position"]]
    return [store.ref_of(record) for records in manifest.inputs.values() for record in records]


def _timing(manifest: Manifest, ref: ArtifactRef) -> Mapping[str, Any]:
    timing: Mapping[str, Any] = manifest.config.get("session", manifest.config)
    missing = [name for name in ("shown_s", "gap_s", "seed") if name not in timing]
    if missing:
        raise DataError(
            f"the configuration of {ref} does not say {missing[0]}; expected how long and in which order its "
            "images are shown; make the set again"
        )
    return timing


def _monitor(store: ArtifactStore, above: Iterable[tuple[ArtifactRef, Manifest]]) -> dict[str, Any]:
    """Say what is known of the monitor: measured curves, and what the images were brought to."""
    said: dict[str, Any] = {}
    sessions: dict[str, dict[str, Any]] = {}  # of a calibration: how long before which session
    for one, manifest in above:
        if one.kind == CLOSEST and manifest.config.get("time"):  # otherwise the time is its own calibration's
            (chosen,) = _parents(store, one, manifest)
            row = store.table(one, CLOSEST).row(0, named=True)
            sessions[chosen.digest] = {
                "session_time": row["scan_time"],
                "hours_before_session": -row["delta_time"],
            }
        elif one.kind == CALIBRATION:
            curve = {"digest": one.digest, **manifest.findings, **sessions.get(one.digest, {})}
            curve |= (
                store.table(one, CALIBRATION).head(1).to_dicts()[0]
                if CALIBRATION in manifest.payloads
                else {}
            )
            said.setdefault("calibrations", []).append(curve)
        elif one.kind == PROCESSED and "target" in manifest.config:
            targets = said.setdefault("targets", [])
            # A target may be open: then what it came to stands among the findings.
            met = {what: manifest.findings.get(what) for what in ("mean", "contrast")}
            target = manifest.config["target"] | {k: v for k, v in met.items() if v is not None}
            if target not in targets:
                targets.append(target)
    return said
