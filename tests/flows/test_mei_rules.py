"""Rules of a loop that contradict each other are refused before anything runs."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from flows.mei import _check_pictures, batches, mei
from inception_loop.dataset.config import DatasetConfig, FrameSize
from inception_loop.errors import DataError, Refusal, RefusedUnitsError
from inception_loop.images.natural.searched import in_memory
from inception_loop.images.rules import ImageRules
from inception_loop.images.wanted import without
from inception_loop.parameters import LoopParameters, MeiParameters
from inception_loop.presets import small_grid
from inception_loop.stimuli.fills import GaborFill, UnmaskedFill
from inception_loop.stimuli.rules import StimulusRules


def test_a_fill_of_images_that_nobody_makes_is_refused_before_anything_is_trained():
    images = ImageRules(also=("linear_rf", "natural"))
    with pytest.raises(ValidationError, match=r"fill gabor shows best_gabor, which images\.also"):
        LoopParameters(grid=small_grid(), images=images)
    LoopParameters(grid=small_grid(), images=images, stimulus=StimulusRules(fills=(UnmaskedFill(),)))


def test_a_loop_of_networks_that_see_luminance_is_refused_before_anything_is_trained():
    dataset = DatasetConfig(group_id=0, frame=FrameSize(gamma=True))
    with pytest.raises(ValidationError, match=r"gamma = true trains networks on cd/m².*stimulus\.target"):
        LoopParameters(grid=small_grid(), dataset=dataset)


def test_a_unit_left_out_of_the_images_is_left_out_of_every_fill():
    rules = StimulusRules(fills=(GaborFill(leave_out=("a/1",)), UnmaskedFill()))
    assert [fill.leave_out for fill in rules.leaving_out(["a/7", "a/1"]).fills] == [
        ("a/1", "a/7"),
        ("a/7", "a/1"),
    ]
    assert rules.leaving_out([]) is rules


def test_a_unit_left_out_leaves_the_other_batches_as_they_were():
    wanted = pl.DataFrame({"name": "a", "neuron_id": range(7), "unit_id": range(10, 17)})
    before, after = list(batches(wanted, 3)), list(batches(wanted, 3, ["a/11", "a/16"]))
    assert [[unit.unit_id for unit in units] for _, units in after] == [[10, 12], [13, 14, 15]]
    assert after[1] == before[1]
    with pytest.raises(DataError, match="unit 'a/3' is to be left out but is none of the 7 wanted"):
        without(wanted, ["a/3"])


def test_pictures_must_suffice_for_the_units_that_are_not_left_out_and_be_of_the_networks_size(monkeypatch):
    frames = {"dataset": np.zeros((9, 4, 6), np.float32), "pictures": np.zeros((2, 4, 6), np.float32)}
    monkeypatch.setattr("flows.mei.searched", lambda _, what, *__: in_memory(frames[what], where="a set"))
    wanted = pl.DataFrame({"name": "a", "neuron_id": range(3), "unit_id": range(3)})

    def check(*leave_out):
        asked = MeiParameters.model_construct(dataset="dataset", images=ImageRules(leave_out=leave_out))
        _check_pictures(asked, None, "pictures", wanted)

    with pytest.raises(DataError, match="a set holds 2 images for 3 units"):
        check()
    check("a/1")
    frames["pictures"] = np.zeros((5, 8, 6), np.float32)
    with pytest.raises(DataError, match="a set holds images of 8×6 px; expected 4×6"):
        check()


def test_refused_units_of_a_run_end_with_the_line_to_go_on_without_them(monkeypatch):
    refusals = [Refusal("no gradient", {unit: ""}, "expected one; leave them out") for unit in ("a/1", "a/4")]

    def result(stage):
        raise RefusedUnitsError(*refusals)

    wanted = pl.DataFrame({"name": ["a"], "neuron_id": [0], "unit_id": [3]})
    stand_ins = {
        "configured_store": lambda: SimpleNamespace(table=lambda *_: None, inputs=lambda *_: {}),
        "wanted_units": lambda *_: wanted,
        "Judged": SimpleNamespace(of=lambda *_: None),
        "_check_pictures": lambda *_: None,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(f"flows.mei.{name}", stand_in)
    monkeypatch.setattr("flows.mei.Stage.made", result)
    asked = MeiParameters.model_construct(
        **dict.fromkeys(("dataset", "selection", "target_model", "pictures", "panel")),
        images=ImageRules(leave_out=("a/3",)),
    )
    with pytest.raises(DataError, match="no gradient: a/1, a/4; expected") as refused:
        mei.fn(asked)
    line = '; to go on without them: [images] leave_out = ["a/3", "a/1", "a/4"]'
    assert str(refused.value).endswith(line)
