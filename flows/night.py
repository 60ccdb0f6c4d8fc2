"""Flow *night*: head of the loop, from the recordings that have arrived to what each animal is shown next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from prefect import State, flow

from flows._asked import Asked
from flows._head import Done, Head, learn, make_images
from flows._one_by_one import OneByOne
from flows._patience import patiently
from flows._stage import StageResult, configured_store, merge
from flows.cluster.runner import runner
from flows.observing import say
from flows.telling import publish
from flows.telling.runs import PASSED_OVER, no_news, watched
from flows.watch import QUARANTINED, watch
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.traced import scan_of
from inception_loop.dataset.stage import by_scan
from inception_loop.errors import ConfigurationError
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
    said, news = list[str](), list[StageResult]()
    data_of(p.models())  # refused now, not after the training
    each = OneByOne("night", store)
    if p.watch is not None:
        each.part("the look at the folder", partial(_watched, p, done, said))
        news += done.results
    animals = given(store, p.recordings) if p.recordings else unfinished(store)
    if not animals:
        say("night", "nothing new: every first day has its target")
    rows = []
    for animal, recordings in animals.items():
        one, what = Done(), f"animal {animal}"
        each(what, partial(_head_of_loop, p, animal, recordings, one), _made_of(p, recordings))
        done.results += one.results
        news += [] if what in each.failed else one.results
        rows.append(_row(store, animal, recordings, one, each.failed.get(what, "")))
    rows.sort(key=lambda row: not row["why not"])
    publish.table("night", rows, f"{len(rows)} animals, {sum(bool(row['why not']) for row in rows)} failed")
    if each.quiet and not said and not any(result.refs for result in news):
        no_news()
    return each.end(merge("night", done.results), said, QUARANTINED if said else None)


def _made_of(p: NightParameters, recordings: Sequence[ArtifactRef]) -> list[object]:
    """Return what the images of an animal depend on."""
    rules = p.model_dump(mode="json", exclude={"recordings", "watch"})
    return [rules, [ref.digest for ref in recordings]]


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


def _watched(p: NightParameters, done: Done, said: list[str]) -> str:
    assert p.watch is not None
    ended: State[StageResult] = patiently("watch", lambda: watch(p.watch, return_state=True))
    done.with_result(ended.result())
    if ended.name == QUARANTINED:
        said.append(f"the look at the folder: {ended.message}")
    return ended.message or "" if ended.name == PASSED_OVER else ""


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
    source = scan_of(configured_store(), recordings[0])
    more = f", learnt with {len(recordings) - 1} more first days" if recordings[1:] else ""
    say("night", f"animal {animal}: images for units of {source}{more}")
    learn(head, recordings, done)
    make_images(head, recordings[0], done)


def _row(
    store: ArtifactStore, animal: int, recordings: Sequence[ArtifactRef], made: Done, error: str
) -> Mapping[str, object]:
    shown = made.refs("stimulus_set")
    return {
        "animal": animal,
        "first days": len(recordings),
        "images for units of": str(scan_of(store, recordings[0])),
        "computed": sum(result.computed for result in made.results),
        "already there": sum(result.cached for result in made.results),
        "last stage": made.results[-1].stage if made.results else "",
        "shown next": f"stimulus_set/{shown[0].digest[:12]}" if shown else "",
        "why not": error,
    }
