"""Recorded days as artifacts."""

import uuid

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from inception_loop.animals import recorded
from inception_loop.animals.recorded import AnimalConfig, AnimalDayConfig, make_recorded_day, open_animal
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.truth_archive import load_truth
from inception_loop.animals.twin import TwinConfig, twin_config
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.recording import ScanKey

SCAN = ScanKey(animal_id=1, session=3, scan_idx=2)
ANIMAL = SimulatedConfig(n_units=10)
SESSION = NaturalSessionConfig(n_train=12, n_repeated=2, repeats=3)
DAY = AnimalDayConfig(scan=SCAN, animal=ANIMAL, session=SESSION)


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}")


def test_a_day_becomes_a_recording_and_a_truth_of_the_same_units(store):
    (recording, cached), (truth, _) = make_recorded_day(store, DAY)
    assert not cached
    loaded, known = load_recording(store, recording), load_truth(store, truth)
    assert loaded.scan == SCAN
    somata = loaded.units.filter(mask_type="soma")["unit_id"].sort()
    assert known.units["unit_id"].to_list() == somata.to_list()
    assert known.trial_idx.tolist() == loaded.trials["trial_idx"].to_list()
    assert store.manifest(truth).config["scan"]["session"] == 3


def test_a_second_request_computes_nothing(store, monkeypatch):
    first = make_recorded_day(store, DAY)
    monkeypatch.setattr(recorded, "open_animal", lambda *_: pytest.fail("the animal was asked again"))
    second = make_recorded_day(store, DAY)
    assert [o.ref for o in first] == [o.ref for o in second]
    assert all(outcome.cached for outcome in second)


def test_two_stores_hold_the_same_bytes(store):
    other = open_store(f"memory://{uuid.uuid4().hex}")
    for a, b in zip(make_recorded_day(store, DAY), make_recorded_day(other, DAY), strict=True):
        hashes = [
            {name: payload.sha256 for name, payload in where.manifest(o.ref).payloads.items()}
            for where, o in ((store, a), (other, b))
        ]
        assert hashes[0] == hashes[1]


STIMULUS = Kind(
    name="stimulus_set_of_a_test",
    version=1,
    meaning="A stimulus set with more columns than the animal needs.",
    payloads={
        "images": Arrays({"images": Array("uint8", ("images", "height", "width"), "grey levels")}),
        "conditions": Table(
            {
                "condition_hash": Column(pa.string(), "hash"),
                "model_type": Column(pa.string(), "more"),
                "image_class": Column(pa.string(), "class"),
                "image_id": Column(pa.int64(), "id"),
                "source_id": Column(pa.string(), "source"),
                "image_row": Column(pa.int64(), "row"),
            }
        ),
        "trials": Table(
            {
                "position": Column(pa.int64(), "place in the session"),
                "condition_row": Column(pa.int64(), "row of conditions"),
                "block": Column(pa.int64(), "block"),
            }
        ),
    },
    partition=LOOP,
)


class StimulusConfig(Config):
    """Configuration of the stimulus set of a test."""

    loop_group: int = 1


@pytest.fixture
def stimulus(store):
    images = np.random.default_rng(1).integers(0, 256, (3, 144, 256), dtype=np.uint8)

    def build(attempt):
        attempt.write_arrays("images", {"images": images})
        conditions = {
            "condition_hash": [condition_hash(images[row], 0.5) for row in (2, 2, 0)],
            "model_type": ["natural", "natural", "linear"],
            "image_class": ["unmasked_imgnet", "unmasked_imgnet", "multi_lin_rf"],
            "image_id": [0, 1, 0],
            "source_id": ["", "", ""],
            "image_row": [2, 2, 0],
        }
        attempt.write_table("conditions", pl.DataFrame(conditions))
        trials = {"position": [2, 0, 1, 3], "condition_row": [0, 2, 2, 0], "block": [1, 0, 0, 1]}
        attempt.write_table("trials", pl.DataFrame(trials))

    return store.make(STIMULUS, StimulusConfig(), build).ref


def test_a_stimulus_set_is_shown_in_its_order_and_a_shared_image_is_one_condition(store, stimulus):
    config = AnimalDayConfig(scan=SCAN, animal=ANIMAL, day=1)
    (recording, _), (truth, _) = make_recorded_day(store, config, stimulus=stimulus)
    shown = load_recording(store, recording)
    conditions = shown.conditions["condition_hash"].to_list()
    assert [conditions.index(name) for name in shown.trials["condition_hash"]] == [1, 1, 0, 0]
    assert shown.conditions["image_row"].to_list() == [2, 0]
    assert load_truth(store, truth).image_hash == conditions
    assert dict(store.manifest(recording).inputs)


def test_both_or_neither_of_session_and_stimulus_are_refused(store, stimulus):
    for config, given in ((DAY, stimulus), (AnimalDayConfig(scan=SCAN, animal=ANIMAL), None)):
        with pytest.raises(ConfigurationError, match="expected exactly one of them"):
            make_recorded_day(store, config, stimulus=given)


def test_a_scan_of_another_animal_is_refused():
    with pytest.raises(ValidationError, match="scan 8-1-1 is of animal 8, but the animal has number 1"):
        AnimalDayConfig(scan=ScanKey(animal_id=8, session=1, scan_idx=1), animal=ANIMAL)


def test_a_twin_is_recorded_from_its_file_and_refused_without(store, twin_file):
    path, _ = twin_file("behavior")
    animal = twin_config(path, n_units=5, reliable_share=1.0, animal_id=1)
    config = AnimalDayConfig(scan=SCAN, animal=animal, session=SESSION)
    with pytest.raises(ConfigurationError, match="expected the path of its NPZ file"):
        make_recorded_day(store, config)
    (_, cached), (truth, _) = make_recorded_day(store, config, twin_path=path)
    assert not cached
    assert load_truth(store, truth).best_image.shape == (0, 36, 64)
    assert make_recorded_day(store, config)[0].cached  # nothing to compute, no file needed


def test_the_tag_tells_the_animals_apart():
    adapter = TypeAdapter(AnimalConfig)
    assert isinstance(adapter.validate_python({"type": "simulated"}), SimulatedConfig)
    assert isinstance(adapter.validate_python({"type": "twin", "sha256": "0" * 64}), TwinConfig)
    with pytest.raises(ValidationError, match="n_cells"):
        adapter.validate_python({"type": "simulated", "n_cells": 3})
    assert open_animal(ANIMAL).respond(np.zeros((1, 36, 64), np.float32)).shape == (1, 10)
