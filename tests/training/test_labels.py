"""A model's label says what tells it apart."""

from inception_loop.presets import small_grid
from inception_loop.training.config import ModelConfig
from inception_loop.training.labels import counted, labels_of
from inception_loop.training.published import PublishedGrid
from inception_loop.training.restriction import restrict


def test_the_published_models_have_labels_of_their_own_that_name_what_varies() -> None:
    models = PublishedGrid().models(0)
    labels = labels_of(models)
    assert len(set(labels.values())) == 64
    first = "GaussianLaplace core.gamma_input=50.0 core.gamma_hidden=0.1 readout.downsample=true seed 1009"
    assert sorted(labels[models[0]].split()) == sorted(first.split())


def test_a_label_names_only_fields_in_which_models_of_its_core_differ() -> None:
    models = small_grid().models(0)
    assert [labels_of(models)[model] for model in models] == [
        f"{model.network.core.type} seed {model.seed}" for model in models
    ]


def test_what_a_label_names_finds_the_model_again() -> None:
    models = PublishedGrid().models(0)
    for model, label in list(labels_of(models).items())[::7]:
        core, *named, _, seed = label.split()
        conditions = [f"core.type = '{core}'", *named, f"seed = {seed}"]
        assert restrict(models, " AND ".join(conditions)) == [model]


def test_models_are_counted_by_what_differs_as_a_product_where_they_are_one() -> None:
    models = PublishedGrid().models(0)
    assert counted(models) == "64 models: 8 cores × 2 readouts × 4 seeds"
    assert counted(models[:-1]) == "63 models: 8 cores, 2 readouts, 4 seeds"
    assert counted(models[:1]) == "1 model"
    other = ModelConfig(group_id=0, network=models[0].network.model_copy(update={"gain": "after"}))
    assert counted([ModelConfig(group_id=0, network=models[0].network), other]) == "2 models: 2 gains"
