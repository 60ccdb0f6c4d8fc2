"""Every model is trained and scored once, results in the order asked for, the families started by turns."""

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Directly
from inception_loop.presets import small_grid
from inception_loop.training.config import SEEDS
from inception_loop.training.model import MODEL
from inception_loop.training.stage import run_training


class Future:
    """What a workflow engine gives: its result comes later."""

    def __init__(self, refs) -> None:
        self.refs = refs

    def result(self):
        return self.refs


class Recorder:
    """Writes down what is run; some models are reserved by others at first, some cannot be trained."""

    def __init__(self, *, reserved=(), bad=(), wrap=Future) -> None:
        self.steps: list[tuple[str, str, object]] = []
        self.inputs: list[dict[str, object]] = []
        self.reserved, self.bad, self.wrap = reserved, bad, wrap

    def __call__(self, make, config, *, label="", **inputs):
        self.steps.append((make.__name__, label, inputs.get("wait")))
        self.inputs.append(inputs)
        if make.__name__ == "make_unit_test_scores":
            return f"scores of {label}"
        if label in self.reserved and not inputs["wait"]:
            return self.wrap([])
        return self.wrap([ref("bad_config" if label in self.bad else "model", label)])


def ref(kind: str, label: str) -> ArtifactRef:
    return ArtifactRef(kind=kind, digest="0" * 64, uri=f"memory://x/{label}/{'0' * 64}")


MODELS = small_grid().model_copy(update={"seeds": SEEDS[:2]}).models(0)
LABELS = [f"{model.network.core.type} seed {model.seed}" for model in MODELS]


def test_families_are_started_by_turns_and_results_come_in_the_order_of_the_models() -> None:
    run = Recorder()
    made = run_training(run, MODELS, dataset="the dataset")
    assert made == [(ref("model", label), f"scores of {label}") for label in LABELS]
    jobs = [step for step in run.steps if step[0] == "make_model_job"]
    started = [LABELS[index] for index in (0, 2, 1, 3)]
    assert jobs == [("make_model_job", label, False) for label in started]
    scored = [inputs["model"] for inputs in run.inputs if "model" in inputs]
    assert scored == [ref("model", label) for label in LABELS]
    assert all(inputs["dataset"] == "the dataset" for inputs in run.inputs)
    assert run.steps[-1][0] == "make_linear_rf"
    assert [make for make, _, _ in run.steps].count("make_linear_rf") == 1


def test_what_another_has_reserved_is_asked_for_again_once_all_else_was_asked_for() -> None:
    for wrap in (Future, list):  # of a workflow engine, and of a notebook
        run = Recorder(reserved=LABELS[:2], wrap=wrap)
        made = run_training(run, MODELS, dataset="the dataset")
        assert made == [(ref("model", label), f"scores of {label}") for label in LABELS]
        waits = [(label, wait) for make, label, wait in run.steps if make == "make_model_job"]
        assert waits[4:] == [(LABELS[0], True), (LABELS[1], True)]
        assert {wait for _, wait in waits[:4]} == {False}


def test_what_cannot_be_trained_is_not_scored() -> None:
    run = Recorder(bad=LABELS[1:3])
    made = run_training(run, MODELS, dataset="the dataset")
    assert [scores for _, scores in made] == [f"scores of {LABELS[0]}", f"scores of {LABELS[3]}"]


def test_models_and_scores_are_made_in_a_store(day_store, model_config, trained) -> None:
    store, dataset, _ = day_store
    models = [model_config, model_config.model_copy(update={"seed": 2})]
    made = run_training(Directly(store), models, dataset=dataset)
    assert [model for model, _ in made] == trained
    assert [store.inputs(scores)["model"] for _, scores in made] == [[model] for model in trained]


def test_stacks_are_trained_first_as_one_step_each_and_scored_like_others(day_store, model_config) -> None:
    store, dataset, _ = day_store
    train = model_config.train.model_copy(update={"max_epoch": 1})
    models = [model_config.model_copy(update={"train": train, "seed": seed}) for seed in (31, 32, 33)]
    steps = []

    class Noted(Directly):
        def __call__(self, make, config, *, label="", **inputs):
            steps.append((make.__name__, label))
            return super().__call__(make, config, label=label, **inputs)

    made = run_training(Noted(store), models, dataset=dataset, stacks=[models[:2], models[2:]])
    assert steps[:2] == [
        ("make_model_stack", "2 models of GaussianLaplace"),
        ("make_model_job", "GaussianLaplace seed 33"),
    ]
    assert [model for model, _ in made] == [store.ref(MODEL, one, {"dataset": dataset}) for one in models]
    together = [store.manifest(model).findings.get("trained_together") for model, _ in made]
    assert together == [2, 2, None]
