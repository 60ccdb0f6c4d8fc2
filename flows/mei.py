"""Stage *mei*: the MEI of every wanted unit, in batches, and the images that it is compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from prefect import flow

from flows._asked import Asked
from flows._emulated import warn_if_emulated
from flows._images import Batch, Judged
from flows._member import member_shown
from flows._stage import Stage, StageResult, configured_store
from flows._step import DEVICE
from flows.cluster.runner import runner
from flows.telling.gallery import tell_gallery
from flows.telling.runs import rename, watched
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.frame import refuse_luminance
from inception_loop.errors import DataError, RefusedUnitsError
from inception_loop.images.natural.searched import searched
from inception_loop.images.target import TargetUnit
from inception_loop.images.wanted import of_scan, wanted_units, without
from inception_loop.parameters import MeiParameters
from inception_loop.report.gallery.report import GalleryConfig, make_gallery
from inception_loop.report.words import count


def batches(
    wanted: pl.DataFrame, size: int, leave_out: Sequence[str] = ()
) -> Iterator[tuple[str, tuple[TargetUnit, ...]]]:
    """Yield batches of one member's units, in the order of the table.

    A unit that is left out leaves a gap in its batch, so that the other batches stay what they were.
    """
    kept = without(wanted, leave_out)
    for (name,), rows in wanted.group_by("name", maintain_order=True):
        for start in range(0, rows.height, size):
            batch = rows[start : start + size].join(kept, on=kept.columns, how="semi", maintain_order="left")
            units = batch.select("neuron_id", "unit_id").rows()
            if units:
                yield str(name), tuple(TargetUnit(neuron_id=n, unit_id=u) for n, u in units)


def line_without(leave_out: Sequence[str], refused: RefusedUnitsError) -> str:
    """Return what stands in a parameter file for a run without some units more.

    Examples
    --------
    >>> from inception_loop.errors import Refusal
    >>> print(line_without(["a/3"], RefusedUnitsError(Refusal("no gradient", {"a/5": ""}, "expected one"))))
    [images] leave_out = ["a/3", "a/5"]
    """
    return f"[images] leave_out = {json.dumps([*leave_out, *refused.units], ensure_ascii=False)}"


def _check_pictures(
    p: MeiParameters, store: ArtifactStore, pictures: ArtifactRef, wanted: pl.DataFrame
) -> None:
    """Refuse natural images of another size, or fewer than units, before anything is made."""
    if set(p.images.also) & {"natural", "masked"}:
        kept = without(wanted, p.images.leave_out)
        for name, n_units in kept.group_by("name").len().sort("name").rows():
            seen = searched(store, p.dataset, name).image_size
            searched(store, pictures, name, p.images.searched).check(seen, n_units)


@flow(name="mei", task_runner=runner(), **watched(lambda p: f"mei group {p.group_id}"))
def mei(parameters: Asked[MeiParameters]) -> StageResult:
    """Synthesise the MEI of every wanted unit, and make or search the images that it is compared with."""
    p, store, stage = parameters, configured_store(), Stage("mei", needs=DEVICE)
    refuse_luminance(store, [p.dataset])
    selection = store.table(p.selection, "corrected_high_unit_selection")
    panel = None if p.panel is None else store.table(p.panel, "truth_panel")
    models = Judged.of(store, p.target_model)
    pictures = p.dataset if p.pictures is None else p.pictures
    name = None if p.recording is None else member_shown(store, p.group_id, p.recording, selection)
    wanted = of_scan(wanted_units(selection, panel), name)
    rename(f"mei group {p.group_id} · {count(wanted.height, 'unit')}")
    _check_pictures(p, store, pictures, wanted)
    warn_if_emulated("mei", {p.images.precision})
    of: dict[str, Any] = {"group_id": p.group_id}
    for number, (name, units) in enumerate(batches(wanted, p.images.batch, p.images.leave_out), 1):
        label = f"{name} batch {number} ({len(units)} units)"
        Batch(stage, p.images, models, pictures, label, **of, name=name, units=units).submit()
    for name, units in batches(wanted, wanted.height, p.images.leave_out):
        label = f"{name} ({len(units)} units)"
        Batch(stage, p.images, models, pictures, label, **of, name=name, units=units).submit_searches()
    try:
        made = stage.made().refs  # waits: the gallery shows them all
    except RefusedUnitsError as error:
        line = line_without(p.images.leave_out, error)
        raise DataError(f"{error}; to go on without them: {line}") from error
    stage.submit(
        make_gallery,
        GalleryConfig(group_id=p.group_id),
        images=made,
        selection=p.selection,
        panel=p.panel,
    )
    result = stage.result()
    tell_gallery(store, result)
    return result
