"""Every model is trained and scored once, results in the order asked for, the families started by turns."""

from inception_loop.artifacts.steps import Directly
from inception_loop.presets import small_grid
from inception_loop.training.stage import run_training


class Recorder:
    """Writes down what is run and answers with a name for it."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.inputs: list[dict[str, object]] = []

    def __call__(self, make, config, *, label="", **inputs):
        self.steps.append((make.__name__, label))
        self.inputs.append(inputs)
        return f"{make.__name__} {label}"


def test_families_are_started_by_turns_and_results_come_in_the_order_of_the_models() -> None:
    run, models = Recorder(), small_grid().models(0)
    made = run_training(run, models, dataset="the dataset")
    labels = [f"{model.network.core.type} seed {model.seed}" for model in models]
    assert made == [(f"make_model {label}", f"make_unit_test_scores {label}") for label in labels]
    started = [label for make, label in run.steps if make == "make_model"]
    assert started == [labels[0], labels[2], labels[1], labels[3]]
    scored = [inputs["model"] for inputs in run.inputs if "model" in inputs]
    assert scored == [f"make_model {label}" for label in labels]
    assert all(inputs["dataset"] == "the dataset" for inputs in run.inputs)


def test_models_and_scores_are_made_in_a_store(day_store, model_config, trained) -> None:
    store, dataset, _ = day_store
    models = [model_config, model_config.model_copy(update={"seed": 2})]
    made = run_training(Directly(store), models, dataset=dataset)
    assert [model for model, _ in made] == trained
    assert [store.inputs(scores)["model"] for _, scores in made] == [[model] for model in trained]
