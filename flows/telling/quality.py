"""What a person hears of the quality of recordings while a run goes on: the verdict first."""

from __future__ import annotations

from flows.observing import say
from flows.telling import publish
from flows.telling.links import opened
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.quality.kind import Quality, load_quality
from inception_loop.quality.words import (
    MARKS,
    headline,
    limit,
    markdown,
    scan_name,
    value,
    verdict,
    verdict_lines,
)


def command(ref: ArtifactRef) -> str:
    """Return what a person types to see a dataset report with its plots."""
    return f"inception-loop report --dataset {ref.digest[:12]}"


def tell_quality(store: ArtifactStore, ref: ArtifactRef, stage: str) -> None:
    """Publish a dataset report as Prefect artifacts and tell its headline to whoever watches the run."""
    quality = load_quality(store, ref)
    group = int(store.manifest(ref).config["group_id"])
    see = f"The plots: `{command(ref)} --store {store.uri}` writes one HTML page."
    see += opened(store, ref, "report")
    name = f"dataset-report-group-{group}"
    publish.markdown(name, markdown(quality, see), headline(quality))
    publish.table(f"{name}-findings", rows(quality), headline(quality))
    say(stage, f"{MARKS[verdict(quality)]} {headline(quality)}")
    say(stage, f"  see it: {command(ref)}")


def rows(quality: Quality) -> list[dict[str, object]]:
    """Return every finding of every scan as rows of a table."""
    scans = {scan["name"]: scan_name(scan) for scan in quality.scans.iter_rows(named=True)}
    return [
        {
            "": MARKS[one["severity"]],
            "scan": scans[one["name"]],
            "what": one["title"],
            "value": value(one),
            "limit": limit(one),
            "finding": one["text"],
            "what to do": one["advice"],
        }
        for one in quality.findings.iter_rows(named=True)
    ]


def quality_lines(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Say for a terminal which recordings are sound, what is wrong with the others and how to see it."""
    return [*verdict_lines(load_quality(store, ref)), f"see it: {command(ref)}"]
