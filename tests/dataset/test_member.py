"""A member read piece by piece is the member read whole and cut afterwards."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest

from inception_loop.artifacts import tables, vectors
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import AreaRules, CorrectedAreaLayer, DatasetConfig, MissingData
from inception_loop.dataset.member import load_member
from inception_loop.dataset.parts import by_member, read_used
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import DataError
from inception_loop.settings import Settings

NAME = "group003-17-1-2"
CONFIG = DatasetConfig(group_id=3, areas=AreaRules(otherwise="V1"), missing=MissingData(untracked="impute"))
PARTS = ("frames", "frame_row", "behavior", "pupil_center", "tier", "condition_hash", "trial_idx")
LAYERS = ("all", "L2/3", "L4")


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    """Both ways to read: whole row groups by ranges, and buffered from a file."""
    place = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "store")
    return open_store(place)


@pytest.fixture
def dataset(store, save, make_recording, monkeypatch):
    """One scan that lost its eye for a while, one trial excluded, responses in several row groups."""
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 500)
    monkeypatch.setattr(vectors, "PIECE_BYTES", 60)
    recording = make_recording()
    eye = recording.eye
    radius = eye.pupil_radius.copy()
    radius[400:460] = np.nan
    lost = replace(eye, pupil_radius=radius)
    made = make_dataset(store, CONFIG, [save(replace(recording, eye=lost))])
    return made["static_multi_dataset"][0].ref


def whole(store, dataset):
    """The responses and units of all, read as they were read before there were pieces."""
    refs = by_member(store.inputs(dataset))[0]
    table = store.table(refs["input_response"], "responses")
    used = store.table(dataset, "trials").filter("used")
    return table["response"].to_numpy()[used["response_row"].to_numpy()], store.table(dataset, "units")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("verify", [True, False])
def test_a_layer_has_the_numbers_of_the_whole(store, dataset, layer, verify):
    responses, units = whole(store, dataset)
    columns = (
        units["neuron_id"].to_numpy() if layer == "all" else units.filter(layer=layer)["neuron_id"].to_numpy()
    )
    reader = open_store(store.uri, Settings(verify_hashes=verify))
    member = load_member(reader, dataset, NAME, CorrectedAreaLayer(layer=layer))
    np.testing.assert_array_equal(member.responses, responses[:, columns])
    assert member.responses.dtype == np.float32
    assert member.units["unit_id"].to_list() == units["unit_id"].to_numpy()[columns].tolist()
    assert member.units["neuron_id"].to_list() == list(range(len(columns)))
    statistics = store.table(store.inputs(dataset)["statistics"][0], "statistics").filter(what="responses")
    np.testing.assert_array_equal(
        member.statistics.response_std, statistics.sort("index")["std"].to_numpy()[columns]
    )


def test_everything_but_the_units_is_the_same_for_every_layer(store, dataset):
    members = [load_member(store, dataset, NAME, CorrectedAreaLayer(layer=layer)) for layer in LAYERS]
    plain = load_member(store, dataset, NAME)
    for member in members:
        for part in (
            "frames",
            "frame_row",
            "behavior",
            "pupil_center",
            "tier",
            "condition_hash",
            "trial_idx",
        ):
            np.testing.assert_array_equal(getattr(member, part), getattr(plain, part))
    assert store.table(dataset, "trials")["imputed"].sum() > 2
    assert np.isfinite(plain.behavior).all()
    assert members[0].units.equals(plain.units)


def test_the_responses_are_the_callers_own(store, dataset):
    first = load_member(store, dataset, NAME)
    first.responses[:] = 0
    assert load_member(store, dataset, NAME).responses.any()


def test_read_used_takes_some_columns(store, dataset):
    refs, trials = by_member(store.inputs(dataset))[0], store.table(dataset, "trials")
    every = read_used(store, refs, trials)
    some = read_used(store, refs, trials, np.array([4, 1]))
    np.testing.assert_array_equal(some.responses, every.responses[:, [4, 1]])
    np.testing.assert_array_equal(some.frame_row, every.frame_row)


def test_another_stimulus_than_images_is_refused(store, dataset):
    with pytest.raises(DataError, match="group003-17-1-2 holds still images only; expected stim"):
        load_member(store, dataset, NAME, CorrectedAreaLayer(stimulus_type="~stimulus.Frame"))


def test_an_artifact_that_is_no_dataset_is_refused_in_words(store, dataset):
    model = dataset.model_copy(update={"kind": "model"})
    with pytest.raises(DataError, match="expected a static_multi_dataset, got a model"):
        load_member(store, model, "any")
