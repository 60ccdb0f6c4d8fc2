"""Fill a report from the artifacts of one loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError
from inception_loop.quality.kind import load_quality
from inception_loop.recordings.recording import ScanKey
from inception_loop.report.closed_loop.collect import (
    collect_assigned,
    collect_own_responses,
    collect_shown,
)
from inception_loop.report.closed_loop.loop_tests import collect_tests
from inception_loop.report.closed_loop.origins import about, collect_origins
from inception_loop.report.collect_cells import (
    collect_images,
    collect_matches,
    collect_units,
    example_traces,
    wrong_units,
)
from inception_loop.report.collect_networks import collect_funnel, collect_history
from inception_loop.report.data import Measured, ReportData
from inception_loop.report.learning.artifact import Learning, load_learning

Refs = Mapping[str, Sequence[ArtifactRef]]

NEEDED = (
    "recording",
    "static_scan",
    "input_response",
    "stack_coordinates",
    "static_multi_dataset",
    "corrected_high_unit_selection",
    "closed_loop_scan",
    "best_proximity_cell_match",
    "summary_confusion",
    "z_summary_confusion",
    "evidence",
)
ANIMALS = {
    "simulated": "A simulated mouse: its true receptive fields, noise and cell identities are known.",
    "twin": "A published network of a real mouse plays the animal; trial noise is added to its answers. "
    "Its cells are drawn from those whose noise-free answers vary most over natural images (settings: "
    "reliable share), which flatters it.",
}
SETTINGS = {
    "recording": "animal and session",
    "static_multi_dataset": "dataset",
    "model": "network",
    "corrected_high_unit_selection": "selection",
    "mei": "MEI",
    "stimulus_set": "stimulus set",
    "proximity_cell_match": "cell matching",
    "assigned_cell_match": "cell matching, one to one",
    "loop_tests": "tests",
    "evidence": "evidence",
}
"""Kinds whose settings a report shows → what they are called there."""
_NO_SETTINGS = {
    "scan",
    "scans",
    "source_scan",
    "day",
    "group_id",
    "loop_group",
    "description",
}


def collect(store: ArtifactStore, refs: Refs) -> ReportData:
    """Read everything that a report of one loop shows.

    Parameters
    ----------
    store
        Where the artifacts stand.
    refs
        Every artifact of the loop by kind, in any order: those of `NEEDED`, and as far as there are any
        ``dataset_report``, ``learning_report``, ``animal_truth``, ``recovered_truth``, ``model``,
        ``model_group``, ``mei``, ``grad_rf``, ``best_natural_image``, ``truth_panel``,
        ``cell_match_oracle_correlation``, ``assigned_cell_match``, ``own_response``, ``stimulus_set``,
        ``loop_tests`` and the diagonal entries.

    Raises
    ------
    DataError
        If a needed kind is missing.
    """
    refs = ordered(refs)
    check_enough(refs)
    loop = store.table(refs["closed_loop_scan"][0], "closed_loop_scan")
    by_scan = {kind: _by_scan(store, refs.get(kind, ())) for kind in (*NEEDED[:4], "animal_truth")}
    source, name, truth = source_of(store, refs)
    recording = by_scan["recording"][source]
    config = store.manifest(recording).config
    evidence = store.table(refs["evidence"][0], "evidence")
    z_summary = store.table(refs["z_summary_confusion"][0], "z_summary_confusion")
    units = collect_units(store, refs, name, truth)
    selected = units.filter(pl.col("hu_rank").is_not_null()).sort("hu_rank")["unit_id"].to_list()
    used = store.inputs(refs["evidence"][0]).get("matches") or refs["best_proximity_cell_match"]
    matches = collect_matches(
        store,
        used,
        source,
        by_scan["stack_coordinates"],
        by_scan["animal_truth"],
        collect_assigned(store, refs),
    )
    statistics = collect_tests(store, refs)
    shown, shown_images = collect_shown(store, refs, name)
    animal = config.get("animal", {})
    kind = str(animal.get("type", source.animal_id))
    return ReportData(
        animal=kind,
        animal_note=ANIMALS.get(kind, f"Animal {source.animal_id}."),
        loop_group=int(loop["loop_group"][0]),
        seed=animal.get("seed"),
        scans=_scans(store, loop, by_scan),
        evidence=evidence,
        notes=_notes(store, refs["evidence"][0]),
        truth=_truth(store, refs, evidence),
        trials=_trials(store, refs, by_scan["input_response"], source),
        quality=tuple(load_quality(store, ref) for ref in refs.get("dataset_report", ())),
        traces=example_traces(store, recording, selected[:5]),
        history=collect_history(store, refs),
        learning=_learning(store, refs),
        units=units,
        funnel=collect_funnel(store, refs, name),
        images=collect_images(
            store,
            refs,
            units,
            z_summary,
            truth,
            wrong_units(matches),
            (shown, shown_images),
            name,
        ),
        summary=store.table(refs["summary_confusion"][0], "summary_confusion"),
        z_summary=z_summary,
        diagonals=_diagonals(store, refs, "summary_confusion_diagonal_entry"),
        z_diagonals=_diagonals(store, refs, "z_summary_confusion_diagonal_entry"),
        matches=matches,
        tuning_match=_tuning(store, refs),
        tests=statistics.tests,
        unit_tests=statistics.unit_tests,
        power=statistics.power,
        matching="assigned" if used[0].kind == "assigned_cell_match" else "proximity",
        own_responses=collect_own_responses(store, refs),
        shown=shown,
        shown_images=shown_images,
        origins=collect_origins(store, refs),
        lineage=_lineage(store, refs),
        settings=_settings(store, refs),
        versions=store.manifest(refs["evidence"][0]).versions,
    )


def check_enough(refs: Refs, also: Sequence[str] = ()) -> None:
    """Refuse references from which no report can be made.

    Raises
    ------
    DataError
        With the kinds, `NEEDED` or in ``also``, of which there is none.
    """
    missing = [kind for kind in (*NEEDED, *also) if not refs.get(kind)]
    if missing:
        raise DataError(
            f"the report lacks artifacts of the kinds {', '.join(missing)}; expected at least one of each; "
            "run the stages that make them, or give the loop's evidence alone: evidence/0123abcd"
        )


class Source(NamedTuple):
    """The scan that a loop is about: its member of the dataset, and its truth if that is given."""

    scan: ScanKey
    name: str
    truth: ArtifactRef | None


def source_of(store: ArtifactStore, refs: Refs) -> Source:
    """Return the source scan of the loop that the references are of."""
    scan = _source(store.table(refs["closed_loop_scan"][0], "closed_loop_scan"))
    truths = _by_scan(store, refs.get("animal_truth", ()))
    return Source(scan, _name(store, refs, scan), truths.get(scan))


def ordered(refs: Refs) -> dict[str, list[ArtifactRef]]:
    """Return references in an order of their own: kinds by name, of each kind every one once, by digest."""
    return {
        kind: sorted(dict.fromkeys(found), key=lambda ref: ref.digest)
        for kind, found in sorted(refs.items())
        if found
    }


def scan_of(store: ArtifactStore, ref: ArtifactRef) -> ScanKey:
    """Return the scan that an artifact is about, from its manifest."""
    return ScanKey.model_validate(store.manifest(ref).config["scan"])


def _by_scan(store: ArtifactStore, refs: Sequence[ArtifactRef]) -> dict[ScanKey, ArtifactRef]:
    return {scan_of(store, ref): ref for ref in refs}


def _source(loop: pl.DataFrame) -> ScanKey:
    row = loop.filter("mei_source").row(0, named=True)
    return ScanKey(**{name: row[name] for name in ("animal_id", "session", "scan_idx")})


def _name(store: ArtifactStore, refs: Refs, source: ScanKey) -> str:
    members = store.table(refs["static_multi_dataset"][0], "members")
    return str(members.filter(**source.model_dump())["name"].item())


def _scans(
    store: ArtifactStore, loop: pl.DataFrame, by_scan: Mapping[str, Mapping[ScanKey, ArtifactRef]]
) -> pl.DataFrame:
    rows = []
    for row in loop.iter_rows(named=True):
        scan = ScanKey(**{name: row[name] for name in ("animal_id", "session", "scan_idx")})
        rows.append(
            {
                "scan": str(scan),
                "role": "source" if row["mei_source"] else "later",
                "day": row["day"],
                "n_trials": store.table(by_scan["input_response"][scan], "trials").height,
                "n_units": store.table(by_scan["static_scan"][scan], "units").height,
                "stim_type": row["stim_type"],
            }
        )
    return pl.DataFrame(rows)


def _learning(store: ArtifactStore, refs: Refs) -> Learning | None:
    """Read the learning report; of several (one right after training) that which knows the chosen models."""
    found = sorted(refs.get("learning_report", ()), key=lambda ref: "model_group" not in store.inputs(ref))
    return load_learning(store, found[0]) if found else None


def _trials(
    store: ArtifactStore, refs: Refs, responses: Mapping[ScanKey, ArtifactRef], source: ScanKey
) -> pl.DataFrame:
    trials = store.table(refs["static_multi_dataset"][0], "trials").filter(name=_name(store, refs, source))
    parts = [fates(str(source), trials["reason"])]
    for scan, ref in sorted(responses.items(), key=lambda item: str(item[0])):
        if scan != source:
            parts.append(fates(str(scan), store.table(ref, "trials")["status"]))
    return pl.concat(parts)


def fates(scan: str, reasons: pl.Series) -> pl.DataFrame:
    """Count trials by reason, the used ones first; an empty reason is no reason.

    Examples
    --------
    >>> fates("1-1-1", pl.Series(["", "eye untracked", "", ""])).rows()
    [('1-1-1', 'used', 3), ('1-1-1', 'eye untracked', 1)]
    """
    fate = pl.when(pl.col("fate") == "").then(pl.lit("used")).otherwise(pl.col("fate")).alias("fate")
    counts = reasons.alias("fate").to_frame().with_columns(fate).group_by("fate").len("n")
    return counts.sort(pl.col("fate") != "used", pl.col("n") * -1, "fate").select(
        pl.lit(scan).alias("scan"), "fate", pl.col("n").cast(pl.Int64)
    )


def _truth(store: ArtifactStore, refs: Refs, evidence: pl.DataFrame) -> dict[str, Measured]:
    tables = [store.table(ref, "recovered_truth") for ref in refs.get("recovered_truth", ())]
    columns = ["key", "value", "n", "definition"]
    rows = [table.select(columns) for table in tables]
    rows.append(evidence.filter(key="match_accuracy").select(columns))
    found = pl.concat(rows)
    return {key: Measured(value, n, definition) for key, value, n, definition in found.rows()}


def _notes(store: ArtifactStore, evidence: ArtifactRef) -> tuple[str, ...]:
    known = "notes" in store.manifest(evidence).payloads  # older evidence has none
    return tuple(store.table(evidence, "notes")["note"]) if known else ()


def _diagonals(store: ArtifactStore, refs: Refs, kind: str) -> dict[str, pl.DataFrame]:
    found = {store.manifest(ref).config["control"]: store.table(ref, kind) for ref in refs.get(kind, ())}
    return dict(sorted(found.items()))


def _tuning(store: ArtifactStore, refs: Refs) -> pl.DataFrame:
    kind = "cell_match_oracle_correlation"
    schema = {"scan": pl.String, "matched": pl.Boolean, "correlation": pl.Float64}
    parts = [
        store.table(ref, kind).select(
            pl.lit(str(scan_of(store, ref))).alias("scan"), "matched", "correlation"
        )
        for ref in refs.get(kind, ())
    ]
    return pl.concat([pl.DataFrame(schema=schema), *parts])


def _lineage(store: ArtifactStore, refs: Refs) -> pl.DataFrame:
    rows = []
    for kind, found in refs.items():
        for ref in found:
            rows.append((kind, about(store, ref), ref.digest))
    schema = {"kind": pl.String, "scope": pl.String, "digest": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").unique().sort("kind", "scope", "digest")


def _settings(store: ArtifactStore, refs: Refs) -> dict[str, dict[str, str]]:
    """Return the settings of the kinds of `SETTINGS`, each different set once."""
    out: dict[str, dict[str, str]] = {}
    for kind, name in SETTINGS.items():
        found: list[dict[str, str]] = []
        for ref in refs.get(kind, ()):
            settings = _flat("", store.manifest(ref).config)
            if kind == "model":  # networks of one configuration differ in their seed only
                settings.pop("seed", None)
            if settings and settings not in found:
                found.append(settings)
        for number, settings in enumerate(found, start=1):
            out[name if len(found) == 1 else f"{name} {number}"] = settings
    return out


def _flat(prefix: str, value: Any) -> dict[str, str]:
    """Flatten a configuration to ``part.name`` → value, without what tells artifacts of one kind apart."""
    if not isinstance(value, Mapping):
        listed = isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
        return {} if value is None or listed else {prefix: str(value)}
    out: dict[str, str] = {}
    for key, item in value.items():
        if prefix or key not in _NO_SETTINGS:
            out |= _flat(f"{prefix}.{key}" if prefix else key, item)
    return out
