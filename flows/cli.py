"""``inception-loop …``: the console script. Commands that only look at the store never import Prefect."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter, validators
from pydantic import ValidationError

from flows import _interrupt
from flows.cli_deploy import deploy_all
from flows.cli_export import export_stimuli
from flows.cli_import_images import import_images
from flows.cli_store_upkeep import store_app
from flows.given import given
from inception_loop.errors import ConfigurationError, InceptionLoopError, UnknownNameError

DONE, FAILED, USAGE = 0, 1, 2

StageName = Literal[
    "present",
    "import",
    "ingest",
    "dataset",
    "train",
    "select",
    "mei",
    "stimulus",
    "closed-loop",
    "across-loops",
    "report",
    "loop",
    "watch",
    "night",
    "conclude",
]

app = App(
    name="inception-loop",
    help="From a night's recording to the images each neuron should prefer, and the evidence that it does.",
    help_flags=["--help", "-h"],
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `main` says what an interrupt means
)
app.command(store_app)
app.command(export_stimuli, name="export")
app.command(import_images, name="import-images")
app.command(deploy_all, name="deploy")


@app.command
def demo(
    *,
    animal: str = "simulated",
    size: Literal["small", "paper"] = "small",
    seed: int = 1,
    days: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 1,
    output: Path = Path("outputs/demo"),
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Run the whole loop on a digital animal and write its report.

    Example: ``inception-loop demo --animal twin:network.npz --output outputs/twin``

    Parameters
    ----------
    animal
        ``simulated``, or ``twin:PATH.npz`` for a published network that plays the animal.
    size
        ``small`` takes minutes on a laptop, ``paper`` has the published sizes and takes a night.
    seed
        Seed of the animal, its images, days and noise. The networks' seeds are those of the published grid.
    days
        Later days on which the images are shown; the comparisons pool them.
    output
        Folder for ``report.html`` and ``summary.json``.
    store
        Store of the artifacts (``file:///…``, ``s3://bucket/prefix``); overrides INCEPTION_LOOP_STORE.
    json_
        Print ``summary.json`` instead of the findings in words.
    """
    _use_store(store)
    from flows.demo import run_demo

    return run_demo(animal=animal, size=size, seed=seed, days=days, output=output, as_json=json_)


@app.command(name="import")
def import_(
    path: Path,
    *,
    animal_id: int,
    session: int,
    scan_idx: int,
    format: Literal["nwb", "hdf5", "sensorium", "plain"] | None = None,
    trace_kind: Literal["deconvolved", "dff", "spikes"] | None = None,
    shown_s: float = 0.5,
    image_class: str = "natural",
    brain_area: str | None = None,
    layer: str | None = None,
    masks: Literal["refuse", "soma"] = "refuse",
    name: dict[str, str] | None = None,
    stimulus_set: str | None = None,
    export: Path | None = None,
    unmatched: Literal["refuse", "exclude"] = "refuse",
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Bring a recording from disk into the store: NWB, HDF5, a Sensorium folder, or plain NPZ and Parquet.

    Example: ``inception-loop import day1.nwb --animal-id 17 --session 1 --scan-idx 2``

    Parameters
    ----------
    path
        File or folder. Files are never unpickled, and links that leave the folder are refused.
    animal_id
        Number of the animal.
    session
        Session of the animal.
    scan_idx
        Scan of the session.
    format
        Format of the files; by default found by their content, whatever they are called.
    trace_kind
        What the activity is, where the files do not say.
    shown_s
        How long an image was on, s, where the files do not say.
    image_class
        Class of the images, where the files do not say.
    brain_area
        Area of the units, where the files do not say.
    layer
        Layer of the units, where the files do not say.
    masks
        Masks of no known class: refuse them, or take all as somata.
    name
        ``--name.ROLE PLACE``: where a part lies in the file, where several fit (the error lists them).
    stimulus_set
        What the rig showed, as ``stimulus_set/0123abcd``: its conditions are recognised by their images.
    export
        The same as the folder that ``export`` wrote for the rig.
    unmatched
        Images that the set does not hold: refuse the recording, or exclude their trials.
    store
        Store of the artifacts; overrides INCEPTION_LOOP_STORE.
    json_
        Print the result as JSON.
    """
    _use_store(store)
    from flows.cli_import import import_files
    from inception_loop.recordings.options import ReadOptions
    from inception_loop.recordings.recording import ScanKey

    options = ReadOptions(
        trace_kind=trace_kind,
        shown_s=shown_s,
        image_class=image_class,
        brain_area=brain_area,
        layer=layer,
        masks=masks,
        names=name or {},
    )
    scan = ScanKey(animal_id=animal_id, session=session, scan_idx=scan_idx)
    return import_files(
        path,
        scan,
        options,
        format,
        stimulus_set=stimulus_set,
        export=export,
        unmatched=unmatched,
        as_json=json_,
    )


@app.command
def run(
    stage: StageName,
    *,
    config: Path | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    print_schema: bool = False,
    print_example: bool = False,
    dry_run: bool = False,
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Run one stage, or the whole loop, with parameters from a TOML file.

    Example: ``inception-loop run loop --print-example > loop.toml``, then ``run loop --config loop.toml``

    What every stage makes stands in docs/stages.md, what a grid of networks can be in docs/training.md.
    Artifacts are given as ``kind/0123abcd``, the beginning of the digest, as ``store ls`` prints them.

    Parameters
    ----------
    stage
        The stage to run.
    config
        TOML file with the stage's parameters.
    set_
        ``--set KEY=VALUE``, any number of times: a parameter, beside those of the file or instead of one;
        keys as in ``rules.leave_out``, values as in TOML or as plain text.
    print_schema
        Print the JSON schema of the parameters and stop.
    print_example
        Print a complete example of the parameters as TOML and stop.
    dry_run
        Change nothing. Stage train: print how many models the grid has, and of each whether it is trained,
        missing or bad, that is, known not to work, and why. Stage stimulus: print what each fill would add,
        what is there already, which units lack an image, and how long the session is.
    store
        Store of the artifacts; overrides INCEPTION_LOOP_STORE.
    json_
        Print the result as JSON.
    """
    _use_store(store)
    if dry_run:
        from flows import cli_dry_run

        cli_dry_run.refuse_unless_told(stage)
        return cli_dry_run.dry_run(stage, given(stage, config, set_), as_json=json_)
    from flows.run_stage import example, parameters_of, run_stage

    if print_schema:
        _print(json.dumps(parameters_of(stage).model_json_schema(), indent=2))
        return DONE
    if print_example:
        _print(example(stage))
        return DONE
    return run_stage(stage, given(stage, config, set_), as_json=json_, store=store)


@app.command
def report(
    digest: str | None = None,
    *,
    dataset: bool = False,
    learning: bool = False,
    gallery: bool = False,
    loops: bool = False,
    output: Path = Path("outputs/report"),
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Write the one-file HTML report of a loop, of a dataset or of a training, or the gallery of its images.

    Example: ``inception-loop report --output outputs/report``, or ``inception-loop report --dataset``

    Parameters
    ----------
    digest
        Digest (or its beginning) of a ``report``, ``dataset_report``, ``learning_report``, ``gallery`` or
        ``loops_report``; by default the newest one.
    dataset
        Write a dataset report: whether its recordings are sound.
    learning
        Write a learning report: how well the networks learnt.
    gallery
        Write a gallery: every image of every unit, and which units to leave out.
    loops
        Write the report of several loops in one analysis, its figures and their data.
    output
        Folder for ``report.html``, ``summary.json``, ``figures/``, ``data/``, or for ``dataset_report.html``,
        ``learning_report.html``, ``gallery.html`` and its pictures, or ``loops_report.html``.
    store
        Store of the artifacts; overrides INCEPTION_LOOP_STORE.
    json_
        Print where the files are as JSON.
    """
    _use_store(store)
    from flows.cli_report import write_report

    which = {"dataset": dataset, "learning": learning, "gallery": gallery, "loops": loops}
    return write_report(digest, **which, output=output, as_json=json_)


@app.command
def target(
    stimulus_set: str | None = None,
    *,
    loop_group: int = 0,
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Name the stimulus set that the rig shows next, or say which one that is.

    Example: ``inception-loop target stimulus_set/0123abcd``

    Stage stimulus names the set that it makes, unless its ``name_target`` is false.

    Parameters
    ----------
    stimulus_set
        The set to show next, as ``stimulus_set/0123abcd``; by default nothing is named, all that were are
        listed, what counts last.
    loop_group
        The loop.
    store
        Store of the artifacts; overrides INCEPTION_LOOP_STORE.
    json_
        Print JSON instead of words.
    """
    _use_store(store)
    from flows.cli_target import name_or_list

    return name_or_list(stimulus_set, loop_group, as_json=json_)


@app.command
def doctor(
    *,
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Check versions, store, Prefect and devices; for each fault say what to do.

    Example: ``inception-loop doctor --store s3://bucket/prefix``

    Parameters
    ----------
    store
        Store to check; overrides INCEPTION_LOOP_STORE.
    json_
        Print the findings as JSON.
    """
    _use_store(store)
    from flows.doctor import examine

    return examine(as_json=json_)


def _use_store(store: str | None) -> None:
    if store is not None:
        os.environ["INCEPTION_LOOP_STORE"] = store


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def one_line(error: BaseException | str) -> str:
    """Say an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the console script: exit status 0 done, 1 the run failed, 2 wrong usage or configuration."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    sys.exit(_status(words, debug))


def _status(words: list[str], debug: bool) -> int:
    try:
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return status if isinstance(status, int) else DONE
    except KeyboardInterrupt:
        _interrupt.announce()
        return _interrupt.STATUS
    except BrokenPipeError:  # whoever read the output has seen enough: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush goes there
        return DONE
    except (CycloptsError, ConfigurationError, UnknownNameError) as error:
        return _refuse(error, USAGE, debug)
    except ValidationError as error:
        from inception_loop.faults import in_words

        return _refuse(error, USAGE, debug, in_words(error, typed=words))
    except InceptionLoopError as error:
        return _refuse(error, FAILED, debug)
    except Exception as error:
        what = f"unexpected {type(error).__name__}: {error}; --debug gives the traceback"
        return _refuse(error, FAILED, debug, what)


def _refuse(error: Exception, status: int, debug: bool, what: str | None = None) -> int:
    if debug:
        traceback.print_exception(error)
    sys.stderr.write(f"error: {one_line(error if what is None else what)}\n")
    return status


if __name__ == "__main__":
    main()
