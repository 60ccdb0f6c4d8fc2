"""From the evidence of a loop to every artifact that its report shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inception_loop.artifacts.lineage import ancestors
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore

Found = dict[str, dict[ArtifactRef, None]]

OF_GROUP = ("dataset_report", "unit_test_scores", "linear_rf", "bad_config", "gallery", "target_model")
OF_LOOP = (
    "closed_loop_scan",
    "monitor_calibration",
    "own_response",
    "cell_match_oracle_correlation",
    "normalized_confusion",
    "summary_confusion",
    "summary_confusion_diagonal_entry",
    "loop_tests",
)
"""Kinds beside the evidence: its own are made of what is known, later ones of earlier ones too."""
ANSWERS = ("seed", "n_permutations", "source_name", "loop_group")
"""What the questions of an evidence and of what stands beside it have in common."""


def refs_behind(store: ArtifactStore, evidence: ArtifactRef) -> dict[str, tuple[ArtifactRef, ...]]:
    """Return every artifact that a report of a loop shows, by kind, found by what was made from what.

    Parameters
    ----------
    store
        Where the artifacts stand.
    evidence
        The evidence of the loop.

    Returns
    -------
    The evidence, what it was made from, and what was made beside it; a digital animal's truth only as far
    as the comparison knew it.
    """
    found: Found = {evidence.kind: {evidence: None}}
    for link in ancestors(store, evidence):
        found.setdefault(link.parent.kind, {})[link.parent] = None
    group_id = store.manifest(next(iter(found["static_multi_dataset"]))).config["group_id"]
    for chosen in _model_group(store, f"group_id={group_id}", list(found.get("model", ()))):
        found["model_group"] = {chosen: None}
        found["model"] |= dict.fromkeys(store.inputs(chosen)["models"])
    asked = store.manifest(evidence).config
    scans = {store.key(ref).split("/", 1)[1].rpartition("/")[0] for ref in found["recording"]}
    places: dict[str, tuple[str, ...]] = {f"group_id={group_id}": OF_GROUP}
    places |= dict.fromkeys((f"loop_group={asked['loop_group']}", *sorted(scans)), OF_LOOP)
    for kind in (*OF_GROUP, *OF_LOOP):
        for ref in _beside(store, kind, [place for place, kinds in places.items() if kind in kinds], found):
            if _asks(store.manifest(ref).config, asked):
                found.setdefault(kind, {})[ref] = None
    return {kind: tuple(refs) for kind, refs in found.items()}


def group_of(store: ArtifactStore, evidence: ArtifactRef) -> tuple[int, int]:
    """Return the numbers of an evidence's group of scans and of its loop."""
    selection = store.inputs(evidence)["corrected_high_unit_selection"][0]
    loop = store.manifest(evidence).config["loop_group"]
    return int(store.manifest(selection).config["group_id"]), int(loop)


def _beside(store: ArtifactStore, kind: str, places: Sequence[str], found: Found) -> Iterator[ArtifactRef]:
    """Yield artifacts of a kind that were made of nothing but what is known."""
    known = {ref for refs in found.values() for ref in refs}
    recorded = sorted(str(store.manifest(ref).config["scan"]) for ref in found["recording"])
    for place in places:
        for ref in [listed.ref for listed in artifacts(store, kind, place)]:
            made_of = [one for refs in store.inputs(ref).values() for one in refs]
            scans = [str(row["scan"]) for row in store.manifest(ref).config.get("scans", ())]
            if known.issuperset(made_of) if made_of else sorted(scans) == recorded:
                yield ref


def _asks(config: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Return whether a question has in common with an evidence's what both can ask."""
    return all(config.get(key, asked.get(key)) == asked.get(key) for key in ANSWERS)


def _model_group(store: ArtifactStore, group: str, models: list[ArtifactRef]) -> list[ArtifactRef]:
    """Return the newest choice of models that knows all of those which made and judged the images."""
    listed = sorted(artifacts(store, "model_group", group), key=lambda one: (one.modified, one.ref.digest))
    fitting = [one.ref for one in listed if set(models) <= set(store.inputs(one.ref)["models"])]
    return fitting[-1:]
