"""What ``run STAGE --print-example`` prints can be given back to ``run STAGE --config``."""

import json
import tomllib

import pytest

from flows.run_stage import STAGES, parameters_of
from inception_loop.examples import example_parameters, example_toml
from inception_loop.parameters import TrainParameters, parse


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


def test_the_other_forms_of_a_grid_in_the_comments_of_train_are_valid() -> None:
    text = example_toml("train")
    comments = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")]
    starts = [place for place, line in enumerate(comments) if line == "[grid]"]
    values = example_parameters("train").model_dump(mode="json")
    sizes = {}
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        grid = tomllib.loads("\n".join(comments[start:end]))["grid"]
        parameters = parse(TrainParameters, {**values, "grid": grid})
        sizes[grid["type"]] = len(parameters.models())
    assert sizes == {"parts": 3, "published": 8}
    assert [tomllib.loads(line) for line in comments[: starts[0]]] == [
        {"dataset": "static_multi_dataset/0123abcd"},
        {"core": "model/0123abcd"},
    ]
