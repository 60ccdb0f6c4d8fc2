from __future__ import annotations

from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.schedule import MOST, most_together, plan


def models(**changes) -> list[ModelConfig]:
    """Two seeds of two strengths of two families."""
    return [
        ModelConfig(group_id=1, network={"core": core(gamma_input=gamma)}, seed=seed, **changes)
        for seed in (1, 2)
        for gamma in (50.0, 100.0)
        for core in (GaussianLaplace, StackedLinearGaussianLaplace)
    ]


def test_on_a_cpu_every_model_is_trained_alone_in_the_order_given():
    found = plan(models(), "cpu")
    assert found.stacks == [[model] for model in models()]
    assert found.reason == "8 models one at a time: faster on cpu than as stacks"


def test_on_a_gpu_models_that_differ_in_seeds_and_strengths_alone_are_one_stack():
    found = plan(models(), "cuda:0")
    assert found.reason == "8 models in 2 stacks of 4 on cuda:0"
    assert [{model.network.core.type for model in stack} for stack in found.stacks] == [
        {"GaussianLaplace"},
        {"StackedLinearGaussianLaplace"},
    ]
    for stack in found.stacks:
        strengths = [model.network.core.gamma_input for model in stack]
        assert strengths in ([50.0, 50.0, 100.0, 100.0], [100.0, 100.0, 50.0, 50.0])  # alike side by side
    together = [model for stack in found.stacks for model in stack]
    assert sorted(map(repr, together)) == sorted(map(repr, models()))


def test_other_batches_precisions_or_data_are_other_stacks_and_other_learning_rates_are_not():
    def stacks(**train):
        return len(plan(models() + models(train=TrainConfig(**train)), "cuda").stacks)

    assert stacks(batch_size=59) == stacks(precision="bfloat16") == stacks(round_robin="shortest") == 4
    assert stacks(learning_rates=(0.1,)) == stacks(patience=3, max_epoch=9, tolerance=0.1) == 2
    assert len(plan(models() + models(data={"layer": "L4"}), "cuda").stacks) == 4


def test_stacks_are_even_and_not_larger_than_memory_allows():
    seeds = [ModelConfig(group_id=1, seed=seed) for seed in range(64)]
    assert [len(stack) for stack in plan(seeds, "cuda", most=25).stacks] == [21, 21, 22]
    assert plan(seeds, "cuda", most=25).reason == "64 models in 3 stacks of 21 to 22 on cuda"
    assert plan(seeds, "cuda", most=1).reason == "64 models one at a time: the memory holds no more"
    assert plan([], "cuda").stacks == []


def test_twice_the_memory_holds_twice_the_models_but_never_none_nor_too_many():
    one = ModelConfig(group_id=1)

    def most(memory, units=1000):
        return most_together(one, units, (36, 64), memory)

    assert most(2 * 20 * 2**30) in (2 * most(20 * 2**30), 2 * most(20 * 2**30) + 1)
    assert most(1) == 1
    assert most(2**60) == MOST
    assert most(20 * 2**30, units=100_000) < most(20 * 2**30)


def test_samples_of_many_units_count_also_where_only_their_evaluation_needs_them():
    def most(units, size):
        return most_together(
            ModelConfig(group_id=1, train=TrainConfig(batch_size=size)), units, (36, 64), 80 * 2**30
        )

    few = most(8000, 2)
    samples = 4 * 128 * 96 * 8000 * 4  # 128 images are predicted at once, whatever the batch
    assert few < 0.4 * 80 * 2**30 / samples
    assert most(8000, 2) == few
    assert most(16000, 2) <= few // 2 + 1
