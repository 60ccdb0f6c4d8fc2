"""The search finds the natural image that a slow look at each would find."""

from itertools import permutations

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import match_contrast
from inception_loop.images.fitting import Fit
from inception_loop.images.natural.image_set import Stack, import_image_set
from inception_loop.images.natural.searched import in_memory
from inception_loop.images.natural.whole import (
    BestNaturalImageConfig,
    make_best_natural_image,
    own_images,
    search_natural,
)
from inception_loop.pictures.dead_leaves import dead_leaves

AT = {"mean": 110.0, "contrast": 8.0}


@pytest.fixture(scope="module")
def frames():
    return dead_leaves(40, height=36, width=64, seed=3)


def slow_activations(model, frames, units):
    shown = match_contrast(torch.from_numpy(frames), 110.0, 8.0)
    return np.stack([model.paired(shown, torch.full((len(frames),), unit)).numpy() for unit in units], 1)


def test_the_winner_is_the_one_a_slow_search_finds(energy_cells, frames):
    found = search_natural(energy_cells, in_memory(frames), [3, 17], **AT, batches=FittingBatches(7))
    slow = slow_activations(energy_cells, frames, [3, 17])
    assert found.best.tolist() == slow.argmax(0).tolist()
    assert found.activation == pytest.approx(slow.max(0), rel=1e-4)
    assert found.runner_up_activation == pytest.approx(np.sort(slow, 0)[-2], rel=1e-4)
    assert found.median_activation == pytest.approx(np.median(slow, 0), rel=1e-4)
    shown = match_contrast(torch.from_numpy(frames[found.best]), 110.0, 8.0).numpy()
    assert np.array_equal(found.images, shown)


def test_images_that_do_not_fit_are_halved_with_a_note(energy_cells, frames, model_of):
    def small(x, u):
        if len(x) > 6:
            raise MemoryError
        return energy_cells.paired(x, u)

    batches = FittingBatches(20)
    halved = search_natural(model_of(small), in_memory(frames), [3, 17], **AT, batches=batches)
    assert (
        halved.best.tolist() == search_natural(energy_cells, in_memory(frames), [3, 17], **AT).best.tolist()
    )
    assert batches.findings() == {"images_at_once_for_memory": 5}


@pytest.mark.parametrize("contrast", [6.0, 60.0])
def test_the_images_have_the_mean_and_contrast_asked_for_clipping_included(linear_cells, frames, contrast):
    found = search_natural(linear_cells, in_memory(frames), range(5), mean=110.0, contrast=contrast)
    assert found.images.mean((1, 2), dtype=np.float64) == pytest.approx(110 * np.ones(5), rel=1e-6)
    assert found.images.std((1, 2), dtype=np.float64) == pytest.approx(contrast * np.ones(5), rel=1e-5)
    assert found.images.min() >= 0
    assert found.images.max() <= 255


def test_flat_and_unreachable_images_are_left_out_and_counted(linear_cells, frames):
    spike = np.zeros((1, 36, 64), np.float32)
    spike[0, 3, 3] = 1
    mixed = np.concatenate([np.full((2, 36, 64), 99.0, np.float32), spike, frames[:5]])
    found = search_natural(linear_cells, in_memory(mixed), [0, 1], mean=110.0, contrast=20.0)
    assert (found.n_searched, found.n_flat, found.n_unreachable) == (5, 2, 1)
    assert (found.best >= 3).all()


def test_of_equal_images_the_first_wins(linear_cells, frames):
    twice = in_memory(np.concatenate([frames[:4], frames[:4]]))
    found = search_natural(linear_cells, twice, range(6), **AT, batches=FittingBatches(3))
    assert (found.best < 4).all()


def test_distinct_images_are_the_best_assignment(energy_cells, frames):
    found = search_natural(energy_cells, in_memory(frames[:5]), [3, 3, 17], **AT, distinct=True)
    assert len(set(found.best)) == 3
    slow = slow_activations(energy_cells, frames[:5], [3, 3, 17])
    share = (slow - np.median(slow, 0)) / (slow.max(0) - np.median(slow, 0))
    best = max(permutations(range(5), 3), key=lambda rows: share[list(rows), range(3)].sum())
    assert share[found.best, range(3)].sum() == pytest.approx(share[list(best), range(3)].sum(), rel=1e-4)
    assert found.best_activation == pytest.approx(slow.max(0), rel=1e-4)
    assert own_images(np.ones((3, 2))).tolist() == [0, 1]  # units that nothing tells apart


@pytest.mark.parametrize("distinct", [False, True])
def test_fewer_images_than_units_are_refused(linear_cells, frames, distinct):
    flat = np.full((2, 36, 64), 7.0, np.float32)
    for images, units in ((frames[:0], [0]), (flat, [0]), (np.concatenate([flat, frames[:2]]), [0, 1, 2])):
        with pytest.raises(
            DataError, match=rf"at least one for each of {len(units)} units; give more images"
        ):
            search_natural(linear_cells, in_memory(images), units, **AT, distinct=distinct)


def test_an_activation_that_is_no_number_is_refused(model_of, frames):
    lost = model_of(lambda x, u: x.mean((1, 2)) * torch.where(u > 3, torch.nan, 1.0))
    with pytest.raises(DataError, match="by a natural image is no number: b, c; expected a finite one"):
        search_natural(lost, in_memory(frames[:3]), [1, 4, 5], **AT, names=["a", "b", "c"])


def test_the_artifact_names_the_condition_and_source_of_each_best_image(
    store, models, networks, target, dataset_of, frames, energy_cells
):
    dataset, shown = dataset_of(frames)
    config = BestNaturalImageConfig(**target, contrast=8.0)
    made = networks(models, energy_cells)
    ref = make_best_natural_image(store, config, networks=made, pictures=dataset).ref
    table, images = store.table(ref, "best_natural_image"), store.arrays(ref, "images")["images"]
    slow = search_natural(energy_cells, in_memory(frames[shown]), [3, 1, 17], **AT)
    best = [shown[k] for k in slow.best]
    assert table["condition_hash"].to_list() == [f"c{k:02d}" for k in best]
    assert table["source_id"].to_list() == [f"photo{k // 2}" for k in best]
    assert np.array_equal(images, slow.images)
    assert table["activation"].to_numpy() == pytest.approx(slow.activation)
    assert table["contrast"].to_numpy() == pytest.approx(8 * np.ones(3), rel=1e-5)
    assert table["n_images"].to_list() == [len(shown)] * 3
    assert list(store.inputs(ref)) == ["model", "static_multi_dataset"]


def test_an_image_set_is_searched_and_one_of_another_size_is_not(
    store, models, networks, target, frames, energy_cells
):
    config, made = BestNaturalImageConfig(**target, distinct=True), networks(models, energy_cells)
    pictures = import_image_set(store, Stack(frames[:6], [f"leaf{k}" for k in range(6)]), "leaves").ref
    table = store.table(
        make_best_natural_image(store, config, networks=made, pictures=pictures).ref, "best_natural_image"
    )
    rows = table["image_row"]
    assert rows.n_unique() == 3
    assert table["source_id"].to_list() == [f"leaf{k}" for k in rows]
    assert table["condition_hash"].null_count() == 3
    known = store.table(pictures, "image_set")["content_hash"]
    assert table["content_hash"].to_list() == known.gather(rows).to_list()
    for stack, message in (
        (frames[:6, :, :36], r"holds images of 36×36 px; expected 36×64"),
        (frames[:2], "holds 2 images for 3 units"),
    ):
        other = Stack(stack)
        fit = None if stack.shape[2] == 64 else Fit(width=36)
        with pytest.raises(DataError, match=message):
            make_best_natural_image(
                store, config, networks=made, pictures=import_image_set(store, other, "o", fit).ref
            )
