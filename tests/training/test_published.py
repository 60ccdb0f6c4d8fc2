"""The published grid: the published selection is 64 models; nothing that is listed is dropped in silence."""

import itertools
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.modulators import MLPModulator
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.network.shifters import MLPShifter
from inception_loop.training.config import SEEDS, ModelConfig, TrainConfig
from inception_loop.training.published import (
    PUBLISHED_CORES,
    PUBLISHED_MODULATORS,
    PUBLISHED_READOUTS,
    PUBLISHED_SELECTION,
    PUBLISHED_SHIFTERS,
    PublishedGrid,
    named,
    published_grid,
)


def test_the_published_selection_is_these_64_models() -> None:
    models = published_grid().models(7, PUBLISHED_SELECTION)
    fixed = {"hidden_channels": 32, "layers": 3, "skip": 3, "input_kern": 15, "hidden_kern": 7}
    expected = [
        ModelConfig(
            group_id=7,
            network=CorePlusReadout(
                core=family(
                    **fixed, gauss_sigma=0.5, gauss_bias=0, gamma_hidden=gamma_hidden, gamma_input=gamma_input
                ),
                readout=SpatialTransformerPyramid2d(scale_n=5, downsample=downsample, gamma_features=1),
                shifter=MLPShifter(shift_layers=3, hidden=5),
                modulator=MLPModulator(layers=2, hidden=10),
                gain="before",
            ),
            train=TrainConfig(batch_size=60, learning_rates=(0.005, 0.001), max_epoch=500),
            seed=seed,
        )
        for family in (GaussianLaplace, StackedLinearGaussianLaplace)
        for gamma_hidden in (0.1, 1)
        for gamma_input in (50, 100)
        for downsample in (True, False)
        for seed in (1009, 1215, 2606, 99999)
    ]
    assert len(expected) == len(set(expected)) == len(models) == 64
    assert set(models) == set(expected)


def test_they_are_8_cores_2_readouts_and_4_seeds_on_one_data_configuration() -> None:
    models = PublishedGrid().models(0)
    assert len(models) == 64
    cores = Counter(model.network.core for model in models)
    assert sorted(cores.values()) == [8] * 8
    assert Counter(core.type for core in cores) == {"GaussianLaplace": 4, "StackedLinearGaussianLaplace": 4}
    gammas = {(core.type, core.gamma_hidden, core.gamma_input) for core in cores}
    assert gammas == set(
        itertools.product(("GaussianLaplace", "StackedLinearGaussianLaplace"), (0.1, 1), (50, 100))
    )
    assert Counter(model.network.readout.downsample for model in models) == {True: 32, False: 32}
    assert Counter(model.seed for model in models) == dict.fromkeys(SEEDS, 16)
    (data,) = {model.data for model in models}
    assert (data.layer, data.brain_area, data.normalize_per_image, data.normalize) == (
        "L2/3",
        "all",
        False,
        True,
    )
    assert {model.train.batch_size for model in models} == {60}


def test_the_candidates_are_the_whole_published_grid() -> None:
    grid = published_grid()
    kernels, hidden, gammas, dips = 7, 3, 4, 4
    assert len(grid.cores) == 2 * kernels * hidden * gammas * dips
    assert len(set(grid.cores)) == len(grid.cores)
    assert {train.batch_size for train in grid.trains} == {60, 125, 250}
    data = 2 * 2 * 2 * 2 * 5 * 2  # stimulus, exclude, normalise, per image, layers, areas
    assert grid.size == len(grid.cores) * 2 * 3 * data * 4


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        pytest.param(parts, name, id=f"{role} {name}")
        for role, parts in (
            ("core", PUBLISHED_CORES),
            ("readout", PUBLISHED_READOUTS),
            ("shifter", PUBLISHED_SHIFTERS),
            ("modulator", PUBLISHED_MODULATORS),
        )
        for name in parts
    ],
)
def test_a_familys_values_are_of_that_family_and_include_its_default(parts, name: str) -> None:
    part, values = parts[name]
    configs = named(parts, name)
    assert {config.type for config in configs} == {name}
    assert len(set(configs)) == len(configs)
    assert part() in configs
    assert all({getattr(one, field) for one in configs} == set(wanted) for field, wanted in values.items())


def test_the_published_parts_are_those_of_the_table() -> None:
    assert {name: len(named(PUBLISHED_CORES, name)) for name in PUBLISHED_CORES} == {
        "Stacked2d": 7 * 2 * 3 * 2 * 2,
        "ModStacked2d": 7 * 2 * 3 * 2 * 2 * 2,
        "Linear": 7 * 2,
        "ModLinear": 7 * 2 * 2,
        "SigmoidLaplace": 7 * 2 * 3 * 2 * 2 * 2,
        "LinearSigmoidLaplace": 7 * 2 * 2,
        "GaussianLaplace": 7 * 2 * 3 * 2 * 2 * 2,
        "LinearGaussianLaplace": 7 * 2 * 2 * 2,
        "StackedLinearGaussianLaplace": 7 * 2 * 3 * 2 * 2 * 2,
    }
    readouts = named(PUBLISHED_READOUTS, *PUBLISHED_READOUTS)
    assert [readout.gamma_features for readout in readouts if hasattr(readout, "pool_steps")] == [20]
    assert {readout.scale_n for readout in readouts if hasattr(readout, "scale_n")} == {5}


def test_a_few_names_give_a_grid_of_all_parts() -> None:
    grid = PublishedGrid(
        cores=tuple(PUBLISHED_CORES),
        readouts=tuple(PUBLISHED_READOUTS),
        shifters=tuple(PUBLISHED_SHIFTERS),
        modulators=tuple(PUBLISHED_MODULATORS),
        selection="all",
        most_models=20_000,
        restriction="core.input_kern = 15 AND core.gamma_input = 50 AND train.batch_size = 60 "
        "AND seed = 1009 AND data.layer = 'L2/3' AND data.brain_area = 'all' AND data.normalize "
        "AND data.exclude = '[]' AND NOT data.normalize_per_image AND data.stimulus_type = 'stimulus.Frame'",
    )
    per_kernel = {name: len(named(PUBLISHED_CORES, name)) // 14 for name in PUBLISHED_CORES}
    assert len(grid.models(0)) == sum(per_kernel.values()) * 7 * 3 * 2
    assert {model.network.core.type for model in grid.models(0)} == set(PUBLISHED_CORES)


def test_an_unknown_family_is_named_with_those_that_exist() -> None:
    with pytest.raises(
        ConfigurationError, match="no published grid is called 'Resnet'; expected some of Stac"
    ):
        named(PUBLISHED_CORES, "GaussianLaplace", "Resnet")


def test_a_restriction_goes_on_top_of_the_published_selection() -> None:
    grid = PublishedGrid(restriction={"seed": [1009]})
    assert grid.models(3) == [model for model in PublishedGrid().models(3) if model.seed == 1009]
    assert len(grid.models(3)) == 16
    assert PublishedGrid(restriction="seed = 1009").models(3) == grid.models(3)


def test_all_lifts_the_published_selection() -> None:
    grid = PublishedGrid(selection="all", restriction=PUBLISHED_SELECTION)
    assert grid.models(0) == PublishedGrid().models(0)
    wider = {**PUBLISHED_SELECTION, "core.input_kern": [13, 15]}
    models = PublishedGrid(selection="all", restriction=wider).models(0)
    assert Counter(model.network.core.input_kern for model in models) == {13: 64, 15: 64}


@pytest.mark.parametrize(
    ("asked", "lost"),
    [
        ({"cores": ("GaussianLaplace", "LinearGaussianLaplace")}, "cores LinearGaussianLaplace"),
        ({"cores": ("Linear",)}, "cores Linear"),
        ({"readouts": ("SpatialTransformerPyramid2d", "SpatialXFeatures")}, "readouts SpatialXFeatures"),
        ({"modulators": ("MLP", "No"), "shifters": ("No",)}, "shifters No and modulators MLP, No"),
        ({"layers": ("L2/3", "L4", "L5")}, "layers L4, L5"),
        ({"seeds": (1, 2, 3), "restriction": "seed < 3"}, "seeds 3"),
        (
            {
                "selection": "all",
                "seeds": (7,),
                "brain_areas": ("V1", "LM"),
                "restriction": {**PUBLISHED_SELECTION, "data.brain_area": "V1"},
            },
            "brain_areas LM",
        ),
    ],
)
def test_what_is_listed_and_has_no_model_left_is_named(asked, lost) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"leaves no model of the listed {lost} of [\d,]+ candidates; l"
    ):
        PublishedGrid(**asked).models(0)


def test_what_stands_by_default_may_be_restricted_away() -> None:
    grid = PublishedGrid(restriction="seed = 1009 AND core.type = 'GaussianLaplace' AND readout.downsample")
    assert len(grid.models(0)) == 4
    again = PublishedGrid.model_validate(grid.model_dump(mode="json"))  # every field spelled out
    assert again.models(0) == grid.models(0)


def test_the_values_that_lost_a_core_are_told() -> None:
    with pytest.raises(ConfigurationError) as raised:
        PublishedGrid(cores=("GaussianLaplace", "LinearGaussianLaplace")).models(0)
    assert "core.hidden_kern = 7" in str(raised.value)
    assert 'selection = "all"' in str(raised.value)


def test_a_restriction_of_which_nothing_is_left_is_refused() -> None:
    said = r"the published selection with the restriction 'seed = 5' leaves no model of 2,580,480 candidates"
    with pytest.raises(ConfigurationError, match=said):
        PublishedGrid(restriction="seed = 5").models(0)


def test_many_models_have_to_be_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"the grid has 2,580,480 models; .* most_models = 1000;"):
        PublishedGrid(selection="all").models(0)
    wanted = {
        "selection": "all",
        "restriction": "core.input_kern = 15 AND train.batch_size = 60 AND seed = 1009 "
        "AND data.layer = 'L2/3' AND data.brain_area = 'all'",
    }
    with pytest.raises(ConfigurationError) as raised:
        PublishedGrid(**wanted).models(0)
    count = int(str(raised.value).rpartition(" ")[2])
    assert len(PublishedGrid(**wanted, most_models=count).models(0)) == count > 1000


def test_the_grids_of_the_documentation_are_what_it_says() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    grids = [
        tomllib.loads(block)["grid"] for block in re.findall(r"```toml\n(\[grid\].*?)```", text, re.DOTALL)
    ]
    models = [PublishedGrid.model_validate(grid).models(0) for grid in grids]
    assert [len(found) for found in models[:2]] == [64, 16]
    assert {one.network.core.type for one in models[2]} == set(grids[2]["cores"])
    assert len(models) == 3
