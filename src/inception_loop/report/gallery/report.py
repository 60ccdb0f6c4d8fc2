"""The gallery as an artifact: every image of every unit side by side, before it is shown to an animal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.report.gallery.artifact import GALLERY, Gallery
from inception_loop.report.gallery.collect import Pictures, has_masks, read_curves, read_images, read_masks
from inception_loop.report.gallery.findings import Limits, find
from inception_loop.report.gallery.kinds import MASK, MEI, USUAL, USUAL_MASKS, in_order, title_of
from inception_loop.report.gallery.page import render_gallery_page
from inception_loop.report.gallery.panels import contact_sheet, write_panels
from inception_loop.report.gallery.pictures import common_scale
from inception_loop.report.gallery.summary import summarize
from inception_loop.report.gallery.units import order_units, verdicts, with_shares
from inception_loop.report.gallery.views import unit_views
from inception_loop.report.gallery.words import facts, headline
from inception_loop.report.learning.lineage import lineage_of, versions_of

Refs = Mapping[str, Sequence[ArtifactRef]]


class GalleryConfig(Config):
    """Of which group, and from where on a unit looks broken."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    margin: float = Field(
        0.05, ge=0, description="Share of the MEI's activation by which a control must exceed it to beat it."
    )
    least_validator_share: float = Field(
        0.5,
        ge=0,
        description="Of the comparing networks' activation by an MEI, the least for a validator.",
    )
    black_white: tuple[float, float] | None = Field(
        None, description="Grey levels shown black and white; none: so that one image in ten is clipped."
    )
    points: int = Field(25, ge=2, description="Points of a contrast curve that are kept.")
    most_units: int = Field(
        300, ge=1, description="So many units are shown one by one; all are on the contact sheet."
    )

    @property
    def limits(self) -> Limits:
        """Return from where on something is a finding."""
        return Limits(self.margin, self.least_validator_share)


def make_gallery(
    store: ArtifactStore,
    config: GalleryConfig,
    *,
    images: Refs,
    selection: ArtifactRef,
    panel: ArtifactRef | None = None,
    masks: Sequence[ArtifactRef] = (),
) -> Outcome:
    """Show every image of every unit: tables for programs, a page and pictures for a person.

    Parameters
    ----------
    store, config
        Where, and of which group.
    images
        Name of the kind → its artifacts, whatever the kind: all that have the form of `image_kind` are read
        alike, a kind made tomorrow too. Kinds without artifacts are said to be absent. Artifacts that hold
        masks are taken for such.
    selection
        The ``corrected_high_unit_selection``: rank, oracle, fraction-oracles, area and layer of the units.
    panel
        The ``truth_panel``, if there is one.
    masks
        Mask artifacts, drawn as outlines on the MEI.

    Raises
    ------
    DataError
        If there is no image, or an artifact has another form.
    """
    given = {role: list(refs) for role, refs in images.items()}
    found = {ref for refs in given.values() for ref in refs if has_masks(store, ref)}
    roles = {role: _sorted(set(refs) - found) for role, refs in given.items()}
    shown = {role: roles[role] for role in in_order(roles) if roles[role]}
    if not shown:
        raise DataError("a gallery of no image; expected artifacts of at least one kind; make images first")
    inputs = {
        **shown,
        "masks": _sorted(found | set(masks)),
        "selection": [selection],
        "panel": [] if panel is None else [panel],
    }

    def build(attempt: Attempt) -> None:
        gallery, pictures = collect_gallery(store, inputs, config)
        for name, frame in gallery.tables().items():
            attempt.write_table(name, frame)
        scale = common_scale(pictures.images.values(), config.black_white)
        views, n = list(unit_views(gallery, pictures, scale)), gallery.units.height
        shown_units = min(n, config.most_units)

        def progress(offset: int, done: int, text: str) -> None:
            attempt.progress(offset + done, 2 * shown_units, text)

        page = render_gallery_page(
            gallery, views, scale, config.group_id, digest=attempt.ref.digest, limits=config.limits,
            most_units=config.most_units, progress=lambda done, _, text: progress(0, done, text),
        )  # fmt: skip
        attempt.write_file("gallery", page.encode())
        kind = next(iter(in_order(gallery.images["what"])), MEI)
        attempt.write_file("contact_sheet", contact_sheet(views, scale, kind))
        panels = write_panels(
            views, scale, config.most_units, lambda done, _, text: progress(shown_units, done, text)
        )
        attempt.write_file("panels", panels)
        counts = {verdict: gallery.units.filter(verdict=verdict).height for verdict in ("ok", "warn", "bad")}
        numbers = {fact.key: fact.value for fact in facts(gallery)}
        attempt.report(
            headline=headline(gallery), n_units=n, n_images=gallery.images.height, units=counts, **numbers
        )

    return store.make(GALLERY, config, build, inputs={role: refs for role, refs in inputs.items() if refs})


def collect_gallery(store: ArtifactStore, inputs: Refs, config: GalleryConfig) -> tuple[Gallery, Pictures]:
    """Read what a gallery shows.

    Parameters
    ----------
    store, config
        Where from, and from where on a unit looks broken.
    inputs
        Images by kind, ``masks``, ``selection`` (one), ``panel`` (one or none).
    """
    others = ("masks", "selection", "panel")
    given = {role: refs for role, refs in inputs.items() if role not in others}
    images, pictures = read_images(store, given)
    images = with_shares(images)
    masks = read_masks(store, inputs.get("masks", ()), pictures)
    curves = read_curves(images, pictures, config.points)
    selection = store.table(inputs["selection"][0], "corrected_high_unit_selection")
    panel = [store.table(ref, "truth_panel") for ref in inputs.get("panel", ())]
    units = order_units(images, masks, selection, panel[0] if panel else None)
    findings = find(units, images, config.limits)
    units = verdicts(units, findings)
    gallery = Gallery(
        units=units,
        images=images,
        masks=masks,
        curves=curves,
        findings=findings,
        summary=summarize(units, images, curves, config.margin),
        kinds=count_kinds(images, masks),
        lineage=lineage_of({role: refs for role, refs in inputs.items() if refs}),
        versions=versions_of(store, [ref for refs in given.values() for ref in refs]),
    )
    return gallery, pictures


def count_kinds(images: pl.DataFrame, masks: pl.DataFrame) -> pl.DataFrame:
    """Return a row a kind of images or masks, those that an experiment usually has and this one lacks too."""
    rows = []
    for table, usual in ((images, USUAL), (masks, () if masks.height else USUAL_MASKS)):
        for what in in_order([*table["what"].unique(), *usual]):
            of = table.filter(what=what)
            title = title_of(what) if of.height or table is images else MASK
            rows.append((what, title, of.height > 0, of.select("name", "unit_id").n_unique(), of.height))
    schema = {"what": pl.String, "title": pl.String, "given": pl.Boolean}
    return pl.DataFrame(rows, schema={**schema, "n_units": pl.Int64, "n_images": pl.Int64}, orient="row")


def _sorted(refs: set[ArtifactRef]) -> list[ArtifactRef]:
    return sorted(refs, key=lambda ref: (ref.kind, ref.digest))
