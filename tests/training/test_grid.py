"""The grid: combinations are those of a slow product, restricted as its models would be."""

import itertools

import pytest

from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.modulators import MLPModulator, NoModulator
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.network.shifters import MLPShifter, NoShifter
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.grid import PartsGrid, fill
from inception_loop.training.restriction import as_row, field_names, restrict, rows_of

SMALL = PartsGrid(
    cores=(GaussianLaplace(), StackedLinearGaussianLaplace(gamma_hidden=1)),
    readouts=fill(SpatialTransformerPyramid2d, {"downsample": (True, False), "scale_n": (2, 5)}),
    shifters=(MLPShifter(), NoShifter()),
    modulators=(NoModulator(), MLPModulator()),
    gains=("after", "before"),
    trains=(TrainConfig(), TrainConfig(batch_size=125)),
    seeds=(3, 1),
)


def test_all_combinations_are_those_of_the_slow_product_in_its_order() -> None:
    product = itertools.product(
        SMALL.cores, SMALL.readouts, SMALL.shifters, SMALL.modulators, SMALL.gains, SMALL.trains, SMALL.seeds
    )
    expected = [
        ModelConfig(
            group_id=2,
            network=CorePlusReadout(
                core=core, readout=readout, shifter=shifter, modulator=modulator, gain=gain
            ),
            train=train,
            seed=seed,
        )
        for core, readout, shifter, modulator, gain, train, seed in product
    ]
    assert SMALL.models(2) == expected
    assert SMALL.size == len(expected) == 256


@pytest.mark.parametrize(
    "restriction",
    [
        "core.gamma_hidden = 0.1 AND NOT readout.downsample",
        {"shifter.type": "MLP", "shifter.hidden": 5, "gain": "after"},
        {"shifter.hidden": None},
        "seed = 3 OR (train.batch_size > 100 AND modulator.type = 'No')",
    ],
)
def test_restricting_the_product_or_its_models_is_the_same(restriction) -> None:
    models = SMALL.models(0, restriction)
    assert models == restrict(SMALL.models(0), restriction)
    assert 0 < len(models) < SMALL.size
    assert SMALL.model_copy(update={"restriction": restriction}).models(0) == models


def test_the_products_fields_are_the_models_fields() -> None:
    names = set(field_names(rows_of([as_row(model) for model in SMALL.models(0)]))) - {"group_id"}
    every = " AND ".join(f"({name} IS NULL OR {name} IS NOT NULL)" for name in sorted(names))
    assert len(SMALL.models(0, every)) == SMALL.size


def test_a_restriction_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="leaves none of the grid's 256 combinations; loosen it"):
        SMALL.models(0, {"seed": 4})


def test_more_models_than_allowed_are_refused_with_their_number() -> None:
    few = SMALL.model_copy(update={"most_models": 127})
    with pytest.raises(
        ConfigurationError, match=r"has 128 models; expected at most most_models = 127; .* = 128"
    ):
        few.models(0, "seed = 3")
    assert len(few.models(0, "seed = 3 AND gain = 'after'")) == 64
