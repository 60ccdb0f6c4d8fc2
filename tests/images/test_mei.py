"""The MEI artifact holds what the ascent found, unit by unit, and asks the network only once."""

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.procedure import Fast, PublishedContrast
from inception_loop.images.judging import Judging
from inception_loop.images.mei import MEI, MeiConfig, make_mei, synthesize_meis
from inception_loop.images.network import CallableModel
from inception_loop.training.pixel_model import OwnModel


@pytest.fixture
def config(target):
    return MeiConfig(**target, judging=Judging(gains=20, reach=1))


def test_the_table_describes_the_images(store, models, networks, config, energy_cells):
    ref = make_mei(store, config, networks=networks(models, energy_cells)).ref
    table, images = store.table(ref, "mei"), store.arrays(ref, "images")["images"]
    assert table.select("name", "neuron_id", "unit_id").rows() == [
        ("group000-1-1-1", 3, 103),
        ("group000-1-1-1", 1, 101),
        ("group000-1-1-1", 17, 117),
    ]
    assert images.shape == (3, 36, 64)
    shown = energy_cells.paired(torch.from_numpy(np.array(images)), torch.tensor([3, 1, 17]))
    assert table["activation"].to_numpy() == pytest.approx(shown.numpy(), rel=1e-5)
    assert table["img_mean"].to_numpy() == pytest.approx(images.mean((1, 2), dtype=np.float64))
    assert table["contrast"].to_numpy() == pytest.approx(images.std((1, 2), dtype=np.float64))
    assert table["contrast"].to_numpy() == pytest.approx(8 * np.ones(3), rel=1e-4)
    assert table["n_seeds"].to_list() == [2, 2, 2]
    assert table["monotonic"].all()


def test_the_history_ends_where_the_unit_stopped_and_the_best_is_the_activation(
    store, models, networks, config, energy_cells
):
    ref = make_mei(store, config, networks=networks(models, energy_cells)).ref
    table, history = store.table(ref, "mei"), store.arrays(ref, "history")["score"]
    assert history.shape == (101, 3)
    for unit, taken in enumerate(table["iterations"]):
        assert np.isfinite(history[: taken + 1, unit]).all()
        assert np.isnan(history[taken + 1 :, unit]).all()
    assert np.nanmax(history, axis=0) == pytest.approx(table["activation"].to_numpy())
    assert store.arrays(ref, "tuning")["activation"].shape == (3, 20)


def test_a_second_call_finds_it_and_loads_no_network(store, models, networks, config, energy_cells):
    asked = networks(models, energy_cells)
    first = make_mei(store, config, networks=asked)
    second = make_mei(store, config, networks=asked)
    assert (first.cached, second.cached, first.ref) == (False, True, second.ref)
    assert asked.own.load.calls == [("group000-1-1-1", "training_mean", "none", "float32")]


def test_the_same_question_gives_the_same_bytes_in_another_store(make_world, networks, config, energy_cells):
    def digests():
        store, models = make_world()
        ref = make_mei(store, config, networks=networks(models, energy_cells)).ref
        return {name: payload.sha256 for name, payload in store.manifest(ref).payloads.items()}

    assert digests() == digests()


def test_a_unit_starts_from_the_same_noise_in_every_batch(energy_cells):
    keys = ["a/3", "a/1", "a/17"]
    together = synthesize_meis(energy_cells, [3, 1, 17], keys=keys, gains=2).ascent
    alone = synthesize_meis(energy_cells, [1], keys=keys[1:2], gains=2).ascent
    assert torch.equal(together.images[1], alone.images[0])


def test_seed_and_procedure_are_part_of_the_question(store, models, config):
    variants = [
        config,
        config.model_copy(update={"seed": 2}),
        config.model_copy(update={"procedure": PublishedContrast()}),
        config.model_copy(update={"units": config.units[:2]}),
        config.model_copy(update={"units": config.units[::-1]}),
    ]
    assert len({store.ref(MEI, v, {"model": models}).digest for v in variants}) == len(variants)
    assert store.ref(MEI, config.model_copy(update={"procedure": Fast()}), {"model": models}) == store.ref(
        MEI, config, {"model": models}
    )


def test_a_unit_that_no_pixel_moves_is_refused_by_name_and_nothing_is_left(
    store, models, networks, config, model_of
):
    deaf = model_of(lambda x, u: x.std((1, 2)) * (u == 1))
    seen = r"\(zero_gradient at an activation of 0, below which nothing can be seen\)"
    line = rf"noise: group000-1-1-1/103 {seen}, group000-1-1-1/117 {seen}; .* leave them out$"
    with pytest.raises(DataError, match=line):
        make_mei(store, config, networks=networks(models, deaf))
    assert not store.exists(store.ref(MEI, config, {"model": models}))


@pytest.mark.parametrize("model", ["full", "own"])
def test_units_that_a_model_does_not_have_are_refused_in_one_line(model):
    filters = torch.ones(2, 4, 6)
    models = {
        "full": CallableModel(lambda x, u: torch.einsum("bhw,uhw->bu", x, filters[u]), 110.0, 50.0, (4, 6)),
        "own": OwnModel(lambda x: torch.einsum("bhw,uhw->bu", x, filters), 110.0, 50.0, (4, 6)),
    }
    with pytest.raises(DataError, match="no unit is asked for; expected one or more columns"):
        synthesize_meis(models[model], [])
    for column in (7, -1):
        with pytest.raises(DataError, match=f"column {column} is asked for, which the model does not have"):
            synthesize_meis(models[model], [0, column])
