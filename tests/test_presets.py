"""The demo's parameters: two families with several seeds, and everything drawn from the one seed."""

import pytest

from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.twin import TwinConfig
from inception_loop.parameters import LoopParameters
from inception_loop.presets import demo_parameters, paper_grid, small_grid
from inception_loop.training.config import SEEDS

TWIN = TwinConfig(sha256="0" * 64)


@pytest.mark.parametrize(("grid", "seeds"), [(small_grid(), 3), (paper_grid(), 4)])
def test_a_grid_has_both_families_with_the_published_seeds(grid, seeds) -> None:
    families = [model.network.core.type for model in grid.models(0)]
    assert families == ["GaussianLaplace"] * seeds + ["StackedLinearGaussianLaplace"] * seeds
    assert grid.seeds == SEEDS[:seeds]
    assert len({model.network for model in grid.models(0)}) == 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_small_networks_are_in_the_precision_that_the_machine_is_fast_in(monkeypatch, precision) -> None:
    """Where bfloat16 is emulated a network of the demo took 17 minutes instead of two."""
    monkeypatch.setattr("inception_loop.presets.fastest_precision", lambda device: precision)
    assert {model.train.precision for model in small_grid().models(0)} == {precision}


@pytest.mark.parametrize("animal", [SimulatedConfig(), TWIN])
@pytest.mark.parametrize("size", ["small", "paper"])
def test_a_demo_is_complete_and_survives_json(animal, size) -> None:
    demo = demo_parameters(animal, size=size, seed=3)
    assert demo.animal == animal
    assert demo.selection.min_units == 15
    assert LoopParameters.model_validate_json(demo.model_dump_json()) == demo


def test_the_seed_reaches_everything_that_is_drawn() -> None:
    one, two = (demo_parameters(SimulatedConfig(seed=s), size="small", seed=s) for s in (1, 2))
    for part in ("session", "images"):
        assert getattr(one, part) != getattr(two, part)
        assert getattr(one, part).seed == 1
    assert (one.stimulus.session.seed, two.stimulus.session.seed) == (1, 2)
    assert one.grid == two.grid


def test_a_paper_session_is_of_the_published_length_and_a_small_one_is_not() -> None:
    paper = demo_parameters(TWIN, size="paper", seed=1).session
    small = demo_parameters(SimulatedConfig(), size="small", seed=1).session
    assert (paper.n_train, paper.n_repeated, paper.repeats) == (5000, 100, 10)
    assert small.n_train < paper.n_train


def test_the_twins_file_is_carried_beside_the_animal_not_in_it() -> None:
    demo = demo_parameters(TWIN, size="small", seed=1, twin_path="somewhere/twin.npz")
    assert demo.twin_path == "somewhere/twin.npz"
    assert "somewhere" not in demo.animal.model_dump_json()


def test_a_demo_of_several_days_shows_all_published_loops_on_each() -> None:
    demo = demo_parameters(SimulatedConfig(), size="small", seed=1, days=3)
    one = demo_parameters(SimulatedConfig(), size="small", seed=1)
    assert one.model_copy(update={"days": 3}) == demo
    shown = {taken.model_type for fill in demo.stimulus.fills for taken in fill.takes}
    assert shown == {"cnn", "linear", "gabor", "natural", "masked_cnn", "masked_natural"}
