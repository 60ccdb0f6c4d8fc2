"""Plain expressions say which models are meant, and what is wrong with them when they do not."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.artifacts.query import matching_rows
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, LinearGaussianLaplace
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.restriction import as_row, restrict


def model(core=None, **rest) -> ModelConfig:
    return ModelConfig(group_id=1, network=CorePlusReadout(core=core or GaussianLaplace()), **rest)


MODELS = [
    model(GaussianLaplace(gamma_hidden=1)),
    model(LinearGaussianLaplace(input_kern=18)),
    model(train=TrainConfig(learning_rates=(0.01,), stage_epochs=(3,))),
    model(data=CorrectedAreaLayer(brain_area=("V1", "LM"))),
    model(data=CorrectedAreaLayer(brain_area="V1's"), seed=5),
]


@pytest.mark.parametrize(
    ("restriction", "left"),
    [
        (None, [0, 1, 2, 3, 4]),
        ({}, [0, 1, 2, 3, 4]),
        ("TRUE", [0, 1, 2, 3, 4]),
        ("core.gamma_hidden = 0.1", [2, 3, 4]),
        ({"core.gamma_hidden": 0.1}, [2, 3, 4]),
        ("core.gamma_hidden IS NULL", [1]),  # a linear core has no hidden layers
        ({"core.gamma_hidden": None}, [1]),
        ({"core.gamma_hidden": [None, 1]}, [0, 1]),
        ("core.type LIKE 'Linear%' OR seed = 5", [1, 4]),
        ({"core.type": ["LinearGaussianLaplace", "Resnet"]}, [1]),
        ({"train.learning_rates": [[0.01]]}, [2]),
        ("train.learning_rates = '[0.01]' AND train.stage_epochs = '[3]'", [2]),
        ({"data.brain_area": [["V1", "LM"]]}, [3]),
        ({"data.brain_area": "V1's"}, [4]),
        ({"data.brain_area": "all", "seed": 1009}, [0, 1, 2]),
        ({"data.normalize": False}, []),
        ("gain = 'before' AND output = 'elu1' AND group_id = 1", [0, 1, 2, 3, 4]),
    ],
)
def test_models_are_restricted_by_their_fields(restriction, left) -> None:
    assert restrict(MODELS, restriction) == [MODELS[index] for index in left]


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 1.0, 1e-9]), st.integers(0, 5)), max_size=12), st.data())
def test_a_mapping_is_what_python_says(pairs, data) -> None:
    models = [model(GaussianLaplace(gamma_hidden=gamma), seed=seed) for gamma, seed in pairs]
    gammas = data.draw(st.lists(st.sampled_from([0.1, 0.3, 1.0, 1e-9]), min_size=1))
    seed = data.draw(st.integers(0, 5))
    wanted = {"core.gamma_hidden": gammas, "seed": seed}
    expected = [one for one in models if one.network.core.gamma_hidden in gammas and one.seed == seed]
    assert restrict(models, wanted) == expected


@pytest.mark.parametrize(
    ("restriction", "named", "said"),
    [
        ({"core.input_kernel": 3}, "core.input_kernel", "did you mean core.input_kern?"),
        ("core.inputkern = 3", "core.inputkern", "did you mean core.input_kern?"),
        ("input_kern = 3", "input_kern", "did you mean core.input_kern?"),
        ({"gamma_hiden": 3}, "gamma_hiden", "did you mean core.gamma_hidden?"),
        ("cor.input_kern = 3", "cor.input_kern", "did you mean core.input_kern?"),
        ("type = 'Linear'", "type", "did you mean core.type, readout.type, "),
        ({"modulator.zzz": 1}, "modulator.zzz", "expected some of modulator."),
        ("wings = 2", "wings", "expected some of core.…, readout.…"),
    ],
)
def test_of_an_unknown_field_the_nearest_are_offered_or_those_of_its_part(restriction, named, said) -> None:
    with pytest.raises(ConfigurationError) as raised:
        restrict(MODELS, restriction)
    assert f"names the unknown field {named!r}; {said}" in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "expression",
    [
        "seed =",
        "core.type = 3",
        "seed = 1; DROP TABLE frame_row_0",
        "TRUE); COPY frame_row_0 TO 'leak.csv'; SELECT (TRUE",
        "EXISTS (SELECT * FROM read_csv('/etc/passwd'))",
        "TRUE ORDER BY seed",
        "core.type",
        "getenv('HOME') = ''",
    ],
)
def test_an_expression_reaches_nothing_but_the_models(expression, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"is wrong: .*; correct it$"):
        restrict(MODELS, expression)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_expression_is_refused(empty) -> None:
    with pytest.raises(ConfigurationError, match="a condition is empty; write one"):
        restrict(MODELS, empty)


def test_a_wrong_expression_keeps_nothing_of_the_database_alive() -> None:
    with pytest.raises(ConfigurationError) as raised:
        restrict(MODELS, "core.inputkern = 7")
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_all_of_several_conditions_hold_and_the_wrong_one_is_named() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3]})
    assert matching_rows(["a > 1 OR a < 0", "a < 3"], frame)["row_0"].to_list() == [1]
    for conditions in (["a > 1", "b < 3"], ["b < 3", "a > 1"]):
        with pytest.raises(ConfigurationError, match=r"the condition 'b < 3' is wrong: .*column"):
            matching_rows(conditions, frame)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="allows no value of seed"):
        restrict(MODELS, {"seed": []})
    with pytest.raises(ConfigurationError, match="compares seed with a object"):
        restrict(MODELS, {"seed": object()})


def test_a_row_has_the_parts_of_a_network_and_the_rest_of_a_model() -> None:
    row = as_row(MODELS[0])
    assert set(row) == set(CorePlusReadout.model_fields) | (set(ModelConfig.model_fields) - {"network"})


def test_a_condition_is_asked_of_at_least_one_frame() -> None:
    with pytest.raises(ConfigurationError, match="asked of no frame"):
        matching_rows("TRUE")
