"""Few exact passes find the image that a slow look at every image through the mask finds."""

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import match_contrast
from inception_loop.images.natural import masked_search
from inception_loop.images.natural.masked_group import Screen
from inception_loop.images.natural.masked_search import search_masked
from inception_loop.images.natural.searched import in_memory
from inception_loop.images.natural.through_masks import through
from inception_loop.pictures.dead_leaves import dead_leaves

AT = {"mean": 110.0, "contrast": 8.0}
UNITS = [3, 1, 17, 8]


@pytest.fixture(scope="module")
def frames():
    """400 crops of a few large pictures."""
    canvases = dead_leaves(4, height=90, width=160, seed=3)
    rng = np.random.default_rng(2)
    places = zip(rng.integers(0, 4, 400), rng.integers(0, 54, 400), rng.integers(0, 96, 400), strict=True)
    crops = np.stack([canvases[k, y : y + 36, x : x + 64] for k, y, x in places])
    return crops + rng.normal(0, 2, crops.shape).astype(np.float32)  # none is flat behind a mask


@pytest.fixture(scope="module")
def masks(even, odd):
    """A soft disc about each cell's receptive field."""
    power = even[UNITS].square() + odd[UNITS].square()
    y, x = torch.meshgrid(torch.arange(36.0), torch.arange(64.0), indexing="ij")
    place = [(power * axis).sum((1, 2)) / power.sum((1, 2)) for axis in (y, x)]
    distance = torch.hypot(y - place[0][:, None, None], x - place[1][:, None, None])
    return (7.5 - distance).clamp(0, 1)


def slow_activations(model, frames, masks):
    found = []
    for unit, mask in zip(UNITS, masks, strict=True):
        shown = match_contrast(through(torch.tensor(frames), mask.expand(len(frames), -1, -1)), 110.0, 8.0)
        found.append(model.paired(shown.float(), torch.full((len(frames),), unit)))
    return torch.stack(found).numpy()


@pytest.mark.parametrize("cells", ["ln_cells", "energy_cells"])
def test_simple_and_complex_cells_get_the_image_of_the_exhaustive_search(cells, frames, masks, request):
    model, screen = request.getfixturevalue(cells), Screen(candidates=30, gradients=16)
    found = search_masked(model, in_memory(frames), masks, UNITS, **AT, screen=screen)
    slow = slow_activations(model, frames, masks)
    assert found.best.tolist() == slow.argmax(1).tolist()
    assert found.activation == pytest.approx(slow.max(1), rel=1e-5)
    assert (found.runner_up_activation < found.activation).all()
    assert (found.n_exact <= 30).all()
    assert (found.n_gradients <= 16).all()
    assert found.images.mean((1, 2)) == pytest.approx(110 * np.ones(4), rel=1e-5)
    assert found.images.std((1, 2)) == pytest.approx(8 * np.ones(4), rel=1e-4)
    outside = (masks == 0).numpy()
    assert all(np.ptp(image[out]) == 0 for image, out in zip(found.images, outside, strict=True))


def test_the_passes_asked_of_the_network_are_those_reported(frames, masks, energy_cells, model_of):
    passes = []

    def counted(x, u):
        passes.extend(u.tolist())
        return energy_cells.paired(x, u)

    model, screen = model_of(counted), Screen(candidates=23, gradients=12, first=7, each=3)
    found = search_masked(model, in_memory(frames), masks, UNITS, **AT, screen=screen)
    assert [passes.count(unit) for unit in UNITS] == found.n_exact.tolist() == [23] * 4


def test_a_unit_does_not_depend_on_its_neighbours_nor_on_the_batches(frames, masks, energy_cells):
    screen, pictures = Screen(candidates=20, gradients=11), in_memory(frames)
    together = search_masked(energy_cells, pictures, masks, UNITS, **AT, screen=screen)
    for row in (0, 2):
        alone = search_masked(
            energy_cells,
            pictures,
            masks[row : row + 1],
            UNITS[row : row + 1],
            **AT,
            screen=screen,
            batches=FittingBatches(5),
        )
        assert alone.best[0] == together.best[row]
        assert alone.activation[0] == pytest.approx(together.activation[row], rel=1e-5)


def test_memory_is_bounded_by_searching_for_some_units_after_the_others(
    frames, masks, energy_cells, monkeypatch
):
    screen, pictures = Screen(candidates=20, gradients=11), in_memory(frames)
    together = search_masked(energy_cells, pictures, masks, UNITS, **AT, screen=screen)
    monkeypatch.setattr("inception_loop.images.natural.masked_search.GROUP_BYTES", 1)
    told = []
    one_by_one = search_masked(
        energy_cells,
        pictures,
        masks,
        UNITS,
        **AT,
        screen=screen,
        on_progress=lambda done, total, text: told.append((done, total)),
    )
    assert one_by_one.best.tolist() == together.best.tolist()
    assert told == sorted(told)
    assert told[-1] == (80, 80)


def test_images_that_do_not_fit_are_halved_with_a_note(frames, masks, energy_cells, model_of):
    def small(x, u):
        if len(x) > 6:
            raise MemoryError
        return energy_cells.paired(x, u)

    screen, pictures, batches = Screen(candidates=20, gradients=11), in_memory(frames), FittingBatches(24)
    whole = search_masked(energy_cells, pictures, masks, UNITS, **AT, screen=screen)
    halved = search_masked(model_of(small), pictures, masks, UNITS, **AT, screen=screen, batches=batches)
    assert halved.best.tolist() == whole.best.tolist()
    assert batches.findings() == {"images_at_once_for_memory": 6}


def test_so_few_images_are_all_asked_about(frames, masks, energy_cells):
    flat = np.full((2, 36, 64), 30.0, np.float32)
    few = np.concatenate([flat, frames[:9]])
    found = search_masked(energy_cells, in_memory(few), masks, UNITS, **AT)
    slow = slow_activations(energy_cells, frames[:9], masks)
    assert found.best.tolist() == (2 + slow.argmax(1)).tolist()
    assert found.n_exact.tolist() == [9] * 4
    assert found.n_gradients.tolist() == [0] * 4
    assert found.n_flat.tolist() == [2] * 4


def test_images_that_do_not_reach_the_contrast_make_way_for_others(frames, masks, ln_cells):
    spiky = np.zeros((30, 36, 64), np.float32)
    spiky[np.arange(30), 18, 20 + np.arange(30)] = 200.0  # one pixel cannot carry a contrast
    mixed = in_memory(np.concatenate([spiky, frames[:40]]))
    at = {"mean": 110.0, "contrast": 32.0}
    found = search_masked(ln_cells, mixed, masks, UNITS, **at, screen=Screen(candidates=16, gradients=9))
    assert (found.best >= 30).all()
    assert (found.n_exact == 16).all()
    assert found.n_unreachable.sum() > 0
    message = r"none of 30 images can be shown .* mean 110 .*: unit 3 \(\d+ show nothing there, \d+ have too"
    with pytest.raises(DataError, match=message):
        search_masked(ln_cells, in_memory(spiky), masks[:1], UNITS[:1], **at, screen=Screen(candidates=8))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda masks: masks * torch.tensor([1.0, 0.0, 1.0, 1.0])[:, None, None],
            r"the mask covers nothing.*: b; ",
        ),
        (
            lambda masks: (
                torch.nn.functional.one_hot(torch.full((4,), 1000), 2304).reshape(4, 36, 64).float()
            ),
            r"contrast over 8 .*: a \(1 px, 3\.02 at most, 4\.98 too little\), b .*, d \(.*; leave them out",
        ),
    ],
    ids=["nothing", "one pixel"],
)
def test_a_mask_through_which_nothing_can_be_shown_is_refused(frames, masks, energy_cells, spoil, message):
    with pytest.raises(DataError, match=message):
        search_masked(energy_cells, in_memory(frames), spoil(masks), UNITS, **AT, names=list("abcd"))


def test_a_unit_that_sees_only_the_mean_which_all_images_share_gets_some_image(frames, masks, model_of):
    bright = model_of(lambda x, u: x.sum((1, 2)))
    found = search_masked(bright, in_memory(frames), masks[:1], UNITS[:1], **AT)
    assert found.activation == pytest.approx(36 * 64 * AT["mean"], rel=1e-5)


def test_activations_that_are_no_number_are_refused_all_at_once(frames, masks, model_of, monkeypatch):
    lost = model_of(lambda x, u: x.sum((1, 2)) * torch.where((u == 17) | (u == UNITS[0]), torch.nan, 1.0))
    monkeypatch.setattr(masked_search, "UNITS_AT_ONCE", 1)  # each group of units is heard
    message = f"by a masked image is no number: unit {UNITS[0]}, unit 17; expected"
    with pytest.raises(DataError, match=message):
        search_masked(lost, in_memory(frames), masks, UNITS, **AT)


def test_a_unit_that_nothing_excites_gets_some_image(frames, masks, model_of):
    deaf = model_of(lambda x, u: 0 * x.sum((1, 2)) + 1)
    found = search_masked(deaf, in_memory(frames), masks[:1], UNITS[:1], **AT, screen=Screen(candidates=14))
    assert found.activation.tolist() == [1.0]
