"""What ``run STAGE --print-example`` prints can be given back to ``run STAGE --config``."""

import json
import tomllib

import pytest
from pydantic import Field

from flows.run_stage import STAGES, parameters_of
from inception_loop.artifacts.identity import Config
from inception_loop.examples import example_parameters, example_toml
from inception_loop.parameters import TrainParameters, parse


@pytest.mark.parametrize("stage", STAGES)
def test_an_example_read_back_is_the_same_parameters(stage) -> None:
    text = example_toml(stage)
    assert text.startswith(f"# inception-loop run {stage} --config")
    assert parse(parameters_of(stage), tomllib.loads(text)) == example_parameters(stage)


def unexplained(schema: dict) -> list[str]:
    """Return the fields of a schema, and of all that it refers to, that a form could say nothing about."""
    models = {schema["title"]: schema, **schema.get("$defs", {})}
    found = []
    for title, model in models.items():
        for name, field in model.get("properties", {}).items():
            meant = models.get(field.get("$ref", "").rpartition("/")[2], {})
            told = field.get("description") or meant.get("description")
            if not told and "const" not in field:  # a form's name says itself
                found.append(f"{title}.{name}")
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_every_field_at_any_depth_is_explained_to_whoever_fills_a_form(stage) -> None:
    assert unexplained(parameters_of(stage).model_json_schema()) == []


def test_a_field_without_a_word_would_be_found() -> None:
    class Inner(Config):
        said: int = Field(0, description="A number.")
        unsaid: int = 0

    class Outer(Config):
        inner: tuple[Inner, ...] = Field((), description="Some.")

    assert unexplained(Outer.model_json_schema()) == ["Inner.unsaid"]


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
