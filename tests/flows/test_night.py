"""A lab's night on files: found, imported, learnt from, shown next; the later day comes and concludes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from prefect.exceptions import ParameterTypeError

from flows import night as nights
from flows.conclude import conclude
from flows.night import night
from flows.watch import watch
from inception_loop.animals.recorded import open_animal, stimulus_session
from inception_loop.animals.session import natural_session
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.night_parameters import ConcludeParameters, NightParameters, WatchParameters
from inception_loop.recordings.hdf5 import write_hdf5
from inception_loop.recordings.imported import import_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.fills import MultiMeiFill
from inception_loop.stimuli.target_group import current_target, targets
from inception_loop.stimuli.unfinished import unfinished

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


def test_a_later_day_concludes_its_loop(lab, later) -> None:
    asked = ConcludeParameters(recording="inception-loop.scan.1-2-1", n_permutations=99)
    refs, store = conclude(asked).refs, lab.store
    (evidence,), (page,) = refs["evidence"], refs["report"]
    selection = lab.first.refs["corrected_high_unit_selection"]
    assert store.inputs(evidence)["corrected_high_unit_selection"] == selection
    shown = store.inputs(page)
    for kind in ("model", "mei", "recording", "dataset_report", "unit_test_scores", "oracle"):
        made = lab.first.refs.get(kind, [*lab.left[ANIMAL], *later.refs["recording"]])
        own = [ref for ref in made if store.manifest(ref).config.get("eye", "recorded") == "recorded"]
        assert set(shown[kind]) >= set(own), kind  # not the scores that a learning report made for itself
    assert "animal_truth" not in shown
    assert b"1-2-1" in store.file(page, "report")
    again = conclude(asked)
    assert (again.computed, again.refs["report"]) == (0, [page])


def test_a_first_day_concludes_nothing(lab) -> None:
    before = list(artifacts(lab.store, "closed_loop_scan"))
    with pytest.raises(ConfigurationError, match="no later day of a loop"):
        conclude(ConcludeParameters(recording=f"recording/{lab.left[ANIMAL][0].digest}"))
    assert list(artifacts(lab.store, "closed_loop_scan")) == before


def test_a_later_day_is_never_trained_on(lab, later) -> None:
    with pytest.raises(ConfigurationError, match="is of a later day"):
        night(lab.parameters.model_copy(update={"recordings": tuple(later.refs["recording"])}))


def test_an_animal_that_fails_does_not_stop_the_others(lab, monkeypatch, tmp_path) -> None:
    """Animals 2 and 3 have a night; what the stages do is not the question here."""
    store, reached, refs = open_store(f"file://{tmp_path}/store"), [], []
    monkeypatch.setenv("INCEPTION_LOOP_STORE", store.uri)
    for animal in (2, 3):
        images = np.full((4, 36, 64), animal, np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None]
        np.savez(tmp_path / f"{animal}.npz", images=images, responses=np.ones((4, 3), np.float32))
        scan, options = ScanKey(animal_id=animal, session=1, scan_idx=1), ReadOptions(trace_kind="spikes")
        refs.append(import_recording(store, tmp_path / f"{animal}.npz", scan, options).ref)

    def learn(head, recordings, done):
        reached.append((head.loop_group, head.dataset.group_id, recordings))
        if head.loop_group == 2:
            raise DataError("too few images")

    monkeypatch.setattr(nights, "learn", learn)
    monkeypatch.setattr(nights, "make_images", lambda head, source, done: reached.append(source))
    with pytest.raises(DataError, match="animal 2: too few images"):
        night(lab.parameters.model_copy(update={"watch": None}))
    assert reached == [(2, 2, (refs[0],)), (3, 3, (refs[1],)), refs[1]]


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
