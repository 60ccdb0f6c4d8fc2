"""What ``run STAGE --print-example`` prints can be given back to ``run STAGE --config``."""

import json
import tomllib

import pytest

from flows.run_stage import STAGES, parameters_of
from inception_loop.examples import example_parameters, example_toml
from inception_loop.parameters import parse


@pytest.mark.parametrize("stage", STAGES)
def test_an_example_read_back_is_the_same_parameters(stage) -> None:
    text = example_toml(stage)
    assert text.startswith(f"# inception-loop run {stage} --config")
    assert parse(parameters_of(stage), tomllib.loads(text)) == example_parameters(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_schema_is_json_and_explains_every_field(stage) -> None:
    schema = json.loads(json.dumps(parameters_of(stage).model_json_schema()))
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    fields = parameters_of(stage).model_fields
    assert set(schema["properties"]) == set(fields)
    assert all(field.description for field in fields.values())
