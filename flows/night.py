"""Flow *night*: head of the loop, from the recordings that have arrived to what each animal is shown next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from prefect import flow

from flows import _interrupt
from flows._arriving import in_one_line
from flows._asked import Asked
from flows._head import Done, Head, learn, make_images
from flows._stage import StageResult, configured_store, merge, say
from flows.cluster.runner import runner
from flows.telling import publish
from flows.telling.runs import watched
from flows.watch import watch
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.stage import by_scan
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.night_parameters import NightParameters
from inception_loop.parameters import data_of
from inception_loop.stimuli.unfinished import is_later_day, unfinished


def _title(p: NightParameters) -> str:
    what = f"{len(p.recordings)} recordings" if p.recordings else "what has arrived"
    return f"night · {what} · {len(p.models())} models an animal"


@flow(name="night", task_runner=runner(), **watched(_title))
def night(parameters: Asked[NightParameters]) -> StageResult:
    """Make dataset, networks, images and the next stimulus set of every animal whose first days have arrived.

    An animal that fails does not stop the others; the run fails at the end and names it.
    """
    p, done, store = parameters, Done(), configured_store()
    data_of(p.models())  # refused now, not after the training
    failed: dict[str, Exception] = {}
    if p.watch is not None:
        _try("watch", failed, partial(_watched, p, done))
    animals = given(store, p.recordings) if p.recordings else unfinished(store)
    if not animals:
        say("night", "nothing new: every first day has its target")
    rows = []
    for animal, recordings in animals.items():
        say("night", f"animal {animal}: {len(recordings)} first days")
        one = Done()
        _try(f"animal {animal}", failed, partial(_head_of_loop, p, animal, recordings, one))
        done.results += one.results
        rows.append(_row(animal, recordings, one, failed.get(f"animal {animal}")))
    publish.table("night", rows, f"{len(animals)} animals, {len(failed)} failed")
    _refuse(failed, len(animals))
    return merge("night", done.results)


def given(store: ArtifactStore, recordings: Sequence[ArtifactRef]) -> dict[int, tuple[ArtifactRef, ...]]:
    """Return recordings by animal.

    Raises
    ------
    ConfigurationError
        If one is of a later day, or a scan comes twice.
    """
    found: dict[int, list[ArtifactRef]] = {}
    for scan, ref in by_scan(store, recordings).items():
        if is_later_day(store.manifest(ref)):
            raise ConfigurationError(
                f"{ref} is of a later day; expected first days, which networks are trained on; "
                "compare it: inception-loop run conclude"
            )
        found.setdefault(scan.animal_id, []).append(ref)
    return {animal: tuple(refs) for animal, refs in found.items()}


def _watched(p: NightParameters, done: Done) -> None:
    if p.watch is not None:
        done(watch(p.watch))


def _head_of_loop(p: NightParameters, animal: int, recordings: tuple[ArtifactRef, ...], done: Done) -> None:
    head = Head(
        dataset=p.dataset.model_copy(update={"group_id": animal}),
        quality=p.quality,
        grid=p.grid,
        selection=p.selection,
        images=p.images,
        stimulus=p.stimulus,
        loop_group=animal,
    )
    learn(head, recordings, done)
    make_images(head, recordings[0], done)


def _try(what: str, failed: dict[str, Exception], action: partial[None]) -> None:
    try:
        action()
    except _interrupt.StoppedError:
        raise
    except Exception as error:
        failed[what] = error
        say("night", f"✗ {what}: {in_one_line(error)}")


def _row(
    animal: int, recordings: Sequence[ArtifactRef], made: Done, error: Exception | None
) -> Mapping[str, object]:
    shown = made.refs("stimulus_set")
    return {
        "animal": animal,
        "first days": len(recordings),
        "computed": sum(result.computed for result in made.results),
        "already there": sum(result.cached for result in made.results),
        "last stage": made.results[-1].stage if made.results else "",
        "shown next": f"stimulus_set/{shown[0].digest[:12]}" if shown else "",
        "why not": "" if error is None else in_one_line(error),
    }


def _refuse(failed: Mapping[str, Exception], n_animals: int) -> None:
    """Fail a night of which something failed, after everything else is done."""
    if not failed:
        return
    said = "; ".join(f"{what}: {in_one_line(error)}" for what, error in failed.items())
    raise DataError(f"of {n_animals} animals not all are ready ({said}); the others are; run night again")
