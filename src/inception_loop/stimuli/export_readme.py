"""README.txt of an export: what the person at the rig has to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import polars as pl

from inception_loop.stimuli.export_session import Session
from inception_loop.stimuli.export_warnings import warnings_of
from inception_loop.stimuli.export_words import in_words, left_out, some
from inception_loop.stimuli.leave_out import scan_of

NAME = "README.txt"
_WIDTH = 96
_HZ = 60  # of a usual monitor


def readme(session: Session, files: Sequence[str]) -> str:
    """Return the text of README.txt.

    Parameters
    ----------
    session
        What is shown.
    files
        Names of the files beside it.
    """
    source, plan = session.source, session.plan
    full, cut = in_words(plan)
    said = [f"Stimuli for a rig, exported from {source}.", *_whose(session), f"This session: {cut}."]
    if plan.is_cut:
        said += [f"The whole session would be: {full}.", *(f"Left out: {line}." for line in left_out(plan))]
    said += _monitor(source.monitor)
    said += [f"WARNING: {line}." for line in warnings_of(session)]
    there = [n for n in FILES if n == "manifest.json" or any(file.startswith(n) for file in files)]
    return TEMPLATE.format(
        said="\n".join(fill(line, _WIDTH, break_long_words=False) for line in said),
        files="\n".join(f"{name:<15} {FILES[name]}" for name in there),
        images="\n".join(_classes(session)),
        gap_s=source.gap_s,
        grey=session.grey,
        shown_s=source.shown_s,
        frames=source.shown_s * _HZ,
        hz=_HZ,
        height=source.images.shape[1],
        width=source.images.shape[2],
    )


def _whose(session: Session) -> list[str]:
    """Say for which animal the images are."""
    made = session.conditions.filter(pl.col("source_unit_id").fill_null(-1) >= 0)
    scans = made.select(scan_of("source_name").unique(maintain_order=True)).to_series().to_list()
    if not scans:
        return []
    which = f"scan {scans[0]}" if len(scans) == 1 else f"scans {', '.join(scans)}"
    return [f"For the animal and the cells of {which} (animal-session-scan)."]


def _classes(session: Session) -> list[str]:
    """Count the images of each class."""
    made = pl.col("source_unit_id").fill_null(-1) >= 0
    counts = session.conditions.group_by("image_class", "model_type").agg(
        images=pl.col("image_row").n_unique(),
        units=pl.struct("source_name", "source_unit_id").filter(made).n_unique(),
    )
    return [
        f"{image_class:<17} {some(images, 'image')}{_for(units)}: {MODEL_TYPES.get(model_type, model_type)}"
        for image_class, model_type, images, units in counts.sort("image_class", "model_type").rows()
    ]


def _for(units: int) -> str:
    return f" for {some(units, 'unit')}" if units else ""


def _monitor(monitor: Mapping[str, Any]) -> list[str]:
    """Say what the images were made for, and by which calibration, as far as it is known."""
    targets, said = monitor.get("targets", []), []
    for target in targets:
        if None not in (target.get("mean"), target.get("contrast")):
            unit = "cd/m²" if target.get("type") == "luminance" else "grey levels"
            said.append(
                f"The images were brought to mean {target['mean']:g} and RMS contrast {target['contrast']:g} "
                f"{unit}."
            )
    in_light = any(target.get("type") == "luminance" for target in targets)
    curves = [curve for curve in monitor.get("calibrations", []) if {"black", "white", "gamma"} <= set(curve)]
    if any(target.get("type") == "grey" for target in targets):
        said.append("They are alike in grey levels; in light they differ as the monitor makes them.")
    for curve in curves:
        how = (
            "Their grey levels come from the calibration" if in_light else "The rig's monitor was calibrated:"
        )
        said.append(
            f"{how} {curve['digest'][:12]}{_measured_where(curve)}, {curve['black']:.2f} to "
            f"{curve['white']:.1f} cd/m², gamma {curve['gamma']:.2f}, {_measured_when(curve)}."
        )
    return said


def _measured_where(curve: Mapping[str, Any]) -> str:
    if not {"animal_id", "session", "scan_idx"} <= set(curve):
        return ""
    rig = f", rig {curve['rig']}" if curve.get("rig") else ""
    return f" of scan {curve['animal_id']}-{curve['session']}-{curve['scan_idx']}{rig}"


def _measured_when(curve: Mapping[str, Any]) -> str:
    """Say when a monitor was measured, and how long before the session that is."""
    when = f"measured {curve['timestamp']}" if curve.get("timestamp") else "measured: time not given"
    hours = curve.get("hours_before_session")
    if hours is None:
        return f"{when}; how long before this session: time of the session not given"
    length = f"{abs(hours) / 24:.1f} days" if abs(hours) >= 48 else f"{abs(hours):.1f} h"
    return f"{when}, {length} {'before' if hours >= 0 else 'after'} the session ({curve['session_time']})"


MODEL_TYPES = {
    "cnn": "most exciting by the network",
    "linear": "receptive field of the linear network",
    "gabor": "the most exciting Gabor",
    "masked_cnn": "most exciting, within its mask",
    "masked_natural": "the most exciting photograph within that mask",
    "natural": "the most exciting photograph, whole",
    "oracle": "photographs of the source scan, by which cells are matched",
    "blank": "uniform",
}

FILES = {
    "images/": "8-bit grey PNG, lossless; the number in front is image_row",
    "images.npz": "the same for numpy: images (image, row, column), condition_hash (image)",
    "images.h5": "the same as HDF5 (MATLAB's h5read returns column, row, image)",
    "trials.csv": "a row a trial, in order; columns below",
    "conditions.csv": "a row an image and unit: whose it is, mean and contrast, predicted responses",
    "manifest.json": "counts, timing, seed, monitor, SHA-256 of every file",
}

TEMPLATE = """{said}

FILES

{files}
trials.parquet and conditions.parquet hold the same tables as the .csv files.

IMAGES, BY image_class

{images}

COLUMNS OF trials.csv

position, block       numbers of the trial in the session and of its block, 0 first
image_row             number of the image in its file, 0 first (MATLAB: add 1)
image_file            its PNG, where there are such
image_class           what it is, see above
scan, unit_id         the unit that it was made for: animal-session-scan, and its number there; several
                      are joined by ";"; empty: made for none
onset_s               planned onset, counted from the start of the first gap, s
shown_s, gap_s        how long the image is shown; how long the grey before it, s
condition_hash        the image's name in the analysis; condition_row: row of conditions.csv, 0 first

HOW TO SHOW THEM

1. Show the rows of trials.csv in their order: {gap_s:g} s of uniform grey of level {grey}, then the
   image for {shown_s:g} s ({frames:g} frames at {hz} Hz), and so on; after the last image the same grey.
   A frame more or less does not matter, the measured flips count.
2. The order is random within blocks, and every block shows every image. Do not sort or shuffle;
   who has to stop or pause does so at the end of a block.
3. Send the grey levels as they are: {height} × {width} pixels, 0..255. No colour management, no gamma or
   contrast correction, no smoothing. To fill a screen, repeat pixels a whole number of times.
4. Show them where and as large as the source scan showed its images: same place and distance of
   the monitor, same size of the picture. Its oracle images are among these, of the same size.
5. Write down for every trial which image was shown and the times of its flips.

HOW TO HAND THE RECORDING BACK

Any format will do that `inception-loop import` reads: NWB, HDF5, NPZ or a folder of tables.
Beside the activity it needs
- the images as sent, in any order: these {height} × {width} pixels, enlarged by repeating pixels, or
  reduced by averaging areas;
- which of them every trial showed and, with traces, its onset flip on the clock of the frames.
Then, with this folder at hand,
    inception-loop import RECORDING --animal-id A --session S --scan-idx I --export THIS_FOLDER
knows the images by their pixels, whatever they are called and however long they were on. It says
what differs from this plan: images shown fewer times, more often or not at all, another order.
Images of your own in the same session are named and refused; with --unmatched exclude their
trials are left out.

To check that this folder is whole:
    inception-loop export --check THIS_FOLDER
"""
