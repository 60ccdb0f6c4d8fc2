"""``inception-loop export``: a stimulus set as a folder for a rig, cut to a length. Imports no Prefect."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from inception_loop.errors import ConfigurationError

if TYPE_CHECKING:
    from inception_loop.artifacts.ref import ArtifactRef
    from inception_loop.artifacts.store import ArtifactStore
    from inception_loop.stimuli.export import Exported
    from inception_loop.stimuli.export_session import Session


def export_stimuli(
    stimulus_set: str | None = None,
    *,
    output: Path | None = None,
    minutes: float | None = None,
    min_repeats: int | None = None,
    leave_out: str | None = None,
    format: str = "png,npz,hdf5",
    dry_run: bool = False,
    next_: Annotated[bool, Parameter(name="--next")] = False,
    loop_group: int = 0,
    check: Path | None = None,
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Write a stimulus set for a rig: images, trial order, manifest. Or check a folder that was written.

    Example: ``inception-loop export stimulus_set/0123abcd --output rig --minutes 90``

    What does not fit into the minutes is left out in this order: shifted copies; repeats, as far as
    --min-repeats allows; units from the end of the ranking. Oracle images and blanks stay.
    With --leave-out or --minutes that cut, the order is drawn anew from the set's seed.

    Parameters
    ----------
    stimulus_set
        The set, as ``stimulus_set/0123abcd``; by default what the rig shows next (see --next).
    output
        Folder to write: absent or empty. The same export in it is left as it is.
    minutes
        Length that there is; by default the whole session in the order of the set.
    min_repeats
        Repeats may go down to so many before units go; by default they stay.
    leave_out
        Not to be shown, before any minutes are counted: units (as 1-1-1/37) and image classes (as gabor),
        separated by commas.
    format
        Of the images: one or more of png, npz, hdf5.
    dry_run
        Say what would be shown and left out, and write nothing.
    next_
        Export the set that the newest target_static_group_id names.
    loop_group
        Loop whose target that is.
    check
        Compare a folder with its manifest instead; status 1 and a line for each file that differs.
    store
        Store of the artifacts; overrides INCEPTION_LOOP_STORE.
    json_
        Print JSON instead of words.
    """
    if store is not None:
        os.environ["INCEPTION_LOOP_STORE"] = store
    if check is not None:
        _refuse_besides_check(stimulus_set, output, next_ or leave_out is not None)
        return _check(check, as_json=json_)
    if output is None and not dry_run:
        raise ConfigurationError("export got no --output; expected a folder to write, or --dry-run")
    if min_repeats is not None and minutes is None:
        raise ConfigurationError("--min-repeats has no --minutes; expected a length to fit into; give both")
    from inception_loop.artifacts.store import open_store
    from inception_loop.stimuli.export import export_session, formats_of
    from inception_loop.stimuli.export_session import session_of
    from inception_loop.stimuli.export_source import export_source

    formats, opened = formats_of(format), open_store()
    ref = _meant(opened, stimulus_set, next_, loop_group)
    gone = [one.strip() for one in (leave_out or "").split(",") if one.strip()]
    session = session_of(export_source(opened, ref), minutes, min_repeats, gone)
    done, started = None, time.monotonic()
    if output is not None and not dry_run:
        with _progress() as tell:
            done = export_session(session, output, formats, tell)
    seconds = round(time.monotonic() - started, 2)
    said = {"output": None if done is None else str(output), "written": done is not None and done.written}
    if json_:
        _print(json.dumps({**_value(ref, session, minutes, done), **said, "seconds": seconds}, indent=2))
    else:
        _print("\n".join([*_plan_lines(ref, session, minutes), *_done_lines(done, output, seconds)]))
    return 0


def _refuse_besides_check(stimulus_set: str | None, output: Path | None, more: bool) -> None:
    if stimulus_set is not None or output is not None or more:
        raise ConfigurationError("--check looks at a folder only; expected no set and no --output beside it")


def _meant(store: ArtifactStore, name: str | None, next_: bool, loop_group: int) -> ArtifactRef:
    from inception_loop.artifacts.listing import resolve
    from inception_loop.stimuli.target_group import current_target

    if name is None:
        return current_target(store, loop_group).stimulus_set
    if next_:
        raise ConfigurationError(f"export got both {name} and --next; expected one of them")
    return resolve(store, name)


def _plan_lines(ref: ArtifactRef, session: Session, minutes: float | None) -> list[str]:
    from inception_loop.stimuli.export_warnings import warnings_of
    from inception_loop.stimuli.export_words import in_words, left_out

    plan = session.plan
    full, cut = in_words(plan)
    lines = [f"{ref}", f"whole session: {full}", *(f"left out: {line}" for line in left_out(plan))]
    if plan.is_cut:
        lines.append(f"{'this session' if minutes is None else f'fits into {minutes:g} min'}: {cut}")
    elif minutes is not None:
        lines.append(f"fits into {minutes:g} min: nothing is left out")
    return [*lines, *(f"warning: {line}" for line in warnings_of(session))]


def _done_lines(done: Exported | None, output: Path | None, seconds: float) -> list[str]:
    if done is None:
        return ["nothing was written (--dry-run)"]
    what = f"{done.manifest.image['count']} images, {done.files} files, {done.bytes / 1e6:.1f} MB"
    if not done.written:
        return [f"{output} holds this export already, whole ({what}); nothing was done"]
    return [f"written: {output} ({what}, {seconds:.1f} s); its README.txt is for the person at the rig"]


def _value(
    ref: ArtifactRef, session: Session, minutes: float | None, done: Exported | None
) -> dict[str, Any]:
    from inception_loop.stimuli.export_warnings import warnings_of

    plan = session.plan
    gone = plan.left_out.rename({"source_name": "name", "source_unit_id": "unit_id"})
    return {
        "stimulus_set": str(ref),
        "minutes": minutes,
        "full": plan.full._asdict(),
        "session": {**plan.cut._asdict(), "cut": plan.is_cut},
        "left_out": {
            "asked": list(plan.asked),
            "asked_images": plan.full.images - plan.wanted.images,
            "shifted_copies": plan.wanted.shifted_copies - plan.cut.shifted_copies,
            "repeats": plan.wanted.repeats - plan.cut.repeats,
            "units": gone.to_dicts(),
        },
        "warnings": warnings_of(session),
        "files": None if done is None else done.files,
        "bytes": None if done is None else done.bytes,
    }


def _check(folder: Path, *, as_json: bool) -> int:
    from inception_loop.stimuli.export import check_export

    checked = check_export(folder)
    manifest, faults = checked.manifest, checked.faults
    name = f"{manifest.stimulus_set.kind}/{manifest.stimulus_set.digest[:12]}"
    value = {
        "stimulus_set": name,
        "checked": len(manifest.files),
        "left_out": manifest.left_out,
        "warnings": manifest.warnings,
        "faults": [{"file": fault.file, "what": fault.what} for fault in faults],
    }
    lines = [f"{fault.file} {fault.what}" for fault in faults]
    lines.append(
        f"{len(manifest.files)} files of the export of {name} checked: "
        f"{'see above' if faults else 'all as they were written'}"
    )
    _print(json.dumps(value, indent=2) if as_json else "\n".join(lines))
    return 1 if faults else 0


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show how far it is, where somebody looks on."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
