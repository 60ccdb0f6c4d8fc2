"""The manifest of an export: what it shows, from which stimulus set, and the SHA-256 of every file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.provenance import versions
from inception_loop.errors import DataError
from inception_loop.stimuli.export_session import Session
from inception_loop.stimuli.export_warnings import warnings_of

Format = Literal["png", "npz", "hdf5"]
NAME = "manifest.json"
FORMAT = "inception-loop-export"
VERSION = 2  # 2: a trial says class and unit, the manifest what was asked to be left out
SHOWN_UNITS = 1000  # units left out that a manifest lists


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer project may say more


class FileRecord(_Part):
    """One file as it was written."""

    bytes: int
    sha256: str


class StimulusSetRecord(_Part):
    """The stimulus set, without the place where it lies."""

    kind: str
    digest: str
    payloads: dict[str, str] = Field(description="SHA-256 of each payload.")


class ExportManifest(_Part):
    """What an export is.

    Attributes
    ----------
    format : ``inception-loop-export/2``
    export : SHA-256 of what is shown and in which files: equal for two exports of the same session
    stimulus_set : where it comes from
    session : trials, minutes, timing, seed, grey level of the gaps
    full, left_out : the whole session of the set, and what of it is not shown
    image : size and number of the images
    monitor : what the set knows of the monitor; empty: nothing
    warnings : what may be regretted, in words
    files : name → size and SHA-256 of every file but this one
    versions : of what wrote it
    """

    format: str
    export: str
    stimulus_set: StimulusSetRecord
    formats: list[Format]
    session: dict[str, Any]
    full: dict[str, Any]
    left_out: dict[str, Any]
    image: dict[str, Any]
    monitor: dict[str, Any]
    warnings: list[str] = []
    files: dict[str, FileRecord]
    versions: dict[str, str]


def identity_of(session: Session, formats: tuple[Format, ...]) -> str:
    """Return the digest of what an export shows and in which files."""
    source, plan = session.source, session.plan
    shown = {
        "format": VERSION,
        "stimulus_set": {"kind": source.kind, "digest": source.digest, "payloads": dict(source.payloads)},
        "images": plan.images.tolist() if plan.is_cut else "all",
        "repeats": plan.cut.repeats,
        "leave_out": sorted(plan.asked),
        "formats": sorted(formats),
    }
    return hashlib.sha256(canonical_json(shown).encode()).hexdigest()


def manifest_of(
    session: Session, formats: tuple[Format, ...], files: Mapping[str, FileRecord]
) -> ExportManifest:
    """Return the manifest of a session that is written into these files."""
    source, plan = session.source, session.plan
    gone = plan.left_out.head(SHOWN_UNITS)
    counts = session.conditions.group_by("model_type").agg(pl.col("image_row").n_unique()).sort("model_type")
    return ExportManifest(
        format=f"{FORMAT}/{VERSION}",
        export=identity_of(session, formats),
        stimulus_set=StimulusSetRecord(
            kind=source.kind, digest=source.digest, payloads=dict(source.payloads)
        ),
        formats=sorted(formats),
        session={
            **plan.cut._asdict(),
            "minutes": round(plan.cut.minutes, 6),
            "cut": plan.is_cut,
            "images_by_model_type": dict(counts.rows()),
            "shown_s": source.shown_s,
            "gap_s": source.gap_s,
            "gap_grey_level": session.grey,
            "seed": source.seed,
        },
        full={**plan.full._asdict(), "minutes": round(plan.full.minutes, 6)},
        left_out={
            "asked": list(plan.asked),
            "asked_images": plan.full.images - plan.wanted.images,
            "shifted_copies": plan.wanted.shifted_copies - plan.cut.shifted_copies,
            "repeats": plan.wanted.repeats - plan.cut.repeats,
            "units": plan.left_out.height,
            "unit_list": gone.rename({"source_name": "name", "source_unit_id": "unit_id"}).to_dicts(),
        },
        image={
            "count": len(session.rows),
            "height": source.images.shape[1],
            "width": source.images.shape[2],
            "levels": "8 bit grey, 0..255, as sent to the monitor",
        },
        monitor=_plain(source.monitor),
        warnings=warnings_of(session),
        files=dict(files),
        versions={name: versions()[name] for name in sorted(versions())},
    )


def encode(manifest: ExportManifest) -> bytes:
    """Return the manifest as readable JSON that ends in a SHA-256 of itself."""
    body = manifest.model_dump(mode="json")
    return _text({**body, "manifest_sha256": _checksum(body)}).encode()


def read_manifest(folder: Path) -> ExportManifest:
    """Read the manifest of an export and check that not a bit of it has changed.

    Raises
    ------
    DataError
        If there is none, it is damaged, or a newer project wrote it.
    """
    path = folder / NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); expected the folder of an export; name it"
        ) from error
    try:
        body = json.loads(data)
        if body.get("format", "").partition("/")[0] != FORMAT:
            raise ValueError("it is of something else")
        if _text(body).encode() != data or body.pop("manifest_sha256") != _checksum(body):
            raise ValueError("its bytes have changed")
        if int(body["format"].partition("/")[2]) > VERSION:
            raise ValueError(f"{body['format']} is newer than {VERSION}")
        return ExportManifest.model_validate(body)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, ValidationError) as error:
        reason = "it lacks or misspells a field" if isinstance(error, (ValidationError, KeyError)) else error
        raise DataError(
            f"{path} is no manifest of an export to be trusted ({reason}); expected one as it was written; "
            "export again"
        ) from error


def _plain(value: Any) -> Any:
    """Return plain JSON: numbers that are not finite are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(body).encode()).hexdigest()


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
