"""What a person gets wrong in a file is said in one line; the grid is what is trained."""

import itertools
import tomllib

import pytest
from pydantic import ValidationError

from inception_loop import parameters as p
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ArtifactNotFoundError, ConfigurationError
from inception_loop.examples import example_parameters
from inception_loop.faults import in_words
from inception_loop.presets import small_grid
from inception_loop.training.published import PUBLISHED_SELECTION


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "IngestParameters: recordings is missing (see --print-schema)"),
        (
            {"recordings": [], "extra": 1, "other": 2},
            "IngestParameters: unknown key 'extra'; expected recordings; unknown key 'other'; "
            "expected recordings; recordings is []; expected at least 1 (see --print-schema)",
        ),
        (
            {"recordings": 5},
            "IngestParameters: recordings is 5; expected a list (see --print-schema)",
        ),
    ],
)
def test_every_wrong_field_is_named_with_what_it_got(values, said) -> None:
    with pytest.raises(ConfigurationError) as raised:
        p.parse(p.IngestParameters, values)
    assert str(raised.value) == said


def test_a_wrong_field_deep_inside_is_named_by_its_path() -> None:
    values = example_parameters("loop").model_dump(mode="json")
    values["session"]["n_train"] = -3
    values["grid"]["networks"][1]["core"]["layers"] = 0
    values["grid"]["train"]["epochs"] = 10
    with pytest.raises(ConfigurationError) as raised:
        p.parse(p.LoopParameters, values)
    said = str(raised.value)
    assert "session.n_train is -3; expected greater than or equal to 0" in said
    assert "grid.networks.1.core.layers is 0; expected" in said
    assert "unknown key 'grid.train.epochs'" in said
    assert "\n" not in said


def test_a_long_value_is_cut_short() -> None:
    with pytest.raises(ConfigurationError) as raised:
        p.parse(p.IngestParameters, {"recordings": "x" * 100_000})
    assert len(str(raised.value)) < 300


def test_a_models_error_is_one_line_outside_parse_too() -> None:
    with pytest.raises(ValidationError) as raised:
        SimulatedConfig(seed=-1, n_units="many")
    assert in_words(raised.value).startswith("SimulatedConfig: ")
    assert "seed is -1" in in_words(raised.value)
    assert "n_units is 'many'" in in_words(raised.value)
    assert "\n" not in in_words(raised.value)


def test_sound_values_become_the_parameters() -> None:
    expected = example_parameters("loop")
    assert p.parse(p.LoopParameters, expected.model_dump(mode="json")) == expected


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (1, "grid is 1; expected a table"),
        ({"type": "nope"}, "grid is {'type': 'nope'}; expected the type networks, parts or published"),
        ({"networks": []}, "grid.networks is []"),
        ({"type": "published", "wings": 2}, "unknown key 'grid.wings'"),
        ({"type": "parts", "cores": [{"type": "GaussianLaplace", "layers": 0}]}, "layers is 0"),
    ],
)
def test_a_wrong_grid_is_named_by_its_path_whatever_its_form(grid, said) -> None:
    values = {**example_parameters("train").model_dump(mode="json"), "grid": grid}
    with pytest.raises(ConfigurationError) as raised:
        p.parse(p.TrainParameters, values)
    assert f"TrainParameters: {said}" in str(raised.value) or said in str(raised.value)


def test_a_few_lines_of_toml_ask_for_the_published_64() -> None:
    values = example_parameters("train").model_dump(mode="json") | tomllib.loads('[grid]\ntype = "published"')
    parameters = p.parse(p.TrainParameters, values)
    models = parameters.grid.models(parameters.group_id)
    assert len(set(models)) == 64
    assert p.data_of(models).layer == "L2/3"
    assert p.TrainParameters.model_validate_json(parameters.model_dump_json()) == parameters


def test_a_grid_can_be_restricted_and_one_of_which_nothing_is_left_is_refused() -> None:
    grid = small_grid()
    linear = grid.model_copy(update={"restriction": "core.type LIKE '%Linear%'"})
    assert linear.models(0) == [one for one in grid.models(0) if "Linear" in one.network.core.type]
    none = grid.model_copy(update={"restriction": {"seed": 5}})
    with pytest.raises(ConfigurationError, match=r"leaves none of the 6 models; loosen it"):
        none.models(0)


@pytest.mark.parametrize("stage", ["train", "loop"])
def test_what_is_wrong_with_a_grid_is_said_when_it_is_read(stage) -> None:
    model = {"train": p.TrainParameters, "loop": p.LoopParameters}[stage]
    values = example_parameters(stage).model_dump(mode="json")
    with pytest.raises(ConfigurationError, match="no published grid is called 'Resnet'; expected some of"):
        p.parse(model, {**values, "grid": {"type": "published", "cores": ["Resnet"]}})
    values["grid"]["restriction"] = "core.gamahidden = 1"
    with pytest.raises(ConfigurationError, match=r"did you mean core\.gamma_hidden"):
        p.parse(model, values)
    values["grid"] |= {"restriction": None, "most_models": 3}
    with pytest.raises(ConfigurationError, match="the grid has 6 models; expected at most most_models = 3"):
        p.parse(model, values)


def test_a_loop_on_two_data_configurations_is_refused_when_it_is_read() -> None:
    values = example_parameters("loop").model_dump(mode="json")
    two = {**PUBLISHED_SELECTION, "data.layer": ["L2/3", "L4"]}
    with pytest.raises(ConfigurationError, match="the grid has 2 data configurations"):
        p.parse(
            p.LoopParameters,
            {**values, "grid": {"type": "published", "selection": "all", "restriction": two}},
        )


def test_a_reference_may_be_a_name_where_names_are_looked_up() -> None:
    example = example_parameters("select")
    known = {"dataset/1": example.dataset, "m/1": example.models[0]}

    def meant(name: str) -> ArtifactRef:
        if name not in known:
            raise ArtifactNotFoundError(f"'{name}' means 0 artifacts")
        return known[name]

    values = example.model_dump(mode="json")
    named = {**values, "dataset": "dataset/1", "models": ["m/1", values["models"][0]]}
    expected = example.model_copy(update={"models": example.models * 2})
    assert p.parse(p.SelectParameters, named, meant) == expected
    with pytest.raises(ConfigurationError, match="dataset is 'dataset/1'; expected a table"):
        p.parse(p.SelectParameters, named)
    with pytest.raises(ConfigurationError, match=r"SelectParameters: dataset: 'x/1' means 0 artifacts \(see"):
        p.parse(p.SelectParameters, {**values, "dataset": "x/1"}, meant)


def test_a_reference_to_another_kind_is_refused_however_it_is_given() -> None:
    example = example_parameters("select")
    model = example.models[0]
    said = rf"dataset: expected a static_multi_dataset, got a model \({model}\)"
    for given in (model.model_dump(), "by name"):
        values = {**example.model_dump(mode="json"), "dataset": given}
        with pytest.raises(ConfigurationError, match=said):
            p.parse(p.SelectParameters, values, lambda _: model)
    with pytest.raises(ValidationError, match="expected a static_multi_dataset, got a model"):
        p.SelectParameters(dataset=model, models=(model,))


def test_units_are_selected_on_one_data_configuration() -> None:
    grid = p.PublishedGrid(selection="all", restriction={**PUBLISHED_SELECTION, "data.layer": ["L2/3", "L4"]})
    assert len(grid.models(0)) == 128
    with pytest.raises(ConfigurationError, match="the grid has 2 data configurations; expected one"):
        p.data_of(grid.models(0))


def test_a_grid_is_every_network_with_every_seed() -> None:
    grid = small_grid().model_copy(update={"seeds": (3, 1, 2)})
    models = grid.models(7)
    assert [(m.network, m.seed) for m in models] == list(itertools.product(grid.networks, (3, 1, 2)))
    assert all((m.group_id, m.train, m.data) == (7, grid.train, grid.data) for m in models)
    assert len(set(models)) == len(models)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("selection.rules.top_ptil", 0.3, "'selection.rules.top_ptil'; did you mean 'top_ptile'?"),
        ("selection.no_positions", "refus", "'refus'; expected 'refuse' or 'pass'; did you mean 'refuse'?"),
        ("selection.choice.cnn_cores", ["GausianLaplace"], "Stacked2d; did you mean 'GaussianLaplace'?"),
        ("images.procedure.iteration", 3, "'images.procedure.iteration'; did you mean 'iterations'?"),
        ("images.procedure.type", "fst", "images.procedure.type is 'fst'; expected one of"),
        ("stimulus.fills", [{"type": "gabr"}], "stimulus.fills.0.type is 'gabr'; expected one of"),
        ("stimulus.fills", [{"type": "gabor", "max_rnk": 3}], "fills.0.max_rnk'; did you mean 'max_rank'?"),
        ("stimulus.target", {"type": "luminance", "means": 3}, "target.means'; did you mean 'mean'?"),
        ("animal", {"seed": 3}, "animal.type is missing; expected 'simulated' or 'twin'"),
        ("grid.networks.0.core.hiden", 3, "'grid.networks.0.core.hiden'; did you mean 'hidden_kern'?"),
        ("grid.data.brain_area", 3, "grid.data.brain_area is 3; expected text or a list"),
    ],
)  # fmt: skip
def test_one_cause_is_said_once_as_it_was_typed_with_what_may_be_meant(place, value, said) -> None:
    values = example_parameters("loop").model_dump(mode="json")
    *path, last = place.split(".")
    inner = values
    for part in path:
        inner = inner[int(part) if part.isdigit() else part]
    inner[last] = value
    with pytest.raises(ConfigurationError) as raised:
        p.parse(p.LoopParameters, values)
    assert said in str(raised.value)
    assert str(raised.value).count(place.rpartition(".")[0] or place) == 1


def test_a_misspelt_key_is_not_missing_too() -> None:
    with pytest.raises(ConfigurationError) as raised:
        p.parse(p.IngestParameters, {"recording": []})
    said = "IngestParameters: unknown key 'recording'; did you mean 'recordings'? (see --print-schema)"
    assert str(raised.value) == said


def test_a_later_day_that_is_listed_twice_is_refused() -> None:
    values = example_parameters("closed-loop").model_dump(mode="json")
    first = values["later"][0]
    values["later"] = [first, {**first, "day": 2}]
    with pytest.raises(ConfigurationError, match=r"lists the recording recording/.* twice; expected each"):
        p.parse(p.ClosedLoopParameters, values)
