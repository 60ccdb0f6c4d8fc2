"""The stage asks for every wanted unit once, in batches, and for the right ensemble."""

import polars as pl
import pytest

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import DataError
from inception_loop.images import stage
from inception_loop.images.procedure import Fast, PublishedBlur, PublishedContrast
from inception_loop.images.stage import ImagesConfig, run_images, statistics_of, wanted_units


def units(name, unit_ids):
    return pl.DataFrame({"name": name, "neuron_id": [u * 10 for u in unit_ids], "unit_id": unit_ids})


@pytest.fixture
def selection():
    ranks = pl.Series([2, None, 0, 1], dtype=pl.Int64)
    one = units("a", [1, 2, 3, 4]).with_columns(hu_rank=ranks)
    return pl.concat([one, units("b", [1]).with_columns(hu_rank=pl.lit(0, pl.Int64))])


@pytest.fixture
def panel():
    return units("a", [9, 2, 3]).with_columns(
        kind=pl.Series(["simple", "complex", "complex"]), panel_rank=pl.Series([0, 1, 0])
    )


def test_selected_units_come_by_rank_then_the_panel_and_nobody_twice(selection, panel):
    wanted = wanted_units(selection, panel)
    assert wanted.select("name", "unit_id").rows() == [
        ("a", 3),
        ("a", 4),
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("a", 9),
    ]
    assert wanted_units(selection).height == 4


def test_nobody_wanted_is_an_error(selection):
    with pytest.raises(DataError, match="no unit is selected"):
        wanted_units(selection.filter(pl.col("hu_rank").is_null()))


def test_controls_get_the_statistics_of_the_meis():
    assert statistics_of(Fast(mean=100.0, contrast=7.0)) == (100.0, 7.0)
    assert statistics_of(PublishedContrast(max_contrast=9.0)) == (None, 9.0)
    assert statistics_of(PublishedBlur()) == (None, 11.0)


def test_every_batch_is_imaged_three_ways_by_its_own_ensemble(selection, panel, monkeypatch):
    refs = {
        n: ArtifactRef(kind=n, digest="0" * 64, uri=f"memory://s/{n}")
        for n in ("d", "g", "s", "p", "cnn", "lin")
    }
    monkeypatch.setattr(
        stage, "ensemble_models", lambda store, ref, family: [refs["cnn" if family == "cnn" else "lin"]]
    )

    class Store:
        def table(self, ref, name):
            return {"s": selection, "p": panel}[ref.kind]

    calls = []

    def run(make, config, *, label="", **inputs):
        calls.append((make.__name__, config, label, inputs))

    config = ImagesConfig(group_id=4, batch=2, procedure=Fast(contrast=7.0), gains=50, seed=3, eye="none")
    run_images(
        run,
        Store(),
        config,
        dataset=refs["d"],
        model_group=refs["g"],
        selection=refs["s"],
        panel=refs["p"],
        load=max,
    )
    assert [name for name, *_ in calls[:3]] == ["make_mei", "make_grad_rf", "make_best_natural_image"]
    meis = [config for name, config, *_ in calls if name == "make_mei"]
    assert [[unit.unit_id for unit in config.units] for config in meis] == [[3, 4], [1, 2], [9], [1]]
    assert [config.name for config in meis] == ["a", "a", "a", "b"]
    assert meis[0].gains == 50
    assert all(config.eye == "none" and config.group_id == 4 for _, config, *_ in calls)
    for name, config, label, inputs in calls:
        assert label
        assert inputs["models"] == [refs["lin" if name == "make_grad_rf" else "cnn"]]
        if name == "make_best_natural_image":
            assert (config.mean, config.contrast) == (None, 7.0)
            assert inputs["dataset"] == refs["d"]
        else:
            assert config.seed == 3
            assert config.procedure == Fast(contrast=7.0)
