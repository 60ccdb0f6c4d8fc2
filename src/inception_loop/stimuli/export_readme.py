"""README.txt of an export: what the person at the rig has to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from inception_loop.stimuli.export_plan import Plan
from inception_loop.stimuli.export_session import Session

NAME = "README.txt"
_NAMED = 12  # units named one by one
_WIDTH = 96
_HZ = 60  # of a usual monitor


def duration(minutes: float) -> str:
    """Return a length for a person.

    Examples
    --------
    >>> duration(810.0), duration(59.96), duration(0.75)
    ('13 h 30 min', '1 h 00 min', '0.8 min')
    """
    if minutes < 10:
        return f"{minutes:.1f} min"
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h {rest:02d} min" if hours else f"{rest} min"


def in_words(plan: Plan) -> tuple[str, str]:
    """Return the whole session of a set, and the one that is cut, each in one line."""
    lines = []
    for size in (plan.full, plan.cut):
        what = [f"{size.unit_images} images of {size.units} units"]
        what += [f"{size.shifted_copies} shifted copies"] if size.shifted_copies else []
        what += [f"{size.others} others (oracle images, blanks)"] if size.others else []
        lines.append(
            f"{' + '.join(what)}, {size.repeats} repeats: {size.trials} trials, {duration(size.minutes)}"
        )
    return lines[0], lines[1]


def left_out(plan: Plan) -> list[str]:
    """Say what a cut session leaves out, a line each, in the order in which it was given up."""
    full, cut, said = plan.full, plan.cut, []
    if cut.shifted_copies < full.shifted_copies:
        said.append(f"{full.shifted_copies - cut.shifted_copies} shifted copies")
    if cut.repeats < full.repeats:
        said.append(f"{full.repeats - cut.repeats} of {full.repeats} repeats")
    if plan.left_out.height:
        rows = plan.left_out.rows(named=True)
        names = {row["source_name"] for row in rows}
        units = [
            f"{row['source_unit_id']}"
            + (f" of {row['source_name']}" if len(names) > 1 else "")
            + (f" (hu_rank {row['hu_rank']})" if row["hu_rank"] is not None else "")
            for row in rows[:_NAMED]
        ]
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        what = f"{len(rows)} unit{'s' if len(rows) > 1 else ''} from the end of the ranking"
        said.append(f"{what}: {', '.join(units)}{more}")
    return said


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
    said = [f"Stimuli for a rig, exported from {source}.", f"This session: {cut}."]
    if plan.is_cut:
        said += [f"The whole session would be: {full}.", *(f"Left out: {line}." for line in left_out(plan))]
    said += _monitor(source.monitor)
    there = [n for n in FILES if n == "manifest.json" or any(file.startswith(n) for file in files)]
    return TEMPLATE.format(
        said="\n".join(fill(line, _WIDTH, break_long_words=False) for line in said),
        files="\n".join(f"{name:<15} {FILES[name]}" for name in there),
        gap_s=source.gap_s,
        grey=session.grey,
        shown_s=source.shown_s,
        frames=source.shown_s * _HZ,
        hz=_HZ,
        height=source.images.shape[1],
        width=source.images.shape[2],
    )


def _monitor(monitor: Mapping[str, Any]) -> list[str]:
    """Say what the images were made for, as far as it is known."""
    said = []
    for target in monitor.get("targets", []):
        if None not in (target.get("mean"), target.get("contrast")):
            unit = "cd/m²" if target.get("type") == "luminance" else "grey levels"
            said.append(
                f"The images were brought to mean {target['mean']:g} and RMS contrast {target['contrast']:g} "
                f"{unit}."
            )
    in_light = any(target.get("type") == "luminance" for target in monitor.get("targets", []))
    how = "They were made for a monitor of" if in_light else "The rig's monitor was calibrated:"
    for curve in monitor.get("calibrations", []):
        if {"black", "white", "gamma"} <= set(curve):
            when = f", measured {curve['timestamp']}" if curve.get("timestamp") else ""
            said.append(
                f"{how} {curve['black']:.2f} to {curve['white']:.1f} cd/m², gamma {curve['gamma']:.2f}{when}."
            )
    return said


FILES = {
    "images/": "8-bit grey PNG, lossless; the number in front is image_row",
    "images.npz": "the same for numpy: images (image, row, column), condition_hash (image)",
    "images.h5": "the same as HDF5 (MATLAB's h5read returns column, row, image)",
    "trials.csv": "a row a trial, in order: image_file, onset_s, shown_s, gap_s, block, condition_hash",
    "conditions.csv": "a row an image and unit: image_file, image_class, source_unit_id, mean, contrast",
    "manifest.json": "counts, timing, seed, monitor, SHA-256 of every file",
}

TEMPLATE = """{said}

FILES

{files}
trials.parquet and conditions.parquet hold the same tables as the .csv files.

HOW TO SHOW THEM

1. Show the rows of trials.csv in their order: {gap_s:g} s of uniform grey of level {grey}, then the
   image for {shown_s:g} s ({frames:g} frames at {hz} Hz), and so on. onset_s is planned, counted from the
   start of the first gap; a frame more or less does not matter, the measured flips count.
2. The order is random within blocks, and every block shows every image. Do not sort or shuffle;
   who has to stop early stops at the end of a block.
3. Send the grey levels as they are: {height} × {width} pixels, 0..255. No colour management, no gamma or
   contrast correction, no smoothing: the images were made for the monitor as it was calibrated
   (see monitor in manifest.json, where it is known). To fill a screen, repeat pixels a whole
   number of times.
4. Write down for every trial which image was shown and the times of its flips.

HOW TO HAND THE RECORDING BACK

Any format will do that `inception-loop import` reads: NWB, HDF5, NPZ or a folder of tables.
Beside the activity it needs
- the images as sent, in any order: these {height} × {width} pixels, enlarged by repeating pixels, or
  reduced by averaging areas;
- which of them every trial showed and, with traces, its onset flip on the clock of the frames.
Then, with this folder at hand,
    inception-loop import RECORDING --animal-id A --session S --scan-idx I --export THIS_FOLDER
knows the images by their pixels, whatever they are called and however long they were on, and says
what it did not know. Images of your own in the same session are named and refused; with
--unmatched exclude their trials are left out.

To check that this folder is whole:
    inception-loop export --check THIS_FOLDER
"""
