"""Mask artifacts and masked MEIs hold what the functions find for the units of the batch."""

import numpy as np
import pytest
import torch

from inception_loop.artifacts.identity import Config
from inception_loop.errors import DataError
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.masked_mei import MaskedMeiConfig, make_masked_mei, masked_at
from inception_loop.images.masks.artifact import (
    GaussianMaskConfig,
    MEIMaskConfig,
    TightMEIMaskConfig,
    make_gaussian_mask,
    make_mei_mask,
    make_tight_mei_mask,
)
from inception_loop.images.masks.shapes import masked
from inception_loop.images.masks.tight import PARAMETER_SETS, TightRule
from inception_loop.images.mei import MEI, MeiConfig, make_mei

JUDGING = {"gains": 2, "reach": 0}
NEURONS = [3, 1, 17]


@pytest.fixture
def made(store, models, networks, target, energy_cells):
    """A store, the networks, and MEIs of 3 units in another order than they are asked for."""
    nets = networks(models, energy_cells)
    units = target["units"][::-1]
    config = MeiConfig(
        **{**target, "units": units}, judging=JUDGING, procedure=Fast(contrast=12.0, iterations=20)
    )
    return store, nets, make_mei(store, config, networks=nets).ref


def images_in_order(store, mei):
    return torch.tensor(store.arrays(mei, "images")["images"][::-1].copy())


def test_a_tight_mask_keeps_its_share_and_the_table_says_of_what(made, target, energy_cells):
    store, nets, mei = made
    ref = make_tight_mei_mask(store, TightMEIMaskConfig(**target), mei=mei, networks=nets).ref
    table, masks = store.table(ref, "tight_mei_mask"), store.arrays(ref, "masks")["masks"]
    images, units = images_in_order(store, mei), torch.tensor(NEURONS)
    shown = masked(images, torch.tensor(masks))
    assert table["neuron_id"].to_list() == NEURONS
    assert masks.shape == (3, 36, 64)
    assert table["mei_activation"].to_numpy() == pytest.approx(energy_cells.paired(images, units).numpy())
    assert table["activation"].to_numpy() == pytest.approx(energy_cells.paired(shown, units).numpy())
    ratio = table["activation"] / table["baseline_activation"]
    assert table["achieved_ratio"].to_numpy() == pytest.approx(ratio.to_numpy())
    assert (table["achieved_ratio"] >= 0.9).all()
    assert (table["next_ratio"] < 0.9).all()
    assert set(table["stop_reason"]) == {"ratio"}
    assert table["area_px"].to_numpy() == pytest.approx(masks.sum((1, 2)))


def test_pictures_that_do_not_fit_into_memory_are_halved_with_a_note(
    made, models, networks, target, energy_cells, model_of
):
    def small(x, u):
        if len(x) > 2:
            raise MemoryError
        return energy_cells.paired(x, u)

    store, nets, mei = made
    config = TightMEIMaskConfig(**target)
    whole = make_tight_mei_mask(store, config, mei=mei, networks=nets).ref
    again = config.model_copy(update={"max_erosions": 99})
    halved = make_tight_mei_mask(store, again, mei=mei, networks=networks(models, model_of(small))).ref
    assert store.manifest(halved).findings["images_at_once_for_memory"] == 2
    assert "images_at_once_for_memory" not in store.manifest(whole).findings
    masks = [store.arrays(ref, "masks")["masks"] for ref in (halved, whole)]
    assert np.array_equal(*masks)


def test_the_other_masks_lie_where_the_cell_looks(made, target, even):
    store, nets, mei = made
    outline = make_mei_mask(store, MEIMaskConfig(**target), mei=mei, networks=nets).ref
    gauss = make_gaussian_mask(store, GaussianMaskConfig(**target), mei=mei, networks=nets).ref
    power = even[NEURONS].square()
    x = (power.sum(1) * torch.arange(64)).sum(1).numpy()
    # through the Gaussian an energy cell with a Gabor of s.d. s sees exp(-r²(1/s² + 1.875/2s²)): (1/1.94)²
    for ref, kept in ((outline, 0.7), (gauss, 0.24)):
        table = store.table(ref, ref.kind)
        assert table["center_x"].to_numpy() == pytest.approx(x, abs=1.5)
        assert (table["achieved_ratio"] > kept).all()
        assert table["baseline_activation"].equals(table["mei_activation"])
    table = store.table(gauss, "gaussian_mask")
    assert table["power_x"].to_numpy() == pytest.approx(x, abs=1.5)
    assert (table["var_x"] * table["var_y"] > table["cov_xy"] ** 2).all()


def test_number_and_own_values_are_the_question(made, target):
    store, nets, mei = made
    third = TightMEIMaskConfig(**target, parameter_set=3)
    assert third.values == PARAMETER_SETS[3]
    own = TightMEIMaskConfig(**target, rule=TightRule(target_reduction_ratio=0.5))
    small, large = (make_tight_mei_mask(store, c, mei=mei, networks=nets).ref for c in (own, third))
    areas = [store.table(ref, "tight_mei_mask")["area_px"].to_numpy() for ref in (small, large)]
    assert (areas[0] < areas[1]).all()
    assert make_tight_mei_mask(store, third, mei=mei, networks=nets).cached
    with pytest.raises(ValueError, match="less than 5"):
        TightMEIMaskConfig(**target, parameter_set=5)


def test_a_unit_without_an_mei_is_named(made, target):
    store, nets, mei = made
    config = TightMEIMaskConfig(**{**target, "units": [{"neuron_id": 5, "unit_id": 105}]})
    with pytest.raises(DataError, match=r"^mei/\w+ has no image of group000-1-1-1/105 \(1 of 1 units\)"):
        make_tight_mei_mask(store, config, mei=mei, networks=nets)


def test_inhibiting_images_have_no_tight_mask(made, target, empty_table):
    store, nets, _ = made

    class Inhibiting(Config):
        group_id: int = 0
        objective: str = ""

    def build(attempt):
        attempt.write_table("mei", empty_table(MEI, "mei"))
        for name in ("images", "tuning", "shifts", "history"):
            members = MEI.payloads[name].members
            attempt.write_arrays(name, {k: np.zeros([0] * len(m.dims), m.dtype) for k, m in members.items()})

    mei = store.make(MEI, Inhibiting(objective="inhibiting"), build).ref
    with pytest.raises(DataError, match="holds inhibiting images"):
        make_tight_mei_mask(store, TightMEIMaskConfig(**target), mei=mei, networks=nets)


def test_a_masked_mei_has_the_mean_and_contrast_of_the_whole_image(made, target, energy_cells):
    store, nets, mei = made
    mask = make_tight_mei_mask(store, TightMEIMaskConfig(**target), mei=mei, networks=nets).ref
    config = MaskedMeiConfig(**target, contrast=14.0, judging=JUDGING)
    ref = make_masked_mei(store, config, networks=nets, mei=mei, mask=mask).ref
    table, images = store.table(ref, "masked_mei"), store.arrays(ref, "images")["images"]
    assert images.mean((1, 2), dtype=np.float64) == pytest.approx(110 * np.ones(3), abs=1e-4)
    assert images.std((1, 2), dtype=np.float64) == pytest.approx(14 * np.ones(3), rel=1e-5)
    masks = torch.tensor(store.arrays(mask, "masks")["masks"])
    expected = masked_at(images_in_order(store, mei), masks, 110.0, 14.0)
    assert np.array_equal(images, expected.numpy())
    shown = energy_cells.paired(expected, torch.tensor(NEURONS)).numpy()
    assert table["activation"].to_numpy() == pytest.approx(shown)
    roles = {role: len(refs) for role, refs in store.inputs(ref).items()}
    assert roles == {"model": 2, "mei": 1, "mask": 1}


@pytest.mark.parametrize("contrast", [8.0, 40.0])
def test_outside_of_its_mask_the_image_is_one_grey_and_nothing_leaves_the_range(noise, contrast):
    masks = torch.zeros(2, 36, 64)
    masks[:, 10:24, 20:40] = 1
    shown = masked_at(noise(2), masks, 110.0, contrast)
    outside = shown[:, masks[0] == 0]
    assert torch.equal(outside, outside[:, :1].expand_as(outside))
    if contrast == 8.0:  # nothing clips
        assert torch.allclose(outside, torch.tensor(110.0))
    assert shown.double().mean((1, 2)).numpy() == pytest.approx([110, 110], abs=1e-4)
    assert shown.double().std((1, 2), correction=0).numpy() == pytest.approx([contrast] * 2, rel=1e-5)
    assert shown.min() >= 0
    assert shown.max() <= 255


def test_a_mask_of_nothing_and_a_contrast_that_is_too_high_name_the_unit(noise):
    masks = torch.zeros(2, 36, 64)
    masks[0, 10:24, 20:40] = 1
    with pytest.raises(DataError, match=r"^the mask covers nothing.*: b; "):
        masked_at(noise(2), masks, 110.0, 8.0, names=["a", "b"])
    masks[1, 3:5, 3:5] = 1
    message = r"mean 110 and contrast 100: a \(.* too much\), b \(.* too much\); .* leave them out or lower"
    with pytest.raises(DataError, match=message):
        masked_at(noise(2), masks, 110.0, 100.0, names=["a", "b"])
