"""The search finds the natural image that a slow look at each would find."""

import numpy as np
import polars as pl
import pytest
import torch

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.frame import FRAME
from inception_loop.dataset.multi_dataset import STATIC_MULTI_DATASET
from inception_loop.errors import DataError
from inception_loop.images.contrast import match_contrast
from inception_loop.images.natural import (
    BestNaturalImageConfig,
    make_best_natural_image,
    search_natural,
    tier_frames,
)
from inception_loop.pictures.dead_leaves import dead_leaves
from inception_loop.recordings.recording import ScanKey


@pytest.fixture(scope="module")
def frames():
    return dead_leaves(40, height=36, width=64, seed=3)


def test_the_winner_is_the_one_a_slow_search_finds(energy_cells, frames):
    found = search_natural(energy_cells, frames, [3, 17], mean=110.0, contrast=8.0, batch_size=7)
    for row, unit in enumerate([3, 17]):
        scores = []
        for frame in torch.from_numpy(frames):
            shown = match_contrast(frame[None], 110.0, 8.0)
            scores.append(energy_cells.paired(shown, torch.tensor([unit])).item())
        assert found.best[row] == int(np.argmax(scores))
        assert found.activation[row] == pytest.approx(max(scores), rel=1e-4)
        assert found.median_activation[row] == pytest.approx(np.median(scores), rel=1e-4)
        assert np.array_equal(
            found.images[row], match_contrast(torch.from_numpy(frames[[found.best[row]]]), 110.0, 8.0)[0]
        )


@pytest.mark.parametrize("contrast", [6.0, 60.0])
def test_the_images_have_the_mean_and_contrast_asked_for_clipping_included(linear_cells, frames, contrast):
    found = search_natural(linear_cells, frames, range(5), mean=110.0, contrast=contrast)
    assert found.images.mean((1, 2), dtype=np.float64) == pytest.approx(110 * np.ones(5), rel=1e-6)
    assert found.images.std((1, 2), dtype=np.float64) == pytest.approx(contrast * np.ones(5), rel=1e-5)
    assert found.images.min() >= 0
    assert found.images.max() <= 255


def test_flat_and_unreachable_images_are_left_out_and_counted(linear_cells, frames):
    spike = np.zeros((1, 36, 64), np.float32)
    spike[0, 3, 3] = 1
    mixed = np.concatenate([np.full((2, 36, 64), 99.0, np.float32), spike, frames[:5]])
    found = search_natural(linear_cells, mixed, [0, 1], mean=110.0, contrast=20.0)
    assert (found.n_searched, found.n_flat, found.n_unreachable) == (5, 2, 1)
    assert (found.best >= 3).all()


def test_of_equal_images_the_first_wins(linear_cells, frames):
    twice = np.concatenate([frames[:4], frames[:4]])
    found = search_natural(linear_cells, twice, range(6), mean=110.0, contrast=8.0, batch_size=3)
    assert (found.best < 4).all()


def test_no_image_at_all_is_refused(linear_cells, frames):
    for images in (frames[:0], np.full((2, 36, 64), 7.0, np.float32)):
        with pytest.raises(DataError, match="expected one or more"):
            search_natural(linear_cells, images, [0], mean=110.0, contrast=8.0)


class StubConfig(Config):
    group_id: int = 0
    scan: ScanKey = ScanKey(animal_id=1, session=1, scan_idx=1)


@pytest.fixture
def dataset(store, frames, empty_table):
    """A dataset of one scan of 40 conditions; trials show 30 of them, every third in tier train."""
    n = len(frames)

    def build_frame(attempt):
        attempt.write_arrays("frames", {"frames": frames})
        conditions = {
            "condition_hash": [f"c{k:02d}" for k in range(n)],
            "image_class": ["natural"] * n,
            "image_id": np.arange(n),
            "source_id": [f"photo{k // 2}" for k in range(n)],
        }
        attempt.write_table("conditions", pl.DataFrame(conditions))

    frame = store.make(FRAME, StubConfig(), build_frame).ref
    rows = np.random.default_rng(1).permutation(n)[:30].repeat(2)
    trials = {
        "name": ["group000-1-1-1"] * 60,
        "trial_idx": np.arange(60),
        "condition_hash": [f"c{k:02d}" for k in rows],
        "tier": ["train" if k % 3 == 0 else "test" for k in rows],
        "image_class": ["natural"] * 60,
        "used": [k != 33 for k in rows],
        "reason": [""] * 60,
        "imputed": [False] * 60,
        "frame_row": rows,
        "response_row": np.arange(60),
    }

    def build_dataset(attempt):
        declared = STATIC_MULTI_DATASET.payloads["members"].columns
        numbers = {c: [0] for c in declared if c.startswith(("n_", "animal", "session", "scan"))}
        members = {
            "name": ["group000-1-1-1"],
            **numbers,
            "has_eye": [True],
            "has_treadmill": [True],
            "lag1_leakage": [0.0],
        }
        attempt.write_table("members", pl.DataFrame(members))
        attempt.write_table("trials", pl.DataFrame(trials))
        attempt.write_table("units", empty_table(STATIC_MULTI_DATASET, "units"))

    ref = store.make(STATIC_MULTI_DATASET, StubConfig(), build_dataset, {"frame": [frame]}).ref
    return ref, sorted({int(k) for k in rows if k % 3 == 0 and k != 33})


def test_the_images_of_a_tier_are_those_its_used_trials_show_each_once(store, dataset, frames):
    ref, shown = dataset
    found, conditions = tier_frames(store, ref, "group000-1-1-1", "train")
    assert np.array_equal(found, frames[shown])
    assert conditions["condition_hash"].to_list() == [f"c{k:02d}" for k in shown]


def test_an_unknown_member_or_an_empty_tier_is_refused(store, dataset):
    with pytest.raises(DataError, match="no member 'other'; expected one of group000-1-1-1"):
        tier_frames(store, dataset[0], "other", "train")
    with pytest.raises(DataError, match="no used trial of tier 'validation'"):
        tier_frames(store, dataset[0], "group000-1-1-1", "validation")


def test_the_artifact_names_the_condition_and_source_of_each_best_image(
    store, models, networks, target, dataset, frames, energy_cells
):
    config = BestNaturalImageConfig(**target, contrast=8.0)
    ref = make_best_natural_image(
        store, config, networks=networks(models, energy_cells), dataset=dataset[0]
    ).ref
    table, images = store.table(ref, "best_natural_image"), store.arrays(ref, "images")["images"]
    slow = search_natural(energy_cells, frames[dataset[1]], [3, 1, 17], mean=110.0, contrast=8.0)
    best = [dataset[1][k] for k in slow.best]
    assert table["condition_hash"].to_list() == [f"c{k:02d}" for k in best]
    assert table["source_id"].to_list() == [f"photo{k // 2}" for k in best]
    assert np.array_equal(images, slow.images)
    assert table["activation"].to_numpy() == pytest.approx(slow.activation)
    assert table["contrast"].to_numpy() == pytest.approx(8 * np.ones(3), rel=1e-5)
    assert table["n_images"].to_list() == [len(dataset[1])] * 3
