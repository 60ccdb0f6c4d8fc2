"""A batch that does not fit is halved until it does, and the answer is that of the whole batch."""

import pytest
import torch

from inception_loop.errors import InceptionLoopError
from inception_loop.images.ascent.ascend import Schedule, ascend
from inception_loop.images.ascent.constraints import FixedContrastInRange
from inception_loop.images.ascent.memory import FittingBatches, is_out_of_memory
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.steps import Ramp, RmsStep
from inception_loop.images.mei import MeiConfig, make_mei
from inception_loop.images.rf import linear_rf

FULL = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    "python": MemoryError(),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)  # takes a third of a second and matters to nothing here


def small_memory(model_of, drive, fits, error):
    """A model that runs out of memory at more than ``fits`` images, and the sizes it was asked for."""
    sizes = []

    def limited(x, u):
        sizes.append(len(x))
        if len(x) > fits:
            raise error
        return drive(x, u)

    return model_of(limited), sizes


@pytest.mark.parametrize("error", FULL.values(), ids=FULL)
def test_halves_give_the_answer_of_the_whole_batch(energy_cells, model_of, noise, cosine, error):
    schedule = Schedule(20, RmsStep(Ramp(3.0, 0.1)), patience=5, tolerance=1e-2)
    start, constraint = noise(7), FixedContrastInRange(110.0, 6.0)

    def climb(model, batches=None):
        return ascend(unit_objective(model, range(7)), start, constraint, schedule, batches)

    batches = FittingBatches()
    small, sizes = small_memory(model_of, energy_cells.paired, 2, error)
    whole, halved = climb(energy_cells), climb(small, batches)
    assert sizes[:4] == [7, 4, 2, 2]
    assert max(sizes[3:]) == 2
    assert (batches.size, batches.halved) == (2, True)
    assert torch.allclose(halved.scores, whole.scores, rtol=1e-4)
    assert cosine(halved.images, whole.images - 110).min() > 0.9999
    assert halved.reasons == whole.reasons


def test_other_errors_pass(model_of):
    broken, _ = small_memory(model_of, None, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        broken.paired(torch.zeros(2, 3, 3), torch.arange(2))
    with pytest.raises(RuntimeError, match="shapes"):
        FittingBatches()(2, lambda part: broken.paired(torch.zeros(2, 3, 3)[part], torch.arange(2)[part]))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_one_image_that_does_not_fit_is_an_error_in_one_line(model_of, energy_cells):
    none, _ = small_memory(model_of, energy_cells.paired, 0, FULL["cpu"])
    with pytest.raises(InceptionLoopError, match=r"not even one image .* free memory, take fewer networks"):
        linear_rf(none, [0, 1, 2])


def test_the_artifact_says_that_its_batch_was_halved(store, models, networks, target, model_of, energy_cells):
    small, _ = small_memory(model_of, energy_cells.paired, 2, FULL["gpu"])
    config = MeiConfig(**target, judging={"gains": 2, "reach": 0})
    made = make_mei(store, config, networks=networks(models, small)).ref
    said = store.manifest(made).findings
    assert (said["images_at_once_for_memory"], said["judged_at_once_for_memory"]) == (2, 2)
    asked_else = config.model_copy(update={"judging": config.judging.model_copy(update={"gains": 3})})
    fitting = make_mei(store, asked_else, networks=networks(models, energy_cells)).ref
    assert not any("at_once" in name for name in store.manifest(fitting).findings)
    assert store.table(made, "mei")["activation"].to_list() == pytest.approx(
        store.table(fitting, "mei")["activation"].to_list(), rel=1e-4
    )
