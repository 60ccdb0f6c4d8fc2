"""A lab's night on files: found, imported, learnt from, shown next; the later day comes and concludes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from prefect.exceptions import ParameterTypeError

from flows import night as nights
from flows.conclude import conclude
from flows.night import night
from flows.observing import listening
from flows.watch import watch
from inception_loop.animals.recorded import open_animal, stimulus_session
from inception_loop.animals.session import natural_session
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.closed_loop.traced import traced_loop
from inception_loop.closed_loop.unconcluded import Unconcluded, unconcluded
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.night_parameters import ConcludeParameters, NightParameters
from inception_loop.recordings.hdf5 import write_hdf5
from inception_loop.recordings.imported import import_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.fills import MultiMeiFill
from inception_loop.stimuli.target_group import current_target, targets
from inception_loop.stimuli.unfinished import unfinished
from inception_loop.watch_parameters import WatchParameters

ANIMAL = 1


class Lab(NamedTuple):
    """A store, the folder that recordings arrive in, and the night that made the first images.

    Attributes
    ----------
    left
        What was unfinished after a night that was killed when its networks were trained.
    first
        What the night after it returned.
    """

    store: ArtifactStore
    folder: Path
    parameters: NightParameters
    left: dict[int, tuple[ArtifactRef, ...]]
    first: Any


@pytest.fixture(scope="module")
def lab(tiny, prefect_api, tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    folder, store, p = root / "arrivals", open_store(f"file://{root}/store"), tiny.tiny_parameters()
    folder.mkdir()
    recording, _ = open_animal(p.animal).record(natural_session(p.session), 0)
    write_hdf5(recording, folder / "1-1-1.h5")
    rules = {name: getattr(p, name) for name in NightParameters.model_fields if hasattr(p, name)}
    rules["images"] = p.images.model_copy(update={"also": ("linear_rf",)})  # as few images as make a loop
    rules["stimulus"] = p.stimulus.model_copy(update={"fills": (MultiMeiFill(shifts=((0, 0),)),)})
    asked = NightParameters(**rules, watch=WatchParameters(folder=str(folder), settle_s=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTION_LOOP_STORE", store.uri)
        with pytest.MonkeyPatch.context() as killed:
            killed.setattr(nights, "make_images", interrupt)
            with pytest.raises(KeyboardInterrupt):
                night(asked)
        left = unfinished(store)
        yield Lab(store, folder, asked, left, night(asked))


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def later(lab, tiny):
    """The day after: the animal sees what the night has made, and the rig's file arrives."""
    p, shown = tiny.tiny_parameters(), current_target(lab.store, ANIMAL).stimulus_set
    session = stimulus_session(lab.store, shown, p.stimulus.session.shown_s)
    write_hdf5(open_animal(p.animal).record(session, 1)[0], lab.folder / "1-2-1.h5")
    return watch(lab.parameters.watch)


def test_a_night_that_was_killed_is_gone_on_with(lab) -> None:
    assert set(lab.left) == {ANIMAL}
    n_models = len(lab.parameters.models())
    assert len(lab.first.refs["model"]) == n_models
    assert lab.first.cached > n_models  # what stood when it was killed
    assert unfinished(lab.store) == {}


def test_a_first_day_becomes_what_its_animal_is_shown_next(lab) -> None:
    (recording,) = lab.left[ANIMAL]
    assert lab.store.manifest(recording).config["scan"] == {"animal_id": 1, "session": 1, "scan_idx": 1}
    (shown,) = lab.first.refs["stimulus_set"]
    assert lab.store.inputs(shown)["recording"] == [recording]
    assert [one.stimulus_set for one in targets(lab.store, ANIMAL)] == [shown]


def test_a_second_night_finds_everything(lab) -> None:
    second = night(lab.parameters.model_copy(update={"recordings": lab.left[ANIMAL], "watch": None}))
    assert second.computed == 0
    assert second.refs["stimulus_set"] == lab.first.refs["stimulus_set"]
    assert len(targets(lab.store, ANIMAL)) == 1


def test_a_later_day_is_known_by_what_it_showed(lab, later) -> None:
    ref = later.one("recording")
    assert lab.store.inputs(ref)["stimulus_set"] == lab.first.refs["stimulus_set"]
    assert lab.store.manifest(ref).findings["n_unmatched"] == 0
    assert later.computed == 5


def test_a_night_with_nothing_new_makes_nothing(lab, later) -> None:
    """Neither the first day, which has its images, nor the later one, which gets none."""
    again = night(lab.parameters)
    assert (again.computed, again.cached, again.refs) == (0, 0, {})


def test_two_concludes_at_once_compare_a_later_day_and_make_everything_once(lab, later) -> None:
    """As an event and the schedule, or two hosts, start them."""
    (day,), before = later.refs["recording"], set(artifacts(lab.store))
    assert unconcluded(lab.store) == ((day,), ())
    asked = ConcludeParameters(n_permutations=99)
    with ThreadPoolExecutor(2) as runs:
        both = [runs.submit(copy_context().run, conclude, asked) for _ in range(2)]
        one, other = (run.result() for run in both)
    assert one.computed + other.computed == len(set(artifacts(lab.store)) - before)
    assert one.refs["evidence"] == other.refs["evidence"]
    assert one.refs["report"] == other.refs["report"]
    assert len(list(artifacts(lab.store, "evidence"))) == 1
    _check_report(lab, later, one.refs)
    nothing = conclude(asked)
    assert (unconcluded(lab.store), nothing.computed, nothing.refs) == (((), ()), 0, {})
    named = conclude(asked.model_copy(update={"recording": "inception-loop.scan.1-2-1"}))
    assert (named.computed, named.refs["report"]) == (0, one.refs["report"])


def _check_report(lab, later, refs) -> None:
    """Everything behind the loop stands in its report, and nothing that a later report made for itself."""
    store = lab.store
    (evidence,), (page,) = refs["evidence"], refs["report"]
    selection = lab.first.refs["corrected_high_unit_selection"]
    assert store.inputs(evidence)["corrected_high_unit_selection"] == selection
    shown = store.inputs(page)
    for kind in ("model", "mei", "recording", "dataset_report", "unit_test_scores", "oracle"):
        made = lab.first.refs.get(kind, [*lab.left[ANIMAL], *later.refs["recording"]])
        own = [ref for ref in made if store.manifest(ref).config.get("eye", "recorded") == "recorded"]
        assert set(shown[kind]) >= set(own), kind
    assert "animal_truth" not in shown
    assert b"1-2-1" in store.file(page, "report")


def test_a_loop_that_fails_does_not_stop_the_others_and_waits_until_something_changes(
    lab, later, monkeypatch, tmp_path
) -> None:
    """The days of two loops wait; comparing that of the first fails by its data."""
    loop = traced_loop(lab.store, later.one("recording"))
    other = loop._replace(loop_group=2, later=(loop.later[0]._replace(recording=loop.source),))
    loops = {loop.later[0].recording: loop, loop.source: other}
    tried, of = [], "flows.conclude."
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    monkeypatch.setattr(f"{of}unconcluded", lambda store: Unconcluded(tuple(loops), ()))
    monkeypatch.setattr(f"{of}traced_loop", lambda store, ref: loops[ref])

    def compare(p, loop, done):
        tried.append(loop.loop_group)
        if loop.loop_group == ANIMAL:
            raise DataError("no cell was found again")

    monkeypatch.setattr(f"{of}_compare", compare)
    monkeypatch.setattr("flows._one_by_one.by_itself", lambda: True)
    asked = ConcludeParameters(n_permutations=99)
    with pytest.raises(DataError, match=r"^loop 1: 1-2-1 after 1-1-1: no cell was found again; every"):
        conclude(asked)
    assert tried == [1, 2]
    ended = conclude(asked, return_state=True)
    assert (tried, ended.name) == ([1, 2, 2], "Passed over")
    assert ended.message.startswith(
        "loop 1: 1-2-1 after 1-1-1: passed over, since nothing has changed: no cell"
    )
    with pytest.raises(DataError, match="no cell was found again"):
        conclude(asked.model_copy(update={"matching": "assigned"}))
    assert tried == [1, 2, 2, 1, 2]


def test_a_later_day_whose_set_is_not_here_is_said_in_the_runs_state(lab, monkeypatch) -> None:
    (day,) = lab.left[ANIMAL][:1]
    monkeypatch.setattr("flows.conclude.unconcluded", lambda store: Unconcluded((), (day,)))
    ended = conclude(ConcludeParameters(), return_state=True)
    assert (ended.is_completed(), ended.name) == (True, "Passed over")
    assert ended.message == f"passed over: {day} showed a stimulus set that is not in this store"


def test_a_first_day_concludes_nothing(lab) -> None:
    before = list(artifacts(lab.store, "closed_loop_scan"))
    with pytest.raises(ConfigurationError, match="no later day of a loop"):
        conclude(ConcludeParameters(recording=f"recording/{lab.left[ANIMAL][0].digest}"))
    assert list(artifacts(lab.store, "closed_loop_scan")) == before
    with pytest.raises(ConfigurationError, match=r"no recording of scan 17-2-1 is in .*; import it first"):
        conclude(ConcludeParameters(recording="17-2-1"))


def test_a_later_day_is_never_trained_on(lab, later) -> None:
    with pytest.raises(ConfigurationError, match="is of a later day"):
        night(lab.parameters.model_copy(update={"recordings": tuple(later.refs["recording"])}))


def test_an_animal_that_fails_does_not_stop_the_others(lab, monkeypatch, tmp_path) -> None:
    """Animals 2 and 3 have a night; what the stages do is not the question here."""
    store, reached, said = open_store(f"file://{tmp_path}/store"), [], []
    monkeypatch.setenv("INCEPTION_LOOP_STORE", store.uri)
    monkeypatch.setattr("flows._one_by_one.by_itself", lambda: True)
    refs = [first_day(store, tmp_path, animal, session) for animal, session in ((2, 1), (3, 1), (3, 2))]

    def learn(head, recordings, done):
        reached.append((head.loop_group, head.dataset.group_id, recordings))
        if head.loop_group == 2:
            raise DataError("too few images")

    monkeypatch.setattr(nights, "learn", learn)
    monkeypatch.setattr(nights, "make_images", lambda head, source, done: reached.append(source))
    asked = lab.parameters.model_copy(update={"watch": WatchParameters(folder=str(tmp_path / "unmounted"))})
    with (
        listening(lambda event: said.append(event.text)),
        pytest.raises(
            DataError, match=r"the look at the folder: there is no folder .*; animal 2: too few images"
        ),
    ):
        night(asked)
    rest = [(3, 3, (refs[1], refs[2])), refs[1]]
    assert reached == [(2, 2, (refs[0],)), *rest]
    assert "animal 3: images for units of 3-1-1, learnt with 1 more first days" in said
    reached.clear()
    ended = night(asked, return_state=True)  # nothing has changed: neither is told again, 2 not tried
    assert (reached, ended.name) == (rest, "Passed over")
    unmounted = tmp_path / "unmounted"
    assert ended.message.startswith(f"the look at the folder: {unmounted}: there is no folder")
    assert "; animal 2: passed over, since nothing has changed: too few images" in ended.message
    refs[0] = first_day(store, tmp_path, 2, 2)
    with pytest.raises(DataError, match=r"^animal 2: too few images"):
        night(asked)


def first_day(store: ArtifactStore, folder: Path, animal: int, session: int) -> ArtifactRef:
    """Import a recording of four images and three units."""
    images = (
        np.full((4, 36, 64), 9 * animal + session, np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None]
    )
    np.savez(folder / f"{animal}.npz", images=images, responses=np.ones((4, 3), np.float32))
    scan, options = ScanKey(animal_id=animal, session=session, scan_idx=1), ReadOptions(trace_kind="spikes")
    return import_recording(store, folder / f"{animal}.npz", scan, options).ref


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"grod": 1}, "unknown key 'grod'"),
        ({"images": {"batch": 0}}, "images.batch is 0; expected greater than or equal to 1"),
        ({"watch": {"folder": "s3://key:secret@bucket/x"}}, "holds credentials; expected none in it"),
        ({"dataset": {"group_id": 0, "frame": {"gamma": True}}}, "expected false"),
    ],
)
def test_a_wrong_value_is_said_before_anything_runs(monkeypatch, prefect_api, values, said) -> None:
    monkeypatch.setattr(nights, "unfinished", lambda store: pytest.fail("it was started"))
    with pytest.raises(ParameterTypeError) as raised:
        night(values)
    assert said in str(raised.value)
    assert "s3://key" not in str(raised.value)
