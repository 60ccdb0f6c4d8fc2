"""Pictures to search come from an image set, a tier of a member, or a scan's frames, each once."""

import numpy as np
import pytest

from inception_loop.errors import DataError
from inception_loop.images.fitting import Fit
from inception_loop.images.natural.image_set import Stack, content_hash, import_image_set
from inception_loop.images.natural.searched import Which, in_memory, searched

NAME = "group000-1-1-1"


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(4).uniform(0, 255, (40, 6, 8)).astype(np.float32)


def test_the_images_of_a_tier_are_those_its_used_trials_show_each_once(store, dataset_of, frames):
    ref, shown = dataset_of(frames)
    found = searched(store, ref, NAME)
    assert np.array_equal(found.take(np.arange(len(found))), frames[shown])
    assert found.described(np.array([2, 0])).rows() == [
        (f"c{k:02d}", f"photo{k // 2}", content_hash(frames[k])) for k in (shown[2], shown[0])
    ]


def test_the_images_of_a_scan_are_those_of_the_classes_asked_for(store, dataset_of, frames):
    dataset, _ = dataset_of(frames)
    frame = store.inputs(dataset)["frame"][0]
    found = searched(store, frame, NAME)
    assert np.array_equal(found.take(np.arange(len(found))), frames[1::2])
    assert len(searched(store, frame, NAME, Which(image_classes=("gabor", "natural")))) == 40
    with pytest.raises(DataError, match=r"no image of the classes mei; it has gabor, natural; expected"):
        searched(store, frame, NAME, Which(image_classes=("mei",)))


def test_an_image_set_is_searched_as_a_whole_and_was_never_shown(store, frames):
    pictures = import_image_set(store, Stack(frames), "noise", Fit(height=6, width=8)).ref
    found = searched(store, pictures, "any")
    assert (len(found), found.image_size) == (40, (6, 8))
    assert found.described(np.array([7]))["condition_hash"].to_list() == [None]


def test_an_unknown_member_an_empty_tier_or_no_pictures_are_refused(store, models, dataset_of, frames):
    dataset, _ = dataset_of(frames)
    with pytest.raises(DataError, match="no member 'other'; expected one of group000-1-1-1"):
        searched(store, dataset, "other")
    with pytest.raises(DataError, match="no used trial of tier 'validation'"):
        searched(store, dataset, NAME, Which(tier="validation"))
    with pytest.raises(DataError, match="holds no pictures to search; expected an image_set"):
        searched(store, models[0], NAME)


def test_blocks_are_all_pictures_in_order(frames):
    found = in_memory(frames)
    parts = list(found.blocks(7))
    assert [start for start, _ in parts] == list(range(0, 40, 7))
    assert np.array_equal(np.concatenate([block for _, block in parts]), frames)
