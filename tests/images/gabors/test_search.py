"""The pass over the bank finds what a slow look at every Gabor finds."""

import math

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.contrast import match_contrast
from inception_loop.images.gabors.best import BestGaborConfig, make_best_gabor
from inception_loop.images.gabors.grid import PARAMETERS, GaborGrid
from inception_loop.images.gabors.search import search_gabors
from inception_loop.images.network import CallableModel
from inception_loop.pictures.gabor import gabor

COARSE = GaborGrid(
    phases=(0, math.pi / 2, math.pi),
    wavelengths=(6, 9),
    orientations=(0, 0.8),
    sigmas=(2, 4),
    dy=(-0.1, 0, 0.1),
    dx=(0, 0.2),
)
STATISTICS = {"mean": 110.0, "contrast": 8.0}


@pytest.fixture(scope="session")
def cells(even):
    """Linear cells that see every image by every unit in one product."""
    filters = even.flatten(1)
    return CallableModel(lambda x, u: (x - 110).flatten(1) @ filters[u].T, 110.0, 50.0, (36, 64))


@pytest.fixture(scope="session")
def found(cells):
    return search_gabors(cells, COARSE, [3, 17], **STATISTICS, batch_size=50)


def slow_scores(cells, unit):
    rows = COARSE.parameters(torch.arange(COARSE.size), (36, 64)).tolist()
    patches = np.stack([gabor(36, 64, **dict(zip(PARAMETERS, row, strict=True))) for row in rows])
    shown = match_contrast(torch.from_numpy(patches), 110.0, 8.0)
    return cells(shown.float(), torch.tensor([unit]))[:, 0].numpy()


@pytest.mark.parametrize("column", [0, 1])
def test_the_winner_and_the_spread_are_those_of_a_slow_search(cells, found, column):
    slow = slow_scores(cells, [3, 17][column])
    assert found.activations[:, column] == pytest.approx(slow, rel=1e-4, abs=1e-3)
    assert found.best[column] == slow.argmax()
    assert found.activation[column] == pytest.approx(slow.max(), rel=1e-5)
    assert found.runner_up[column] == pytest.approx(np.sort(slow)[-2], rel=1e-5)
    assert found.quantile(0.5)[column] == pytest.approx(np.median(slow), abs=1e-3)
    assert found.quantile(0.9)[column] == pytest.approx(np.quantile(slow, 0.9), abs=1e-3)


def test_a_cell_whose_filter_is_a_gabor_of_the_grid_gets_that_gabor():
    wanted = [101, 5]
    patches = search_images(wanted)
    model = CallableModel(lambda x, u: (x - 110).flatten(1) @ patches[u].flatten(1).T, 110.0, 50.0, (36, 64))
    assert search_gabors(model, COARSE, [0, 1], **STATISTICS).best.tolist() == wanted


def search_images(rows):
    parameters = COARSE.parameters(torch.tensor(rows), (36, 64)).tolist()
    patches = np.stack([gabor(36, 64, **dict(zip(PARAMETERS, row, strict=True))) for row in parameters])
    images = match_contrast(torch.from_numpy(patches), 110.0, 8.0).float()
    return (images - 110) / (images - 110).flatten(1).norm(dim=1)[:, None, None]


def test_no_more_than_a_batch_is_ever_shown_and_the_progress_counts_it(cells):
    shown, told = [], []

    def watched(x, u):
        shown.append((len(x), len(u), x.requires_grad))
        return cells(x, u)

    model = CallableModel(watched, 110.0, 50.0, (36, 64))
    search_gabors(
        model, COARSE, range(5), **STATISTICS, batch_size=64, on_progress=lambda *done: told.append(done)
    )
    assert shown == [(64, 5, False)] * 2 + [(COARSE.size - 128, 5, False)]
    assert [done for done, _, _ in told] == [64, 128, 144]
    assert told[-1][1:] == (144, "144 of 144 Gabors")


def test_a_batch_that_does_not_fit_is_halved_with_a_note(cells, found, caplog):
    def small(x, u):
        if len(x) > 40:
            raise MemoryError
        return cells(x, u)

    model = CallableModel(small, 110.0, 50.0, (36, 64))
    halved = search_gabors(model, COARSE, [3, 17], **STATISTICS, batch_size=128)
    assert halved.images_at_once == 32
    assert found.images_at_once is None
    assert "no memory for 64 images at once" in caplog.text
    assert halved.best.tolist() == found.best.tolist()


def test_a_unit_finds_the_same_in_every_batch(cells, found):
    alone = search_gabors(cells, COARSE, [17], **STATISTICS, batch_size=7)
    assert alone.best[0] == found.best[1]
    assert alone.activations[:, 0] == pytest.approx(found.activations[:, 1], rel=1e-4, abs=1e-3)


def test_the_diverse_best_look_different_and_begin_with_the_best(found):
    rows = found.diverse(0, 5, similarity=0.7)
    assert rows[0] == found.best[0]
    images = found.images(rows).double().flatten(1) - 110
    images /= images.norm(dim=1, keepdim=True)
    assert (images @ images.T - torch.eye(len(rows))).max() < 0.72
    assert (np.diff(found.activations[rows, 0]) <= 0).all()


def test_gabors_that_cannot_be_shown_are_left_out_and_counted(cells):
    grid = GaborGrid(
        phases=(0,), wavelengths=(40,), orientations=(0,), sigmas=(0.05, 3), dy=(0.25 / 36,), dx=(0, 0.1)
    )
    found = search_gabors(cells, grid, [3], mean=110.0, contrast=5.0)
    assert found.n_searched == 2
    assert np.isnan(found.activations[:, 0]).tolist() == [True, True, False, False]
    with pytest.raises(DataError, match=r"of 4 Gabors none can be shown at mean 110\.0 and contrast 130.0"):
        search_gabors(cells, grid, [3], mean=110.0, contrast=130.0)


def test_a_unit_that_answers_all_alike_or_with_no_number_is_named(cells):
    deaf = CallableModel(lambda x, u: cells(x, u) * (u != 3) + 0.25, 110.0, 50.0, (36, 64))
    with pytest.raises(DataError, match=r"^every Gabor excites alike: b \(0\.25\); "):
        search_gabors(deaf, COARSE, [4, 3], **STATISTICS, names=["a", "b"])
    broken = CallableModel(lambda x, u: cells(x, u) / (u != 3), 110.0, 50.0, (36, 64))
    with pytest.raises(DataError, match=r"^the activation by a Gabor is no number: b; "):
        search_gabors(broken, COARSE, [4, 3], **STATISTICS, names=["a", "b"])


def test_the_artifact_holds_winner_spread_and_starts(store, models, networks, target, cells, found):
    config = BestGaborConfig(
        **target, grid=COARSE, contrast=8.0, candidates=3, judging={"gains": 2, "reach": 0}
    )
    ref = make_best_gabor(store, config, networks=networks(models, cells)).ref
    table, images = store.table(ref, "best_gabor"), store.arrays(ref, "images")["images"]
    assert table["neuron_id"].to_list() == [3, 1, 17]
    third = table.row(2, named=True)
    assert [third[name] for name in PARAMETERS] == pytest.approx(found.parameters(found.best)[1].tolist())
    assert np.array_equal(images[2], found.images(found.best)[1].numpy())
    assert third["activation"] == pytest.approx(found.activation[1], rel=1e-5)
    assert third["margin"] == pytest.approx((found.activation - found.runner_up)[1], rel=1e-3)
    assert third["median_activation"] == pytest.approx(found.quantile(0.5)[1], abs=1e-3)
    assert third["n_gabors"] == COARSE.size
    assert table["img_mean"].to_numpy() == pytest.approx(110 * np.ones(3), abs=1e-4)
    assert table["contrast"].to_numpy() == pytest.approx(8 * np.ones(3), rel=1e-6)
    kept = store.arrays(ref, "candidates")
    assert kept["parameters"].shape == (3, 3, 6)
    assert kept["parameters"][2, 0] == pytest.approx([third[name] for name in PARAMETERS])
    assert kept["activation"][:, 0] == pytest.approx(table["activation"].to_numpy(), rel=1e-5)
    assert store.manifest(ref).findings["n_unreachable"] == 0
