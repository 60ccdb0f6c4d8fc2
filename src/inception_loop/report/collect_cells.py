"""What a report shows of single cells: scores, images, traces, matches; read from artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.matching import judged_matches, kept_matches
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import ScanKey, Traces
from inception_loop.report.closed_loop.names import PICTURES
from inception_loop.report.data import NO_MATCHES, Picture, TraceExample, UnitImages, UnitPicture

Refs = Mapping[str, Sequence[ArtifactRef]]
ByScan = Mapping[ScanKey, ArtifactRef]

SOURCES: tuple[tuple[str, Picture, str], ...] = (
    ("mei", "mei", "cnn"),
    ("grad_rf", "linear", "linear"),
    ("best_natural_image", "natural", "natural"),
)
"""Kind of artifact, what its image is called here, and its ``model_type`` in the confusion."""
TRACE_S = 30.0
_MATCH = ("source_unit_id", "unit_id", "match_freq", "total_stacks", "mean_distance", "double_match")
Shown = tuple[pl.DataFrame, npt.NDArray[np.uint8]]
Answer = tuple[float | None, float | None]


def collect_units(store: ArtifactStore, refs: Refs, name: str, truth: ArtifactRef | None) -> pl.DataFrame:
    """Return the units of the source scan as `ReportData.units` wants them.

    Parameters
    ----------
    store, refs
        Where and what.
    name
        Member of the group that is the source scan.
    truth
        ``animal_truth`` of the source scan, if known.
    """
    kind = "corrected_high_unit_selection"
    columns = ["unit_id", "oracle_corr", "cnn_test_corr", "lin_test_corr", "hu_rank"]
    units = store.table(refs[kind][0], kind).filter(name=name).select(columns)
    kinds = pl.DataFrame(schema={"unit_id": pl.Int64, "kind": pl.String})
    if truth is not None:
        kinds = store.table(truth, "units").select("unit_id", "kind")
    names = ["cnn_ceiling_fraction", "lin_ceiling_fraction"]
    shares = pl.DataFrame(schema={"unit_id": pl.Int64, **dict.fromkeys(names, pl.Float64)})
    for ref in refs.get("recovered_truth", ()):
        shares = store.table(ref, "units").select("unit_id", *names)
    out = units.join(kinds, on="unit_id", how="left").join(shares, on="unit_id", how="left")
    return out.sort("unit_id")


def collect_images(
    store: ArtifactStore,
    refs: Refs,
    units: pl.DataFrame,
    z_summary: pl.DataFrame,
    truth: ArtifactRef | None,
    wrong: Mapping[int, tuple[int, int]] | None = None,
    shown: Shown | None = None,
    name: str | None = None,
) -> tuple[UnitImages, ...]:
    """Return the images of every unit with an MEI: selected ones by rank, then the others by kind.

    Parameters
    ----------
    store, refs
        Where and what.
    units
        `ReportData.units`.
    z_summary
        Rows of ZSummaryConfusion: how the matched cells answered.
    truth
        ``animal_truth`` of the source scan, if known.
    wrong
        On how many days units are known to be matched to another cell, see `wrong_units`.
    shown
        Which image of the stimulus set was shown for which unit, and the images, see `collect_shown`. These
        stand for the computed ones, with those that only the set holds (Gabors, masked images).
    name
        Member of the group that is the source scan: units of two scans may have the same number.
    """
    own = z_summary.filter(pl.col("image_unit_id") == pl.col("source_unit_id"))
    answers = {
        (model, unit): (response, sem)
        for model, unit, response, sem in own.select(
            "model_type", "source_unit_id", "mu_resp", "sem_resp"
        ).iter_rows()
    }
    pictures: dict[int, list[UnitPicture]] = {}
    for kind, what, model in SOURCES:
        for ref in refs.get(kind, ()):
            images = store.arrays(ref, "images")["images"]
            rows = store.table(ref, kind).select("name", "unit_id", "activation").iter_rows()
            for (member, unit, activation), image in zip(rows, images, strict=True):
                if name is not None and member != name:
                    continue
                response, sem = answers.get((model, unit), (None, None))
                found = UnitPicture(what, np.array(image), activation, response, sem)
                pictures.setdefault(unit, []).append(found)
    if shown is not None:
        _as_shown(pictures, shown, answers)
    for unit, image in _true_images(store, truth).items():
        if unit in pictures:
            pictures[unit].append(UnitPicture("truth", image))
    known = units.filter(pl.col("unit_id").is_in(list(pictures))).sort(
        "hu_rank", "kind", "unit_id", nulls_last=True
    )
    return tuple(
        UnitImages(
            unit,
            rank,
            None if kind == "network" else kind,
            tuple(pictures[unit]),
            *(wrong or {}).get(unit, (0, 0)),
        )
        for unit, rank, kind in known.select("unit_id", "hu_rank", "kind").iter_rows()
    )


def _as_shown(
    pictures: Mapping[int, list[UnitPicture]], shown: Shown, answers: Mapping[tuple[str, int], Answer]
) -> None:
    """Put the pixels that the monitor got in the place of the computed ones, and add what else was shown."""
    table, images = shown
    order = {what: place for place, what in enumerate(PICTURES.values())}
    for place, model, unit in table.select("place", "model_type", "source_unit_id").iter_rows():
        if unit not in pictures or model not in PICTURES:
            continue
        what = cast(Picture, PICTURES[model])
        response, sem = answers.get((model, unit), (None, None))
        own = pictures[unit]
        found = [index for index, one in enumerate(own) if one.what == what]
        one = own.pop(found[0]) if found else UnitPicture(what, images[place], None, response, sem)
        own.append(replace(one, pixels=np.array(images[place]), shown=True))
        own.sort(key=lambda picture: order[picture.what])


def _true_images(store: ArtifactStore, truth: ArtifactRef | None) -> dict[int, np.ndarray]:
    """Best image of each true cell, where the animal has one in closed form."""
    if truth is None:
        return {}
    images = store.arrays(truth, "cells")["best_image"]
    units = store.table(truth, "units")["unit_id"].to_list()
    if len(images) != len(units):
        return {}
    return {unit: np.array(image) for unit, image in zip(units, images, strict=True) if image.any()}


def example_traces(
    store: ArtifactStore, recording: ArtifactRef, unit_ids: Sequence[int]
) -> tuple[TraceExample, ...]:
    """Return half a minute of some units' traces, from shortly before the first image on.

    None of a recording whose activity was handed over as one value a trial.
    """
    source = load_recording(store, recording)
    if not isinstance(source.activity, Traces):
        return ()
    units, values = source.units["unit_id"].to_list(), source.activity.values
    onsets = source.trials["onset_flip"].drop_nulls().drop_nans().to_numpy()
    times = source.activity.frame_times[: values.shape[1]]
    begin = float(onsets[0]) - 1.0
    frames = np.flatnonzero((times >= begin) & (times < begin + TRACE_S))
    shown = onsets[(onsets >= begin) & (onsets < begin + TRACE_S)] - begin
    return tuple(
        TraceExample(
            unit,
            times[frames] - begin,
            values[units.index(unit) : units.index(unit) + 1][0, frames[0] : frames[-1] + 1],
            shown,
        )
        for unit in unit_ids
        if unit in units and len(frames)
    )


def collect_matches(
    store: ArtifactStore,
    matches: Sequence[ArtifactRef],
    source: ScanKey,
    coordinates: ByScan,
    truths: ByScan,
    assigned: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return every match with its place in the first stack that both scans are registered in.

    Parameters
    ----------
    store
        Where the artifacts stand.
    matches
        ``best_proximity_cell_match`` or ``assigned_cell_match``, one a later scan.
    source
        The source scan.
    coordinates, truths
        ``stack_coordinates`` and, where known, ``animal_truth`` by scan.
    assigned
        ``scan, source_unit_id, assigned_unit_id, probability`` of the one-to-one assignment, if it was made.
    """
    parts = []
    for ref in matches:
        scan = ScanKey.model_validate(store.manifest(ref).config["scan"])
        rows = kept_matches(store, ref).select(_MATCH)
        places = (store.table(coordinates[one], "stack_coordinates") for one in (source, scan))
        table = place_matches(rows, *places)
        right = pl.lit(None, pl.Boolean).alias("right")
        if source in truths and scan in truths:
            known = (store.table(truths[one], "units").select("unit_id", "cell_id") for one in (source, scan))
            units = rows.select(pl.col("source_unit_id").alias("unit_id"))
            judged = judged_matches(units, rows, *known).select("source_unit_id", "right")
            table = table.join(judged, on="source_unit_id", how="left", maintain_order="left")
            right = pl.col("right")
        table = table.with_columns(right, pl.lit(str(scan)).alias("scan"))
        parts.append(_with_assigned(table, assigned).select(NO_MATCHES.columns))
    return pl.concat([NO_MATCHES, *parts])


def _with_assigned(matches: pl.DataFrame, assigned: pl.DataFrame | None) -> pl.DataFrame:
    if assigned is None:
        names = ("assigned_unit_id", "probability")
        return matches.with_columns(pl.lit(None, NO_MATCHES.schema[name]).alias(name) for name in names)
    return matches.join(assigned, on=["scan", "source_unit_id"], how="left", maintain_order="left")


def wrong_units(matches: pl.DataFrame) -> dict[int, tuple[int, int]]:
    """Return of each source unit known to be matched to another cell on how many days, and of how many.

    Examples
    --------
    >>> rows = {"source_unit_id": [5, 5, 5, 6, 7], "right": [True, False, None, True, False]}
    >>> wrong_units(pl.DataFrame(rows))
    {5: (1, 2), 7: (1, 1)}
    """
    judged = matches.drop_nulls("right").group_by("source_unit_id", maintain_order=True)
    days = judged.agg(wrong=(~pl.col("right")).sum(), n=pl.len()).filter(pl.col("wrong") > 0)
    return {unit: (wrong, n) for unit, wrong, n in days.iter_rows()}


def place_matches(rows: pl.DataFrame, source: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """Add ``x, y`` of the source unit and ``later_x, later_y`` of its match, µm, in one stack of both scans.

    Parameters
    ----------
    rows
        ``source_unit_id``, ``unit_id`` and whatever else.
    source, later
        Stack coordinates of both scans.
    """
    stack = ["stack_session", "stack_idx"]
    common = source.select(stack).join(later.select(stack), on=stack, how="semi").unique().sort(stack)[:1]
    names = {"source_unit_id": (source, "x", "y"), "unit_id": (later, "later_x", "later_y")}
    for key, (table, x, y) in names.items():
        places = table.join(common, on=stack, how="semi").select(
            pl.col("unit_id").alias(key), pl.col("stack_x").alias(x), pl.col("stack_y").alias(y)
        )
        rows = rows.join(
            places.unique(key, keep="first", maintain_order=True), on=key, how="left", maintain_order="left"
        )
    return rows
