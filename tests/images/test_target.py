"""A batch names each unit once and knows its keys."""

import pytest
from pydantic import ValidationError

from inception_loop.images.target import TargetConfig


def test_keys_name_the_unit_in_its_scan(target):
    assert TargetConfig(**target).noise_keys == [f"group000-1-1-1/{u}" for u in (103, 101, 117)]
    assert TargetConfig(**target).neuron_ids == [3, 1, 17]


@pytest.mark.parametrize(
    ("units", "message"), [([], "at least 1"), ([(1, 5), (1, 6)], "neuron_id 1 stands twice")]
)
def test_empty_batches_and_repeated_units_are_refused(target, units, message):
    named = [{"neuron_id": n, "unit_id": u} for n, u in units]
    with pytest.raises(ValidationError, match=message):
        TargetConfig(**(target | {"units": named}))


def test_the_model_is_loaded_as_the_configuration_says(target, loader):
    load = loader("a model")
    config = TargetConfig(**target, eye="none", behavior="training_mean", precision="bfloat16")
    assert config.load(load) == "a model"
    assert load.calls == [("group000-1-1-1", "none", "training_mean", "bfloat16")]
