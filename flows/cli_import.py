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
from inception_loop.artifacts.listing import resolve
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
from inception_loop.stimuli.recognised import shown_inputs
from inception_loop.stimuli.recognition import Unmatched


def import_files(
    path: Path,
    scan: ScanKey,
    options: ReadOptions,
    format: Format | None,
    *,
    stimulus_set: str | None = None,
    export: Path | None = None,
    unmatched: Unmatched = "refuse",
    as_json: bool,
) -> int:
    """Import a recording; returns the exit status."""
    check_there(path)  # what is no recording is refused before anything is started
    found_format = format or detect(path)
    check_names(found_format, options)
    store = configured_store()
    parameters = ImportParameters(
        path=str(path.absolute()),
        scan=scan,
        format=found_format,
        options=options,
        stimulus_set=None if stimulus_set is None else resolve(store, stimulus_set),
        export=None if export is None else str(export.absolute()),
        unmatched=unmatched,
    )
    shown_inputs(store, parameters.stimulus_set, export)  # so is what is no export
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
        **{name: manifest.findings[name] for name in RECOGNISED if name in manifest.findings},
    }


def in_words(result: StageResult, found: dict[str, Any]) -> str:
    """Say what was imported and how to make a dataset of it."""
    ref = result.one("recording")
    lines = [
        f"scan {found['scan']}: {found['n_trials']} trials of {found['n_images']} images, "
        f"{found['n_masks']} masks, {found['trace_kind']} activity ({found['format']}); "
        f"{'already there' if result.computed == 0 else 'imported'}",
        f"lacks: {', '.join(found['lacks']) or 'nothing'}",
        *_recognised(found),
        "",
        *next_lines(ref),
    ]
    return "\n".join(lines)


RECOGNISED = (
    *("n_recognised", "n_recognised_trials", "recognised_by", "n_unmatched", "n_unmatched_trials"),
    *(
        "n_ambiguous",
        "n_planned_trials",
        "n_fewer",
        "n_not_shown",
        "n_more",
        "n_extra",
        "order",
        "differences",
    ),
)


def _recognised(found: dict[str, Any]) -> list[str]:
    """Say which images were found in the stimulus set that the rig was given."""
    if "n_recognised" not in found:
        return []
    by = ", ".join(f"{n} by their {how}" for how, n in found["recognised_by"].items())
    lines = [
        f"of the stimulus set: {found['n_recognised']} images ({by}) in {found['n_recognised_trials']} trials"
    ]
    if found["n_unmatched"]:
        lines.append(
            f"not of it: {found['n_unmatched']} images, their {found['n_unmatched_trials']} trials excluded"
        )
    lines += [f"differs from the plan: {line}" for line in found["differences"]]
    if not found["differences"]:
        lines.append(f"as planned: all {found['n_planned_trials']} trials, in the planned order")
    return lines


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
