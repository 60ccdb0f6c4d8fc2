"""`Directly` computes each step on the spot, hands on its reference and remembers the outcome."""

from inception_loop.artifacts.steps import Directly
from inception_loop.artifacts.store import Outcome


def test_a_step_is_computed_at_once_and_found_the_second_time(memory_store, demo) -> None:
    def make_demo(store, config) -> Outcome:
        return store.make(demo.kind, config, demo.build)

    run = Directly(memory_store)
    config = demo.config(name="a")
    first = run(make_demo, config, label="for a person")
    again = run(make_demo, config)
    assert first == again == memory_store.ref(demo.kind, config)
    assert memory_store.exists(first)
    assert len(demo.built) == 1
    assert run.outcomes == {"demo": [Outcome(first, False), Outcome(first, True)]}


def test_a_step_with_several_artifacts_hands_on_several_references(memory_store, demo) -> None:
    def make_pair(store, config, *, names) -> tuple[Outcome, ...]:
        return tuple(
            store.make(demo.kind, config.model_copy(update={"name": name}), demo.build) for name in names
        )

    run = Directly(memory_store)
    refs = run(make_pair, demo.config(name="any"), names=("a", "b"))
    assert [memory_store.manifest(ref).config["name"] for ref in refs] == ["a", "b"]
    assert [outcome.ref for outcome in run.outcomes["demo"]] == refs
