"""What a person sees of the images of a run as soon as they are made: the gallery."""

from __future__ import annotations

from typing import Any

from flows._stage import StageResult
from flows.observing import say
from flows.telling import publish
from flows.telling.links import link, opened
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.report.gallery.artifact import Gallery, load_gallery
from inception_loop.report.gallery.panels import within
from inception_loop.report.gallery.views import MARKS, VERDICTS
from inception_loop.report.gallery.words import QUESTION, gallery_lines, headline, listed_units, markdown


def command(ref: ArtifactRef) -> str:
    """Return what a person types to see a gallery with its pictures."""
    return f"inception-loop report --gallery {ref.digest[:12]}"


def tell_gallery(store: ArtifactStore, result: StageResult) -> None:
    """Publish a stage's gallery as Prefect artifacts and tell its headline to whoever watches."""
    for ref in result.refs.get("gallery", []):
        gallery, name = load_gallery(store, ref), _name(store, ref)
        publish.markdown(name, markdown(gallery, _see(store, ref)), QUESTION)
        sheet = within(store.file(ref, "contact_sheet"), publish.LIMIT_BYTES)
        publish.picture(
            f"{name}-contact-sheet", sheet, headline(gallery), link=link(store, ref, "contact_sheet")
        )
        publish.table(f"{name}-units", rows(gallery), headline(gallery))
        say(result.stage, headline(gallery))
        say(result.stage, f"  see it: {command(ref)}")


def rows(gallery: Gallery) -> list[dict[str, Any]]:
    """Return the units of a gallery as rows of a table, those to leave out first, what matters leftmost."""
    said = {(row["name"], row["unit_id"]): row["short"] for row in listed_units(gallery)}
    order = ("bad", "warn", "ok")
    units = sorted(gallery.units.iter_rows(named=True), key=lambda unit: order.index(unit["verdict"]))
    return [
        {
            "unit": unit["unit_id"],
            "verdict": f"{MARKS[unit['verdict']]} {VERDICTS[unit['verdict']]}",
            "why": said.get((unit["name"], unit["unit_id"]), ""),
            "rank": unit["hu_rank"],
            "panel": unit["panel"],
            "oracle": None if unit["oracle_corr"] is None else round(unit["oracle_corr"], 2),
            "scan": unit["name"],
        }
        for unit in units
    ]


def gallery_report_lines(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Say for a terminal what the images are worth and how to see them."""
    return [*gallery_lines(load_gallery(store, ref)), f"see it: {command(ref)}"]


def _name(store: ArtifactStore, ref: ArtifactRef) -> str:
    return f"gallery-group-{store.manifest(ref).config['group_id']}"


def _see(store: ArtifactStore, ref: ArtifactRef) -> str:
    said = f"The images: `{command(ref)} --store {store.uri}` writes an HTML page and PNGs."
    return said + opened(store, ref, "gallery")
