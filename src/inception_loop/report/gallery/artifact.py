"""The artifact kind of a gallery: what its tables hold, and how they are read again."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import GROUP, Column, File, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.images.image_kind import MEASURED
from inception_loop.images.target import TARGET_COLUMNS

I64, F64, TEXT = pa.int64(), pa.float64(), pa.string()
WHAT = Column(TEXT, "kind of image; inhibiting_… for images that excite least")
NUMBER = Column(I64, "which of the unit's images of that kind, 0 first")
OF_UNIT = {name: TARGET_COLUMNS[name] for name in ("name", "unit_id")}


def _maybe(kind: pa.DataType, meaning: str) -> Column:
    return Column(kind, meaning, nullable=True)


UNITS = Table(
    {
        "place": Column(I64, "place in the gallery, 0 first: by hu_rank, then panel, then the others"),
        **TARGET_COLUMNS,
        "hu_rank": _maybe(I64, "rank among the selected; null: not selected"),
        "panel": _maybe(TEXT, "kind of unit in the truth panel; null: not in it"),
        "brain_area": _maybe(TEXT, "brain area"),
        "layer": _maybe(TEXT, "cortical layer"),
        "oracle_corr": _maybe(F64, "Pearson oracle"),
        "cnn_fraction_oracle": _maybe(F64, "test correlation of the CNN ensemble / oracle"),
        "lin_fraction_oracle": _maybe(F64, "that of the linear ensemble / oracle"),
        "n_images": Column(I64, "images of the unit in the gallery"),
        "verdict": Column(TEXT, "ok, warn (look at it), bad (leave it out): the worst of its findings"),
    }
)
IMAGES = Table(
    {
        **TARGET_COLUMNS,
        "what": WHAT,
        "number": NUMBER,
        "artifact": Column(TEXT, "digest of the artifact that holds the image"),
        "row": Column(I64, "its row there"),
        **MEASURED,
        "reference_share": _maybe(F64, "reference_activation over that of the unit's MEI, if that is > 0"),
        "validator_share": _maybe(F64, "validator_activation over that of the unit's MEI, if that is > 0"),
        "iterations": _maybe(I64, "steps of the ascent; null: not climbed"),
        "stop_reason": _maybe(TEXT, "why the ascent stopped; null: not climbed"),
        "step_limit": _maybe(I64, "steps at most of an ascent that stops by itself; null: it makes them all"),
        "images_at_once": _maybe(I64, "images that went on at once after memory ran out; null: it did not"),
    }
)
MASKS = Table(
    {
        **TARGET_COLUMNS,
        "what": Column(TEXT, "kind of mask"),
        "number": Column(I64, "which of the unit's masks of that kind, 0 first"),
        "artifact": Column(TEXT, "digest of the artifact that holds the mask"),
        "row": Column(I64, "its row there"),
        "area_px": Column(F64, "sum of the mask, px²"),
        "achieved_ratio": _maybe(F64, "activation by the MEI through it over its baseline, see the kind"),
    }
)
CURVES = Table(
    {
        **OF_UNIT,
        "what": WHAT,
        "number": NUMBER,
        "against": Column(TEXT, "contrast (of the image) or distance (by which it is displaced)"),
        "x": Column(F64, "contrast, grey levels; distance, px"),
        "activation": Column(F64, "reference activation; by distance (rounded): its mean"),
    }
)
FINDINGS = Table(
    {
        **OF_UNIT,
        "key": Column(TEXT, "what was found"),
        "severity": Column(TEXT, "note (good to know), warn (look at it), bad (leave the unit out)"),
        "text": Column(TEXT, "the same in words"),
    }
)
SUMMARY = Table(
    {
        "key": Column(TEXT, "which number"),
        "what": Column(TEXT, "of which kind of image; empty: of the experiment"),
        "judge": Column(TEXT, "by whom: reference, validator; empty: no matter"),
        "value": Column(F64, "the number"),
        "n": Column(I64, "units (of counts: of how many)"),
        "meaning": Column(TEXT, "what it is"),
    }
)
KINDS = Table(
    {
        "what": Column(TEXT, "kind of image or mask"),
        "title": Column(TEXT, "as a person calls it"),
        "given": Column(pa.bool_(), "whether there is any; what is usual and absent is listed too"),
        "n_units": Column(I64, "units that have one"),
        "n_images": Column(I64, "images of that kind"),
    }
)
GALLERY = Kind(
    name="gallery",
    version=2,
    meaning="Every image of every unit side by side, judged: a page, a contact sheet, a panel a unit.",
    payloads={
        "units": UNITS,
        "images": IMAGES,
        "masks": MASKS,
        "curves": CURVES,
        "findings": FINDINGS,
        "summary": SUMMARY,
        "kinds": KINDS,
        "lineage": Table(
            {
                "role": Column(TEXT, "what it is to the gallery"),
                "kind": Column(TEXT, "kind of the artifact"),
                "digest": Column(TEXT, "its digest"),
            }
        ),
        "versions": Table(
            {
                "software": Column(TEXT, "package, or git: commit of a checkout"),
                "version": Column(TEXT, "that made the images; several: by name, with commas"),
            }
        ),
        "gallery": File(".html", "the page: everything above for a person, needs no network"),
        "contact_sheet": File(".png", "the MEIs of all units, on the page's grey scale"),
        "panels": File(".zip", "a PNG a unit: its images, activations, curves; named by place and unit"),
    },
    partition=GROUP,
)


@dataclass(frozen=True)
class Gallery:
    """What a gallery says; tables as `GALLERY` declares them."""

    units: pl.DataFrame
    images: pl.DataFrame
    masks: pl.DataFrame
    curves: pl.DataFrame
    findings: pl.DataFrame
    summary: pl.DataFrame
    kinds: pl.DataFrame
    lineage: pl.DataFrame
    versions: pl.DataFrame

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables by name."""
        return {name: getattr(self, name) for name in TABLES}


TABLES = ("units", "images", "masks", "curves", "findings", "summary", "kinds", "lineage", "versions")


def load_gallery(store: ArtifactStore, ref: ArtifactRef) -> Gallery:
    """Read the tables of a ``gallery`` again."""
    return Gallery(**{name: store.table(ref, name) for name in TABLES})
