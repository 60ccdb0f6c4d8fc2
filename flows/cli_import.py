"""``inception-loop import``: a recording from disk into the store, and what to run next."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tomli_w

from flows._local import run_locally
from flows._stage import StageResult, configured_store
from flows.import_recording import import_recording
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.fitting import fitting_config
from inception_loop.errors import DataError
from inception_loop.parameters import ImportParameters
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.files import check_there
from inception_loop.recordings.formats import check_names, detect
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.recordings.recording import ScanKey


def import_files(
    path: Path, scan: ScanKey, options: ReadOptions, format: Format | None, *, as_json: bool
) -> int:
    """Import a recording; returns the exit status."""
    check_there(path)  # what is no recording is refused before anything is started
    found_format = format or detect(path)
    check_names(found_format, options)
    parameters = ImportParameters(path=str(path.absolute()), scan=scan, format=found_format, options=options)
    result: StageResult = run_locally(import_recording, parameters, quiet=as_json, title=f"import {path}")
    found = findings(result.one("recording"))
    if as_json:
        sys.stdout.write(json.dumps({**result.model_dump(mode="json"), "found": found}, indent=2) + "\n")
    else:
        sys.stdout.write(in_words(result, found))
    return 0


def findings(ref: ArtifactRef) -> dict[str, Any]:
    """Return what was found in an imported recording: counts, and what it lacks."""
    store = configured_store()
    manifest, recording = store.manifest(ref), load_recording(store, ref)
    return {
        "scan": str(recording.scan),
        "format": manifest.config["format"],
        "trace_kind": recording.trace_kind,
        **{name: manifest.findings[name] for name in ("n_masks", "n_trials", "n_excluded", "lacks")},
        "n_images": recording.conditions.height,
    }


def in_words(result: StageResult, found: dict[str, Any]) -> str:
    """Say what was imported and how to make a dataset of it."""
    ref = result.one("recording")
    lines = [
        f"scan {found['scan']}: {found['n_trials']} trials of {found['n_images']} images, "
        f"{found['n_masks']} masks, {found['trace_kind']} activity ({found['format']}); "
        f"{'already there' if result.computed == 0 else 'imported'}",
        f"lacks: {', '.join(found['lacks']) or 'nothing'}",
        "",
        *next_lines(ref),
    ]
    return "\n".join(lines)


def next_lines(ref: ArtifactRef) -> list[str]:
    """Say what to run next with a recording."""
    try:
        config = fitting_config(load_recording(configured_store(), ref))
    except DataError as error:
        return [f"next: {error}", ""]
    return [
        "next: read these choices, save them as dataset.toml and run",
        "  inception-loop run dataset --config dataset.toml",
        "",
        dataset_toml(ref, config),
    ]


def dataset_toml(ref: ArtifactRef, config: DatasetConfig) -> str:
    """Return parameters of stage *dataset* for a recording as TOML: what differs from the published choices.

    Examples
    --------
    >>> ref = ArtifactRef(kind="recording", digest="0" * 64, uri="file:///store/recording/x")
    >>> config = DatasetConfig(group_id=1, missing={"no_eye": "omit"})
    >>> print(dataset_toml(ref, config).split("uri")[1])
     = "file:///store/recording/x"
    <BLANKLINE>
    [config]
    group_id = 1
    <BLANKLINE>
    [config.missing]
    no_eye = "omit"
    <BLANKLINE>
    """
    chosen = config.model_dump(mode="json", exclude_defaults=True) | {"group_id": config.group_id}
    return tomli_w.dumps({"recordings": [ref.model_dump(mode="json")], "config": chosen})
