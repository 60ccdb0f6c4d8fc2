"""The artifact of the masked search: which image, from where, and how many passes it took."""

import numpy as np
import polars as pl
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.judging import Judging
from inception_loop.images.masks.artifact import MEI_MASK, MEIMaskConfig
from inception_loop.images.natural.image_set import Stack, import_image_set
from inception_loop.images.natural.masked import (
    BestTightMaskedImagenetConfig,
    make_best_tight_masked_imagenet,
)
from inception_loop.images.natural.masked_search import search_masked
from inception_loop.images.natural.searched import in_memory
from inception_loop.pictures.dead_leaves import dead_leaves

IDS = [17, 3, 1]  # not the order of the batch


@pytest.fixture(scope="module")
def frames():
    return dead_leaves(30, height=36, width=64, seed=3)


@pytest.fixture
def mask(store, target):
    """Masks of the units of `target` in another order."""
    masks = torch.zeros(3, 36, 64)
    for row in range(3):
        masks[row, 10:24, 20 + 4 * row : 40 + 4 * row] = 1

    def build(attempt):
        declared = MEI_MASK.payloads["mei_mask"].columns
        ids = {"name": "group000-1-1-1", "neuron_id": IDS, "unit_id": [100 + n for n in IDS]}
        rest = {name: [1.0] * 3 for name in declared if name not in ids}
        attempt.write_table("mei_mask", pl.DataFrame({**ids, **rest}))
        attempt.write_arrays("masks", {"masks": masks.numpy()})

    return store.make(MEI_MASK, MEIMaskConfig(**target), build).ref, masks


def test_the_table_says_which_image_from_where_and_after_how_many_passes(
    store, models, networks, target, mask, frames, energy_cells
):
    (ref, masks), screen = mask, {"candidates": 20, "gradients": 12}
    pictures = import_image_set(store, Stack(frames, [f"leaf{k}" for k in range(30)]), "leaves").ref
    config = BestTightMaskedImagenetConfig(**target, screen=screen, judging=Judging(gains=2, reach=0))
    made = networks(models, energy_cells)
    out = make_best_tight_masked_imagenet(store, config, networks=made, mask=ref, pictures=pictures).ref
    table, images = store.table(out, out.kind), store.arrays(out, "images")["images"]
    order = [IDS.index(n) for n in (3, 1, 17)]
    found = search_masked(
        energy_cells,
        in_memory(frames),
        masks[order],
        [3, 1, 17],
        mean=110.0,
        contrast=8.0,
        screen=config.screen,
    )
    assert table["image_row"].to_list() == found.best.tolist()
    assert table["source_id"].to_list() == [f"leaf{k}" for k in found.best]
    assert np.array_equal(images, found.images)
    assert table["activation"].to_numpy() == pytest.approx(found.activation)
    assert table["n_exact"].to_list() == [20] * 3
    findings = store.manifest(out).findings
    assert findings["n_passes"] == 60
    assert findings["most_passes_a_unit"] == 20
    assert findings["n_gradients"] == table["n_gradients"].sum() <= 36
    assert findings["everything"] is False
    assert store.inputs(out) == {"model": models, "mask": [ref], "image_set": [pictures]}


def test_a_unit_without_a_mask_or_fewer_images_than_units_are_refused(
    store, models, networks, target, mask, frames, energy_cells
):
    made, few = networks(models, energy_cells), import_image_set(store, Stack(frames[:2]), "few").ref
    ask = {"networks": made, "mask": mask[0]}
    with pytest.raises(DataError, match="holds 2 images for 3 units; expected at least one a unit"):
        make_best_tight_masked_imagenet(store, BestTightMaskedImagenetConfig(**target), **ask, pictures=few)
    other = {**target, "units": [{"neuron_id": 5, "unit_id": 105}]}
    with pytest.raises(DataError, match=r"has no image of group000-1-1-1/105"):
        make_best_tight_masked_imagenet(store, BestTightMaskedImagenetConfig(**other), **ask, pictures=few)
